//! The `redis` crate as it is used without a cache library: one connection that everybody shares, one that comes back by
//! itself, and one that keeps what it read in memory and has the server tell it of changes.

use super::store::{Setting, Store, TTL};
use redis::aio::{ConnectionLike, ConnectionManager, MultiplexedConnection};
use redis::caching::CacheConfig;
use redis::{AsyncCommands, AsyncConnectionConfig, Client};
use std::future::Future;
use std::num::NonZeroUsize;

pub(super) type Multiplexed = Plain<MultiplexedConnection, Shared>;
pub(super) type Managed = Plain<ConnectionManager, Shared>;
pub(super) type Tracking = Plain<MultiplexedConnection, Tracked>;

/// How a connection is made.
pub(super) trait Connect<C>: Send + Sync + 'static {
    fn connect(setting: &Setting) -> impl Future<Output = anyhow::Result<C>> + Send;
}

/// With the crate's defaults.
pub(super) struct Shared;

/// With client-side caching.
pub(super) struct Tracked;

impl Connect<MultiplexedConnection> for Shared {
    async fn connect(setting: &Setting) -> anyhow::Result<MultiplexedConnection> {
        Ok(Client::open(setting.url.as_str())?.get_multiplexed_async_connection().await?)
    }
}

impl Connect<ConnectionManager> for Shared {
    async fn connect(setting: &Setting) -> anyhow::Result<ConnectionManager> {
        Ok(ConnectionManager::new(Client::open(setting.url.as_str())?).await?)
    }
}

impl Connect<MultiplexedConnection> for Tracked {
    async fn connect(setting: &Setting) -> anyhow::Result<MultiplexedConnection> {
        let client = Client::open(format!("{}?protocol=resp3", setting.url))?;
        let room = NonZeroUsize::new(usize::try_from(setting.room)?).unwrap_or(NonZeroUsize::MIN);
        let config = AsyncConnectionConfig::new().set_cache_config(CacheConfig::new().set_size(room));
        Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
    }
}

/// A connection, cloned for each call as its manual says.
pub(super) struct Plain<C, M>(C, std::marker::PhantomData<M>);

impl<C, M> Store for Plain<C, M>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
    M: Connect<C>,
{
    type Value = Vec<u8>;

    async fn connect(setting: &Setting) -> anyhow::Result<Self> {
        Ok(Plain(M::connect(setting).await?, std::marker::PhantomData))
    }

    async fn get(&self, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(self.0.clone().get(key).await?)
    }

    async fn get_many(&self, keys: &[String]) -> anyhow::Result<Vec<Option<Vec<u8>>>> {
        Ok(self.0.clone().mget(keys).await?)
    }

    async fn insert(&self, key: &str, value: &[u8]) -> anyhow::Result<()> {
        Ok(self.0.clone().set_ex(key, value, TTL.as_secs()).await?)
    }

    async fn get_or_load(
        &self,
        key: &str,
        load: impl Future<Output = anyhow::Result<Vec<u8>>> + Send + 'static,
    ) -> anyhow::Result<Vec<u8>> {
        if let Some(value) = self.get(key).await? {
            return Ok(value);
        }
        let value = load.await?;
        self.insert(key, &value).await?;
        Ok(value)
    }
}
