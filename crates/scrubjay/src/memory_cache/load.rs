//! A miss that computes: one thread per key does, the others wait for it and share.

use super::flight::{Joined, Leading};
use super::{MemoryCache, Shared};
use crate::options::EntryOptions;
use crate::stats::{Dropped, Frequent, Place, Rare};
use std::borrow::Borrow;
use std::convert::Infallible;
use std::hash::Hash;
use std::time::Instant;

impl<K, V> MemoryCache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The value; if there is none, the one that `make` computes, which is then stored.
    ///
    /// Of all threads that miss a key, one runs its closure, and the others block until they can share its result. A
    /// [`remove`](MemoryCache::remove), [`insert`](MemoryCache::insert) or [`clear`](MemoryCache::clear) meanwhile wins:
    /// the result goes to those who asked before, and is not stored. Nor is a value that the weigher refuses.
    ///
    /// `make` may use the cache, this key's `insert` and `remove` included; it may also ask for other keys this way.
    ///
    /// # Panics
    /// If `make` does; of those who wait, one runs its own then. And if this thread would wait for itself: `make` asks for
    /// its own key, or two threads' closures for each other's.
    pub fn get_or_insert_with<Q>(&self, key: &Q, make: impl FnOnce() -> V) -> V
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        match self.try_get_or_insert_with(key, || Ok::<V, Infallible>(make())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// The same for a computation that may fail. An error is its own caller's, and is not kept: of those who wait, one
    /// runs its own closure next.
    ///
    /// # Errors
    /// Those of `make`.
    ///
    /// # Panics
    /// As [`get_or_insert_with`](MemoryCache::get_or_insert_with) does.
    pub fn try_get_or_insert_with<Q, E>(&self, key: &Q, make: impl FnOnce() -> Result<V, E>) -> Result<V, E>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let tier = &self.shared.tier;
        let hash = tier.hash(key);
        let hit = tier.get(hash, key, |_, value| value.clone());
        self.shared.count_lookup(hit.is_some());
        if let Some(value) = hit {
            return Ok(value);
        }
        loop {
            let is_stored = || tier.peek(hash, key, |_, _| ()).is_some();
            match self.shared.stripes.of(hash).join(hash, key, is_stored) {
                Joined::Leads(leading) => return self.lead(hash, key, leading, make),
                Joined::Waits(flight) => {
                    let _waiting = self.shared.counters.wait();
                    self.shared.counters.count_rare(Rare::Joined);
                    if let Some(value) = flight.wait() {
                        return Ok(value);
                    }
                }
                Joined::Stored => {
                    if let Some(value) = tier.get(hash, key, |_, value| value.clone()) {
                        return Ok(value);
                    }
                }
            }
        }
    }

    fn lead<Q, E>(
        &self,
        hash: u64,
        key: &Q,
        leading: Leading<'_, K, V>,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let _waiting = self.shared.counters.wait();
        let mut timed = Timed { shared: &self.shared, began: self.shared.admission.clock.instant(), is_ok: false };
        let made = make();
        timed.is_ok = made.is_ok();
        drop(timed);
        let value = made?;
        let owned = key.to_owned();
        let mut entry = match self.shared.admission.admit(&owned, &value, &EntryOptions::default()) {
            Ok(terms) => Some(terms.entry(owned, value.clone())),
            Err(_) => {
                self.shared.counters.dropped(Place::Memory, Dropped::Invalid);
                None
            }
        };
        let is_admitted = entry.is_some();
        let stored = leading.land(&value, || {
            // An insert that began before this flight opened may have passed by its stripe: its value stays.
            self.shared.tier.upsert(hash, key, |old| if old.is_none() { entry.take() } else { None })
        });
        if let Some(departed) = stored.flatten() {
            self.shared.counters.count(Frequent::MemoryInsert);
            self.shared.settle(departed);
        } else if is_admitted {
            self.shared.counters.count_rare(Rare::Revoked);
        }
        Ok(value)
    }
}

/// Counts a computation when it ends, a panic too.
struct Timed<'a, K, V> {
    shared: &'a Shared<K, V>,
    began: Instant,
    is_ok: bool,
}

impl<K, V> Drop for Timed<'_, K, V> {
    fn drop(&mut self) {
        self.shared.counters.load_ended(self.began.elapsed(), self.is_ok);
    }
}
