//! Reclaim: dropping the oldest segment. BEING BUILT by `index` (the steps below are agreed with store.rs/behind.rs by the lead).
//!
//! `oldest(core, all)`, called by the reclaim thread and by compact, one at a time (own mutex):
//! 1. oldest = core.log.files.load().oldest(); never the head segment (seq >= core.log.written().seq: return Ok(false)).
//! 2. items: segment::read_footer, else segment::scan, else (device fails) none.
//! 3. live = value items whose index entry (index.get(hash)) stands at that very place; drop expired ones and cleared
//!    namespaces (core.namespaces.counts(id, position)) from it, counting reclaimed_expired.
//! 4. choose: pinned all; others hottest first within the allowance: ratio * core.log.callers_bytes() - spent so far, capped to a segment;
//!    `all` takes everything live (compact).
//! 5. re-insert chosen, in the order of the log (coalesce reads): Record::decode with the old mask, re-encode via Draft, shard lock, check the place is
//!    still the old one, core.log.append(.., Source::Reinserted | Moved for pinned), insert with heat/2 (pinned stays). Full -> unlock, core.log.wait_for_room;
//!    on error or core.log.space.is_starved() stop re-inserting the rest (never deadlock with the writer, who waits for this very segment's space). Pinned go on as Moved.
//! 6. unless starved: core.log.flush(sync != None, patience), so that what was moved is on the device before the old copy goes.
//! 7. core.log.files.pop(seq); core.device.remove(name) (error: counted, logged, retried later; the space is NOT given back then); sync_folder if sync != None; core.log.space.give(len).
//! 8. only now remove_at() the index entries that stayed behind (evicted + bytes, admissions.note_evicted(heat)): as long as the file is there a `remove` must find the entry and write its tombstone.

mod allowance;
mod choice;
#[cfg(test)]
mod simulation;

use crate::store::Core;
use std::sync::atomic::{AtomicBool, Ordering};

/// What reclaim remembers between two segments.
#[derive(Debug)]
pub(crate) struct Reclaim {
    ratio: f64,
    /// A namespace was cleared: the index is to be swept.
    is_sweep_due: AtomicBool,
}

impl Reclaim {
    pub(crate) fn new(ratio: f64) -> Reclaim {
        Reclaim { ratio, is_sweep_due: AtomicBool::new(false) }
    }

    /// The index holds entries that no longer count.
    pub(crate) fn sweep_soon(&self) {
        self.is_sweep_due.store(true, Ordering::Release);
    }

    /// Whether it does; once.
    pub(crate) fn take_sweep(&self) -> bool {
        self.is_sweep_due.swap(false, Ordering::AcqRel)
    }

    /// Drops the oldest segment. `false` if there is none to drop.
    pub(crate) fn oldest(&self, core: &Core, all: bool) -> bool {
        let _ = (core, all, self.ratio);
        false
    }
}
