//! The blocking face of a [`Cache`], for programs without a runtime and for threads that do not poll.
//!
//! It owns nothing but a handle of the cache: every call is the cache's own, driven by `wait.rs`, and a loader that blocks runs
//! on the pool of the cache's runtime, or of the one in `runtime.rs` where the program has none. So both faces may be used on the
//! same cache at the same time, and share loads.

mod runtime;
mod wait;

use crate::cache::{Cache, CacheBuilder, Keys, WarmUp};
use crate::error::{BoxError, Error};
use crate::health::Health;
use crate::key::Key;
use crate::options::{EntryOptions, Loaded};
use crate::stats::Stats;
use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use wait::{now_or_hear, now_or_park, now_or_wait};

/// A [`Cache`] whose calls block: for programs without a runtime, and for threads that do not poll.
///
/// From [`CacheBuilder::build_blocking`], which needs no runtime, or from [`Cache::blocking`], beside the asynchronous face of the
/// same cache. A clone is another handle.
///
/// A hit costs what it costs in the other face, and enters no runtime. Only a miss with a loader makes a thread wait. It may do
/// so on any thread but one: a thread that drives a single-threaded runtime would wait for itself, and gets `Invalid` instead of
/// sleeping for ever. (The others of a runtime with several threads take over its work meanwhile; inside a
/// [`LocalSet`](tokio::task::LocalSet) that is impossible, and tokio panics.)
///
/// A cache that was built on a single-threaded runtime needs that to run while one waits: a load, and a call that has to ask a
/// remote or an object tier, waits for what is done there. If it does not run for two seconds (eleven for a load), loads and writes
/// are `Invalid`, and reads miss, which is logged as an error. What such a write has begun is done when the runtime runs again.
///
/// ```
/// use scrubjay::{BlockingCache, Cache, Memory};
/// use std::time::Duration;
///
/// let files: BlockingCache<String, String> = Cache::builder("files")
///     .memory(Memory::bytes(1 << 20))
///     .time_to_live(Duration::from_secs(60))
///     .build_blocking()?;
///
/// // Any number of threads may ask at once: the file is read once.
/// let text = files.get_or_load("Cargo.toml", |path| std::fs::read_to_string(path))?;
/// assert!(text.contains("scrubjay"));
/// assert_eq!(files.get("Cargo.toml"), Some(text));
///
/// files.remove("Cargo.toml")?;
/// assert_eq!(files.get("Cargo.toml"), None);
/// # Ok::<(), scrubjay::Error>(())
/// ```
pub struct BlockingCache<K, V> {
    cache: Cache<K, V>,
}

impl<K, V> Clone for BlockingCache<K, V> {
    fn clone(&self) -> BlockingCache<K, V> {
        BlockingCache { cache: self.cache.clone() }
    }
}

impl<K, V> fmt::Debug for BlockingCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BlockingCache").field(&self.cache).finish()
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> CacheBuilder<K, V> {
    /// Builds the cache for a program without a runtime. Unless [`runtime`](CacheBuilder::runtime) was said, its loads and its
    /// upkeep run on a small runtime of ours, one for all such caches of the process: a thread, and a pool that loaders block.
    ///
    /// # Errors
    /// Those of [`build`](CacheBuilder::build); `Unavailable` if the system gives no thread.
    pub fn build_blocking(self) -> Result<BlockingCache<K, V>, Error> {
        let builder = if self.has_runtime() { self } else { self.runtime(runtime::of_process()?) };
        let cache = now_or_park(builder.build())?;
        Ok(BlockingCache { cache })
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// The blocking face of this cache.
    pub fn blocking(&self) -> BlockingCache<K, V> {
        BlockingCache { cache: self.clone() }
    }
}

/// # Reading and writing
///
/// As in [`Cache`], whose documentation holds for each of these.
impl<K: Key, V: Clone + Send + Sync + 'static> BlockingCache<K, V> {
    /// The result of a call that may have to ask a server.
    #[inline]
    fn hear<F: Future>(&self, call: F) -> Result<F::Output, Error> {
        let result = now_or_hear(call, || self.cache.runtime_of_servers());
        if let Err(error) = &result {
            tracing::error!(%error, "a blocking call has passed the remote and the object tier by");
        }
        result
    }

    /// The asynchronous face of this cache.
    pub fn cache(&self) -> &Cache<K, V> {
        &self.cache
    }

    /// The value of `key`, if a tier has a fresh one: [`Cache::get`].
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.hear(self.cache.get(key)).unwrap_or_default()
    }

    /// The same, but leaves everything as it is: [`Cache::peek`].
    pub fn peek<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.hear(self.cache.peek(key)).unwrap_or_default()
    }

    /// Whether a tier has a fresh value: [`Cache::contains`].
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.hear(self.cache.contains(key)).unwrap_or_default()
    }

    /// The values of many keys, in their order: [`Cache::get_many`].
    pub fn get_many(&self, keys: &[K]) -> Vec<Option<V>> {
        self.hear(self.cache.get_many(keys)).unwrap_or_else(|_| keys.iter().map(|_| None).collect())
    }

    /// Stores the value: [`Cache::insert`].
    ///
    /// # Errors
    /// Those of [`Cache::insert`].
    pub fn insert(&self, key: K, value: V) -> Result<(), Error> {
        self.hear(self.cache.insert(key, value))?
    }

    /// Stores the value as the options say: [`Cache::insert_with`].
    ///
    /// # Errors
    /// Those of [`Cache::insert_with`].
    pub fn insert_with(&self, key: K, value: V, options: EntryOptions) -> Result<(), Error> {
        self.hear(self.cache.insert_with(key, value, options))?
    }

    /// Stores many: [`Cache::insert_many`].
    ///
    /// # Errors
    /// Those of [`Cache::insert_many`].
    pub fn insert_many(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result<(), Error> {
        self.hear(self.cache.insert_many(entries))?
    }

    /// Takes the key out of every tier: [`Cache::remove`].
    ///
    /// # Errors
    /// Those of [`Cache::remove`].
    pub fn remove<Q>(&self, key: &Q) -> Result<bool, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.hear(self.cache.remove(key))?
    }

    /// Takes out many: [`Cache::remove_many`].
    ///
    /// # Errors
    /// Those of [`Cache::remove_many`].
    pub fn remove_many(&self, keys: &[K]) -> Result<usize, Error> {
        self.hear(self.cache.remove_many(keys))?
    }

    /// Takes out everything that has the tag: [`Cache::remove_by_tag`].
    ///
    /// # Errors
    /// Those of [`Cache::remove_by_tag`].
    pub fn remove_by_tag(&self, tag: &str) -> Result<(), Error> {
        self.hear(self.cache.remove_by_tag(tag))?
    }

    /// Takes out every key that begins with the prefix: [`Cache::remove_by_prefix`].
    ///
    /// # Errors
    /// Those of [`Cache::remove_by_prefix`].
    pub fn remove_by_prefix(&self, prefix: &str) -> Result<usize, Error>
    where
        K: AsRef<str>,
    {
        self.hear(self.cache.remove_by_prefix(prefix))?
    }

    /// Every key that some tier holds a fresh value of: [`Cache::keys`].
    pub fn keys(&self) -> Keys<K> {
        self.hear(self.cache.keys()).unwrap_or_else(|_| Keys::none())
    }
}

/// # The whole cache
impl<K: Key, V: Clone + Send + Sync + 'static> BlockingCache<K, V> {
    /// Takes out everything: [`Cache::clear`].
    ///
    /// # Errors
    /// Those of [`Cache::clear`].
    pub fn clear(&self) -> Result<(), Error> {
        self.hear(self.cache.clear())?
    }

    /// Changes the memory tier's budget: [`Cache::resize`].
    ///
    /// # Errors
    /// Those of [`Cache::resize`].
    pub fn resize(&self, capacity: u64) -> Result<(), Error> {
        now_or_park(self.cache.resize(capacity))
    }

    /// Hands what the disk tier was given to the operating system: [`Cache::flush`].
    ///
    /// # Errors
    /// Those of [`Cache::flush`].
    pub fn flush(&self) -> Result<(), Error> {
        self.hear(self.cache.flush())?
    }

    /// How far the filling of memory from the disk tier is: [`Cache::warm_up`].
    pub fn warm_up(&self) -> WarmUp {
        self.cache.warm_up()
    }

    /// What has happened so far, and what the tiers hold: [`Cache::stats`].
    pub fn stats(&self) -> Stats {
        self.cache.stats()
    }

    /// How each tier is doing: [`Cache::health`].
    pub fn health(&self) -> Health {
        self.cache.health()
    }

    /// Ends the cache, and waits for its tasks to end: [`Cache::close`]. A loader that is running goes on to its end, and what it
    /// returns is dropped.
    ///
    /// # Errors
    /// `Invalid` on a thread that drives a single-threaded runtime; the cache does not load any more, but is not emptied.
    pub fn close(&self) -> Result<(), Error> {
        now_or_wait(self.cache.close(), self.cache.runtime())
    }
}

/// # Loading
impl<K: Key, V: Clone + Send + Sync + 'static> BlockingCache<K, V> {
    /// The value of `key`: from the tiers, or else from `loader`, which is called once however many threads ask meanwhile, on a
    /// thread of the runtime's pool. The calling thread waits: [`Cache::get_or_load`].
    ///
    /// A hard timeout ends the waiting, not the loader: a thread that blocks cannot be stopped. What it returns is dropped.
    ///
    /// # Errors
    /// Those of [`Cache::get_or_load`]; `Invalid` on a thread that drives a single-threaded runtime, where waiting would be
    /// for ever. The load goes on in that case.
    #[inline]
    pub fn get_or_load<Q, F, T, E>(&self, key: &Q, loader: F) -> Result<V, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: FnOnce(K) -> Result<T, E> + Send + 'static,
        T: Into<Loaded<V>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        now_or_wait(self.cache.get_or_load(key, |key| on_the_pool(loader, key)), self.cache.runtime())?
    }

    /// The same where a key may well have no value: [`Cache::get_or_load_optional`].
    ///
    /// # Errors
    /// Those of [`get_or_load`](BlockingCache::get_or_load) but `Absent`.
    #[inline]
    pub fn get_or_load_optional<Q, F, T, E>(&self, key: &Q, loader: F) -> Result<Option<V>, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
        F: FnOnce(K) -> Result<T, E> + Send + 'static,
        T: Into<Loaded<V>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        now_or_wait(self.cache.get_or_load_optional(key, |key| on_the_pool(loader, key)), self.cache.runtime())?
    }

    /// The values of many keys, with one call of `loader` for all that have to be loaded: [`Cache::get_or_load_many`].
    ///
    /// # Errors
    /// A result for each key; where this thread must not wait, `Invalid` for all of them.
    pub fn get_or_load_many<F, T, E>(&self, keys: &[K], loader: F) -> Vec<Result<Option<V>, Error>>
    where
        F: FnOnce(Vec<K>) -> Result<Vec<T>, E> + Send + 'static,
        T: Into<Loaded<V>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        let loads = self.cache.get_or_load_many(keys, |keys| on_the_pool(loader, keys));
        let results = now_or_wait(loads, self.cache.runtime());
        results.unwrap_or_else(|error| keys.iter().map(|_| Err(error.clone())).collect())
    }
}

/// Runs `loader` where it may block; its panic goes on in whoever awaits this.
async fn on_the_pool<A, R, E>(
    loader: impl FnOnce(A) -> Result<R, E> + Send + 'static,
    argument: A,
) -> Result<R, BoxError>
where
    A: Send + 'static,
    R: Send + 'static,
    E: Into<BoxError> + Send + 'static,
{
    let span = tracing::Span::current();
    let task = tokio::task::spawn_blocking(move || span.in_scope(|| loader(argument)));
    match task.await {
        Ok(result) => result.map_err(Into::into),
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => Err(cancelled.into()),
        },
    }
}

#[cfg(test)]
mod tests;
