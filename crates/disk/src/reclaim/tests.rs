mod killed;

use crate::simulated::{Fault, Injection, Operation, SimulatedDevice};
use crate::{Device, Namespace, Options, PutOptions, State, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const CAPACITY: u64 = 4 << 20;
const SEGMENT_LEN: u64 = 64 << 10;
const VALUE_LEN: usize = 1000;
/// Entries that fill the store once.
const LAP: u32 = 4_032;

fn options() -> Options {
    Options::bytes(CAPACITY).segment_len(SEGMENT_LEN).queue_bytes(256 << 10)
}

fn open(options: Options) -> (Arc<SimulatedDevice>, Store, Namespace) {
    let device = Arc::new(SimulatedDevice::new(1));
    let store = Store::open_on(Arc::clone(&device) as Arc<dyn Device>, options).unwrap();
    let jays = store.namespace("jays").unwrap();
    (device, store, jays)
}

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn value(number: u32, version: u32) -> Vec<u8> {
    let mut value = vec![number.to_le_bytes()[0]; VALUE_LEN];
    value[..4].copy_from_slice(&number.to_le_bytes());
    value[4..8].copy_from_slice(&version.to_le_bytes());
    value
}

fn put(jays: &Namespace, numbers: std::ops::Range<u32>) {
    for number in numbers {
        jays.put(&key(number), &value(number, 0)).unwrap();
    }
}

fn present(jays: &Namespace, numbers: std::ops::Range<u32>) -> usize {
    numbers
        .filter(|number| {
            let found = jays.peek(&key(*number)).unwrap();
            assert!(found.as_deref().is_none_or(|found| found == value(*number, 0)));
            found.is_some()
        })
        .count()
}

#[test]
fn the_oldest_go_and_the_space_is_never_exceeded() {
    let (device, store, jays) = open(options().reinsert(0.0));
    for from in (0..4 * LAP).step_by(100) {
        put(&jays, from..from + 100);
        let used: u64 = device.list().unwrap().iter().map(|(_, len)| len).sum();
        assert!(used <= CAPACITY, "{used}");
    }
    assert_eq!(present(&jays, 0..2 * LAP), 0);
    let newest = present(&jays, 3 * LAP + LAP / 10..4 * LAP);
    assert_eq!(newest, (LAP - LAP / 10) as usize);
    // Without threads, counters stand still.
    store.close().unwrap();
    let stats = store.stats();
    assert!(stats.used_bytes <= CAPACITY && stats.reclaimed_segments >= 3 * 60, "{stats:?}");
    assert_eq!(u64::from((4 * LAP).div_ceil(100) * 100), stats.entries + stats.evicted, "{stats:?}");
    assert!(stats.write_amplification() < 1.05, "{}", stats.write_amplification());
}

#[test]
fn what_is_read_stays_for_as_long_as_it_is_read() {
    let (_, store, jays) = open(options());
    put(&jays, 0..200);
    for from in (1_000..1_000 + 5 * LAP).step_by(100) {
        put(&jays, from..from + 100);
        (0..200).for_each(|number| _ = jays.get(&key(number)).unwrap());
    }
    assert!(present(&jays, 0..200) >= 198);
    let stats = store.stats();
    assert!(stats.reinserted >= 4 * 190, "{stats:?}");
    put(&jays, 100_000..100_000 + 5 * LAP);
    assert_eq!(present(&jays, 0..200), 0, "what nobody reads any more goes");
}

#[test]
fn pinned_entries_stay_without_being_read_and_without_an_allowance() {
    for queue_bytes in [64 << 10, 256 << 10, 16 << 20] {
        let (_, store, jays) = open(options().reinsert(0.0).queue_bytes(queue_bytes));
        let pinned = PutOptions { is_pinned: true, ..PutOptions::default() };
        for number in 0..100 {
            jays.put_with(&key(number), &value(number, 0), pinned).unwrap();
        }
        put(&jays, 1_000..1_000 + 5 * LAP);
        store.flush().unwrap();
        assert_eq!(present(&jays, 0..100), 100);
        assert!(store.stats().reinserted >= 200, "{:?}", store.stats());
    }
}

#[test]
fn pinned_entries_that_fill_the_space_give_way_in_the_end() {
    let (_, store, jays) = open(options());
    let pinned = PutOptions { is_pinned: true, ..PutOptions::default() };
    for number in 0..3 * LAP {
        jays.put_with(&key(number), &value(number, 0), pinned).unwrap();
    }
    store.flush().unwrap();
    assert!(store.stats().used_bytes <= CAPACITY);
    assert!(store.stats().evicted > 0);
}

#[test]
fn what_has_expired_is_not_written_again_however_hot_it_was() {
    let now = Arc::new(AtomicU64::new(1_000_000));
    let clock = Arc::clone(&now);
    let (_, store, jays) = open(options().clock(move || clock.load(Ordering::Relaxed)));
    let short = PutOptions { expires_ms: 1_000_500, heat: 6, ..PutOptions::default() };
    for number in 0..500 {
        jays.put_with(&key(number), &value(number, 0), short).unwrap();
    }
    now.store(1_000_500, Ordering::Relaxed);
    put(&jays, 1_000..1_000 + 2 * LAP);
    store.flush().unwrap();
    let stats = store.stats();
    assert_eq!((stats.reinserted, stats.reclaimed_expired), (0, 500), "{stats:?}");
}

#[test]
fn what_was_cleared_is_not_written_again_however_hot_it_was() {
    let (_, store, jays) = open(options());
    let other = store.namespace("other").unwrap();
    let hot = PutOptions { heat: 6, ..PutOptions::default() };
    for number in 0..500 {
        jays.put_with(&key(number), &value(number, 0), hot).unwrap();
    }
    jays.clear().unwrap();
    put(&other, 1_000..1_000 + 2 * LAP);
    store.flush().unwrap();
    assert_eq!(present(&jays, 0..500), 0);
    assert_eq!(store.stats().reinserted, 0);
}

#[test]
fn a_writer_that_waits_for_space_is_not_waited_for() {
    // The queue holds more than the whole store: the writer always waits for reclaim.
    let (_, store, jays) = open(Options::bytes(256 << 10).segment_len(SEGMENT_LEN).queue_bytes(16 << 20));
    let hot = PutOptions { heat: 6, ..PutOptions::default() };
    for number in 0..20_000 {
        jays.put_with(&key(number), &value(number, 0), hot).unwrap();
    }
    store.flush().unwrap();
    assert!(store.stats().reinserted > 0);
    store.close().unwrap();
}

#[test]
fn compacting_writes_what_is_live_once_more_and_gives_back_the_rest() {
    let (device, store, jays) = open(options());
    put(&jays, 0..LAP / 2);
    for number in 0..LAP / 2 {
        if number % 4 != 0 {
            jays.remove(&key(number)).unwrap();
        }
    }
    store.flush().unwrap();
    let before = store.stats();
    let mut steps = Vec::new();
    store.compact(|done, total| steps.push((done, total))).unwrap();
    let after = store.stats();
    assert!(after.used_bytes * 2 < before.used_bytes, "{before:?} {after:?}");
    assert_eq!(after.reinserted, u64::from(LAP / 2).div_ceil(4));
    assert_eq!(present(&jays, 0..LAP / 2), (LAP as usize / 2).div_ceil(4));
    let (done, total) = *steps.last().unwrap();
    assert!(done == total && steps.is_sorted(), "{steps:?}");
    let held: u64 = device.list().unwrap().iter().map(|(_, len)| len).sum();
    assert!(held <= CAPACITY);
}

#[test]
fn a_file_that_cannot_be_removed_stays_with_its_entries_until_it_can() {
    let (device, store, jays) = open(options());
    put(&jays, 0..LAP / 2);
    store.flush().unwrap();
    device.inject(Injection::after(0, Fault::Fail).every(1).only(&[Operation::Remove]));
    assert!(store.compact(|_, _| ()).is_err());
    assert!(matches!(store.state(), State::Degraded(_)), "{:?}", store.state());
    assert_eq!(present(&jays, 0..LAP / 2), LAP as usize / 2);
    device.heal();
    store.compact(|_, _| ()).unwrap();
    assert_eq!(store.state(), State::Serving);
    assert_eq!(present(&jays, 0..LAP / 2), LAP as usize / 2);
}

#[test]
fn a_damaged_record_goes_and_its_neighbours_are_carried() {
    let (device, store, jays) = open(options());
    put(&jays, 0..500);
    store.flush().unwrap();
    let oldest =
        device.list().unwrap().into_iter().map(|(name, _)| name).filter(|name| name.starts_with("segment")).min();
    // In the value of the third record or so.
    device.flip(&oldest.unwrap(), (64 + 2 * 1040 + 500) * 8);
    store.compact(|_, _| ()).unwrap();
    assert_eq!(present(&jays, 0..500), 499);
}

#[test]
fn a_segment_with_a_damaged_footer_is_read_through() {
    let (device, store, jays) = open(options());
    put(&jays, 0..500);
    store.flush().unwrap();
    let segments = device.list().unwrap().into_iter().filter(|(name, _)| name.starts_with("segment"));
    for (name, len) in segments {
        device.flip(&name, (len - 30) * 8);
    }
    store.compact(|_, _| ()).unwrap();
    assert_eq!(present(&jays, 0..500), 500);
    assert_eq!(store.stats().entries, 500);
}

#[test]
fn a_segment_that_cannot_be_read_goes_with_all_its_entries() {
    let (device, store, jays) = open(options());
    put(&jays, 0..LAP / 2);
    store.flush().unwrap();
    device.inject(Injection::after(0, Fault::Fail).every(1).only(&[Operation::Read, Operation::Len]));
    store.compact(|_, _| ()).unwrap();
    device.heal();
    assert_eq!(present(&jays, 0..LAP / 2), 0);
    assert_eq!(store.stats().entries, 0);
    put(&jays, 0..100);
    assert_eq!(present(&jays, 0..100), 100);
}

#[test]
fn overwrites_of_four_fifths_of_the_space_are_written_at_most_1_3_times() {
    let (_, store, jays) = open(options());
    let keys = LAP * 4 / 5;
    let mut state = 1_u32;
    for _ in 0..8 * LAP {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let number = (state >> 8) % keys;
        jays.put(&key(number), &value(number, 0)).unwrap();
        jays.get(&key((state >> 4) % keys)).unwrap();
    }
    store.flush().unwrap();
    let stats = store.stats();
    println!("write amplification {:.3}", stats.write_amplification());
    assert!(stats.write_amplification() <= 1.3, "{stats:?}");
    assert!(stats.reinserted > 0);
}

#[test]
fn what_threads_put_and_remove_is_never_older_than_they_left_it() {
    let (_, store, jays) = open(Options::bytes(1 << 20).segment_len(SEGMENT_LEN).queue_bytes(128 << 10));
    std::thread::scope(|scope| {
        for thread in 0..3_u32 {
            let jays = jays.clone();
            scope.spawn(move || {
                let mut latest = [None; 200];
                let mut state = thread;
                for version in 0..20_000_u32 {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let slot = (state >> 12) % 200;
                    let number = thread * 1_000 + slot;
                    let known = &mut latest[slot as usize];
                    match state >> 8 & 7 {
                        0 => {
                            jays.remove(&key(number)).unwrap();
                            *known = None;
                        }
                        1 | 2 => {
                            jays.put(&key(number), &value(number, version)).unwrap();
                            *known = Some(version);
                        }
                        _ => {
                            if let Some(found) = jays.get(&key(number)).unwrap() {
                                assert_eq!(Some(&*found), known.map(|known| value(number, known)).as_deref());
                            }
                        }
                    }
                }
            });
        }
    });
    let stats = store.stats();
    assert!(stats.reclaimed_segments > 10 && stats.reinserted > 0, "{stats:?}");
    assert_eq!(stats.corrupt, 0);
}

#[test]
fn nothing_put_before_a_clear_is_there_after_it_while_entries_are_moved() {
    let (_, store, jays) = open(Options::bytes(1 << 20).segment_len(SEGMENT_LEN).queue_bytes(128 << 10));
    let other = store.namespace("other").unwrap();
    std::thread::scope(|scope| {
        let others = scope.spawn(|| put(&other, 100_000..130_000));
        let hot = PutOptions { heat: 6, ..PutOptions::default() };
        while !others.is_finished() {
            for number in 0..200 {
                jays.put_with(&key(number), &value(number, 0), hot).unwrap();
            }
            jays.clear().unwrap();
            assert_eq!(present(&jays, 0..200), 0);
        }
    });
    assert!(store.stats().reclaimed_segments > 10);
}
