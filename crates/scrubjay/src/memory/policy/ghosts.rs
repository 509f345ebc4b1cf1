//! What is remembered of entries that were evicted: how they left and when, in 4 bytes each.
//!
//! A table of buckets, each a cache line of 16 words. A word holds a fingerprint (16 bits), a time (14 bits) and how
//! the entry left (2 bits, 0 for an empty word). A new ghost displaces the oldest of its bucket, so the table forgets
//! roughly in the order in which it learned, without a queue. Of 4,000 lookups of keys that were never here, one finds
//! somebody else's ghost, which costs a wrong guess and nothing more.
//!
//! The table holds one and a half ghosts per resident entry. While entries get lighter or heavier it doubles or halves:
//! a bucket's ghosts go to both of its halves, where the wrong copy is never asked for and ages away; of two buckets
//! that become one, the younger ghosts stay.
//!
//! Times are in units of a power of two of the policy's clock, such that a table's life fits at least five times into
//! the bits there are.

/// Words per bucket.
const WAYS: usize = 16;
/// The clock's bits that a word keeps.
const TIME: u32 = (1 << 14) - 1;
/// A cache of fewer entries keeps as many ghosts as one of so many (1,024): its loops are as long as those of others.
const LEAST: usize = 683;

/// A ghost lives for about `1.5 * entries` ticks. The unit of time, as a power of two, for which five to ten such lives
/// fit into the bits of a word.
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

/// The memory of evicted entries.
pub(super) struct Ghosts {
    words: Vec<[u32; WAYS]>,
    /// The clock's ticks per unit of time, as a power of two.
    unit: u32,
    /// The number of entries for which the table was made.
    entries: usize,
}

impl Ghosts {
    pub(super) fn new() -> Ghosts {
        Ghosts { words: Vec::new(), unit: 0, entries: 0 }
    }

    /// Whether there is a table yet: none is needed before the first eviction.
    pub(super) fn in_use(&self) -> bool {
        !self.words.is_empty()
    }

    /// Notes that a key left, with a time of the caller's choice, at most `now`.
    pub(super) fn put(&mut self, hash: u32, left: Left, time: u32, now: u32) {
        if self.words.is_empty() {
            return;
        }
        let (bucket, print) = self.address(hash);
        let (unit, words) = (self.unit, &mut self.words[bucket]);
        // An empty word is older than any. Age and place in one number, so that the search needs no branches.
        let mut oldest = 0;
        for (way, &word) in (0u32..).zip(words.iter()) {
            let age = if word == 0 { TIME + 1 } else { (now >> unit).wrapping_sub(word >> 2) & TIME };
            oldest = oldest.max(age << 4 | way);
        }
        let kind = match left {
            Left::Fresh => 1,
            Left::Once => 2,
            Left::Main => 3,
        };
        words[oldest as usize & (WAYS - 1)] = print << 16 | (time >> unit & TIME) << 2 | kind;
    }

    /// Forgets a key and says how it left and how long ago its time was, rounded up.
    pub(super) fn take(&mut self, hash: u32, now: u32) -> Option<(Left, u32)> {
        if self.words.is_empty() {
            return None;
        }
        let (bucket, print) = self.address(hash);
        let mut found = None;
        for (way, &word) in self.words[bucket].iter().enumerate() {
            if word != 0 && word >> 16 == print {
                found = Some(way);
            }
        }
        let word = &mut self.words[bucket][found?];
        let left = match *word & 3 {
            1 => Left::Fresh,
            2 => Left::Once,
            _ => Left::Main,
        };
        let units = (now >> self.unit).wrapping_sub(*word >> 2) & TIME;
        *word = 0;
        Some((left, (units << self.unit) + (1 << self.unit) - 1))
    }

    /// Makes the table fit a number of resident entries.
    pub(super) fn fit(&mut self, entries: usize, now: u32) {
        let entries = entries.max(LEAST);
        if self.words.is_empty() || (entries < self.entries / 2 && !self.words.len().is_multiple_of(2)) {
            self.words = vec![[0; WAYS]; (entries + entries / 2).div_ceil(WAYS).next_multiple_of(16)];
            self.unit = unit_for(entries);
            self.entries = entries;
        } else if entries > self.entries + self.entries / 2 {
            self.words = self.words.iter().flat_map(|&bucket| [bucket, bucket]).collect();
            self.entries *= 2;
            self.retime(unit_for(self.entries), now);
        } else if entries < self.entries / 2 {
            self.words = self.words.chunks(2).map(|pair| self.youngest(pair, now)).collect();
            self.entries /= 2;
            self.retime(unit_for(self.entries), now);
        }
    }

    fn youngest(&self, buckets: &[[u32; WAYS]], now: u32) -> [u32; WAYS] {
        let mut words: Vec<u32> = buckets.iter().flatten().copied().filter(|word| word & 3 != 0).collect();
        words.sort_unstable_by_key(|&word| self.age(word, now));
        words.resize(WAYS, 0);
        words.try_into().unwrap_or([0; WAYS])
    }

    /// How many units ago the time of a ghost was.
    fn age(&self, word: u32, now: u32) -> u32 {
        (now >> self.unit).wrapping_sub(word >> 2) & TIME
    }

    /// Changes the unit of time.
    fn retime(&mut self, unit: u32, now: u32) {
        for bucket in 0..self.words.len() {
            for way in 0..WAYS {
                let word = self.words[bucket][way];
                let ticks = self.age(word, now) << self.unit;
                let time = now.wrapping_sub(ticks) >> unit & TIME;
                self.words[bucket][way] = word & !(TIME << 2) | time << 2;
            }
        }
        self.unit = unit;
    }

    /// Bucket and fingerprint of a key. The caller's shards may have used some of the hash's bits; mixing spreads
    /// what is left over all of them.
    fn address(&self, hash: u32) -> (usize, u32) {
        let mut mixed = hash ^ hash >> 16;
        mixed = mixed.wrapping_mul(0x7feb_352d);
        mixed ^= mixed >> 15;
        mixed = mixed.wrapping_mul(0x846c_a68b);
        mixed ^= mixed >> 16;
        let bucket = (u64::from(mixed) * self.words.len() as u64) >> 32;
        (usize::try_from(bucket).expect("below the number of buckets"), mixed & 0xffff)
    }

    /// Bytes of memory that the table holds.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.words.capacity() * WAYS * 4
    }
}
