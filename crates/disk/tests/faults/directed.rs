//! Crashes that chance seldom finds, one story each.

use super::config::SEGMENT_LEN;
use scrubjay_disk::simulated::{Fault, Injection, Operation};
use scrubjay_disk::{Namespace, Options, Put, PutOptions, SimulatedDevice, Store, Sync, Why};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn options() -> Options {
    Options::bytes(6 * SEGMENT_LEN).segment_len(SEGMENT_LEN).reinsert(0.0)
}

/// The same with a clock that the test holds.
fn held(clock: &Arc<AtomicU64>) -> Options {
    let clock = Arc::clone(clock);
    options().clock(move || clock.load(Ordering::Relaxed))
}

fn open(device: &SimulatedDevice) -> (Store, Namespace) {
    let store = Store::open_on(Arc::new(device.clone()), options()).unwrap();
    let namespace = store.namespace("a").unwrap();
    (store, namespace)
}

/// A value is evicted with its segment, then removed (there is nothing to remove), and everything is synced: the segment, whose
/// removal the folder may not have remembered, does not bring it back.
#[test]
fn an_evicted_value_that_is_removed_does_not_come_back_with_its_segment() {
    for seed in 0..40 {
        let device = SimulatedDevice::new(seed);
        let (store, namespace) = open(&device);
        namespace.put(b"key", b"old").unwrap();
        store.sync().unwrap();
        let mut number = 0_u32;
        while namespace.contains(b"key") {
            namespace.put(&number.to_le_bytes(), &[1; 1000]).unwrap();
            store.flush().unwrap();
            number += 1;
            assert!(number < 2000);
        }
        namespace.remove(b"key").unwrap();
        store.sync().unwrap();
        let (_store, namespace) = open(&device.crash());
        assert!(namespace.get(b"key").unwrap().is_none(), "seed {seed}");
    }
}

/// The first of two records of one length that are not durable is torn, the second one is not. After the restart the first one's
/// place is taken by a record of that very length, and the second one must not be found behind it.
#[test]
fn a_record_behind_a_torn_one_stays_away_when_the_gap_is_filled() {
    for seed in 0..200 {
        let device = SimulatedDevice::new(seed);
        let (store, namespace) = open(&device);
        namespace.put(b"base", &[1; 1000]).unwrap();
        store.sync().unwrap();
        namespace.put(b"torn", &[2; 1000]).unwrap();
        namespace.put(b"back", &[3; 1000]).unwrap();
        store.flush().unwrap();
        let left = device.crash();
        drop((store, namespace));
        let (store, namespace) = open(&left);
        assert_eq!(namespace.get(b"base").unwrap().as_deref(), Some(&[1; 1000][..]), "seed {seed}");
        let was_there = namespace.get(b"back").unwrap().is_some();
        namespace.remove(b"back").unwrap();
        namespace.put(b"fill", &[4; 1000 - 48]).unwrap();
        store.sync().unwrap();
        for left in [left.crash(), left.kill()] {
            let (_store, namespace) = open(&left);
            let again = namespace.get(b"back").unwrap().is_some();
            assert!(!again, "seed {seed}, was there: {was_there}");
            assert!(namespace.get(b"fill").unwrap().is_some(), "seed {seed}");
        }
    }
}

/// A namespace is cleared before a place in the log that a power failure takes away: what is put there afterwards counts.
#[test]
fn what_is_put_after_a_clear_and_a_crash_is_there() {
    for seed in 0..100 {
        let device = SimulatedDevice::new(seed);
        let store = Store::open_on(Arc::new(device.clone()), options().sync(Sync::Each)).unwrap();
        let namespace = store.namespace("a").unwrap();
        let other = store.namespace("b").unwrap();
        namespace.put(b"old", b"value").unwrap();
        drop(store);
        let (unsynced, _) = open(&device);
        let filler = unsynced.namespace("b").unwrap();
        for number in 0..40_u32 {
            filler.put(&number.to_le_bytes(), &[1; 1000]).unwrap();
        }
        unsynced.flush().unwrap();
        device.inject(Injection::after(0, Fault::Fail).every(1).only(&[Operation::TryRead]));
        unsynced.namespace("a").unwrap().clear().unwrap();
        let left = device.crash();
        drop((unsynced, filler, other, namespace));
        let (store, namespace) = open(&left);
        namespace.put(b"new", b"value").unwrap();
        assert!(namespace.get(b"new").unwrap().is_some(), "seed {seed}");
        store.sync().unwrap();
        let (_store, namespace) = open(&left.crash());
        assert_eq!(namespace.get(b"new").unwrap().as_deref(), Some(&b"value"[..]), "seed {seed}");
    }
}

/// Removed, and durably so: no order of segments that go, and no crash on the way, brings a value back.
#[test]
fn a_removed_value_stays_away_while_its_tombstone_is_reclaimed() {
    for seed in 0..20 {
        let device = SimulatedDevice::new(seed);
        let (store, namespace) = open(&device);
        namespace.put(b"key", b"old").unwrap();
        for number in 0..60_u32 {
            namespace.put(&number.to_le_bytes(), &[1; 1000]).unwrap();
        }
        namespace.remove_with(b"key", Sync::Each).unwrap();
        for number in 0..1500_u32 {
            namespace.put(&(number % 300).to_le_bytes(), &[2; 1000]).unwrap();
            if number % 50 == 0 {
                let (_store, namespace) = open(&device.crash());
                assert!(namespace.get(b"key").unwrap().is_none(), "seed {seed} at {number}");
            }
        }
        drop(store);
    }
}

/// A time that was seen is seen again: what has expired stays expired when the clock is set back and the store opened again.
#[test]
fn a_clock_that_was_set_back_revives_nothing() {
    let clock = Arc::new(AtomicU64::new(1_000_000));
    let device = SimulatedDevice::new(1);
    let store = Store::open_on(Arc::new(device.clone()), held(&clock)).unwrap();
    let namespace = store.namespace("a").unwrap();
    let until = |expires_ms| PutOptions { expires_ms, ..PutOptions::default() };
    namespace.put_with(b"key", b"value", until(1_005_000)).unwrap();
    namespace.put_with(b"later", b"value", until(1_500_000)).unwrap();
    store.sync().unwrap();
    clock.store(1_006_000, Ordering::Relaxed);
    assert!(namespace.get(b"key").unwrap().is_none());
    clock.store(1_000_000, Ordering::Relaxed);
    assert!(namespace.get(b"key").unwrap().is_none());
    store.close().unwrap();
    clock.store(900_000, Ordering::Relaxed);
    let store = Store::open_on(Arc::new(device), held(&clock)).unwrap();
    let namespace = store.namespace("a").unwrap();
    assert!(namespace.get(b"key").unwrap().is_none() && !namespace.contains(b"key"));
    assert!(namespace.get(b"later").unwrap().is_some());
}

/// The same if nothing was written since the store was opened: no segment has got a footer that tells the time.
#[test]
fn a_time_that_was_seen_while_nothing_was_written_is_not_forgotten() {
    let clock = Arc::new(AtomicU64::new(1_000_000));
    let device = SimulatedDevice::new(1);
    let store = || Store::open_on(Arc::new(device.clone()), held(&clock)).unwrap();
    let until = |expires_ms| PutOptions { expires_ms, ..PutOptions::default() };
    let namespace = store().namespace("a").unwrap();
    namespace.put_with(b"key", &[1; 60_000], until(1_005_000)).unwrap();
    drop(namespace);
    // The segment has no room for more, and goes as it is.
    let namespace = store().namespace("a").unwrap();
    clock.store(1_006_000, Ordering::Relaxed);
    assert!(namespace.get(b"key").unwrap().is_none());
    drop(namespace);
    for _ in 0..2 {
        clock.store(900_000, Ordering::Relaxed);
        let namespace = store().namespace("a").unwrap();
        assert!(namespace.get(b"key").unwrap().is_none() && !namespace.contains(b"key"));
        assert_eq!(namespace.put_with(b"other", b"value", until(1_006_000)).unwrap(), Put::Dropped(Why::Expired));
    }
}

/// What a process left durable is written again by the next one, which promises nothing on its own: the new copy is durable before the
/// old one goes.
#[test]
fn what_an_earlier_process_made_durable_survives_a_compaction_and_a_crash() {
    for seed in 0..100 {
        let device = SimulatedDevice::new(seed);
        let (store, namespace) = open(&device);
        for number in 0..8_u32 {
            namespace.put(&number.to_le_bytes(), &[1; 1000]).unwrap();
        }
        store.sync().unwrap();
        let left = device.kill();
        let (store, _namespace) = open(&left);
        store.compact(|_, _| ()).unwrap();
        let (_store, namespace) = open(&left.crash());
        let there = (0..8_u32).filter(|number| namespace.contains(&number.to_le_bytes()));
        assert_eq!(there.count(), 8, "seed {seed}");
    }
}

/// A put that is dropped takes what was there before with it; in a store that syncs each call, for good.
#[test]
fn what_a_dropped_put_took_out_stays_away_after_a_crash() {
    for seed in 0..20 {
        let device = SimulatedDevice::new(seed);
        let clock = Arc::new(AtomicU64::new(1_000_000));
        let open = |device: &SimulatedDevice| {
            let store = Store::open_on(Arc::new(device.clone()), held(&clock).sync(Sync::Each)).unwrap();
            store.namespace("a").unwrap()
        };
        let namespace = open(&device);
        namespace.put(b"key", b"old").unwrap();
        let is_over = PutOptions { expires_ms: 999_999, ..PutOptions::default() };
        assert_eq!(namespace.put_with(b"key", b"new", is_over).unwrap(), Put::Dropped(Why::Expired));
        assert!(open(&device.crash()).get(b"key").unwrap().is_none(), "seed {seed}");
    }
}

/// A value expires and is taken out while it waits to be written; then its segment is given up, and it is not worth moving. What it
/// had replaced does not come back for that.
#[test]
fn a_value_that_expired_in_a_segment_that_was_given_up_leaves_no_older_one() {
    let clock = Arc::new(AtomicU64::new(1_000_000));
    let device = SimulatedDevice::new(1);
    let store = Store::open_on(Arc::new(device.clone()), held(&clock)).unwrap();
    let namespace = store.namespace("a").unwrap();
    namespace.put(b"key", b"old").unwrap();
    store.sync().unwrap();
    device.inject(Injection::after(0, Fault::Fail).every(1).only(&[Operation::Write]));
    let until = scrubjay_disk::PutOptions { expires_ms: 1_005_000, ..Default::default() };
    namespace.put_with(b"key", b"new", until).unwrap();
    clock.store(1_006_000, Ordering::Relaxed);
    assert!(namespace.get(b"key").unwrap().is_none());
    assert!(store.flush().is_err());
    while store.stats().given_up_segments == 0 {
        std::thread::yield_now();
    }
    device.heal();
    store.close().unwrap();
    let store = Store::open_on(Arc::new(device), held(&clock)).unwrap();
    let namespace = store.namespace("a").unwrap();
    assert!(namespace.get(b"key").unwrap().is_none());
}

/// A power failure leaves the footer of the last segment and not all of its records. The segment must not be written to again: without
/// its footer those records would be a gap before what is durable by then, and everything older would be dropped for them.
#[test]
fn a_footer_that_survived_its_records_costs_nothing_older_after_the_next_crash() {
    for seed in 0..200 {
        let device = SimulatedDevice::new(seed);
        let (store, namespace) = open(&device);
        namespace.put(b"old", &[1; 1000]).unwrap();
        store.sync().unwrap();
        for number in 0..20_u32 {
            namespace.put(&number.to_le_bytes(), &[2; 1000]).unwrap();
        }
        // It ends the segment and makes nothing durable.
        store.close().unwrap();
        let left = device.crash();
        let (store, namespace) = open(&left);
        // The second one says of the first that it is durable.
        for key in [b"new", b"too"] {
            namespace.put(key, &[3; 1000]).unwrap();
            store.sync().unwrap();
        }
        let (store, namespace) = open(&left.crash());
        for (key, byte) in [(b"old", 1), (b"new", 3), (b"too", 3)] {
            assert_eq!(namespace.get(key).unwrap().as_deref(), Some(&[byte; 1000][..]), "seed {seed}");
        }
        assert_eq!(store.stats().distrusted_entries, 0, "seed {seed}");
    }
}
