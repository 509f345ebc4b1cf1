//! What the compressed tier counts. Rows of counters, one per group of threads, so that threads which miss at the same
//! time do not fight for a line; a reader adds the rows up.

use crate::threads;
use crossbeam_utils::CachePadded;
use std::sync::atomic::{AtomicU64, Ordering};

const ROWS: usize = 16;

/// One thing that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Hit,
    Miss,
    Inserted,
    Packed,
    Evicted,
    Expired,
    Removed,
    Replaced,
    Promoted,
    NotEncoded,
    TooLarge,
    Corrupt,
    Undecodable,
    Foreign,
    Invalidated,
}

const COUNTS: usize = Count::Invalidated as usize + 1;

/// The counters of one tier.
pub(super) struct Counters {
    rows: [CachePadded<[AtomicU64; COUNTS]>; ROWS],
}

/// What the counters said at one moment; each number only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CompressedCounts {
    /// Lookups that found a usable entry.
    pub(crate) hits: u64,
    /// Lookups that did not, whatever the reason.
    pub(crate) misses: u64,
    /// Entries stored.
    pub(crate) inserts: u64,
    /// Of them, those that compression made smaller.
    pub(crate) packed: u64,
    /// Left to make room.
    pub(crate) evicted: u64,
    /// Left because their time was over.
    pub(crate) expired: u64,
    /// Left because a caller removed them, or cleared the tier.
    pub(crate) removed: u64,
    /// Left since a newer entry of their key took their place, here or in memory.
    pub(crate) replaced: u64,
    /// Left for the memory tier.
    pub(crate) promoted: u64,
    /// Not stored: the value did not serialise, or its key or tags are beyond the format.
    pub(crate) drops_not_encoded: u64,
    /// Not stored: larger than an eighth of the tier, or than the format allows.
    pub(crate) drops_too_large: u64,
    /// Found and dropped: the bytes were not intact.
    pub(crate) drops_corrupt: u64,
    /// Found and dropped: intact bytes that the codec could not decode.
    pub(crate) drops_undecodable: u64,
    /// Found and dropped: of another key, cache, schema version, codec or format version.
    pub(crate) drops_foreign: u64,
    /// Found and dropped: a tag or the whole cache was invalidated since.
    pub(crate) drops_invalidated: u64,
}

impl Counters {
    pub(super) fn new() -> Counters {
        Counters { rows: std::array::from_fn(|_| CachePadded::new([const { AtomicU64::new(0) }; COUNTS])) }
    }

    pub(super) fn add(&self, count: Count, by: u64) {
        self.rows[threads::index() % ROWS][count as usize].fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn one(&self, count: Count) {
        self.add(count, 1);
    }

    pub(super) fn read(&self) -> CompressedCounts {
        let sum = |count: Count| self.rows.iter().map(|row| row[count as usize].load(Ordering::Relaxed)).sum::<u64>();
        CompressedCounts {
            hits: sum(Count::Hit),
            misses: sum(Count::Miss),
            inserts: sum(Count::Inserted),
            packed: sum(Count::Packed),
            evicted: sum(Count::Evicted),
            expired: sum(Count::Expired),
            removed: sum(Count::Removed),
            replaced: sum(Count::Replaced),
            promoted: sum(Count::Promoted),
            drops_not_encoded: sum(Count::NotEncoded),
            drops_too_large: sum(Count::TooLarge),
            drops_corrupt: sum(Count::Corrupt),
            drops_undecodable: sum(Count::Undecodable),
            drops_foreign: sum(Count::Foreign),
            drops_invalidated: sum(Count::Invalidated),
        }
    }
}
