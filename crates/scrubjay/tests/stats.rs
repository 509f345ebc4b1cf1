//! The stats as a user sees them: after known calls each number is what its documentation says, and every other one is as it was.

#![allow(clippy::unwrap_used, reason = "a test may, in its helpers too")]

#[path = "stats/loads.rs"]
mod loads;
#[path = "stats/memory_cache.rs"]
mod memory_cache;
#[path = "stats/tiers.rs"]
mod tiers;

use scrubjay::{Cache, CacheBuilder, Clock, Departures, EntryOptions, Memory, Stats, TierStats};
use std::io;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A cache of 100 entries in memory.
fn builder(clock: &Clock) -> CacheBuilder<u64, u64> {
    Cache::builder("stats").memory(Memory::entries(100)).clock(clock.clone())
}

async fn fails(_: u64) -> Result<u64, io::Error> {
    Err(io::Error::other("down"))
}

async fn loads(key: u64) -> Result<u64, io::Error> {
    Ok(key * 10)
}

/// Turns of the runtime, for what goes on behind.
async fn a_while() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Hits, stale hits and misses.
fn lookups(tier: &TierStats) -> [u64; 3] {
    [tier.hits, tier.stale_hits, tier.misses]
}

/// Removed, replaced, expired, evicted, over the quota, promoted.
fn left(departures: &Departures) -> [u64; 6] {
    let Departures { removed, replaced, expired, evicted, over_quota, promoted, .. } = *departures;
    [removed, replaced, expired, evicted, over_quota, promoted]
}

/// Every number of a kind of which nothing is to have happened.
fn is_quiet(stats: &Stats) -> bool {
    let loads = stats.loads + stats.load_errors + stats.waiters + stats.waiting + stats.joined + stats.refreshes;
    let late = stats.soft_timeouts + stats.hard_timeouts + stats.fail_safe_hits + stats.backed_off + stats.revoked;
    let rest = stats.negative_hits + stats.waiters_refused + stats.codec_errors + stats.listener_panics;
    loads + late + rest == 0 && stats.load_seconds == 0.0 && stats.memory.drops.total() == 0
}

#[tokio::test]
async fn every_lookup_is_a_hit_or_a_miss_and_a_look_without_a_touch_is_none() {
    let clock = Clock::held();
    let cache = builder(&clock).time_to_live(SECOND).build().await.unwrap();
    assert!(is_quiet(&cache.stats()) && cache.stats().hit_ratio() == 0.0);
    cache.insert_many([(1, 10), (2, 20), (3, 30)]).await.unwrap();
    cache.get(&1).await.unwrap();
    cache.get(&9).await.ok_or(()).unwrap_err();
    assert_eq!(lookups(&cache.stats().memory), [1, 0, 1]);
    cache.get_many(&[1, 2, 2, 8, 9]).await;
    assert_eq!(lookups(&cache.stats().memory), [4, 0, 3]);
    cache.get_or_load(&1, loads).await.unwrap();
    assert_eq!(lookups(&cache.stats().memory), [5, 0, 3]);
    cache.peek(&1).await.unwrap();
    assert!(cache.contains(&1).await && !cache.contains(&9).await && cache.keys().await.len() == 3);
    assert_eq!(lookups(&cache.stats().memory), [5, 0, 3]);
    clock.advance(SECOND);
    assert_eq!((cache.get(&1).await, cache.get_many(&[2, 3]).await), (None, vec![None, None]));
    let stats = cache.stats();
    assert_eq!((lookups(&stats.memory), stats.hits()), ([5, 0, 6], 5));
    assert!(is_quiet(&stats) && (stats.hit_ratio() - 5.0 / 11.0).abs() < 1e-9 && stats.compressed.is_none());
}

#[tokio::test]
async fn entries_that_came_are_there_or_left_for_one_reason() {
    let clock = Clock::held();
    let memory = Memory::entries(10).partition("odd", 2);
    let builder = Cache::builder("entries").memory(memory).clock(clock.clone());
    let builder = builder.partition_by(|key: &u64| (key % 2 == 1).then_some("odd"));
    let cache: Cache<u64, u64> = builder.build().await.unwrap();
    let entries = |cache: &Cache<u64, u64>| {
        let memory = cache.stats().memory;
        assert_eq!(memory.inserts, memory.entries + memory.departures.total());
        (memory.inserts, memory.entries, left(&memory.departures))
    };
    cache.insert_many([(0, 0), (2, 0), (2, 1)]).await.unwrap();
    assert_eq!(entries(&cache), (3, 2, [0, 1, 0, 0, 0, 0]));
    assert!(cache.remove(&2).await.unwrap() && !cache.remove(&2).await.unwrap());
    assert_eq!(entries(&cache), (3, 1, [1, 1, 0, 0, 0, 0]));
    cache.insert_many([(1, 0), (3, 0), (5, 0)]).await.unwrap();
    assert_eq!(entries(&cache), (6, 3, [1, 1, 0, 0, 1, 0]));
    cache.insert_many((10..30).map(|n| (2 * n, 0))).await.unwrap();
    let (inserts, there, gone) = entries(&cache);
    assert_eq!((inserts, there, gone[3]), (26, 10, 13));
    cache.clear().await.unwrap();
    assert_eq!(entries(&cache), (26, 0, [11, 1, 0, 13, 1, 0]));
    let brief = EntryOptions::new().time_to_live(SECOND);
    cache.insert_with(40, 0, brief.clone()).await.unwrap();
    clock.advance(SECOND);
    assert_eq!(entries(&cache), (27, 1, [11, 1, 0, 13, 1, 0]), "not collected yet");
    cache.insert(40, 1).await.unwrap();
    assert_eq!(entries(&cache), (28, 1, [11, 1, 1, 13, 1, 0]));
    cache.insert_with(42, 0, EntryOptions::new().tag("t")).await.unwrap();
    cache.remove_by_tag("t").await.unwrap();
    assert_eq!(entries(&cache).1, 2, "nobody has come across it");
    assert_eq!(cache.get(&42).await, None);
    assert_eq!(entries(&cache), (29, 1, [12, 1, 1, 13, 1, 0]));
    assert_eq!(cache.stats().memory.weight, 1);
}

#[tokio::test]
async fn what_the_listener_does_not_bear_is_counted() {
    let cache = builder(&Clock::held()).on_departure(|_, _, _| panic!("the listener")).build().await.unwrap();
    cache.insert_many([(1, 1), (1, 2), (2, 1)]).await.unwrap();
    cache.clear().await.unwrap();
    assert_eq!(cache.stats().listener_panics, 3);
}
