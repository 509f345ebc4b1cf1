//! Giving memory back: entries of sparse runs move together, so that whole runs fall free.
//!
//! After deletes and overwrites a class may hold many runs with few entries each. `Slab::victim` says when that costs too
//! much and which run to empty; here its entries are copied to other runs of the class and their references replaced in the
//! index. One run per change at most, so no change pays for more than 32 KiB of copying, and a class keeps at most a
//! quarter above what its entries need (or one run). The index is compacted at the same occasion, a segment per change.

use super::{Latched, index};
use crate::entry::Layout;
use crate::index::{Entries, Position};
use crate::memory::prefetch;
use crate::slab::slot_bytes;
use std::sync::atomic::Ordering;

impl Latched<'_> {
    /// Compacts what earlier changes left sparse. Called before a change, when no reference is held.
    #[inline]
    pub(super) fn settle(&mut self) {
        if self.data.sparse_classes != 0 {
            self.compact_first();
        }
        if self.data.index.is_sparse() {
            let roots = self.stripe.tables.iter().map(|table| &table.root);
            self.data.index.compact(&self.stripe.words, roots);
        }
    }

    /// Empties one run of the first class that is sparse; classes that are not are crossed off.
    #[cold]
    fn compact_first(&mut self) {
        while self.data.sparse_classes != 0 {
            let class = self.data.sparse_classes.trailing_zeros() as u8;
            if let Some(run) = self.data.slab.victim(class) {
                // One run a change: the class stays marked, and is looked at again at the next.
                return self.evacuate(class, run);
            }
            self.data.sparse_classes &= !(1 << class);
        }
    }

    fn evacuate(&mut self, class: u8, run: u32) {
        let entries: Vec<(u32, Position)> = {
            let reader = self.data.reader();
            self.data.slab.live_in_run(run).map(|reference| (reference, reader.position(reference))).collect()
        };
        for (_, position) in &entries {
            for table in self.stripe.tables.iter().filter(|table| table.len.load(Ordering::Relaxed) > 0) {
                if let Some(line) = index::line_of(&self.stripe.words, &table.root, *position) {
                    prefetch(&raw const self.stripe.words[line] as usize);
                }
            }
        }
        for (reference, position) in entries {
            if !self.move_entry(class, reference, position) {
                break;
            }
        }
        self.data.slab.evacuated(run);
    }

    /// Moves one entry to another run. Returns false when there was no room.
    fn move_entry(&mut self, class: u8, old: u32, position: Position) -> bool {
        let words = &self.stripe.words;
        let place = self
            .stripe
            .tables
            .iter()
            .filter(|table| table.len.load(Ordering::Relaxed) > 0)
            .find_map(|table| index::find(words, &table.root, position, |reference| reference == old));
        let Some(place) = place else { return false };
        let Ok(new) = self.data.slab.allocate(class) else { return false };
        let has_expiry = Layout::of(self.data.slab.at(old)).has_expiry();
        self.data.slab.copy(old, new, slot_bytes(class));
        place.replace(words, new, has_expiry);
        self.data.slab.free(old);
        true
    }
}
