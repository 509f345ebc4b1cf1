//! One load for all processes, and none that stores what was changed meanwhile.

use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

type Failed = std::io::Error;

/// A source that answers when it is told to.
#[derive(Clone, Default)]
struct Source {
    asked: Arc<AtomicU64>,
    has_begun: Arc<Notify>,
    may_end: Arc<Notify>,
}

impl Source {
    async fn load(self, value: Result<u64, Failed>) -> Result<u64, Failed> {
        self.asked.fetch_add(1, Ordering::AcqRel);
        self.has_begun.notify_one();
        self.may_end.notified().await;
        value
    }

    /// A load of the key that has begun.
    async fn loading(&self, cache: &Numbers, value: Result<u64, Failed>) -> tokio::task::JoinHandle<Option<u64>> {
        let (source, cache) = (self.clone(), cache.clone());
        let load = tokio::spawn(async move { cache.get_or_load("jay", |_| source.load(value)).await.ok() });
        self.has_begun.notified().await;
        load
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_in_several_processes_is_one_load() {
    const PROCESSES: usize = 4;
    const CALLERS: usize = 100;
    let server = RedisServer::start();
    let source = Source::default();
    let mut calls = Vec::new();
    let mut processes = Vec::new();
    for _ in 0..PROCESSES {
        let cache = process(&server).await;
        for _ in 0..CALLERS {
            let (cache, source) = (cache.clone(), source.clone());
            calls.push(tokio::spawn(async move { cache.get_or_load("jay", |_| source.load(Ok(7))).await.unwrap() }));
        }
        processes.push(cache);
    }
    let waits = || processes.iter().map(|cache| shared(cache).waits).sum::<u64>();
    until("all but one wait for it", async || waits() == 3).await;
    source.may_end.notify_one();
    for call in calls {
        assert_eq!(call.await.unwrap(), 7);
    }
    assert_eq!(source.asked.load(Ordering::Acquire), 1);
    assert_eq!(processes.iter().map(|cache| cache.stats().loads).sum::<u64>(), 1);
    for cache in &processes {
        until("each has it in memory", async || {
            let before = cache.stats().memory.hits;
            cache.get("jay").await == Some(7) && cache.stats().memory.hits > before
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_elsewhere_wins_against_a_load_that_began_before() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    let source = Source::default();
    let load = source.loading(&a, Ok(1)).await;
    b.remove("jay").await.unwrap();
    source.may_end.notify_one();
    assert_eq!(load.await.unwrap(), Some(1), "who asked before gets it");
    assert_eq!((a.get("jay").await, b.get("jay").await), (None, None), "and nobody else");
    assert_eq!(a.stats().revoked, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_elsewhere_wins_against_a_load_that_began_before() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    let source = Source::default();
    let load = source.loading(&a, Ok(1)).await;
    b.insert("jay".into(), 2).await.unwrap();
    source.may_end.notify_one();
    assert_eq!(load.await.unwrap(), Some(1));
    assert_eq!((a.get("jay").await, b.get("jay").await), (Some(2), Some(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clear_and_a_tag_elsewhere_win_against_a_load_that_began_before() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    let source = Source::default();
    let load = source.loading(&a, Ok(1)).await;
    b.clear().await.unwrap();
    source.may_end.notify_one();
    assert_eq!(load.await.unwrap(), Some(1));
    until("the clear arrives", async || a.get("jay").await.is_none()).await;
    assert_eq!(b.get("jay").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_here_wins_against_a_load_here_in_the_shared_tier_too() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    let source = Source::default();
    let load = source.loading(&a, Ok(1)).await;
    a.insert("jay".into(), 2).await.unwrap();
    source.may_end.notify_one();
    assert_eq!(load.await.unwrap(), Some(1));
    assert_eq!((a.get("jay").await, b.get("jay").await), (Some(2), Some(2)));
    let load = {
        a.remove("jay").await.unwrap();
        source.loading(&a, Ok(3)).await
    };
    a.remove("jay").await.unwrap();
    source.may_end.notify_one();
    assert_eq!(load.await.unwrap(), Some(3));
    assert_eq!((a.get("jay").await, b.get("jay").await), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_loader_of_one_process_fails_another_loads() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    let (failing, working) = (Source::default(), Source::default());
    let first = failing.loading(&a, Err(Failed::other("gone"))).await;
    let second = {
        let (cache, source) = (b.clone(), working.clone());
        tokio::spawn(async move { cache.get_or_load("jay", |_| source.load(Ok(2))).await.ok() })
    };
    until("the other waits for it", async || shared(&b).waits == 1).await;
    assert_eq!(working.asked.load(Ordering::Acquire), 0);
    failing.may_end.notify_one();
    working.may_end.notify_one();
    assert_eq!(first.await.unwrap(), None);
    assert_eq!(second.await.unwrap(), Some(2));
    assert_eq!(a.get("jay").await, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_waited_long_enough_loads_alone_and_shares_nothing() {
    let server = RedisServer::start();
    let a = process(&server).await;
    let impatient = builder(remote(&server).lease_wait(Duration::from_millis(50))).build().await.unwrap();
    let b = serving(impatient).await;
    let source = Source::default();
    let load = source.loading(&a, Ok(1)).await;
    assert_eq!(b.get_or_load("jay", async |_| Ok::<_, Failed>(2)).await.unwrap(), 2);
    assert_eq!(b.get("jay").await, Some(2));
    assert_eq!(shared(&b).alone, 1);
    source.may_end.notify_one();
    assert_eq!(load.await.unwrap(), Some(1));
    until("what is shared wins", async || b.get("jay").await == Some(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_in_a_load_holds_nobody_up_for_long() {
    let server = RedisServer::start();
    let short = || builder(remote(&server).lease_time(Duration::from_millis(300))).build();
    let (a, b) = (serving(short().await.unwrap()).await, serving(short().await.unwrap()).await);
    // Nobody will ever renew or release it.
    server.console().ok(&["SET", "scrubjay:numbers:0!lease:{scrubjay:numbers:0:jay}", "0123456789abcdef", "PX", "300"]);
    let (one, other) = tokio::join!(
        a.get_or_load("jay", async |_| Ok::<_, Failed>(1)),
        b.get_or_load("jay", async |_| Ok::<_, Failed>(1))
    );
    assert_eq!((one.unwrap(), other.unwrap()), (1, 1));
    assert_eq!(a.stats().loads + b.stats().loads, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_the_load_to_the_others() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    let source = Source::default();
    let load = source.loading(&a, Ok(1)).await;
    load.abort();
    assert!(load.await.is_err());
    source.may_end.notify_one();
    assert_eq!(b.get_or_load("jay", must_not_load).await.unwrap(), 1);
    // A change whose caller goes away is made all the same.
    let mut insert = Box::pin(a.insert("jay".into(), 2));
    let _ = futures_util::poll!(&mut insert);
    drop(insert);
    until("it arrives", async || b.get("jay").await == Some(2)).await;
}
