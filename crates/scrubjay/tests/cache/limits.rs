//! Bad input: each a clear error that names the field and the limit.

use scrubjay::{Cache, CacheBuilder, Compressed, EntryOptions, ErrorKind, FailSafe, Memory};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn builder() -> CacheBuilder<u64, String> {
    Cache::builder("limits").memory(Memory::bytes(1 << 20))
}

async fn check(builder: CacheBuilder<u64, String>, expected: &str) {
    match builder.build().await {
        Ok(_) => assert_eq!("", expected),
        Err(error) => assert_eq!(error.to_string(), expected),
    }
}

#[tokio::test]
async fn a_builder_refuses_what_cannot_be() {
    check(Cache::builder("").memory(Memory::entries(1)), "name is 0 bytes, must be 1..=255").await;
    check(Cache::builder("x".repeat(255)).memory(Memory::entries(1)), "").await;
    check(Cache::builder("x".repeat(256)).memory(Memory::entries(1)), "name is 256 bytes, must be 1..=255").await;
    check(Cache::builder("none"), "memory is not set, must be Memory::bytes or Memory::entries").await;
    check(builder().memory(Memory::bytes(0)), "memory.bytes is 0, must be at least 4096").await;
    check(builder().memory(Memory::bytes(4095)), "memory.bytes is 4095, must be at least 4096").await;
    check(builder().memory(Memory::bytes(4096)), "").await;
    check(builder().memory(Memory::entries(0)), "memory.entries is 0, must be at least 1").await;
    check(
        builder().memory(Memory::bytes(1 << 20).shards(3)),
        "memory.shards is 3, must be a power of two, at most 1024",
    )
    .await;
    check(
        builder().memory(Memory::entries(9).partition("a", 10)).partition_by(|_| None),
        "memory.partition \"a\" has the quota 10, must be 1..=9",
    )
    .await;
    check(
        builder().memory(Memory::entries(9).partition("a", 9)),
        "memory.partitions are 1, must be 0 without partition_by",
    )
    .await;
    check(builder().compressed(Compressed::bytes(0)), "compressed.bytes is 0, must be at least 65536").await;
    check(builder().compressed(Compressed::bytes(65_536)), "").await;
}

#[tokio::test]
async fn a_builder_refuses_times_that_cannot_be() {
    let beyond = Duration::from_millis(1 << 42);
    let last = Duration::from_millis((1 << 42) - 1);
    check(builder().time_to_live(Duration::ZERO), "time_to_live is 0ns, must be 1ns..=4398046511103ms").await;
    check(builder().time_to_live(beyond), "time_to_live is 4398046511.104s, must be 1ns..=4398046511103ms").await;
    check(builder().time_to_live(last).stale_while_revalidate(last), "").await;
    check(builder().negative_ttl(Duration::ZERO), "negative_ttl is 0ns, must be 1ns..=4398046511103ms").await;
    check(
        builder().stale_while_revalidate(Duration::ZERO),
        "stale_while_revalidate is 0ns, must be 1ns..=4398046511103ms",
    )
    .await;
    check(builder().error_backoff(Duration::ZERO), "error_backoff is 0ns, must be 1ns..=4398046511103ms").await;
    check(builder().hard_timeout(Duration::ZERO), "hard_timeout is 0ns, must be 1ns..=4398046511103ms").await;
    check(builder().soft_timeout(SECOND), "soft_timeout is 1s, must not be set without fail_safe").await;
    let fail_safe = FailSafe { max_stale: SECOND, throttle: Duration::ZERO };
    check(builder().soft_timeout(SECOND).fail_safe(fail_safe), "").await;
    check(
        builder().soft_timeout(SECOND).hard_timeout(SECOND).fail_safe(fail_safe),
        "soft_timeout is 1s, must be below hard_timeout, 1s",
    )
    .await;
    let never = FailSafe { max_stale: Duration::ZERO, throttle: SECOND };
    check(builder().fail_safe(never), "fail_safe.max_stale is 0ns, must be 1ns..=4398046511103ms").await;
    for part in [0.0, 1.0, -1.0, f64::NAN] {
        check(builder().refresh_ahead(part), &format!("refresh_ahead is {part}, must be above 0 and below 1")).await;
    }
    check(builder().refresh_ahead(0.8).ttl_jitter(1.0), "").await;
    check(builder().ttl_jitter(1.1), "ttl_jitter is 1.1, must be 0..=1").await;
    check(builder().ttl_jitter(f64::NAN), "ttl_jitter is NaN, must be 0..=1").await;
}

#[test]
fn a_builder_without_a_runtime_says_so() {
    let error = super::now(builder().build()).unwrap_err();
    assert_eq!(error.to_string(), "runtime is not set, must be given to the builder or be there when build is called");
}

#[tokio::test]
async fn an_insert_refuses_what_cannot_be_and_leaves_what_was() {
    let cache: Cache<u64, u32> = Cache::builder("weights")
        .memory_with(Memory::entries(100).partition("few", 10), |_, value| *value)
        .partition_by(|key: &u64| match *key {
            8 => Some("few"),
            9 => Some("unknown"),
            _ => None,
        })
        .build()
        .await
        .unwrap();
    cache.insert(1, 100).await.unwrap();
    let text = async |key, value| cache.insert(key, value).await.unwrap_err().to_string();
    assert_eq!(text(1, 0).await, "weight of key \"1\" is 0, must be 1..=100");
    assert_eq!(text(1, 101).await, "weight of key \"1\" is 101, must be 1..=100");
    assert_eq!(text(8, 11).await, "weight of key \"8\" is 11, must be 1..=10");
    assert_eq!(text(9, 1).await, "partition of the key is \"unknown\", must be one of [\"few\"]");
    assert_eq!(cache.get(&1).await, Some(100));
    let many = cache.insert_many([(1, 1), (2, 0)]).await.unwrap_err();
    assert_eq!(many.to_string(), "weight of key \"2\" is 0, must be 1..=100");
    assert_eq!(cache.get(&1).await, Some(100), "all or none");
    let with = async |options| cache.insert_with(1, 1, options).await.unwrap_err().to_string();
    assert_eq!(with(EntryOptions::new().weight(0)).await, "weight of key \"1\" is 0, must be 1..=100");
    assert_eq!(with(EntryOptions::new().tag("")).await, "a tag is empty, must be 1..=256 bytes");
    assert_eq!(
        with(EntryOptions::new().time_to_live(Duration::ZERO)).await,
        "time_to_live of the entry is 0ns, must be 1ns..=4398046511103ms"
    );
    assert_eq!(cache.remove_by_tag("").await.unwrap_err().to_string(), "a tag is empty, must be 1..=256 bytes");
}

#[tokio::test]
async fn a_loaded_value_that_does_not_fit_is_returned_and_not_stored() {
    let cache: Cache<u64, u32> =
        Cache::builder("too large").memory_with(Memory::entries(100), |_, value| *value).build().await.unwrap();
    let loaded = cache.get_or_load(&1, async |_| Ok::<_, std::io::Error>(101)).await.unwrap();
    assert_eq!((loaded, cache.get(&1).await, cache.stats().memory.drops.too_large), (101, None, 1));
}

#[tokio::test]
async fn an_estimate_counts_what_values_keys_and_tags_hold() {
    let cache: Cache<String, String> = Cache::builder("estimate").memory(Memory::bytes(1 << 20)).build().await.unwrap();
    let mut weights = Vec::new();
    let (short, long) = ("k".to_owned(), "k".repeat(1000));
    for (key, value) in [(&short, String::new()), (&short, "v".repeat(10_000)), (&long, String::new())] {
        cache.clear().await.unwrap();
        cache.insert(key.clone(), value).await.unwrap();
        weights.push(cache.stats().memory.weight);
    }
    assert!((10_000..11_500).contains(&(weights[1] - weights[0])), "{weights:?}");
    assert!((900..1_250).contains(&(weights[2] - weights[0])), "{weights:?}");
    assert!((80..280).contains(&weights[0]), "{weights:?}");
}

#[test]
fn a_runtime_without_timers_is_refused() {
    let expected = "runtime has its timers off, must be built with enable_time or enable_all";
    let without = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let builder = || Cache::<u64, u64>::builder("no timers").memory(Memory::entries(10));
    let here = without.block_on(builder().build()).unwrap_err();
    assert_eq!((here.kind(), here.to_string().as_str()), (scrubjay::ErrorKind::Invalid, expected));
    let with = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let given = with.block_on(builder().runtime(without.handle().clone()).build()).unwrap_err();
    assert_eq!(given.to_string(), expected);
    let cache = without.block_on(builder().runtime(with.handle().clone()).build()).unwrap();
    without.block_on(cache.insert(1, 1)).unwrap();
}

#[tokio::test]
async fn a_value_that_does_not_serialise_is_refused_where_it_would_have_to() {
    #[derive(Clone, Debug, PartialEq, serde::Deserialize)]
    struct Stubborn(bool);

    impl serde::Serialize for Stubborn {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.0 { Err(serde::ser::Error::custom("never")) } else { serializer.serialize_bool(false) }
        }
    }

    let builder = || Cache::<u64, Stubborn>::builder("stubborn").memory(Memory::bytes(1 << 20));
    let cache = builder().compressed(Compressed::bytes(1 << 20)).build().await.unwrap();
    let error = cache.insert(7, Stubborn(true)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("does not serialise, must for the compressed tier"), "{error}");
    assert_eq!(cache.get(&7).await, None);
    cache.insert(7, Stubborn(false)).await.unwrap();

    // A loaded one goes to who asked, and is not stored.
    let loaded = cache.get_or_load(&8, async |_| Ok::<_, std::io::Error>(Stubborn(true))).await.unwrap();
    assert_eq!((loaded, cache.get(&8).await), (Stubborn(true), None));

    // In memory alone nothing is serialised.
    let cache = builder().build().await.unwrap();
    cache.insert(7, Stubborn(true)).await.unwrap();
    assert_eq!(cache.get(&7).await, Some(Stubborn(true)));
}
