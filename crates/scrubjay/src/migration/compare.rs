//! A sample of reads in which both caches are asked, and what of it is counted.
//!
//! The two are not changed in one moment, so whatever differs is looked at once more before it counts.

use super::{Inner, Migration};
use crate::key::Key;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Comparisons at once; others are passed by, and counted.
const AT_ONCE: usize = 64;
/// What the share of reads is counted in.
const UNITS: u64 = 1 << 32;

type Same<V> = Arc<dyn Fn(&V, &V) -> bool + Send + Sync>;

/// Which reads are compared, and how.
pub(super) struct Sampling<V> {
    same: Option<Same<V>>,
    /// Of [`UNITS`], how much a read adds; a comparison is due whenever the sum passes a whole.
    step: u64,
    sum: AtomicU64,
    seats: Arc<Semaphore>,
}

/// What a comparison found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Same,
    MissingInNew,
    MissingInOld,
    Differs,
}

impl<V> Sampling<V> {
    pub(super) fn off() -> Sampling<V> {
        Sampling { same: None, step: 0, sum: AtomicU64::new(0), seats: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    fn of(share: f64, same: Same<V>) -> Sampling<V> {
        let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
        let parts = (1..=32).rev().fold((0_u64, share), |(sum, left), bit| {
            // Bit by bit, since there is no lossless way from a float to an integer.
            let weight = 1.0 / f64::from(1_u32 << (32 - bit));
            if left >= weight { (sum + (1 << bit), left - weight) } else { (sum, left) }
        });
        Sampling { same: Some(same), step: parts.0.min(UNITS), ..Sampling::off() }
    }

    /// Whether one of the next `reads` is to be compared.
    pub(super) fn is_due(&self, reads: u64) -> bool {
        if self.step == 0 {
            return false;
        }
        let step = self.step.saturating_mul(reads.min(UNITS));
        let before = self.sum.fetch_add(step, Ordering::Relaxed);
        before / UNITS != before.wrapping_add(step) / UNITS
    }

    /// A seat among those who compare, if one is free.
    pub(super) fn seat(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.seats).try_acquire_owned().ok()
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Inner<K, V> {
    /// Whether both have the same, or both nothing.
    pub(super) async fn compare(&self, key: &K) -> bool {
        let mut found = self.look(key).await;
        if found != Found::Same {
            found = self.look(key).await;
        }
        self.counters.count_compared(found);
        found == Found::Same
    }

    async fn look(&self, key: &K) -> Found {
        let (old, new) = (self.old.get(key).await, self.new.get(key).await);
        match (old, new) {
            (None, None) => Found::Same,
            (Some(_), None) => Found::MissingInNew,
            (None, Some(_)) => Found::MissingInOld,
            (Some(old), Some(new)) => match &self.sampling.same {
                Some(same) if !same(&old, &new) => Found::Differs,
                _ => Found::Same,
            },
        }
    }
}

/// # Comparing
impl<K: Key, V: Clone + Send + Sync + 'static> Migration<K, V> {
    /// Asks both caches in this share of the reads, 0 to 1, behind the caller's back, and counts what it finds
    /// ([`MigrationStats`](crate::MigrationStats)). Nothing is compared in [`Phase::Old`](crate::Phase::Old). To be said before the first clone.
    #[must_use]
    pub fn compare_reads(self, share: f64) -> Migration<K, V>
    where
        V: PartialEq,
    {
        self.compare_reads_with(share, V::eq)
    }

    /// The same where values are equal in another way than `==`, or not comparable by it.
    #[must_use]
    pub fn compare_reads_with(
        mut self,
        share: f64,
        same: impl Fn(&V, &V) -> bool + Send + Sync + 'static,
    ) -> Migration<K, V> {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.sampling = Sampling::of(share, Arc::new(same));
        }
        self
    }

    /// Compares one key now. For tests, and for a job that goes through keys that it knows. Says whether both caches have the
    /// same, or both nothing; [`stats`](Migration::stats) counts it, too.
    ///
    /// ```
    /// # use scrubjay::{Cache, Memory, Migration};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let old: Cache<u64, u64> = Cache::builder("old").memory(Memory::bytes(1 << 20)).build().await?;
    /// # let new: Cache<u64, u64> = Cache::builder("new").memory(Memory::bytes(1 << 20)).build().await?;
    /// let migration = Migration::new(old, new)?.compare_reads(0.1);
    /// migration.insert(1, 10).await?; // in `Phase::Old`
    /// assert!(!migration.compare(&1).await);
    /// assert_eq!(migration.stats().missing_in_new, 1);
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn compare(&self, key: &K) -> bool {
        self.inner.compare(key).await
    }
}
