//! Ours, as its users call it.

use super::store::{Setting, Store, TTL};
use anyhow::ensure;
use bytes::Bytes;
use scrubjay::{Cache, Memory, Raw, Remote, TierState};
use std::time::Duration;

pub(super) struct Ours(Cache<String, Bytes>);

impl Store for Ours {
    type Value = Bytes;

    async fn connect(setting: &Setting) -> anyhow::Result<Ours> {
        let builder = Cache::builder("bench").memory_with(Memory::entries(setting.room), |_, _| 1).time_to_live(TTL);
        if setting.is_alone {
            return Ok(Ours(builder.build().await?));
        }
        // The values are random: nothing would shrink, and no peer tries.
        let cache = builder.remote_with(Remote::url(&setting.url).uncompressed(), Raw).build().await?;
        // It connects behind, and serves meanwhile; what is measured is the connected cache.
        let deadline = crate::clock::now() + Duration::from_secs(10);
        while !is_connected(&cache) {
            ensure!(crate::clock::now() < deadline, "not connected: {:?}", cache.health());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(Ours(cache))
    }

    async fn get(&self, key: &str) -> anyhow::Result<Option<Bytes>> {
        Ok(self.0.get(key).await)
    }

    async fn get_many(&self, keys: &[String]) -> anyhow::Result<Vec<Option<Bytes>>> {
        Ok(self.0.get_many(keys).await)
    }

    async fn insert(&self, key: &str, value: &[u8]) -> anyhow::Result<()> {
        Ok(self.0.insert(key.to_owned(), Bytes::copy_from_slice(value)).await?)
    }

    async fn get_or_load(
        &self,
        key: &str,
        load: impl Future<Output = anyhow::Result<Vec<u8>>> + Send + 'static,
    ) -> anyhow::Result<Bytes> {
        Ok(self.0.get_or_load(key, |_| async move { load.await.map(Bytes::from) }).await?)
    }
}

fn is_connected(cache: &Cache<String, Bytes>) -> bool {
    cache.health().tier("remote").is_some_and(|tier| tier.state == TierState::Serving)
}
