//! What of a segment still counts: its footer's table against the index.

use super::choice::Histogram;
use crate::index::{Entry, HEAT_MAX, PINNED};
use crate::log::SegmentFile;
use crate::namespace::NamespaceState;
use crate::place::{Position, UNIT};
use crate::record::Kind;
use crate::segment::{self, Identity, Item};
use crate::store::Core;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The entries of the index that stand in a segment.
pub(super) struct Survey {
    seq: u64,
    /// In the order of the log, with their heat.
    live: Vec<(Item, u8)>,
    /// Expired, or of a namespace cleared since.
    stale: Vec<Item>,
    /// Hashes of all that were pinned when they were written.
    pinned: Vec<u64>,
    /// Whether these are all.
    is_complete: bool,
}

impl Survey {
    pub(super) fn of(core: &Core, segment: &SegmentFile) -> Survey {
        let seq = segment.seq;
        let (items, is_complete) = items(core, segment);
        let pinned = items.iter().filter(|item| item.is_pinned).map(|item| item.hash).collect();
        let mut survey = Survey { seq, live: Vec::new(), stale: Vec::new(), pinned, is_complete };
        let mut namespace: Option<Arc<NamespaceState>> = None;
        for item in items {
            let Some(entry) = entry_at(core, seq, &item) else { continue };
            // Neighbours are mostly of one namespace.
            if namespace.as_ref().is_none_or(|known| known.id != entry.namespace) {
                namespace = core.namespaces.by_id(entry.namespace);
            }
            let counts = namespace.as_ref().is_some_and(|known| known.counts(Position { seq, offset: item.offset }));
            if counts && !core.is_expired(entry.expires_ms) {
                survey.live.push((item, entry.heat));
            } else {
                survey.stale.push(item);
            }
        }
        survey
    }

    /// The pinned ones alone.
    pub(super) fn pinned(core: &Core, segment: &SegmentFile) -> Vec<Item> {
        let (mut items, _) = items(core, segment);
        items.retain(|item| {
            item.is_pinned && entry_at(core, segment.seq, item).is_some_and(|entry| entry.heat == PINNED)
        });
        items
    }

    /// Where the pinned entries of the segment have gone: carried, or replaced by other versions.
    pub(super) fn pins_elsewhere(&self, core: &Core) -> Vec<Position> {
        let pins = self.pinned.iter().filter_map(|hash| core.index.get(*hash)).filter(|entry| entry.heat == PINNED);
        let places = pins.map(|entry| entry.place.position(core.log.head_seq()));
        places.filter(|at| at.seq != self.seq).collect()
    }

    pub(super) fn pinned_bytes(&self) -> u64 {
        self.live.iter().filter(|(_, heat)| *heat == PINNED).map(|(item, _)| item.len).sum()
    }

    /// All that is live.
    pub(super) fn all(&self) -> Vec<Item> {
        self.live.iter().map(|(item, _)| *item).collect()
    }

    /// What is worth another write.
    pub(super) fn chosen(&self, allowance: u64, pins_are_safe: bool) -> Vec<Item> {
        let heat_of = |heat: u8| if pins_are_safe { heat } else { heat.min(HEAT_MAX) };
        let mut histogram = Histogram::default();
        self.live.iter().for_each(|(item, heat)| histogram.add(heat_of(*heat), item.len));
        let mut cut = histogram.cut(allowance);
        let taken = self.live.iter().filter(|(item, heat)| cut.takes(heat_of(*heat), item.len));
        taken.map(|(item, _)| *item).collect()
    }

    /// Takes what still stands in the segment out of the index.
    pub(super) fn let_go(&self, core: &Core) {
        for (item, _) in &self.live {
            if let Some(entry) = take_out(core, self.seq, item, false) {
                core.admitter.note_evicted(entry.heat);
            }
        }
        self.stale.iter().for_each(|item| _ = take_out(core, self.seq, item, true));
        if !self.is_complete {
            let seq16 = Position { seq: self.seq, offset: 0 }.place().seq16;
            let gone = core.index.retain(|_, entry| entry.place.seq16 != seq16);
            tracing::warn!(segment = self.seq, entries = gone, "entries went with a segment that could not be read");
        }
    }
}

/// Values in the order of the log, and whether these are all that the segment holds.
fn items(core: &Core, segment: &SegmentFile) -> (Vec<Item>, bool) {
    let identity = Identity { store_id: core.store_id, seq: segment.seq };
    let (mut items, is_complete) = match segment::read_footer(&*segment.file, identity) {
        Ok(footer) => (footer.items, true),
        Err(no_footer) => {
            tracing::debug!(segment = segment.seq, %no_footer, "a segment is read through");
            match segment::scan(&*segment.file, identity) {
                Ok(scan) => (scan.items, false),
                Err(error) => {
                    core.counts.errors.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(segment = segment.seq, %error, "a segment cannot be read");
                    (Vec::new(), false)
                }
            }
        }
    };
    items.retain(|item| item.kind == Kind::Value);
    (items, is_complete)
}

/// The entry of the index, if it stands where the item does.
fn entry_at(core: &Core, seq: u64, item: &Item) -> Option<Entry> {
    let place = Position { seq, offset: item.offset }.place();
    core.index.get(item.hash).filter(|entry| entry.place == place)
}

fn take_out(core: &Core, seq: u64, item: &Item, is_stale: bool) -> Option<Entry> {
    let mut shard = core.index.shard(item.hash);
    let entry = shard.remove_at(item.hash, Position { seq, offset: item.offset }.place())?;
    let tally = shard.tally();
    if is_stale {
        tally.reclaimed_expired += 1;
        return None;
    }
    tally.evicted += 1;
    tally.evicted_bytes += u64::from(entry.len_units) * UNIT;
    Some(entry)
}
