//! Changes: to the cache that is read, and to the other one.
//!
//! A change that the shadow does not take must not leave an older value in it, which would come to light at the cut-over: what
//! it refuses to store, it loses. A removal that a cache cannot confirm is queued by that cache itself.

use super::{Inner, Migration, Phase, STRIPES, Side};
use crate::error::Error;
use crate::key::Key;
use crate::options::EntryOptions;
use std::borrow::Borrow;
use std::hash::Hash;
use tokio::sync::MutexGuard;

impl<K: Key, V: Clone + Send + Sync + 'static> Inner<K, V> {
    /// The stable number of a key, the same in every process.
    pub(super) fn number(key: &K) -> u32 {
        let mut bytes = Vec::with_capacity(32);
        key.encode(&mut bytes);
        crc32fast::hash(&bytes)
    }

    /// The cache that a key is read from.
    pub(super) fn side(phase: Phase, key: &K) -> Side {
        phase.side(|percent| Self::number(key) % 100 < u32::from(percent))
    }

    /// Where the changes of a key wait for each other.
    pub(super) fn stripe(key: &K) -> usize {
        // Other bits than those by which reads are moved, so that these share no fate.
        usize::try_from(Self::number(key) >> 16).unwrap_or(0) % STRIPES
    }

    /// The key's changes reach both caches in the same order.
    async fn in_order(&self, key: &K) -> MutexGuard<'_, ()> {
        self.stripes[Self::stripe(key)].lock().await
    }

    /// The one outcome of a change of both caches.
    pub(super) fn judged<T>(
        &self,
        phase: Phase,
        read: Side,
        own: Result<T, Error>,
        other: Result<T, Error>,
    ) -> Result<T, Error> {
        if let Err(error) = &other {
            self.counters.count_error(read.other());
            if phase.shadow() != Some(read.other()) {
                return own.and(Err(error.clone()));
            }
        }
        own
    }

    /// The cache that calls about no single key are answered by.
    fn whole(phase: Phase) -> Side {
        phase.side(|_| false)
    }

    async fn insert(&self, key: K, value: V, options: EntryOptions) -> Result<(), Error> {
        let (_changing, phase) = self.phases.begin_change().await;
        if phase == Phase::Old {
            return self.old.insert_with(key, value, options).await;
        }
        let _order = self.in_order(&key).await;
        let read = Self::side(phase, &key);
        // What the cache that is read refuses stays as it was, in both.
        self.cache(read).insert_with(key.clone(), value.clone(), options.clone()).await?;
        let other = self.cache(read.other());
        let outcome = other.insert_with(key.clone(), value, options).await;
        if outcome.is_err() && other.remove(&key).await.is_err() {
            self.counters.count_error(read.other());
        }
        self.judged(phase, read, Ok(()), outcome)
    }

    async fn remove<Q>(&self, key: &Q) -> Result<bool, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let (_changing, phase) = self.phases.begin_change().await;
        if phase == Phase::Old {
            return self.old.remove(key).await;
        }
        let owned = key.to_owned();
        let _order = self.in_order(&owned).await;
        let read = Self::side(phase, &owned);
        let own = self.cache(read).remove(key).await;
        let other = self.cache(read.other()).remove(key).await;
        self.judged(phase, read, own, other)
    }
}

/// # Writing
///
/// Each change goes to both caches but in [`Phase::Old`]. The shadow's errors are counted
/// ([`MigrationStats::errors_of_new`](crate::MigrationStats::errors_of_new)) and not given.
impl<K: Key, V: Clone + Send + Sync + 'static> Migration<K, V> {
    /// Stores a value in both: [`Cache::insert`](crate::Cache::insert).
    ///
    /// # Errors
    /// What the cache that is read says; then nothing is stored in the other one. In [`Phase::Reading`] what the other one says,
    /// too: it has no value then, rather than an older one.
    pub async fn insert(&self, key: K, value: V) -> Result<(), Error> {
        self.inner.insert(key, value, EntryOptions::default()).await
    }

    /// Stores a value with options of its own in both: [`Cache::insert_with`](crate::Cache::insert_with).
    ///
    /// # Errors
    /// As [`insert`](Migration::insert).
    pub async fn insert_with(&self, key: K, value: V, options: EntryOptions) -> Result<(), Error> {
        self.inner.insert(key, value, options).await
    }

    /// Takes the key out of both: [`Cache::remove`](crate::Cache::remove). Says whether the one that is read had it.
    ///
    /// # Errors
    /// What the cache that is read says; in [`Phase::Reading`] what either says. It is tried in both whatever the first says.
    pub async fn remove<Q>(&self, key: &Q) -> Result<bool, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.inner.remove(key).await
    }

    /// Takes everything that has the tag out of both: [`Cache::remove_by_tag`](crate::Cache::remove_by_tag).
    ///
    /// # Errors
    /// As [`remove`](Migration::remove).
    pub async fn remove_by_tag(&self, tag: &str) -> Result<(), Error> {
        let inner = &*self.inner;
        let (_changing, phase) = inner.phases.begin_change().await;
        if phase == Phase::Old {
            return inner.old.remove_by_tag(tag).await;
        }
        let read = Inner::<K, V>::whole(phase);
        let own = inner.cache(read).remove_by_tag(tag).await;
        let other = inner.cache(read.other()).remove_by_tag(tag).await;
        inner.judged(phase, read, own, other)
    }

    /// Takes every key that begins with `prefix` out of both: [`Cache::remove_by_prefix`](crate::Cache::remove_by_prefix). Says
    /// how many the one that is read had; in [`Phase::Reading`] the old one.
    ///
    /// # Errors
    /// As [`remove`](Migration::remove).
    pub async fn remove_by_prefix(&self, prefix: &str) -> Result<usize, Error>
    where
        K: AsRef<str>,
    {
        let inner = &*self.inner;
        let (_changing, phase) = inner.phases.begin_change().await;
        if phase == Phase::Old {
            return inner.old.remove_by_prefix(prefix).await;
        }
        let read = Inner::<K, V>::whole(phase);
        let own = inner.cache(read).remove_by_prefix(prefix).await;
        let other = inner.cache(read.other()).remove_by_prefix(prefix).await;
        inner.judged(phase, read, own, other)
    }

    /// Takes everything out of both: [`Cache::clear`](crate::Cache::clear).
    ///
    /// # Errors
    /// As [`remove`](Migration::remove).
    pub async fn clear(&self) -> Result<(), Error> {
        let inner = &*self.inner;
        let (_changing, phase) = inner.phases.begin_change().await;
        if phase == Phase::Old {
            return inner.old.clear().await;
        }
        let read = Inner::<K, V>::whole(phase);
        let own = inner.cache(read).clear().await;
        let other = inner.cache(read.other()).clear().await;
        inner.judged(phase, read, own, other)
    }
}
