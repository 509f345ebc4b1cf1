//! What a link counts. Nothing here is written while all is well: see `lanes.rs` for what is counted of every command.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a link has counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkStats {
    /// Commands that were not answered in time.
    pub(crate) timed_out: u64,
    /// Commands tried again.
    pub(crate) retried: u64,
    /// Commands that were not sent, since too many were on their way.
    pub(crate) shed: u64,
    /// Commands that were not sent, since the server was away.
    pub(crate) refused: u64,
    /// How often a connection was made.
    pub(crate) connected: u64,
    /// How often making one has failed.
    pub(crate) connect_failed: u64,
    /// How often the breaker opened.
    pub(crate) opened: u64,
    /// Commands on their way now; some that are sent together count as one.
    pub(crate) in_flight: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) timed_out: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) shed: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) connected: AtomicU64,
    pub(super) connect_failed: AtomicU64,
    pub(super) opened: AtomicU64,
}

pub(super) fn one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn read(&self, in_flight: usize) -> LinkStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkStats {
            timed_out: read(&self.timed_out),
            retried: read(&self.retried),
            shed: read(&self.shed),
            refused: read(&self.refused),
            connected: read(&self.connected),
            connect_failed: read(&self.connect_failed),
            opened: read(&self.opened),
            in_flight: in_flight as u64,
        }
    }
}
