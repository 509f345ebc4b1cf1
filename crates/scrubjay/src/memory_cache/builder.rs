//! What a [`MemoryCache`] is made of, validated once.

use super::admission::{Admission, Weigher};
use super::flight::Stripes;
use super::{Listener, MemoryCache, Shared};
use crate::clock::Clock;
use crate::error::Error;
use crate::limits::{Partitioner, milliseconds};
use crate::memory::{Budget, Memory, Reason, Tier, TierOptions};
use crate::stats::Counters;
use crate::weigh::{entry_weight, heap_bytes};
use serde::Serialize;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Configures a [`MemoryCache`]; made by [`MemoryCache::builder`].
///
/// ```
/// use scrubjay::{Memory, MemoryCache};
///
/// // Sessions may take a quarter of the budget, whatever else there is.
/// let cache = MemoryCache::<String, Vec<u8>>::builder()
///     .memory(Memory::bytes(8 << 20).partition("session", 2 << 20))
///     .partition_by(|key| key.starts_with("session:").then_some("session"))
///     .on_departure(|key, _, reason| println!("{key} left: {reason:?}"))
///     .build()?;
/// # assert_eq!(cache.capacity(), 8 << 20);
/// # Ok::<(), scrubjay::Error>(())
/// ```
#[must_use]
pub struct MemoryCacheBuilder<K, V> {
    memory: Option<Memory>,
    weigher: Weigher<K, V>,
    time_to_live: Option<Duration>,
    clock: Clock,
    partitioner: Option<Partitioner<K>>,
    listener: Option<Listener<K, V>>,
}

impl<K, V> MemoryCacheBuilder<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    pub(super) fn new() -> MemoryCacheBuilder<K, V> {
        MemoryCacheBuilder {
            memory: None,
            weigher: Weigher::One,
            time_to_live: None,
            clock: Clock::default(),
            partitioner: None,
            listener: None,
        }
    }

    /// The budget. In bytes, an entry weighs what the tier takes for it and what key and value hold on the heap, as
    /// serde shows it: an estimate without spare capacity, which costs a walk through the value on every insert. For
    /// types that do not serialise there is [`memory_with`](MemoryCacheBuilder::memory_with), or
    /// [`entries`](MemoryCacheBuilder::entries).
    pub fn memory(mut self, memory: Memory) -> MemoryCacheBuilder<K, V>
    where
        K: Serialize,
        V: Serialize,
    {
        self.weigher = match memory.budget {
            Budget::Entries(_) => Weigher::One,
            Budget::Bytes(_) => Weigher::By(Box::new(|key, value| {
                entry_weight(Tier::<K, V>::entry_bytes(), heap_bytes(key), heap_bytes(value))
            })),
        };
        self.memory = Some(memory);
        self
    }

    /// The budget, and who says what an entry weighs, in its units: at least 1. What the weigher says is taken as it is, so
    /// for bytes it should count what the entry itself takes too: size of key and value, what they hold on the heap,
    /// and 32 bytes.
    pub fn memory_with(
        mut self,
        memory: Memory,
        weigher: impl Fn(&K, &V) -> u32 + Send + Sync + 'static,
    ) -> MemoryCacheBuilder<K, V> {
        self.weigher = Weigher::By(Box::new(weigher));
        self.memory = Some(memory);
        self
    }

    /// A budget of so many entries, of any type.
    pub fn entries(mut self, entries: u64) -> MemoryCacheBuilder<K, V> {
        self.weigher = Weigher::One;
        self.memory = Some(Memory::entries(entries));
        self
    }

    /// How long entries are kept that do not say it themselves. Without it, for ever.
    pub fn time_to_live(mut self, ttl: Duration) -> MemoryCacheBuilder<K, V> {
        self.time_to_live = Some(ttl);
        self
    }

    /// Where time comes from: the system, if this is not called.
    pub fn clock(mut self, clock: Clock) -> MemoryCacheBuilder<K, V> {
        self.clock = clock;
        self
    }

    /// To which of the [partitions](Memory::partition) a key belongs; `None` is to none of them.
    pub fn partition_by(
        mut self,
        name_of: impl for<'a> Fn(&'a K) -> Option<&'a str> + Send + Sync + 'static,
    ) -> MemoryCacheBuilder<K, V> {
        self.partitioner = Some(Box::new(name_of));
        self
    }

    /// Told of every entry that left, once, with the reason: by the thread whose call made it leave, after the call's work
    /// is done, under no lock; so it may use the cache. If it panics, that is counted and goes no further.
    pub fn on_departure(
        mut self,
        listener: impl Fn(&K, &V, Reason) + Send + Sync + 'static,
    ) -> MemoryCacheBuilder<K, V> {
        self.listener = Some(Box::new(listener));
        self
    }

    /// The cache.
    ///
    /// # Errors
    /// `Invalid`: a setting is missing or beyond its limit; the message names the field, the value and the limit.
    pub fn build(self) -> Result<MemoryCache<K, V>, Error> {
        let memory =
            self.memory.ok_or_else(|| Error::invalid("memory is not set, must be Memory::bytes or Memory::entries"))?;
        memory.validate(self.partitioner.is_some())?;
        let (Budget::Bytes(capacity) | Budget::Entries(capacity)) = memory.budget;
        let capacity_min = memory.capacity_min();
        let ttl_ms = self.time_to_live.map_or(Ok(0), |ttl| milliseconds("time_to_live", ttl))?;
        let admission = Admission {
            clock: self.clock.clone(),
            weigher: self.weigher,
            capacity: AtomicU64::new(capacity),
            capacity_min,
            ttl_ms,
            partitions: memory.partitions.clone(),
            partitioner: self.partitioner,
        };
        let budget = memory.budget;
        let is_watched = self.listener.is_some();
        let tier = Tier::new(TierOptions { memory, clock: self.clock, epochs: None, is_watched });
        let (stripes, counters) = (Stripes::new(), Counters::new());
        let shared = Shared { tier, budget, stripes, admission, counters, listener: self.listener };
        Ok(MemoryCache { shared: Arc::new(shared) })
    }
}

impl<K, V> fmt::Debug for MemoryCacheBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCacheBuilder")
            .field("memory", &self.memory)
            .field("time_to_live", &self.time_to_live)
            .finish_non_exhaustive()
    }
}
