//! A first-in-first-out queue of slots in a ring, with holes where entries were removed from the middle.
//!
//! An entry knows its place in the ring (its *position*), so removal is O(1): it leaves a hole, which the head skips
//! later. When holes fill a quarter of a full ring, or half of any ring, the ring is compacted in place. What is at the
//! head lies in contiguous memory, so that an eviction can prefetch the entries that it will look at next.
//!
//! The queue also knows, roughly, when an entry joined it. One stamp serves a block of places, because a stamp per
//! entry would cost as much as the ring itself. What is asked is never "when" but "since then at least" and "at most",
//! so the two estimates err on the side that their names say.

use super::{Entries, Entry};

/// A place without an entry.
const HOLE: u32 = u32::MAX;
/// Rings shorter than this have a stamp for every place.
const FINE: usize = 2048;
/// Places that share a stamp in longer rings, as a power of two.
const COARSE: u32 = 3;

/// Slots in the order in which they joined.
pub(super) struct Queue {
    /// **Invariant:** entry `s` of this queue lies at `ring[entries.at(s).position() & !mark]`.
    ring: Vec<u32>,
    /// The clock when the first place of each block was last taken.
    stamps: Vec<u32>,
    /// Places per stamp, as a power of two. **Invariant:** the ring's length is a multiple of the block.
    block: u32,
    head: usize,
    /// Places from head to tail, holes included.
    span: usize,
    len: usize,
    weight: u64,
    /// What this queue adds to the positions of its entries, to tell them from those of the other queue.
    mark: u32,
}

impl Queue {
    pub(super) fn new(mark: u32) -> Queue {
        Queue { ring: Vec::new(), stamps: Vec::new(), block: 0, head: 0, span: 0, len: 0, weight: 0, mark }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn weight(&self) -> u64 {
        self.weight
    }

    fn place(&self, offset: usize) -> usize {
        let place = self.head + offset;
        if place >= self.ring.len() { place - self.ring.len() } else { place }
    }

    /// Appends an entry.
    pub(super) fn push(&mut self, entries: &impl Entries, slot: u32, now: u32) {
        // The tail never enters the head's block, so that a stamp has one meaning.
        if self.span + (1 << self.block) > self.ring.len() {
            self.make_room(entries);
        }
        let place = self.place(self.span);
        let block = place >> self.block;
        if self.span == 0 || place & ((1 << self.block) - 1) == 0 {
            self.stamps[block] = now;
        }
        self.ring[place] = slot;
        self.span += 1;
        self.len += 1;
        let entry = entries.at(slot);
        self.weight += u64::from(entry.weight());
        self.settle(&entry, place);
    }

    #[allow(clippy::cast_possible_truncation, reason = "rings are shorter than 2^31")]
    fn settle(&self, entry: &impl Entry, place: usize) {
        entry.set_position(self.mark | place as u32);
    }

    /// The first entry.
    pub(super) fn first(&mut self) -> Option<u32> {
        while self.span > 0 {
            let slot = self.ring[self.head];
            if slot != HOLE {
                return Some(slot);
            }
            self.skip();
        }
        None
    }

    /// The first entry, unless a hole is before it.
    pub(super) fn next(&self) -> Option<u32> {
        self.ring.get(self.head).copied().filter(|slot| *slot != HOLE && self.span > 0)
    }

    fn skip(&mut self) {
        self.head = self.place(1);
        self.span -= 1;
    }

    /// Takes the first entry out and has the one a few places behind it prefetched.
    pub(super) fn pop(&mut self, entries: &impl Entries) -> Option<u32> {
        let slot = self.first()?;
        self.skip();
        self.len -= 1;
        self.weight -= u64::from(entries.at(slot).weight());
        if self.span > 4 {
            let ahead = self.ring[self.place(3)];
            if ahead != HOLE {
                entries.prefetch(ahead);
            }
        }
        Some(slot)
    }

    /// Takes an entry out of wherever it lies.
    pub(super) fn remove(&mut self, entries: &impl Entries, slot: u32) {
        let entry = entries.at(slot);
        let place = self.place_of(&entry);
        debug_assert_eq!(self.ring[place], slot, "the position of an entry names another");
        self.ring[place] = HOLE;
        self.len -= 1;
        self.weight -= u64::from(entry.weight());
        if place == self.place(self.span - 1) {
            self.span -= 1;
        }
        if self.span > 64 && self.len < self.span / 2 {
            self.compact(entries);
        }
    }

    /// Puts the slot `new`, of the entry `to`, where `from` lies.
    pub(super) fn replace(&mut self, from: &impl Entry, new: u32, to: &impl Entry) {
        let place = self.place_of(from);
        self.ring[place] = new;
        self.weight -= u64::from(from.weight());
        self.weight += u64::from(to.weight());
        self.settle(to, place);
    }

    fn place_of(&self, entry: &impl Entry) -> usize {
        (entry.position() & !self.mark) as usize
    }

    /// For how long the first entry has been here at least.
    pub(super) fn age_at_least(&self, now: u32) -> u32 {
        if self.block == 0 {
            return self.age_at_most(now);
        }
        // The block behind the head's began after the head joined; without such a block nothing is known.
        let behind = (1 << self.block) - (self.head & ((1 << self.block) - 1));
        if behind >= self.span { 0 } else { now.wrapping_sub(self.stamps[self.place(behind) >> self.block]) }
    }

    /// For how long the first entry has been here at most; 0 if there is none.
    pub(super) fn age_at_most(&self, now: u32) -> u32 {
        if self.span == 0 { 0 } else { now.wrapping_sub(self.stamps[self.head >> self.block]) }
    }

    #[cold]
    fn make_room(&mut self, entries: &impl Entries) {
        if self.span >= 64 && self.len < self.span - self.span / 4 {
            self.compact(entries);
        } else {
            self.resize(entries, (self.len + self.len / 4).max(16));
        }
    }

    /// Gives memory back if little of the ring is in use.
    pub(super) fn fit(&mut self, entries: &impl Entries) {
        if self.ring.len() > 256 && self.len < self.ring.len() / 4 {
            self.resize(entries, self.len + self.len / 2);
        }
    }

    /// Moves the entries to a ring of at least `places`.
    fn resize(&mut self, entries: &impl Entries, places: usize) {
        let block = if places < FINE { 0 } else { COARSE };
        let places = (places + (2 << block)).next_multiple_of(1 << block);
        let mut other =
            Queue { ring: vec![HOLE; places], stamps: vec![0; places >> block], block, ..Queue::new(self.mark) };
        for offset in 0..self.span {
            let place = self.place(offset);
            if self.ring[place] != HOLE {
                other.push(entries, self.ring[place], self.stamps[place >> self.block]);
            }
        }
        *self = other;
    }

    /// Closes the holes in place. Entries move towards the head, their stamps with them.
    fn compact(&mut self, entries: &impl Entries) {
        let mut to = 0;
        for offset in 0..self.span {
            let from = self.place(offset);
            let slot = self.ring[from];
            if slot == HOLE {
                continue;
            }
            if to != offset {
                let place = self.place(to);
                if place & ((1 << self.block) - 1) == 0 {
                    self.stamps[place >> self.block] = self.stamps[from >> self.block];
                }
                self.ring[place] = slot;
                self.ring[from] = HOLE;
                self.settle(&entries.at(slot), place);
            }
            to += 1;
        }
        self.span = to;
    }

    /// Every entry, first to last.
    #[cfg(test)]
    pub(super) fn slots(&self) -> Vec<u32> {
        (0..self.span).map(|offset| self.ring[self.place(offset)]).filter(|&slot| slot != HOLE).collect()
    }

    /// Bytes of memory that the queue holds.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        (self.ring.capacity() + self.stamps.capacity()) * 4
    }
}
