//! The caller's writes: each revokes the flight of its key, so that no computation that began before undoes it.

use super::{MemoryCache, Shared};
use crate::error::Error;
use crate::memory::{Departed, NewEntry, Reason};
use crate::options::EntryOptions;
use crate::stats::Frequent;
use std::borrow::Borrow;
use std::cell::Cell;
use std::hash::Hash;

impl<K, V> MemoryCache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Stores the value, in place of the one that was there.
    ///
    /// # Errors
    /// `Invalid`: the weigher says 0 or more than the budget, or the key's partition is none of the cache's. Then nothing
    /// has changed.
    pub fn insert(&self, key: K, value: V) -> Result<(), Error> {
        self.insert_with(key, value, EntryOptions::default())
    }

    /// The same with options of its own.
    ///
    /// # Errors
    /// As for [`insert`](MemoryCache::insert); and for a time to live that is zero or beyond the clock, a weight that is 0
    /// or does not fit, and tags, which a `MemoryCache` does not keep.
    pub fn insert_with(&self, key: K, value: V, options: EntryOptions) -> Result<(), Error> {
        let shared = &*self.shared;
        shared.check_not_updating();
        let hash = shared.tier.hash(&key);
        shared.tier.prepare_insert(hash);
        let entry = shared.admission.admit(&key, &value, &options)?.entry(key, value);
        let departed = shared.insert(hash, entry);
        shared.settle(departed);
        Ok(())
    }

    /// Stores each of the entries that the cache admits.
    ///
    /// # Errors
    /// That of the first which [`insert`](MemoryCache::insert) refused; the others are stored nevertheless.
    pub fn insert_many(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result<(), Error> {
        let mut outcome = Ok(());
        for (key, value) in entries {
            outcome = outcome.and(self.insert(key, value));
        }
        outcome
    }

    /// Takes the entry out, and returns a clone of its value.
    ///
    /// Once this returns, no read returns a value that was there before or whose computation began before.
    pub fn remove<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        let mut removed = None;
        self.remove_if(key, |value| {
            removed = Some(value.clone());
            true
        });
        removed
    }

    /// Takes the entries of the keys out, and says how many there were.
    pub fn remove_many<'a, Q>(&self, keys: impl IntoIterator<Item = &'a Q>) -> usize
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized + 'a,
    {
        keys.into_iter().filter(|key| self.remove_if(*key, |_| true)).count()
    }

    /// Changes the value: `change` gets a clone, which then takes the place of the value that was cloned. No other write of
    /// the key comes between, so no update is lost; readers go on and see the old value or the new one. The entry keeps
    /// its deadline and is weighed again. `false` if the key is not there.
    ///
    /// `change`, and the weigher after it, run under a lock: they must be short, and must not use this cache. If `change`
    /// panics, the old value stays.
    ///
    /// # Errors
    /// `Invalid`: the weigher refuses the changed value. The old one stays.
    ///
    /// # Panics
    /// If `change` writes to this cache.
    pub fn update<Q>(&self, key: &Q, change: impl FnOnce(&mut V)) -> Result<bool, Error>
    where
        K: Borrow<Q> + Clone,
        Q: Hash + Eq + ?Sized,
        V: Clone,
    {
        let shared = &*self.shared;
        shared.check_not_updating();
        let hash = shared.tier.hash(key);
        let mut outcome = Ok(false);
        let departed = {
            let _updating = Updating::begin(shared);
            shared.tier.upsert(hash, key, |old| {
                let old = old?;
                let (key, mut value) = (old.key.clone(), old.value.clone());
                change(&mut value);
                let terms = shared.admission.admit(&key, &value, &EntryOptions::default());
                outcome = terms.as_ref().map(|_| true).map_err(Error::clone);
                Some(terms.ok()?.until(old.deadline_ms).entry(key, value))
            })
        };
        if let Some(departed) = departed {
            shared.counters.count(Frequent::MemoryInsert);
            shared.settle(departed);
        }
        outcome
    }

    /// Takes out every entry of which `is_kept` says no, and says how many those were. Results of computations that are
    /// under way are not stored.
    ///
    /// An entry whose removal is due is judged a second time, under a lock, since its value may have changed meanwhile:
    /// `is_kept` must be short then, and must not use this cache.
    pub fn retain(&self, mut is_kept: impl FnMut(&K, &V) -> bool) -> usize
    where
        K: Clone,
    {
        self.shared.check_not_updating();
        self.shared.stripes.revoke_all();
        let mut due = Vec::new();
        self.for_each(|key, value| {
            if !is_kept(key, value) {
                due.push(key.clone());
            }
        });
        due.iter().filter(|key| self.remove_if(*key, |value| !is_kept(key, value))).count()
    }

    /// Takes out everything. Results of computations that are under way are not stored.
    pub fn clear(&self) {
        self.shared.check_not_updating();
        self.shared.stripes.revoke_all();
        let departed = self.shared.tier.clear();
        self.shared.settle(departed);
        self.shared.tier.settle();
    }

    fn remove_if<Q>(&self, key: &Q, is_wanted: impl FnOnce(&V) -> bool) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let shared = &*self.shared;
        shared.check_not_updating();
        let hash = shared.tier.hash(key);
        let revoked = shared.stripes.of(hash).revoke(hash, key);
        let departed = shared.tier.remove_if(hash, key, Reason::Removed, is_wanted);
        drop(revoked);
        let is_removed = departed.is_some();
        if let Some(departed) = departed {
            shared.settle(departed);
        }
        is_removed
    }
}

impl<K: Hash + Eq, V> Shared<K, V> {
    fn insert(&self, hash: u64, entry: NewEntry<K, V>) -> Departed<'_, K, V> {
        let _revoked = self.stripes.of(hash).revoke(hash, &entry.key);
        self.counters.count(Frequent::MemoryInsert);
        self.tier.insert(hash, entry)
    }
}

thread_local! {
    /// The cache in whose [`MemoryCache::update`] this thread is, by address.
    static UPDATING: Cell<*const ()> = const { Cell::new(std::ptr::null()) };
}

/// While it lives, this thread may not write to the cache.
struct Updating {
    outer: *const (),
}

impl Updating {
    fn begin<K, V>(shared: &Shared<K, V>) -> Updating {
        Updating { outer: UPDATING.replace(shared.address()) }
    }
}

impl Drop for Updating {
    fn drop(&mut self) {
        UPDATING.set(self.outer);
    }
}

impl<K, V> Shared<K, V> {
    fn address(&self) -> *const () {
        std::ptr::from_ref(self).cast()
    }

    fn check_not_updating(&self) {
        assert!(
            UPDATING.get() != self.address(),
            "the closure of MemoryCache::update must not write to the same cache"
        );
    }
}
