//! What a store has done, read from the places where it is counted.

use crate::index::Tally;
use std::sync::atomic::AtomicU64;

/// What the threads behind count.
#[derive(Debug, Default)]
pub(crate) struct WriterCounts {
    /// Bytes given to the device, footers and padding among them.
    pub(crate) written_bytes: AtomicU64,
    /// Operations of the device that failed.
    pub(crate) errors: AtomicU64,
    /// Segments that reclaim dropped.
    pub(crate) reclaimed_segments: AtomicU64,
    /// Segments that were given up, since writing to them failed.
    pub(crate) given_up_segments: AtomicU64,
    /// Entries that expired and were taken out by the sweep.
    pub(crate) swept_expired: AtomicU64,
    /// Records that could not be moved out of a segment that failed, since the store closed.
    pub(crate) lost: AtomicU64,
}

/// What opening found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenCounts {
    pub(crate) torn_bytes: u64,
    pub(crate) distrusted_entries: u64,
    pub(crate) discarded_segments: u64,
}

/// Counters since the store was opened, and what it holds now.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Entries in the index: live ones, and expired or cleared ones that nobody came across yet.
    pub entries: u64,
    /// Bytes that the index takes in memory.
    pub index_bytes: u64,
    /// Bytes of all files.
    pub used_bytes: u64,
    /// The space bound.
    pub capacity_bytes: u64,
    /// Bytes that wait in memory to be written.
    pub queued_bytes: u64,
    /// Segments with a file.
    pub segments: u64,
    /// Gets that found what they asked for.
    pub hits: u64,
    /// Gets that found nothing.
    pub misses: u64,
    /// Of the misses: past its time.
    pub expired: u64,
    /// Of the misses: the record was damaged.
    pub corrupt: u64,
    /// Of the misses: the device failed.
    pub unreadable: u64,
    /// Values stored.
    pub puts: u64,
    /// Bytes of the records that callers wrote: values and removals, with their headers and keys.
    pub put_bytes: u64,
    /// Values removed by callers.
    pub removes: u64,
    /// Values that were not stored: the queue was full.
    pub dropped_full: u64,
    /// Values that were not stored: admission kept them out.
    pub dropped_not_admitted: u64,
    /// Values that were not stored: longer than a segment holds.
    pub dropped_too_large: u64,
    /// Values that were not stored: the device failed.
    pub dropped_failing: u64,
    /// Live entries whose segment was reclaimed, and that were not worth another write.
    pub evicted: u64,
    /// Entries taken out since they had expired, by reclaim or the sweep.
    pub reclaimed_expired: u64,
    /// Live entries that reclaim wrote again.
    pub reinserted: u64,
    /// Bytes of their records.
    pub reinserted_bytes: u64,
    /// Bytes given to the device.
    pub written_bytes: u64,
    /// Segments dropped by reclaim.
    pub reclaimed_segments: u64,
    /// Segments given up, since writing to them failed.
    pub given_up_segments: u64,
    /// Operations of the device that failed.
    pub device_errors: u64,
    /// Values lost in memory, since the store closed while the device failed.
    pub lost: u64,
    /// Bytes cut off when the store was opened: a tail that was being written when it ended.
    pub torn_bytes: u64,
    /// Entries dropped when the store was opened: something that came after them and was durable is lost, or nobody knows
    /// their namespace.
    pub distrusted_entries: u64,
    /// Segments removed when the store was opened: of another store, or older than something durable that is lost.
    pub discarded_segments: u64,
}

impl Stats {
    /// Bytes given to the device for each byte that callers wrote; 0 before the first.
    #[allow(clippy::cast_precision_loss, reason = "a ratio to look at")]
    pub fn write_amplification(&self) -> f64 {
        if self.put_bytes == 0 { 0.0 } else { self.written_bytes as f64 / self.put_bytes as f64 }
    }

    pub(crate) fn count(&mut self, tally: &Tally) {
        self.hits = tally.hits;
        self.misses = tally.misses;
        self.expired = tally.expired;
        self.corrupt = tally.corrupt;
        self.unreadable = tally.unreadable;
        self.puts = tally.puts;
        self.put_bytes = tally.put_bytes + tally.tombstone_bytes;
        self.removes = tally.removes;
        self.dropped_full = tally.dropped_full;
        self.dropped_not_admitted = tally.dropped_not_admitted;
        self.dropped_too_large = tally.dropped_too_large;
        self.dropped_failing = tally.dropped_failing;
        self.evicted = tally.evicted;
        self.reclaimed_expired += tally.reclaimed_expired;
        self.reinserted = tally.reinserted;
        self.reinserted_bytes = tally.reinserted_bytes;
    }
}
