//! Caches that stand for processes, each with a network of its own: what one of them has in memory the others do not know.

use scrubjay::{Cache, Error, Loaded, Memory, OnDisconnect, Remote, RemoteStats, TierState};
use scrubjay_harness::Proxy;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is above may serve so long after the connection is lost.
pub(crate) const CAP: Duration = Duration::from_millis(400);

/// A cache, and what stands between it and the server.
pub(crate) struct Station {
    pub(crate) proxy: Proxy,
    pub(crate) cache: Cache<String, String>,
    /// Loaders of this station that have run.
    pub(crate) loads: Arc<AtomicU64>,
}

impl Station {
    /// One that serves.
    pub(crate) async fn open(server: SocketAddr) -> Station {
        Station::open_with(server, |remote| remote).await
    }

    pub(crate) async fn open_with(server: SocketAddr, options: impl FnOnce(Remote) -> Remote) -> Station {
        let proxy = Proxy::in_front_of(server);
        let remote = options(remote(Remote::url(proxy.url())));
        let station = Station { proxy, cache: build(remote).await, loads: Arc::default() };
        station.serves().await;
        station
    }

    /// Waits until the remote tier serves, and nothing is left to be told to it.
    pub(crate) async fn serves(&self) {
        serves(&self.cache).await;
    }

    /// Waits until it does not.
    pub(crate) async fn is_away(&self) {
        until("the tier to be away", async || state(&self.cache) != TierState::Serving).await;
    }

    pub(crate) async fn get(&self, key: &str) -> Option<String> {
        self.cache.get(key).await
    }

    pub(crate) async fn insert(&self, key: &str, value: &str) {
        self.cache.insert(key.to_owned(), value.to_owned()).await.unwrap();
    }

    /// From the tiers, or `value`; what the loader does is counted.
    pub(crate) async fn load(&self, key: &str, value: &str) -> Result<String, Error> {
        let (loads, value) = (Arc::clone(&self.loads), value.to_owned());
        let loader = async move |_| {
            loads.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Infallible>(Loaded::value(value))
        };
        self.cache.get_or_load(key, loader).await
    }

    /// Waits until a lookup of `key` finds what is expected.
    pub(crate) async fn finds(&self, key: &str, expected: Option<&str>) {
        let what = format!("{key} to be {expected:?}");
        until(&what, async || self.get(key).await.as_deref() == expected).await;
    }

    /// Inserts until the other one finds it: while stamps are made anew, what is born with the old ones is a miss elsewhere.
    pub(crate) async fn shares(&self, other: &Station, key: &str, value: &str) {
        until("both to share", async || {
            self.insert(key, value).await;
            other.get(key).await.as_deref() == Some(value)
        })
        .await;
    }

    pub(crate) fn stats(&self) -> RemoteStats {
        self.cache.stats().remote_store.unwrap()
    }
}

/// With times that suit a test.
pub(crate) fn remote(remote: Remote) -> Remote {
    remote
        .connect_timeout(Duration::from_millis(500))
        .lease_time(Duration::from_millis(500))
        .on_disconnect(OnDisconnect::CapAge(CAP))
}

pub(crate) async fn build(remote: Remote) -> Cache<String, String> {
    Cache::builder("shared").memory(Memory::entries(1000)).remote(remote).build().await.unwrap()
}

pub(crate) async fn serves(cache: &Cache<String, String>) {
    let is_settled = async || {
        let missed = cache.stats().remote_store.unwrap().missed_pending;
        state(cache) == TierState::Serving && missed == 0
    };
    until("the tier to serve", is_settled).await;
}

pub(crate) fn state(cache: &Cache<String, String>) -> TierState {
    cache.health().tier("remote").unwrap().state
}

/// What health says of the remote tier; `""` for nothing.
pub(crate) fn message(cache: &Cache<String, String>) -> String {
    cache.health().tier("remote").unwrap().message.clone().unwrap_or_default()
}

/// Asks every few milliseconds until it is so. Panics after half a minute.
#[track_caller]
pub(crate) fn until(what: &str, condition: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let (what, caller) = (what.to_owned(), std::panic::Location::caller());
    async move {
        let mut condition = condition;
        let asking = async {
            while !condition().await {
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        };
        let result = tokio::time::timeout(PATIENCE, asking).await;
        assert!(result.is_ok(), "{caller}: waited {PATIENCE:?} in vain for {what}");
    }
}

/// The result of a call, which must not take longer than that.
#[track_caller]
pub(crate) fn within<T>(limit: Duration, call: impl Future<Output = T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        tokio::time::timeout(limit, call).await.unwrap_or_else(|_| panic!("{caller}: it took longer than {limit:?}"))
    }
}
