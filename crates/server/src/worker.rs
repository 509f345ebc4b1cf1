//! What belongs to one thread: its slot in the keyspace, its counters.

/// The state of one reactor thread.
pub(crate) struct Worker {
    /// Slot of this thread at the keyspace's gate.
    pub(crate) slot: u32,
}
