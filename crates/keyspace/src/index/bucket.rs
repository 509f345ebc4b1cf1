//! One bucket: a cache line with ten slots.
//!
//! ```text
//!          63        48        32        16         0
//! word 0  │ tag 3   │ tag 2   │ tag 1   │ tag 0   │
//! word 1  │ tag 7   │ tag 6   │ tag 5   │ tag 4   │
//! word 2  │ meta               │ tag 9   │ tag 8   │
//! word 3  │ reference 1        │ reference 0        │
//!   ...
//! word 7  │ reference 9        │ reference 8        │
//!
//! meta:  bits 0-9 slot is taken · 10-19 its key has an expiry · 20-23 keys that belong here and lie elsewhere (15: lost count)
//! ```
//! A tag is the low 16 bits of the key's hash; a reference names the slab slot of the entry.

use std::sync::atomic::{AtomicU64, Ordering};

/// Slots of a bucket.
pub(crate) const SLOTS: u32 = 10;
/// Words of a bucket.
pub(crate) const WORDS: usize = 8;
const ALL: u32 = (1 << SLOTS) - 1;
const META_SHIFT: u32 = 32;
const EXPIRY_SHIFT: u32 = 10;
const AWAY_SHIFT: u32 = 20;
pub(super) const AWAY_MAX: u32 = 15;
const LANES: u64 = 0x0001_0001_0001_0001;
const LANE_LOW: u64 = 0x7FFF_7FFF_7FFF_7FFF;

/// A bucket in the index words. Reads may be made by anyone and may be old; writes need the stripe's latch.
#[derive(Clone, Copy)]
pub(crate) struct Bucket<'a>(pub(crate) &'a [AtomicU64; WORDS]);

/// What one taken slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) tag: u16,
    pub(crate) reference: u32,
    pub(crate) has_expiry: bool,
}

impl Bucket<'_> {
    #[inline]
    fn word(self, index: usize) -> u64 {
        self.0[index].load(Ordering::Relaxed)
    }

    #[inline]
    fn put(self, index: usize, word: u64) {
        self.0[index].store(word, Ordering::Relaxed);
    }

    #[inline]
    fn meta(self) -> u32 {
        (self.word(2) >> META_SHIFT) as u32
    }

    #[inline]
    fn put_meta(self, meta: u32) {
        self.put(2, self.word(2) & u64::from(u32::MAX) | u64::from(meta) << META_SHIFT);
    }

    /// Bits of the taken slots.
    #[inline]
    pub(crate) fn taken(self) -> u32 {
        self.meta() & ALL
    }

    /// Bits of the slots whose keys have an expiry.
    pub(crate) fn expiring(self) -> u32 {
        self.meta() >> EXPIRY_SHIFT & ALL
    }

    /// Whether keys that belong here lie in the buckets behind.
    #[inline]
    pub(crate) fn has_away(self) -> bool {
        self.meta() >> AWAY_SHIFT != 0
    }

    /// How many they are, or `AWAY_MAX` once that was lost.
    #[cfg(test)]
    pub(super) fn away(self) -> u32 {
        self.meta() >> AWAY_SHIFT
    }

    /// Bits of the taken slots with this tag.
    #[inline]
    pub(crate) fn matches(self, tag: u16) -> u32 {
        let pattern = u64::from(tag) * LANES;
        let third = self.word(2);
        let found = equal_lanes(self.word(0), pattern)
            | equal_lanes(self.word(1), pattern) << 4
            | equal_lanes(third, pattern) << 8;
        found & (third >> META_SHIFT) as u32 & ALL
    }

    #[inline]
    pub(crate) fn reference(self, slot: u32) -> u32 {
        (self.word(3 + slot as usize / 2) >> (32 * (slot % 2))) as u32
    }

    #[inline]
    pub(crate) fn tag(self, slot: u32) -> u16 {
        (self.word(slot as usize / 4) >> (16 * (slot % 4))) as u16
    }

    pub(crate) fn slot(self, slot: u32) -> Slot {
        let has_expiry = self.expiring() & 1 << slot != 0;
        Slot { tag: self.tag(slot), reference: self.reference(slot), has_expiry }
    }

    /// The lowest free slot.
    #[inline]
    pub(crate) fn free_slot(self) -> Option<u32> {
        let slot = self.taken().trailing_ones();
        (slot < SLOTS).then_some(slot)
    }

    /// Fills a free slot.
    pub(crate) fn fill(self, slot: u32, content: Slot) {
        let (index, shift) = (slot as usize / 4, 16 * (slot % 4));
        self.put(index, self.word(index) & !(0xFFFF << shift) | u64::from(content.tag) << shift);
        self.put_meta(self.meta() | 1 << slot);
        self.replace(slot, content.reference, content.has_expiry);
    }

    /// Changes the entry that a taken slot names.
    pub(crate) fn replace(self, slot: u32, reference: u32, has_expiry: bool) {
        let (index, shift) = (3 + slot as usize / 2, 32 * (slot % 2));
        self.put(index, self.word(index) & !(u64::from(u32::MAX) << shift) | u64::from(reference) << shift);
        let bit = 1 << (slot + EXPIRY_SHIFT);
        self.put_meta(if has_expiry { self.meta() | bit } else { self.meta() & !bit });
    }

    /// Frees a taken slot.
    pub(crate) fn clear(self, slot: u32) {
        self.put_meta(self.meta() & !(1 << slot | 1 << (slot + EXPIRY_SHIFT)));
    }

    /// Counts a key that belongs here and was put elsewhere.
    pub(crate) fn add_away(self) {
        let away = self.meta() >> AWAY_SHIFT;
        if away < AWAY_MAX {
            self.put_meta(self.meta() + (1 << AWAY_SHIFT));
        }
    }

    /// Uncounts one, unless the count was lost.
    pub(crate) fn sub_away(self) {
        let away = self.meta() >> AWAY_SHIFT;
        if away > 0 && away < AWAY_MAX {
            self.put_meta(self.meta() - (1 << AWAY_SHIFT));
        }
    }

    /// Empties the bucket.
    pub(crate) fn reset(self) {
        (0..WORDS).for_each(|word| self.put(word, 0));
    }
}

/// Bit i is set where lane i of `word` equals that of `pattern`.
#[inline]
fn equal_lanes(word: u64, pattern: u64) -> u32 {
    let difference = word ^ pattern;
    // Bit 15 of a lane ends up set exactly where the lane is zero: no carry crosses a lane.
    let zeros = !(((difference & LANE_LOW) + LANE_LOW) | difference | LANE_LOW);
    // Moves bits 15, 31, 47, 63 to 0..4; the sixteen products meet in sixteen different bits.
    ((zeros >> 15).wrapping_mul(1 << 48 | 1 << 33 | 1 << 18 | 1 << 3) >> 48) as u32 & 0xF
}

/// The set bits of a slot mask, lowest first.
pub(crate) fn bits(mut mask: u32) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let slot = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (slot < u32::BITS).then_some(slot)
    })
}
