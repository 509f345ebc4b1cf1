//! The read path: where a lookup goes, tier by tier.
//!
//! [`Shared::find`] is the whole of it. A fresh hit in memory is one lookup in the tier, two comparisons, a clone and a
//! counter of the thread's own: no lock, nothing written that others write, and no clock for an entry without times.

use super::write::{Entering, bytes_of};
use super::{Cache, Compressing, Shared};
use crate::entry::Times;
use crate::kept::Kept;
use crate::key::Key;
use crate::memory::{NewEntry, Reason};
use crate::stats::Frequent;
use crate::stored::Stored;
use crate::tags::TagSet;
use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::atomic::Ordering;

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

        // disk, remote, object: their places, in this order. Each fills the tiers above with what it finds.

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
        stored.due_ms != 0 && self.clock.is_past(stored.due_ms)
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
    fn judge_due(&self, value: Option<V>, fresh_until_ms: u64) -> Found<V> {
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
        let is_invalid = |stored: &Stored<V>| !self.stamps.is_valid(stored.born, stored.tags.as_deref());
        if let Some(departed) = self.memory.remove_if(hash, key, Reason::Removed, is_invalid) {
            self.let_go(departed.into());
        }
    }

    /// Looks in the compressed tier, and counts what that came to for the caller. Who set out from the top has no loader, or
    /// will set out again below the flight: nothing stale is for it.
    pub(super) fn find_in_compressed<Q>(
        &self,
        compressed: &Compressing<V>,
        hash: u64,
        key: &Q,
        start: Start,
    ) -> Found<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        // Before the look: whoever invalidates the key from here on raises it.
        let epoch = self.epochs.get(self.epochs.stripe(hash));
        let owned = key.to_owned();
        let key_bytes = bytes_of(&owned);
        let Some(raised) = self.read_compressed(compressed, hash, &key_bytes, true) else {
            return self.find_gone_up(hash, key);
        };
        if self.clock.is_past(raised.times.fresh_until_ms) {
            let found = self.judge_due(raised.value, raised.times.fresh_until_ms);
            let serves =
                matches!(&found, Found::Stale(stale) if stale.is_served_at_once) && start == Start::BelowFlight;
            self.counters.count(if serves { Frequent::CompressedStaleHit } else { Frequent::CompressedMiss });
            return found;
        }
        let found = self.judge_raised(&raised);
        self.count_compressed_hit(&found);
        self.promote(compressed, hash, epoch, owned, key_bytes, raised);
        found
    }

    /// What lies in the compressed tier past its time, if anything of use. Neither touched nor counted.
    pub(super) fn stale_below(&self, key: &K) -> Option<Stale<V>> {
        let compressed = self.compressed.as_ref()?;
        let raised = self.read_compressed(compressed, self.memory.hash(key), &bytes_of(key), false)?;
        if !self.clock.is_past(raised.times.fresh_until_ms) {
            return None;
        }
        match self.judge_due(raised.value, raised.times.fresh_until_ms) {
            Found::Stale(stale) => Some(stale),
            Found::Fresh(_) | Found::RefreshDue(_) | Found::Miss => None,
        }
    }

    /// Looks once more in memory: since it was asked, another lookup may have taken the entry up (one of the same call, if a key
    /// is in it twice).
    fn find_gone_up<Q>(&self, hash: u64, key: &Q) -> Found<V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let found = self.peek_in_memory(hash, key);
        if let Found::Fresh(_) | Found::RefreshDue(_) = found {
            self.count_compressed_hit(&found);
            return found;
        }
        self.counters.count(Frequent::CompressedMiss);
        Found::Miss
    }

    fn count_compressed_hit(&self, found: &Found<V>) {
        self.counters.count(Frequent::CompressedHit);
        if let Found::Fresh(None) | Found::RefreshDue(None) = found {
            self.counters.count(Frequent::NegativeHit);
        }
    }

    /// The entry of the key in the compressed tier, decoded, if it still counts.
    pub(super) fn read_compressed(
        &self,
        compressed: &Compressing<V>,
        hash: u64,
        key_bytes: &[u8],
        is_touched: bool,
    ) -> Option<Raised<V>> {
        let is_valid = |kept: &Kept<'_>| self.stamps.is_valid_named(kept.born, kept.tags);
        let read = |kept: &Kept<'_>, payload: Option<&[u8]>| {
            let value = payload.map(|bytes| compressed.codec.decode(bytes)).transpose()?;
            let tags = self.stamps.tags(&kept.tags.collect::<Vec<_>>())?;
            let (times, cost, born, weight) = (kept.times, kept.cost, kept.born, kept.weight);
            Ok(Raised { value, times, cost, weight, born, tags })
        };
        if is_touched {
            compressed.tier.get(hash, key_bytes, is_valid, read)
        } else {
            compressed.tier.peek(hash, key_bytes, is_valid, read)
        }
    }

    fn judge_raised(&self, raised: &Raised<V>) -> Found<V> {
        let value = raised.value.clone();
        if self.clock.is_past(self.due_ms(&raised.times, value.is_some())) {
            Found::RefreshDue(value)
        } else {
            Found::Fresh(value)
        }
    }

    /// Moves an entry from the compressed tier into memory, unless its key was invalidated since the epoch, or memory has become
    /// too small for it.
    fn promote(
        &self,
        compressed: &Compressing<V>,
        hash: u64,
        epoch: u64,
        key: K,
        key_bytes: Vec<u8>,
        raised: Raised<V>,
    ) {
        let Ok((partition, quota)) = self.partition(&key) else { return };
        if u64::from(raised.weight) > self.weight_max(quota) {
            return;
        }
        let due_ms = self.due_ms(&raised.times, raised.value.is_some());
        let Raised { value, times, cost, weight, born, tags } = raised;
        let (fresh_until_ms, deadline_ms) = (times.fresh_until_ms, times.ordered().stale_until_ms);
        let value = Stored { value, fresh_until_ms, due_ms, born, tags };
        let entry = NewEntry { key, value, weight, deadline_ms, cost, partition };
        let entering = Entering { entry, key_bytes: None };
        let left = {
            let mut stripe = self.leases.lock(hash);
            if stripe.epoch() != epoch || self.moves_held.load(Ordering::Acquire) > 0 {
                return;
            }
            compressed.tier.promoted(hash, &key_bytes);
            self.store(&mut stripe, hash, entering)
        };
        self.let_go(left);
    }
}

/// An entry that comes up from the compressed tier.
pub(super) struct Raised<V> {
    pub(super) value: Option<V>,
    pub(super) times: Times,
    cost: u8,
    weight: u32,
    born: u64,
    tags: Option<Box<TagSet>>,
}

/// # Reading
///
/// None of these calls a loader: what is stale is a miss to them.
impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// The value of `key`, if a tier has a fresh one. What is found below memory goes up into it.
    ///
    /// Never waits today; with slower tiers it will. Dropping the future at any point is harmless.
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
        let compressed = shared.compressed.as_ref()?;
        let hash = shared.memory.hash(key);
        let raised = shared.read_compressed(compressed, hash, &bytes_of(&key.to_owned()), false)?;
        raised.value.filter(|_| !shared.clock.is_past(raised.times.fresh_until_ms))
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
