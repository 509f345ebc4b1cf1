//! The ways between memory and the compressed tier. What is invalidated while an entry is on its way must not arrive: the
//! codec is the hook, since it runs in the middle of a demotion or a promotion, with no lock held.

use super::now;
use scrubjay::{BoxError, Cache, Clock, Codec, Compressed, EntryOptions, Loaded, Memory, Postcard};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Act = Box<dyn FnOnce() + Send>;

/// Postcard, and something that happens the next time it writes or reads.
#[derive(Clone, Default)]
struct Hooked {
    on_encode: Arc<Mutex<Option<Act>>>,
    on_decode: Arc<Mutex<Option<Act>>>,
}

impl Hooked {
    fn run(hook: &Mutex<Option<Act>>) {
        let act = hook.lock().unwrap().take();
        if let Some(act) = act {
            act();
        }
    }
}

impl Codec<String> for Hooked {
    fn id(&self) -> u8 {
        200
    }

    fn encode(&self, value: &String, out: &mut Vec<u8>) -> Result<(), BoxError> {
        Hooked::run(&self.on_encode);
        if value == "refuses" { Err("does not serialise".into()) } else { Postcard.encode(value, out) }
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, BoxError> {
        Hooked::run(&self.on_decode);
        Postcard.decode(bytes)
    }
}

async fn hooked(name: &str, hooks: &Hooked) -> Cache<String, String> {
    Cache::builder(name)
        .memory(Memory::entries(1))
        .compressed_with(Compressed::bytes(1 << 20), hooks.clone())
        .build()
        .await
        .unwrap()
}

/// What may come between.
const INVALIDATIONS: [&str; 5] = ["remove", "insert", "clear", "tag", "prefix"];

fn invalidate(cache: &Cache<String, String>, how: &str) {
    match how {
        "remove" => drop(now(cache.remove("k")).unwrap()),
        "insert" => now(cache.insert("k".into(), "new".into())).unwrap(),
        "clear" => now(cache.clear()).unwrap(),
        "tag" => now(cache.remove_by_tag("t")).unwrap(),
        _ => drop(now(cache.remove_by_prefix("k")).unwrap()),
    }
}

#[tokio::test]
async fn what_memory_evicts_is_found_in_the_compressed_tier_and_comes_back() {
    let cache: Cache<u64, String> = Cache::builder("both")
        .memory(Memory::entries(32))
        .compressed(Compressed::bytes(4 << 20))
        .build()
        .await
        .unwrap();
    cache.insert_many((0..1000).map(|n| (n, format!("value {n}")))).await.unwrap();
    let stats = cache.stats();
    let below = stats.compressed.unwrap();
    assert_eq!((stats.memory.entries + below.entries, below.drops.total()), (1000, 0), "none is lost on the way");
    for n in 0..1000 {
        assert_eq!(cache.peek(&n).await, Some(format!("value {n}")));
    }
    assert_eq!(cache.stats().compressed.unwrap().hits, 0, "a peek is not counted and moves nothing");
    for n in 0..1000 {
        assert_eq!(cache.get(&n).await, Some(format!("value {n}")));
    }
    let stats = cache.stats();
    assert_eq!(stats.memory.entries + stats.compressed.unwrap().entries, 1000, "one copy of each");
    let all: Vec<u64> = (0..1000).collect();
    assert!(cache.get_many(&all).await.iter().all(Option::is_some));
    assert_eq!(cache.remove_many(&all).await.unwrap(), 1000);
    assert!(cache.get_many(&all).await.iter().all(Option::is_none));
}

#[tokio::test]
async fn times_to_live_hold_in_both_tiers() {
    let clock = Clock::held();
    let cache: Cache<u64, u64> = Cache::builder("ttl")
        .memory(Memory::entries(10))
        .compressed(Compressed::bytes(1 << 20))
        .clock(clock.clone())
        .time_to_live(Duration::from_secs(10))
        .negative_ttl(Duration::from_secs(5))
        .build()
        .await
        .unwrap();
    let absent = async |_| Ok::<_, std::io::Error>(Loaded::<u64>::absent());
    assert_eq!(cache.get_or_load_optional(&1000, absent).await.unwrap(), None);
    for n in 0..100 {
        let options = EntryOptions::new();
        let options = if n % 2 == 0 { options.time_to_live(Duration::from_secs(20)) } else { options };
        cache.insert_with(n, n, options).await.unwrap();
    }
    clock.advance(Duration::from_millis(9_999));
    assert_eq!(cache.keys().await.len(), 100);
    assert!(cache.get(&1).await.is_some() && cache.get(&98).await.is_some());
    clock.advance(Duration::from_millis(1));
    for n in 0..100 {
        assert_eq!(cache.get(&n).await, (n % 2 == 0).then_some(n));
        assert_eq!(cache.contains(&n).await, n % 2 == 0);
    }
    let value = async |_| Ok::<_, std::io::Error>(Some(7));
    assert_eq!(cache.get_or_load_optional(&1000, value).await.unwrap(), Some(7), "the absence is forgotten");
    clock.advance(Duration::from_secs(10));
    assert_eq!(cache.keys().await.len(), 0);
}

#[tokio::test]
async fn an_absence_survives_in_the_compressed_tier() {
    let cache: Cache<u64, u64> = Cache::builder("absence below")
        .memory(Memory::entries(1))
        .compressed(Compressed::bytes(1 << 20))
        .negative_ttl(Duration::from_secs(3600))
        .build()
        .await
        .unwrap();
    let absent = async |_| Ok::<_, std::io::Error>(None);
    for n in 0..20 {
        assert_eq!(cache.get_or_load_optional(&n, absent).await.unwrap(), None);
    }
    let value = async |_| Ok::<_, std::io::Error>(Some(7));
    for n in 0..20 {
        assert_eq!(cache.get_or_load_optional(&n, value).await.unwrap(), None);
    }
    assert_eq!(cache.stats().loads, 20);
}

#[tokio::test]
async fn what_is_invalidated_during_its_demotion_does_not_arrive() {
    for how in INVALIDATIONS {
        let hooks = Hooked::default();
        let cache = hooked("demotion", &hooks).await;
        cache.insert_with("k".into(), "old".into(), EntryOptions::new().tag("t")).await.unwrap();
        let other = cache.clone();
        *hooks.on_encode.lock().unwrap() = Some(Box::new(move || invalidate(&other, how)));
        for n in 0..10 {
            cache.insert(format!("other {n}"), "v".into()).await.unwrap();
        }
        assert!(hooks.on_encode.lock().unwrap().is_none(), "{how}: it was demoted");
        assert_ne!(cache.peek("k").await.as_deref(), Some("old"), "{how}");
        assert_ne!(cache.get("k").await.as_deref(), Some("old"), "{how}");
        if how == "insert" {
            assert_eq!(cache.get("k").await.as_deref(), Some("new"));
        }
    }
}

#[tokio::test]
async fn what_is_invalidated_during_its_promotion_does_not_arrive() {
    for how in INVALIDATIONS {
        let hooks = Hooked::default();
        let cache = hooked("promotion", &hooks).await;
        cache.insert_with("k".into(), "old".into(), EntryOptions::new().tag("t")).await.unwrap();
        for n in 0..10 {
            cache.insert(format!("other {n}"), "v".into()).await.unwrap();
        }
        let other = cache.clone();
        *hooks.on_decode.lock().unwrap() = Some(Box::new(move || invalidate(&other, how)));
        assert_eq!(cache.get("k").await.as_deref(), Some("old"), "{how}: it asked before");
        assert!(hooks.on_decode.lock().unwrap().is_none(), "{how}: it was below");
        let expected = (how == "insert").then_some("new");
        assert_eq!(cache.get("k").await.as_deref(), expected, "{how}");
        assert_eq!(cache.contains("k").await, expected.is_some(), "{how}");
    }
}

#[tokio::test]
async fn a_key_that_is_asked_for_twice_is_found_twice() {
    let cache = hooked("twice", &Hooked::default()).await;
    cache.insert_many([("k".into(), "v".into()), ("l".into(), "w".into())]).await.unwrap();
    let keys = ["k", "l", "k", "k", "l"].map(String::from);
    let found = cache.get_many(&keys).await;
    assert_eq!(found.iter().flatten().collect::<Vec<_>>(), ["v", "w", "v", "v", "w"]);
}

#[tokio::test]
async fn what_is_taken_up_between_the_looks_at_both_tiers_is_found() {
    let hooks = Hooked::default();
    let cache = hooked("taken up", &hooks).await;
    cache.insert("k".into(), "v".into()).await.unwrap();
    for n in 0..10 {
        cache.insert(format!("other {n}"), "v".into()).await.unwrap();
    }
    // A lookup of both keys: while the first is decoded, somebody else takes up the second, which memory did not have.
    cache.insert("j".into(), "u".into()).await.unwrap();
    for n in 0..10 {
        cache.insert(format!("other {n}"), "v".into()).await.unwrap();
    }
    let other = cache.clone();
    *hooks.on_decode.lock().unwrap() = Some(Box::new(move || assert_eq!(now(other.get("k")).as_deref(), Some("v"))));
    let found = cache.get_many(&["j", "k"].map(String::from)).await;
    assert_eq!(found.iter().flatten().collect::<Vec<_>>(), ["u", "v"]);
}

#[tokio::test]
async fn what_memory_has_become_too_small_for_is_served_from_below_and_pushes_nothing_out() {
    let builder = Cache::builder("too small").memory(Memory::entries(10)).compressed(Compressed::bytes(1 << 20));
    let cache: Cache<u64, u64> = builder.build().await.unwrap();
    cache.insert_with(1, 10, EntryOptions::new().weight(8)).await.unwrap();
    cache.resize(4).await.unwrap();
    cache.insert_many([(2, 20), (3, 30), (4, 40)]).await.unwrap();
    let before = cache.stats();
    assert_eq!((before.memory.entries, before.compressed.as_ref().map(|below| below.entries)), (3, Some(1)));
    for _ in 0..3 {
        assert_eq!(cache.get(&1).await, Some(10));
    }
    let after = cache.stats();
    assert_eq!(after.memory.departures, before.memory.departures);
    assert_eq!((after.memory.entries, after.compressed.map(|below| below.entries)), (3, Some(1)));
}

#[tokio::test]
async fn a_value_that_does_not_serialise_is_served_from_memory_and_counted_when_it_leaves() {
    let cache = hooked("refuses", &Hooked::default()).await;
    cache.insert("k".into(), "refuses".into()).await.unwrap();
    assert_eq!(cache.get("k").await.as_deref(), Some("refuses"));
    for n in 0..10 {
        cache.insert(format!("other {n}"), "v".into()).await.unwrap();
    }
    assert_eq!(cache.get("k").await, None);
    assert_eq!(cache.stats().compressed.unwrap().drops.not_encoded, 1);
}

#[tokio::test]
async fn an_empty_key_is_a_key_in_both_tiers() {
    let cache = hooked("empty key", &Hooked::default()).await;
    cache.insert(String::new(), "empty".into()).await.unwrap();
    cache.insert("k".into(), "v".into()).await.unwrap();
    cache.insert("l".into(), "v".into()).await.unwrap();
    assert_eq!(cache.get("").await.as_deref(), Some("empty"));
    cache.insert(String::new(), "again".into()).await.unwrap();
    cache.insert("m".into(), "v".into()).await.unwrap();
    cache.insert("n".into(), "v".into()).await.unwrap();
    assert_eq!(cache.get("").await.as_deref(), Some("again"));
    assert!(cache.remove("").await.unwrap());
    assert_eq!(cache.get("").await, None);
}
