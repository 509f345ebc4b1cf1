#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

mod crashes;

use super::*;
use crate::record::Kind;
use crate::segment::{self, Frame, Item};
use crate::simulated::{Fault, Injection, SimulatedDevice};
use crate::{Namespace, PutOptions, Stats, Store, Sync};

const SEGMENT_LEN: u64 = 64 << 10;

fn options() -> Options {
    Options::bytes(16 << 20).segment_len(SEGMENT_LEN).clock(|| 1_000_000)
}

fn open_with(device: &SimulatedDevice, options: Options) -> Store {
    Store::open_on(Arc::new(device.clone()), options).unwrap()
}

fn open_store(device: &SimulatedDevice) -> Store {
    open_with(device, options())
}

fn refused(device: &SimulatedDevice) -> Error {
    Store::open_on(Arc::new(device.clone()), options()).err().unwrap()
}

fn value(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(250)
}

/// Puts so many values of a kilobyte.
fn fill(jays: &Namespace, numbers: std::ops::Range<u32>) {
    for number in numbers {
        jays.put(&number.to_le_bytes(), &value(number)).unwrap();
    }
}

/// The numbers that are there, each with its own value.
fn there(jays: &Namespace, numbers: std::ops::Range<u32>) -> Vec<u32> {
    numbers.filter(|number| has(jays, *number)).collect()
}

fn has(jays: &Namespace, number: u32) -> bool {
    let found = jays.get(&number.to_le_bytes()).unwrap();
    found.is_some_and(|found| {
        assert_eq!(&*found, value(number), "of {number}");
        true
    })
}

fn all(numbers: std::ops::Range<u32>) -> Vec<u32> {
    numbers.collect()
}

fn segments(device: &SimulatedDevice) -> Vec<u64> {
    list(device).unwrap()
}

/// The device of a store that was closed with so many values in it.
fn closed_with(numbers: std::ops::Range<u32>) -> SimulatedDevice {
    let device = SimulatedDevice::new(1);
    let store = open_store(&device);
    fill(&store.namespace("jays").unwrap(), numbers);
    store.close().unwrap();
    device
}

/// The device of a store that was killed with so many values in it, all handed to the system.
fn killed_with(numbers: std::ops::Range<u32>) -> SimulatedDevice {
    let device = SimulatedDevice::new(1);
    let store = open_store(&device);
    fill(&store.namespace("jays").unwrap(), numbers);
    store.flush().unwrap();
    device.kill()
}

fn jays(device: &SimulatedDevice) -> (Store, Namespace) {
    let store = open_store(device);
    let jays = store.namespace("jays").unwrap();
    (store, jays)
}

#[test]
fn what_was_stored_is_there_again_and_what_was_removed_stays_away() {
    for is_closed in [true, false] {
        let device = SimulatedDevice::new(1);
        let store = open_store(&device);
        let (jays, crows) = (store.namespace("jays").unwrap(), store.namespace("crows").unwrap());
        fill(&jays, 0..300);
        fill(&crows, 0..10);
        for number in 0..100_u32 {
            assert!(jays.remove(&number.to_le_bytes()).unwrap());
        }
        jays.put(b"twice", b"first").unwrap();
        jays.put(b"twice", b"second").unwrap();
        jays.put_with(b"soon", b"gone", PutOptions { expires_ms: 1_000_001, ..PutOptions::default() }).unwrap();
        jays.put_with(b"pinned", b"for ever", PutOptions { is_pinned: true, ..PutOptions::default() }).unwrap();
        let left = if is_closed {
            store.close().unwrap();
            device.clone()
        } else {
            store.flush().unwrap();
            device.kill()
        };
        let store = open_with(&left, options().clock(|| 1_000_001));
        assert_eq!(store.namespaces(), ["crows", "jays"]);
        let (jays, crows) = (store.namespace("jays").unwrap(), store.namespace("crows").unwrap());
        assert_eq!(there(&jays, 0..300), all(100..300));
        assert_eq!(there(&crows, 0..300), all(0..10));
        assert_eq!(&*jays.get(b"twice").unwrap().unwrap(), b"second");
        assert_eq!(&*jays.get(b"pinned").unwrap().unwrap(), b"for ever");
        assert!(jays.get(b"soon").unwrap().is_none());
        let Stats { entries, torn_bytes, distrusted_entries, discarded_segments, .. } = store.stats();
        assert_eq!((entries, torn_bytes, distrusted_entries, discarded_segments), (212, 0, 0, 0), "{is_closed}");
    }
}

#[test]
fn a_store_that_is_opened_often_goes_on_in_its_last_segment() {
    let device = SimulatedDevice::new(1);
    for number in 0..40 {
        let (store, jays) = jays(&device);
        assert_eq!(there(&jays, 0..40), all(0..number));
        fill(&jays, number..number + 1);
        store.close().unwrap();
    }
    assert_eq!(segments(&device), [1]);
    assert!(device.contents(&segment::file_name(1)).unwrap().len() < 45_000);
}

#[test]
fn what_a_cleared_namespace_held_is_gone_after_a_restart() {
    let device = SimulatedDevice::new(1);
    let (store, jays_before) = jays(&device);
    fill(&jays_before, 0..100);
    jays_before.clear().unwrap();
    fill(&jays_before, 50..60);
    store.close().unwrap();
    assert_eq!(there(&jays(&device).1, 0..100), all(50..60));
}

#[test]
fn what_comes_after_a_clear_counts_even_if_the_log_ends_before_it() {
    let device = SimulatedDevice::new(3);
    let store = open_with(&device, options().sync(Sync::Periodic(std::time::Duration::from_secs(3600))));
    let before = store.namespace("jays").unwrap();
    store.sync().unwrap();
    fill(&before, 0..200);
    // The manifest is durable at once, the log is not.
    before.clear().unwrap();
    for left in [device.crash(), device.crash(), device.crash()] {
        let (store, after) = jays(&left);
        assert_eq!(there(&after, 0..200), []);
        fill(&after, 0..10);
        assert_eq!(there(&after, 0..10), all(0..10));
        store.close().unwrap();
        assert_eq!(there(&jays(&left).1, 0..10), all(0..10));
    }
}

#[test]
fn a_torn_tail_is_cut_off_and_the_log_goes_on_behind_what_is_whole() {
    let device = killed_with(0..30);
    let name = segment::file_name(1);
    let mut bytes = device.contents(&name).unwrap();
    let end = 64 + 30 * 1040;
    bytes[end - 500..end].fill(0);
    bytes[end - 400] = 1;
    device.set_contents(&name, bytes);
    let (store, after) = jays(&device);
    assert_eq!(there(&after, 0..30), all(0..29));
    let stats = store.stats();
    assert!(stats.torn_bytes > 0 && stats.torn_bytes <= 1040, "{}", stats.torn_bytes);
    fill(&after, 29..50);
    store.flush().unwrap();
    assert_eq!(there(&jays(&device.kill()).1, 0..50), all(0..50));
}

#[test]
fn a_segment_that_lost_its_footer_is_read_record_by_record() {
    let device = closed_with(0..300);
    assert!(segments(&device).len() > 4);
    for seq in [2, *segments(&device).last().unwrap()] {
        let name = segment::file_name(seq);
        let bits = device.contents(&name).unwrap().len() as u64 * 8;
        device.flip(&name, bits - 7);
    }
    let (store, after) = jays(&device);
    assert_eq!(there(&after, 0..300), all(0..300));
    assert_eq!(store.stats().distrusted_entries, 0);
    store.close().unwrap();
    // It has one again.
    let name = segment::file_name(2);
    let found = Found::read(&device, segment::Identity { store_id: store_id(&device), seq: 2 }).unwrap();
    assert!(found.scan.is_none(), "{name}");
}

fn store_id(device: &SimulatedDevice) -> u64 {
    crate::manifest::read(&device.contents("manifest").unwrap()).unwrap().identity.store_id
}

#[test]
fn a_page_that_a_power_failure_kept_from_being_written_costs_only_what_was_on_it() {
    let device = killed_with(0..150);
    let name = segment::file_name(2);
    let mut bytes = device.contents(&name).unwrap();
    let len = bytes.len();
    // Neither this page nor the footer of its segment was written, and nobody ever synced.
    bytes[8192..12288].fill(0);
    bytes[len - 100..].fill(0);
    device.set_contents(&name, bytes);
    for _ in 0..2 {
        let (store, after) = jays(&device);
        let kept = there(&after, 0..150);
        assert!(kept.len() >= 144 && kept.len() < 150, "{kept:?}");
        assert_eq!(store.stats().distrusted_entries, 0);
        // Later marks do not turn the gap into a loss.
        after.put(b"later", b"and durable").unwrap();
        store.sync().unwrap();
        after.put(b"and", b"marked").unwrap();
        store.close().unwrap();
    }
}

#[test]
fn damage_to_what_was_durable_drops_everything_older() {
    let device = SimulatedDevice::new(1);
    let (store, before) = jays(&device);
    fill(&before, 0..100);
    for number in 0..50_u32 {
        before.remove(&number.to_le_bytes()).unwrap();
    }
    store.sync().unwrap();
    fill(&before, 100..103);
    store.flush().unwrap();
    let left = device.kill();
    // The removals stand at the end of the second segment, which is being written to.
    let name = segment::file_name(2);
    let bytes = left.contents(&name).unwrap();
    let tombstone =
        (64..bytes.len()).step_by(16).rfind(|&at| bytes[at + 4..at + 7] == [b'R', b'J', Kind::Tombstone.code()]);
    left.flip(&name, tombstone.unwrap() as u64 * 8 - 8 * 32 * 10);
    for _ in 0..2 {
        let (store, after) = jays(&left);
        assert_eq!(there(&after, 0..103), all(100..103));
        store.close().unwrap();
    }
    assert_eq!(segments(&left)[0], 2);
}

#[test]
fn what_was_durable_is_known_when_the_footer_that_said_so_is_cut_off() {
    let device = SimulatedDevice::new(1);
    let (store, before) = jays(&device);
    before.put(b"key", b"old").unwrap();
    before.put(b"key", b"new").unwrap();
    store.sync().unwrap();
    store.close().unwrap();
    for is_written_to in [false, true] {
        let (store, again) = jays(&device);
        if is_written_to {
            again.put(b"other", b"to go on").unwrap();
            store.flush().unwrap();
        }
        let left = device.kill();
        // In the value of the second record.
        left.flip(&segment::file_name(1), (64 + 48 + 36) * 8);
        let (_, after) = jays(&left);
        assert!(after.get(b"key").unwrap().is_none(), "the old value is there again");
        assert_eq!(after.get(b"other").unwrap().is_some(), is_written_to);
    }
}

#[test]
fn a_durable_segment_that_is_missing_drops_everything_older() {
    let device = SimulatedDevice::new(1);
    let (store, before) = jays(&device);
    fill(&before, 0..300);
    store.sync().unwrap();
    fill(&before, 300..301);
    store.close().unwrap();
    device.remove(&segment::file_name(3)).unwrap();
    let newer = {
        let (store, _) = jays(&device);
        let Stats { distrusted_entries, discarded_segments, .. } = store.stats();
        assert!(distrusted_entries > 100 && discarded_segments == 2);
        store.close().unwrap();
        there(&jays(&device).1, 0..301)
    };
    assert_eq!(newer, all(newer[0]..301));
    assert_eq!(segments(&device)[0], 4);
}

#[test]
fn a_segment_whose_name_was_never_durable_leaves_an_empty_one() {
    let device = killed_with(0..300);
    device.remove(&segment::file_name(3)).unwrap();
    for _ in 0..2 {
        let (store, after) = jays(&device);
        let kept = there(&after, 0..300);
        assert!(kept.len() > 200 && kept.len() < 260 && kept[0] == 0 && kept.last() == Some(&299), "{kept:?}");
        store.sync().unwrap();
        after.put(b"more", b"to mark").unwrap();
        store.close().unwrap();
    }
    assert_eq!(segments(&device)[..5], [1, 2, 3, 4, 5]);
}

#[test]
fn segments_of_another_store_are_removed_and_counted() {
    let (device, other) = (closed_with(0..10), closed_with(1000..1300));
    for seq in [2, 3] {
        let name = segment::file_name(seq);
        device.set_contents(&name, other.contents(&name).unwrap());
    }
    let (store, after) = jays(&device);
    assert_eq!(store.stats().discarded_segments, 2);
    assert_eq!(there(&after, 0..10), all(0..10));
    assert_eq!(there(&after, 1000..1300), []);
}

#[test]
fn a_lost_manifest_begins_another_store() {
    let device = closed_with(0..300);
    device.flip("manifest", 20 * 8);
    let (store, after) = jays(&device);
    assert_eq!(there(&after, 0..300), []);
    assert_eq!(store.stats().discarded_segments, 5);
    fill(&after, 0..10);
    store.close().unwrap();
    assert_eq!(there(&jays(&device).1, 0..300), all(0..10));
}

#[test]
fn a_manifest_damaged_in_its_middle_drops_the_namespaces_that_it_may_have_cleared() {
    let device = SimulatedDevice::new(1);
    let store = open_store(&device);
    let (jays, crows) = (store.namespace("jays").unwrap(), store.namespace("crows").unwrap());
    fill(&jays, 0..100);
    fill(&crows, 0..100);
    crows.clear().unwrap();
    fill(&crows, 0..10);
    store.close().unwrap();
    // The first record, and its copy.
    device.flip("manifest", 64 * 8);
    device.flip("manifest", (64 + 48) * 8);
    let store = open_store(&device);
    // The declaration of `jays` is lost, and what follows speaks of `crows` only.
    assert_eq!(store.namespaces(), ["crows"]);
    let (jays, crows) = (store.namespace("jays").unwrap(), store.namespace("crows").unwrap());
    assert_eq!((there(&jays, 0..100), there(&crows, 0..100)), (vec![], all(0..10)));
    fill(&jays, 5..7);
    assert!(store.stats().distrusted_entries >= 100);
    store.close().unwrap();
    let store = open_store(&device);
    assert_eq!(there(&store.namespace("jays").unwrap(), 0..100), all(5..7));
}

#[test]
fn a_newer_format_or_a_folder_in_use_is_an_error_that_says_so() {
    let device = closed_with(0..100);
    let newer = |magic: [u8; 8]| {
        let mut frame = Frame::new(magic);
        frame.set_u32(8, 9);
        frame.seal()
    };
    let name = segment::file_name(2);
    let whole = device.contents(&name).unwrap();
    device.set_contents(&name, [&newer(*b"SJ-SEGMT")[..], &whole[64..]].concat());
    let expected = "segment-0000000000000002: it has format 9, and this program reads up to format 1";
    assert_eq!((refused(&device).kind(), refused(&device).to_string()), (ErrorKind::Newer, expected.to_owned()));
    device.set_contents(&name, [&whole[..whole.len() - 64], &newer(*b"SJ-FOOTR")].concat());
    assert_eq!((refused(&device).kind(), refused(&device).to_string()), (ErrorKind::Newer, expected.to_owned()));
    device.set_contents(&name, whole);
    device.set_locked_elsewhere(true);
    assert_eq!(refused(&device).kind(), ErrorKind::InUse);
    device.set_locked_elsewhere(false);
    assert_eq!(there(&jays(&device).1, 0..100), all(0..100));
}

#[test]
fn options_may_be_others_the_next_time() {
    let device = closed_with(0..1000);
    for (capacity, segment_len) in [(16 << 20, 1 << 20), (64 << 20, 64 << 10), (8 << 20, 128 << 10)] {
        let store = open_with(&device, Options::bytes(capacity).segment_len(segment_len));
        let jays = store.namespace("jays").unwrap();
        assert_eq!(there(&jays, 0..1000), all(0..1000));
        jays.put(&segment_len.to_le_bytes(), b"still here").unwrap();
        store.flush().unwrap();
        assert!(store.stats().used_bytes <= capacity);
        store.close().unwrap();
    }
    let (_, after) = jays(&device);
    assert!([1_u64 << 20, 64 << 10, 128 << 10].iter().all(|len| after.get(&len.to_le_bytes()).unwrap().is_some()));
}

#[test]
fn a_device_with_alignment_goes_on_where_it_was() {
    let device = SimulatedDevice::new(1).with_alignment(4096);
    for number in 0..20 {
        let (store, jays) = jays(&device);
        assert_eq!(there(&jays, 0..20), all(0..number));
        fill(&jays, number..number + 1);
        store.close().unwrap();
    }
    // And without it, and with it again behind what is not aligned.
    let device = closed_with(0..20).with_alignment(4096);
    let (store, before) = jays(&device);
    fill(&before, 20..30);
    store.close().unwrap();
    assert_eq!(there(&jays(&device).1, 0..30), all(0..30));
}

#[test]
fn an_opening_that_fails_or_is_killed_anywhere_can_be_done_again() {
    let base = killed_with(0..150);
    let name = segment::file_name(2);
    let mut bytes = base.contents(&name).unwrap();
    let len = bytes.len();
    bytes[8192..12288].fill(0);
    bytes[len - 100..].fill(0);
    base.set_contents(&name, bytes);
    base.remove(&segment::file_name(1)).unwrap();
    // Durable, all of it.
    let files: Vec<String> = base.list().unwrap().into_iter().map(|(name, _)| name).collect();
    files.iter().for_each(|name| base.set_contents(name, base.contents(name).unwrap()));
    let expected = there(&jays(&base.kill()).1, 0..150);
    assert!(expected.len() > 50);
    for fault in [Fault::Fail, Fault::Full, Fault::Kill, Fault::Crash] {
        let mut failures = 0;
        for spared in 0..60 {
            let device = base.kill();
            device.inject(Injection::after(spared, fault));
            let opened = Store::open_on(Arc::new(device.clone()), options());
            device.heal();
            failures += u32::from(opened.is_err());
            if let Err(error) = &opened {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{fault:?} after {spared}: {error}");
            }
            let left = device.take_image().unwrap_or_else(|| device.kill());
            drop(opened);
            assert_eq!(there(&jays(&left).1, 0..150), expected, "{fault:?} after {spared}");
        }
        assert!(failures > 10 || matches!(fault, Fault::Kill | Fault::Crash), "{failures} failures");
    }
}

#[test]
fn many_items_fill_the_index_as_they_would_one_by_one() {
    let item = |number: u64| Item {
        // Each hash comes about eight times, and its last word counts.
        hash: (number * number % 9001).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        expires_ms: if number.is_multiple_of(11) { 5 } else { 0 },
        kind: if number.is_multiple_of(7) { Kind::Tombstone } else { Kind::Value },
        is_pinned: false,
        offset: 64 + number % 1000 * 48,
        len: 48,
        namespace: if number.is_multiple_of(13) { 2 } else { 1 },
    };
    let index = Index::new(64);
    let mut fill = Fill::new(&index, [(1, "jays", Position { seq: 3, offset: 0 })].into_iter(), 10);
    let mut expected = std::collections::HashMap::new();
    for seq in 1..300 {
        let items: Vec<Item> = (0..1000).map(|number| item(seq * 1000 + number)).collect();
        fill.add(seq, &items);
        for item in &items {
            let counts = item.kind == Kind::Value && item.expires_ms == 0 && item.namespace == 1 && seq >= 3;
            let place = Position { seq, offset: item.offset }.place();
            if counts {
                expected.insert(item.hash, place)
            } else {
                expected.remove(&item.hash)
            };
        }
    }
    fill.put();
    assert_eq!((fill.seen(), index.len()), (2, expected.len()));
    index.for_each(|hash, entry| assert_eq!(expected.get(&hash), Some(&entry.place)));
}
