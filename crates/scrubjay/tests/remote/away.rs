//! The server is not there, goes away, comes back: nothing fails that need not, and nothing old is served for longer than was said.

use super::*;
use scrubjay::{Clock, ErrorKind, Json, OnDisconnect, Removals};

/// Everything that is not there is known to be not there soon.
pub(crate) fn impatient(server: &RedisServer) -> Remote {
    Remote::url(server.url()).command_timeout(Duration::from_secs(1)).connect_timeout(Duration::from_secs(1))
}

async fn away(cache: &Numbers) {
    until("the tier is away", async || !is_serving(cache)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_starts_and_serves_while_its_server_is_down() {
    let mut server = RedisServer::start();
    server.kill();
    let a = builder(impatient(&server)).build().await.unwrap();
    assert!(!is_serving(&a));
    assert_eq!(a.get("jay").await, None);
    assert_eq!(a.get_or_load("jay", async |_| Ok::<_, std::io::Error>(1)).await.unwrap(), 1);
    assert_eq!(a.get("jay").await, Some(1), "memory keeps it, for a while");
    a.insert("oak".into(), 2).await.unwrap();
    assert_eq!(a.get("oak").await, Some(2));
    let error = a.remove("jay").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("queued"), "{error}");
    assert_eq!(a.get("jay").await, None, "removed here all the same");
    server.start_again();
    let a = serving(a).await;
    assert_ne!(a.get("jay").await, Some(1), "what was removed does not come back");
    a.insert("oak".into(), 3).await.unwrap();
    assert_eq!(process(&server).await.get("oak").await, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_inserted_before_the_first_connection_is_not_shared_and_what_was_removed_is() {
    let mut server = RedisServer::start_with(&["--save", "3600 1000000"]);
    let b = process(&server).await;
    b.insert_many([("jay".into(), 1), ("oak".into(), 1), ("elm".into(), 1)]).await.unwrap();
    assert_eq!(server.call(&["SAVE"]).text(), "OK");
    server.kill();
    let a = builder(impatient(&server)).build().await.unwrap();
    a.insert("jay".into(), 2).await.unwrap();
    assert_eq!(a.remove("oak").await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(a.get("jay").await, Some(2), "for a while");
    server.start_again();
    let (a, b) = (serving(a).await, serving(b).await);
    until("all is caught up with", async || shared(&a).missed_pending == 0).await;
    let late = process(&server).await;
    for cache in [&a, &b, &late] {
        until("the older value is gone", async || cache.get("jay").await.is_none()).await;
        assert_eq!((cache.get("oak").await, cache.get("elm").await), (None, Some(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_while_the_server_was_away_is_changed_there_when_it_is_back() {
    let mut server = RedisServer::start_with(&["--save", "3600 1000000"]);
    let deferred = impatient(&server).removals(Removals::Deferred);
    let a = serving(builder(deferred).build().await.unwrap()).await;
    a.insert_many([("gone".into(), 1), ("old".into(), 1), ("kept".into(), 1)]).await.unwrap();
    assert_eq!(server.call(&["SAVE"]).text(), "OK");
    server.kill();
    away(&a).await;
    a.remove("gone").await.unwrap();
    a.insert("old".into(), 2).await.unwrap();
    a.insert("new".into(), 3).await.unwrap();
    server.start_again();
    let a = serving(a).await;
    until("all is caught up with", async || shared(&a).missed_pending == 0).await;
    let b = process(&server).await;
    let keys = ["gone", "old", "kept", "new"].map(str::to_owned);
    let found = b.get_many(&keys).await;
    assert_eq!(found[0], None);
    assert_ne!(found[1], Some(1), "never the old value");
    assert_eq!(found[2], Some(1));
    assert_eq!(shared(&a).deferred, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cleared_while_the_server_was_away_stays_so() {
    let mut server = RedisServer::start_with(&["--save", "3600 1000000"]);
    let a = serving(builder(impatient(&server)).build().await.unwrap()).await;
    a.insert("jay".into(), 1).await.unwrap();
    assert_eq!(server.call(&["SAVE"]).text(), "OK");
    server.kill();
    away(&a).await;
    assert_eq!(a.clear().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(a.get("jay").await, None);
    server.start_again();
    let a = serving(a).await;
    assert_eq!(a.get("jay").await, None);
    assert_eq!(process(&server).await.get("jay").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_hears_nothing_lets_go_as_its_policy_says() {
    let mut server = RedisServer::start();
    let clock = Clock::held();
    let with = |policy| builder(impatient(&server).on_disconnect(policy)).clock(clock.clone()).build();
    let capped = serving(with(OnDisconnect::CapAge(Duration::from_secs(5))).await.unwrap()).await;
    let dropping = serving(with(OnDisconnect::Drop).await.unwrap()).await;
    let keeping = serving(with(OnDisconnect::ServeStale).await.unwrap()).await;
    capped.insert("jay".into(), 1).await.unwrap();
    for cache in [&dropping, &keeping] {
        until("each has it in memory", async || cache.get("jay").await == Some(1)).await;
    }
    server.kill();
    for cache in [&capped, &dropping, &keeping] {
        away(cache).await;
    }
    until("at once", async || dropping.get("jay").await.is_none()).await;
    dropping.insert("oak".into(), 2).await.unwrap();
    assert_eq!(dropping.get("oak").await, None, "nothing is stored above");
    assert_eq!((capped.get("jay").await, keeping.get("jay").await), (Some(1), Some(1)));
    capped.insert("oak".into(), 2).await.unwrap();
    assert_eq!(capped.get("oak").await, Some(2));
    clock.advance(Duration::from_secs(6));
    assert_eq!(capped.get("oak").await, None, "what is stored meanwhile is fresh for so long at most");
    assert_eq!(keeping.get("jay").await, Some(1));
    server.start_again();
    let keeping = serving(keeping).await;
    until("all is distrusted when it is back", async || keeping.get("jay").await.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_closed_has_brought_its_changes_and_finds_nothing_more() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    a.insert("jay".into(), 1).await.unwrap();
    a.close().await;
    assert_eq!(a.get("jay").await, None);
    assert_eq!(a.insert("jay".into(), 2).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(b.get("jay").await, Some(1));
    b.close().await;
}

#[test]
fn a_cache_whose_runtime_has_shut_down_misses_and_says_so_and_does_not_panic() {
    let server = RedisServer::start();
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (its_own, other) = (runtime(), runtime());
    // Nobody's time runs out before the runtime has.
    let remote = Remote::url(server.url()).command_timeout(Duration::from_secs(600));
    let cache = its_own.block_on(async { serving(builder(remote).build().await.unwrap()).await });
    its_own.block_on(cache.insert("jay".into(), 1)).unwrap();
    // Some are on their way when it ends: none is answered.
    server.pause();
    let waiting = cache.clone();
    let on_the_way = other.spawn(async move {
        let removed = waiting.remove("elm").await;
        (waiting.get("oak").await, removed)
    });
    other.block_on(until("a command is on its way", async || shared(&cache).in_flight > 0));
    its_own.shutdown_background();
    let (found, removed) = other.block_on(on_the_way).expect("no panic");
    assert_eq!((found, removed.unwrap_err().kind()), (None, ErrorKind::Unavailable));
    server.resume();
    // And whoever comes later, on another runtime or on none.
    let blocking = cache.blocking();
    for _ in 0..2 {
        assert_eq!(blocking.get("oak"), None);
        assert_eq!(other.block_on(cache.get("oak")), None);
        assert_eq!(blocking.remove("oak").unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(blocking.remove_by_tag("trees").unwrap_err().kind(), ErrorKind::Unavailable);
        blocking.insert("ash".into(), 2).unwrap();
        let loaded = other.block_on(cache.get_or_load("elm", async |_| Ok::<_, std::io::Error>(3)));
        assert_eq!(loaded.unwrap_err().kind(), ErrorKind::Unavailable, "there is nobody to run a loader");
    }
    assert_eq!(cache.health().tier("remote").unwrap().state, TierState::Unavailable);
    other.block_on(cache.close());
}

#[test]
fn a_blocking_call_never_waits_for_a_runtime_that_it_keeps_from_running() {
    let server = RedisServer::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cache = runtime.block_on(process(&server));
    let blocking = cache.blocking();
    let refused = |blocking: &scrubjay::BlockingCache<String, u64>| {
        assert_eq!(blocking.get("jay"), None);
        let error = blocking.insert("jay".into(), 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        blocking.get_or_load("elm", |_| Ok::<_, std::io::Error>(1)).unwrap_err()
    };
    // By a task of that runtime.
    assert_eq!(runtime.block_on(async { refused(&blocking) }).kind(), ErrorKind::Invalid);
    // Those of its pool may wait.
    runtime.block_on(async {
        let calls = move || {
            blocking.insert("oak".into(), 2).unwrap();
            assert!(blocking.remove("oak").unwrap());
            assert_eq!(blocking.get("oak"), None);
            assert_eq!(blocking.get_or_load("oak", |_| Ok::<_, std::io::Error>(3)).unwrap(), 3);
        };
        tokio::task::spawn_blocking(calls).await.unwrap();
        cache.close().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blocking_face_shares_as_well() {
    let server = RedisServer::start();
    let a = process(&server).await;
    let url = server.url();
    let blocking = tokio::task::spawn_blocking(move || {
        let b = builder(Remote::url(url).command_timeout(Duration::from_secs(10))).build_blocking().unwrap();
        while !is_serving(b.cache()) {
            std::thread::yield_now();
        }
        b.insert("jay".into(), 1).unwrap();
        assert!(b.remove("jay").unwrap());
        b.insert("jay".into(), 2).unwrap();
        assert_eq!(b.get_or_load("oak", |_| Ok::<_, std::io::Error>(3)).unwrap(), 3);
        b.close().unwrap();
    });
    blocking.await.unwrap();
    assert_eq!((a.get("jay").await, a.get("oak").await), (Some(2), Some(3)));
}

#[test]
fn the_blocking_face_shares_over_a_server_without_scripts_from_threads_of_no_runtime() {
    let server = scrubjay_harness::ScrubjayServer::start();
    let remote = Remote::url(server.url()).command_timeout(Duration::from_secs(10));
    let [a, b] = [remote.clone(), remote].map(|remote| builder(remote).build_blocking().unwrap());
    for cache in [&a, &b] {
        while !is_serving(cache.cache()) {
            std::thread::yield_now();
        }
    }
    a.insert("jay".into(), 1).unwrap();
    assert_eq!(b.get("jay"), Some(1));
    assert!(b.remove("jay").unwrap());
    assert_eq!(b.get_or_load("oak", |_| Ok::<_, std::io::Error>(3)).unwrap(), 3);
    while a.get("jay").is_some() {
        std::thread::yield_now();
    }
    a.close().unwrap();
    b.close().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_nobody_keeps_is_not_said_to_be_queued() {
    let mut server = RedisServer::start();
    server.kill();
    let raw = impatient(&server).raw().missed_bytes_max(200);
    let builder = Cache::<String, u64>::builder("numbers").memory(Memory::bytes(1 << 20));
    let a = builder.remote_with(raw, Json).build().await.unwrap();
    for key in ["jay", "oak"] {
        assert!(a.remove(key).await.unwrap_err().to_string().contains("queued"), "{key}");
    }
    let error = a.remove("crow").await.unwrap_err();
    assert_eq!((error.kind(), shared(&a).missed_overflows), (ErrorKind::Unavailable, 1));
    assert!(error.to_string().contains("may never be removed there"), "{error}");
}
