//! The table of one shard: open addressing in one piece of memory of any length.
//!
//! The upper half of the hash, multiplied by the length, gives the slot that an entry wants, its home: the greater the hash,
//! the further on. Entries stand in the order of their hashes, each at its home or behind the ones before it:
//!
//! ```text
//! slot     0    1    2    3    4    5    6
//! entry    -    a    b    c    -    d    -
//! home          1    1    2         5
//! ```
//!
//! **Invariant:** no slot is empty between an entry and its home, and from an empty slot on hashes only rise (the last slot
//! being followed by the first, where hashes begin anew behind those that came over the end). So a search for what is not
//! there ends at the first entry that is nearer to its home than the search is to its own, some five slots on even when
//! nine in ten are taken. A removal shifts those behind it back by one, and leaves no mark.
//!
//! It grows by a quarter when nine in ten slots are taken, so that entries take 27 to 34 bytes; below 16 of 25 it is made
//! anew with a fifth of its slots free. Growing goes through the entries in order and writes them in order: a plain copy.

use super::slot::{self, EMPTY, Entry, HEAT_MAX, Slot};

/// Slots that the first entry brings.
const SLOTS_MIN: usize = 8;

/// Entries by hash.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    len: usize,
}

/// Where a search ended.
enum Found {
    At(usize),
    /// Not there; it would stand here.
    Absent(usize),
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Entry)> + '_ {
        self.slots.iter().filter(|slot| !slot::is_empty(slot)).map(|slot| (slot[0], slot::unpack(slot)))
    }

    #[inline]
    pub(super) fn get(&self, hash: u64) -> Option<Entry> {
        match self.find(hash) {
            Found::At(at) => Some(slot::unpack(&self.slots[at])),
            Found::Absent(_) => None,
        }
    }

    /// The entry as it was; it is warmer by one now.
    #[inline]
    pub(super) fn get_touched(&mut self, hash: u64) -> Option<Entry> {
        let Found::At(at) = self.find(hash) else { return None };
        let slot = &mut self.slots[at];
        let entry = slot::unpack(slot);
        // Most reads are of what is as warm as can be: those write nothing.
        if entry.heat < HEAT_MAX {
            slot::set_heat(slot, entry.heat + 1);
        }
        Some(entry)
    }

    pub(super) fn warm(&mut self, hash: u64, heat: u8) -> bool {
        let Found::At(at) = self.find(hash) else { return false };
        let slot = &mut self.slots[at];
        if slot::heat(slot) < heat {
            slot::set_heat(slot, heat.min(HEAT_MAX));
        }
        true
    }

    pub(super) fn insert(&mut self, hash: u64, entry: Entry) -> Option<Entry> {
        let packed = slot::pack(hash, &entry);
        match self.find(hash) {
            Found::At(at) => {
                let old = slot::unpack(&self.slots[at]);
                self.slots[at] = packed;
                return Some(old);
            }
            Found::Absent(_) if (self.len + 1) * 10 > self.slots.len() * 9 => {
                self.rebuild((self.slots.len() + self.slots.len() / 4).max(SLOTS_MIN), |_| true);
                self.place(packed);
            }
            Found::Absent(at) => self.put(at, packed),
        }
        None
    }

    pub(super) fn remove_if(&mut self, hash: u64, is_wanted: impl FnOnce(&Entry) -> bool) -> Option<Entry> {
        let Found::At(at) = self.find(hash) else { return None };
        let entry = slot::unpack(&self.slots[at]);
        if !is_wanted(&entry) {
            return None;
        }
        self.close_gap(at);
        self.len -= 1;
        self.shrink();
        Some(entry)
    }

    /// Returns how many it let go.
    pub(super) fn retain(&mut self, keep: &mut impl FnMut(u64, &Entry) -> bool) -> usize {
        let before = self.len;
        // Most often all stay, and nothing is written.
        let mut gone = self.iter().filter(|(hash, entry)| !keep(*hash, entry)).map(|(hash, _)| hash);
        let Some(first) = gone.next() else { return 0 };
        let mut gone: Vec<u64> = std::iter::once(first).chain(gone).collect();
        gone.sort_unstable();
        self.rebuild(self.slots.len(), |slot| gone.binary_search(&slot[0]).is_err());
        self.shrink();
        before - self.len
    }

    /// The slot that the hash wants.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        // Of 2^32 slots, 96 GiB, no shard has as many.
        (((hash >> 32) * self.slots.len() as u64) >> 32) as usize
    }

    /// How far behind its home the entry of a slot stands.
    #[inline]
    fn distance(&self, at: usize) -> usize {
        let home = self.home(self.slots[at][0]);
        if at >= home { at - home } else { at + self.slots.len() - home }
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() { 0 } else { at + 1 }
    }

    #[inline]
    fn find(&self, hash: u64) -> Found {
        if self.slots.is_empty() {
            return Found::Absent(0);
        }
        let mut at = self.home(hash);
        let mut distance = 0;
        // Ends at an empty slot at the latest: one in ten is.
        loop {
            let slot = &self.slots[at];
            if slot::is_empty(slot) {
                return Found::Absent(at);
            }
            if slot[0] == hash {
                return Found::At(at);
            }
            let theirs = self.distance(at);
            if theirs < distance || theirs == distance && slot[0] > hash {
                return Found::Absent(at);
            }
            at = self.next(at);
            distance += 1;
        }
    }

    /// Moves the entries from here to the next empty slot on by one.
    fn make_room(&mut self, at: usize) {
        let mut end = at;
        while !slot::is_empty(&self.slots[end]) {
            end = self.next(end);
        }
        if end < at {
            self.slots.copy_within(..end, 1);
            let last = self.slots.len() - 1;
            self.slots[0] = self.slots[last];
            self.slots.copy_within(at..last, at + 1);
        } else {
            self.slots.copy_within(at..end, at + 1);
        }
    }

    /// Moves the entries behind here, up to one that is at home, back by one.
    fn close_gap(&mut self, at: usize) {
        let mut end = self.next(at);
        while !slot::is_empty(&self.slots[end]) && self.distance(end) > 0 {
            end = self.next(end);
        }
        // `end` is the first that stays.
        if end <= at {
            self.slots.copy_within(at + 1.., at);
            if end > 0 {
                let last = self.slots.len() - 1;
                self.slots[last] = self.slots[0];
                self.slots.copy_within(1..end, 0);
            }
        } else {
            self.slots.copy_within(at + 1..end, at);
        }
        let emptied = if end == 0 { self.slots.len() - 1 } else { end - 1 };
        self.slots[emptied] = EMPTY;
    }

    fn shrink(&mut self) {
        if self.len == 0 {
            self.slots = Vec::new();
        } else if self.slots.len() > SLOTS_MIN && self.len * 25 < self.slots.len() * 16 {
            self.rebuild((self.len + self.len / 4 + 1).max(SLOTS_MIN), |_| true);
        }
    }

    /// Moves the entries that `keep` says to a table of so many slots, which must be more than they are.
    fn rebuild(&mut self, slots_len: usize, mut keep: impl FnMut(&Slot) -> bool) {
        // Entries stand in the order of their hashes, but for those at the beginning that came over the end.
        let is_over = |at: usize| !slot::is_empty(&self.slots[at]) && self.distance(at) > at;
        let first = (0..self.slots.len()).find(|at| !is_over(*at)).unwrap_or(0);
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; slots_len]);
        self.len = 0;
        let mut free = 0;
        for slot in old[first..].iter().filter(|slot| !slot::is_empty(slot)) {
            if !keep(slot) {
                continue;
            }
            let at = free.max(self.home(slot[0]));
            if at < slots_len {
                self.slots[at] = *slot;
                free = at + 1;
                self.len += 1;
            } else {
                self.place(*slot);
            }
        }
        old[..first].iter().filter(|slot| keep(slot)).for_each(|slot| self.place(*slot));
    }

    /// Puts in what is not there, where there is room.
    fn place(&mut self, slot: Slot) {
        let (Found::Absent(at) | Found::At(at)) = self.find(slot[0]);
        self.put(at, slot);
    }

    fn put(&mut self, at: usize, slot: Slot) {
        self.make_room(at);
        self.slots[at] = slot;
        self.len += 1;
    }

    #[cfg(test)]
    pub(super) fn validate(&self) {
        let taken = self.slots.iter().filter(|slot| !slot::is_empty(slot)).count();
        assert_eq!(taken, self.len, "the count is off");
        assert!(self.slots.is_empty() || taken < self.slots.len(), "no empty slot: a search may not end");
        assert_eq!(self.slots.len(), self.slots.capacity(), "memory beyond the slots");
        for at in 0..self.slots.len() {
            let next = self.next(at);
            if slot::is_empty(&self.slots[next]) {
                continue;
            }
            let distance = self.distance(next);
            let before = if slot::is_empty(&self.slots[at]) { 0 } else { self.distance(at) + 1 };
            assert!(distance <= before, "the entry of slot {next} is {distance} behind its home, {before} at most");
            let is_ordered = distance != before || before == 0 || self.slots[at][0] < self.slots[next][0];
            assert!(is_ordered, "the hashes of slots {at} and {next} of one home are in disorder");
        }
    }
}
