//! What the remote tier counts. What the link counts, it counts itself.

use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};

/// One thing that is counted. [`RemoteStats`](super::RemoteStats) says what each is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Stored,
    Removed,
    Skipped,
    Failed,
    Invalidated,
    Corrupt,
    Undecodable,
    Foreign,
    TooLarge,
    NotEncoded,
    OutOfMemory,
    Unprotected,
    Lease,
    Wait,
    SharedLoad,
    Alone,
    Revoked,
    Invalidation,
    Echo,
    Mark,
    Distrusted,
    Generation,
    Deferred,
    Replayed,
    Outdated,
    Overflow,
}

const COUNTS: usize = Count::Overflow as usize + 1;

/// The counters of one tier. All of this costs a network's time, so one row does.
#[derive(Debug, Default)]
pub(super) struct Counters {
    row: CachePadded<[AtomicU64; COUNTS]>,
}

impl Counters {
    pub(super) fn one(&self, count: Count) {
        self.row[count as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, count: Count) -> u64 {
        self.row[count as usize].load(Ordering::Relaxed)
    }
}
