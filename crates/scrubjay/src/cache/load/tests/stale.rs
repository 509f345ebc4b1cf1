//! Values past their time: when they serve, and what goes on behind.

use super::*;
use crate::FailSafe;

#[tokio::test(start_paused = true)]
async fn a_stale_value_is_served_at_once_and_one_refresh_starts_behind() {
    let cache = cache_with(|builder| builder.stale_while_revalidate(s(50))).await;
    let source = Source::open(1);
    source.through(&cache).await.unwrap();
    advance(TTL + s(49)).await;
    source.hold();
    source.says(2);
    for _ in 0..100 {
        assert_eq!(now(source.through(&cache)).unwrap().unwrap(), 1);
        settle().await;
    }
    assert_eq!(source.asked(), 2, "one refresh for a hundred callers");
    assert_eq!(cache.get("a").await, None, "get returns fresh values only");
    source.let_go();
    settle().await;
    assert_eq!(cache.get("a").await, Some(2));
    assert_eq!((cache.stats().memory.stale_hits, cache.stats().refreshes), (100, 1));
}

#[tokio::test(start_paused = true)]
async fn past_the_window_of_staleness_everybody_waits() {
    let cache = cache_with(|builder| builder.stale_while_revalidate(s(50))).await;
    let source = Source::open(1);
    source.through(&cache).await.unwrap();
    advance(TTL + s(50)).await;
    source.says(2);
    assert_eq!(source.through(&cache).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_fails_keeps_the_stale_value_and_is_not_tried_again_by_every_hit() {
    let cache = cache_with(|builder| builder.stale_while_revalidate(s(50))).await;
    let source = Source::open(1);
    source.through(&cache).await.unwrap();
    advance(TTL).await;
    source.fails(true);
    for _ in 0..100 {
        assert_eq!(source.through(&cache).await.unwrap(), 1);
        settle().await;
    }
    assert_eq!(source.asked(), 2);
    advance(s(1)).await;
    source.fails(false);
    source.says(2);
    assert_eq!(source.through(&cache).await.unwrap(), 1);
    settle().await;
    assert_eq!(source.through(&cache).await.unwrap(), 2);
    assert_eq!(source.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_hot_key_that_is_refreshed_ahead_never_expires_under_load() {
    let cache = cache_with(|builder| builder.refresh_ahead(0.8)).await;
    let source = Source::open(0);
    source.through(&cache).await.unwrap();
    for second in 1..1_000 {
        source.says(second);
        advance(s(1)).await;
        let value = now(source.through(&cache)).expect("nobody waits").unwrap();
        assert!(second - value <= 82, "nothing older than it may be: {value} at {second}");
        assert!(cache.get("a").await.is_some(), "it never expires");
    }
    assert_eq!(source.asked(), 13, "the first, and one every 80 s");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_nobody_asks_for_is_not_refreshed() {
    let cache = cache_with(|builder| builder.refresh_ahead(0.8)).await;
    let source = Source::open(1);
    source.through(&cache).await.unwrap();
    advance(s(79)).await;
    source.through(&cache).await.unwrap();
    settle().await;
    advance(s(21)).await;
    assert_eq!((source.asked(), cache.get("a").await), (1, None));
}

async fn with_soft_timeout() -> Cache<String, u64> {
    let fail_safe = FailSafe { max_stale: s(1_000), throttle: s(10) };
    cache_with(|builder| builder.fail_safe(fail_safe).soft_timeout(s(2)).hard_timeout(s(20))).await
}

#[tokio::test(start_paused = true)]
async fn after_the_soft_timeout_a_stale_value_serves_while_the_load_goes_on() {
    let cache = with_soft_timeout().await;
    cache.insert("a".to_owned(), 1).await.unwrap();
    advance(TTL).await;
    let source = Source::closed(2);
    let begin = tokio::time::Instant::now();
    assert_eq!(source.through(&cache).await.unwrap(), 1);
    assert_eq!(begin.elapsed().as_secs(), 2);
    assert_eq!(now(source.through(&cache)).unwrap().unwrap(), 1, "who joins a load that is late already does not wait");
    source.let_go();
    settle().await;
    assert_eq!(cache.get("a").await, Some(2));
    assert_eq!((source.asked(), cache.stats().soft_timeouts), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn within_the_soft_timeout_the_new_value_serves() {
    let cache = with_soft_timeout().await;
    cache.insert("a".to_owned(), 1).await.unwrap();
    advance(TTL).await;
    let source = Source::closed(2);
    let (read, ()) = tokio::join!(source.through(&cache), async {
        later(s(1)).await;
        source.let_go();
    });
    assert_eq!(read.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_stale_value_the_soft_timeout_lets_everybody_wait() {
    let cache = with_soft_timeout().await;
    let source = Source::closed(2);
    let (read, ()) = tokio::join!(source.through(&cache), async {
        later(s(10)).await;
        source.let_go();
    });
    assert_eq!(read.unwrap(), 2);
    assert_eq!(Source::closed(3).through(&with_soft_timeout().await).await.unwrap_err().kind(), ErrorKind::Timeout);
}

/// A cache whose memory holds one entry, and the rest below.
async fn with_a_tier_below() -> Cache<String, u64> {
    let fail_safe = FailSafe { max_stale: s(1_000), throttle: s(10) };
    let below = crate::Compressed::bytes(1 << 20);
    let cache =
        cache_with(|b| b.memory(Memory::entries(1)).compressed(below).fail_safe(fail_safe).error_backoff(s(10))).await;
    for (key, value) in [("a", 1), ("b", 2)] {
        cache.insert(key.to_owned(), value).await.unwrap();
    }
    assert_eq!((cache.stats().memory.entries, cache.stats().compressed.unwrap().entries), (1, 1));
    cache
}

#[tokio::test(start_paused = true)]
async fn what_lies_in_the_tier_below_is_not_loaded() {
    let (cache, source) = (with_a_tier_below().await, Source::open(9));
    for (key, value) in [("a", 1), ("b", 2), ("a", 1)] {
        assert_eq!(cache.get_or_load(key, source.loader()).await.unwrap(), value);
    }
    assert_eq!(source.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_stale_in_the_tier_below_serves_at_once_until_the_loader_says_otherwise() {
    let below = crate::Compressed::bytes(1 << 20);
    let memory = Memory::entries(1);
    let cache = cache_with(|b| b.memory(memory).compressed(below).stale_while_revalidate(TTL)).await;
    for (key, value) in [("a", 1), ("b", 2)] {
        cache.insert(key.to_owned(), value).await.unwrap();
    }
    advance(TTL).await;
    let unstored = |_| async {
        later(s(1)).await;
        Ok::<_, Down>(Loaded::value(3).not_stored())
    };
    assert_eq!(now(cache.get_or_load("a", unstored)).unwrap().unwrap(), 1, "nobody waits");
    assert_eq!(cache.stats().refreshes, 1);
    settle().await;
    advance(s(1)).await;
    let source = Source::open(4);
    assert_eq!(source.through(&cache).await.unwrap(), 4, "the stale value is gone from below");
}

#[tokio::test(start_paused = true)]
async fn what_a_load_pushes_out_of_memory_goes_to_the_tier_below() {
    let below = crate::Compressed::bytes(1 << 20);
    let cache = cache_with(|builder| builder.memory(Memory::entries(1)).compressed(below)).await;
    let source = Source::open(1);
    for key in ["a", "b"] {
        cache.get_or_load(key, source.loader()).await.unwrap();
    }
    assert_eq!((cache.stats().memory.entries, cache.stats().compressed.unwrap().entries), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_fresh_by_now_is_not_refreshed() {
    let (cache, source) = (cache_with(|builder| builder.refresh_ahead(0.8)).await, Source::open(1));
    source.through(&cache).await.unwrap();
    let hash = cache.shared.memory.hash("a");
    assert!(cache.shared.lead_behind(hash, "a".to_owned()).is_none());
    advance(s(80)).await;
    assert!(cache.shared.lead_behind(hash, "a".to_owned()).is_some());
    assert_eq!(cache.shared.leases.len(), 0, "the lease was dropped");
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_in_the_tier_below_serves_when_the_loader_fails_and_is_throttled_too() {
    let (cache, source) = (with_a_tier_below().await, Source::open(9));
    advance(TTL).await;
    source.fails(true);
    for _ in 0..3 {
        assert_eq!(cache.get_or_load("a", source.loader()).await.unwrap(), 1);
        assert_eq!(cache.get_or_load("b", source.loader()).await.unwrap(), 2);
    }
    assert_eq!((source.asked(), cache.stats().fail_safe_hits), (2, 6));
}
