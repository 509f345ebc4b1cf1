//! The synchronous face: the memory tier alone, for programs without a runtime.
//!
//! It owns what the tier does not know: the weigher, times to live, partitions by key, the listener, and one flight per
//! key among threads (`flight.rs`). It knows nothing of codecs, tags, other tiers or futures.
//!
//! Lock order: a stripe of flights, then a shard of the tier. User code runs under neither, but for what says so at
//! [`MemoryCache::update`] and [`MemoryCache::retain`].

mod admission;
mod builder;
mod flight;
mod load;
mod write;

pub use builder::MemoryCacheBuilder;

use crate::error::Error;
use crate::memory::{Budget, Departed, Reason, Tier};
use crate::stats::{Counters, Frequent, Level, Lower, Rare, Stats, Unit};
use admission::Admission;
use flight::Stripes;
use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Entries that one step of [`MemoryCache::expire`] takes out, so that writers wait for no longer than that.
const EXPIRE_STEP: usize = 1024;

/// A cache in memory, bounded by weight, shared by threads. A clone is another handle of the same cache.
///
/// Reads take no lock. What a read returns was stored for that very key, is not expired, and was not removed: an entry
/// may be gone at any time, since the cache makes room as it sees fit, but it is never wrong.
///
/// ```
/// use scrubjay::{Memory, MemoryCache};
/// use std::time::Duration;
///
/// let users: MemoryCache<u64, String> = MemoryCache::builder()
///     .memory(Memory::bytes(1 << 20))
///     .time_to_live(Duration::from_secs(60))
///     .build()?;
///
/// users.insert(42, "Ada".to_owned())?;
/// assert_eq!(users.get(&42).as_deref(), Some("Ada"));
///
/// // Many threads may miss the same key: one computes, the others wait for it and share.
/// let name = users.get_or_insert_with(&7, || "Grace".to_owned());
/// assert_eq!(name, "Grace");
///
/// users.update(&42, |name| name.push_str(" Lovelace"))?;
/// assert_eq!(users.remove(&42).as_deref(), Some("Ada Lovelace"));
/// assert_eq!(users.get(&42), None);
/// # Ok::<(), scrubjay::Error>(())
/// ```
pub struct MemoryCache<K, V> {
    shared: Arc<Shared<K, V>>,
}

/// Whoever wants to know what left.
type Listener<K, V> = Box<dyn Fn(&K, &V, Reason) + Send + Sync>;

struct Shared<K, V> {
    tier: Tier<K, V>,
    budget: Budget,
    stripes: Stripes<K, V>,
    admission: Admission<K, V>,
    counters: Counters,
    listener: Option<Listener<K, V>>,
}

impl<K, V> MemoryCache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// A cache to be configured. It needs a budget, and nothing else.
    pub fn builder() -> MemoryCacheBuilder<K, V> {
        MemoryCacheBuilder::new()
    }

    /// A clone of the value. Counts as a touch: what is read often stays.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        self.get_with(key, V::clone)
    }

    /// What `f` makes of the value, without a clone of it. Keep `f` short: while it runs, memory that others remove is
    /// held back.
    pub fn get_with<Q, R>(&self, key: &Q, f: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let tier = &self.shared.tier;
        let counters = &self.shared.counters;
        let hit = |_: &K, value: &V| {
            counters.count(Frequent::MemoryHit);
            Some(f(value))
        };
        tier.get_or(tier.hash(key), key, hit, || {
            counters.count(Frequent::MemoryMiss);
            None
        })
    }

    /// A clone of the value, without a touch, and counted as neither hit nor miss.
    pub fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        let tier = &self.shared.tier;
        tier.peek(tier.hash(key), key, |_, value| value.clone())
    }

    /// Whether a read would find the key now, without a touch.
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let tier = &self.shared.tier;
        tier.peek(tier.hash(key), key, |_, _| ()).is_some()
    }

    /// A clone of each key's value, in the order of the keys. Faster than as many [`get`](MemoryCache::get)s: the
    /// memory of the next keys is fetched while the first are looked at.
    pub fn get_many(&self, keys: &[K]) -> Vec<Option<V>>
    where
        V: Clone,
    {
        let mut values = Vec::with_capacity(keys.len());
        values.resize_with(keys.len(), || None);
        let mut hits = 0;
        self.shared.tier.get_many(keys, |index, _, value| {
            values[index] = Some(value.clone());
            hits += 1;
        });
        let count = |event, count: usize| self.shared.counters.add(event, u64::try_from(count).unwrap_or(u64::MAX));
        count(Frequent::MemoryHit, hits);
        count(Frequent::MemoryMiss, keys.len() - hits);
        values
    }

    /// The keys that are there now, in no order. What comes or goes meanwhile may be among them or not.
    pub fn keys(&self) -> Vec<K>
    where
        K: Clone,
    {
        let mut keys = Vec::with_capacity(self.len());
        self.for_each(|key, _| keys.push(key.clone()));
        keys
    }

    /// Shows every entry to `f`, in no order, without touches. What comes or goes meanwhile may be seen or not. `f` must
    /// not write to this cache.
    pub fn for_each(&self, f: impl FnMut(&K, &V)) {
        self.shared.tier.for_each(f);
    }

    /// Entries, expired ones that were not collected yet among them.
    pub fn len(&self) -> usize {
        self.shared.tier.len()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the entries weigh, in units of the budget.
    pub fn weight(&self) -> u64 {
        self.shared.tier.weight()
    }

    /// The budget.
    pub fn capacity(&self) -> u64 {
        self.shared.tier.capacity()
    }

    /// Changes the budget, in its own units, and makes room for a smaller one before it returns. Quotas of partitions
    /// stay as they are. What keys and values hold outside of themselves is given back; the slots in which they lay stay with
    /// the cache, for later entries.
    ///
    /// # Errors
    /// The budget is too small, as [`build`](MemoryCacheBuilder::build) has it.
    pub fn resize(&self, capacity: u64) -> Result<(), Error> {
        self.shared.admission.resize(capacity)?;
        let departed = self.shared.tier.resize(capacity);
        self.shared.settle(departed);
        self.shared.tier.settle();
        Ok(())
    }

    /// Takes out what has expired, and says how many entries that were. Inserts do this on their own, a little each: it is
    /// for caches that stand idle while their memory is wanted.
    pub fn expire(&self) -> usize {
        let count = || self.shared.tier.departed_count(Reason::Expired);
        let before = count();
        loop {
            let step = count();
            let departed = self.shared.tier.expire(EXPIRE_STEP);
            self.shared.settle(departed);
            if count() == step {
                return usize::try_from(step - before).unwrap_or(usize::MAX);
            }
        }
    }

    /// What the cache has done since it was built, and what it holds now.
    pub fn stats(&self) -> Stats {
        let unit = match self.shared.budget {
            Budget::Bytes(_) => Unit::Bytes,
            Budget::Entries(_) => Unit::Entries,
        };
        self.shared.counters.read(Level::of(&self.shared.tier, unit), Lower::default())
    }
}

impl<K, V> Shared<K, V> {
    #[inline]
    fn count_lookup(&self, is_hit: bool) {
        self.counters.count(if is_hit { Frequent::MemoryHit } else { Frequent::MemoryMiss });
    }

    /// Tells the listener what left. Called without any lock.
    fn settle(&self, departed: Departed<'_, K, V>) {
        let Some(listener) = &self.listener else { return };
        departed.each(|leaver| {
            let told = catch_unwind(AssertUnwindSafe(|| listener(leaver.key, leaver.value, leaver.reason)));
            if told.is_err() {
                self.counters.count_rare(Rare::ListenerPanic);
            }
        });
    }
}

impl<K, V> Clone for MemoryCache<K, V> {
    fn clone(&self) -> MemoryCache<K, V> {
        MemoryCache { shared: Arc::clone(&self.shared) }
    }
}

impl<K, V> fmt::Debug for MemoryCache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCache")
            .field("capacity", &self.capacity())
            .field("weight", &self.weight())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
