//! Ours, as its users call it.

use super::asynchronous::{AsyncStore, Inline};
use super::keys::Key;
use super::store::{Store, Value};
use scrubjay::{Cache, Memory, MemoryCache};
use std::hint::black_box;

impl<K: Key, V: Value> Store<K, V> for MemoryCache<K, V> {
    fn with_room(entries: usize) -> anyhow::Result<Self> {
        Ok(MemoryCache::builder().entries(entries as u64).build()?)
    }

    fn read(&self, key: &K::Lookup) -> bool {
        black_box(self.get(key)).is_some()
    }

    fn insert(&self, key: K, value: V) {
        let _ = self.insert(key, value);
    }

    fn len(&self) -> usize {
        self.len()
    }
}

/// Ours, cut into more parts than the cores ask for.
pub(crate) struct Sharded<K: Key, V: Value>(MemoryCache<K, V>);

impl<K: Key, V: Value> Store<K, V> for Sharded<K, V> {
    fn with_room(entries: usize) -> anyhow::Result<Self> {
        let memory = Memory::entries(entries as u64).shards(8);
        Ok(Sharded(MemoryCache::builder().memory_with(memory, |_, _| 1).build()?))
    }

    fn read(&self, key: &K::Lookup) -> bool {
        self.0.read(key)
    }

    fn insert(&self, key: K, value: V) {
        Store::insert(&self.0, key, value);
    }

    fn len(&self) -> usize {
        Store::len(&self.0)
    }
}

impl AsyncStore for Cache<u64, Inline> {
    async fn with_room(entries: usize) -> anyhow::Result<Self> {
        Ok(Cache::builder("hits").memory_with(Memory::entries(entries as u64), |_, _| 1).build().await?)
    }

    async fn insert(&self, key: u64, value: Inline) {
        let _ = self.insert(key, value).await;
    }

    async fn read(&self, key: &u64) -> bool {
        let load = |_| async { Err::<Inline, _>(std::io::Error::other("not there")) };
        black_box(self.get_or_load(key, load).await).is_ok()
    }
}
