//! Whether an invalidation came between two moments, by stripes of keys.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter per stripe of keys, which every invalidation of one of its keys raises. Who holds a value that it read
/// earlier compares: the same number, and no invalidation came between.
#[derive(Debug)]
pub(crate) struct Epochs {
    stripes: Box<[AtomicU64]>,
}

impl Epochs {
    pub(crate) fn new(stripes: usize) -> Epochs {
        Epochs { stripes: (0..stripes.next_power_of_two()).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The stripe of a key, by its hash in the memory tier.
    pub(crate) fn stripe(&self, hash: u64) -> usize {
        usize::try_from(hash & 0xffff_ffff).unwrap_or(0) & (self.stripes.len() - 1)
    }

    pub(crate) fn len(&self) -> usize {
        self.stripes.len()
    }

    pub(crate) fn get(&self, stripe: usize) -> u64 {
        self.stripes[stripe].load(Ordering::Acquire)
    }

    /// Called after the key left the memory tier, while its stripe is locked.
    pub(crate) fn raise(&self, stripe: usize) {
        self.stripes[stripe].fetch_add(1, Ordering::AcqRel);
    }
}
