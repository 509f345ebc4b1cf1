use super::*;
use crate::clock::Clock;
use crate::entry::{Anchor, Times};
use crate::error::BoxError;
use crate::kept::{Keeping, Kept, NewKept};
use crate::memory::Epochs;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

fn tier_with(config: &Compressed, clock: &Clock) -> CompressedTier {
    let (packing, anchor) = (config.packing, Anchor::PROCESS);
    let keeping = Keeping { namespace: "users".into(), schema: 3, codec: 1, packing, anchor };
    let epochs = Arc::new(Epochs::new(4));
    CompressedTier::new(config, TierSetup { keeping, clock: clock.clone(), epochs })
}

/// As the memory tier would, the same for all tiers.
fn hash(key: &[u8]) -> u64 {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    HASHER.hash_one(key)
}

fn tier() -> CompressedTier {
    tier_with(&Compressed::bytes(1 << 20).shards(1), &Clock::held())
}

fn new_kept(key: &[u8]) -> NewKept<'_> {
    NewKept { key, times: Times::default(), cost: 2, born: 7, weight: 99, tags: &["a", "team:7"] }
}

fn store(tier: &CompressedTier, key: &[u8], value: &[u8]) -> bool {
    let write = |out: &mut Vec<u8>| {
        out.extend_from_slice(value);
        Ok(())
    };
    tier.encode(&new_kept(key), write).map(|encoded| tier.insert(hash(key), encoded)).is_some()
}

fn load(tier: &CompressedTier, key: &[u8]) -> Option<Vec<u8>> {
    tier.get(hash(key), key, |_| true, |_, payload| Ok(payload.unwrap_or(b"absent").to_vec()))
}

fn page(len: usize) -> Vec<u8> {
    b"the quick brown fox jumps over the lazy dog; ".iter().copied().cycle().take(len).collect()
}

#[test]
fn what_was_stored_is_found_with_its_facts() {
    let tier = tier();
    assert!(store(&tier, b"42", b"value"));
    let found = tier.get(
        hash(b"42"),
        b"42",
        |kept| kept.born == 7,
        |kept, payload| {
            assert_eq!((kept.key, kept.cost, kept.weight, kept.is_absent), (&b"42"[..], 2, 99, false));
            assert!(kept.tags.eq(["a", "team:7"]));
            Ok(payload.map(<[u8]>::to_vec))
        },
    );
    assert_eq!(found, Some(Some(b"value".to_vec())));
    assert_eq!(load(&tier, b"43"), None);
    let counts = tier.counts();
    assert_eq!((counts.hits, counts.misses, counts.inserts, counts.packed), (1, 1, 1, 0));
}

#[test]
fn a_key_without_a_value_is_kept_as_such() {
    let tier = tier();
    let encoded = tier.encode_absent(&new_kept(b"none")).unwrap();
    drop(tier.insert(hash(b"none"), encoded));
    assert_eq!(
        tier.get(hash(b"none"), b"none", |_| true, |kept, payload| Ok((kept.is_absent, payload.is_none()))),
        Some((true, true))
    );
}

#[test]
fn large_payloads_are_packed_by_either_way() {
    for config in
        [Compressed::bytes(1 << 20).lz4(), Compressed::bytes(1 << 20).zstd(), Compressed::bytes(1 << 20).uncompressed()]
    {
        let tier = tier_with(&config.shards(1), &Clock::held());
        let value = page(20_000);
        assert!(store(&tier, b"k", &value));
        assert_eq!(load(&tier, b"k"), Some(value));
        let is_packed = config_packs(&tier);
        assert_eq!(tier.weight() < 2_000, is_packed, "{} bytes", tier.weight());
    }
}

fn config_packs(tier: &CompressedTier) -> bool {
    tier.counts().packed == 1
}

#[test]
fn spoilt_bytes_are_a_miss_a_counter_and_gone() {
    let tier = tier();
    store(&tier, b"k", b"value");
    tier.spoil(hash(b"k"), b"k", |bytes| {
        let last = bytes.len() - 5;
        bytes[last] ^= 1;
    });
    assert_eq!(load(&tier, b"k"), None);
    assert_eq!((tier.counts().drops_corrupt, tier.counts().misses, tier.len()), (1, 1, 0));
}

#[test]
fn what_the_codec_cannot_read_is_a_miss_a_counter_and_gone() {
    let tier = tier();
    store(&tier, b"k", b"value");
    let refuse = |_: &Kept<'_>, _: Option<&[u8]>| Err::<(), BoxError>("no such thing".into());
    assert_eq!(tier.get(hash(b"k"), b"k", |_| true, refuse), None);
    assert_eq!((tier.counts().drops_undecodable, tier.counts().misses, tier.len()), (1, 1, 0));
}

#[test]
fn what_was_invalidated_is_not_read_and_gone() {
    let tier = tier();
    store(&tier, b"k", b"value");
    let read = |_: &Kept<'_>, _: Option<&[u8]>| -> Result<(), BoxError> { panic!("read an invalid entry") };
    assert_eq!(tier.peek(hash(b"k"), b"k", |kept| kept.born > 7, read), None);
    assert_eq!((tier.counts().drops_invalidated, tier.len()), (1, 0));
}

#[test]
fn a_value_that_does_not_serialise_is_not_kept_and_counted() {
    let tier = tier();
    assert!(tier.encode(&new_kept(b"k"), |_| Err("no bytes for this".into())).is_none());
    let long_key = vec![b'k'; 70_000];
    assert!(!store(&tier, &long_key, b"v"));
    assert_eq!((tier.counts().drops_not_encoded, tier.len()), (2, 0));
}

#[test]
fn an_entry_takes_an_eighth_of_the_tier_at_most() {
    let tier = tier_with(&Compressed::bytes(1 << 20).uncompressed().shards(1), &Clock::held());
    assert!(!store(&tier, b"k", &page(1 << 17)));
    assert!(store(&tier, b"k", &page((1 << 17) * 8 / 9 - 1000)));
    assert_eq!(tier.counts().drops_too_large, 1);
}

#[test]
fn the_tier_stays_within_its_bytes() {
    let tier = tier_with(&Compressed::bytes(1 << 20).uncompressed().shards(1), &Clock::held());
    for key in 0..4_000_u32 {
        store(&tier, key.to_string().as_bytes(), &page(1_000));
        assert!(tier.weight() <= tier.capacity());
    }
    let counts = tier.counts();
    assert!(tier.len() > 700, "{}", tier.len());
    assert_eq!(counts.inserts, counts.evicted + u64::try_from(tier.len()).unwrap());
}

#[test]
fn what_is_evicted_is_shown_whole_with_the_epoch_of_its_stripe() {
    let epochs = Arc::new(Epochs::new(1));
    epochs.raise(0);
    let config = Compressed::bytes(1 << 17).uncompressed().shards(1);
    let (packing, anchor) = (config.packing, Anchor::PROCESS);
    let keeping = Keeping { namespace: "users".into(), schema: 3, codec: 1, packing, anchor };
    let tier = CompressedTier::new(&config, TierSetup { keeping, clock: Clock::held(), epochs });
    let mut shown = 0_u64;
    for key in 0..200_u32 {
        let key = key.to_string().into_bytes();
        let encoded = tier.encode(&new_kept(&key), |out| {
            out.extend_from_slice(&page(2_000));
            Ok(())
        });
        tier.insert(hash(&key), encoded.unwrap()).each_evicted(|evicted| {
            let entry = crate::entry::Entry::parse(evicted.bytes).unwrap();
            assert_eq!((entry.identity.namespace, evicted.epoch), ("users", 1));
            shown += 1;
        });
    }
    assert!(shown > 100 && shown == tier.counts().evicted, "{shown}");
}

#[test]
fn an_expired_entry_is_a_miss() {
    let clock = Clock::held();
    let tier = tier_with(&Compressed::bytes(1 << 20).shards(1), &clock);
    let times = Times { stored_at_ms: 1, fresh_until_ms: 1_001, stale_until_ms: 2_001 };
    let encoded = tier.encode(&NewKept { times, ..new_kept(b"k") }, |_| Ok(())).unwrap();
    drop(tier.insert(hash(b"k"), encoded));
    clock.advance(Duration::from_millis(1_999));
    assert_eq!(tier.get(hash(b"k"), b"k", |_| true, |kept, _| Ok(kept.times)), Some(times));
    clock.advance(Duration::from_millis(1));
    assert_eq!(load(&tier, b"k"), None);
}

#[test]
fn removing_promoting_and_clearing_are_counted_apart() {
    let tier = tier();
    for key in [b"1", b"2", b"3", b"4"] {
        store(&tier, key, b"value");
    }
    assert!(tier.remove(hash(b"1"), b"1") && !tier.remove(hash(b"1"), b"1"));
    assert!(tier.promoted(hash(b"2"), b"2") && !tier.promoted(hash(b"2"), b"2"));
    assert!(
        !tier.remove_if(hash(b"3"), b"3", |kept| kept.born > 7)
            && tier.remove_if(hash(b"3"), b"3", |kept| kept.born == 7)
    );
    let mut keys = Vec::new();
    tier.for_each(|kept| keys.push(kept.key.to_vec()));
    assert_eq!(keys, [b"4".to_vec()]);
    drop(tier.clear());
    assert_eq!((tier.len(), tier.weight()), (0, 0));
    assert_eq!((tier.counts().removed, tier.counts().promoted), (3, 1));
}

#[test]
fn a_codec_may_call_the_cache() {
    let tier = tier();
    store(&tier, b"inner", &page(5_000));
    let write = |out: &mut Vec<u8>| {
        out.extend_from_slice(&load(&tier, b"inner").ok_or("inner is gone")?);
        Ok(())
    };
    let encoded = tier.encode(&new_kept(b"outer"), write).unwrap();
    drop(tier.insert(hash(b"outer"), encoded));
    let both =
        tier.get(hash(b"outer"), b"outer", |_| true, |_, outer| Ok((outer.map(<[u8]>::to_vec), load(&tier, b"inner"))));
    assert_eq!(both, Some((Some(page(5_000)), Some(page(5_000)))));
}

#[test]
fn a_budget_that_makes_no_sense_is_named() {
    let error = Compressed::bytes(10).validate().unwrap_err();
    assert_eq!(error.to_string(), "compressed.bytes is 10, must be at least 65536");
    let error = Compressed::bytes(1 << 20).shards(3).validate().unwrap_err();
    assert_eq!(error.to_string(), "compressed.shards is 3, must be a power of two");
    assert!(Compressed::bytes(1 << 16).validate().is_ok());
}

/// Stores and loads when its thread's locals are dropped.
struct UsesWhenDropped {
    tier: CompressedTier,
    tell: std::sync::mpsc::Sender<Option<Vec<u8>>>,
}

impl Drop for UsesWhenDropped {
    fn drop(&mut self) {
        store(&self.tier, b"late", &page(4_000));
        let _ = self.tell.send(load(&self.tier, b"late"));
    }
}

#[test]
fn a_thread_that_is_ending_stores_and_loads_without_its_buffers() {
    thread_local! {
        static LATE: Cell<Option<UsesWhenDropped>> = const { Cell::new(None) };
    }
    for config in [Compressed::bytes(1 << 20).lz4(), Compressed::bytes(1 << 20).zstd()] {
        let (tell, told) = std::sync::mpsc::channel();
        let tier = tier_with(&config, &Clock::held());
        let thread = std::thread::spawn(move || {
            // Its destructor is registered before those of the buffers, so it runs after them.
            LATE.set(None);
            store(&tier, b"early", &page(4_000));
            assert_eq!(load(&tier, b"early"), Some(page(4_000)));
            LATE.set(Some(UsesWhenDropped { tier, tell }));
        });
        thread.join().unwrap();
        assert_eq!(told.recv().unwrap(), Some(page(4_000)), "{config:?}");
    }
}
