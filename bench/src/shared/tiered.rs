//! The peers that are compiled for this suite alone: another client, moka in front of the `redis` crate, and a library of
//! tiers. Each as its manual says.

use super::store::{Setting, Store, TTL};
use anyhow::Context;
use bytes::Bytes;
use fred::prelude::{Builder, Client as FredClient, ClientLike, Config, Expiration, KeysInterface};
use multi_tier_cache::{
    CacheError, CacheManager, CacheStrategy, InvalidationConfig, L1Cache, L2Cache, MokaCacheConfig,
};
use redis::AsyncCommands;
use redis::aio::ConnectionManager;
use std::sync::Arc;

/// fred's client, which pipelines by itself.
pub(super) struct Fred(FredClient);

impl Store for Fred {
    type Value = Bytes;

    async fn connect(setting: &Setting) -> anyhow::Result<Fred> {
        let client = Builder::from_config(Config::from_url(&setting.url)?).build()?;
        client.init().await?;
        Ok(Fred(client))
    }

    async fn get(&self, key: &str) -> anyhow::Result<Option<Bytes>> {
        Ok(self.0.get(key).await?)
    }

    async fn get_many(&self, keys: &[String]) -> anyhow::Result<Vec<Option<Bytes>>> {
        Ok(self.0.mget(keys.to_vec()).await?)
    }

    async fn insert(&self, key: &str, value: &[u8]) -> anyhow::Result<()> {
        let expiration = Expiration::EX(TTL.as_secs().try_into()?);
        Ok(self.0.set(key, Bytes::copy_from_slice(value), Some(expiration), None, false).await?)
    }

    async fn get_or_load(
        &self,
        key: &str,
        load: impl Future<Output = anyhow::Result<Vec<u8>>> + Send + 'static,
    ) -> anyhow::Result<Bytes> {
        if let Some(value) = self.get(key).await? {
            return Ok(value);
        }
        let value = Bytes::from(load.await?);
        self.insert(key, &value).await?;
        Ok(value)
    }
}

/// What many write by hand: moka, and the `redis` crate where it has nothing.
pub(super) struct MokaRedis {
    memory: moka::future::Cache<String, Bytes>,
    server: ConnectionManager,
}

impl Store for MokaRedis {
    type Value = Bytes;

    async fn connect(setting: &Setting) -> anyhow::Result<MokaRedis> {
        let memory = moka::future::Cache::builder().max_capacity(setting.room).time_to_live(setting.memory_ttl).build();
        let server = ConnectionManager::new(redis::Client::open(setting.url.as_str())?).await?;
        Ok(MokaRedis { memory, server })
    }

    async fn get(&self, key: &str) -> anyhow::Result<Option<Bytes>> {
        if let Some(value) = self.memory.get(key).await {
            return Ok(Some(value));
        }
        let value: Option<Vec<u8>> = self.server.clone().get(key).await?;
        let Some(value) = value.map(Bytes::from) else { return Ok(None) };
        self.memory.insert(key.to_owned(), value.clone()).await;
        Ok(Some(value))
    }

    async fn get_many(&self, keys: &[String]) -> anyhow::Result<Vec<Option<Bytes>>> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(self.memory.get(key).await);
        }
        let missing: Vec<usize> = (0..keys.len()).filter(|place| values[*place].is_none()).collect();
        let asked: Vec<&String> = missing.iter().map(|place| &keys[*place]).collect();
        if asked.is_empty() {
            return Ok(values);
        }
        let found: Vec<Option<Vec<u8>>> = self.server.clone().mget(asked).await?;
        for (place, value) in missing.into_iter().zip(found) {
            if let Some(value) = value.map(Bytes::from) {
                self.memory.insert(keys[place].clone(), value.clone()).await;
                values[place] = Some(value);
            }
        }
        Ok(values)
    }

    async fn insert(&self, key: &str, value: &[u8]) -> anyhow::Result<()> {
        let _: () = self.server.clone().set_ex(key, value, TTL.as_secs()).await?;
        self.memory.insert(key.to_owned(), Bytes::copy_from_slice(value)).await;
        Ok(())
    }

    async fn get_or_load(
        &self,
        key: &str,
        load: impl Future<Output = anyhow::Result<Vec<u8>>> + Send + 'static,
    ) -> anyhow::Result<Bytes> {
        let mut server = self.server.clone();
        let find = async move {
            let value: Option<Vec<u8>> = server.get(key).await?;
            if let Some(value) = value {
                return Ok(Bytes::from(value));
            }
            let value = load.await?;
            let _: () = server.set_ex(key, &value, TTL.as_secs()).await?;
            anyhow::Ok(Bytes::from(value))
        };
        let found = self.memory.entry_by_ref(key).or_try_insert_with(find).await;
        Ok(found.map_err(|error: Arc<anyhow::Error>| anyhow::anyhow!("{error:#}"))?.into_value())
    }
}

/// The `multi-tier-cache` crate with its invalidation over pub/sub.
pub(super) struct MultiTier(CacheManager);

impl Store for MultiTier {
    type Value = Bytes;

    async fn connect(setting: &Setting) -> anyhow::Result<MultiTier> {
        let memory = L1Cache::new(MokaCacheConfig { max_capacity: setting.room, ..MokaCacheConfig::default() })?;
        let server = L2Cache::with_url(&setting.url).await?;
        let invalidation = InvalidationConfig::default();
        let manager =
            CacheManager::new_with_invalidation(Arc::new(memory), Arc::new(server), &setting.url, invalidation)
                .await
                .context("multi-tier-cache does not connect")?;
        Ok(MultiTier(manager))
    }

    async fn get(&self, key: &str) -> anyhow::Result<Option<Bytes>> {
        Ok(self.0.get(key).await?)
    }

    async fn insert(&self, key: &str, value: &[u8]) -> anyhow::Result<()> {
        Ok(self.0.set_with_broadcast(key, Bytes::copy_from_slice(value), CacheStrategy::Custom(TTL)).await?)
    }

    async fn get_or_load(
        &self,
        key: &str,
        load: impl Future<Output = anyhow::Result<Vec<u8>>> + Send + 'static,
    ) -> anyhow::Result<Bytes> {
        let compute = || async move {
            let value = load.await.map_err(|error| CacheError::InternalError(format!("{error:#}")))?;
            Ok(Bytes::from(value))
        };
        Ok(self.0.get_or_compute_with(key, CacheStrategy::Custom(TTL), compute).await?)
    }
}
