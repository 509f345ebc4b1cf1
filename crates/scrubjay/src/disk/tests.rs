//! The parts of the tier that need no cache: the ledger of stamps, the table of folders.

use super::folder::Seat;
use super::stamps::{Ledger, Loaded};
use super::*;
use crate::clock::Clock;
use crate::error::ErrorKind;
use crate::tags::Mark;
use scrubjay_disk::{Namespace, Options, PutOptions, SimulatedDevice, Store};

fn stamps() -> (Store, Namespace) {
    let device = Arc::new(SimulatedDevice::new(1));
    let store = Store::open_on(device, Options::bytes(1 << 20)).unwrap();
    let stamps = store.namespace("jays\0stamps").unwrap();
    (store, stamps)
}

fn whole(stamps: &Namespace) -> Ledger {
    match Ledger::load(stamps).unwrap() {
        Loaded::Whole(ledger) => ledger,
        other => panic!("{other:?}"),
    }
}

fn put(stamps: &Namespace, key: &[u8], value: &[u8]) {
    stamps.put_with(key, value, PutOptions { is_pinned: true, ..PutOptions::default() }).unwrap();
}

#[test]
fn what_was_stamped_is_read_again() {
    let (_store, stamps) = stamps();
    assert!(matches!(Ledger::load(&stamps).unwrap(), Loaded::Nothing));
    let mut ledger = Ledger::new(1_000);
    ledger.write_all(&stamps).unwrap();
    let first = whole(&stamps).stamped();
    assert_eq!((first.sequence, first.cleared_at, first.floors.len()), (1_000 << 20, 0, 0));
    let numbers = (first.sequence + 1)..;
    let marks = [Mark::Floor(7), Mark::Cleared, Mark::Floor(8191), Mark::Floor(7)];
    for (mark, to) in marks.into_iter().zip(numbers) {
        ledger.raise(mark, to, 2_000);
        ledger.write_last(&stamps).unwrap();
    }
    let again = whole(&stamps);
    assert_eq!((again.stamped(), again.latest_ms(), again.len()), (ledger.stamped(), 2_000, 3));
    let base = first.sequence;
    assert_eq!(again.stamped().floors, [(7, base + 4), (8191, base + 3)]);
}

#[test]
fn a_log_that_ends_before_the_floor_lacks_nothing() {
    let (_store, stamps) = stamps();
    let mut ledger = Ledger::new(1_000);
    ledger.raise(Mark::Floor(7), 5, 1_000);
    ledger.write_last(&stamps).unwrap();
    stamps.remove(&7_u16.to_le_bytes()).unwrap();
    assert_eq!(whole(&stamps).stamped().floors, [(7, 5)]);
}

#[test]
fn a_stamp_that_is_lost_is_noticed() {
    let (_store, stamps) = stamps();
    let mut ledger = Ledger::new(1_000);
    for place in 0..10 {
        ledger.raise(Mark::Floor(place), u64::from(place) + 5, 1_000);
        ledger.write_last(&stamps).unwrap();
    }
    whole(&stamps);
    stamps.remove(&3_u16.to_le_bytes()).unwrap();
    assert!(matches!(Ledger::load(&stamps).unwrap(), Loaded::Torn(_)), "a floor is gone");
    put(&stamps, &3_u16.to_le_bytes(), &8_u64.to_le_bytes());
    whole(&stamps);
    put(&stamps, &3_u16.to_le_bytes(), &7_u64.to_le_bytes());
    assert!(matches!(Ledger::load(&stamps).unwrap(), Loaded::Torn(_)), "a floor is an old one");
    put(&stamps, b"h", b"what is this");
    assert!(matches!(Ledger::load(&stamps).unwrap(), Loaded::Torn(_)), "the head is another's");
    stamps.remove(b"h").unwrap();
    assert!(matches!(Ledger::load(&stamps).unwrap(), Loaded::Torn(_)), "the head is gone");
}

#[test]
fn a_later_process_begins_above_all_numbers_of_the_one_before() {
    let (mut later, mut before) = (Ledger::new(2_000), Ledger::new(1_000));
    before.raise(Mark::Floor(1), (1_000 << 20) + 9, 1_500);
    later.merge(&before);
    let stamped = later.stamped();
    assert_eq!((stamped.sequence, stamped.floors), (2_000 << 20, vec![(1, (1_000 << 20) + 9)]));
}

#[test]
fn who_comes_for_a_place_waits_for_who_is_leaving_it() {
    let folder = tempfile::tempdir().unwrap();
    let (disk, clock) = (Disk::at(folder.path()).bytes(1 << 20), Clock::held());
    let seat = Seat::take(&disk, "jays", &clock).unwrap();
    assert_eq!(Seat::take(&disk, "jays", &clock).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(Seat::take(&disk.clone().bytes(2 << 20), "owls", &clock).unwrap_err().kind(), ErrorKind::Invalid);
    seat.about_to_leave();
    std::thread::scope(|scope| {
        let next = scope.spawn(|| Seat::take(&disk, "jays", &clock));
        seat.leave().unwrap();
        next.join().unwrap().unwrap().leave().unwrap();
    });
    assert!(seat.store().is_none());
}
