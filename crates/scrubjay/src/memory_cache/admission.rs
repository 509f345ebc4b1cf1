//! What an entry must be to be stored: its weight, its deadline, its cost and its partition, each within its limits.
//!
//! It calls the weigher and the partitioner, which are user code: never under a lock.

use crate::clock::{Clock, TIME_MS_MAX};
use crate::error::Error;
use crate::limits::{self, Partitioner, check_capacity, cost_class, milliseconds};
use crate::memory::NewEntry;
use crate::options::EntryOptions;
use std::sync::atomic::{AtomicU64, Ordering};

/// What an entry weighs, in units of the budget.
type Weigh<K, V> = Box<dyn Fn(&K, &V) -> u32 + Send + Sync>;

/// Who says what an entry weighs.
pub(super) enum Weigher<K, V> {
    /// Every entry weighs 1.
    One,
    By(Weigh<K, V>),
}

/// The rules of admission of one cache.
pub(super) struct Admission<K, V> {
    pub(super) clock: Clock,
    pub(super) weigher: Weigher<K, V>,
    /// The budget and its least.
    pub(super) capacity: AtomicU64,
    pub(super) capacity_min: u64,
    /// Milliseconds; 0 is for ever.
    pub(super) ttl_ms: u64,
    /// In the order of their indices in the tier, with their quotas.
    pub(super) partitions: Vec<(String, u64)>,
    pub(super) partitioner: Option<Partitioner<K>>,
}

/// How an admitted entry is kept.
#[derive(Debug)]
pub(super) struct Terms {
    weight: u32,
    deadline_ms: u64,
    cost: u8,
    partition: u16,
}

impl Terms {
    pub(super) fn entry<K, V>(self, key: K, value: V) -> NewEntry<K, V> {
        let Terms { weight, deadline_ms, cost, partition } = self;
        NewEntry { key, value, weight, deadline_ms, cost, partition }
    }

    /// The same with another deadline.
    pub(super) fn until(self, deadline_ms: u64) -> Terms {
        Terms { deadline_ms, ..self }
    }
}

impl<K, V> Admission<K, V> {
    /// The terms of an entry.
    ///
    /// # Errors
    /// `Invalid`: what of it is beyond which limit.
    #[inline]
    pub(super) fn admit(&self, key: &K, value: &V, options: &EntryOptions) -> Result<Terms, Error> {
        if let Some(tag) = options.tags.first() {
            return Err(Error::invalid(format!("tags has {tag:?}, must be empty: a MemoryCache keeps no tags")));
        }
        let (partition, quota) = match &self.partitioner {
            Some(name_of) => limits::partition(name_of(key), &self.partitions)?,
            None => (0, None),
        };
        let capacity = self.capacity.load(Ordering::Relaxed);
        let limit = quota.map_or(capacity, |quota| quota.min(capacity));
        let weight = match (options.weight, &self.weigher) {
            (Some(weight), _) => weight,
            (None, Weigher::One) => 1,
            (None, Weigher::By(weigh)) => weigh(key, value),
        };
        if weight == 0 || u64::from(weight) > limit {
            return Err(Error::invalid(format!("weight of the entry is {weight}, must be 1..={limit}")));
        }
        let ttl_ms = match options.time_to_live {
            Some(ttl) => milliseconds("time_to_live of the entry", ttl)?,
            None => self.ttl_ms,
        };
        let deadline_ms = if ttl_ms == 0 { 0 } else { self.clock.now_ms().saturating_add(ttl_ms).min(TIME_MS_MAX) };
        Ok(Terms { weight, deadline_ms, cost: options.cost.map_or(0, cost_class), partition })
    }

    /// Sets the budget.
    ///
    /// # Errors
    /// `Invalid`: it is less than the least.
    pub(super) fn resize(&self, capacity: u64) -> Result<(), Error> {
        check_capacity("capacity", capacity, self.capacity_min)?;
        self.capacity.store(capacity, Ordering::Relaxed);
        Ok(())
    }
}
