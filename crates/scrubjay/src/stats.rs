//! What a cache has done, counted without slowing it down.
//!
//! Idea: what happens on every lookup is counted in a slot of the thread's own, a pair of cache lines that no other thread
//! writes, so a hit costs a load, an addition and a store, and no line moves between cores. Threads beyond the slots share a
//! few, and add atomically. What happens rarely (a load, an error) is one atomic for all. What
//! becomes of the entries in a tier, the tier counts itself; [`Counters::read`] puts everything together.
//! Invariant: counters never go down. Reading sums the slots, takes no lock and holds nobody up; counts that belong together
//! may be read a moment apart.

use crate::threads;
use crossbeam_utils::CachePadded;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

mod disk;
mod load_times;
mod read;

pub use disk::DiskStats;
pub use load_times::LoadTime;
use load_times::LoadTimes;
pub use read::{Departures, Drops, Stats, TierStats, Unit};
pub(crate) use read::{Level, Lower, real};

/// Events of one slot: as many as two cache lines hold.
const FREQUENT_COUNT: usize = 16;

/// Slots that all threads share who have none of their own.
const SHARED_COUNT: usize = 4;

/// Which tier an event belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    Compressed,
    Disk,
    Remote,
    Object,
}

/// What may happen so often that it is counted per thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frequent {
    /// A lookup found a fresh entry in memory, or a remembered absence.
    MemoryHit,
    /// A lookup found nothing in memory that it may return.
    MemoryMiss,
    /// A lookup was answered with an entry past its time, while a refresh runs.
    MemoryStaleHit,
    /// An entry was stored in memory, promoted ones among them.
    MemoryInsert,
    /// The lookup went below memory, and was answered there.
    CompressedHit,
    CompressedMiss,
    CompressedStaleHit,
    /// The lookup went below the tiers in memory, and was answered there.
    DiskHit,
    DiskMiss,
    DiskStaleHit,
    /// The lookup went to the remote tier, and was answered there.
    RemoteHit,
    RemoteMiss,
    RemoteStaleHit,
    /// A hit (counted there too) on a remembered absence.
    NegativeHit,
}

/// What happens rarely, or costs so much that an atomic more is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rare {
    /// A call waited for a load, its own or another's. Counted by [`Counters::wait`].
    Wait,
    /// Of those, the ones who found the load under way.
    Joined,
    /// A load whose result was not stored, since its key was removed, inserted or cleared meanwhile.
    Revoked,
    /// A load that ran behind a caller who already had its answer.
    Refresh,
    /// A stale value was returned, since the load took longer than the soft timeout.
    SoftTimeout,
    /// A load was given up, since it took longer than the hard timeout.
    HardTimeout,
    /// A stale value was returned, since the load failed.
    FailSafeHit,
    /// An error was returned again without a load, within the back-off.
    BackedOff,
    /// The lookup went to the object tier, and was answered there.
    ObjectHit,
    ObjectMiss,
    ObjectStaleHit,
    /// A call was refused, since too many wait for the same load.
    WaiterRefused,
    /// The departure listener panicked.
    ListenerPanic,
    LoadOk,
    LoadError,
    LoadNanoseconds,
}

/// What a lookup in a tier came to for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A fresh entry.
    Hit,
    /// One past its time that serves.
    StaleHit,
    /// Nothing that may be returned.
    Miss,
}

const RARE_COUNT: usize = Rare::LoadNanoseconds as usize + 1;

const _: () = assert!((Frequent::NegativeHit as usize) < FREQUENT_COUNT);

/// Why an entry that was to be stored in a tier was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// It weighs more than the tier may hold.
    TooLarge,
    /// The weigher said 0, or an option of the entry was out of its limits.
    Invalid,
    /// It was invalidated on the way.
    Invalidated,
    /// Its time was over on the way.
    Expired,
}

const DROPPED_COUNT: usize = Dropped::Expired as usize + 1;

/// The counters of one cache.
pub(crate) struct Counters {
    /// By thread index; each written by its owner only.
    owned: Box<[Slot]>,
    /// For all other threads.
    shared: Box<[Slot]>,
    rare: CachePadded<[AtomicU64; RARE_COUNT]>,
    memory_dropped: [AtomicU64; DROPPED_COUNT],
    compressed_dropped: [AtomicU64; DROPPED_COUNT],
    disk_dropped: [AtomicU64; DROPPED_COUNT],
    waiting: AtomicU64,
    load_times: LoadTimes,
    /// Where loads are recorded one by one, once somebody has asked for metrics.
    load_histogram: OnceLock<::metrics::Histogram>,
}

type Slot = CachePadded<[AtomicU64; FREQUENT_COUNT]>;

impl Counters {
    /// With slots for eight threads per core, 32 at least and 256 at most: 128 bytes each.
    pub(crate) fn new() -> Counters {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Counters::with_slots((8 * cores).clamp(32, 256))
    }

    fn with_slots(owned: usize) -> Counters {
        let slots = |count: usize| (0..count).map(|_| Slot::default()).collect();
        Counters {
            owned: slots(owned),
            shared: slots(SHARED_COUNT),
            rare: CachePadded::default(),
            memory_dropped: Default::default(),
            compressed_dropped: Default::default(),
            disk_dropped: Default::default(),
            waiting: AtomicU64::new(0),
            load_times: LoadTimes::default(),
            load_histogram: OnceLock::new(),
        }
    }

    /// One more of what happens on lookups and inserts. Writes nothing that another thread writes.
    #[inline]
    pub(crate) fn count(&self, event: Frequent) {
        self.add(event, 1);
    }

    /// `n` more of them at once.
    #[inline]
    pub(crate) fn add(&self, event: Frequent, n: u64) {
        // A thread that has no index yet knows none that is below the length of anything.
        match self.owned.get(threads::known_index()) {
            Some(slot) => add_own(&slot[event as usize], n),
            None => self.add_slowly(event, n),
        }
    }

    #[cold]
    #[inline(never)]
    fn add_slowly(&self, event: Frequent, n: u64) {
        let index = threads::index();
        match self.owned.get(index) {
            Some(slot) => add_own(&slot[event as usize], n),
            None => _ = self.shared[index % SHARED_COUNT][event as usize].fetch_add(n, Ordering::Relaxed),
        }
    }

    /// One more lookup in a tier.
    #[inline]
    pub(crate) fn lookup(&self, place: Place, came: Came) {
        let of = |hit, stale_hit, miss| match came {
            Came::Hit => hit,
            Came::StaleHit => stale_hit,
            Came::Miss => miss,
        };
        self.count(match place {
            Place::Memory => of(Frequent::MemoryHit, Frequent::MemoryStaleHit, Frequent::MemoryMiss),
            Place::Compressed => of(Frequent::CompressedHit, Frequent::CompressedStaleHit, Frequent::CompressedMiss),
            Place::Disk => of(Frequent::DiskHit, Frequent::DiskStaleHit, Frequent::DiskMiss),
            Place::Remote => of(Frequent::RemoteHit, Frequent::RemoteStaleHit, Frequent::RemoteMiss),
            Place::Object => {
                return self.count_rare(match came {
                    Came::Hit => Rare::ObjectHit,
                    Came::StaleHit => Rare::ObjectStaleHit,
                    Came::Miss => Rare::ObjectMiss,
                });
            }
        });
    }

    /// One more of what is rare.
    pub(crate) fn count_rare(&self, event: Rare) {
        self.rare[event as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// An entry did not get into the tier. What a tier below memory itself refuses, it counts itself.
    pub(crate) fn dropped(&self, place: Place, why: Dropped) {
        let counters = match place {
            Place::Memory => &self.memory_dropped,
            Place::Compressed => &self.compressed_dropped,
            Place::Disk => &self.disk_dropped,
            // What does not reach them, those tiers count themselves.
            Place::Remote | Place::Object => return,
        };
        counters[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A call of the loader has ended, after `took`, with a result or an error (a panic and a hard timeout are errors).
    pub(crate) fn load_ended(&self, took: Duration, is_ok: bool) {
        self.count_rare(if is_ok { Rare::LoadOk } else { Rare::LoadError });
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX / 2);
        self.rare[Rare::LoadNanoseconds as usize].fetch_add(nanoseconds, Ordering::Relaxed);
        self.load_times.count(took);
        if let Some(histogram) = self.load_histogram.get() {
            histogram.record(took.as_secs_f64());
        }
    }

    /// From now on, how long each load took goes to what `histogram` makes, too. The first who asks is the one who gets it.
    pub(crate) fn record_loads(&self, histogram: impl FnOnce() -> ::metrics::Histogram) {
        self.load_histogram.get_or_init(histogram);
    }

    /// A call begins to wait for a load; it waits until the guard is dropped.
    pub(crate) fn wait(&self) -> Waiting<'_> {
        self.count_rare(Rare::Wait);
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting { counters: self }
    }

    fn frequent(&self, event: Frequent) -> u64 {
        let slots = self.owned.iter().chain(&self.shared);
        slots.map(|slot| slot[event as usize].load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    fn rare(&self, event: Rare) -> u64 {
        self.rare[event as usize].load(Ordering::Relaxed)
    }
}

/// Adds to a counter that no other thread writes.
#[inline]
fn add_own(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
}

/// A call that waits for a load, counted as long as this lives.
pub(crate) struct Waiting<'a> {
    counters: &'a Counters,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.counters.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
