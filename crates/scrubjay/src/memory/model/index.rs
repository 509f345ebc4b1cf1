//! The index alone: a reader walks while the writer changes what lies around the key.

use super::super::grace::{Grace, pin};
use super::super::index::{Parts, Place, Table};
use super::{check, publish, wait};
use loom::thread;
use std::sync::Arc;

/// All with the same tag, in the first bucket.
const PARTS: Parts = Parts { home: 0, tag: 1 };
/// The slot that is asked for.
const WANTED: u32 = 100;

fn find(table: &Table, slot: u32) -> Option<Place> {
    table.find(PARTS, |found| (found == slot).then_some(())).map(|(place, ())| place)
}

/// A table of so many buckets with the slots in `slots`, in this order.
fn table(buckets: usize, slots: impl IntoIterator<Item = u32>) -> Table {
    let table = Table::new(buckets);
    slots.into_iter().for_each(|slot| table.insert(PARTS, slot));
    table
}

/// Runs `write` beside a reader that must find what it wants.
fn check_found(make: impl Fn() -> Table + Send + Sync + 'static, write: impl Fn(&Table) + Send + Sync + 'static) {
    check(move || {
        let table = Arc::new(make());
        let theirs = Arc::clone(&table);
        let reader = thread::spawn(move || assert!(find(&theirs, WANTED).is_some()));
        write(&table);
        reader.join().unwrap();
    });
}

#[test]
fn neighbours_come_and_go_and_the_key_is_found() {
    let slots = || [1, WANTED, 2];
    check_found(
        move || table(1, slots()),
        |table| {
            table.remove(0, find(table, 1).unwrap());
            table.insert(PARTS, 3);
            table.replace(find(table, 2).unwrap(), 4);
        },
    );
}

#[test]
fn a_key_in_the_second_bucket_is_found_while_the_first_has_room_again() {
    let slots = || (0..12).chain([WANTED, 50]);
    check_found(
        move || table(2, slots()),
        |table| {
            table.remove(0, find(table, 50).unwrap());
            table.remove(0, find(table, 11).unwrap());
            table.insert(PARTS, 60);
        },
    );
}

#[test]
fn a_key_is_found_while_its_slot_is_replaced() {
    check(|| {
        let table = Arc::new(table(1, [1, WANTED]));
        let theirs = Arc::clone(&table);
        let reader = thread::spawn(move || {
            let found = theirs.find(PARTS, |slot| (slot >= WANTED).then_some(slot));
            assert!(matches!(found, Some((_, WANTED | 101))));
        });
        table.replace(find(&table, WANTED).unwrap(), WANTED + 1);
        reader.join().unwrap();
    });
}

#[test]
fn a_key_is_found_while_the_index_grows() {
    check(|| {
        let published = publish(table(1, [1, WANTED]));
        let theirs = Arc::clone(&published);
        let reader = thread::spawn(move || {
            let guard = pin();
            assert!(find(theirs.load(guard.pinned()), WANTED).is_some());
        });
        let guard = pin();
        let larger = Table::new(2);
        published.load(guard.pinned()).copy_to(&larger, |_| 0, |_| ());
        drop(guard);
        let old = published.replace(Arc::new(larger));
        wait(Grace::begin());
        drop(old);
        reader.join().unwrap();
    });
}
