//! What WATCH needs: a flag per client that the first change to a watched key raises.

use std::sync::atomic::{AtomicBool, Ordering};

/// Raised once a key that its owner watches was changed, removed, expired or flushed.
#[derive(Debug, Default)]
pub struct WatchFlag(AtomicBool);

impl WatchFlag {
    /// Whether a watched key changed since the flag was made.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }
}
