//! What only mutations had asked for: each of these tests fails if one line is turned round.

use super::{Down, Source, advance, cache_with, s, settle};
use crate::{Compressed, EntryOptions, ErrorKind, FailSafe, Memory};

#[tokio::test(start_paused = true)]
async fn a_load_that_succeeds_ends_the_throttle_of_the_failure_before() {
    let fail_safe = FailSafe { max_stale: s(50), throttle: s(20) };
    let cache = cache_with(|builder| builder.fail_safe(fail_safe).time_to_live(s(5))).await;
    let source = Source::open(1);
    source.fails(true);
    source.through(&cache).await.unwrap_err();
    source.fails(false);
    source.through(&cache).await.unwrap();
    advance(s(5)).await;
    source.says(2);
    assert_eq!((source.through(&cache).await.unwrap(), source.asked()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_remembered_absence_is_not_refreshed_ahead_and_has_no_grace() {
    let cache =
        cache_with(|builder| builder.negative_ttl(s(10)).refresh_ahead(0.5).stale_while_revalidate(s(50))).await;
    let absent = |_| async { Ok::<Option<u64>, Down>(None) };
    cache.get_or_load_optional("a", absent).await.unwrap();
    advance(s(9)).await;
    cache.get_or_load_optional("a", absent).await.unwrap();
    settle().await;
    assert_eq!((cache.stats().loads, cache.stats().refreshes), (1, 0));
    let times = cache.shared.times(&EntryOptions::new(), false).unwrap();
    assert_eq!(times.stale_until_ms, times.fresh_until_ms);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_was_below_is_refreshed_ahead_as_before() {
    let small = |builder: crate::CacheBuilder<String, u64>| {
        builder.memory(Memory::entries(8)).compressed(Compressed::bytes(1 << 20)).refresh_ahead(0.5)
    };
    let cache = cache_with(small).await;
    for key in 0..80 {
        cache.insert(format!("{key}"), key).await.unwrap();
    }
    advance(s(60)).await;
    let source = Source::open(1);
    for key in 0..80 {
        cache.get(&format!("{key}")).await.unwrap();
        cache.get_or_load(&format!("{key}"), source.loader()).await.unwrap();
    }
    settle().await;
    assert_eq!((cache.stats().refreshes, source.asked()), (80, 80));
}

#[tokio::test(start_paused = true)]
async fn a_closed_cache_starts_no_task() {
    let cache = cache_with(|builder| builder).await;
    cache.close().await;
    let started = cache.shared.tasks.start(async { unreachable!("it runs") });
    assert_eq!(started.map(|_: tokio::task::JoinHandle<()>| ()).unwrap_err().kind(), ErrorKind::Closed);
}
