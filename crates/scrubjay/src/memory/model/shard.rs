//! A whole shard: lookups beside inserts, removals, evictions and growth, and slots that are used again.

use super::super::Reason;
use super::super::grace::pin;
use super::super::index::Parts;
use super::super::shard::{Partition, Shard, Surroundings};
use super::super::slots::Slots;
use super::super::tier::NewEntry;
use super::{Watched, check};
use crate::clock::Clock;
use loom::thread;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// All keys have the same tag and the same bucket, so that it is the key that tells them apart.
const PARTS: Parts = Parts { home: 0, tag: 1 };
/// So little that each second slot that left begins a grace period, in units of an entry.
const CAPACITY: u64 = 31;

struct Key(Watched);

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Key {}

/// One shard and what it needs from the tier.
struct Cache {
    shard: Shard<Key, Watched>,
    around: Surroundings,
}

impl Cache {
    fn new(capacity: u64, entries: impl IntoIterator<Item = u64>) -> Arc<Cache> {
        let around = Surroundings {
            clock: Clock::held(),
            epochs: None,
            is_watched: false,
            capacity: AtomicU64::new(capacity),
            excess: AtomicU64::new(0),
            counts_bytes: true,
            partitions: Box::new([Partition { quota: capacity, weight: AtomicU64::new(0) }]),
        };
        // Some slots lie in the region, some in pages.
        let slots = Slots::of_shards(1, 2, false).next().unwrap();
        let cache = Cache { shard: Shard::new(0, capacity, 1, slots), around };
        entries.into_iter().for_each(|key| cache.insert(key, key * 10));
        // So that what a reader meets first is made here.
        cache.get(1);
        Arc::new(cache)
    }

    fn insert(&self, key: u64, value: u64) {
        let (key, value) = (Key(Watched::new(key)), Watched::new(value));
        let new = NewEntry { key, value, weight: 1, deadline_ms: 0, cost: 0, partition: 0 };
        self.shard.insert(&self.around, PARTS, new, &mut Vec::new());
    }

    fn remove(&self, key: u64) {
        let key = Key(Watched::new(key));
        let leave = self.shard.remove_if(&self.around, PARTS, &key, Reason::Removed, |_| true);
        self.shard.retire(&self.around, &[leave.unwrap()]);
    }

    /// The value of `key`, looked at twice.
    fn get(&self, key: u64) -> Option<u64> {
        let key = Key(Watched::new(key));
        let guard = pin();
        let (found, value) = self.shard.find(&self.around, guard.pinned(), PARTS, &key, true)?;
        let first = value.get();
        assert_eq!((found.0.get(), value.get()), (key.0.get(), first));
        Some(first)
    }
}

fn check_beside(
    make: impl Fn() -> Arc<Cache> + Send + Sync + 'static,
    write: impl Fn(&Cache) + Send + Sync + 'static,
    read: impl Fn(&Cache) + Send + Sync + Clone + 'static,
) {
    check(move || {
        let cache = make();
        let (theirs, read) = (Arc::clone(&cache), read.clone());
        let reader = thread::spawn(move || read(&theirs));
        write(&cache);
        reader.join().unwrap();
    });
}

#[test]
fn a_value_that_is_replaced_is_there_all_the_time() {
    check_beside(
        || Cache::new(CAPACITY, [1]),
        |cache| (11..15).for_each(|value| cache.insert(1, value)),
        |cache| assert!((10..15).contains(&cache.get(1).unwrap())),
    );
}

#[test]
fn a_slot_that_is_used_again_is_not_taken_for_its_former_key() {
    check_beside(
        || Cache::new(CAPACITY, [1, 2]),
        |cache| {
            cache.remove(1);
            cache.remove(2);
            cache.insert(3, 30);
            cache.insert(2, 21);
        },
        |cache| {
            assert!(matches!(cache.get(1), None | Some(10)));
            assert!(matches!(cache.get(2), None | Some(20 | 21)));
        },
    );
}

#[test]
fn a_key_is_there_while_the_index_grows_and_the_old_one_is_given_back() {
    check_beside(
        || Cache::new(CAPACITY, 1..=10),
        |cache| {
            cache.insert(11, 110);
            cache.insert(1, 11);
            cache.insert(1, 12);
        },
        |cache| assert_eq!(cache.get(5), Some(50)),
    );
}

#[test]
fn what_is_evicted_is_found_whole_or_not_at_all() {
    check_beside(
        || Cache::new(4, 1..=4),
        |cache| (5..=8).for_each(|key| cache.insert(key, key * 10)),
        |cache| assert!(matches!(cache.get(1), None | Some(10))),
    );
}

#[test]
fn two_writers_and_a_reader_agree() {
    check(|| {
        let cache = Cache::new(CAPACITY, [1]);
        let (reading, writing) = (Arc::clone(&cache), Arc::clone(&cache));
        let reader = thread::spawn(move || assert!(matches!(reading.get(1), Some(10..=13))));
        let writer = thread::spawn(move || writing.insert(1, 11));
        cache.insert(1, 12);
        cache.insert(1, 13);
        reader.join().unwrap();
        writer.join().unwrap();
    });
}
