//! Loads: one for both caches. The cache that is read leads it; its loader is a load in the other one, which calls the
//! caller's loader. So each has a lease of its own from before the loader began, and an invalidation that comes meanwhile
//! keeps the result out of the one as out of the other.
//!
//! The other cache may be slow, closed, or have a value: it loses what it has, since a value's time would begin anew in the
//! first, and if it does not come to the loader soon, that is called without it.

use super::{Inner, Migration, Phase, Side};
use crate::error::{BoxError, Error};
use crate::key::Key;
use crate::options::Loaded;
use futures_util::future::{Either, select};
use parking_lot::Mutex;
use std::borrow::Borrow;
use std::hash::Hash;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long the other cache may take until it calls the loader.
pub(super) const OTHER_WITHIN: Duration = Duration::from_secs(1);

/// A caller's loader.
type Loader<K, V> = Box<dyn FnOnce(K) -> Pin<Box<dyn Future<Output = Result<Loaded<V>, BoxError>> + Send>> + Send>;

/// A loader that is called once, by whoever comes first.
type Seat<K, V> = Arc<Mutex<Option<Loader<K, V>>>>;

/// # Loading
impl<K: Key, V: Clone + Send + Sync + 'static> Migration<K, V> {
    /// The value of `key`, or what `loader` answers, in both caches: [`Cache::get_or_load`](crate::Cache::get_or_load) of the one
    /// that the key is read from. However many ask, `loader` is called once, for both.
    ///
    /// # Errors
    /// Those of the cache that is read. The other one harms no load.
    pub async fn get_or_load<Q, F, Fut, T, E>(&self, key: &Q, loader: F) -> Result<V, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: FnOnce(K) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Loaded<V>>,
        E: Into<BoxError>,
    {
        let (phase, side) = self.begin(key);
        let cache = self.inner.cache(side);
        let result = if phase == Phase::Old {
            cache.get_or_load(key, loader).await
        } else {
            let (inner, loader) = (Arc::clone(&self.inner), boxed(loader));
            cache.get_or_load(key, move |key| inner.load_in_both(side.other(), key, loader)).await
        };
        self.end(phase, key).await;
        result
    }

    /// The same where a key may well have no value: [`Cache::get_or_load_optional`](crate::Cache::get_or_load_optional).
    ///
    /// # Errors
    /// As [`get_or_load`](Migration::get_or_load), but `Absent`.
    pub async fn get_or_load_optional<Q, F, Fut, T, E>(&self, key: &Q, loader: F) -> Result<Option<V>, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: FnOnce(K) -> Fut + Send + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<Loaded<V>>,
        E: Into<BoxError>,
    {
        let (phase, side) = self.begin(key);
        let cache = self.inner.cache(side);
        let result = if phase == Phase::Old {
            cache.get_or_load_optional(key, loader).await
        } else {
            let (inner, loader) = (Arc::clone(&self.inner), boxed(loader));
            cache.get_or_load_optional(key, move |key| inner.load_in_both(side.other(), key, loader)).await
        };
        self.end(phase, key).await;
        result
    }

    fn begin<Q>(&self, key: &Q) -> (Phase, Side)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let phase = self.inner.phases.now();
        let side = self.inner.side_of(phase, key);
        self.inner.counters.count_reads(side, 1);
        (phase, side)
    }

    async fn end<Q>(&self, phase: Phase, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if phase != Phase::Old && self.inner.sampling.is_due(1) {
            self.compare_behind(key.to_owned()).await;
        }
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Inner<K, V> {
    /// Calls the loader by way of the other cache, which keeps the result as well.
    async fn load_in_both(self: Arc<Self>, other: Side, key: K, loader: Loader<K, V>) -> Result<Loaded<V>, BoxError> {
        let seat: Seat<K, V> = Arc::new(Mutex::new(Some(loader)));
        let (give, mut take) = oneshot::channel();
        let (inner, theirs) = (&*self, Arc::clone(&seat));
        let by_the_other = async {
            let cache = inner.cache(other);
            if cache.remove(&key).await.is_err() {
                inner.counters.count_error(other);
            }
            let loader = move |key| called_once(theirs, key, give);
            // What it says is told by `give`, and by `seat`, if it did not come to that.
            let _ = cache.get_or_load_optional(&key, loader).await;
        };
        // Left of it is the channel, or nothing: the load itself runs in a task of the other cache.
        let told = match tokio::time::timeout(OTHER_WITHIN, select(&mut take, pin!(by_the_other))).await {
            Ok(Either::Left((told, _))) => told.ok(),
            Ok(Either::Right(_)) | Err(_) => None,
        };
        if let Some(loaded) = told {
            return loaded;
        }
        let ours = seat.lock().take();
        if let Some(loader) = ours {
            self.counters.count_load_apart();
            return loader(key).await;
        }
        take.await.unwrap_or_else(|_| Err("the loader panicked, or the load was given up".into()))
    }
}

fn boxed<K, V, F, Fut, T, E>(loader: F) -> Loader<K, V>
where
    K: Key,
    V: Clone + Send + Sync + 'static,
    F: FnOnce(K) -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    T: Into<Loaded<V>>,
    E: Into<BoxError>,
{
    Box::new(|key| Box::pin(async move { loader(key).await.map(Into::into).map_err(Into::into) }))
}

/// The caller's loader, as the other cache calls it.
async fn called_once<K, V: Clone>(
    seat: Seat<K, V>,
    key: K,
    give: oneshot::Sender<Result<Loaded<V>, BoxError>>,
) -> Result<Loaded<V>, BoxError> {
    let ours = seat.lock().take();
    let Some(loader) = ours else { return Err("it was loaded without this cache, which was slow".into()) };
    match loader(key).await {
        Ok(loaded) => {
            // Nobody may wait any more.
            let _ = give.send(Ok(loaded.clone()));
            Ok(loaded)
        }
        Err(error) => {
            let text = error.to_string();
            let _ = give.send(Err(error));
            Err(text.into())
        }
    }
}
