//! Many keys in one call: as many single ones, with one request to each store.
//!
//! Where reads are being moved, the keys of a call belong to both sides, and each side has its part of the call. A load for many keys
//! has a lease of each key in the other cache, too, from before the loader is called: the other one's loads of single keys wait for what
//! it answers, so that an invalidation that comes meanwhile keeps the result out of both.

use super::load::OTHER_WITHIN;
use super::{Inner, Migration, Phase, STRIPES, Side};
use crate::error::{BoxError, Error};
use crate::key::Key;
use crate::options::Loaded;
use futures_util::future::{join, join_all};
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use tokio::sync::{MutexGuard, oneshot};

/// The keys that are read from one side, and where they stand in the call.
struct Part<T> {
    side: Side,
    places: Vec<usize>,
    of_it: Vec<T>,
}

/// What the other cache is given of a load when it has come to its end.
struct Seats<V> {
    gives: Vec<oneshot::Sender<Loaded<V>>>,
    have_begun: Vec<oneshot::Receiver<()>>,
}

impl<K: Key, V: Clone + Send + Sync + 'static> Inner<K, V> {
    /// Each side's part of a call, if it has any.
    fn parts<T>(phase: Phase, all: impl IntoIterator<Item = T>, key: impl Fn(&T) -> &K) -> Vec<Part<T>> {
        let part = |side| Part { side, places: Vec::new(), of_it: Vec::new() };
        let [mut old, mut new] = [part(Side::Old), part(Side::New)];
        for (place, one) in all.into_iter().enumerate() {
            let part = if Self::side(phase, key(&one)) == Side::Old { &mut old } else { &mut new };
            part.places.push(place);
            part.of_it.push(one);
        }
        [old, new].into_iter().filter(|part| !part.of_it.is_empty()).collect()
    }

    /// The keys' changes reach both caches in the same order. Stripes are locked in ascending order.
    async fn all_in_order<'a>(&self, keys: impl Iterator<Item = &'a K>) -> Vec<MutexGuard<'_, ()>> {
        let stripes: BTreeSet<usize> = keys.map(|key| Self::stripe(key)).collect();
        let mut order = Vec::with_capacity(stripes.len().min(STRIPES));
        for stripe in stripes {
            order.push(self.stripes[stripe].lock().await);
        }
        order
    }

    async fn insert_part(&self, phase: Phase, part: Part<(K, V)>) -> Result<(), Error> {
        let keys: Vec<K> = part.of_it.iter().map(|(key, _)| key.clone()).collect();
        let other = self.cache(part.side.other());
        // What the cache that is read refuses stays as it was, in both.
        self.cache(part.side).insert_many(part.of_it.clone()).await?;
        let outcome = other.insert_many(part.of_it).await;
        if outcome.is_err() && other.remove_many(&keys).await.is_err() {
            self.counters.count_error(part.side.other());
        }
        self.judged(phase, part.side, Ok(()), outcome)
    }

    /// Calls the loader with a load of each key under way in the other cache, which keeps what it answers as well.
    async fn load_many_in_both<F, Fut, T, E>(
        self: Arc<Self>,
        other: Side,
        keys: Vec<K>,
        loader: F,
    ) -> Result<Vec<Loaded<V>>, BoxError>
    where
        F: FnOnce(Vec<K>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Vec<T>, E>> + Send + 'static,
        T: Into<Loaded<V>>,
        E: Into<BoxError>,
    {
        let removed = tokio::time::timeout(OTHER_WITHIN, self.cache(other).remove_many(&keys)).await;
        if !matches!(removed, Ok(Ok(_))) {
            self.counters.count_error(other);
        }
        let Seats { gives, have_begun } = self.seats(other, &keys);
        // Who has not begun by then is not waited for, and has nothing of it.
        let begun = join_all(have_begun.into_iter().map(|begun| tokio::time::timeout(OTHER_WITHIN, begun))).await;
        let loaded = loader(keys).await.map_err(Into::into)?;
        let loaded: Vec<Loaded<V>> = loaded.into_iter().map(Into::into).collect();
        if loaded.len() == gives.len() {
            for ((give, begun), loaded) in gives.into_iter().zip(begun).zip(&loaded) {
                let has_begun = matches!(begun, Ok(Ok(())));
                // Nobody may wait any more.
                if !has_begun || give.send(loaded.clone()).is_err() {
                    self.counters.count_load_apart();
                }
            }
        }
        Ok(loaded)
    }

    /// Begins a load of each key, which waits for what it is given.
    fn seats(self: &Arc<Self>, other: Side, keys: &[K]) -> Seats<V> {
        let mut seats = Seats { gives: Vec::with_capacity(keys.len()), have_begun: Vec::with_capacity(keys.len()) };
        for key in keys {
            let (give, take) = oneshot::channel::<Loaded<V>>();
            let (begin, has_begun) = oneshot::channel();
            let (inner, key) = (Arc::clone(self), key.clone());
            let loader = move |_| async move {
                // Nobody may wait any more.
                let _ = begin.send(());
                take.await.map_err(|_| BoxError::from("the load for both caches failed, or was given up"))
            };
            // It ends when it is given something, or when nobody can give it anything any more.
            drop(tokio::spawn(async move { inner.cache(other).get_or_load_optional(&key, loader).await }));
            seats.gives.push(give);
            seats.have_begun.push(has_begun);
        }
        seats
    }
}

/// # Many keys at once
///
/// ```
/// # use scrubjay::{Cache, Memory, Migration, Phase};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let old: Cache<u64, u64> = Cache::builder("old").memory(Memory::bytes(1 << 20)).build().await?;
/// # let new: Cache<u64, u64> = Cache::builder("new").memory(Memory::bytes(1 << 20)).build().await?;
/// let squares = Migration::new(old, new)?;
/// squares.set_phase(Phase::Reading { percent: 50 }).await?;
/// squares.insert_many([(1, 1), (2, 4)]).await?;
/// let square = async |keys: Vec<u64>| Ok::<Vec<u64>, std::io::Error>(keys.iter().map(|n| n * n).collect());
/// let results = squares.get_or_load_many(&[1, 2, 3, 4], square).await;
/// assert_eq!(results.into_iter().flatten().flatten().collect::<Vec<_>>(), [1, 4, 9, 16]);
/// assert_eq!(squares.remove_many(&[1, 2, 9]).await?, 2);
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<K: Key, V: Clone + Send + Sync + 'static> Migration<K, V> {
    /// Stores many values in both: [`Cache::insert_many`](crate::Cache::insert_many).
    ///
    /// # Errors
    /// As [`insert`](Migration::insert). In [`Phase::Reading`] the keys that are read from the old cache come first: what
    /// the others fail with leaves these stored.
    pub async fn insert_many(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result<(), Error> {
        let inner = &*self.inner;
        let (_changing, phase) = inner.phases.begin_change().await;
        if phase == Phase::Old {
            return inner.old.insert_many(entries).await;
        }
        let entries: Vec<(K, V)> = entries.into_iter().collect();
        let _order = inner.all_in_order(entries.iter().map(|(key, _)| key)).await;
        for part in Inner::<K, V>::parts(phase, entries, |(key, _)| key) {
            inner.insert_part(phase, part).await?;
        }
        Ok(())
    }

    /// Takes many keys out of both: [`Cache::remove_many`](crate::Cache::remove_many). Says how many had a value in the cache that
    /// they are read from.
    ///
    /// # Errors
    /// As [`remove`](Migration::remove). All are tried in both, whatever some say.
    pub async fn remove_many(&self, keys: &[K]) -> Result<usize, Error> {
        let inner = &*self.inner;
        let (_changing, phase) = inner.phases.begin_change().await;
        if phase == Phase::Old {
            return inner.old.remove_many(keys).await;
        }
        let _order = inner.all_in_order(keys.iter()).await;
        let mut removed = Ok(0);
        for Part { side, of_it, .. } in Inner::<K, V>::parts(phase, keys.iter().cloned(), |key| key) {
            let own = inner.cache(side).remove_many(&of_it).await;
            let other = inner.cache(side.other()).remove_many(&of_it).await;
            let judged = inner.judged(phase, side, own, other);
            removed = removed.and_then(|count| Ok(count + judged?));
        }
        removed
    }

    /// The values of many keys, or what one call of `loader` answers for all that are missing, in both caches:
    /// [`Cache::get_or_load_many`](crate::Cache::get_or_load_many). In [`Phase::Reading`] it may be called twice at once: for the keys of
    /// each side.
    ///
    /// # Errors
    /// Each key has a result of its own: that of the cache that it is read from.
    pub async fn get_or_load_many<F, Fut, T, E>(&self, keys: &[K], loader: F) -> Vec<Result<Option<V>, Error>>
    where
        F: FnOnce(Vec<K>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<Vec<T>, E>> + Send + 'static,
        T: Into<Loaded<V>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        let inner = &self.inner;
        let phase = inner.phases.now();
        if phase == Phase::Old {
            inner.counters.count_reads(Side::Old, count_of(keys));
            return inner.old.get_or_load_many(keys, loader).await;
        }
        let load = async |Part { side, places, of_it }: Part<K>| {
            inner.counters.count_reads(side, count_of(&of_it));
            let (both, loader) = (Arc::clone(inner), loader.clone());
            let loader = move |keys| both.load_many_in_both(side.other(), keys, loader);
            (places, inner.cache(side).get_or_load_many(&of_it, loader).await)
        };
        let mut parts = Inner::<K, V>::parts(phase, keys.iter().cloned(), |key| key).into_iter();
        let loaded = match (parts.next(), parts.next()) {
            (Some(one), Some(other)) => {
                let (one, other) = join(load(one), load(other)).await;
                vec![one, other]
            }
            (Some(one), None) => vec![load(one).await],
            _ => Vec::new(),
        };
        let mut results: Vec<Result<Option<V>, Error>> = keys.iter().map(|_| Ok(None)).collect();
        for (places, of_part) in loaded {
            for (place, result) in places.into_iter().zip(of_part) {
                results[place] = result;
            }
        }
        if inner.sampling.is_due(count_of(keys))
            && let Some(key) = keys.first()
        {
            self.compare_behind(key.clone()).await;
        }
        results
    }
}

fn count_of<K>(keys: &[K]) -> u64 {
    u64::try_from(keys.len()).unwrap_or(u64::MAX)
}
