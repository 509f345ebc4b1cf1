//! Many threads on one keyspace: nothing is lost, torn or waited for without end.

use super::{NOW_MS, Random, keyspace, seed};
use crate::{Cursor, Db, Expiry, Keyspace};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const THREADS: u32 = 4;
const DB: Db = Db(0);

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("a number has eight bytes"))
}

fn account(index: u64) -> Vec<u8> {
    format!("account:{index}").into_bytes()
}

fn add(space: &Keyspace, slot: u32, key: &[u8]) {
    let key = space.key(key);
    let pass = space.pass(slot);
    let mut held = pass.latch_one(key.hash, NOW_MS);
    let value = held.get(DB, &key).map_or(0, |entry| number(entry.value));
    held.set(DB, &key, &(value + 1).to_le_bytes(), Expiry::Clear).expect("there is room");
}

#[test]
fn no_increment_is_lost() {
    const ROUNDS: u64 = 20_000;
    let space = keyspace(4);
    thread::scope(|scope| {
        for slot in 0..THREADS {
            let space = &space;
            scope.spawn(move || (0..ROUNDS).for_each(|round| add(space, slot, &account(round % 3))));
        }
    });
    let total: u64 = (0..3).map(|index| number(&space.read(&account(index)).expect("it was counted"))).sum();
    assert_eq!(total, ROUNDS * u64::from(THREADS));
}

fn transfer(space: &Keyspace, slot: u32, from: &[u8], to: &[u8]) {
    let (from, to) = (space.key(from), space.key(to));
    let pass = space.pass(slot);
    let mut held = pass.latch(&[from.hash, to.hash], NOW_MS);
    let balance = held.get(DB, &from).map_or(0, |entry| number(entry.value));
    if balance > 0 && from.bytes != to.bytes {
        let target = held.get(DB, &to).map_or(0, |entry| number(entry.value));
        held.set(DB, &from, &(balance - 1).to_le_bytes(), Expiry::Clear).expect("there is room");
        held.set(DB, &to, &(target + 1).to_le_bytes(), Expiry::Clear).expect("there is room");
    }
}

#[test]
fn changes_to_two_keys_are_never_seen_half_done() {
    const ACCOUNTS: u64 = 12;
    const TOTAL: u64 = ACCOUNTS * 100;
    let space = keyspace(8);
    (0..ACCOUNTS).for_each(|index| space.put(&account(index), &100_u64.to_le_bytes()));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|slot| {
                let space = &space;
                scope.spawn(move || {
                    let mut random = Random(seed() + u64::from(slot));
                    for _ in 0..20_000 {
                        transfer(space, slot, &account(random.below(ACCOUNTS)), &account(random.below(ACCOUNTS)));
                    }
                })
            })
            .collect();
        let (space, over) = (&space, &is_over);
        scope.spawn(move || {
            let hashes: Vec<_> = (0..ACCOUNTS).map(|index| space.key(&account(index)).hash).collect();
            while !over.load(Ordering::Relaxed) {
                let sum = |held: &mut crate::Held<'_>| -> u64 {
                    (0..ACCOUNTS)
                        .map(|index| number(held.get(DB, &space.key(&account(index))).expect("there").value))
                        .sum()
                };
                {
                    let pass = space.pass(THREADS);
                    assert_eq!(sum(&mut pass.latch(&hashes, NOW_MS)), TOTAL, "under the latches of all accounts");
                }
                let exclusive = space.exclusive();
                assert_eq!(sum(&mut exclusive.hold_all(NOW_MS)), TOTAL, "behind the closed gate");
            }
        });
        workers.into_iter().for_each(|worker| worker.join().expect("a worker ends well"));
        is_over.store(true, Ordering::Relaxed);
    });
    space.validate();
}

#[test]
fn a_scan_sees_every_key_that_stays_while_others_come_and_go() {
    const STAY: u64 = 2_000;
    let space = keyspace(2);
    (0..STAY).for_each(|index| space.put(&account(index), b"stays"));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for slot in 0..2 {
            let (space, over) = (&space, &is_over);
            scope.spawn(move || {
                let mut random = Random(seed() + u64::from(slot));
                while !over.load(Ordering::Relaxed) {
                    // Waves of growth and shrinking, so that segments split and join under the scan.
                    let start = random.below(1 << 40);
                    for is_insert in [true, false] {
                        for index in start..start + 5_000 {
                            let name = format!("wave:{index}");
                            let key = space.key(name.as_bytes());
                            let pass = space.pass(slot);
                            space.prefetch_bucket(DB, key.hash);
                            space.prefetch_entry(DB, key.hash);
                            let mut held = pass.latch_one(key.hash, NOW_MS);
                            if is_insert {
                                held.set(DB, &key, b"passes", Expiry::Clear).expect("there is room");
                            } else {
                                held.remove(DB, &key);
                            }
                        }
                    }
                }
            });
        }
        for _ in 0..15 {
            let mut seen = HashSet::new();
            let mut cursor = Cursor::START;
            loop {
                let pass = space.pass(THREADS);
                cursor = pass.latch(&[], NOW_MS).scan(DB, cursor, 10, |key, _| {
                    seen.insert(key.to_vec());
                });
                if cursor.is_end() {
                    break;
                }
            }
            let missed: Vec<u64> = (0..STAY).filter(|index| !seen.contains(&account(*index))).collect();
            assert!(missed.is_empty(), "keys {missed:?} were there all the time");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    space.validate();
}
