//! What the disk tier counts of one cache. What the engine counts of the whole folder, it counts itself.

use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};

/// One thing that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Inserted,
    /// Evicted above, and still on disk: nothing was written.
    Kept,
    Removed,
    Replaced,
    TooLarge,
    NotEncoded,
    QueueFull,
    NotAdmitted,
    Failed,
    Expired,
    Corrupt,
    Undecodable,
    Foreign,
    Invalidated,
    /// A read took longer than its limit.
    TimedOut,
    /// A lookup passed the device by, since it fails, or the tier is not there.
    Skipped,
    /// Nobody knows whether a removal would have survived the end of the process: the device failed or took too long.
    Unsettled,
    /// All of the cache's entries were given up, since what was known of invalidations was not whole.
    Forgotten,
}

const COUNTS: usize = Count::Forgotten as usize + 1;

/// The counters of one tier. All of this costs microseconds, so one row does.
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
