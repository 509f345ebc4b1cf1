//! What belongs to one thread: its slot in the keyspace, its counters.

/// The state of one reactor thread.
#[derive(Default)]
pub(crate) struct Worker {
    /// Slot of this thread at the keyspace's gate.
    pub(crate) slot: u32,
    /// Reads that found their key.
    pub(crate) keyspace_hits: u64,
    /// Reads that did not.
    pub(crate) keyspace_misses: u64,
}
