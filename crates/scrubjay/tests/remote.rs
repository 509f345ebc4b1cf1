//! The remote tier through the public calls: two caches of one name over one `redis-server` stand for two processes.

#![allow(clippy::unwrap_used, reason = "a test may, in its helpers too")]

#[path = "remote/away.rs"]
mod away;
#[path = "remote/loads.rs"]
mod loads;
#[path = "remote/migrations.rs"]
mod migrations;
#[path = "remote/news.rs"]
mod news;
#[path = "remote/objects.rs"]
mod objects;
#[path = "remote/replicas.rs"]
mod replicas;
#[path = "remote/values.rs"]
mod values;

use scrubjay::{Cache, CacheBuilder, Memory, Remote, RemoteStats, TierState};
use scrubjay_harness::RedisServer;
use std::time::Duration;

type Numbers = Cache<String, u64>;

/// No test takes so long, unless it is to fail.
const PATIENCE: Duration = Duration::from_secs(60);

fn remote(server: &RedisServer) -> Remote {
    // Generous: the machine may have much else to do, and a command that is late is another case.
    Remote::url(server.url()).command_timeout(Duration::from_secs(10))
}

fn builder(remote: Remote) -> CacheBuilder<String, u64> {
    Cache::builder("numbers").memory(Memory::bytes(1 << 20)).remote(remote)
}

/// A process, as far as the others can tell.
async fn process(server: &RedisServer) -> Numbers {
    serving(builder(remote(server)).build().await.unwrap()).await
}

async fn two(server: &RedisServer) -> (Numbers, Numbers) {
    (process(server).await, process(server).await)
}

async fn serving(cache: Numbers) -> Numbers {
    until("the remote tier serves", async || is_serving(&cache)).await;
    cache
}

fn is_serving(cache: &Numbers) -> bool {
    cache.health().tier("remote").unwrap().state == TierState::Serving
}

/// Waits until it is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(in_time.is_ok(), "not within {PATIENCE:?}: {what}");
}

fn shared(cache: &Numbers) -> RemoteStats {
    cache.stats().remote_store.unwrap()
}

/// What a loader costs that nobody may call.
async fn must_not_load(key: String) -> Result<u64, std::io::Error> {
    panic!("{key} is loaded")
}
