//! From a key's hash to the row that counts: 8 bytes per entry, at most 15 of 17 of them in use.
//!
//! ```text
//!  slot = | pack 24 | row in it 24 | tag 16 |     home of a hash = its low 48 bits, as a fraction, times the number of slots
//! ```
//!
//! Open addressing with a step of one. The number of slots is any, and grows by a fifth, so that a table that has grown is
//! not half empty as one that doubles. The tag is the hash's upper 16 bits, the row has the other 48: a slot is looked at
//! more closely only if its tag is right, and a table is rebuilt from tags and rows.
//!
//! **Invariant:** between a hash's home and its slot there is no slot that is empty.

/// A row: which pack, and which of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) pack: u32,
    pub(super) row: u32,
}

const EMPTY: u64 = u64::MAX;
/// Was in use: a search goes on.
const LEFT: u64 = u64::MAX - (1 << 16);
const LOW_48: u64 = (1 << 48) - 1;
const SLOTS_MIN: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<u64>,
    /// Slots in use.
    live: usize,
    /// Slots that were in use.
    left: usize,
}

impl Table {
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u64>()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// The row of `hash`; `low` says the low 48 bits of a row's.
    pub(super) fn find(&self, hash: u64, low: impl Fn(At) -> u64) -> Option<At> {
        self.position(hash, |at| low(at) == hash & LOW_48).map(|(_, at)| at)
    }

    /// Whether this very row is in it.
    pub(super) fn has(&self, low: u64, at: At) -> bool {
        self.walk(low, |slot| slot != LEFT && at_of(slot) == at).is_some()
    }

    /// Puts the row in place of the one that `hash` had, and tells that one.
    pub(super) fn put(&mut self, hash: u64, at: At, low: impl Fn(At) -> u64) -> Option<At> {
        let slot = slot_of(hash, at);
        if let Some((position, before)) = self.position(hash, |at| low(at) == hash & LOW_48) {
            self.slots[position] = slot;
            return Some(before);
        }
        if (self.live + self.left + 1) * 17 > self.slots.len() * 15 {
            self.rebuild(&low);
        }
        let free = self.walk(hash & LOW_48, |slot| slot == LEFT).or_else(|| self.first_empty(hash & LOW_48));
        if let Some(position) = free {
            self.left -= usize::from(self.slots[position] == LEFT);
            self.slots[position] = slot;
            self.live += 1;
        }
        None
    }

    /// Takes this very row out; whether it was there.
    pub(super) fn take(&mut self, low: u64, at: At) -> bool {
        let Some(position) = self.walk(low, |slot| slot != LEFT && at_of(slot) == at) else { return false };
        self.slots[position] = LEFT;
        self.live -= 1;
        self.left += 1;
        true
    }

    fn position(&self, hash: u64, is_it: impl Fn(At) -> bool) -> Option<(usize, At)> {
        let tag = hash >> 48;
        let found = |slot: u64| slot != LEFT && slot & 0xffff == tag && is_it(at_of(slot));
        self.walk(hash & LOW_48, found).map(|position| (position, at_of(self.slots[position])))
    }

    /// The first position from the home on where `is_it`, before an empty one.
    fn walk(&self, low: u64, is_it: impl Fn(u64) -> bool) -> Option<usize> {
        let home = self.home(low)?;
        let positions = (home..self.slots.len()).chain(0..home);
        for position in positions {
            match self.slots[position] {
                EMPTY => return None,
                slot if is_it(slot) => return Some(position),
                _ => {}
            }
        }
        None
    }

    fn first_empty(&self, low: u64) -> Option<usize> {
        let home = self.home(low)?;
        (home..self.slots.len()).chain(0..home).find(|position| self.slots[*position] == EMPTY)
    }

    fn home(&self, low: u64) -> Option<usize> {
        let count = u128::try_from(self.slots.len()).ok()?;
        usize::try_from((u128::from(low) * count) >> 48).ok().filter(|home| *home < self.slots.len())
    }

    /// Larger if it is full of live ones, and without those that left.
    fn rebuild(&mut self, low: &impl Fn(At) -> u64) {
        let wanted = (self.live + 1) * 17 / 12 + 1;
        let slots = std::mem::replace(&mut self.slots, vec![EMPTY; wanted.max(SLOTS_MIN)]);
        self.left = 0;
        for slot in slots.into_iter().filter(|slot| *slot != EMPTY && *slot != LEFT) {
            if let Some(position) = self.first_empty(low(at_of(slot))) {
                self.slots[position] = slot;
            }
        }
    }
}

fn slot_of(hash: u64, at: At) -> u64 {
    (u64::from(at.pack) << 40) | (u64::from(at.row) << 16) | (hash >> 48)
}

fn at_of(slot: u64) -> At {
    let low_24 = |bits: u64| u32::try_from(bits & 0xff_ffff).unwrap_or(0);
    At { pack: low_24(slot >> 40), row: low_24(slot >> 16) }
}
