//! What a migration counts, and how its two caches are.

use super::compare::Found;
use super::{Phase, Side};
use crate::health::Health;
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// What has happened in a [`Migration`](super::Migration) since it was made.
///
/// ```
/// # use scrubjay::{Cache, Memory, Migration, Phase};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let old: Cache<u64, u64> = Cache::builder("old").memory(Memory::bytes(1 << 20)).build().await?;
/// # let new: Cache<u64, u64> = Cache::builder("new").memory(Memory::bytes(1 << 20)).build().await?;
/// let migration = Migration::new(old, new)?;
/// migration.set_phase(Phase::New).await?;
/// migration.get(&1).await;
/// let stats = migration.stats();
/// assert_eq!((stats.reads_of_old, stats.reads_of_new), (0, 1));
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigrationStats {
    /// How far it is.
    pub phase: Phase,
    /// Keys that were looked up in the old cache.
    pub reads_of_old: u64,
    /// Keys that were looked up in the new cache.
    pub reads_of_new: u64,
    /// Changes that the old cache did not take while the new one was read.
    pub errors_of_old: u64,
    /// Changes that the new cache did not take while the old one was read.
    pub errors_of_new: u64,
    /// Loads that did not go by way of the other cache, since it was closed or slow: it has no value of such a key.
    pub loads_apart: u64,
    /// Reads in which both were asked.
    pub compared: u64,
    /// Of those, the old cache alone had a value.
    pub missing_in_new: u64,
    /// The new cache alone had one.
    pub missing_in_old: u64,
    /// Both had one, and not the same.
    pub differs: u64,
    /// Reads that were to be compared and were not, since 64 others were at it.
    pub passed_by: u64,
}

impl MigrationStats {
    /// Comparisons that found anything but the same.
    pub fn mismatches(&self) -> u64 {
        self.missing_in_new.saturating_add(self.missing_in_old).saturating_add(self.differs)
    }
}

/// How both caches of a [`Migration`](super::Migration) are doing.
///
/// ```
/// # use scrubjay::{Cache, Memory, Migration};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let old: Cache<u64, u64> = Cache::builder("old").memory(Memory::bytes(1 << 20)).build().await?;
/// # let new: Cache<u64, u64> = Cache::builder("new").memory(Memory::bytes(1 << 20)).build().await?;
/// let migration = Migration::new(old, new)?;
/// let health = migration.health();
/// assert!(health.is_serving() && health.new.is_serving());
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MigrationHealth {
    /// How far it is.
    pub phase: Phase,
    /// The old cache's.
    pub old: Health,
    /// The new cache's.
    pub new: Health,
}

impl MigrationHealth {
    /// Whether every cache that is read does everything that it is for.
    pub fn is_serving(&self) -> bool {
        match self.phase {
            Phase::Old | Phase::DualWrite => self.old.is_serving(),
            Phase::Reading { .. } => self.old.is_serving() && self.new.is_serving(),
            Phase::New => self.new.is_serving(),
        }
    }
}

/// Where it is counted.
#[derive(Default)]
pub(super) struct Counters {
    reads: [AtomicU64; 2],
    errors: [AtomicU64; 2],
    loads_apart: AtomicU64,
    same: AtomicU64,
    missing_in_new: AtomicU64,
    missing_in_old: AtomicU64,
    differs: AtomicU64,
    passed_by: AtomicU64,
}

impl Counters {
    pub(super) fn count_reads(&self, side: Side, keys: u64) {
        self.reads[usize::from(side == Side::New)].fetch_add(keys, Ordering::Relaxed);
    }

    pub(super) fn count_error(&self, side: Side) {
        self.errors[usize::from(side == Side::New)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_load_apart(&self) {
        self.loads_apart.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_passed_by(&self) {
        self.passed_by.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_compared(&self, found: Found) {
        let counter = match found {
            Found::Same => &self.same,
            Found::MissingInNew => &self.missing_in_new,
            Found::MissingInOld => &self.missing_in_old,
            Found::Differs => &self.differs,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, phase: Phase) -> MigrationStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = MigrationStats {
            phase,
            reads_of_old: read(&self.reads[0]),
            reads_of_new: read(&self.reads[1]),
            errors_of_old: read(&self.errors[0]),
            errors_of_new: read(&self.errors[1]),
            loads_apart: read(&self.loads_apart),
            compared: 0,
            missing_in_new: read(&self.missing_in_new),
            missing_in_old: read(&self.missing_in_old),
            differs: read(&self.differs),
            passed_by: read(&self.passed_by),
        };
        stats.compared = read(&self.same).saturating_add(stats.mismatches());
        stats
    }
}
