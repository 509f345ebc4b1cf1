//! Which entries of a segment that goes are worth another write: the hottest, as far as the allowance reaches.
//!
//! A histogram of their bytes by heat says at which heat the allowance ends; of the entries at that heat those that come
//! first in the segment are taken. Nothing is sorted. What was not read since it was written, heat 0, is never taken:
//! where nothing is hot nothing is written twice.

use crate::index::{HEAT_MAX, PINNED};

const DEGREES: usize = PINNED as usize + 1;

/// Bytes of the live entries of a segment, by heat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Histogram {
    bytes: [u64; DEGREES],
}

impl Histogram {
    pub(crate) fn add(&mut self, heat: u8, bytes: u64) {
        self.bytes[usize::from(heat.min(PINNED))] += bytes;
    }

    /// Bytes of what is pinned.
    pub(crate) fn pinned_bytes(&self) -> u64 {
        self.bytes[usize::from(PINNED)]
    }

    /// Where the allowance ends. What is pinned is taken in any case, and out of the allowance first.
    pub(crate) fn cut(&self, allowance: u64) -> Cut {
        let mut left = allowance.saturating_sub(self.pinned_bytes());
        for heat in (1..=HEAT_MAX).rev() {
            let bytes = self.bytes[usize::from(heat)];
            if bytes > left {
                return Cut { heat, left };
            }
            left -= bytes;
        }
        Cut { heat: 0, left: 0 }
    }
}

/// What is taken: all above a heat, and of that heat as much as there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    heat: u8,
    left: u64,
}

impl Cut {
    /// Whether an entry is worth another write. Asked once for each that the histogram counted.
    pub(crate) fn takes(&mut self, heat: u8, bytes: u64) -> bool {
        if heat != self.heat || heat == 0 {
            return heat > self.heat;
        }
        let fits = bytes <= self.left;
        if fits {
            self.left -= bytes;
        }
        fits
    }
}

/// How hot an entry is when it is written again: what is not asked for any more cools within three rounds.
pub(crate) fn cooled(heat: u8) -> u8 {
    if heat >= PINNED { PINNED } else { heat / 2 }
}

#[cfg(test)]
mod tests;
