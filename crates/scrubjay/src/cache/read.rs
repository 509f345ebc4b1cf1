//! The read path: where a lookup goes, tier by tier.
//!
//! [`Shared::find`] is the whole of it. A fresh hit in memory is one lookup in the tier, two comparisons, a clone and a
//! counter of the thread's own: no lock, nothing written that others write, and no clock for an entry without times.

use super::on_disk::Glimpse;
use super::write::bytes_of;
use super::{Cache, Shared};
use crate::key::Key;
use crate::memory::Reason;
use crate::stats::Frequent;
use crate::stored::Stored;
use std::borrow::Borrow;
use std::hash::Hash;

/// What a lookup found.
#[derive(Debug)]
pub(crate) enum Found<V> {
    /// The value, or the knowledge that there is none.
    Fresh(Option<V>),
    /// The same, and whoever has a loader starts a refresh behind.
    RefreshDue(Option<V>),
    /// Past its time. Only who has a loader may use it.
    Stale(Stale<V>),
    /// Nothing that may serve anybody.
    Miss,
}

/// A value past its time.
#[derive(Debug)]
pub(crate) struct Stale<V> {
    pub(crate) value: V,
    /// It may be served at once, while a refresh runs.
    pub(crate) is_served_at_once: bool,
    /// Until when it may be served if the loader fails or takes longer than the soft timeout.
    pub(crate) fail_safe_until_ms: u64,
}

/// Where a lookup sets out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// From the top.
    Memory,
    /// Below the flight: memory was asked, and the caller leads.
    BelowFlight,
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// The read path.
    pub(crate) async fn find<Q>(&self, hash: u64, key: &Q, start: Start) -> Found<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        // the tiers of this process
        let found = self.find_near(hash, key, start).await;

        // remote: shared with other processes. What the tiers above have past its time, it has no fresher: they are told
        // of every change.
        if self.has_far() && matches!(found, Found::Miss) {
            return Box::pin(self.find_far(hash, key, start)).await.found;
        }

        found
    }

    /// The part of it that lies in this process and on its machine.
    pub(super) async fn find_near<Q>(&self, hash: u64, key: &Q, start: Start) -> Found<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let mut found = Found::Miss;

        // memory: typed objects, no decoding
        if start == Start::Memory {
            found = self.find_in_memory(hash, key);
            if let Found::Fresh(_) | Found::RefreshDue(_) = found {
                return found;
            }
            self.counters.count(Frequent::MemoryMiss);
        }

        // flight: who has a loader waits here for another's load of the key, or leads one (load.rs) and sets out again
        // below. Who has none passes.

        // compressed: bytes in memory; what is fresh there goes up
        if let Some(compressed) = &self.compressed {
            let below = self.find_in_compressed(compressed, hash, key, start);
            if !matches!(below, Found::Miss) {
                return below;
            }
        }

        // disk: local, survives restarts; what is fresh there goes up. What memory has past its time, the disk has no fresher.
        if let (Some(disk), Found::Miss) = (&self.disk, &found) {
            return match self.look_on_disk(disk, hash, key, start) {
                Glimpse::Settled(found) => found,
                Glimpse::Waits(descent) => Box::pin(self.wait_for_disk(disk, hash, descent, start)).await,
            };
        }

        found
    }

    /// A hit that is nothing but that: a value that is valid, fresh, and not due. Everything else is a miss and uncounted, for
    /// [`find_in_memory`](Shared::find_in_memory) to tell apart.
    ///
    /// Beside that one only for speed: here nothing but the value is moved, at once into the form and the place where the
    /// caller wants it.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the hit path: the answer is written where the caller wants it")]
    pub(super) fn hit_in_memory<Q, R>(&self, hash: u64, key: &Q, hit: impl FnOnce(V) -> R, miss: impl Fn() -> R) -> R
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let judge = |_: &K, stored: &Stored<V>| {
            if self.stamps.is_valid(stored.born, stored.tags.as_deref())
                && !self.is_due(stored)
                && let Some(value) = &stored.value
            {
                self.counters.count(Frequent::MemoryHit);
                return hit(value.clone());
            }
            miss()
        };
        self.memory.get_or(hash, key, judge, &miss)
    }

    /// Whether a hit is more than a hit. Asks the clock only for an entry that has times.
    #[inline]
    fn is_due(&self, stored: &Stored<V>) -> bool {
        self.clock.is_past(stored.due_ms)
    }

    /// Looks in memory alone, and counts a hit. What a miss or a stale value is counted as is the caller's to say.
    pub(crate) fn find_in_memory<Q>(&self, hash: u64, key: &Q) -> Found<V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match self.memory.get(hash, key, |_, stored| self.judge(stored)) {
            Some(Some(found)) => {
                self.count_hit(&found);
                found
            }
            None => Found::Miss,
            Some(None) => {
                self.bury(hash, key);
                Found::Miss
            }
        }
    }

    /// The same without a touch, and uncounted.
    pub(super) fn peek_in_memory<Q>(&self, hash: u64, key: &Q) -> Found<V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.memory.peek(hash, key, |_, stored| self.judge(stored)).flatten().unwrap_or(Found::Miss)
    }

    /// What an entry in memory is good for; `None` if it was invalidated.
    #[inline]
    pub(super) fn judge(&self, stored: &Stored<V>) -> Option<Found<V>> {
        if !self.stamps.is_valid(stored.born, stored.tags.as_deref()) {
            return None;
        }
        if !self.is_due(stored) {
            return Some(Found::Fresh(stored.value.clone()));
        }
        Some(self.judge_due(stored.value.clone(), stored.fresh_until_ms))
    }

    #[cold]
    pub(super) fn judge_due(&self, value: Option<V>, fresh_until_ms: u64) -> Found<V> {
        if !self.clock.is_past(fresh_until_ms) {
            return Found::RefreshDue(value);
        }
        let Some(value) = value else { return Found::Miss };
        let late_ms = self.clock.now_ms().saturating_sub(fresh_until_ms);
        let is_served_at_once = late_ms < self.settings.stale_while_revalidate_ms;
        let is_fail_safe = late_ms < self.settings.max_stale_ms();
        if is_served_at_once || is_fail_safe {
            let fail_safe_until_ms = fresh_until_ms + self.settings.max_stale_ms();
            Found::Stale(Stale { value, is_served_at_once, fail_safe_until_ms })
        } else {
            Found::Miss
        }
    }

    #[inline]
    pub(super) fn count_hit(&self, found: &Found<V>) {
        if let Found::Fresh(value) | Found::RefreshDue(value) = found {
            self.counters.count(Frequent::MemoryHit);
            if value.is_none() {
                self.counters.count(Frequent::NegativeHit);
            }
        }
    }

    /// Takes out an entry that was invalidated by a stamp: nobody needs it, and nothing else would until it is evicted.
    #[cold]
    pub(super) fn bury<Q>(&self, hash: u64, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let is_invalid = |stored: &Stored<V>| {
            let is_invalid = !self.stamps.is_valid(stored.born, stored.tags.as_deref());
            if is_invalid {
                self.met_outdated(stored);
            }
            is_invalid
        };
        if let Some(departed) = self.memory.remove_if(hash, key, Reason::Removed, is_invalid) {
            self.let_go(departed.into());
        }
    }

    /// The same for those of the keys that stand at these indices.
    pub(super) fn bury_each(&self, keys: &[K], indices: &[usize]) {
        indices.iter().for_each(|index| self.bury(self.memory.hash(&keys[*index]), &keys[*index]));
    }
}

/// # Reading
///
/// None of these calls a loader: what is stale is a miss to them.
impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// The value of `key`, if a tier has a fresh one. What is found below memory goes up into it.
    ///
    /// Waits for nothing but the device, where there is a disk tier and the value lies on it. Dropping the future at any point is
    /// harmless.
    pub async fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.shared.memory.hash(key);
        let hit = self.shared.hit_in_memory(hash, key, Some, || None);
        if hit.is_some() {
            return hit;
        }
        match self.shared.find(hash, key, Start::Memory).await {
            Found::Fresh(value) | Found::RefreshDue(value) => value,
            Found::Stale(_) | Found::Miss => None,
        }
    }

    /// The same, but leaves everything as it is: no touch, no count, nothing goes up.
    pub async fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let shared = &*self.shared;
        match shared.peek_in_memory(shared.memory.hash(key), key) {
            Found::Fresh(value) | Found::RefreshDue(value) => return value,
            Found::Stale(_) | Found::Miss => {}
        }
        if !shared.has_below() {
            return None;
        }
        let key_bytes = bytes_of(&key.to_owned());
        let mut raised = None;
        if let Some(compressed) = &shared.compressed {
            raised = shared.read_compressed(compressed, shared.memory.hash(key), &key_bytes, false);
        }
        if let (Some(disk), None) = (&shared.disk, &raised)
            && disk.tier.holds(&key_bytes)
        {
            raised = Box::pin(shared.peek_on_disk(disk, key_bytes.clone())).await;
        }
        if shared.has_far() && raised.is_none() {
            raised = Box::pin(shared.read_far(shared.memory.hash(key), &key_bytes)).await.map(|(_, raised)| raised);
        }
        raised?.value_if_fresh(&shared.clock)
    }

    /// Whether a tier has a fresh value of `key`. Leaves everything as it is.
    pub async fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.peek(key).await.is_some()
    }
}
