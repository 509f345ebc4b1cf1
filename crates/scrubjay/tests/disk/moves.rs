//! The ways between memory, the compressed tier and the disk, and what every call makes of what lies there.

use super::*;
use scrubjay::{Compressed, EntryOptions, FailSafe};
use std::collections::BTreeSet;
use std::io;

async fn down(_: String) -> Result<u64, io::Error> {
    Err(io::Error::other("down"))
}

#[tokio::test]
async fn what_the_compressed_tier_evicts_comes_down_as_it_is() {
    let (folder, clock) = (folder(), Clock::held());
    let open = async || {
        let builder = Cache::<String, String>::builder("texts").memory(Memory::entries(8)).clock(clock.clone());
        let builder = builder.compressed(Compressed::bytes(1 << 16)).disk(disk(folder.path()));
        builder.time_to_live(10 * SECOND).build().await.unwrap()
    };
    let text = |number: u64| format!("{number} ").repeat(200);
    let cache = open().await;
    for number in 0..600 {
        let options = EntryOptions::new().tag(if number % 2 == 0 { "even" } else { "odd" });
        cache.insert_with(key(number), text(number), options).await.unwrap();
    }
    let stats = cache.stats();
    let (compressed, below) = (stats.compressed.unwrap(), stats.disk.unwrap());
    assert!(compressed.departures.evicted > 100 && below.inserts > 100, "{compressed:?} {below:?}");
    for number in 0..600 {
        assert_eq!(cache.get(&key(number)).await, Some(text(number)), "key {number}");
    }
    assert!(cache.stats().disk.unwrap().hits > 100);
    cache.remove_by_tag("odd").await.unwrap();
    cache.close().await;
    clock.advance(9 * SECOND);
    let again = open().await;
    for number in 0..600 {
        assert_eq!(again.get(&key(number)).await, (number % 2 == 0).then(|| text(number)), "key {number}");
    }
    clock.advance(SECOND);
    assert_eq!(again.keys().await.len(), 0);
    again.close().await;
}

#[tokio::test]
async fn what_is_evicted_and_on_disk_still_is_not_written_again() {
    let (folder, clock) = (folder(), Clock::held());
    let cache = cache(8, folder.path(), &clock).await;
    fill(&cache, 0..100).await;
    let written = cache.stats().disk.unwrap().inserts;
    assert_eq!(written, 92);
    for _ in 0..3 {
        assert_eq!(count(&cache, 0..100).await, 100);
    }
    let stats = cache.stats();
    assert!(stats.disk_store.unwrap().kept > 200);
    assert!(stats.disk.unwrap().inserts <= 100, "each came down once");
    cache.close().await;
}

#[tokio::test]
async fn what_is_written_through_survives_a_drop_after_a_flush() {
    let (folder, clock) = (folder(), Clock::held());
    let open = || builder(100, disk(folder.path()).write_through(true), &clock).build();
    let first = open().await.unwrap();
    fill(&first, 0..50).await;
    first.insert(key(1), 1001).await.unwrap();
    first.flush().await.unwrap();
    let written = first.stats().disk.unwrap();
    assert_eq!((written.inserts, written.departures.replaced), (51, 1));
    drop(first);
    let second = open().await.unwrap();
    assert_eq!(second.get(&key(1)).await, Some(1001));
    assert_eq!(count(&second, 2..50).await, 48);
    second.close().await;
}

#[tokio::test]
async fn every_call_sees_what_lies_on_disk() {
    let (folder, clock) = (folder(), Clock::held());
    let cache = cache(8, folder.path(), &clock).await;
    fill(&cache, 0..100).await;
    let keys: BTreeSet<String> = cache.keys().await.collect();
    assert_eq!((keys.len(), cache.keys().await.len()), (100, 100));
    let before = cache.stats();
    assert_eq!((cache.peek(&key(3)).await, cache.contains(&key(4)).await), (Some(3), true));
    let after = cache.stats();
    assert_eq!((after.memory.inserts, after.disk.unwrap().hits), (before.memory.inserts, before.disk.unwrap().hits));
    let many: Vec<String> = (0..110).map(key).collect();
    let found = cache.get_many(&many).await;
    assert_eq!(found.iter().flatten().count(), 100);
    assert!((0..100).zip(&found).all(|(number, found)| *found == Some(number)));
    let load = async |keys: Vec<String>| Ok::<_, io::Error>(keys.iter().map(|_| 7_u64).collect::<Vec<_>>());
    let loaded = cache.get_or_load_many(&many, load).await;
    let loaded: Vec<u64> = loaded.into_iter().map(|result| result.unwrap().unwrap()).collect();
    assert!((0..100).eq(loaded[..100].iter().copied()) && loaded[100..] == [7; 10]);
    assert_eq!(cache.stats().loads, 1);
    assert_eq!(cache.remove_by_prefix("key:9").await.unwrap(), 11);
    assert_eq!(cache.remove_many(&[key(1), key(2), key(90)]).await.unwrap(), 2);
    assert_eq!(cache.keys().await.len(), 110 - 13);
    cache.close().await;
}

#[tokio::test]
async fn a_value_past_its_time_on_disk_serves_while_it_is_loaded_anew() {
    let (folder, clock) = (folder(), Clock::held());
    let open = || {
        let builder = builder(8, disk(folder.path()), &clock).time_to_live(SECOND);
        builder.stale_while_revalidate(5 * SECOND).build()
    };
    let first = open().await.unwrap();
    fill(&first, 0..50).await;
    first.close().await;
    clock.advance(SECOND);
    let second = open().await.unwrap();
    assert_eq!(second.get(&key(7)).await, None, "who has no loader gets nothing stale");
    assert_eq!(second.get_or_load(&key(7), async |_| Ok::<_, io::Error>(1007)).await.unwrap(), 7);
    while second.stats().loads == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(second.get_or_load(&key(7), down).await.unwrap(), 1007);
    assert_eq!(second.stats().disk.unwrap().stale_hits, 1);
    second.close().await;
    let third = open().await.unwrap();
    assert_eq!(third.get(&key(7)).await, Some(1007));
    third.close().await;
}

#[tokio::test]
async fn a_value_past_its_time_on_disk_serves_when_the_loader_fails() {
    let (folder, clock) = (folder(), Clock::held());
    let fail_safe = FailSafe { max_stale: 5 * SECOND, throttle: SECOND };
    let cache = builder(8, disk(folder.path()), &clock).time_to_live(SECOND).fail_safe(fail_safe).build();
    let cache = cache.await.unwrap();
    fill(&cache, 0..50).await;
    clock.advance(2 * SECOND);
    for number in 0..50 {
        assert_eq!(cache.get_or_load(&key(number), down).await.unwrap(), number);
    }
    assert_eq!(cache.stats().fail_safe_hits, 50);
    clock.advance(4 * SECOND);
    cache.get_or_load(&key(7), down).await.unwrap_err();
    cache.close().await;
}

#[tokio::test]
async fn no_entry_lies_on_disk_for_longer_than_the_tier_allows() {
    let (folder, clock) = (folder(), Clock::held());
    let open =
        || builder(8, disk(folder.path()).time_to_live_max(5 * SECOND), &clock).time_to_live(60 * SECOND).build();
    let first = open().await.unwrap();
    fill(&first, 0..50).await;
    first.close().await;
    clock.advance(4 * SECOND);
    let second = open().await.unwrap();
    assert_eq!(second.get(&key(1)).await, Some(1));
    clock.advance(SECOND);
    assert_eq!(second.get(&key(1)).await, Some(1), "it has gone up, and memory keeps it longer");
    assert_eq!(second.get(&key(49)).await.or(second.get(&key(2)).await), None);
    second.close().await;
}

#[tokio::test]
async fn another_schema_version_or_codec_finds_nothing_and_says_so() {
    let (folder, clock) = (folder(), Clock::held());
    let first = cache(8, folder.path(), &clock).await;
    fill(&first, 0..50).await;
    first.close().await;
    let second = builder(8, disk(folder.path()).warm_restart(false), &clock).schema_version(2).build().await.unwrap();
    assert_eq!(count(&second, 0..50).await, 0);
    let found = second.stats().disk.unwrap();
    assert_eq!((found.drops.foreign, found.misses), (50, 50));
    second.insert(key(1), 1).await.unwrap();
    second.close().await;
    let codec = scrubjay::Json;
    let third = Cache::<String, u64>::builder("numbers").memory(Memory::entries(8)).schema_version(2);
    let third = third.clock(clock.clone()).disk_with(disk(folder.path()), codec).build().await.unwrap();
    assert_eq!(third.get(&key(1)).await, None);
    third.close().await;
}

#[test]
fn the_blocking_face_has_the_tier_too() {
    let (folder, clock) = (folder(), Clock::held());
    let open = || builder(8, disk(folder.path()), &clock).build_blocking().unwrap();
    let first = open();
    first.insert_many((0..100).map(|number| (key(number), number))).unwrap();
    assert!(first.remove(&key(3)).unwrap() && first.health().is_serving());
    first.flush().unwrap();
    first.close().unwrap();
    let second = open();
    assert_eq!((second.get(&key(2)), second.peek(&key(3)), second.contains(&key(4))), (Some(2), None, true));
    assert_eq!(second.get_many(&[key(5), key(3)]), [Some(5), None]);
    assert_eq!(second.get_or_load(&key(6), |_| Err::<u64, _>(io::Error::other("down"))).unwrap(), 6);
    assert_eq!(second.keys().len(), 99);
    second.clear().unwrap();
    assert_eq!(second.keys().len(), 0);
    second.close().unwrap();
}

#[tokio::test]
async fn the_numbers_of_the_tier_are_on_the_page() {
    let (folder, clock) = (folder(), Clock::held());
    let cache = cache(8, folder.path(), &clock).await;
    fill(&cache, 0..100).await;
    count(&cache, 0..10).await;
    let stats = cache.stats();
    let below = stats.disk.as_ref().unwrap();
    assert_eq!((below.hits + stats.memory.hits, below.misses, below.capacity), (10, 0, 4 << 20));
    assert!(below.entries > 90 && below.weight <= below.capacity && stats.hits() == 10);
    let hits = format!("scrubjay_hits_total{{cache=\"numbers\",tier=\"disk\"}} {}\n", below.hits);
    let page = stats.to_prometheus(cache.name());
    for line in [hits.as_str(), "scrubjay_disk_open{cache=\"numbers\"} 1\n"] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
    assert_eq!(cache.health().tier("disk").unwrap().state, scrubjay::TierState::Serving);
    cache.close().await;
}
