//! What a store of vectors has done: the engine's counters, and what the engine cannot know.

use super::spaces::Spaces;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted here.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Values that were read and are no vectors.
    pub(super) undecodable: AtomicU64,
    /// Of these, by gets: the engine counted them as hits.
    pub(super) undecodable_gets: AtomicU64,
    /// Gets from namespaces that nobody put to.
    pub(super) nowhere: AtomicU64,
}

/// What a [`VectorStore`](crate::VectorStore) holds, and what it has done since it was opened.
///
/// ```
/// # use scrubjay::{VectorOptions, VectorStore};
/// # let folder = tempfile::tempdir()?;
/// # let store = VectorStore::open(folder.path(), VectorOptions::bytes(4 << 20))?;
/// store.put("bge-m3@1.5", "jay", &[0.25, -1.0])?;
/// store.get_batch("bge-m3@1.5", &["jay", "magpie", "rook"])?;
/// let stats = store.stats();
/// assert_eq!((stats.vectors, stats.puts, stats.hits, stats.misses), (1, 1, 1, 2));
/// assert_eq!(stats.hit_ratio(), 1.0 / 3.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VectorStats {
    /// Vectors: those that are there, and expired or cleared ones that nobody came across yet.
    pub vectors: u64,
    /// Namespaces that were put to since they were cleared.
    pub namespaces: u64,
    /// Bytes of memory of the index: about 34 per vector.
    pub index_bytes: u64,
    /// Bytes of all files.
    pub used_bytes: u64,
    /// The budget.
    pub capacity_bytes: u64,
    /// Bytes that wait in memory to be written.
    pub queued_bytes: u64,
    /// Keys that were asked for and found.
    pub hits: u64,
    /// Keys that were asked for and not found, for whatever reason.
    pub misses: u64,
    /// Of the misses: past its time.
    pub expired: u64,
    /// Of the misses: the record was damaged.
    pub corrupt: u64,
    /// Of the misses: the device failed.
    pub unreadable: u64,
    /// Values that were read, by [`get_all`](crate::VectorStore::get_all) too, and are no vectors: of a newer format, or
    /// of other dimensions than their namespace. A miss, where a get met it.
    pub undecodable: u64,
    /// Vectors stored.
    pub puts: u64,
    /// Vectors removed by their keys.
    pub removes: u64,
    /// Vectors that were not stored: the device failed or did not answer, and the queue was full.
    pub dropped: u64,
    /// Vectors that were there and had to make room.
    pub evicted: u64,
    /// Bytes that callers wrote, keys and headers included.
    pub put_bytes: u64,
    /// Bytes given to the device.
    pub written_bytes: u64,
    /// Operations of the device that failed.
    pub device_errors: u64,
    /// Bytes cut off when the store was opened: a tail that was being written when the process before ended.
    pub torn_bytes: u64,
    /// Vectors dropped when the store was opened, since what came after them was damaged.
    pub distrusted: u64,
}

impl VectorStats {
    /// Keys found of keys asked for, 0 to 1; 0 before the first.
    #[allow(clippy::cast_precision_loss, reason = "a ratio to look at")]
    pub fn hit_ratio(&self) -> f64 {
        let asked = self.hits + self.misses;
        if asked == 0 { 0.0 } else { self.hits as f64 / asked as f64 }
    }

    /// Bytes given to the device for each byte that callers wrote; 0 before the first.
    #[allow(clippy::cast_precision_loss, reason = "a ratio to look at")]
    pub fn write_amplification(&self) -> f64 {
        if self.put_bytes == 0 { 0.0 } else { self.written_bytes as f64 / self.put_bytes as f64 }
    }

    /// The engine's, corrected by what is counted here.
    pub(super) fn new(engine: &scrubjay_disk::Stats, counters: &Counters, spaces: &Spaces) -> VectorStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (undecodable_gets, nowhere) = (read(&counters.undecodable_gets), read(&counters.nowhere));
        let (records, records_put) = spaces.counts();
        VectorStats {
            vectors: engine.entries.saturating_sub(records),
            namespaces: spaces.names().len() as u64,
            index_bytes: engine.index_bytes,
            used_bytes: engine.used_bytes,
            capacity_bytes: engine.capacity_bytes,
            queued_bytes: engine.queued_bytes,
            hits: engine.hits.saturating_sub(undecodable_gets),
            misses: engine.misses + undecodable_gets + nowhere,
            expired: engine.expired,
            corrupt: engine.corrupt,
            unreadable: engine.unreadable,
            undecodable: read(&counters.undecodable),
            puts: engine.puts.saturating_sub(records_put),
            removes: engine.removes,
            dropped: engine.dropped_full
                + engine.dropped_failing
                + engine.dropped_too_large
                + engine.dropped_not_admitted,
            evicted: engine.evicted,
            put_bytes: engine.put_bytes,
            written_bytes: engine.written_bytes,
            device_errors: engine.device_errors,
            torn_bytes: engine.torn_bytes,
            distrusted: engine.distrusted_entries,
        }
    }
}
