//! The front door by its public calls: every item, the limits, times, tags and the ways between the tiers.
//!
//! Time is held. What the load path does is in its own tests; here loads are there for what wins against them.

#![allow(clippy::unwrap_used, reason = "a test may, in its helpers too")]

#[path = "cache/history.rs"]
mod history;
#[path = "cache/invalidation.rs"]
mod invalidation;
#[path = "cache/limits.rs"]
mod limits;
#[path = "cache/overtaken.rs"]
mod overtaken;
#[path = "cache/stale_below.rs"]
mod stale_below;
#[path = "cache/tiers.rs"]
mod tiers;

use scrubjay::{Cache, Clock, EntryOptions, ErrorKind, Loaded, Memory, Reason};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The result of a future that does not wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

async fn plain(name: &str) -> Cache<u64, u64> {
    Cache::builder(name).memory(Memory::bytes(1 << 20)).build().await.unwrap()
}

#[tokio::test]
async fn what_was_inserted_is_found_until_it_is_removed() {
    let cache = plain("items").await;
    assert_eq!(cache.get(&1).await, None);
    cache.insert(1, 10).await.unwrap();
    assert_eq!((cache.get(&1).await, cache.peek(&1).await, cache.contains(&1).await), (Some(10), Some(10), true));
    cache.insert(1, 11).await.unwrap();
    assert_eq!(cache.get(&1).await, Some(11));
    assert!(cache.remove(&1).await.unwrap());
    assert!(!cache.remove(&1).await.unwrap());
    assert_eq!((cache.get(&1).await, cache.peek(&1).await, cache.contains(&1).await), (None, None, false));
}

#[tokio::test]
async fn a_lookup_borrows_its_key() {
    let cache: Cache<String, u64> = Cache::builder("borrow").memory(Memory::entries(10)).build().await.unwrap();
    cache.insert("a".into(), 1).await.unwrap();
    cache.insert(String::new(), 2).await.unwrap();
    assert_eq!((cache.get("a").await, cache.get("").await), (Some(1), Some(2)));
    assert!(cache.remove("a").await.unwrap());
    assert!(!cache.contains("a").await);
}

#[tokio::test]
async fn many_keys_come_in_the_order_in_which_they_were_asked_for() {
    let cache = plain("many").await;
    cache.insert_many((0..100).map(|n| (n, n * n))).await.unwrap();
    let keys: Vec<u64> = (50..150).rev().collect();
    let expected: Vec<_> = keys.iter().map(|n| (*n < 100).then_some(n * n)).collect();
    assert_eq!(cache.get_many(&keys).await, expected);
    assert_eq!(cache.get_many(&[]).await, []);
    assert_eq!(cache.remove_many(&[1, 2, 2, 1000]).await.unwrap(), 2);
    let stats = cache.stats();
    assert_eq!((stats.memory.hits, stats.memory.misses, stats.memory.entries), (50, 50, 98));
}

#[tokio::test]
async fn keys_are_those_with_a_fresh_value() {
    let clock = Clock::held();
    let cache: Cache<String, u64> =
        Cache::builder("keys").memory(Memory::entries(100)).clock(clock.clone()).build().await.unwrap();
    cache.insert("stays".into(), 1).await.unwrap();
    let brief = EntryOptions::new().time_to_live(Duration::from_secs(1));
    cache.insert_with("expires".into(), 1, brief).await.unwrap();
    cache.insert_with("tagged".into(), 1, EntryOptions::new().tag("t")).await.unwrap();
    let absent = async |_| Ok::<_, std::io::Error>(Loaded::absent().time_to_live(Duration::from_secs(9)));
    assert_eq!(cache.get_or_load_optional("absent", absent).await.unwrap(), None);
    assert_eq!(cache.keys().await.len(), 3);
    clock.advance(Duration::from_secs(1));
    cache.remove_by_tag("t").await.unwrap();
    assert_eq!(cache.keys().await.collect::<Vec<_>>(), ["stays"]);
}

#[tokio::test]
async fn a_remembered_absence_is_no_value_and_asks_no_loader() {
    let clock = Clock::held();
    let cache: Cache<u64, u64> = Cache::builder("absent")
        .memory(Memory::bytes(1 << 20))
        .clock(clock.clone())
        .negative_ttl(Duration::from_secs(5))
        .build()
        .await
        .unwrap();
    let absent = async |_| Ok::<_, std::io::Error>(None);
    assert_eq!(cache.get_or_load_optional(&1, absent).await.unwrap(), None);
    let value = async |key| Ok::<_, std::io::Error>(Some(key));
    assert_eq!(cache.get_or_load_optional(&1, value).await.unwrap(), None, "remembered");
    assert_eq!((cache.get(&1).await, cache.contains(&1).await, cache.get_many(&[1]).await), (None, false, vec![None]));
    assert_eq!(cache.get_or_load(&1, value).await.unwrap_err().kind(), ErrorKind::Absent);
    assert!(!cache.remove(&1).await.unwrap(), "there was no value");
    assert_eq!(cache.get_or_load_optional(&1, absent).await.unwrap(), None);
    clock.advance(Duration::from_secs(5));
    assert_eq!(cache.get_or_load_optional(&1, value).await.unwrap(), Some(1), "forgotten");
}

#[tokio::test]
async fn the_listener_is_told_the_reason_of_each_departure() {
    let told: Arc<Mutex<BTreeMap<(u64, u64), Reason>>> = Arc::default();
    let clock = Clock::held();
    let listener = Arc::clone(&told);
    let cache: Cache<u64, u64> = Cache::builder("listener")
        .memory(Memory::entries(4).partition("odd", 1))
        .partition_by(|key: &u64| (key % 2 == 1).then_some("odd"))
        .on_departure(move |key, value, reason| {
            listener.lock().unwrap().insert((*key, *value), reason);
        })
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    let reason = |key, value| told.lock().unwrap().get(&(key, value)).copied();
    cache.insert(2, 1).await.unwrap();
    cache.insert(2, 2).await.unwrap();
    assert_eq!(reason(2, 1), Some(Reason::Replaced));
    cache.remove(&2).await.unwrap();
    assert_eq!(reason(2, 2), Some(Reason::Removed));
    cache.insert(1, 0).await.unwrap();
    cache.insert(3, 0).await.unwrap();
    assert!(reason(1, 0) == Some(Reason::OverQuota) || reason(3, 0) == Some(Reason::OverQuota));
    cache.insert_with(4, 0, EntryOptions::new().tag("t")).await.unwrap();
    cache.remove_by_tag("t").await.unwrap();
    assert_eq!((reason(4, 0), cache.get(&4).await, reason(4, 0)), (None, None, Some(Reason::Removed)));
    cache.insert_many((0..10).map(|n| (2 * n + 10, 0))).await.unwrap();
    let evicted = told.lock().unwrap().values().filter(|reason| **reason == Reason::Evicted).count();
    assert_eq!(evicted, 7, "four of eleven stay: {told:?}");
    cache.clear().await.unwrap();
    assert_eq!(cache.stats().memory.entries, 0);
    assert_eq!(told.lock().unwrap().len(), 2 + 2 + 1 + 10);
}

#[tokio::test]
async fn a_listener_that_panics_is_counted_and_harms_nobody() {
    let cache: Cache<u64, u64> = Cache::builder("panics")
        .memory(Memory::entries(10))
        .on_departure(|_, _, _| panic!("the listener"))
        .build()
        .await
        .unwrap();
    cache.insert(1, 1).await.unwrap();
    assert!(cache.remove(&1).await.unwrap());
    assert_eq!(cache.stats().listener_panics, 1);
}

#[tokio::test]
async fn a_smaller_budget_evicts_down_to_it() {
    let cache: Cache<u64, u64> = Cache::builder("resize").memory(Memory::entries(1000)).build().await.unwrap();
    cache.insert_many((0..1000).map(|n| (n, n))).await.unwrap();
    cache.resize(100).await.unwrap();
    assert!(cache.stats().memory.entries <= 100);
    assert_eq!(cache.stats().memory.capacity, 100);
    assert_eq!(cache.resize(0).await.unwrap_err().to_string(), "capacity is 0, must be at least 1");
}

#[tokio::test]
async fn a_closed_cache_misses_and_refuses() {
    let cache = plain("closed").await;
    cache.insert(1, 1).await.unwrap();
    let other = cache.clone();
    let waits = tokio::spawn(async move {
        other.get_or_load(&2, async |_| std::future::pending::<Result<u64, std::io::Error>>().await).await
    });
    while cache.stats().waiting == 0 {
        tokio::task::yield_now().await;
    }
    cache.close().await;
    assert_eq!(waits.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!((cache.get(&1).await, cache.get_many(&[1]).await, cache.keys().await.len()), (None, vec![None], 0));
    let kinds = [
        cache.insert(1, 1).await.unwrap_err().kind(),
        cache.insert_many([(1, 1)]).await.unwrap_err().kind(),
        cache.remove(&1).await.unwrap_err().kind(),
        cache.remove_many(&[1]).await.unwrap_err().kind(),
        cache.clear().await.unwrap_err().kind(),
        cache.remove_by_tag("t").await.unwrap_err().kind(),
        cache.resize(1 << 20).await.unwrap_err().kind(),
        cache.get_or_load(&1, async |key| Ok::<_, std::io::Error>(key)).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Closed; 8]);
    assert!(!cache.health().is_serving());
    cache.close().await;
}

#[test]
fn no_call_waits_that_has_no_loader() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cache: Cache<u64, u64> =
        now(Cache::builder("now").memory(Memory::entries(10)).runtime(runtime.handle().clone()).build()).unwrap();
    now(cache.insert(1, 1)).unwrap();
    assert_eq!((now(cache.get(&1)), now(cache.get_many(&[1, 2]))), (Some(1), vec![Some(1), None]));
    let loads = async |key: u64| Ok::<_, std::io::Error>(key);
    assert_eq!(now(cache.get_or_load(&1, loads)).unwrap(), 1, "a hit");
}
