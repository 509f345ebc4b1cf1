//! What the object tier counts, and [`ObjectStats`], which says it.

use crossbeam_utils::CachePadded;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// More of the object tier, beside its [`TierStats`](crate::TierStats).
///
/// ```
/// # use scrubjay::ObjectStats;
/// /// What the store asks for, at the example's prices.
/// fn dollars(stats: &ObjectStats) -> f64 {
///     let (dear, cheap) = (stats.writes + stats.lists, stats.reads);
///     dear as f64 * 0.005 / 1e3 + cheap as f64 * 0.0004 / 1e3
/// }
/// # assert_eq!(dollars(&ObjectStats::default()), 0.0);
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectStats {
    /// Whether what is in the store is known, so that reads are answered.
    pub is_open: bool,
    /// Requests to read an object or a part of one. Those that the client made again by itself are not counted.
    pub reads: u64,
    /// Requests to write an object.
    pub writes: u64,
    /// Requests to list, one per 1,000 objects.
    pub lists: u64,
    /// Requests to delete an object.
    pub deletes: u64,
    /// Bytes that were read.
    pub read_bytes: u64,
    /// Bytes that were written.
    pub written_bytes: u64,
    /// Requests that failed, with those that took too long.
    pub failures: u64,
    /// Packs in the store that this process knows.
    pub packs: u64,
    /// Packs that this process wrote.
    pub packs_written: u64,
    /// Objects of their own that this process wrote.
    pub large_written: u64,
    /// Packs, clears and leases whose form is wrong, or that are another's. They are passed by.
    pub foreign_objects: u64,
    /// Reads of an object that was not there any more: another process rewrote it.
    pub vanished: u64,
    /// Entries that the index has no room for: misses, though they are in the store.
    pub left_out: u64,
    /// Bytes of memory that the index takes.
    pub index_bytes: u64,
    /// Bytes that wait in memory to be written.
    pub queued_bytes: u64,
    /// Removals that wait to be written.
    pub removals_waiting: u64,
    /// Calls that returned before the store had their removal: it failed or took too long. They are tried until it has.
    pub removals_deferred: u64,
    /// How often what waited was too much, and the whole cache was given up in the store instead.
    pub forgotten: u64,
    /// Times that the packs of other processes were looked for, and found to the last.
    pub refreshes: u64,
    /// Live entries that were written once more so that a pack could be deleted.
    pub rewritten: u64,
    /// Objects that were deleted since nothing in them counted any more.
    pub deleted: u64,
}

/// One thing that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Inserted,
    Removed,
    Replaced,
    TooLarge,
    NotEncoded,
    QueueFull,
    Failed,
    Expired,
    Corrupt,
    Undecodable,
    Foreign,
    Invalidated,
    TimedOut,
    Skipped,
    Reads,
    Writes,
    Lists,
    Deletes,
    ReadBytes,
    WrittenBytes,
    Failures,
    PacksWritten,
    LargeWritten,
    Vanished,
    LeftOut,
    RemovalsDeferred,
    Forgotten,
    Refreshes,
    Rewritten,
    Deleted,
}

const COUNTS: usize = Count::Deleted as usize + 1;

/// The counters of one tier.
#[derive(Debug, Default)]
pub(super) struct Counters {
    row: CachePadded<[AtomicU64; COUNTS]>,
}

impl Counters {
    pub(super) fn one(&self, count: Count) {
        self.add(count, 1);
    }

    pub(super) fn add(&self, count: Count, more: u64) {
        self.row[count as usize].fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn read(&self, count: Count) -> u64 {
        self.row[count as usize].load(Ordering::Relaxed)
    }
}
