//! SCAN in the middle of splits and joins, random keys, the search for expired keys.

use super::{NOW_MS, Random, keyspace, seed};
use crate::{Cursor, Db, Expiry, Keyspace};
use std::collections::{HashMap, HashSet};

const DB: Db = Db(0);

fn scan(space: &Keyspace, cursor: Cursor, count: usize, seen: &mut HashSet<Vec<u8>>) -> Cursor {
    let pass = space.pass(0);
    pass.latch(&[], NOW_MS).scan(DB, cursor, count, |key, _| {
        seen.insert(key.to_vec());
    })
}

#[test]
fn a_scan_misses_nothing_while_segments_split_and_join() {
    let mut random = Random(seed());
    for (stripes, count) in [(1, 1), (1, 40), (4, 7)] {
        let space = keyspace(stripes);
        let stays: Vec<Vec<u8>> = (0..500).map(|index| format!("stays:{index}").into_bytes()).collect();
        stays.iter().for_each(|key| space.put(key, b"1"));
        let (mut seen, mut cursor, mut wave) = (HashSet::new(), Cursor::START, Vec::new());
        loop {
            cursor = scan(&space, cursor, count, &mut seen);
            if cursor.is_end() {
                break;
            }
            if random.below(2) == 0 && wave.len() < 50_000 {
                for _ in 0..random.below(2_000) {
                    let key = format!("wave:{}", random.next()).into_bytes();
                    space.put(&key, b"2");
                    wave.push(key);
                }
            } else {
                let keep = wave.len() / 3;
                wave.drain(keep..).for_each(|key| assert!(space.delete(&key)));
            }
        }
        let missed = stays.iter().filter(|key| !seen.contains(*key)).count();
        assert_eq!(missed, 0, "{stripes} stripes, COUNT {count}");
        space.validate();
    }
}

#[test]
fn any_number_is_a_cursor() {
    let space = keyspace(4);
    (0..3_000).for_each(|index| space.put(format!("k{index}").as_bytes(), b"v"));
    let mut random = Random(seed());
    for _ in 0..5_000 {
        scan(&space, Cursor(random.next() >> random.below(64)), 10, &mut HashSet::new());
    }
    for cursor in [1, u64::MAX, i64::MAX as u64, 1 << 45, 1 << 20] {
        scan(&space, Cursor(cursor), 10, &mut HashSet::new());
    }
}

#[test]
fn every_key_is_picked_at_random_sooner_or_later() {
    let space = keyspace(4);
    (0..40_u32).for_each(|index| space.put(&index.to_le_bytes(), b"v"));
    let mut random = Random(seed());
    let mut picked: HashMap<Vec<u8>, u32> = HashMap::new();
    for _ in 0..20_000 {
        let pass = space.pass(0);
        let key = pass.latch(&[], NOW_MS).random_key(DB, random.next()).expect("there are keys");
        *picked.entry(key).or_default() += 1;
    }
    assert_eq!(picked.len(), 40);
    // 500 each if all were alike; buckets differ in fill, so allow a wide spread.
    assert!(picked.values().all(|times| (20..5_000).contains(times)), "{picked:?}");
}

#[test]
fn an_empty_or_expired_database_has_no_random_key() {
    let space = keyspace(2);
    let pick = || space.pass(0).latch(&[], NOW_MS).random_key(DB, 5);
    assert_eq!(pick(), None);
    let key = space.key(b"over");
    space.with(b"over", |held| held.set(DB, &key, b"v", Expiry::At(NOW_MS - 1))).expect("there is room");
    assert_eq!(pick(), None);
}

#[test]
fn expired_keys_go_without_being_asked_for() {
    let space = keyspace(4);
    for index in 0..10_000_u64 {
        let name = format!("k{index}");
        let key = space.key(name.as_bytes());
        let expiry = if index % 4 == 0 { Expiry::Clear } else { Expiry::At(NOW_MS + index) };
        space
            .with(name.as_bytes(), |held| held.set(Db((index % 2) as u16), &key, b"v", expiry))
            .expect("there is room");
    }
    let mut removed = 0;
    for now_ms in [NOW_MS, NOW_MS + 5_000, NOW_MS + 20_000] {
        // Two slots share the stripes; small steps, so that a walk is broken off and gone on with.
        for _ in 0..200 {
            for slot in 0..2 {
                let (seen, over) = space.expire_some(slot, 2, now_ms, 100);
                assert!(over <= seen);
                removed += over;
            }
        }
        space.validate();
        let left = space.len(Db(0)) + space.len(Db(1));
        assert_eq!(left + removed as u64, 10_000);
    }
    assert_eq!((removed, space.expired_count()), (7_500, 7_500));
    assert_eq!(space.expires_len(Db(0)) + space.expires_len(Db(1)), 0);
}

#[test]
fn the_search_for_one_expired_key_among_many_goes_in_small_steps() {
    let space = keyspace(1);
    (0..300_000_u32).for_each(|index| space.put(&index.to_le_bytes(), b"v"));
    for round in 0..3 {
        let name = format!("expires:{round}").into_bytes();
        let key = space.key(&name);
        space.with(&name, |held| held.set(DB, &key, b"v", Expiry::At(NOW_MS + 1))).expect("there is room");
        let steps = (1..).find(|_| space.expire_some(0, 1, NOW_MS + 1, 100).1 > 0);
        assert!(steps.is_some_and(|steps| steps < 200), "{steps:?}");
    }
    assert_eq!((space.expired_count(), space.len(DB)), (3, 300_000));
    let name = space.key(b"stays");
    space.with(b"stays", |held| held.set(DB, &name, b"v", Expiry::At(NOW_MS + 9))).expect("there is room");
    // A key that does not expire is met once in a round: a round takes many steps, each of them short.
    let seen: usize = (0..30).map(|_| space.expire_some(0, 1, NOW_MS + 1, 100).0).sum();
    assert!(seen <= 2, "met {seen} times");
}
