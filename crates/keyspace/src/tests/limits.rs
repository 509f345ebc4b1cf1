//! At the limit and one above: options, lengths, sizes, expiries.

use super::{NOW_MS, keyspace};
use crate::slab::{SLOT_MAX, class_of, slot_bytes};
use crate::{Db, Expiry, Keyspace, Options};

#[test]
fn options_out_of_range_are_named() {
    let check = |options: Options, expected: &str| {
        let error = Keyspace::new(options).err().expect("it is refused").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(Options { databases: 0, ..Options::default() }, "databases is 0; it must be 1 to 16384");
    check(Options { databases: 16_385, ..Options::default() }, "databases is 16385");
    check(Options { stripes: 3, ..Options::default() }, "stripes is 3; it must be a power of two from 1 to 2048");
    check(Options { stripes: 4_096, ..Options::default() }, "stripes is 4096");
    check(Options { slots: 0, ..Options::default() }, "slots is 0; it must be 1 to 4096");
}

#[test]
fn a_slot_class_is_the_smallest_that_holds_its_entry() {
    for size in 1..=SLOT_MAX {
        let class = class_of(size);
        assert!(slot_bytes(class) >= size, "{size} bytes in class {class}");
        assert!(class == 0 || slot_bytes(class - 1) < size, "{size} bytes in class {class}");
        let waste = slot_bytes(class) - size;
        assert!(waste < 8 || waste * 16 <= size + 16, "{waste} bytes wasted on {size}");
    }
}

#[test]
fn keys_and_values_of_every_length_around_a_boundary_come_back() {
    let around = |len: usize| len.saturating_sub(12)..=len + 2;
    let space = keyspace(1);
    for key_len in [0, 255, 256, 8_192, 65_536].into_iter().flat_map(|len| [len, len + 1]) {
        for value_len in [0, 255, 8_192 - key_len.min(8_192), 65_536].into_iter().flat_map(around) {
            for expiry in [Expiry::Clear, Expiry::At(NOW_MS + 5), Expiry::At(u64::MAX)] {
                let name = vec![b'k'; key_len];
                let value: Vec<u8> = (0..value_len).map(|at| at as u8).collect();
                let key = space.key(&name);
                space.with(&name, |held| {
                    held.set(Db(0), &key, &value, expiry).expect("there is room");
                    let entry = held.get(Db(0), &key).expect("just stored");
                    assert_eq!(entry.value, value);
                    let expected = if let Expiry::At(at) = expiry { Some(at) } else { None };
                    assert_eq!(entry.expires_at_ms, expected);
                    // Every change of the expiry's width, there and back.
                    for at in [None, Some(NOW_MS + 9), Some(1 << 60), None, Some(u64::MAX), Some(NOW_MS + 1)] {
                        assert!(held.set_expiry(Db(0), &key, at).expect("there is room"));
                        let entry = held.get(Db(0), &key).expect("still there");
                        assert_eq!((entry.value, entry.expires_at_ms), (value.as_slice(), at));
                    }
                });
            }
        }
    }
    space.validate();
}

#[test]
fn idle_time_counts_from_the_last_touch() {
    let space = keyspace(1);
    let key = space.key(b"k");
    space.put(b"k", b"v");
    let pass = space.pass(0);
    let later = NOW_MS + 100_000;
    let idle = |touch: bool, now_ms: u64| {
        let mut held = pass.latch_one(key.hash, now_ms);
        let entry = if touch { held.get(Db(0), &key) } else { held.peek(Db(0), &key) };
        entry.expect("it is there").idle_seconds
    };
    assert_eq!(idle(false, later), 100);
    assert_eq!(idle(true, later), 100);
    assert_eq!(idle(false, later + 7_000), 7);
    let taken = pass.latch_one(key.hash, later + 8_000).take(Db(0), &key).expect("it is there");
    assert_eq!(taken.idle_seconds, 8, "who takes a key takes its idle time along");
}

#[test]
fn a_watched_key_raises_its_flag_once_it_changes() {
    let space = keyspace(2);
    let watch = |name: &[u8]| {
        let flag = std::sync::Arc::new(crate::WatchFlag::default());
        let key = space.key(name);
        space.with(name, |held| held.watch(Db(0), &key, &flag));
        flag
    };
    let (set, removed, absent, other) = (watch(b"set"), watch(b"removed"), watch(b"absent"), watch(b"other"));
    space.put(b"set", b"1");
    assert!(set.is_raised());
    assert!(!space.delete(b"removed"));
    assert!(!removed.is_raised(), "removing nothing changes nothing");
    space.exclusive().hold_all(NOW_MS).flush(Db(0));
    assert!(!absent.is_raised(), "a flush does not change what was not there");
    let again = watch(b"set");
    space.put(b"set", b"2");
    let present = watch(b"set");
    space.exclusive().hold_all(NOW_MS).swap(Db(0), Db(1));
    assert!(again.is_raised() && present.is_raised());
    assert!(!other.is_raised());
}

#[test]
#[should_panic(expected = "is not latched")]
fn a_key_whose_stripe_is_not_held_is_a_bug_of_the_caller() {
    let space = keyspace(64);
    let first = space.key(b"a");
    let other = (0..100_u8)
        .map(|byte| [byte])
        .find(|name| space.stripe_of(space.key(name).hash) != space.stripe_of(first.hash));
    let name = other.expect("some key lies in another stripe");
    let pass = space.pass(0);
    pass.latch_one(first.hash, NOW_MS).get(Db(0), &space.key(&name));
}

#[test]
fn keys_with_equal_tags_of_which_one_begins_the_other_are_told_apart() {
    let space = keyspace(1);
    let tag = |name: &[u8]| space.key(name).hash.0 as u16;
    let longer = |start: &str| {
        (0..10_000_000_u32)
            .map(|index| format!("{start}{index}"))
            .find(|name| tag(name.as_bytes()) == tag(start.as_bytes()))
            .expect("one in 65,536 has the tag")
    };
    let short = "key";
    let long = longer(short);
    space.put(short.as_bytes(), b"1");
    assert_eq!(space.read(long.as_bytes()), None);
    space.put(long.as_bytes(), b"2");
    assert_eq!((space.read(short.as_bytes()), space.len(Db(0))), (Some(b"1".to_vec()), 2));
    assert!(space.delete(short.as_bytes()));
    assert_eq!((space.read(short.as_bytes()), space.read(long.as_bytes())), (None, Some(b"2".to_vec())));
    // The same for keys that lie in blobs.
    let short = "k".repeat(9_000);
    let long = longer(&short);
    space.put(short.as_bytes(), b"1");
    assert_eq!(space.read(long.as_bytes()), None);
    space.validate();
}

#[test]
fn an_expiry_ends_at_its_millisecond() {
    let space = keyspace(1);
    let key = space.key(b"k");
    // The first and the last that fit the narrow form, and their neighbours.
    let narrow = 1_577_836_800_000;
    for at in [1, narrow - 1, narrow, narrow + 1, narrow + (1 << 40) - 1, narrow + (1 << 40), u64::MAX] {
        let is_there = |now_ms: u64| {
            let pass = space.pass(0);
            let mut held = pass.latch_one(key.hash, now_ms);
            held.peek(Db(0), &key).map(|entry| entry.expires_at_ms)
        };
        space.with(b"k", |held| held.set(Db(0), &key, b"v", Expiry::At(at))).expect("there is room");
        assert_eq!(is_there(at - 1), Some(Some(at)));
        assert_eq!(is_there(at), None);
    }
    assert_eq!(space.expires_len(Db(0)), 0);
}

#[test]
fn idle_time_wraps_with_its_clock() {
    let space = keyspace(1);
    let key = space.key(b"k");
    let pass = space.pass(0);
    // The last second before the three bytes of the clock start anew.
    let turn_ms = ((NOW_MS / 1_000) | 0x00FF_FFFF) * 1_000;
    pass.latch_one(key.hash, turn_ms).set(Db(0), &key, b"v", Expiry::Clear).expect("there is room");
    let idle = pass.latch_one(key.hash, turn_ms + 5_000).peek(Db(0), &key).map(|entry| entry.idle_seconds);
    assert_eq!(idle, Some(5));
}

#[test]
fn an_insert_that_is_refused_at_any_step_changes_nothing() {
    let space = keyspace(1);
    for index in 0..25_000_u64 {
        let name = index.to_le_bytes();
        let key = space.key(&name);
        let set = || space.with(&name, |held| held.set(Db(0), &key, b"v", Expiry::Clear));
        for step in 1.. {
            space.usage.refuse_every(step);
            let outcome = set();
            space.usage.refuse_every(0);
            if outcome.is_ok() {
                break;
            }
            assert_eq!(space.len(Db(0)), index);
            // The first request is for the slot of the entry, the others are made where the index grows.
            if step > 1 {
                space.validate();
            }
        }
    }
    space.validate();
}
