//! Values past their time that lie below memory: they serve as those in memory do, whoever leads or joins the load.

use scrubjay::{Cache, CacheBuilder, Clock, Compressed, ErrorKind, FailSafe, Memory};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

const SECOND: Duration = Duration::from_secs(1);
const KEYS: u64 = 80;

/// Keys 0 to 79, past their time, nearly all of them in the compressed tier.
async fn stale_below(clock: &Clock, builder: CacheBuilder<u64, u64>) -> Cache<u64, u64> {
    let builder = builder.memory(Memory::entries(8)).compressed(Compressed::bytes(1 << 20));
    let cache = builder.clock(clock.clone()).time_to_live(SECOND).build().await.unwrap();
    cache.insert_many((0..KEYS).map(|n| (n, n))).await.unwrap();
    clock.advance(SECOND);
    cache
}

fn fail_safe() -> FailSafe {
    FailSafe { max_stale: 5 * SECOND, throttle: SECOND }
}

async fn down(_: u64) -> Result<u64, io::Error> {
    Err(io::Error::other("down"))
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_failed_refresh_of_a_value_below_memory_is_not_tried_again_at_once() {
    let clock = Clock::held();
    let cache = stale_below(&clock, Cache::builder("below").stale_while_revalidate(5 * SECOND)).await;
    let calls = Arc::new(AtomicU64::new(0));
    let rounds = async |count: usize| {
        for _ in 0..count {
            for key in 0..KEYS {
                let calls = Arc::clone(&calls);
                let fails = async move |key| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    down(key).await
                };
                assert_eq!(cache.get_or_load(&key, fails).await.unwrap(), key);
            }
            settle().await;
        }
    };
    rounds(10).await;
    assert_eq!(calls.load(Ordering::SeqCst), KEYS, "one for each, as where they are in memory");
    assert_eq!(cache.stats().refreshes, KEYS);
    clock.advance(SECOND);
    rounds(10).await;
    assert_eq!(calls.load(Ordering::SeqCst), 2 * KEYS, "and one more when the time of the failure is over");
}

#[tokio::test]
async fn a_remembered_error_does_not_hide_a_value_below_memory_that_is_served_at_once() {
    let clock = Clock::held();
    let builder = Cache::builder("backs off").stale_while_revalidate(5 * SECOND).error_backoff(3 * SECOND);
    let cache = stale_below(&clock, builder).await;
    for _ in 0..3 {
        for key in 0..KEYS {
            assert_eq!(cache.get_or_load(&key, down).await.unwrap(), key);
        }
        settle().await;
    }
    assert_eq!((cache.stats().load_errors, cache.stats().backed_off), (KEYS, 0));
}

#[tokio::test]
async fn who_joins_a_load_that_fails_is_served_the_value_past_its_time_too() {
    let clock = Clock::held();
    let cache = stale_below(&clock, Cache::builder("joins").fail_safe(fail_safe())).await;
    for key in 0..KEYS {
        let fails = async |_| Err::<Vec<u64>, _>(io::Error::other("down"));
        let results = cache.get_or_load_many(&[key, key], fails).await;
        let results: Vec<_> = results.into_iter().map(|result| result.map_err(|error| error.kind())).collect();
        assert_eq!(results, [Ok(Some(key)), Ok::<_, ErrorKind>(Some(key))]);
    }
}

#[tokio::test]
async fn single_callers_who_join_a_load_that_fails_are_served_the_value_past_its_time() {
    let clock = Clock::held();
    let cache = stale_below(&clock, Cache::builder("crowd").fail_safe(fail_safe())).await;
    for key in 0..KEYS {
        let door = Arc::new(Semaphore::new(0));
        let callers: Vec<_> = (0..5)
            .map(|_| {
                let (cache, door) = (cache.clone(), Arc::clone(&door));
                tokio::spawn(async move {
                    let fails = async move |key| {
                        let _permit = door.acquire().await;
                        down(key).await
                    };
                    cache.get_or_load(&key, fails).await
                })
            })
            .collect();
        while cache.stats().waiting < 5 {
            tokio::task::yield_now().await;
        }
        door.add_permits(1);
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap(), key);
        }
    }
    assert_eq!((cache.stats().load_errors, cache.stats().fail_safe_hits), (KEYS, 5 * KEYS));
}

/// Lets `stays` be loading, and says what a second caller gets meanwhile.
async fn joins_a_load_without_an_end(cache: &Cache<u64, u64>, key: u64) -> u64 {
    let slow = async |_| std::future::pending::<Result<u64, io::Error>>().await;
    let first = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_or_load(&key, slow).await }
    });
    settle().await;
    let second = cache.get_or_load(&key, slow).await.unwrap();
    first.abort();
    second
}

#[tokio::test]
async fn who_joins_the_refresh_of_a_value_below_memory_is_served_that_at_once() {
    let clock = Clock::held();
    let cache = stale_below(&clock, Cache::builder("refreshed").stale_while_revalidate(5 * SECOND)).await;
    for key in 0..KEYS {
        assert_eq!(joins_a_load_without_an_end(&cache, key).await, key);
        let many = cache.get_or_load_many(&[key], async |_| Ok::<Vec<u64>, io::Error>(vec![])).await;
        assert_eq!(many.into_iter().next().unwrap().unwrap(), Some(key));
    }
    assert_eq!((cache.stats().refreshes, cache.stats().waiters), (KEYS, 0), "nobody waited");
}

#[tokio::test(start_paused = true)]
async fn the_soft_timeout_of_who_joins_finds_the_value_below_memory() {
    let clock = Clock::tokio();
    let builder = Cache::builder("soft").fail_safe(fail_safe()).soft_timeout(SECOND / 10);
    let builder = builder.memory(Memory::entries(8)).compressed(Compressed::bytes(1 << 20));
    let cache = builder.clock(clock).time_to_live(SECOND).build().await.unwrap();
    for key in 0..KEYS {
        cache.insert_many((0..KEYS).map(|n| (n, n))).await.unwrap();
        tokio::time::advance(SECOND).await;
        assert_eq!(joins_a_load_without_an_end(&cache, key).await, key);
        cache.remove(&key).await.unwrap();
    }
    let count = cache.stats().soft_timeouts;
    assert!((KEYS..=2 * KEYS).contains(&count), "of who joins, and of those who lead and got so far: {count}");
}
