//! A device that fails for longer, is full, or does not answer: what the store says, what it still does, and that it recovers.

use super::config::SEGMENT_LEN;
use scrubjay_disk::simulated::{Fault, Injection, Operation};
use scrubjay_disk::{ErrorKind, Namespace, Options, Overload, Put, SimulatedDevice, State, Store, Why};
use std::sync::Arc;
use std::time::Duration;

const QUEUE_BYTES: u64 = 64 << 10;

fn options(overload: Overload) -> Options {
    Options::bytes(16 * SEGMENT_LEN)
        .segment_len(SEGMENT_LEN)
        .queue_bytes(QUEUE_BYTES)
        .overload(overload)
        .stall_after(Duration::from_millis(20))
}

fn opened(overload: Overload) -> (SimulatedDevice, Store, Namespace) {
    let device = SimulatedDevice::new(1);
    let store = Store::open_on(Arc::new(device.clone()), options(overload)).unwrap();
    let namespace = store.namespace("a").unwrap();
    for number in 0..100_u32 {
        assert_eq!(namespace.put(&number.to_le_bytes(), &[1; 100]).unwrap(), Put::Stored);
    }
    store.sync().unwrap();
    (device, store, namespace)
}

/// Waits until the store says so.
#[track_caller]
fn until(store: &Store, what: &str, is_so: impl Fn(&State) -> bool) {
    let deadline = std::time::Duration::from_secs(30);
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    for _ in 0..deadline.as_millis() {
        if is_so(&store.state()) {
            return;
        }
        // Nobody sends: it is a pause that needs no clock.
        let _ = receiver.recv_timeout(Duration::from_millis(1));
    }
    drop(sender);
    panic!("the store is not {what}: {:?}", store.state());
}

fn is_serving(state: &State) -> bool {
    matches!(state, State::Serving)
}

#[test]
fn a_device_that_fails_is_told_of_and_served_around_until_it_works_again() {
    let (device, store, namespace) = opened(Overload::Drop);
    device.inject(Injection::after(0, Fault::Fail).every(1).only(&[Operation::Write, Operation::Create]));
    assert_eq!(namespace.put(b"new", b"value").unwrap(), Put::Stored);
    assert_eq!(store.flush().unwrap_err().kind(), ErrorKind::Unavailable);
    until(&store, "failing", |state| matches!(state, State::Failing(message) if !message.is_empty()));
    // What is there is read, from the device and from memory; what is removed is gone.
    assert_eq!(namespace.get(&7_u32.to_le_bytes()).unwrap().as_deref(), Some(&[1; 100][..]));
    assert_eq!(namespace.get(b"new").unwrap().as_deref(), Some(&b"value"[..]));
    assert!(namespace.remove(&7_u32.to_le_bytes()).unwrap());
    assert!(namespace.get(&7_u32.to_le_bytes()).unwrap().is_none());
    // The queue takes what it has room for, and no more.
    let mut dropped = 0;
    for number in 1000..3000_u32 {
        match namespace.put(&number.to_le_bytes(), &[2; 100]).unwrap() {
            Put::Stored => assert_eq!(dropped, 0),
            Put::Dropped(why) => {
                assert!(matches!(why, Why::QueueFull | Why::Failing), "{why:?}");
                dropped += 1;
            }
        }
    }
    let stats = store.stats();
    assert!(dropped > 1000, "{dropped}");
    assert_eq!(stats.dropped_full + stats.dropped_failing, dropped);
    assert!(stats.device_errors > 0);
    device.heal();
    until(&store, "serving", is_serving);
    store.sync().unwrap();
    let left = device.crash();
    let again = Store::open_on(Arc::new(left), options(Overload::Drop)).unwrap();
    let namespace = again.namespace("a").unwrap();
    assert!(namespace.get(&7_u32.to_le_bytes()).unwrap().is_none());
    assert_eq!(namespace.get(b"new").unwrap().as_deref(), Some(&b"value"[..]));
    assert_eq!(namespace.get(&8_u32.to_le_bytes()).unwrap().as_deref(), Some(&[1; 100][..]));
}

#[test]
fn a_removal_outlives_a_segment_that_was_given_up() {
    for spared in 0..12 {
        let (device, store, namespace) = opened(Overload::Wait);
        device.inject(Injection::after(spared, Fault::Fail).every(1).only(&[Operation::Write]));
        for number in 0..50_u32 {
            namespace.remove(&number.to_le_bytes()).unwrap();
            // One more failure and one more, until the segment is given up.
            let _ = store.flush();
        }
        until(&store, "failing", |state| !is_serving(state));
        device.heal();
        until(&store, "serving", is_serving);
        store.sync().unwrap();
        let again = Store::open_on(Arc::new(device.crash()), options(Overload::Wait)).unwrap();
        let namespace = again.namespace("a").unwrap();
        for number in 0..100_u32 {
            let is_there = namespace.get(&number.to_le_bytes()).unwrap().is_some();
            assert_eq!(is_there, number >= 50, "{number} after {spared} writes");
        }
    }
}

#[test]
fn a_store_closes_on_a_device_that_fails_and_says_what_is_lost() {
    let (device, store, namespace) = opened(Overload::Wait);
    device.inject(Injection::after(0, Fault::Fail).every(1));
    namespace.put(b"new", b"value").unwrap();
    assert_eq!(store.close().unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(matches!(store.state(), State::Closed));
    assert_eq!(namespace.get(b"new").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(namespace.put(b"new", b"value").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(store.stats().lost, 1);
    device.heal();
    let again = Store::open_on(Arc::new(device), options(Overload::Wait)).unwrap();
    let namespace = again.namespace("a").unwrap();
    assert_eq!(namespace.len(), 100);
}

#[test]
fn a_full_disk_costs_the_oldest_entries_and_says_what_it_drops() {
    let (device, store, namespace) = opened(Overload::Wait);
    // Half of what the store was told that it may take.
    device.set_space(Some(8 * SEGMENT_LEN));
    let mut dropped = 0;
    for number in 0..20_000_u32 {
        match namespace.put(&number.to_le_bytes(), &[3; 100]).unwrap() {
            Put::Stored => assert_eq!(namespace.get(&number.to_le_bytes()).unwrap().as_deref(), Some(&[3; 100][..])),
            // While room is made, who finds the queue full is told so at once.
            Put::Dropped(why) => {
                assert_eq!(why, Why::Failing);
                assert!(namespace.get(&number.to_le_bytes()).unwrap().is_none());
                dropped += 1;
            }
        }
    }
    println!("{dropped} dropped");
    assert_eq!(store.stats().dropped_failing, dropped);
    assert!(device.bytes_held().1 <= 8 * SEGMENT_LEN);
    assert!(namespace.len() > 500, "{}", namespace.len());
    device.set_space(None);
    for number in 0..5000_u32 {
        namespace.put(&number.to_le_bytes(), &[4; 100]).unwrap();
    }
    store.sync().unwrap();
    until(&store, "serving", is_serving);
}

#[test]
fn a_device_that_stalls_is_told_of_and_does_not_hold_up_gets_or_puts_that_drop() {
    let (device, store, namespace) = opened(Overload::Drop);
    device.inject(Injection::after(0, Fault::Stall).every(1).only(&[Operation::Write]));
    namespace.put(b"new", b"value").unwrap();
    assert_eq!(store.flush().unwrap_err().kind(), ErrorKind::Unavailable);
    until(&store, "stalled", |state| matches!(state, State::Stalled(_)));
    assert_eq!(namespace.get(&7_u32.to_le_bytes()).unwrap().as_deref(), Some(&[1; 100][..]));
    assert_eq!(namespace.get(b"new").unwrap().as_deref(), Some(&b"value"[..]));
    assert!(namespace.remove(&7_u32.to_le_bytes()).unwrap());
    let mut dropped = 0;
    for number in 1000..3000_u32 {
        dropped += u64::from(namespace.put(&number.to_le_bytes(), &[2; 100]).unwrap() != Put::Stored);
    }
    let stats = store.stats();
    assert!(dropped > 1000 && stats.dropped_full + stats.dropped_failing == dropped, "{dropped} {stats:?}");
    assert!(stats.queued_bytes <= 2 * QUEUE_BYTES, "{stats:?}");
    device.heal();
    until(&store, "serving", is_serving);
    store.sync().unwrap();
    assert!(namespace.get(&7_u32.to_le_bytes()).unwrap().is_none());
}

#[test]
fn a_put_that_waits_for_a_stalled_device_gives_up() {
    let (device, store, namespace) = opened(Overload::Wait);
    device.inject(Injection::after(0, Fault::Stall).every(1).only(&[Operation::Write]));
    let mut dropped = None;
    for number in 1000..3000_u32 {
        if let Put::Dropped(why) = namespace.put(&number.to_le_bytes(), &[2; 100]).unwrap() {
            dropped = Some((number, why));
            break;
        }
    }
    let (number, why) = dropped.unwrap();
    assert_eq!(why, Why::Failing);
    assert!(namespace.get(&number.to_le_bytes()).unwrap().is_none());
    assert!(matches!(store.state(), State::Stalled(_)), "{:?}", store.state());
    device.heal();
    until(&store, "serving", is_serving);
    assert_eq!(namespace.put(b"new", b"value").unwrap(), Put::Stored);
    store.sync().unwrap();
}

#[test]
fn a_device_that_another_store_has_is_in_use() {
    let device = SimulatedDevice::new(1);
    device.set_locked_elsewhere(true);
    let error = Store::open_on(Arc::new(device), options(Overload::Wait)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InUse);
}

#[test]
fn opening_on_a_device_that_fails_says_so_and_harms_nothing() {
    let (device, store, _) = opened(Overload::Wait);
    store.close().unwrap();
    let start = device.operations();
    let again = Store::open_on(Arc::new(device.kill()), options(Overload::Wait)).unwrap();
    drop(again);
    let count = {
        let probe = device.kill();
        drop(Store::open_on(Arc::new(probe.clone()), options(Overload::Wait)).unwrap());
        probe.operations()
    };
    assert_eq!(device.operations(), start);
    for fault in [Fault::Fail, Fault::Torn, Fault::Full, Fault::Flip] {
        for spared in 0..count {
            let device = device.kill();
            device.inject(Injection::after(spared, fault));
            match Store::open_on(Arc::new(device.clone()), options(Overload::Wait)) {
                Ok(store) => drop(store),
                Err(error) => {
                    let kind = error.kind();
                    let may = kind == ErrorKind::Unavailable || fault == Fault::Flip && kind != ErrorKind::Invalid;
                    assert!(may, "{fault:?} after {spared}: {error}");
                }
            }
            device.heal();
            let store = Store::open_on(Arc::new(device), options(Overload::Wait)).unwrap();
            let namespace = store.namespace("a").unwrap();
            if fault != Fault::Flip {
                assert_eq!(namespace.len(), 100, "{fault:?} after {spared}");
            }
            for number in 0..100_u32 {
                let value = namespace.get(&number.to_le_bytes()).unwrap();
                assert!(value.is_none_or(|value| *value == [1; 100]), "{fault:?} after {spared}");
            }
        }
    }
}
