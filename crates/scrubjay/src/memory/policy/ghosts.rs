//! What is remembered of entries that were evicted: how they left and when, in 4 bytes each.
//!
//! A table of buckets, each a cache line with room for 16. Of a ghost it holds a fingerprint (16 bits), and a stamp: a time
//! (14 bits) and how the entry left (2 bits, 0 for an empty place). A new ghost displaces the oldest of its bucket, so the table forgets
//! roughly in the order in which it learned, without a queue. Of 4,000 lookups of keys that were never here, one finds
//! somebody else's ghost, which costs a wrong guess and nothing more.
//!
//! The table holds one and a half ghosts per resident entry. While entries get lighter or heavier it doubles or halves:
//! a bucket's ghosts go to both of its halves, where the wrong copy is never asked for and ages away; of two buckets
//! that become one, the younger ghosts stay.
//!
//! Times are in units of a power of two of the policy's clock, such that a table's life fits at least five times into
//! the bits there are.

use crate::memory::lanes::{LANES as WAYS, Lanes, equal, oldest};
use crate::memory::slots::fetch;

/// The clock's bits that a stamp keeps.
const TIME: u32 = (1 << 14) - 1;
/// The bits of a stamp that say how the entry left, not 0 for any.
const KIND: u16 = 3;
/// A cache of fewer entries keeps as many ghosts as one of so many (1,024): its loops are as long as those of others.
const LEAST: usize = 683;

/// A ghost lives for about `1.5 * entries` ticks. The unit of time, as a power of two, for which five to ten such lives
/// fit into the bits of a stamp.
fn unit_for(entries: usize) -> u32 {
    (entries / 1024).max(1).ilog2()
}

/// How an entry left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// From the small queue, never hit.
    Fresh,
    /// From the small queue, hit once.
    Once,
    /// From the main queue.
    Main,
}

/// One cache line of the table. Fingerprints and stamps lie apart, so that all places are looked at together.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    prints: Lanes,
    stamps: Lanes,
}

const EMPTY: Bucket = Bucket { prints: [0; WAYS], stamps: [0; WAYS] };

impl Bucket {
    fn find(&self, print: u16) -> Option<usize> {
        let mut found = equal(&self.prints, print);
        while found != 0 {
            let way = found.trailing_zeros() as usize;
            if self.stamps[way] & KIND != 0 {
                return Some(way);
            }
            found &= found - 1;
        }
        None
    }
}

/// The memory of evicted entries.
pub(super) struct Ghosts {
    buckets: Vec<Bucket>,
    /// The clock's ticks per unit of time, as a power of two.
    unit: u32,
    /// The number of entries for which the table was made.
    entries: usize,
}

impl Ghosts {
    pub(super) fn new() -> Ghosts {
        Ghosts { buckets: Vec::new(), unit: 0, entries: 0 }
    }

    /// Whether there is a table yet: none is needed before the first eviction.
    pub(super) fn in_use(&self) -> bool {
        !self.buckets.is_empty()
    }

    /// The key will be put or taken soon.
    pub(super) fn prefetch(&self, hash: u32) {
        fetch(self.buckets.as_ptr().wrapping_add(self.address(hash).0));
    }

    /// Notes that a key left, with a time of the caller's choice, at most `now`.
    pub(super) fn put(&mut self, hash: u32, left: Left, time: u32, now: u32) {
        let (bucket, print) = self.address(hash);
        let (time, now) = (self.stamp(time), self.stamp(now));
        let Some(bucket) = self.buckets.get_mut(bucket) else { return };
        let way = oldest(&bucket.stamps, now);
        let kind = match left {
            Left::Fresh => 1,
            Left::Once => 2,
            Left::Main => 3,
        };
        bucket.prints[way] = print;
        bucket.stamps[way] = time | kind;
    }

    /// Forgets a key and says how it left and how long ago its time was, rounded up.
    pub(super) fn take(&mut self, hash: u32, now: u32) -> Option<(Left, u32)> {
        let (bucket, print) = self.address(hash);
        let bucket = self.buckets.get_mut(bucket)?;
        let way = bucket.find(print)?;
        let stamp = std::mem::take(&mut bucket.stamps[way]);
        let left = match stamp & KIND {
            1 => Left::Fresh,
            2 => Left::Once,
            _ => Left::Main,
        };
        let units = self.age(stamp, now);
        Some((left, (units << self.unit) + (1 << self.unit) - 1))
    }

    /// Makes the table fit a number of resident entries.
    pub(super) fn fit(&mut self, entries: usize, now: u32) {
        let entries = entries.max(LEAST);
        if self.buckets.is_empty() || (entries < self.entries / 2 && !self.buckets.len().is_multiple_of(2)) {
            self.buckets = vec![EMPTY; (entries + entries / 2).div_ceil(WAYS).next_multiple_of(16)];
            self.unit = unit_for(entries);
            self.entries = entries;
        } else if entries > self.entries + self.entries / 2 {
            self.buckets = self.buckets.iter().flat_map(|&bucket| [bucket, bucket]).collect();
            self.entries *= 2;
            self.retime(unit_for(self.entries), now);
        } else if entries < self.entries / 2 {
            self.buckets = self.buckets.chunks(2).map(|pair| self.youngest(pair, now)).collect();
            self.entries /= 2;
            self.retime(unit_for(self.entries), now);
        }
    }

    fn youngest(&self, buckets: &[Bucket], now: u32) -> Bucket {
        let all = buckets.iter().flat_map(|bucket| bucket.prints.into_iter().zip(bucket.stamps));
        let mut ghosts: Vec<(u16, u16)> = all.filter(|(_, stamp)| stamp & KIND != 0).collect();
        ghosts.sort_unstable_by_key(|(_, stamp)| self.age(*stamp, now));
        let mut bucket = EMPTY;
        for (way, (print, stamp)) in ghosts.into_iter().take(WAYS).enumerate() {
            (bucket.prints[way], bucket.stamps[way]) = (print, stamp);
        }
        bucket
    }

    /// A time as a stamp has it.
    #[allow(clippy::cast_possible_truncation, reason = "14 bits and two")]
    fn stamp(&self, time: u32) -> u16 {
        ((time >> self.unit & TIME) << 2) as u16
    }

    /// How many units ago the time of a ghost was.
    fn age(&self, stamp: u16, now: u32) -> u32 {
        (now >> self.unit).wrapping_sub(u32::from(stamp >> 2)) & TIME
    }

    /// Changes the unit of time.
    fn retime(&mut self, unit: u32, now: u32) {
        let old = self.unit;
        for bucket in 0..self.buckets.len() {
            for way in 0..WAYS {
                let stamp = self.buckets[bucket].stamps[way];
                let ticks = self.age(stamp, now) << old;
                self.unit = unit;
                self.buckets[bucket].stamps[way] = self.stamp(now.wrapping_sub(ticks)) | stamp & KIND;
                self.unit = old;
            }
        }
        self.unit = unit;
    }

    /// Bucket and fingerprint of a key. The caller's shards may have used some of the hash's bits; mixing spreads
    /// what is left over all of them.
    #[allow(clippy::cast_possible_truncation, reason = "a fingerprint is what is left of the hash")]
    fn address(&self, hash: u32) -> (usize, u16) {
        let mut mixed = hash ^ hash >> 16;
        mixed = mixed.wrapping_mul(0x7feb_352d);
        mixed ^= mixed >> 15;
        mixed = mixed.wrapping_mul(0x846c_a68b);
        mixed ^= mixed >> 16;
        let bucket = (u64::from(mixed) * self.buckets.len() as u64) >> 32;
        (bucket as usize, mixed as u16)
    }

    /// Bytes of memory that the table holds.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }
}
