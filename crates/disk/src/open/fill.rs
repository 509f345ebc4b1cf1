//! Filling the index from the items of segments, in the order of the log.
//!
//! Items come by the hundred thousand, and one by one each would cost a few cache misses. So they are gathered, grouped by the shard
//! that they belong to, and put in shard by shard, which fits into a cache; several threads share the shards.
//!
//! **Invariant:** within a group items keep the order of the log.

use std::thread;

use super::found::THREADS_MAX;
use crate::index::{Entry, Index, PINNED};
use crate::place::{Position, UNIT};
use crate::record::Kind;
use crate::segment::Item;

/// Items that are gathered before they are put in.
const GATHERED_MAX: usize = 256 << 10;
/// Fewer are put in by one thread.
const WORTH_THREADS: usize = 16 << 10;

/// What the index is to say of a hash: an entry, or nothing.
type Said = (u64, Option<Entry>);

/// Puts items into an index.
pub(crate) struct Fill<'a> {
    index: &'a Index,
    threads: usize,
    gathered: Vec<Said>,
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
        let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        Fill { index, threads, gathered: Vec::new(), cleared, latest_ms, seen: 0, unknown: 0 }
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
            let entry = self.entry(item, position);
            self.gathered.push((item.hash, entry));
        }
        if self.gathered.len() >= GATHERED_MAX {
            self.put();
        }
    }

    /// Puts in what is gathered: to be called at the end.
    pub(crate) fn put(&mut self) {
        let groups = Groups::of(&self.gathered, self.index);
        let threads = if self.gathered.len() < WORTH_THREADS { 1 } else { self.threads };
        let (index, groups) = (self.index, &groups);
        thread::scope(|scope| {
            for first in 1..threads {
                scope.spawn(move || groups.put(index, first, threads));
            }
            groups.put(index, 0, threads);
        });
        self.gathered.clear();
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

/// Items by shard.
struct Groups {
    said: Vec<Said>,
    /// Where each shard's begin, and the end.
    starts: Vec<usize>,
}

impl Groups {
    fn of(gathered: &[Said], index: &Index) -> Groups {
        let mut starts = vec![0; index.shard_count() + 1];
        for (hash, _) in gathered {
            starts[index.shard_number(*hash) + 1] += 1;
        }
        for shard in 1..starts.len() {
            starts[shard] += starts[shard - 1];
        }
        let mut said = vec![(0, None); gathered.len()];
        let mut next = starts.clone();
        for item in gathered {
            let at = &mut next[index.shard_number(item.0)];
            said[*at] = *item;
            *at += 1;
        }
        Groups { said, starts }
    }

    /// Puts in the groups of every so-manieth shard.
    fn put(&self, index: &Index, first: usize, step: usize) {
        for bounds in self.starts.windows(2).skip(first).step_by(step) {
            let group = &self.said[bounds[0]..bounds[1]];
            let Some((hash, _)) = group.first() else { continue };
            let mut shard = index.shard(*hash);
            for (hash, entry) in group {
                match entry {
                    Some(entry) => drop(shard.insert(*hash, *entry)),
                    None => drop(shard.remove(*hash)),
                }
            }
        }
    }
}
