//! What has to do with a loader.

use super::{SECOND, a_while, builder, fails, loads, lookups};
use scrubjay::{Cache, Clock, EntryOptions, ErrorKind, FailSafe, Loaded, Stats};
use std::io;
use std::time::Duration;

/// Loads, errors among them, calls that waited, and those that joined.
fn loading(stats: &Stats) -> [u64; 4] {
    assert_eq!(stats.waiting, 0);
    assert_eq!(stats.load_times.last().unwrap().loads, stats.loads, "each has its time");
    [stats.loads, stats.load_errors, stats.waiters, stats.joined]
}

#[tokio::test]
async fn a_load_is_counted_once_and_who_waits_for_it_each() {
    let cache = builder(&Clock::held()).build().await.unwrap();
    assert_eq!(cache.get_or_load(&1, loads).await.unwrap(), 10);
    let stats = cache.stats();
    assert_eq!((loading(&stats), lookups(&stats.memory), stats.memory.inserts), ([1, 0, 1, 0], [0, 0, 1], 1));
    let (first, second) = tokio::join!(cache.get_or_load(&2, loads), cache.get_or_load(&2, fails));
    assert_eq!((first.unwrap(), second.unwrap()), (20, 20));
    let stats = cache.stats();
    assert_eq!((loading(&stats), lookups(&stats.memory), stats.memory.inserts), ([2, 0, 3, 1], [0, 0, 3], 2));
    cache.get_or_load(&2, fails).await.unwrap();
    assert_eq!((loading(&cache.stats()), lookups(&cache.stats().memory)), ([2, 0, 3, 1], [1, 0, 3]));
    let many = async |keys: Vec<u64>| Ok::<_, io::Error>(keys);
    assert!(cache.get_or_load_many(&[1, 2, 3, 4, 5], many).await.iter().all(Result::is_ok));
    let stats = cache.stats();
    assert_eq!((stats.loads, lookups(&stats.memory), stats.memory.inserts), (3, [3, 0, 6], 5));
    assert_eq!(loading(&stats), [3, 0, 4, 1], "one call waited, for three keys");
    let mean = stats.load_seconds / 3.0;
    assert!((stats.load_seconds_mean() - mean).abs() < 1e-9 && (stats.seconds_saved() - 3.0 * mean).abs() < 1e-9);
}

#[tokio::test]
async fn a_call_for_many_keys_is_one_that_waits_and_counts_each_key_that_another_loads() {
    let cache = builder(&Clock::held()).build().await.unwrap();
    let many = async |keys: Vec<u64>| {
        a_while().await;
        Ok::<_, io::Error>(keys)
    };
    let waiting = async {
        a_while().await;
        cache.stats().waiting
    };
    let keys = [1, 2, 3, 4];
    let (first, second, waiting) =
        tokio::join!(cache.get_or_load_many(&keys[..3], many), cache.get_or_load_many(&keys, many), waiting);
    assert!(first.iter().chain(&second).all(Result::is_ok) && waiting <= 2, "{waiting} wait");
    assert_eq!(loading(&cache.stats()), [2, 0, 2, 3], "for 1, 2 and 3 the second waits for the first");
    assert!(cache.get_or_load_many(&keys, many).await.iter().all(Result::is_ok));
    assert_eq!(loading(&cache.stats()), [2, 0, 2, 3], "nobody waits for what is there");
}

#[tokio::test]
async fn an_error_and_a_panic_are_errors_and_the_back_off_is_no_load() {
    let clock = Clock::held();
    let cache = builder(&clock).error_backoff(SECOND).build().await.unwrap();
    assert_eq!(cache.get_or_load(&1, fails).await.unwrap_err().kind(), ErrorKind::Loader);
    assert_eq!((loading(&cache.stats()), cache.stats().backed_off), ([1, 1, 1, 0], 0));
    for _ in 0..3 {
        assert_eq!(cache.get_or_load(&1, loads).await.unwrap_err().kind(), ErrorKind::Loader);
    }
    assert_eq!((loading(&cache.stats()), cache.stats().backed_off), ([1, 1, 1, 0], 3));
    clock.advance(SECOND);
    let panics = async |key: u64| if key > 0 { std::panic::resume_unwind(Box::new("down")) } else { fails(key).await };
    assert_eq!(cache.get_or_load(&1, panics).await.unwrap_err().kind(), ErrorKind::Loader);
    let stats = cache.stats();
    assert_eq!((loading(&stats), stats.backed_off, lookups(&stats.memory)), ([2, 2, 2, 0], 3, [0, 0, 5]));
    assert_eq!((stats.memory.inserts, stats.revoked, stats.fail_safe_hits), (0, 0, 0));
}

#[tokio::test]
async fn an_absence_that_is_remembered_is_a_hit_and_a_negative_one() {
    let cache = builder(&Clock::held()).negative_ttl(SECOND).build().await.unwrap();
    let absent = async |_| Ok::<Option<u64>, io::Error>(None);
    for _ in 0..3 {
        assert_eq!(cache.get_or_load_optional(&1, absent).await.unwrap(), None);
    }
    assert_eq!((cache.get(&1).await, cache.get_many(&[1, 1]).await), (None, vec![None, None]));
    let stats = cache.stats();
    assert_eq!((loading(&stats), lookups(&stats.memory), stats.negative_hits), ([1, 0, 1, 0], [5, 0, 1], 5));
    assert_eq!((stats.memory.inserts, stats.memory.entries), (1, 1));
}

#[tokio::test]
async fn a_stale_hit_is_one_for_who_was_served_and_its_refresh_is_a_load_that_nobody_waits_for() {
    let clock = Clock::held();
    let cache = builder(&clock).time_to_live(SECOND).stale_while_revalidate(SECOND).build().await.unwrap();
    cache.insert(1, 1).await.unwrap();
    clock.advance(SECOND);
    assert_eq!(cache.get(&1).await, None, "nothing stale without a loader");
    assert_eq!((lookups(&cache.stats().memory), cache.stats().refreshes), ([0, 0, 1], 0));
    assert_eq!((cache.get_or_load(&1, loads).await.unwrap(), cache.get_or_load(&1, loads).await.unwrap()), (1, 1));
    a_while().await;
    let stats = cache.stats();
    assert_eq!((lookups(&stats.memory), stats.refreshes, loading(&stats)), ([0, 2, 1], 1, [1, 0, 0, 0]));
    assert_eq!((cache.get(&1).await, cache.stats().hits()), (Some(10), 3));
}

#[tokio::test]
async fn a_hit_whose_refresh_is_due_is_a_hit() {
    let clock = Clock::held();
    let cache = builder(&clock).time_to_live(10 * SECOND).refresh_ahead(0.5).build().await.unwrap();
    cache.insert(1, 1).await.unwrap();
    clock.advance(6 * SECOND);
    assert_eq!((cache.get(&1).await, cache.get_or_load(&1, loads).await.unwrap()), (Some(1), 1));
    a_while().await;
    let stats = cache.stats();
    assert_eq!((lookups(&stats.memory), stats.refreshes, loading(&stats)), ([2, 0, 0], 1, [1, 0, 0, 0]));
    assert_eq!(stats.memory.departures.replaced, 1);
}

#[tokio::test]
async fn a_value_past_its_time_that_saves_a_failed_load_is_a_fail_safe_hit() {
    let clock = Clock::held();
    let fail_safe = FailSafe { max_stale: 10 * SECOND, throttle: SECOND };
    let cache = builder(&clock).time_to_live(SECOND).fail_safe(fail_safe).build().await.unwrap();
    cache.insert(1, 1).await.unwrap();
    clock.advance(SECOND);
    for _ in 0..3 {
        assert_eq!(cache.get_or_load(&1, fails).await.unwrap(), 1);
    }
    let stats = cache.stats();
    assert_eq!((loading(&stats), stats.fail_safe_hits, lookups(&stats.memory)), ([1, 1, 1, 0], 3, [0, 0, 3]));
    clock.advance(SECOND);
    assert_eq!(cache.get_or_load(&1, loads).await.unwrap(), 10);
    assert_eq!((loading(&cache.stats()), cache.stats().fail_safe_hits), ([2, 1, 2, 0], 3));
}

#[tokio::test]
async fn a_load_that_was_overtaken_is_revoked() {
    let cache = builder(&Clock::held()).build().await.unwrap();
    for (revoked, how) in (1..).zip(["remove", "insert", "clear", "tag"]) {
        let other = cache.clone();
        let overtaken = async move |_| {
            match how {
                "remove" => drop(other.remove(&1).await.unwrap()),
                "insert" => other.insert(1, 1).await.unwrap(),
                "clear" => other.clear().await.unwrap(),
                _ => other.remove_by_tag("t").await.unwrap(),
            }
            Ok::<_, io::Error>(Loaded::value(7).tag("t"))
        };
        assert_eq!(cache.get_or_load(&1, overtaken).await.unwrap(), 7);
        assert_eq!(cache.stats().revoked, revoked, "{how}");
        cache.remove(&1).await.unwrap();
    }
    assert_eq!((loading(&cache.stats()), cache.stats().memory.inserts), ([4, 0, 4, 0], 1));
}

#[tokio::test]
async fn a_loaded_value_that_is_not_stored_is_a_drop_unless_the_loader_said_so() {
    let cache: Cache<u64, u64> = builder(&Clock::held()).build().await.unwrap();
    let weighs =
        |weight| async move |key| Ok::<_, io::Error>(Loaded::value(key).options(EntryOptions::new().weight(weight)));
    cache.get_or_load(&1, weighs(101)).await.unwrap();
    cache.get_or_load(&2, weighs(0)).await.unwrap();
    cache.get_or_load(&3, async |key| Ok::<_, io::Error>(Loaded::value(key).not_stored())).await.unwrap();
    cache.get_or_load_optional(&4, async |_| Ok::<Option<u64>, io::Error>(None)).await.unwrap();
    let stats = cache.stats();
    let drops = stats.memory.drops;
    assert_eq!((drops.too_large, drops.invalid, drops.total()), (1, 1, 2));
    assert_eq!((loading(&stats), stats.memory.inserts, stats.revoked), ([4, 0, 4, 0], 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_takes_too_long_is_counted_by_the_timeout_that_ended_the_wait() {
    let fail_safe = FailSafe { max_stale: 60 * SECOND, throttle: SECOND };
    let builder = builder(&Clock::tokio()).time_to_live(SECOND).fail_safe(fail_safe);
    let cache = builder.soft_timeout(SECOND).hard_timeout(4 * SECOND).build().await.unwrap();
    let never = async |_| std::future::pending::<Result<u64, io::Error>>().await;
    assert_eq!(cache.get_or_load(&1, never).await.unwrap_err().kind(), ErrorKind::Timeout);
    let stats = cache.stats();
    assert_eq!((loading(&stats), stats.hard_timeouts, stats.soft_timeouts), ([1, 1, 1, 0], 1, 0));
    assert!((4.0..4.1).contains(&stats.load_seconds), "{}", stats.load_seconds);
    let counted = stats.load_times.iter().map(|step| (step.at_most_seconds, step.loads));
    assert!(counted.filter(|(at_most, _)| *at_most <= 2.5).all(|(_, loads)| loads == 0));
    cache.insert(2, 2).await.unwrap();
    tokio::time::advance(SECOND).await;
    let slow = async |_| {
        tokio::time::sleep(2 * SECOND).await;
        Ok::<_, io::Error>(20)
    };
    assert_eq!(cache.get_or_load(&2, slow).await.unwrap(), 2);
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.hard_timeouts, stats.soft_timeouts, stats.fail_safe_hits), (1, 1, 1, 0));
    tokio::time::advance(2 * SECOND + Duration::from_millis(10)).await;
    a_while().await;
    assert_eq!((loading(&cache.stats()), cache.get(&2).await), ([2, 1, 2, 0], Some(20)));
}
