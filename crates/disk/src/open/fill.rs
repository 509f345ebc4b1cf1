//! Filling the index from the items of segments, in the order of the log.

use crate::index::{Entry, Index, PINNED};
use crate::place::{Position, UNIT};
use crate::record::Kind;
use crate::segment::Item;

/// Puts items into an index.
pub(crate) struct Fill<'a> {
    index: &'a Index,
    /// By id: up to where the namespace was cleared; `None` if nobody has the id.
    cleared: Vec<Option<Position>>,
    /// The greatest time seen so far. What has expired by then has expired for ever.
    latest_ms: u64,
    /// The greatest id in any item.
    seen: u32,
    unknown: u64,
}

impl<'a> Fill<'a> {
    pub(crate) fn new<'n>(
        index: &'a Index,
        namespaces: impl Iterator<Item = (u32, &'n str, Position)>,
        latest_ms: u64,
    ) -> Fill<'a> {
        let mut cleared = Vec::new();
        for (id, _, position) in namespaces {
            let id = usize::try_from(id).unwrap_or(0);
            if cleared.len() <= id {
                cleared.resize(id + 1, None);
            }
            cleared[id] = Some(position);
        }
        Fill { index, cleared, latest_ms, seen: 0, unknown: 0 }
    }

    /// Something says that it was that late.
    pub(crate) fn saw(&mut self, time_ms: u64) {
        self.latest_ms = self.latest_ms.max(time_ms);
    }

    pub(crate) fn latest_ms(&self) -> u64 {
        self.latest_ms
    }

    pub(crate) fn seen(&self) -> u32 {
        self.seen
    }

    /// Values of namespaces that nobody knows.
    pub(crate) fn unknown(&self) -> u64 {
        self.unknown
    }

    /// The items of a segment, which comes behind all that were added before.
    pub(crate) fn add(&mut self, seq: u64, items: &[Item]) {
        for item in items {
            self.seen = self.seen.max(item.namespace);
            let position = Position { seq, offset: item.offset };
            match self.entry(item, position) {
                Some(entry) => drop(self.index.shard(item.hash).insert(item.hash, entry)),
                None => drop(self.index.shard(item.hash).remove(item.hash)),
            }
        }
    }

    /// What the index is to say from this item on; `None` if that the hash has no entry.
    fn entry(&mut self, item: &Item, position: Position) -> Option<Entry> {
        if item.kind != Kind::Value {
            return None;
        }
        let namespace = usize::try_from(item.namespace).ok().and_then(|id| *self.cleared.get(id)?);
        let Some(cleared) = namespace else {
            self.unknown += 1;
            return None;
        };
        let is_expired = item.expires_ms != 0 && item.expires_ms <= self.latest_ms;
        if is_expired || position < cleared {
            return None;
        }
        Some(Entry {
            place: position.place(),
            len_units: u32::try_from(item.len / UNIT).ok()?,
            expires_ms: item.expires_ms,
            heat: if item.is_pinned { PINNED } else { 0 },
            namespace: item.namespace,
        })
    }
}
