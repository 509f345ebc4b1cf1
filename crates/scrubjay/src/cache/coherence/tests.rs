use crate::{Cache, Disk, Memory, Remote, TierState};
use scrubjay_harness::{Proxy, RedisServer};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// No test takes so long, unless it is to fail.
const PATIENCE: Duration = Duration::from_secs(60);

async fn process(server: &RedisServer, folder: &std::path::Path) -> Cache<String, u64> {
    let remote = Remote::url(server.url()).command_timeout(Duration::from_secs(10));
    let builder = Cache::builder("numbers").memory(Memory::bytes(1 << 20)).remote(remote);
    let cache = builder.disk(Disk::at(folder).bytes(4 << 20).write_through(true)).build().await.unwrap();
    until("it serves", || is_serving(&cache)).await;
    cache
}

fn is_serving(cache: &Cache<String, u64>) -> bool {
    cache.health().tier("remote").unwrap().state == TierState::Serving
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "not in time: {what}");
}

fn is_in_memory(cache: &Cache<String, u64>, key: &str) -> bool {
    let memory = &cache.shared.memory;
    memory.peek(memory.hash(key), key, |_, _| ()).is_some()
}

fn is_on_disk(cache: &Cache<String, u64>, key: &str) -> bool {
    cache.shared.disk.as_ref().unwrap().tier.holds(key.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_changes_of_one_key_that_have_overlapped_it_is_fetched_from_the_server_again() {
    let (server, folder) = (RedisServer::start(), tempfile::tempdir().unwrap());
    let a = process(&server, folder.path()).await;
    // One after the other: what was written is here.
    a.insert("jay".into(), 1).await.unwrap();
    a.insert("jay".into(), 2).await.unwrap();
    assert!(is_in_memory(&a, "jay") && is_on_disk(&a, "jay"));
    let hash = a.shared.memory.hash("jay");
    // Another change, which is under way for as long as it is held here.
    let other = {
        let stripe = a.shared.leases.lock(hash);
        a.shared.begin_change(&stripe, hash, "jay".to_owned(), b"jay".to_vec())
    };
    a.insert("jay".into(), 3).await.unwrap();
    assert!(is_in_memory(&a, "jay") && is_on_disk(&a, "jay"));
    drop(other);
    assert!(!is_in_memory(&a, "jay") && !is_on_disk(&a, "jay"), "nobody knows which of them the server has");
    assert_eq!(a.get("jay").await, Some(3), "fetched");
    assert!(is_in_memory(&a, "jay"));
    a.insert("jay".into(), 6).await.unwrap();
    assert!(is_in_memory(&a, "jay") && is_on_disk(&a, "jay"), "alone again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_that_was_made_while_away_wins_against_a_load_that_began_before_it() {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.address());
    let build = |url: String| {
        let remote = Remote::url(url).command_timeout(Duration::from_secs(1));
        Cache::<String, u64>::builder("numbers").memory(Memory::bytes(1 << 20)).remote(remote).build()
    };
    let (a, b) = (build(proxy.url()).await.unwrap(), build(server.url()).await.unwrap());
    until("both serve", || is_serving(&a) && is_serving(&b)).await;
    let (has_begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let load = {
        let (b, has_begun, may_end) = (b.clone(), Arc::clone(&has_begun), Arc::clone(&may_end));
        tokio::spawn(async move {
            let loader = move |_| async move {
                has_begun.notify_one();
                may_end.notified().await;
                Ok::<_, std::io::Error>(1)
            };
            b.get_or_load("jay", loader).await
        })
    };
    has_begun.notified().await;
    proxy.partition();
    until("it is away", || !is_serving(&a)).await;
    a.insert("jay".into(), 2).await.unwrap();
    let inserted_ms = a.shared.clock.now_ms();
    until("a later moment", || a.shared.clock.now_ms() > inserted_ms + 1).await;
    may_end.notify_one();
    assert_eq!(load.await.unwrap().unwrap(), 1);
    proxy.heal();
    until("all is done", || is_serving(&a) && a.stats().remote_store.unwrap().missed_pending == 0).await;
    assert_eq!(a.get("jay").await, Some(2), "an insert is lost to a load that read before it");
}
