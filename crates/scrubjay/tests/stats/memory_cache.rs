//! The synchronous face.

use super::{SECOND, left, lookups};
use scrubjay::{Clock, EntryOptions, Memory, MemoryCache};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn the_synchronous_face_counts_as_the_other_does() {
    let clock = Clock::held();
    let cache: MemoryCache<u64, u64> =
        MemoryCache::builder().memory(Memory::entries(10)).clock(clock.clone()).build().unwrap();
    cache.insert_many([(1, 1), (2, 2), (2, 3)]).unwrap();
    assert_eq!(
        (cache.get(&1), cache.get(&9), cache.get_many(&[1, 2, 8])),
        (Some(1), None, vec![Some(1), Some(3), None])
    );
    assert_eq!((cache.peek(&1), cache.contains(&9)), (Some(1), false));
    let stats = cache.stats();
    assert_eq!((lookups(&stats.memory), left(&stats.memory.departures)), ([3, 0, 2], [0, 1, 0, 0, 0, 0]));
    assert_eq!((stats.memory.inserts, stats.memory.entries, stats.loads), (3, 2, 0));
    assert_eq!((cache.get_or_insert_with(&3, || 30), cache.get_or_insert_with(&3, || 40)), (30, 30));
    assert!(cache.try_get_or_insert_with(&4, || Err::<u64, _>("down")).is_err());
    assert!(
        catch_unwind(AssertUnwindSafe(|| cache.get_or_insert_with(&4, || std::panic::resume_unwind(Box::new("down")))))
            .is_err()
    );
    let stats = cache.stats();
    assert_eq!((lookups(&stats.memory), stats.memory.inserts), ([4, 0, 5], 4));
    assert_eq!((stats.loads, stats.load_errors, stats.waiters, stats.joined, stats.waiting), (3, 2, 3, 0, 0));
    let inner = cache.clone();
    let overtaken = || {
        inner.remove(&5);
        50
    };
    assert_eq!((cache.get_or_insert_with(&5, overtaken), cache.get(&5), cache.stats().revoked), (50, None, 1));
    cache.insert_with(6, 6, EntryOptions::new().time_to_live(SECOND)).unwrap();
    clock.advance(2 * SECOND);
    assert_eq!((cache.get(&6), cache.expire()), (None, 1));
    cache.clear();
    let memory = cache.stats().memory;
    assert_eq!((memory.inserts, memory.entries, left(&memory.departures)), (5, 0, [3, 1, 1, 0, 0, 0]));
}
