//! What belongs to one thread: its slot in the keyspace, its counters.

use crate::stats::WorkerStats;
use std::sync::Arc;

/// The state of one reactor thread that commands may touch.
pub(crate) struct Worker {
    /// Slot of this thread at the keyspace's gate, and its index among the workers.
    pub(crate) slot: u32,
    /// Counters that only this thread writes.
    pub(crate) stats: Arc<WorkerStats>,
}

impl Worker {
    /// A worker with counters of its own.
    #[cfg(test)]
    pub(crate) fn new(slot: u32) -> Worker {
        Worker { slot, stats: Arc::new(WorkerStats::new()) }
    }
}
