//! Which puts are worth a write: the question before a value takes another's place.
//!
//! While there is room everything is admitted. Once the store is full, each value written drops an older one, and a value
//! that nobody asks for again has cost a write, and a live entry, for nothing.
//!
//! **Invariants:** the memory is fixed when the store is made, by its capacity, and nothing is locked: threads that meet
//! lose a count at worst. What is asked is remembered whether it is admitted or not, so a key cannot be kept out for ever.
//!
//! It knows hashes and heat, and nothing of entries: what happens to an older version of a key that is not admitted is for
//! who asks.

mod sketch;
#[cfg(test)]
mod tests;

use crate::index::HEAT_MAX;
use sketch::{Sketch, Window};
use std::sync::atomic::{AtomicU64, Ordering};

/// Which values are stored once the store is full. Until then all are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Admission {
    /// Every value.
    #[default]
    All,
    /// Values of keys that were put before, within about as many puts as the store has entries: what is put once and never
    /// again costs no write. A key's first value is stored at its second put.
    SecondHit,
    /// Values at least as hot as what the store drops for its place, on the mean. The caller says how hot a value is, or
    /// else how often its key was put counts. Two caches one above the other fit this well: what comes down has been asked
    /// for, or it has not.
    Heat,
}

/// Bytes of the store for which one key is remembered.
const BYTES_PER_KEY: u64 = 2048;
const KEYS_MIN: u64 = 1 << 14;
const KEYS_MAX: u64 = 1 << 21;

/// Parts of a degree of heat that the mean is kept in.
const PARTS: u64 = 1 << 16;
/// One in so many is the weight of the latest in a mean.
const MEAN_OVER: u64 = 1024;

/// The choice and what it remembers.
#[derive(Debug)]
pub(crate) enum Admitter {
    All,
    SecondHit(Window),
    Heat(Bar, Sketch),
}

/// How hot a value must be.
#[derive(Debug, Default)]
pub(crate) struct Bar {
    /// The mean heat of live entries that were dropped, in parts.
    mean: AtomicU64,
}

impl Admitter {
    /// For a store of so many bytes.
    pub(crate) fn new(admission: Admission, capacity: u64) -> Admitter {
        let keys = (capacity / BYTES_PER_KEY).clamp(KEYS_MIN, KEYS_MAX);
        let keys = usize::try_from(keys).unwrap_or(usize::MAX);
        match admission {
            Admission::All => Admitter::All,
            Admission::SecondHit => Admitter::SecondHit(Window::new(keys)),
            Admission::Heat => Admitter::Heat(Bar::default(), Sketch::new(keys)),
        }
    }

    /// Whether the value of a put is to be stored. Remembers that it was asked.
    pub(crate) fn admits(&self, hash: u64, heat: u8, is_space_full: impl FnOnce() -> bool) -> bool {
        match self {
            Admitter::All => true,
            Admitter::SecondHit(window) => window.remember(hash) || !is_space_full(),
            Admitter::Heat(bar, sketch) => {
                let heat = heat.max(sketch.count(hash)).min(HEAT_MAX);
                !is_space_full() || bar.is_passed(heat)
            }
        }
    }

    /// A live entry of that heat was dropped for its place.
    pub(crate) fn note_evicted(&self, heat: u8) {
        if let Admitter::Heat(bar, _) = self {
            bar.draw_to(heat);
        }
    }
}

impl Bar {
    fn is_passed(&self, heat: u8) -> bool {
        let is_passed = u64::from(heat) * PARTS >= self.mean.load(Ordering::Relaxed);
        if !is_passed {
            // Where nothing is admitted nothing is dropped, and the mean would stay what it was when all was hot: each
            // that it keeps out lowers it.
            self.draw_to(0);
        }
        is_passed
    }

    fn draw_to(&self, heat: u8) {
        let mean = self.mean.load(Ordering::Relaxed);
        let target = u64::from(heat) * PARTS;
        let step = mean.abs_diff(target).div_ceil(MEAN_OVER);
        self.mean.store(if target < mean { mean - step } else { mean + step }, Ordering::Relaxed);
    }
}
