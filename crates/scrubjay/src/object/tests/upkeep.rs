//! Rewriting and deleting.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// Lets a process look and tidy so often, a minute apart. What it does is done when this returns.
async fn turns(tier: &Arc<ObjectTier>, clock: &Clock, count: usize) {
    for _ in 0..count {
        clock.advance(MINUTE);
        let listing = tier.look_for_news().await.unwrap();
        tier.tend(&listing).await;
    }
}

/// One that tidies when it is told, and one that does not.
async fn two(store: &Arc<InMemory>, clock: &Clock) -> (Arc<ObjectTier>, Arc<ObjectTier>) {
    let idle = || on(store).tend(false).pack_bytes(64 << 10).large_bytes(10_000);
    (open(idle(), clock).await, open(idle(), clock).await)
}

async fn packs(store: &Arc<InMemory>) -> usize {
    names(store).await.iter().filter(|name| name.contains("/pack-")).count()
}

#[tokio::test]
async fn packs_that_are_mostly_dead_are_rewritten_and_deleted_and_nothing_is_lost() {
    let (store, clock) = (store(), Clock::held());
    let (tender, reader) = two(&store, &clock).await;
    for round in 0..5 {
        for number in 0..40 {
            if round == 0 || number % 4 != 0 {
                put(&tender, &format!("key {number}"), &format!("{round} {}", "x".repeat(1000)));
            }
        }
        tender.flush().await.unwrap();
    }
    assert_eq!(packs(&store).await, 5);
    turns(&tender, &clock, 6).await;
    assert!(packs(&store).await <= 2, "{:?}", names(&store).await);
    reader.refresh().await.unwrap();
    for tier in [&tender, &reader, &open(on(&store), &clock).await] {
        for number in 0..40 {
            let round = if number % 4 == 0 { 0 } else { 4 };
            let found = get(tier, &format!("key {number}")).await.unwrap();
            assert!(found.starts_with(&format!("{round} ")));
        }
    }
}

#[tokio::test]
async fn removals_go_along_as_long_as_they_hide_something_and_not_for_ever() {
    let (store, clock) = (store(), Clock::held());
    let (tender, other) = two(&store, &clock).await;
    put(&tender, "42", "old");
    put(&tender, "43", "stays");
    tender.flush().await.unwrap();
    for number in 0..20_u8 {
        tender.remove(&[b'4', b'2' + number / 20]);
        assert_eq!(tender.settle().await, Settled::Gone);
    }
    turns(&tender, &clock, 5).await;
    assert!(packs(&store).await <= 3, "small packs are gathered: {:?}", names(&store).await);
    other.refresh().await.unwrap();
    let next = open(on(&store), &clock).await;
    for tier in [&tender, &other, &next] {
        assert_eq!((get(tier, "42").await, get(tier, "43").await.as_deref()), (None, Some("stays")));
    }
    // It goes along once more: the pack with the old value is rewritten together with it.
    for round in 0..2 {
        turns(&tender, &clock, 90).await;
        for number in 0..10 {
            put(&tender, &format!("more {round} {number}"), "value");
            tender.flush().await.unwrap();
        }
        turns(&tender, &clock, 4).await;
    }
    assert_eq!(tender.state.lock().index.len(), 21, "the removal has nothing to hide any more");
    assert_eq!(get(&open(on(&store), &clock).await, "43").await.as_deref(), Some("stays"));
}

#[tokio::test]
async fn what_has_expired_and_what_was_cleared_is_deleted() {
    let (store, clock) = (store(), Clock::held());
    let (tender, _other) = two(&store, &clock).await;
    tender.put(b"42", encode(&tender, b"42", b"Ada", Some(MINUTE), &[]).as_ref());
    tender.flush().await.unwrap();
    turns(&tender, &clock, 6).await;
    assert_eq!(packs(&store).await, 0);
    put(&tender, "43", "Eve");
    tender.flush().await.unwrap();
    tender.raise(Mark::Cleared);
    assert_eq!(tender.settle().await, Settled::Gone);
    turns(&tender, &clock, 2).await;
    assert_eq!(packs(&store).await, 0);
    tender.raise(Mark::Cleared);
    assert_eq!(tender.settle().await, Settled::Gone);
    turns(&tender, &clock, 1).await;
    let clears = names(&store).await.into_iter().filter(|name| name.contains("/clear-")).count();
    assert_eq!(clears, 1);
}

#[tokio::test]
async fn a_large_entry_of_which_nobody_speaks_is_deleted_after_an_hour() {
    let (store, clock) = (store(), Clock::held());
    let (tender, other) = two(&store, &clock).await;
    put(&tender, "a", &"x".repeat(20_000));
    put(&tender, "b", &"y".repeat(20_000));
    tender.flush().await.unwrap();
    other.refresh().await.unwrap();
    other.remove(b"a");
    assert_eq!(other.settle().await, Settled::Gone);
    let larges = async || names(&store).await.into_iter().filter(|name| name.contains("/large/")).count();
    turns(&tender, &clock, 40).await;
    assert_eq!(larges().await, 2);
    turns(&tender, &clock, 90).await;
    assert_eq!(larges().await, 1);
    assert_eq!(get(&tender, "b").await.map(|value| value.len()), Some(20_000));
}

#[tokio::test]
async fn one_process_tidies_at_a_time_and_another_when_that_one_is_gone() {
    let (store, clock) = (store(), Clock::held());
    let (one, other) = two(&store, &clock).await;
    let tends = async |tier: &Arc<ObjectTier>| {
        let listing = tier.look_for_news().await.unwrap();
        tier.tend(&listing).await;
        let listing = tier.look_for_news().await.unwrap();
        tier.has_lease(&listing).await
    };
    assert!(tends(&one).await && !tends(&other).await && tends(&one).await);
    for _ in 0..20 {
        clock.advance(MINUTE);
        assert!(tends(&one).await && !tends(&other).await);
    }
    // It is killed.
    for _ in 0..6 {
        clock.advance(MINUTE);
        assert!(!tends(&other).await);
    }
    clock.advance(4 * MINUTE);
    assert!(tends(&other).await && !tends(&one).await && tends(&other).await);
    other.close().await;
    assert!(tends(&one).await, "who ends in order leaves it");
}

#[tokio::test]
async fn the_index_keeps_its_limit_and_the_oldest_entries_are_misses() {
    let (store, clock) = (store(), Clock::held());
    let tier = open(on(&store).index_bytes(64 << 10), &clock).await;
    for round in 0..8 {
        (0..500).for_each(|number| put(&tier, &format!("{round} {number}"), "Ada"));
        tier.flush().await.unwrap();
    }
    let (_, stats) = tier.stats();
    assert!(stats.index_bytes <= 64 << 10 && stats.left_out > 0, "{stats:?}");
    assert_eq!((get(&tier, "0 7").await, get(&tier, "7 7").await.as_deref()), (None, Some("Ada")));
    let next = open(on(&store).index_bytes(64 << 10), &clock).await;
    assert_eq!((get(&next, "0 7").await, get(&next, "7 7").await.as_deref()), (None, Some("Ada")));
    assert!(next.stats().1.index_bytes <= 64 << 10);
}
