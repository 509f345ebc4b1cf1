//! One segment: some buckets in a row, addressed by the tag alone.
//!
//! The home of a key is bucket `tag * buckets / 65536`: monotone in the tag, so that the buckets hold the keys in the order
//! of their tags whatever their number is, and a segment can be laid out anew without looking at a single entry. A key
//! whose home is full goes to one of the next [`PROBES`] buckets, and the home counts it.
//!
//! **Invariant:** a key lies at most [`PROBES`] buckets behind its home (around the end), and its home's count of keys that
//! are away is not zero then.

use super::bucket::{self, Bucket, SLOTS, Slot};
use crate::memory::Words;

/// Buckets in a unit.
pub(crate) const UNIT_BUCKETS: u32 = 8;
/// Slots in a unit.
pub(crate) const UNIT_SLOTS: u32 = UNIT_BUCKETS * SLOTS;
/// Buckets behind the home that a key may lie in.
pub(crate) const PROBES: u32 = 4;

const WORD_BITS: u32 = 40;
const UNITS_BITS: u32 = 8;

/// Where a segment lies and which part of the hash space it covers: one word of the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Offset of its first word.
    pub(crate) block: usize,
    /// Its length in units of eight buckets: 1 to 13, and more only where keys crowd at one place.
    pub(crate) units: u32,
    /// Bits of the prefix that all its keys share.
    pub(crate) depth: u32,
}

/// Where a key's slot is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Offset of its bucket's first word.
    bucket: usize,
    /// The same of its home.
    home: usize,
    slot: u32,
    pub(crate) reference: u32,
}

/// The bucket at word offset `at`.
#[inline]
pub(crate) fn bucket_at(words: &Words, at: usize) -> Bucket<'_> {
    let line = words[at..at + bucket::WORDS].first_chunk();
    // The slice above is exactly as long as the array, or its bounds check has panicked.
    Bucket(line.unwrap_or_else(|| unreachable!()))
}

impl Place {
    pub(crate) fn replace(&self, words: &Words, reference: u32, has_expiry: bool) {
        bucket_at(words, self.bucket).replace(self.slot, reference, has_expiry);
    }

    /// Frees the slot. Returns how many keys are left in its bucket.
    pub(crate) fn clear(&self, words: &Words) -> u32 {
        let bucket = bucket_at(words, self.bucket);
        bucket.clear(self.slot);
        if self.bucket != self.home {
            bucket_at(words, self.home).sub_away();
        }
        bucket.taken().count_ones()
    }
}

impl Segment {
    #[inline]
    pub(crate) fn pack(self) -> u64 {
        self.block as u64 | u64::from(self.units) << WORD_BITS | u64::from(self.depth) << (WORD_BITS + UNITS_BITS)
    }

    #[inline]
    pub(crate) fn unpack(word: u64) -> Segment {
        Segment {
            block: (word & ((1 << WORD_BITS) - 1)) as usize,
            units: (word >> WORD_BITS) as u32 & ((1 << UNITS_BITS) - 1),
            depth: (word >> (WORD_BITS + UNITS_BITS)) as u32 & 0xFF,
        }
    }

    pub(crate) fn buckets(self) -> u32 {
        self.units * UNIT_BUCKETS
    }

    /// Number of the home bucket of a tag.
    #[inline]
    pub(crate) fn home(self, tag: u16) -> u32 {
        (u32::from(tag) * self.buckets()) >> 16
    }

    /// The lowest tag whose home is `bucket`.
    pub(crate) fn first_tag(self, bucket: u32) -> u32 {
        (bucket << 16).div_ceil(self.buckets())
    }

    /// Offset of the first word of bucket `number`.
    #[inline]
    pub(crate) fn bucket_offset(self, number: u32) -> usize {
        self.block + number as usize * bucket::WORDS
    }

    #[inline]
    fn behind(self, home: u32, distance: u32) -> u32 {
        let number = home + distance;
        if number >= self.buckets() { number - self.buckets() } else { number }
    }

    /// The place of the key with this tag whose reference `is` accepts.
    #[inline]
    pub(crate) fn find(self, words: &Words, tag: u16, mut is: impl FnMut(u32) -> bool) -> Option<Place> {
        let home_number = self.home(tag);
        let home = self.bucket_offset(home_number);
        let mut at = home;
        for distance in 0..=PROBES {
            let bucket = bucket_at(words, at);
            for slot in bucket::bits(bucket.matches(tag)) {
                let reference = bucket.reference(slot);
                if is(reference) {
                    return Some(Place { bucket: at, home, slot, reference });
                }
            }
            if distance == 0 && !bucket.has_away() {
                return None;
            }
            at = self.bucket_offset(self.behind(home_number, distance + 1));
        }
        None
    }

    /// Puts a key in, unless its home and all buckets that it may lie in are full.
    pub(crate) fn insert(self, words: &Words, content: Slot) -> bool {
        let home_number = self.home(content.tag);
        for distance in 0..=PROBES.min(self.buckets() - 1) {
            let bucket = bucket_at(words, self.bucket_offset(self.behind(home_number, distance)));
            if let Some(slot) = bucket.free_slot() {
                bucket.fill(slot, content);
                if distance > 0 {
                    bucket_at(words, self.bucket_offset(home_number)).add_away();
                }
                return true;
            }
        }
        false
    }

    /// Number of keys.
    pub(crate) fn len(self, words: &Words) -> u32 {
        (0..self.buckets()).map(|number| bucket_at(words, self.bucket_offset(number)).taken().count_ones()).sum()
    }

    /// Every taken slot.
    pub(crate) fn slots(self, words: &Words) -> impl Iterator<Item = Slot> + '_ {
        (0..self.buckets()).flat_map(move |number| {
            let bucket = bucket_at(words, self.bucket_offset(number));
            bucket::bits(bucket.taken()).map(move |slot| bucket.slot(slot))
        })
    }

    /// The taken slots whose home is `number`, wherever they lie.
    pub(crate) fn slots_of_home(self, words: &Words, number: u32) -> impl Iterator<Item = Slot> + '_ {
        let has_away = bucket_at(words, self.bucket_offset(number)).has_away();
        let last = if has_away { PROBES.min(self.buckets() - 1) } else { 0 };
        (0..=last)
            .flat_map(move |distance| {
                let bucket = bucket_at(words, self.bucket_offset(self.behind(number, distance)));
                bucket::bits(bucket.taken()).map(move |slot| bucket.slot(slot))
            })
            .filter(move |slot| self.home(slot.tag) == number)
    }

    /// Empties the segment and puts `contents` in. Returns false, with the segment half filled, when they do not fit.
    pub(crate) fn refill(self, words: &Words, contents: &[Slot]) -> bool {
        (0..self.buckets()).for_each(|number| bucket_at(words, self.bucket_offset(number)).reset());
        contents.iter().all(|content| self.insert(words, *content))
    }

    /// Panics where a home does not count its keys that are away.
    #[cfg(test)]
    pub(crate) fn validate(self, words: &Words) {
        let mut away = vec![0; self.buckets() as usize];
        for number in 0..self.buckets() {
            let bucket = bucket_at(words, self.bucket_offset(number));
            assert_eq!(bucket.expiring() & !bucket.taken(), 0, "a free slot has no expiry");
            for home in bucket::bits(bucket.taken()).map(|slot| self.home(bucket.tag(slot))) {
                away[home as usize] += u32::from(home != number);
            }
        }
        for (number, away) in (0..).zip(away) {
            let counted = bucket_at(words, self.bucket_offset(number)).away();
            assert!(counted == away || counted == bucket::AWAY_MAX, "{counted} of bucket {number}, {away} are away");
        }
    }

    /// Units that hold `keys` with room to grow.
    pub(crate) fn units_for(keys: usize) -> u32 {
        // Five of six slots taken: a fresh segment takes a few per cent more before it must grow.
        let slots = keys * 6 / 5 + 1;
        u32::try_from(slots.div_ceil(UNIT_SLOTS as usize)).unwrap_or(u32::MAX)
    }
}
