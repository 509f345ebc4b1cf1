//! What has to do with the tier below memory.

use super::{SECOND, a_while, left, loads, lookups};
use scrubjay::{BoxError, Cache, Clock, Codec, Compressed, EntryOptions, Memory, Stats, TierStats};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Text, that writes no 7 and reads no 8.
struct Picky;

impl Codec<u64> for Picky {
    fn id(&self) -> u8 {
        203
    }

    fn encode(&self, value: &u64, out: &mut Vec<u8>) -> Result<(), BoxError> {
        out.extend_from_slice(value.to_string().as_bytes());
        if *value == 7 { Err("a seven".into()) } else { Ok(()) }
    }

    fn decode(&self, bytes: &[u8]) -> Result<u64, BoxError> {
        if bytes == b"8" { Err("an eight".into()) } else { Ok(std::str::from_utf8(bytes)?.parse()?) }
    }
}

/// A cache of one entry in memory, and the key that was pushed out of it last.
struct Two {
    cache: Cache<u64, u64>,
    out: Arc<AtomicU64>,
}

async fn two(clock: &Clock) -> Two {
    let out = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&out);
    let builder = Cache::builder("two").memory(Memory::entries(1)).compressed_with(Compressed::bytes(1 << 20), Picky);
    let builder = builder.clock(clock.clone()).time_to_live(10 * SECOND).stale_while_revalidate(SECOND);
    let builder = builder.negative_ttl(10 * SECOND);
    let cache = builder.on_departure(move |key, _, _| told.store(*key, Ordering::SeqCst)).build().await.unwrap();
    Two { cache, out }
}

impl Two {
    /// Two entries of this value, one of them below. Which.
    async fn with_both(clock: &Clock, value: u64) -> (Two, u64) {
        let two = two(clock).await;
        for key in [1, 2] {
            let options = EntryOptions::new().tag(format!("tag {key}"));
            two.cache.insert_with(key, value, options).await.unwrap();
        }
        let below = two.out.load(Ordering::SeqCst);
        (two, below)
    }

    fn stats(&self) -> (Stats, TierStats) {
        let stats = self.cache.stats();
        let below = stats.compressed.clone().unwrap();
        (stats, below)
    }
}

#[tokio::test]
async fn an_entry_that_goes_down_and_comes_up_is_counted_on_each_way() {
    let (two, below) = Two::with_both(&Clock::held(), 5).await;
    let (stats, tier) = two.stats();
    assert_eq!(
        (stats.memory.inserts, stats.memory.entries, left(&stats.memory.departures)),
        (2, 1, [0, 0, 0, 1, 0, 0])
    );
    assert_eq!((tier.inserts, tier.entries, left(&tier.departures), tier.drops.total()), (1, 1, [0; 6], 0));
    assert!(tier.weight > 0 && tier.weight < 1000 && tier.capacity == 1 << 20);
    assert_eq!((lookups(&stats.memory), lookups(&tier)), ([0; 3], [0; 3]));
    assert_eq!((two.cache.peek(&below).await, two.cache.contains(&below).await), (Some(5), true));
    assert_eq!(two.stats().1, tier, "a peek is not counted and moves nothing");
    assert_eq!((two.cache.get(&below).await, two.cache.get(&9).await), (Some(5), None));
    let (stats, tier) = two.stats();
    assert_eq!((lookups(&stats.memory), lookups(&tier)), ([0, 0, 2], [1, 0, 1]));
    assert_eq!((stats.memory.inserts, left(&stats.memory.departures)), (3, [0, 0, 0, 2, 0, 0]));
    assert_eq!((tier.inserts, tier.entries, left(&tier.departures)), (2, 1, [0, 0, 0, 0, 0, 1]));
    assert_eq!((stats.hits(), stats.codec_errors), (1, 0));
    assert!((stats.hit_ratio() - 0.5).abs() < 1e-9 && (tier.hit_ratio() - 0.5).abs() < 1e-9);
}

#[tokio::test]
async fn an_entry_that_is_removed_below_left_there() {
    let (two, below) = Two::with_both(&Clock::held(), 5).await;
    assert!(two.cache.remove(&below).await.unwrap());
    let (stats, tier) = two.stats();
    assert_eq!((left(&stats.memory.departures), left(&tier.departures)), ([0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0]));
    two.cache.clear().await.unwrap();
    assert_eq!((two.stats().0.memory.entries, two.stats().1.entries), (0, 0));
    assert_eq!((left(&two.stats().0.memory.departures), left(&two.stats().1.departures)[0]), ([1, 0, 0, 1, 0, 0], 1));
}

#[tokio::test]
async fn an_entry_below_was_replaced_if_a_newer_value_of_its_key_goes_into_memory() {
    let (two, below) = Two::with_both(&Clock::held(), 5).await;
    two.cache.insert(below, 6).await.unwrap();
    let (stats, tier) = two.stats();
    assert_eq!(left(&tier.departures), [0, 1, 0, 0, 0, 0]);
    assert_eq!((tier.inserts, tier.entries), (2, 1), "the other one went down instead");
    assert_eq!((stats.memory.inserts, left(&stats.memory.departures)), (3, [0, 0, 0, 2, 0, 0]));
}

#[tokio::test]
async fn what_a_tag_invalidated_below_is_a_miss_and_a_drop() {
    let (two, below) = Two::with_both(&Clock::held(), 5).await;
    two.cache.remove_by_tag(&format!("tag {below}")).await.unwrap();
    assert_eq!(two.cache.get(&below).await, None);
    let (_, tier) = two.stats();
    assert_eq!((lookups(&tier), tier.drops.invalidated, tier.drops.total(), tier.entries), ([0, 0, 1], 1, 1, 0));
}

#[tokio::test]
async fn what_the_codec_does_not_bear_is_a_codec_error() {
    let (two, unwritten) = Two::with_both(&Clock::held(), 7).await;
    let (stats, tier) = two.stats();
    assert_eq!((stats.codec_errors, tier.drops.not_encoded, tier.drops.total(), tier.inserts), (1, 1, 1, 0));
    assert_eq!(two.cache.get(&unwritten).await, None);
    let (two, unread) = Two::with_both(&Clock::held(), 8).await;
    assert_eq!((two.stats().0.codec_errors, two.cache.get(&unread).await), (0, None));
    let (stats, tier) = two.stats();
    assert_eq!((stats.codec_errors, tier.drops.not_decoded, tier.drops.total(), tier.entries), (1, 1, 1, 0));
    assert_eq!(lookups(&tier), [0, 0, 1]);
}

#[tokio::test]
async fn a_stale_entry_below_is_a_stale_hit_only_for_who_was_served_it() {
    let clock = Clock::held();
    let (two, below) = Two::with_both(&clock, 5).await;
    clock.advance(10 * SECOND);
    assert_eq!((two.cache.get(&below).await, two.cache.get_many(&[below]).await), (None, vec![None]));
    let (stats, tier) = two.stats();
    assert_eq!((lookups(&stats.memory), lookups(&tier), stats.refreshes), ([0, 0, 2], [0, 0, 2], 0));
    assert_eq!(two.cache.get_or_load(&below, loads).await.unwrap(), 5);
    a_while().await;
    let (stats, tier) = two.stats();
    assert_eq!((lookups(&stats.memory), lookups(&tier), stats.refreshes), ([0, 0, 3], [0, 1, 2], 1));
    assert_eq!((stats.loads, stats.waiters, stats.hits()), (1, 0, 1));
}

#[tokio::test]
async fn an_absence_below_is_a_negative_hit_too() {
    let two = two(&Clock::held()).await;
    let absent = async |_| Ok::<Option<u64>, io::Error>(None);
    for round in 0..2 {
        for key in 0..20 {
            assert_eq!(two.cache.get_or_load_optional(&key, absent).await.unwrap(), None);
        }
        let (stats, tier) = two.stats();
        assert_eq!((stats.loads, stats.negative_hits), (20, 20 * round));
        assert_eq!(stats.memory.hits + tier.hits, 20 * round);
        assert_eq!(stats.memory.hits + stats.memory.misses, 20 + 20 * round);
        assert_eq!(tier.hits + tier.misses, stats.memory.misses);
    }
}
