//! What happens to the server, and what it answers: no wrong data, nobody hangs, health says so, and all is as before in the end.

use super::stations::{Station, build, message, remote, serves, state, until, within};
use scrubjay::{EntryOptions, ErrorKind, Remote, TierState};
use scrubjay_harness::{RedisCluster, RedisServer};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::Notify;

/// Longer than any call may take while the server is away: several commands that are not answered.
const LIMIT: Duration = Duration::from_secs(3);

/// Two caches on one server.
async fn pair(server: &RedisServer) -> (Station, Station) {
    (Station::open(server.address()).await, Station::open(server.address()).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_dies_in_the_middle_of_a_load_is_followed_by_one_other() {
    let server = RedisServer::start();
    let (second, third) = pair(&server).await;
    let leader = Station::open(server.address()).await;
    let begun = Arc::new(Notify::new());
    let (telling, cache) = (Arc::clone(&begun), leader.cache.clone());
    let load = tokio::spawn(async move {
        let never = async move |_| {
            telling.notify_one();
            std::future::pending::<Result<String, Infallible>>().await
        };
        cache.get_or_load("key", never).await
    });
    begun.notified().await;
    // From here on the server hears nothing of it, not even that it has gone.
    leader.proxy.partition();
    let (a, b) = within(LIMIT, async { tokio::join!(second.load("key", "value"), third.load("key", "value")) }).await;
    assert_eq!((a.unwrap().as_str(), b.unwrap().as_str()), ("value", "value"));
    assert_eq!(second.loads.load(Ordering::SeqCst) + third.loads.load(Ordering::SeqCst), 1);
    load.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_is_used_again_and_what_it_lost_is_not_believed() {
    let mut server = RedisServer::start();
    let (a, b) = pair(&server).await;
    a.insert("key", "old").await;
    b.finds("key", Some("old")).await;
    server.kill();
    a.is_away().await;
    assert!(!message(&a.cache).is_empty());
    assert_eq!(within(LIMIT, a.load("other", "loaded")).await.unwrap(), "loaded");
    server.start_again();
    a.serves().await;
    b.serves().await;
    // Nobody knows what was removed on a server that does not know it either.
    assert_eq!((a.get("key").await, b.get("key").await), (None, None));
    a.insert("key", "new").await;
    b.finds("key", Some("new")).await;
    a.cache.remove("key").await.unwrap();
    b.finds("key", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_server_leaves_nothing_in_memory() {
    let server = RedisServer::start();
    let (a, b) = pair(&server).await;
    for command in ["FLUSHALL", "FLUSHDB"] {
        a.shares(&b, "key", "value").await;
        server.console().ok(&[command]);
        a.finds("key", None).await;
        b.finds("key", None).await;
        a.serves().await;
        b.serves().await;
    }
    a.shares(&b, "key", "again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stamps_that_are_evicted_make_older_entries_a_miss_and_tags_work_on() {
    let server = RedisServer::start();
    let (a, b) = pair(&server).await;
    a.insert("key", "old").await;
    b.finds("key", Some("old")).await;
    let stamps = server.call(&["KEYS", "*!stamps*"]).texts();
    assert_eq!(stamps.len(), 1, "{stamps:?}");
    server.call(&["DEL", &stamps[0]]);
    a.finds("key", None).await;
    b.finds("key", None).await;
    until("new stamps", async || a.stats().generations + b.stats().generations > 0).await;
    a.serves().await;
    b.serves().await;
    let tagged = |value: &str| ("key".to_owned(), value.to_owned(), EntryOptions::new().tag("t"));
    let (key, value, options) = tagged("new");
    a.cache.insert_with(key, value, options).await.unwrap();
    b.finds("key", Some("new")).await;
    b.cache.remove_by_tag("t").await.unwrap();
    assert_eq!(b.get("key").await, None);
    a.finds("key", None).await;
}

/// `server` copies from `master` from now on; it has all of it when this returns.
async fn replicate(server: &RedisServer, master: &RedisServer) {
    server.console().ok(&["REPLICAOF", "127.0.0.1", &master.port().to_string()]);
    until("the copy to be whole", async || {
        server.call(&["INFO", "replication"]).text().contains("master_link_status:up")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_has_become_a_replica_is_read_only_until_it_is_a_master_again() {
    let (server, other) = (RedisServer::start(), RedisServer::start());
    let (a, b) = pair(&server).await;
    a.insert("gone", "old").await;
    // Another takes over, with all that is there.
    replicate(&other, &server).await;
    other.console().ok(&["REPLICAOF", "NO", "ONE"]);
    replicate(&server, &other).await;
    // An insert is deferred, and a removal says that it is.
    until("a removal to be refused", async || {
        let removed = within(LIMIT, a.cache.remove("gone")).await;
        removed.is_err_and(|error| error.kind() == ErrorKind::Unavailable)
    })
    .await;
    a.insert("key", "deferred").await;
    assert_eq!(a.get("gone").await, None);
    assert_eq!(within(LIMIT, b.load("loaded", "value")).await.unwrap(), "value");
    until("health to say so", async || state(&a.cache) != TierState::Serving && !message(&a.cache).is_empty()).await;
    server.console().ok(&["REPLICAOF", "NO", "ONE"]);
    a.serves().await;
    b.serves().await;
    b.finds("key", Some("deferred")).await;
    b.finds("gone", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_memory_for_a_new_value_does_not_go_on_serving_the_old_one() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]);
    let (a, b) = pair(&server).await;
    a.insert("key", "old").await;
    b.finds("key", Some("old")).await;
    server.console().ok(&["CONFIG", "SET", "maxmemory", "1"]);
    within(LIMIT, a.insert("key", "new")).await;
    until("the old value to be gone", async || b.get("key").await.as_deref() != Some("old")).await;
    assert_ne!(a.get("key").await.as_deref(), Some("old"));
    assert_eq!(within(LIMIT, b.load("other", "loaded")).await.unwrap(), "loaded");
    assert!(a.stats().out_of_memory > 0, "{:?}", a.stats());
    server.console().ok(&["CONFIG", "SET", "maxmemory", "0"]);
    a.shares(&b, "key", "newest").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_costs_readers_no_more_than_the_timeouts() {
    let server = RedisServer::start();
    let (a, b) = pair(&server).await;
    a.insert("key", "old").await;
    b.finds("key", Some("old")).await;
    server.pause();
    for number in 0..10 {
        let (key, value) = (format!("key {number}"), number.to_string());
        assert_eq!(within(LIMIT, a.load(&key, &value)).await.unwrap(), value);
    }
    let removed = within(LIMIT, a.cache.remove("key")).await;
    assert_eq!(removed.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(a.get("key").await, None);
    // What is in memory serves for a while, and then no more: it may have been changed.
    until("b to distrust what it has", async || b.get("key").await.is_none()).await;
    server.resume();
    a.serves().await;
    b.serves().await;
    assert_eq!((a.get("key").await, b.get("key").await), (None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_move_under_a_cluster_and_nobody_notices_but_the_counters() {
    let cluster = RedisCluster::start();
    let a = build(remote(Remote::cluster(cluster.urls()))).await;
    let b = build(remote(Remote::cluster(cluster.urls()))).await;
    serves(&a).await;
    serves(&b).await;
    for round in 0..3 {
        let value = format!("value {round}");
        a.insert("key".to_owned(), value.clone()).await.unwrap();
        until("b to find it", async || b.get("key").await.as_ref() == Some(&value)).await;
        let keys: Vec<String> = cluster.nodes().iter().flat_map(|node| node.call(&["KEYS", "*:key"]).texts()).collect();
        assert_eq!(keys.len(), 1, "{keys:?}");
        let slot = RedisCluster::slot_of(&keys[0]);
        let to = (cluster.owner_of(slot) + 1) % 3;
        cluster.begin_move(slot, to);
        // Half moved: reads and loads are answered whatever the servers say.
        let loader = async |_| Ok::<_, Infallible>("loaded".to_owned());
        assert!(within(LIMIT, a.get_or_load("key", loader)).await.is_ok());
        cluster.finish_move(slot, to);
        until("the removal to be confirmed", async || within(LIMIT, a.remove("key")).await.is_ok()).await;
        assert_eq!(a.get("key").await, None);
        until("b to hear of the removal", async || b.get("key").await.is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_changed_while_the_server_was_away_is_told_to_it_and_the_latest_wins() {
    let server = RedisServer::start();
    let (a, b) = pair(&server).await;
    a.insert("removed", "old").await;
    a.insert("written", "old").await;
    b.finds("removed", Some("old")).await;
    b.finds("written", Some("old")).await;
    a.proxy.partition();
    a.is_away().await;
    let removed = within(LIMIT, a.cache.remove("removed")).await;
    assert_eq!(removed.unwrap_err().kind(), ErrorKind::Unavailable);
    within(LIMIT, a.insert("written", "by a")).await;
    within(LIMIT, a.insert("overtaken", "by a")).await;
    // Time passes between the two writes: which of them is the later one is told by their clocks.
    tokio::time::sleep(Duration::from_millis(20)).await;
    b.insert("overtaken", "by b").await;
    assert!(a.stats().missed_pending >= 3, "{:?}", a.stats());
    a.proxy.heal();
    a.serves().await;
    b.finds("removed", None).await;
    b.finds("written", Some("by a")).await;
    a.finds("overtaken", Some("by b")).await;
    assert_eq!(b.get("overtaken").await.as_deref(), Some("by b"));
    assert!(a.stats().replayed >= 2 && a.stats().outdated >= 1, "{:?}", a.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags_and_clear_that_were_called_while_the_server_was_away_reach_the_others() {
    let server = RedisServer::start();
    let (a, b) = pair(&server).await;
    let tagged = EntryOptions::new().tag("t");
    a.cache.insert_with("tagged".to_owned(), "old".to_owned(), tagged).await.unwrap();
    b.finds("tagged", Some("old")).await;
    a.proxy.partition();
    a.is_away().await;
    assert_eq!(within(LIMIT, a.cache.remove_by_tag("t")).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(a.get("tagged").await, None);
    assert_eq!(b.get("tagged").await.as_deref(), Some("old"));
    a.proxy.heal();
    a.serves().await;
    b.finds("tagged", None).await;
    b.insert("any", "old").await;
    a.finds("any", Some("old")).await;
    a.proxy.partition();
    a.is_away().await;
    assert_eq!(within(LIMIT, a.cache.clear()).await.unwrap_err().kind(), ErrorKind::Unavailable);
    a.proxy.heal();
    a.serves().await;
    b.finds("any", None).await;
}
