//! What WATCH and an observer hear of changes.

use super::{NOW_MS, keyspace};
use crate::{Change, Db, Expiry, Held, Keyspace, WatchFlag};
use std::sync::Arc;

const DB: Db = Db(0);

/// Does `act` with everything held, and returns what an observer hears of it.
fn heard(keyspace: &Keyspace, now_ms: u64, act: impl FnOnce(&mut Held<'_>)) -> Vec<Change> {
    let exclusive = keyspace.exclusive();
    let mut held = exclusive.hold_all(now_ms);
    act(&mut held);
    held.take_changes()
}

fn change(key: &[u8]) -> Change {
    Change::Key(DB, key.into())
}

#[test]
fn an_observer_hears_of_every_change_and_of_nothing_else() {
    let keyspace = keyspace(4);
    let (a, b) = (keyspace.key(b"a"), keyspace.key(b"b"));
    let nothing = heard(&keyspace, NOW_MS, |held| held.set(DB, &a, b"1", Expiry::Clear).expect("there is room"));
    assert_eq!(nothing, []);
    keyspace.observe(true);
    let set = heard(&keyspace, NOW_MS, |held| held.set(DB, &a, b"2", Expiry::Clear).expect("there is room"));
    assert_eq!(set, [change(b"a")]);
    let idle = heard(&keyspace, NOW_MS, |held| {
        assert!(held.get(DB, &a).is_some());
        assert!(!held.remove(DB, &b));
        assert_eq!(held.set_expiry(DB, &b, None), Ok(false));
    });
    assert_eq!(idle, []);
    assert_eq!(heard(&keyspace, NOW_MS, |held| assert!(held.remove(DB, &a))), [change(b"a")]);
    let flush = heard(&keyspace, NOW_MS, |held| {
        held.set(DB, &b, b"1", Expiry::Clear).expect("there is room");
        held.flush(DB);
    });
    assert_eq!(flush.len(), 2);
    assert!(flush.contains(&change(b"b")) && flush.contains(&Change::Flush(DB)));
    keyspace.observe(false);
    let off = heard(&keyspace, NOW_MS, |held| held.set(DB, &a, b"3", Expiry::Clear).expect("there is room"));
    assert_eq!(off, []);
}

#[test]
fn an_observer_hears_of_keys_that_expire_under_anybody() {
    let keyspace = keyspace(4);
    keyspace.observe(true);
    let (a, b) = (keyspace.key(b"a"), keyspace.key(b"b"));
    heard(&keyspace, NOW_MS, |held| {
        for key in [&a, &b] {
            held.set(DB, key, b"1", Expiry::At(NOW_MS + 10)).expect("there is room");
        }
    });
    assert_eq!(heard(&keyspace, NOW_MS + 10, |held| assert!(held.peek(DB, &a).is_none())), [change(b"a")]);
    while keyspace.expire_some(0, 1, NOW_MS + 10, 100).1 == 0 {}
    assert_eq!(keyspace.take_changes(0, 1), [change(b"b")]);
    assert_eq!(keyspace.take_changes(0, 1), []);
}

#[test]
fn every_slot_takes_the_changes_of_its_own_stripes() {
    let keyspace = keyspace(8);
    keyspace.observe(true);
    let keys: Vec<String> = (0..100).map(|at| format!("key:{at}")).collect();
    let exclusive = keyspace.exclusive();
    for key in &keys {
        let mut held = exclusive.hold_all(NOW_MS);
        held.set(DB, &keyspace.key(key.as_bytes()), b"1", Expiry::Clear).expect("there is room");
    }
    drop(exclusive);
    let taken: usize = (0..3).map(|slot| keyspace.take_changes(slot, 3).len()).sum();
    assert_eq!(taken, keys.len());
}

#[test]
fn a_swap_touches_watched_keys_that_either_database_has() {
    for (has, raised) in [(Some(Db(0)), true), (Some(Db(1)), true), (Some(Db(2)), false), (None, false)] {
        let keyspace = keyspace(4);
        let key = keyspace.key(b"key");
        let flag = Arc::new(WatchFlag::default());
        heard(&keyspace, NOW_MS, |held| {
            if let Some(db) = has {
                held.set(db, &key, b"1", Expiry::Clear).expect("there is room");
            }
            held.watch(DB, &key, &flag);
            held.swap(DB, Db(1));
        });
        assert_eq!(flag.is_raised(), raised, "{has:?}");
    }
}

#[test]
fn a_swap_brings_no_key_back_whose_time_is_over() {
    let keyspace = keyspace(4);
    let key = keyspace.key(b"key");
    let flag = Arc::new(WatchFlag::default());
    heard(&keyspace, NOW_MS, |held| held.set(Db(1), &key, b"1", Expiry::At(NOW_MS + 1)).expect("there is room"));
    heard(&keyspace, NOW_MS + 1, |held| {
        held.watch(DB, &key, &flag);
        held.swap(DB, Db(1));
        assert!(held.peek(DB, &key).is_none());
    });
    assert!(!flag.is_raised());
}

#[test]
fn every_act_that_changes_a_key_is_heard_and_those_that_fail_to_are_not() {
    type Act = fn(&mut Held<'_>, &crate::Key<'_>);
    let is_there = |space: &Keyspace, key: &crate::Key<'_>| space.with(key.bytes, |held| held.peek(DB, key).is_some());
    let acts: [(&str, Act); 9] = [
        ("set", |held, key| held.set(DB, key, b"2", Expiry::Keep).expect("there is room")),
        ("resize", |held, key| held.resize(DB, key, 9).map(drop).expect("there is room")),
        ("insert", |held, key| {
            let owned = crate::Owned { value: vec![1], expires_at_ms: None, is_raw: false, idle_seconds: 0 };
            held.insert(DB, key, owned).expect("there is room");
        }),
        ("take", |held, key| assert!(held.take(DB, key).is_some())),
        ("remove", |held, key| assert!(held.remove(DB, key))),
        ("expiry", |held, key| assert_eq!(held.set_expiry(DB, key, Some(NOW_MS + 5)), Ok(true))),
        ("persist", |held, key| assert_eq!(held.set_expiry(DB, key, None), Ok(true))),
        ("flush", |held, _| held.flush(DB)),
        ("swap", |held, _| held.swap(Db(1), DB)),
    ];
    for (name, act) in acts {
        let keyspace = keyspace(2);
        let (key, other) = (keyspace.key(b"a"), keyspace.key(b"b"));
        for key in [&key, &other] {
            keyspace.with(key.bytes, |held| held.set(DB, key, b"1", Expiry::At(NOW_MS + 9))).expect("there is room");
        }
        let (flag, unwatched) = (Arc::new(WatchFlag::default()), Arc::new(WatchFlag::default()));
        keyspace.with(b"a", |held| {
            held.watch(DB, &key, &flag);
            held.watch(DB, &key, &unwatched);
            held.unwatch(DB, &key, &unwatched);
        });
        // Nothing that reads is heard of.
        assert!(is_there(&keyspace, &key) && !flag.is_raised());
        act(&mut keyspace.exclusive().hold_all(NOW_MS), &key);
        assert!(flag.is_raised(), "{name} is heard of");
        assert!(!unwatched.is_raised(), "{name} reaches those who still watch, and nobody else");
        keyspace.validate();
    }
}
