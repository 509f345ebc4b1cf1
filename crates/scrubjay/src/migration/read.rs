//! Lookups: one cache answers, as the phase says, and now and then the other one is asked as well.

use super::{Inner, Migration, Phase, Side};
use crate::key::Key;
use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

/// # Reading
impl<K: Key, V: Clone + Send + Sync + 'static> Migration<K, V> {
    /// The value of `key` in the cache that it is read from: [`Cache::get`](crate::Cache::get).
    pub async fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let phase = self.inner.phases.now();
        let side = self.inner.side_of(phase, key);
        let value = self.inner.cache(side).get(key).await;
        self.inner.counters.count_reads(side, 1);
        if phase != Phase::Old && self.inner.sampling.is_due(1) {
            self.compare_behind(key.to_owned()).await;
        }
        value
    }

    /// The values of many keys, in their order, each from the cache that it is read from:
    /// [`Cache::get_many`](crate::Cache::get_many).
    pub async fn get_many(&self, keys: &[K]) -> Vec<Option<V>> {
        let inner = &*self.inner;
        let phase = inner.phases.now();
        let count = u64::try_from(keys.len()).unwrap_or(u64::MAX);
        let values = match phase {
            Phase::Reading { percent: 1..100 } => self.get_many_of_both(phase, keys).await,
            _ => {
                let side = phase.side(|percent| percent == 100);
                inner.counters.count_reads(side, count);
                inner.cache(side).get_many(keys).await
            }
        };
        if phase != Phase::Old
            && inner.sampling.is_due(count)
            && let Some(key) = keys.first()
        {
            self.compare_behind(key.clone()).await;
        }
        values
    }

    async fn get_many_of_both(&self, phase: Phase, keys: &[K]) -> Vec<Option<V>> {
        let inner = &*self.inner;
        let sides: Vec<Side> = keys.iter().map(|key| Inner::<K, V>::side(phase, key)).collect();
        let mut values: Vec<Option<V>> = keys.iter().map(|_| None).collect();
        for side in [Side::Old, Side::New] {
            let places: Vec<usize> = (0..keys.len()).filter(|&at| sides[at] == side).collect();
            let wanted: Vec<K> = places.iter().map(|&at| keys[at].clone()).collect();
            inner.counters.count_reads(side, u64::try_from(wanted.len()).unwrap_or(u64::MAX));
            for (at, value) in places.into_iter().zip(inner.cache(side).get_many(&wanted).await) {
                values[at] = value;
            }
        }
        values
    }

    /// Compares without keeping the caller waiting, where there is a runtime for that.
    pub(super) async fn compare_behind(&self, key: K) {
        let Some(seat) = self.inner.sampling.seat() else {
            self.inner.counters.count_passed_by();
            return;
        };
        let inner = Arc::clone(&self.inner);
        let comparing = async move {
            inner.compare(&key).await;
            drop(seat);
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(comparing)),
            Err(_) => comparing.await,
        }
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Inner<K, V> {
    /// The same as [`Inner::side`], which needs the key's own type only where it asks for its bytes.
    pub(super) fn side_of<Q>(&self, phase: Phase, key: &Q) -> Side
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        phase.side(|percent| match percent {
            0 => false,
            100 => true,
            percent => Self::number(&key.to_owned()) % 100 < u32::from(percent),
        })
    }
}
