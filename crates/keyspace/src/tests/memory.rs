//! What memory costs and whether it comes back.

use super::{NOW_MS, keyspace};
use crate::{Db, Expiry, Keyspace};

fn name(index: u64) -> Vec<u8> {
    format!("{:016}", index * 7919).into_bytes()
}

fn fill(space: &Keyspace, keys: u64, value_len: usize) {
    let value = vec![7; value_len];
    (0..keys).for_each(|index| space.put(&name(index), &value));
}

#[test]
fn what_is_left_after_deletes_costs_little_more_than_its_share() {
    const KEYS: u64 = 200_000;
    for value_len in [32, 256] {
        let space = keyspace(4);
        fill(&space, KEYS, value_len);
        let full = space.memory_used();
        (0..KEYS).filter(|index| index % 10 != 3).for_each(|index| assert!(space.delete(&name(index))));
        let (left, share) = (space.memory_used(), full / 10);
        assert!(left <= share * 3 / 2, "{left} bytes are left where {share} are the share: {:?}", space.memory_parts());
        space.validate();
    }
}

#[test]
fn overwriting_with_values_of_other_sizes_gives_memory_back() {
    const KEYS: u64 = 20_000;
    let space = keyspace(2);
    fill(&space, KEYS, 40);
    let before = space.memory_used();
    for value_len in [1_000, 300, 9_000, 40] {
        fill(&space, KEYS, value_len);
        space.validate();
    }
    let after = space.memory_used();
    assert!(after <= before + before / 4, "{before} bytes before, {after} after");
}

#[test]
fn a_flush_gives_everything_back() {
    let space = keyspace(2);
    let empty = space.memory_used();
    fill(&space, 5_000, 100);
    fill(&space, 50, 20_000);
    space.exclusive().hold_all(NOW_MS).flush(Db(0));
    assert_eq!(space.memory_used(), empty);
    assert_eq!(space.len(Db(0)), 0);
    space.validate();
}

#[test]
fn a_key_costs_no_more_than_promised() {
    const KEYS: u64 = 500_000;
    for (value_len, expiry, limit) in
        [(32, Expiry::Clear, 24), (32, Expiry::At(NOW_MS + 1_000_000), 28), (256, Expiry::Clear, 28)]
    {
        let space = keyspace(32);
        let value = vec![7; value_len];
        for index in 0..KEYS {
            let name = name(index);
            let key = space.key(&name);
            space.with(&name, |held| held.set(Db(0), &key, &value, expiry)).expect("there is room");
        }
        let beyond = space.memory_used() as f64 / KEYS as f64 - 16.0 - value_len as f64;
        assert!(beyond <= f64::from(limit), "{beyond:.1} bytes beyond key and value, {limit} were promised");
    }
}

#[test]
fn a_growing_value_is_charged_and_a_shrunk_one_is_not() {
    let space = keyspace(1);
    let key = space.key(b"k");
    space.put(b"k", b"");
    let small = space.memory_used();
    let resize = |len| space.with(b"k", |held| held.resize(Db(0), &key, len).map(drop)).expect("there is room");
    resize(10 << 20);
    assert!(space.memory_used() >= small + (10 << 20));
    let usage = space.with(b"k", |held| held.memory_usage(Db(0), &key)).expect("it is there");
    assert!(usage >= 10 << 20 && usage <= space.memory_used());
    resize(1 << 20);
    assert!(space.memory_used() < small + (3 << 20), "the buffer shrinks with its value");
    resize(3);
    assert!(space.memory_used() <= small + 8_192);
}

#[test]
fn gathering_into_huge_pages_changes_neither_data_nor_account() {
    const KEYS: u64 = 120_000;
    let space = keyspace(1);
    fill(&space, KEYS, 32);
    let used = space.memory_used();
    let gathered = space.gather_some(0, 1, 1_000);
    // Where the system has no huge pages nothing is gathered, and nothing is lost.
    assert!(gathered <= 4, "{gathered} stretches of 2 MiB in {used} bytes");
    assert_eq!(space.gather_some(0, 1, 1_000), 0, "what was gathered stays so");
    assert_eq!(space.memory_used(), used);
    (0..KEYS).for_each(|index| assert_eq!(space.read(&name(index)).expect("it was stored"), [7; 32]));
    (0..KEYS).filter(|index| index % 10 != 0).for_each(|index| assert!(space.delete(&name(index))));
    assert!(space.memory_used() < used / 5, "huge pages are given back as well");
    fill(&space, KEYS, 32);
    space.gather_some(0, 1, 1_000);
    space.validate();
}

#[test]
fn a_flush_of_one_database_gives_back_every_size_it_had() {
    const KEYS: u64 = 60_000;
    let space = keyspace(1);
    let value = [7; 600];
    for index in 0..KEYS {
        let name = name(index);
        let key = space.key(&name);
        // One in ten stays, in every class and spread over every run.
        let db = Db(u16::from(index / 6 % 10 == 0));
        let len = [10, 50, 90, 200, 400, 600][index as usize % 6];
        space.with(&name, |held| held.set(db, &key, &value[..len], Expiry::Clear)).expect("there is room");
    }
    let full = space.memory_used();
    space.exclusive().hold_all(NOW_MS).flush(Db(0));
    // Nobody changes anything any more: the search for expired keys is all that goes on.
    for _ in 0..2_000 {
        space.expire_some(0, 1, NOW_MS, 10);
    }
    space.validate();
    let (left, share) = (space.memory_used(), full / 10);
    assert!(left <= share * 3 / 2, "{left} bytes are left where {share} are the share: {:?}", space.memory_parts());
}
