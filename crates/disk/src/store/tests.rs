//! The store through its front door, on the device that does as it is told.

use super::*;
use crate::options::Overload;
use crate::place::Position;
use crate::simulated::{Fault, Injection, Operation, SimulatedDevice};
use std::time::Duration;

fn store(options: Options) -> (Arc<SimulatedDevice>, Store) {
    let device = Arc::new(SimulatedDevice::new(1));
    let store = Store::open_on(Arc::clone(&device) as Arc<dyn Device>, options).unwrap();
    (device, store)
}

#[test]
fn what_is_put_is_there_before_and_after_it_is_written() {
    let (_, store) = store(Options::bytes(4 << 20));
    let jays = store.namespace("jays").unwrap();
    assert_eq!(jays.put(b"scrub", b"blue").unwrap(), Put::Stored);
    assert_eq!(&*jays.get(b"scrub").unwrap().unwrap(), b"blue");
    store.flush().unwrap();
    assert_eq!(&*jays.get(b"scrub").unwrap().unwrap(), b"blue");
    store.sync().unwrap();
    assert!(jays.remove(b"scrub").unwrap());
    assert!(!jays.remove(b"scrub").unwrap());
    assert!(jays.get(b"scrub").unwrap().is_none());
    let stats = store.stats();
    assert_eq!((stats.hits, stats.misses, stats.puts, stats.removes), (2, 1, 1, 1));
    store.close().unwrap();
    assert_eq!(jays.get(b"scrub").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn many_segments_are_filled_and_read() {
    let (_, store) = store(Options::bytes(8 << 20).segment_len(256 << 10));
    let jays = store.namespace("jays").unwrap();
    let value = |n: u32| vec![n.to_le_bytes()[0]; 3000];
    for n in 0..2000_u32 {
        assert_eq!(jays.put(&n.to_le_bytes(), &value(n)).unwrap(), Put::Stored);
    }
    for n in 0..2000_u32 {
        assert_eq!(&*jays.get(&n.to_le_bytes()).unwrap().unwrap(), value(n));
    }
    store.flush().unwrap();
    for n in 0..2000_u32 {
        assert_eq!(&*jays.get(&n.to_le_bytes()).unwrap().unwrap(), value(n));
    }
    assert_eq!(jays.keys().count(), 2000);
}

/// A store whose writes fail, and which has appended beyond the segment that fails: its namespace, and where it was then.
fn run_ahead() -> (Arc<SimulatedDevice>, Store, Namespace, Position) {
    let options = Options::bytes(4 << 20).segment_len(128 << 10).flush_interval(Duration::from_millis(1));
    let (device, store) = store(options);
    let jays = store.namespace("jays").unwrap();
    jays.put(b"first", b"written").unwrap();
    store.flush().unwrap();
    device.inject(Injection::after(0, Fault::Fail).every(1).only(&[Operation::Write]));
    while store.handle.core.log.next().seq < 3 {
        jays.put(b"many times", &[7; 1000]).unwrap();
    }
    let next = store.handle.core.log.next();
    (device, store, jays, next)
}

fn until_given_up(store: &Store) {
    let began = crate::clock::monotonic();
    while store.stats().given_up_segments == 0 {
        assert!(crate::clock::monotonic() - began < Duration::from_secs(20), "nothing is given up");
        std::thread::yield_now();
    }
}

/// Lets the device work again, and waits until all is written.
fn heal(device: &SimulatedDevice, store: &Store) {
    device.heal();
    let began = crate::clock::monotonic();
    while store.sync().is_err() {
        assert!(crate::clock::monotonic() - began < Duration::from_secs(20), "nothing is written");
        std::thread::yield_now();
    }
}

/// The log used to go on in the segment after the one that failed, at positions that it had given away before: the clear, which
/// named a later one, took what was put after it as well.
#[test]
fn a_put_after_a_clear_stays_though_the_segment_of_the_clear_was_given_up() {
    let (device, store, jays, _) = run_ahead();
    jays.clear().unwrap_err();
    until_given_up(&store);
    heal(&device, &store);
    jays.put(b"scrub", b"blue").unwrap();
    assert_eq!(jays.get(b"scrub").unwrap().as_deref(), Some(&b"blue"[..]));
    assert!(jays.get(b"first").unwrap().is_none());
    store.close().unwrap();
    let store = Store::open_on(Arc::new(device.kill()), Options::bytes(4 << 20).segment_len(128 << 10)).unwrap();
    let jays = store.namespace("jays").unwrap();
    assert_eq!(jays.get(b"scrub").unwrap().as_deref(), Some(&b"blue"[..]));
    assert!(jays.get(b"first").unwrap().is_none() && jays.get(b"many times").unwrap().is_none());
}

/// For the same reason a sync of such a position was never done: the writer went round and round, and no close ended.
#[test]
fn positions_grow_and_a_close_ends_though_segments_were_given_up() {
    let (device, store, jays, next) = run_ahead();
    store.sync().unwrap_err();
    until_given_up(&store);
    heal(&device, &store);
    assert!(store.handle.core.log.next() > next);
    store.close().unwrap();
    let store = Store::open_on(Arc::new(device.kill()), Options::bytes(4 << 20).segment_len(128 << 10)).unwrap();
    let stats = store.stats();
    assert_eq!((stats.distrusted_entries, stats.discarded_segments, stats.entries), (0, 0, 2));
    let jays_again = store.namespace(jays.name()).unwrap();
    assert_eq!(jays_again.get(b"first").unwrap().as_deref(), Some(&b"written"[..]));
    assert_eq!(jays_again.get(b"many times").unwrap().as_deref(), Some(&[7; 1000][..]));
}

/// They went beyond the queue's bound without one of their own.
#[test]
fn pinned_entries_that_the_device_does_not_take_are_refused_and_what_was_there_stays() {
    let options = Options::bytes(8 << 20).queue_bytes(1 << 16).overload(Overload::Drop);
    let (device, store) = store(options.flush_interval(Duration::from_millis(1)));
    let pins = store.namespace("pins").unwrap();
    let pinned = PutOptions { is_pinned: true, ..PutOptions::default() };
    let put = |number: u64| pins.put_with(b"pin", &number.to_le_bytes(), pinned);
    put(0).unwrap();
    store.flush().unwrap();
    device.inject(Injection::after(0, Fault::Stall).only(&[Operation::Write]));
    let refused = (1..1_000_000).find_map(|number| put(number).err().map(|error| (number, error)));
    let (number, error) = refused.expect("the queue has a bound");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(pins.get(b"pin").unwrap().as_deref(), Some(&(number - 1).to_le_bytes()[..]));
    let stats = store.stats();
    assert!(stats.queued_bytes < 4 << 20 && stats.dropped_full == 1, "{stats:?}");
    assert!(pins.remove(b"pin").unwrap(), "a removal is never refused");
    heal(&device, &store);
    store.close().unwrap();
}

/// Each segment that was given up used to keep its room, and a device that failed for some seconds cost all that was there.
#[test]
fn a_device_that_fails_to_write_costs_nothing_that_is_there() {
    let (device, store) =
        store(Options::bytes(4 << 20).segment_len(256 << 10).flush_interval(Duration::from_millis(1)));
    let jays = store.namespace("jays").unwrap();
    for number in 0..500_u32 {
        jays.put(&number.to_le_bytes(), &[7; 4000]).unwrap();
    }
    store.flush().unwrap();
    let (entries, used_bytes) = (jays.len(), store.stats().used_bytes);
    device.inject(Injection::after(0, Fault::Fail).every(1).only(&[Operation::Write]));
    jays.put(b"one", b"more").unwrap();
    let began = crate::clock::monotonic();
    while store.stats().given_up_segments < 3 {
        assert!(crate::clock::monotonic() - began < Duration::from_secs(20), "nothing is given up");
        std::thread::yield_now();
    }
    let stats = store.stats();
    assert!(stats.used_bytes <= used_bytes + (256 << 10), "{} bytes, {used_bytes} before", stats.used_bytes);
    assert_eq!((jays.len(), stats.reclaimed_segments), (entries + 1, 0));
    heal(&device, &store);
    store.close().unwrap();
    let store = Store::open_on(Arc::new(device.kill()), Options::bytes(4 << 20).segment_len(256 << 10)).unwrap();
    assert_eq!(store.namespace("jays").unwrap().len(), entries + 1);
}

/// The head stands in a segment that has no file yet, and the sync of the one before fails.
#[test]
fn a_sync_that_fails_behind_a_segment_without_a_file_leaves_no_gap() {
    let options = || Options::bytes(4 << 20).segment_len(256 << 10).flush_interval(Duration::from_secs(60));
    let (device, store) = store(options());
    let jays = store.namespace("jays").unwrap();
    jays.put(b"scrub", b"blue").unwrap();
    store.sync().unwrap();
    jays.put(b"grey", b"grey").unwrap();
    device.inject(Injection::after(0, Fault::Stall).only(&[Operation::Write]));
    std::thread::scope(|scope| {
        scope.spawn(|| store.sync().unwrap_err());
        while device.stalled() == 0 {
            std::thread::yield_now();
        }
        while store.handle.core.log.next().seq < 2 {
            jays.put(b"many times", &[7; 4000]).unwrap();
        }
        device.inject(Injection::after(0, Fault::Fail).only(&[Operation::Sync]));
        device.release();
    });
    until_given_up(&store);
    heal(&device, &store);
    jays.put(b"pinyon", b"blue").unwrap();
    store.close().unwrap();
    let again = Store::open_on(Arc::new(device.kill()), options()).unwrap();
    let stats = again.stats();
    assert_eq!((stats.entries, stats.distrusted_entries, stats.discarded_segments), (4, 0, 0));
}

/// It used to be left out in silence.
#[test]
fn a_walk_says_which_entry_is_damaged_takes_it_out_and_goes_on() {
    let (device, store) = store(Options::bytes(4 << 20));
    let jays = store.namespace("jays").unwrap();
    for name in [b"first", b"other", b"third"] {
        jays.put(name, b"blue").unwrap();
    }
    store.flush().unwrap();
    let at = store.handle.core.index.get(store.handle.core.hash(jays.state.id, b"other")).unwrap().place;
    let at = at.position(store.handle.core.log.head_seq());
    device.flip(&crate::segment::file_name(at.seq), 8 * (at.offset + crate::record::HEADER_LEN as u64) + 3);
    let mut keys = jays.keys();
    assert_eq!(keys.next().unwrap().unwrap(), b"first");
    assert_eq!(keys.next().unwrap().unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(keys.next().unwrap().unwrap(), b"third");
    assert!(keys.next().is_none());
    assert_eq!((jays.len(), store.stats().corrupt), (2, 1));
    assert!(jays.keys().all(|key| key.is_ok()), "it is said once");
    store.close().unwrap();
}

/// A store that was made smaller, and closed before it was, went on dropping segments behind its writer.
#[test]
fn a_closed_store_drops_no_segment_of_which_it_could_not_carry_what_is_pinned() {
    let (device, store) = store(Options::bytes(4 << 20).segment_len(1 << 16));
    let pins = store.namespace("pins").unwrap();
    let pinned = PutOptions { is_pinned: true, ..PutOptions::default() };
    pins.put_with(b"pin", b"stays", pinned).unwrap();
    for number in 0..200_u32 {
        pins.put(&number.to_le_bytes(), &[1; 1000]).unwrap();
    }
    store.close().unwrap();
    let core = &store.handle.core;
    assert!(!core.reclaim.oldest(core, false));
    assert_eq!(store.stats().reclaimed_segments, 0);
    let again = Store::open_on(device, Options::bytes(4 << 20).segment_len(1 << 16)).unwrap();
    assert_eq!(again.namespace("pins").unwrap().get(b"pin").unwrap().as_deref(), Some(&b"stays"[..]));
}

#[test]
fn a_sync_that_failed_is_an_error_of_the_close_only_where_a_close_makes_durable() {
    for sync in [Sync::None, Sync::Each] {
        let (device, store) = store(Options::bytes(4 << 20).sync(sync));
        let jays = store.namespace("jays").unwrap();
        device.inject(Injection::after(0, Fault::Fail).only(&[Operation::Sync]));
        let put = jays.put(b"key", b"value");
        assert_eq!(put.and_then(|_| store.sync()).unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(store.close().is_ok(), sync == Sync::None);
    }
}
