//! [`Stats`]: the counters of a cache as plain numbers, at one moment.
//!
//! Plain data, to be logged, compared, serialised. What a number means stands on its field, and only there: the texts of
//! the exported metrics say the same in fewer words.

use super::{Counters, DiskStats, Dropped, Frequent, LoadTime, Rare};
use crate::compressed::CompressedTier;
use crate::memory::{Reason, Tier};
use crate::object::ObjectStats;
use crate::remote::RemoteStats;
use serde::Serialize;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a cache has done since it was built, and what it holds now.
///
/// ```
/// # use scrubjay::{Memory, MemoryCache};
/// let squares: MemoryCache<u64, u64> =
///     MemoryCache::builder().memory(Memory::bytes(1 << 20)).build()?;
/// (0..100).for_each(|n| drop(squares.get_or_insert_with(&(n % 10), || n * n)));
/// let stats = squares.stats();
/// println!("{:.1} % of lookups were hits", 100.0 * stats.hit_ratio());
/// println!("{} loads, {:.1} s saved", stats.loads, stats.seconds_saved());
/// assert_eq!((stats.memory.hits, stats.memory.misses, stats.loads), (90, 10, 10));
/// # Ok::<(), scrubjay::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stats {
    /// The memory tier. Every lookup is one of its hits, stale hits or misses.
    pub memory: TierStats,
    /// The compressed tier, if the cache has one. Only what memory missed is looked up here.
    pub compressed: Option<TierStats>,
    /// The disk tier, if the cache has one. Only what the tiers in memory missed is looked up here. What is evicted and expires,
    /// entries and weight are those of the whole folder, which caches may share.
    pub disk: Option<TierStats>,
    /// What else there is to say of that tier.
    pub disk_store: Option<DiskStats>,
    /// The remote tier, if the cache has one. Only what the tiers of this process missed is looked up here, and what a load asks
    /// for once more when it begins. It holds what all processes put there: entries, weight and what leaves are the server's to know.
    pub remote: Option<TierStats>,
    /// What else there is to say of that tier.
    pub remote_store: Option<RemoteStats>,
    /// The object tier, if the cache has one. Only what the other tiers missed is looked up here.
    pub object: Option<TierStats>,
    /// What else there is to say of that tier.
    pub object_store: Option<ObjectStats>,
    /// Calls of a loader that ended, well or not. A call for many keys is one.
    pub loads: u64,
    /// Of those, the ones that ended in an error, a panic or a hard timeout.
    pub load_errors: u64,
    /// How long all of them took together.
    pub load_seconds: f64,
    /// How many of them took how long.
    pub load_times: Vec<LoadTime>,
    /// Calls that had to wait for a load, their own or another's. A call for many keys is one, however many it waits for.
    pub waiters: u64,
    /// Calls that wait for one now.
    pub waiting: u64,
    /// How often a call waited for a key that was being loaded already: loads that were not made. A call for many keys counts
    /// each such key, and a call that sets out again, since its key was invalidated meanwhile, may count twice.
    pub joined: u64,
    /// Loads whose result was returned but not stored, since their key was removed, inserted or cleared meanwhile.
    pub revoked: u64,
    /// Loads behind a caller who already had its answer: stale while revalidating, or ahead of the end.
    pub refreshes: u64,
    /// Stale values returned since the load took longer than the soft timeout.
    pub soft_timeouts: u64,
    /// Loads given up since they took longer than the hard timeout.
    pub hard_timeouts: u64,
    /// Stale values returned since the load failed.
    pub fail_safe_hits: u64,
    /// Errors returned again without asking the loader, within the back-off.
    pub backed_off: u64,
    /// Of the hits, those on a remembered absence.
    pub negative_hits: u64,
    /// Calls refused, since too many waited for the same load.
    pub waiters_refused: u64,
    /// Values that did not serialise, and stored bytes that were not intact or did not decode: each lost, none returned.
    pub codec_errors: u64,
    /// Panics of the departure listener.
    pub listener_panics: u64,
}

/// One tier's part of [`Stats`].
///
/// ```
/// # use scrubjay::{Memory, MemoryCache, Unit};
/// # let users: MemoryCache<u64, u64> = MemoryCache::builder().memory(Memory::bytes(1 << 20)).build()?;
/// users.insert(1, 10)?;
/// users.get(&1);
/// users.get(&2);
/// let memory = users.stats().memory;
/// assert_eq!((memory.hits, memory.misses, memory.entries), (1, 1, 1));
/// assert!(memory.weight <= memory.capacity && memory.unit == Unit::Bytes);
/// # Ok::<(), scrubjay::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TierStats {
    /// Lookups that found a fresh entry here.
    pub hits: u64,
    /// Lookups that were answered with an entry past its time, while it was loaded anew.
    pub stale_hits: u64,
    /// Lookups that found nothing here which they might return.
    pub misses: u64,
    /// Entries stored here; in a tier below, the ones that came down.
    pub inserts: u64,
    /// Entries that left, by reason.
    pub departures: Departures,
    /// Entries that were to be stored here and were not, by reason.
    pub drops: Drops,
    /// Entries held now, expired ones that were not collected yet among them.
    pub entries: u64,
    /// What they weigh, in `unit`.
    pub weight: u64,
    /// What they may weigh at most, in `unit`.
    pub capacity: u64,
    /// What `weight` and `capacity` count.
    pub unit: Unit,
}

/// What a tier's budget counts.
///
/// ```
/// # use scrubjay::{MemoryCache, Unit};
/// let numbers: MemoryCache<u64, u64> = MemoryCache::builder().entries(1_000).build()?;
/// assert_eq!(numbers.stats().memory.unit, Unit::Entries);
/// # Ok::<(), scrubjay::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Bytes, the tier's own structures included.
    #[default]
    Bytes,
    /// Entries, or whatever the weigher says.
    Entries,
}

/// Entries that left a tier, by [`Reason`].
///
/// ```
/// # use scrubjay::MemoryCache;
/// let numbers: MemoryCache<u64, u64> = MemoryCache::builder().entries(1_000).build()?;
/// numbers.insert_many((0..3_000).map(|n| (n, n)))?;
/// let memory = numbers.stats().memory;
/// assert!(memory.departures.evicted >= 2_000);
/// assert_eq!(memory.inserts, memory.entries + memory.departures.total());
/// # Ok::<(), scrubjay::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Departures {
    /// Removed by the caller: by key, tag, prefix or `clear`.
    pub removed: u64,
    /// A newer value took their place.
    pub replaced: u64,
    /// Their time was over.
    pub expired: u64,
    /// The policy chose them, to make room.
    pub evicted: u64,
    /// Their partition was over its quota.
    pub over_quota: u64,
    /// They went to the tier above, where they were asked for.
    pub promoted: u64,
}

/// Entries that were to be stored in a tier and were not, or that it held and could not return, by reason.
///
/// ```
/// # use scrubjay::{Cache, Memory};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let pages: Cache<u64, String> =
///     Cache::builder("pages").memory(Memory::bytes(64 << 10)).build().await?;
/// // A page larger than the whole cache is returned all the same, and counted.
/// let large = async |_| Ok::<_, std::io::Error>("x".repeat(1 << 20));
/// assert_eq!(pages.get_or_load(&1, large).await?.len(), 1 << 20);
/// assert_eq!(pages.stats().memory.drops.too_large, 1);
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drops {
    /// They weigh more than the tier may hold.
    pub too_large: u64,
    /// The weigher said 0, or an option of theirs was out of its limits.
    pub invalid: u64,
    /// They did not serialise.
    pub not_encoded: u64,
    /// They were invalidated on their way.
    pub invalidated: u64,
    /// Their time was over on their way.
    pub expired: u64,
    /// Their bytes were not intact.
    pub corrupt: u64,
    /// Their bytes were intact, and the codec could not decode them.
    pub not_decoded: u64,
    /// They were of another schema version, codec or key.
    pub foreign: u64,
    /// Too much waited to be written already.
    pub queue_full: u64,
    /// The tier's admission policy kept them out.
    pub not_admitted: u64,
    /// The device failed.
    pub failed: u64,
    /// The device did not answer in time.
    pub timed_out: u64,
    /// The device was left alone, since it had failed, or the tier was not there.
    pub skipped: u64,
}

/// What memory says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Level {
    pub(crate) entries: u64,
    pub(crate) weight: u64,
    pub(crate) capacity: u64,
    pub(crate) unit: Unit,
    pub(crate) departures: Departures,
}

/// What the tiers below memory say of themselves, each that there is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lower {
    pub(crate) compressed: Option<TierStats>,
    pub(crate) disk: Option<(TierStats, DiskStats)>,
    pub(crate) remote: Option<(TierStats, RemoteStats)>,
    pub(crate) object: Option<(TierStats, ObjectStats)>,
}

impl Level {
    /// What the tier holds now, and what has left it.
    pub(crate) fn of<K: Hash + Eq, V>(tier: &Tier<K, V>, unit: Unit) -> Level {
        Level {
            entries: u64::try_from(tier.len()).unwrap_or(u64::MAX),
            weight: tier.weight(),
            capacity: tier.capacity(),
            unit,
            departures: Departures {
                removed: tier.departed_count(Reason::Removed),
                replaced: tier.departed_count(Reason::Replaced),
                expired: tier.departed_count(Reason::Expired),
                evicted: tier.departed_count(Reason::Evicted),
                over_quota: tier.departed_count(Reason::OverQuota),
                promoted: 0,
            },
        }
    }
}

impl Stats {
    /// The share of lookups that needed no loader, 0 to 1; 0 before the first. Stale hits are hits.
    pub fn hit_ratio(&self) -> f64 {
        let lookups = self.memory.hits + self.memory.stale_hits + self.memory.misses;
        if lookups == 0 { 0.0 } else { real(self.hits()) / real(lookups) }
    }

    /// Lookups that some tier answered, stale ones included.
    pub fn hits(&self) -> u64 {
        let below = [&self.compressed, &self.disk, &self.remote, &self.object];
        let below = below.into_iter().flatten().map(|tier| tier.hits + tier.stale_hits);
        self.memory.hits + self.memory.stale_hits + below.sum::<u64>()
    }

    /// The mean time of a load, 0 before the first.
    pub fn load_seconds_mean(&self) -> f64 {
        if self.loads == 0 { 0.0 } else { self.load_seconds / real(self.loads) }
    }

    /// What the hits would have cost without the cache: their number times the mean time of a load.
    pub fn seconds_saved(&self) -> f64 {
        real(self.hits()) * self.load_seconds_mean()
    }
}

impl TierStats {
    /// The share of this tier's lookups that it answered, 0 to 1; 0 before the first.
    pub fn hit_ratio(&self) -> f64 {
        let hits = self.hits + self.stale_hits;
        if hits + self.misses == 0 { 0.0 } else { real(hits) / real(hits + self.misses) }
    }
}

impl Departures {
    /// Each with the name of its reason, as the exported metrics have it.
    pub(crate) fn by_reason(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("removed", self.removed),
            ("replaced", self.replaced),
            ("expired", self.expired),
            ("evicted", self.evicted),
            ("over_quota", self.over_quota),
            ("promoted", self.promoted),
        ]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }
}

impl Drops {
    /// Each with the name of its reason, as the exported metrics have it.
    pub(crate) fn by_reason(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("too_large", self.too_large),
            ("invalid", self.invalid),
            ("not_encoded", self.not_encoded),
            ("invalidated", self.invalidated),
            ("expired", self.expired),
            ("corrupt", self.corrupt),
            ("not_decoded", self.not_decoded),
            ("foreign", self.foreign),
            ("queue_full", self.queue_full),
            ("not_admitted", self.not_admitted),
            ("failed", self.failed),
            ("timed_out", self.timed_out),
            ("skipped", self.skipped),
        ]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }

    fn plus(&self, other: &Drops) -> Drops {
        Drops {
            too_large: self.too_large + other.too_large,
            invalid: self.invalid + other.invalid,
            not_encoded: self.not_encoded + other.not_encoded,
            invalidated: self.invalidated + other.invalidated,
            expired: self.expired + other.expired,
            corrupt: self.corrupt + other.corrupt,
            not_decoded: self.not_decoded + other.not_decoded,
            foreign: self.foreign + other.foreign,
            queue_full: self.queue_full + other.queue_full,
            not_admitted: self.not_admitted + other.not_admitted,
            failed: self.failed + other.failed,
            timed_out: self.timed_out + other.timed_out,
            skipped: self.skipped + other.skipped,
        }
    }

    fn codec_errors(&self) -> u64 {
        self.not_encoded + self.corrupt + self.not_decoded
    }

    fn read(counters: &[AtomicU64]) -> Drops {
        let of = |why: Dropped| counters[why as usize].load(Ordering::Relaxed);
        Drops {
            too_large: of(Dropped::TooLarge),
            invalid: of(Dropped::Invalid),
            invalidated: of(Dropped::Invalidated),
            expired: of(Dropped::Expired),
            ..Drops::default()
        }
    }
}

impl Counters {
    /// Everything that was counted, with what memory holds now, and the own counts of the tiers below that there are.
    pub(crate) fn read(&self, memory: Level, lower: Lower) -> Stats {
        let Lower { compressed, disk, remote, object } = lower;
        let own = [disk.as_ref().map(|disk| &disk.0), remote.as_ref().map(|remote| &remote.0)];
        let own = own.into_iter().chain([compressed.as_ref(), object.as_ref().map(|object| &object.0)]).flatten();
        let codec_errors = own.map(|tier| tier.drops.codec_errors()).sum();
        // A load's end is counted before its time and read after it: no time is without its load.
        let load_seconds = Duration::from_nanos(self.rare(Rare::LoadNanoseconds)).as_secs_f64();
        let load_errors = self.rare(Rare::LoadError);
        Stats {
            memory: self.read_memory(memory),
            codec_errors,
            compressed: compressed.map(|tier| self.add_to_compressed(tier)),
            disk_store: disk.as_ref().map(|(_, store)| store.clone()),
            disk: disk.map(|(tier, _)| self.add_to_disk(tier)),
            remote_store: remote.as_ref().map(|(_, store)| store.clone()),
            remote: remote.map(|(tier, _)| self.add_to_remote(tier)),
            object_store: object.as_ref().map(|(_, store)| store.clone()),
            object: object.map(|(tier, _)| self.add_to_object(tier)),
            loads: load_errors + self.rare(Rare::LoadOk),
            load_errors,
            load_seconds,
            load_times: self.load_times.read(),
            waiters: self.rare(Rare::Wait),
            waiting: self.waiting.load(Ordering::Relaxed),
            joined: self.rare(Rare::Joined),
            revoked: self.rare(Rare::Revoked),
            refreshes: self.rare(Rare::Refresh),
            soft_timeouts: self.rare(Rare::SoftTimeout),
            hard_timeouts: self.rare(Rare::HardTimeout),
            fail_safe_hits: self.rare(Rare::FailSafeHit),
            backed_off: self.rare(Rare::BackedOff),
            negative_hits: self.frequent(Frequent::NegativeHit),
            waiters_refused: self.rare(Rare::WaiterRefused),
            listener_panics: self.rare(Rare::ListenerPanic),
        }
    }

    /// The tier's own numbers, with what the cache counted for it: lookups as they ended for the caller, and what was dropped
    /// on the way.
    fn add_to_compressed(&self, tier: TierStats) -> TierStats {
        let on_the_way = Drops::read(&self.compressed_dropped);
        TierStats {
            hits: self.frequent(Frequent::CompressedHit),
            stale_hits: self.frequent(Frequent::CompressedStaleHit),
            misses: self.frequent(Frequent::CompressedMiss),
            drops: tier.drops.plus(&on_the_way),
            ..tier
        }
    }

    /// The same for the disk tier.
    fn add_to_disk(&self, tier: TierStats) -> TierStats {
        let on_the_way = Drops::read(&self.disk_dropped);
        TierStats {
            hits: self.frequent(Frequent::DiskHit),
            stale_hits: self.frequent(Frequent::DiskStaleHit),
            misses: self.frequent(Frequent::DiskMiss),
            drops: tier.drops.plus(&on_the_way),
            ..tier
        }
    }

    /// The same for the remote tier, which counts what is dropped itself.
    fn add_to_remote(&self, tier: TierStats) -> TierStats {
        TierStats {
            hits: self.frequent(Frequent::RemoteHit),
            stale_hits: self.frequent(Frequent::RemoteStaleHit),
            misses: self.frequent(Frequent::RemoteMiss),
            ..tier
        }
    }

    /// And for the object tier.
    fn add_to_object(&self, tier: TierStats) -> TierStats {
        TierStats {
            hits: self.rare(Rare::ObjectHit),
            stale_hits: self.rare(Rare::ObjectStaleHit),
            misses: self.rare(Rare::ObjectMiss),
            ..tier
        }
    }

    fn read_memory(&self, level: Level) -> TierStats {
        TierStats {
            hits: self.frequent(Frequent::MemoryHit),
            stale_hits: self.frequent(Frequent::MemoryStaleHit),
            misses: self.frequent(Frequent::MemoryMiss),
            inserts: self.frequent(Frequent::MemoryInsert),
            departures: level.departures,
            drops: Drops::read(&self.memory_dropped),
            entries: level.entries,
            weight: level.weight,
            capacity: level.capacity,
            unit: level.unit,
        }
    }
}

impl From<&CompressedTier> for TierStats {
    /// What the tier knows of itself: its entries, and not what a lookup was worth to its caller.
    fn from(tier: &CompressedTier) -> TierStats {
        let counts = tier.counts();
        TierStats {
            inserts: counts.inserts,
            departures: Departures {
                removed: counts.removed,
                replaced: counts.replaced,
                expired: counts.expired,
                evicted: counts.evicted,
                promoted: counts.promoted,
                ..Departures::default()
            },
            drops: Drops {
                too_large: counts.drops_too_large,
                not_encoded: counts.drops_not_encoded,
                invalidated: counts.drops_invalidated,
                corrupt: counts.drops_corrupt,
                not_decoded: counts.drops_undecodable,
                foreign: counts.drops_foreign,
                ..Drops::default()
            },
            entries: tier.len().try_into().unwrap_or(u64::MAX),
            weight: tier.weight(),
            capacity: tier.capacity(),
            unit: Unit::Bytes,
            ..TierStats::default()
        }
    }
}

/// A count as a number with a fraction: exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "a count beyond 2^53 may lose its last digits in a ratio")]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}
