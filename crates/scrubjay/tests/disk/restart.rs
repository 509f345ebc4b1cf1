//! What survives a restart, and what must not.

use super::*;
use scrubjay::{EntryOptions, WarmUpState};

#[tokio::test]
async fn what_memory_had_is_there_after_a_close() {
    let (folder, clock) = (folder(), Clock::held());
    let first = cache(1000, folder.path(), &clock).await;
    fill(&first, 0..500).await;
    first.close().await;
    let second = cache(1000, folder.path(), &clock).await;
    assert_eq!(count(&second, 0..500).await, 500);
    let stats = second.stats();
    assert_eq!(stats.memory.hits + stats.disk.unwrap().hits, 500);
    second.close().await;
}

#[tokio::test]
async fn what_memory_evicted_is_found_on_disk_and_goes_up() {
    let (folder, clock) = (folder(), Clock::held());
    let cache = cache(10, folder.path(), &clock).await;
    fill(&cache, 0..500).await;
    assert_eq!(count(&cache, 0..500).await, 500);
    let (first, again) = (cache.stats().disk.unwrap().hits, cache.get(&key(499)).await);
    assert_eq!(again, Some(499));
    assert_eq!(cache.stats().disk.unwrap().hits, first, "it had gone up");
    cache.close().await;
}

#[tokio::test]
async fn what_was_removed_or_replaced_stays_so_after_a_restart() {
    let (folder, clock) = (folder(), Clock::held());
    let first = cache(10, folder.path(), &clock).await;
    fill(&first, 0..100).await;
    assert!(first.remove(&key(7)).await.unwrap() && !first.remove(&key(7)).await.unwrap());
    assert_eq!(first.remove_many(&[key(8), key(7)]).await.unwrap(), 1);
    first.insert(key(9), 1009).await.unwrap();
    assert_eq!(first.remove_by_prefix("key:5").await.unwrap(), 11);
    first.close().await;
    let second = cache(10, folder.path(), &clock).await;
    assert_eq!((second.get(&key(7)).await, second.get(&key(8)).await), (None, None));
    assert_eq!(second.get(&key(9)).await, Some(1009));
    assert_eq!(second.get_many(&[key(5), key(50), key(59), key(60)]).await, [None, None, None, Some(60)]);
    second.close().await;
}

#[tokio::test]
async fn an_invalidated_tag_and_a_clear_hold_after_a_restart() {
    let (folder, clock) = (folder(), Clock::held());
    let first = cache(10, folder.path(), &clock).await;
    for number in 0..60 {
        let tag = if number % 2 == 0 { "even" } else { "odd" };
        first.insert_with(key(number), number, EntryOptions::new().tag(tag)).await.unwrap();
    }
    first.remove_by_tag("even").await.unwrap();
    assert_eq!(count(&first, 0..60).await, 30);
    first.close().await;
    let second = cache(10, folder.path(), &clock).await;
    assert_eq!(count(&second, 0..60).await, 30);
    second.insert_with(key(0), 0, EntryOptions::new().tag("even")).await.unwrap();
    second.close().await;
    let third = cache(10, folder.path(), &clock).await;
    assert_eq!(count(&third, 0..60).await, 31, "what was inserted after the tag was invalidated");
    third.clear().await.unwrap();
    assert_eq!(count(&third, 0..60).await, 0);
    third.insert(key(3), 3).await.unwrap();
    third.close().await;
    let fourth = cache(10, folder.path(), &clock).await;
    assert_eq!(count(&fourth, 0..60).await, 1);
    fourth.close().await;
}

#[tokio::test]
async fn times_go_on_over_a_restart() {
    let (folder, clock) = (folder(), Clock::held());
    let with_ttl = || builder(10, disk(folder.path()), &clock).time_to_live(10 * SECOND);
    let first = with_ttl().build().await.unwrap();
    fill(&first, 0..50).await;
    clock.advance(4 * SECOND);
    first.close().await;
    let second = with_ttl().build().await.unwrap();
    clock.advance(5 * SECOND);
    assert_eq!(count(&second, 0..50).await, 50);
    clock.advance(SECOND);
    assert_eq!(count(&second, 0..50).await, 0);
    second.close().await;
}

#[tokio::test]
async fn memory_is_filled_again_the_hottest_first() {
    let (folder, clock) = (folder(), Clock::held());
    let first = cache(100, folder.path(), &clock).await;
    fill(&first, 0..100).await;
    for _ in 0..3 {
        for number in 0..20 {
            first.get(&key(number)).await.unwrap();
        }
    }
    first.close().await;
    let second = cache(50, folder.path(), &clock).await;
    while second.warm_up().state == WarmUpState::Running {
        tokio::task::yield_now().await;
    }
    let warm_up = second.warm_up();
    assert_eq!((warm_up.state, warm_up.entries_raised, warm_up.entries_total), (WarmUpState::Done, 40, 100));
    assert_eq!(second.stats().memory.entries, 40);
    assert_eq!(count(&second, 0..20).await, 20);
    assert_eq!(second.stats().memory.hits, 20, "the hot ones are in memory");
    second.close().await;
}
