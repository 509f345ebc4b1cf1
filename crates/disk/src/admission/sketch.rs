//! What admission remembers of keys, in memory that does not grow: whether one came lately, and about how often.

use fastbloom::AtomicBloomFilter;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

/// One key in so many is taken for one that came before, and did not.
const FALSE_SHARE: f64 = 0.01;

/// The keys that came lately: at least the last `keys` different ones, at most twice as many.
///
/// Two Bloom filters take turns: the newer one is filled, the older one is only asked. When the newer one is full the
/// older one is emptied and becomes the newer one.
#[derive(Debug)]
pub(crate) struct Window {
    filters: [AtomicBloomFilter; 2],
    keys: usize,
    /// Different keys that came, ever: which filter is the newer one follows from it.
    came: AtomicUsize,
}

impl Window {
    pub(super) fn new(keys: usize) -> Window {
        let filter = || AtomicBloomFilter::with_false_pos(FALSE_SHARE).expected_items(keys);
        Window { filters: [filter(), filter()], keys: keys.max(1), came: AtomicUsize::new(0) }
    }

    /// Whether it came before. Remembers that it came.
    pub(super) fn remember(&self, hash: u64) -> bool {
        let newer = self.came.load(Ordering::Relaxed) / self.keys % 2;
        let is_known = self.filters[1 - newer].contains_hash(hash);
        if self.filters[newer].insert_hash(hash) {
            return true;
        }
        if (self.came.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(self.keys) {
            // Who fills it empties the other one. Keys that others remember there meanwhile may be forgotten.
            self.filters[1 - newer].clear();
        }
        is_known
    }
}

/// How often keys came, about: a table of counters, of which each key has two and the lesser one counts. All are halved
/// when so many came that the counts would blur.
#[derive(Debug)]
pub(crate) struct Sketch {
    counters: Box<[AtomicU8]>,
    came: AtomicUsize,
    halve_after: usize,
}

/// Counters for each key that it is to know.
const COUNTERS_PER_KEY: usize = 4;
/// How often a key may come, on the mean, until counters are halved.
const HALVE_AFTER: usize = 8;
/// No count beyond is of interest.
const COUNT_MAX: u8 = 15;

impl Sketch {
    pub(super) fn new(keys: usize) -> Sketch {
        let counters = keys.saturating_mul(COUNTERS_PER_KEY).next_power_of_two();
        let counters = (0..counters).map(|_| AtomicU8::new(0)).collect();
        Sketch { counters, came: AtomicUsize::new(0), halve_after: keys.saturating_mul(HALVE_AFTER).max(1) }
    }

    /// How often it came before, too much rather than too little. Counts that it came.
    pub(super) fn count(&self, hash: u64) -> u8 {
        let places = [hash >> 32, hash & 0xFFFF_FFFF];
        let counters = places.map(|place| {
            let place = usize::try_from(place).unwrap_or(0) & (self.counters.len() - 1);
            &self.counters[place]
        });
        let counts = counters.map(|counter| counter.load(Ordering::Relaxed));
        let count = counts[0].min(counts[1]);
        if count < COUNT_MAX {
            // Only the lesser one rises, or both: the greater one is some other key's.
            for (counter, _) in counters.iter().zip(counts).filter(|(_, other)| *other == count) {
                counter.store(count + 1, Ordering::Relaxed);
            }
        }
        if self.came.fetch_add(1, Ordering::Relaxed) + 1 == self.halve_after {
            for counter in &self.counters {
                counter.store(counter.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
            self.came.store(0, Ordering::Relaxed);
        }
        count
    }
}
