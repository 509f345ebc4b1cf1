//! The peers, each with its own default hasher and as its manual says to use it.

use super::asynchronous::{AsyncStore, Inline};
use super::keys::Key;
use super::store::{Store, Value};
use foyer_memory::{Cache as Foyer, CacheBuilder, CacheProperties, EvictionConfig, LfuConfig, S3FifoConfig};
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache as Quick, DefaultLifecycle};
use std::hint::black_box;

pub(crate) type QuickCache<K, V> = Quick<K, V>;
pub(crate) type Moka<K, V> = moka::sync::Cache<K, V>;

impl<K: Key, V: Value> Store<K, V> for QuickCache<K, V> {
    fn with_room(entries: usize) -> anyhow::Result<Self> {
        Ok(Quick::new(entries))
    }

    fn read(&self, key: &K::Lookup) -> bool {
        black_box(self.get(key)).is_some()
    }

    fn insert(&self, key: K, value: V) {
        self.insert(key, value);
    }

    fn len(&self) -> usize {
        self.len()
    }
}

/// `quick_cache` with the hasher that ours has; its own is foldhash.
pub(crate) struct QuickCacheAhash<K, V>(Quick<K, V, UnitWeighter, ahash::RandomState>);

impl<K: Key, V: Value> Store<K, V> for QuickCacheAhash<K, V> {
    fn with_room(entries: usize) -> anyhow::Result<Self> {
        let (hasher, lifecycle) = (ahash::RandomState::new(), DefaultLifecycle::default());
        Ok(QuickCacheAhash(Quick::with(entries, entries as u64, UnitWeighter, hasher, lifecycle)))
    }

    fn read(&self, key: &K::Lookup) -> bool {
        black_box(self.0.get(key)).is_some()
    }

    fn insert(&self, key: K, value: V) {
        self.0.insert(key, value);
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl<K: Key, V: Value> Store<K, V> for Moka<K, V> {
    fn with_room(entries: usize) -> anyhow::Result<Self> {
        Ok(moka::sync::Cache::new(entries as u64))
    }

    fn read(&self, key: &K::Lookup) -> bool {
        black_box(self.get(key)).is_some()
    }

    fn insert(&self, key: K, value: V) {
        self.insert(key, value);
    }

    fn settle(&self) {
        self.run_pending_tasks();
    }

    fn len(&self) -> usize {
        usize::try_from(self.entry_count()).unwrap_or(usize::MAX)
    }
}

/// foyer with S3-FIFO, whose hits are its fastest, in its usual number of parts, or fewer.
pub(crate) struct FoyerS3Fifo<K: Key, V: Value, const SHARDS: usize = 8>(Foyer<K, V>);

/// foyer with its LFU, in one part: so it keeps the most.
pub(crate) struct FoyerLfu<K: Key, V: Value>(Foyer<K, V>);

impl<K: Key, V: Value, const SHARDS: usize> Store<K, V> for FoyerS3Fifo<K, V, SHARDS> {
    fn with_room(entries: usize) -> anyhow::Result<Self> {
        Ok(FoyerS3Fifo(foyer(entries, SHARDS, S3FifoConfig::default())))
    }

    fn read(&self, key: &K::Lookup) -> bool {
        foyer_read(&self.0, key)
    }

    fn insert(&self, key: K, value: V) {
        self.0.insert(key, value);
    }

    fn len(&self) -> usize {
        self.0.entries()
    }
}

impl<K: Key, V: Value> Store<K, V> for FoyerLfu<K, V> {
    fn with_room(entries: usize) -> anyhow::Result<Self> {
        Ok(FoyerLfu(foyer(entries, 1, LfuConfig::default())))
    }

    fn read(&self, key: &K::Lookup) -> bool {
        foyer_read(&self.0, key)
    }

    fn insert(&self, key: K, value: V) {
        self.0.insert(key, value);
    }

    fn len(&self) -> usize {
        self.0.entries()
    }
}

fn foyer<K: Key, V: Value>(entries: usize, shards: usize, eviction: impl Into<EvictionConfig>) -> Foyer<K, V> {
    CacheBuilder::new(entries).with_shards(shards).with_eviction_config(eviction).build::<CacheProperties>()
}

/// Its `get` gives a handle that shares the entry: the value is used through it, as a caller would.
fn foyer_read<K: Key, V: Value>(cache: &Foyer<K, V>, key: &K::Lookup) -> bool {
    let entry = cache.get(key);
    if let Some(entry) = &entry {
        entry.value().use_in_place();
    }
    entry.is_some()
}

impl AsyncStore for QuickCache<u64, Inline> {
    async fn with_room(entries: usize) -> anyhow::Result<Self> {
        Ok(Quick::new(entries))
    }

    async fn insert(&self, key: u64, value: Inline) {
        self.insert(key, value);
    }

    async fn read(&self, key: &u64) -> bool {
        black_box(self.get_or_insert_async(key, async { Err::<Inline, ()>(()) }).await).is_ok()
    }
}

pub(crate) struct AsyncMoka(moka::future::Cache<u64, Inline>);

impl AsyncStore for AsyncMoka {
    async fn with_room(entries: usize) -> anyhow::Result<Self> {
        Ok(AsyncMoka(moka::future::Cache::new(entries as u64)))
    }

    async fn insert(&self, key: u64, value: Inline) {
        self.0.insert(key, value).await;
    }

    async fn read(&self, key: &u64) -> bool {
        black_box(self.0.get_with_by_ref(key, async { Inline::of(0) }).await);
        true
    }
}

pub(crate) struct AsyncFoyer(Foyer<u64, Inline>);

impl AsyncStore for AsyncFoyer {
    async fn with_room(entries: usize) -> anyhow::Result<Self> {
        Ok(AsyncFoyer(foyer(entries, 8, S3FifoConfig::default())))
    }

    async fn insert(&self, key: u64, value: Inline) {
        self.0.insert(key, value);
    }

    async fn read(&self, key: &u64) -> bool {
        let entry = self.0.get_or_fetch(key, || async { Err::<Inline, _>(anyhow::anyhow!("not there")) }).await;
        entry.is_ok_and(|entry| {
            entry.value().use_in_place();
            true
        })
    }
}
