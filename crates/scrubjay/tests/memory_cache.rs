//! `MemoryCache` as its users see it: reads, writes, times, limits, departures.

#![allow(clippy::unwrap_used, reason = "a test may, in its helpers too")]

#[path = "memory_cache/flight.rs"]
mod flight;

use scrubjay::{Clock, EntryOptions, ErrorKind, Memory, MemoryCache, Reason};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn hundred() -> MemoryCache<String, u64> {
    MemoryCache::builder().entries(100).build().unwrap()
}

fn of_weight_by_value(budget: u64) -> MemoryCache<u64, u32> {
    MemoryCache::builder().memory_with(Memory::entries(budget), |_, value| *value).build().unwrap()
}

type Seen = Arc<Mutex<Vec<(u64, u32, Reason)>>>;

fn watched(budget: u64, clock: &Clock) -> (MemoryCache<u64, u32>, Seen) {
    let seen = Seen::default();
    let told = Arc::clone(&seen);
    let cache = MemoryCache::builder()
        .memory_with(Memory::entries(budget), |_, value| *value)
        .clock(clock.clone())
        .on_departure(move |key, value, reason| told.lock().unwrap().push((*key, *value, reason)))
        .build();
    (cache.unwrap(), seen)
}

#[test]
fn every_read_finds_what_was_inserted() {
    let cache = hundred();
    cache.insert("one".to_owned(), 1).unwrap();
    cache.insert("two".to_owned(), 2).unwrap();
    assert_eq!(cache.get("one"), Some(1));
    assert_eq!(cache.peek("two"), Some(2));
    assert_eq!(cache.get_with("two", |value| value + 1), Some(3));
    assert!(cache.contains("one") && !cache.contains("three"));
    assert_eq!(cache.get("three"), None);
    let keys = ["two", "three", "one"].map(str::to_owned);
    assert_eq!(cache.get_many(&keys), [Some(2), None, Some(1)]);
    assert_eq!((cache.len(), cache.weight(), cache.capacity()), (2, 2, 100));
}

#[test]
fn a_clone_is_a_handle_of_the_same_cache() {
    let cache = hundred();
    cache.clone().insert("one".to_owned(), 1).unwrap();
    assert_eq!(cache.get("one"), Some(1));
}

#[test]
fn an_insert_replaces_and_a_remove_returns_what_was_there() {
    let cache = hundred();
    cache.insert("one".to_owned(), 1).unwrap();
    cache.insert("one".to_owned(), 11).unwrap();
    assert_eq!(cache.len(), 1);
    assert_eq!(cache.remove("one"), Some(11));
    assert_eq!(cache.remove("one"), None);
    assert_eq!((cache.get("one"), cache.len(), cache.weight()), (None, 0, 0));
}

#[test]
fn many_are_inserted_and_removed_at_once() {
    let cache = of_weight_by_value(100);
    let error = cache.insert_many([(1, 1), (2, 0), (3, 3)]).unwrap_err();
    assert_eq!(error.to_string(), "weight of the entry is 0, must be 1..=100");
    assert_eq!(cache.get_many(&[1, 2, 3]), [Some(1), None, Some(3)]);
    assert_eq!(cache.remove_many(&[1, 2, 3]), 2);
    assert!(cache.is_empty());
}

#[test]
fn entries_are_shown_kept_and_cleared() {
    let cache = of_weight_by_value(1000);
    cache.insert_many((1..=10).map(|n| (u64::from(n), n))).unwrap();
    let mut shown = BTreeMap::new();
    cache.for_each(|key, value| assert!(shown.insert(*key, *value).is_none()));
    assert_eq!(shown, (1..=10).map(|n| (u64::from(n), n)).collect());
    assert_eq!(cache.retain(|key, _| key % 2 == 0), 5);
    let mut keys = cache.keys();
    keys.sort_unstable();
    assert_eq!(keys, [2, 4, 6, 8, 10]);
    assert_eq!(cache.weight(), 30);
    cache.clear();
    assert_eq!((cache.keys(), cache.len(), cache.weight()), (vec![], 0, 0));
}

#[test]
fn an_expired_entry_is_a_miss_for_every_read() {
    let clock = Clock::held();
    let cache: MemoryCache<u64, u64> = MemoryCache::builder()
        .entries(10)
        .time_to_live(Duration::from_millis(50))
        .clock(clock.clone())
        .build()
        .unwrap();
    cache.insert(1, 1).unwrap();
    cache.insert_with(2, 2, EntryOptions::new().time_to_live(Duration::from_secs(1))).unwrap();
    clock.advance(Duration::from_millis(49));
    assert_eq!(cache.get_many(&[1, 2]), [Some(1), Some(2)]);
    clock.advance(Duration::from_millis(1));
    assert_eq!((cache.get(&1), cache.peek(&1), cache.contains(&1)), (None, None, false));
    assert_eq!((cache.remove(&1), cache.update(&1, |_| ()).unwrap()), (None, false));
    assert_eq!(cache.get_many(&[1, 2]), [None, Some(2)]);
    assert_eq!(cache.keys(), [2]);
    assert_eq!(cache.get_or_insert_with(&1, || 11), 11);
    assert_eq!(cache.get(&1), Some(11));
}

#[test]
fn expired_entries_are_taken_out_and_told() {
    let clock = Clock::held();
    let (cache, seen) = watched(100_000, &clock);
    for key in 0..3000 {
        cache.insert_with(key, 1, EntryOptions::new().time_to_live(Duration::from_secs(1 + key))).unwrap();
    }
    // Ten milliseconds more than a whole second: a wheel fires within its finest tick.
    clock.advance(Duration::from_millis(2_000_100));
    assert_eq!(cache.expire(), 2000);
    assert_eq!((cache.len(), cache.weight()), (1000, 1000));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2000);
    assert!(seen.iter().all(|(key, _, reason)| *key < 2000 && *reason == Reason::Expired));
    assert_eq!(cache.stats().memory.departures.expired, 2000);
}

#[test]
fn weights_are_held_to_their_limits() {
    let cache = of_weight_by_value(1000);
    let error = cache.insert(1, 0).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::Invalid, "weight of the entry is 0, must be 1..=1000".into())
    );
    let error = cache.insert(1, 1001).unwrap_err();
    assert_eq!(error.to_string(), "weight of the entry is 1001, must be 1..=1000");
    assert!(cache.is_empty());
    cache.insert_with(1, 0, EntryOptions::new().weight(7)).unwrap();
    assert_eq!(cache.weight(), 7);
    cache.insert(1, 1000).unwrap();
    assert!(cache.weight() <= 1000);
    let error = cache.update(&1, |value| *value = 0);
    assert!(error.is_ok_and(|is_there| !is_there) || cache.get(&1) == Some(1000), "a refused update changes nothing");
}

#[test]
fn a_value_that_does_not_fit_is_returned_and_not_stored() {
    let cache = of_weight_by_value(10);
    assert_eq!(cache.get_or_insert_with(&1, || 11), 11);
    assert_eq!(cache.get(&1), None);
    assert_eq!(cache.stats().memory.drops.total(), 1);
}

#[test]
fn options_are_held_to_their_limits() {
    let cache = hundred();
    let refused = |options: EntryOptions| cache.insert_with("key".to_owned(), 1, options).unwrap_err().to_string();
    assert_eq!(
        refused(EntryOptions::new().time_to_live(Duration::ZERO)),
        "time_to_live of the entry is 0ns, must be 1ns..=4398046511103ms"
    );
    assert_eq!(
        refused(EntryOptions::new().time_to_live(Duration::from_millis(1 << 42))),
        "time_to_live of the entry is 4398046511.104s, must be 1ns..=4398046511103ms"
    );
    assert_eq!(
        refused(EntryOptions::new().tag("team")),
        "tags has \"team\", must be empty: a MemoryCache keeps no tags"
    );
    let longest = EntryOptions::new().time_to_live(Duration::from_millis((1 << 42) - 1));
    cache.insert_with("key".to_owned(), 1, longest).unwrap();
    assert_eq!(cache.get("key"), Some(1));
}

#[test]
fn a_builder_says_which_field_is_beyond_which_limit() {
    let check = |memory: Memory, message: &str| {
        let built = MemoryCache::<u64, u64>::builder().memory(memory).partition_by(|_| None).build();
        assert_eq!(built.unwrap_err().to_string(), message);
    };
    check(Memory::bytes(10), "memory.bytes is 10, must be at least 4096");
    check(Memory::entries(0), "memory.entries is 0, must be at least 1");
    check(Memory::entries(9).shards(3), "memory.shards is 3, must be a power of two, at most 1024");
    check(Memory::entries(9).shards(0), "memory.shards is 0, must be a power of two, at most 1024");
    check(Memory::entries(9).partition("a", 10), "memory.partition \"a\" has the quota 10, must be 1..=9");
    check(Memory::entries(9).partition("a", 0), "memory.partition \"a\" has the quota 0, must be 1..=9");
    check(Memory::entries(9).partition("", 1), "memory.partition has the name \"\", must not be empty");
    let twice = Memory::entries(9).partition("a", 1).partition("a", 2);
    check(twice, "memory.partition \"a\" is there twice, must be there once");

    let built = MemoryCache::<u64, u64>::builder().entries(9).time_to_live(Duration::ZERO).build();
    assert_eq!(built.unwrap_err().to_string(), "time_to_live is 0ns, must be 1ns..=4398046511103ms");
    let built = MemoryCache::<u64, u64>::builder().build();
    assert_eq!(built.unwrap_err().to_string(), "memory is not set, must be Memory::bytes or Memory::entries");
    let built = MemoryCache::<u64, u64>::builder().memory(Memory::entries(9).partition("a", 1)).build();
    assert_eq!(built.unwrap_err().to_string(), "memory.partitions are 1, must be 0 without partition_by");
}

#[test]
fn bytes_are_weighed_with_what_lies_on_the_heap() {
    let cache: MemoryCache<u64, Vec<u8>> = MemoryCache::builder().memory(Memory::bytes(1 << 20)).build().unwrap();
    cache.insert(1, Vec::new()).unwrap();
    let empty = cache.weight();
    assert!((32..200).contains(&empty), "{empty}");
    cache.insert(1, vec![7; 10_000]).unwrap();
    let full = cache.weight();
    // An eighth of an allocation is what its gaps in the heap take.
    assert!((11_250..11_550).contains(&full), "{full}");
    for key in 0..1000 {
        cache.insert(key, vec![7; 10_000]).unwrap();
    }
    assert!(cache.weight() <= 1 << 20 && cache.len() > 50, "{cache:?}");
}

#[test]
fn what_leaves_is_told_with_its_reason() {
    let (cache, seen) = watched(100, &Clock::held());
    cache.insert(1, 1).unwrap();
    cache.insert(1, 2).unwrap();
    assert!(cache.update(&1, |value| *value += 1).unwrap());
    cache.remove(&1);
    cache.insert(2, 5).unwrap();
    cache.clear();
    let told: Vec<_> = std::mem::take(&mut *seen.lock().unwrap());
    let (replaced, removed) = (Reason::Replaced, Reason::Removed);
    assert_eq!(told, [(1, 1, replaced), (1, 2, replaced), (1, 3, removed), (2, 5, removed)]);
    for key in 0..50 {
        cache.insert(key, 10).unwrap();
    }
    let told = seen.lock().unwrap();
    assert_eq!(told.len() + cache.len(), 50);
    assert!(told.iter().all(|(_, _, reason)| *reason == Reason::Evicted));
    let departures = cache.stats().memory.departures;
    assert_eq!((departures.replaced, departures.removed, departures.evicted), (2, 2, told.len() as u64));
}

#[test]
fn a_listener_may_use_the_cache_and_its_panic_goes_no_further() {
    let (sender, receiver) = std::sync::mpsc::channel::<MemoryCache<u64, u64>>();
    let receiver = Mutex::new(receiver);
    let listener = move |key: &u64, _: &u64, _| {
        let own = receiver.lock().unwrap().try_recv();
        if let Ok(own) = own {
            own.insert(key + 1, 0).unwrap();
        }
        panic!("from the listener");
    };
    let cache = MemoryCache::builder().entries(10).on_departure(listener).build().unwrap();
    sender.send(cache.clone()).unwrap();
    cache.insert(1, 1).unwrap();
    assert_eq!(cache.remove(&1), Some(1));
    assert_eq!(cache.get(&2), Some(0));
    cache.insert(2, 2).unwrap();
    assert_eq!(cache.stats().listener_panics, 2);
}

#[test]
fn a_partition_stays_within_its_quota() {
    let cache = MemoryCache::<String, u32>::builder()
        .memory_with(Memory::entries(10_000).partition("a", 1000).partition("b", 9000), |_, weight| *weight)
        .partition_by(|key| key.split_once(':').map(|(name, _)| name))
        .build()
        .unwrap();
    for n in 0..500 {
        cache.insert(format!("a:{n}"), 10).unwrap();
        cache.insert(format!("b:{n}"), 10).unwrap();
    }
    cache.insert("none".to_owned(), 10).unwrap();
    let mut weights = BTreeMap::new();
    cache.for_each(|key, weight| *weights.entry(key[..1].to_owned()).or_insert(0) += weight);
    assert!(weights["a"] <= 1000 && weights["a"] >= 500, "{weights:?}");
    assert_eq!((weights["b"], weights["n"]), (5000, 10));
    assert!(cache.stats().memory.departures.over_quota >= 400);

    let error = cache.insert("a:x".to_owned(), 1001).unwrap_err();
    assert_eq!(error.to_string(), "weight of the entry is 1001, must be 1..=1000");
    let error = cache.insert("c:x".to_owned(), 1).unwrap_err();
    assert_eq!(error.to_string(), "partition of the key is \"c\", must be one of [\"a\", \"b\"]");
}

#[test]
fn a_cache_changes_its_size_while_it_runs() {
    let cache = of_weight_by_value(100_000);
    cache.insert_many((0..5000).map(|key| (key, 10))).unwrap();
    let before = cache.len();
    cache.resize(10_000).unwrap();
    assert!(cache.weight() <= 10_000 && cache.weight() >= 5_000, "{cache:?}");
    assert!(cache.len() < before);
    assert_eq!(cache.insert(1, 10_001).unwrap_err().kind(), ErrorKind::Invalid);
    cache.resize(200_000).unwrap();
    cache.insert_many((0..15_000).map(|key| (key, 10))).unwrap();
    assert!(cache.weight() > 100_000, "{cache:?}");
    assert_eq!(cache.resize(0).unwrap_err().to_string(), "capacity is 0, must be at least 1");
    assert_eq!(cache.capacity(), 200_000);
}

#[test]
fn an_update_changes_in_place_and_keeps_the_deadline() {
    let clock = Clock::held();
    let cache: MemoryCache<u64, Vec<u8>> =
        MemoryCache::builder().entries(10).time_to_live(Duration::from_secs(10)).clock(clock.clone()).build().unwrap();
    assert!(!cache.update(&1, |value| value.push(1)).unwrap());
    cache.insert(1, vec![1]).unwrap();
    clock.advance(Duration::from_secs(9));
    assert!(cache.update(&1, |value| value.push(2)).unwrap());
    assert_eq!(cache.get(&1), Some(vec![1, 2]));
    clock.advance(Duration::from_secs(1));
    assert_eq!(cache.get(&1), None);
}

#[test]
fn a_refused_or_panicking_update_leaves_the_old_value() {
    let cache = of_weight_by_value(10_000);
    cache.insert(1, 5).unwrap();
    assert_eq!(cache.update(&1, |value| *value = 0).unwrap_err().kind(), ErrorKind::Invalid);
    let panics = |f: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
    assert!(panics(&|| drop(cache.update(&1, |_| panic!("from the closure")))));
    assert!(panics(&|| drop(cache.update(&1, |_| drop(cache.insert(1, 6))))));
    assert_eq!(cache.get(&1), Some(5));
    cache.insert(1, 7).unwrap();
    assert_eq!(cache.get(&1), Some(7));
}

#[test]
fn no_update_is_lost_among_threads() {
    let cache: MemoryCache<u64, u64> = MemoryCache::builder().entries(1000).build().unwrap();
    cache.insert_many((0..4).map(|key| (key, 0))).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..2000 {
                    assert!(cache.update(&(n % 4), |value| *value += 1).unwrap());
                }
            });
        }
    });
    assert_eq!(cache.get_many(&[0, 1, 2, 3]), [Some(2000); 4]);
}

#[test]
fn stats_count_what_happened() {
    let cache = hundred();
    cache.insert("one".to_owned(), 1).unwrap();
    cache.get("one");
    cache.get("two");
    cache.get_many(&["one".to_owned(), "two".to_owned()]);
    cache.peek("one");
    cache.contains("two");
    cache.get_or_insert_with("one", || 0);
    cache.get_or_insert_with("three", || 3);
    let failed: Result<u64, &str> = cache.try_get_or_insert_with("four", || Err("no"));
    assert_eq!(failed, Err("no"));
    let stats = cache.stats();
    assert_eq!((stats.memory.hits, stats.memory.misses, stats.memory.inserts), (3, 4, 2));
    assert_eq!((stats.loads, stats.load_errors, stats.waiters, stats.waiting), (2, 1, 2, 0));
    assert_eq!((stats.memory.entries, stats.memory.weight, stats.memory.capacity), (2, 2, 100));
}
