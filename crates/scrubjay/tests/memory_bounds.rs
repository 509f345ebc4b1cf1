//! What large entries and removals leave behind: the budget stays usable, and what has left is dropped.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use scrubjay::{Cache, Clock, Memory, MemoryCache};
use std::sync::Arc;

const MIB: u64 = 1 << 20;

/// Weighs what its value says.
fn weighed(budget: u64) -> MemoryCache<u64, u32> {
    MemoryCache::builder().memory_with(Memory::bytes(budget).shards(8), |_, weight| *weight).build().unwrap()
}

fn fill(cache: &MemoryCache<u64, u32>, keys: std::ops::Range<u64>) {
    keys.for_each(|key| cache.insert(key, 100).unwrap());
}

#[test]
fn a_large_entry_that_is_gone_leaves_the_whole_budget_to_the_others() {
    let cache = weighed(8 * MIB);
    cache.insert(u64::MAX, 4 << 20).unwrap();
    assert!(cache.contains(&u64::MAX));
    assert!(cache.remove(&u64::MAX).is_some());
    fill(&cache, 0..300_000);
    assert!(cache.weight() > 8 * MIB * 9 / 10, "{} of {}", cache.weight(), 8 * MIB);
    assert!(cache.weight() <= 8 * MIB);
}

/// Each round brings an entry of a ninth of the budget and little else, so what leaves is mostly such entries, and the hole that
/// one leaves is not filled before the next comes: at worst six tenths are in use here, where shares that never flow back left two.
#[test]
fn large_entries_now_and_then_leave_more_than_half_of_the_budget_in_use() {
    let cache = weighed(8 * MIB);
    let mut least = u64::MAX;
    for round in 0..200 {
        cache.insert(u64::MAX - round, 900_000).unwrap();
        assert!(cache.weight() <= 8 * MIB);
        fill(&cache, round * 2_000..(round + 1) * 2_000);
        assert!(cache.weight() <= 8 * MIB);
        if round > 50 {
            least = least.min(cache.weight());
        }
    }
    assert!(least > 8 * MIB / 2, "{least} of {}", 8 * MIB);
}

#[test]
fn an_entry_of_half_the_budget_is_there_after_each_insert() {
    let cache: MemoryCache<u64, Arc<[u8; 64]>> =
        MemoryCache::builder().memory_with(Memory::bytes(64 * MIB), |_, _| 36 << 20).build().unwrap();
    for round in 0..20 {
        cache.insert(1, Arc::new([round; 64])).unwrap();
        assert_eq!(cache.get(&1).map(|value| value[0]), Some(round), "round {round}");
    }
}

#[test]
fn what_was_cleared_or_pushed_out_is_dropped() {
    let cache: MemoryCache<u64, Arc<()>> = MemoryCache::builder().entries(10_000).build().unwrap();
    let value = Arc::new(());
    (0..5_000).for_each(|key| cache.insert(key, Arc::clone(&value)).unwrap());
    cache.clear();
    assert_eq!(Arc::strong_count(&value), 1);

    (0..5_000).for_each(|key| cache.insert(key, Arc::clone(&value)).unwrap());
    cache.resize(100).unwrap();
    assert!(Arc::strong_count(&value) <= 101, "{}", Arc::strong_count(&value));
    assert!(cache.remove_many(&(0..5_000).collect::<Vec<u64>>()) <= 100);
    cache.expire();
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_cache_of_one_entry_holds_no_crowd_of_dead_ones() {
    let cache: MemoryCache<u64, Arc<()>> = MemoryCache::builder().entries(1).build().unwrap();
    let value = Arc::new(());
    for key in 0..100 {
        cache.insert(key, Arc::clone(&value)).unwrap();
        assert!(Arc::strong_count(&value) <= 4, "{}", Arc::strong_count(&value));
    }
}

#[tokio::test]
async fn a_closed_cache_holds_nothing() {
    let cache: Cache<u64, Arc<()>> = Cache::builder("closed")
        .memory_with(Memory::entries(10_000), |_, _| 1)
        .clock(Clock::held())
        .build()
        .await
        .unwrap();
    let value = Arc::new(());
    for key in 0..5_000 {
        cache.insert(key, Arc::clone(&value)).await.unwrap();
    }
    assert!(cache.remove(&7).await.unwrap());
    cache.close().await;
    assert_eq!(Arc::strong_count(&value), 1);
}
