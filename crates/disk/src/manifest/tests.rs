use proptest::prelude::*;

use super::*;
use crate::simulated::{Fault, Injection, Operation, SimulatedDevice};

const NEW: NewStore = NewStore { segment_len: 1 << 20, now_ms: 1000 };

pub(crate) fn at(seq: u64, offset: u64) -> Position {
    Position { seq, offset }
}

fn open(device: &SimulatedDevice) -> Manifest {
    Manifest::open(Arc::new(device.clone()), NEW).unwrap()
}

fn device() -> SimulatedDevice {
    SimulatedDevice::new(1)
}

fn known(manifest: &Manifest) -> Vec<(u32, String, Position)> {
    manifest.namespaces().map(|(id, name, cleared)| (id, name.to_owned(), cleared)).collect()
}

/// Flips the lowest bit of a byte of the manifest.
fn hurt(device: &SimulatedDevice, byte: usize) {
    device.flip(FILE, byte as u64 * 8);
}

fn len(device: &SimulatedDevice) -> usize {
    device.contents(FILE).unwrap().len()
}

#[test]
fn a_store_keeps_its_identity_and_its_namespaces() {
    let device = device();
    let mut manifest = open(&device);
    assert_eq!(manifest.found(), Found::Nothing);
    assert_eq!(manifest.declare("users").unwrap(), 1);
    assert_eq!(manifest.declare("pictures\0stamps").unwrap(), 2);
    assert_eq!(manifest.declare("users").unwrap(), 1);
    manifest.clear(1, at(3, 64), 5000, true).unwrap();
    let again = open(&device);
    assert_eq!(again.identity(), manifest.identity());
    assert_eq!(again.found(), Found::Intact { torn_bytes: 0 });
    assert_eq!(known(&again), [(1, "users".into(), at(3, 64)), (2, "pictures\0stamps".into(), at(0, 0))]);
    assert_eq!(again.latest_ms(), 5000);
    let other = open(&SimulatedDevice::new(1)).identity();
    assert!(other.store_id != again.identity().store_id && other.hash_seed != again.identity().hash_seed);
}

#[test]
fn ids_are_never_given_twice_and_stay_within_19_bits() {
    let device = device();
    let mut manifest = open(&device);
    manifest.seen(41);
    assert_eq!(manifest.declare("a").unwrap(), 42);
    manifest.seen(7);
    assert_eq!(manifest.declare("b").unwrap(), 43);
    let mut again = open(&device);
    assert_eq!(again.declare("c").unwrap(), 44);
    again.seen(NAMESPACE_ID_MAX - 1);
    assert_eq!(again.declare("d").unwrap(), NAMESPACE_ID_MAX);
    assert_eq!(again.declare("e").unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(open(&device).namespaces().count(), 4);
}

#[test]
fn of_two_clears_the_later_position_wins() {
    let device = device();
    let mut manifest = open(&device);
    manifest.declare("a").unwrap();
    manifest.clear(1, at(5, 640), 1, false).unwrap();
    manifest.clear(1, at(5, 64), 2, false).unwrap();
    assert_eq!(known(&open(&device)), [(1, "a".into(), at(5, 640))]);
}

#[test]
fn a_torn_tail_is_cut_off_wherever_it_tears() {
    let device = device();
    let mut manifest = open(&device);
    manifest.declare("a").unwrap();
    let before = len(&device);
    manifest.clear(1, at(9, 64), 1, true).unwrap();
    let whole = device.contents(FILE).unwrap();
    // The name has one byte; what follows are zeros anyhow. From there on the record is whole, and its copy torn.
    for kept in before..before + 41 {
        device.set_contents(FILE, whole[..kept].to_vec());
        let mut again = open(&device);
        assert_eq!(known(&again), [(1, "a".into(), at(0, 0))], "{kept} bytes");
        assert!(matches!(again.found(), Found::Intact { .. }) && !again.is_distrusting());
        assert!(len(&device) <= before.next_multiple_of(16), "{kept} bytes");
        again.clear(1, at(7, 64), 1, true).unwrap();
        assert_eq!(known(&open(&device)), [(1, "a".into(), at(7, 64))], "{kept} bytes");
    }
}

#[test]
fn damage_in_the_middle_distrusts_whom_nothing_behind_it_names() {
    let device = device();
    let mut manifest = open(&device);
    for name in ["a", "b", "lost"] {
        manifest.declare(name).unwrap();
    }
    let lost_at = len(&device) - 2 * 48;
    manifest.declare("c").unwrap();
    manifest.clear(1, at(2, 64), 1, true).unwrap();
    hurt(&device, lost_at + 20);
    assert!(!open(&device).is_distrusting());
    hurt(&device, lost_at + 48 + 20);
    let mut again = open(&device);
    assert!(again.is_distrusting());
    let distrusted: Vec<u32> =
        again.namespaces.iter().filter(|(_, known)| known.is_distrusted).map(|(&id, _)| id).collect();
    assert_eq!(distrusted, [2]);
    again.settle(at(8, 0)).unwrap();
    let settled = [(1, "a".into(), at(2, 64)), (2, "b".into(), at(8, 0)), (4, "c".into(), at(0, 0))];
    assert_eq!(known(&again), settled);
    let later = open(&device);
    assert_eq!((known(&later), later.is_distrusting()), (settled.to_vec(), false));
}

#[test]
fn a_single_flipped_bit_behind_the_header_takes_nothing() {
    let device = device();
    let mut manifest = open(&device);
    for name in ["a", "a longer name", "b"] {
        manifest.declare(name).unwrap();
    }
    manifest.clear(1, at(2, 64), 1, true).unwrap();
    manifest.clear(2, at(3, 64), 1, true).unwrap();
    let whole = device.contents(FILE).unwrap();
    for byte in 64..whole.len() {
        device.set_contents(FILE, whole.clone());
        hurt(&device, byte);
        let again = open(&device);
        assert_eq!((known(&again), again.is_distrusting()), (known(&manifest), false), "byte {byte}");
    }
    // Two of them may hit a record and its copy, and are never taken for nothing.
    for (one, two) in (64..whole.len()).step_by(8).flat_map(|one| (64..one).step_by(16).map(move |two| (one, two))) {
        device.set_contents(FILE, whole.clone());
        hurt(&device, one);
        hurt(&device, two);
        let again = open(&device);
        let is_whole = known(&again) == known(&manifest);
        let is_last = one >= whole.len() - 80 && two >= whole.len() - 160;
        assert!(is_whole || again.is_distrusting() || is_last, "bytes {two} and {one}: {:?}", known(&again));
    }
}

#[test]
fn a_header_that_does_not_verify_begins_another_store() {
    for byte in [0, 9, 20, 60] {
        let device = device();
        let mut manifest = open(&device);
        manifest.declare("a").unwrap();
        hurt(&device, byte);
        let again = open(&device);
        assert_eq!(again.found(), Found::Unreadable);
        assert_ne!(again.identity().store_id, manifest.identity().store_id);
        assert_eq!(again.namespaces().count(), 0);
    }
}

#[test]
fn what_is_foreign_or_newer_is_an_error_and_stays_as_it_is() {
    let device = device();
    device.set_contents(FILE, vec![b'#'; 200]);
    let error = Manifest::open(Arc::new(device.clone()), NEW).unwrap_err();
    assert_eq!(
        (error.kind(), &error.to_string()[..]),
        (ErrorKind::Corrupt, "the manifest: it is not a file of Scrubjay's")
    );
    assert_eq!(device.contents(FILE).unwrap(), [b'#'; 200]);

    let mut newer = crate::segment::Frame::new(*b"SJ-MANIF");
    newer.set_u32(8, 7);
    device.set_contents(FILE, newer.seal().to_vec());
    let error = Manifest::open(Arc::new(device), NEW).unwrap_err();
    let expected = "the manifest: it has format 7, and this program reads up to format 1";
    assert_eq!((error.kind(), &error.to_string()[..]), (ErrorKind::Newer, expected));
}

#[test]
fn clearing_for_ever_does_not_let_the_file_grow_for_ever() {
    let device = device();
    let mut manifest = open(&device);
    for number in 0..20 {
        manifest.declare(&format!("namespace {number}")).unwrap();
    }
    for number in 0..10_000 {
        manifest.clear(number % 20 + 1, at(1, u64::from(number) * 16), 1, false).unwrap();
        assert!(len(&device) <= REWRITE_LEN_MIN + 96, "{} bytes", len(&device));
    }
    assert_eq!(known(&open(&device)), known(&manifest));
    assert_eq!(device.contents(FILE_NEW), None);
}

#[test]
fn what_was_declared_or_synced_survives_a_crash_and_nothing_else_is_believed() {
    for seed in 0..200 {
        let device = SimulatedDevice::new(seed);
        let mut manifest = open(&device);
        manifest.declare("a").unwrap();
        manifest.clear(1, at(1, 64), 1, true).unwrap();
        manifest.clear(1, at(2, 64), 1, false).unwrap();
        manifest.clear(1, at(3, 64), 1, false).unwrap();
        let mut again = open(&device.crash());
        assert_eq!(again.identity(), manifest.identity(), "seed {seed}");
        let (_, _, cleared) = again.namespaces().next().unwrap();
        assert!(again.is_distrusting() || (1..=3).contains(&cleared.seq), "seed {seed}: {cleared:?}");
        again.settle(at(4, 0)).unwrap();
        manifest.sync().unwrap();
        assert_eq!(known(&open(&device.crash())), [(1, "a".into(), at(3, 64))], "seed {seed}");
    }
}

#[test]
fn a_failure_at_any_operation_loses_nothing_that_was_promised() {
    for (fault, spared) in [Fault::Fail, Fault::Torn, Fault::Full, Fault::Crash, Fault::Kill]
        .into_iter()
        .flat_map(|fault| (0..60).map(move |spared| (fault, spared)))
    {
        let device = SimulatedDevice::new(spared);
        let mut manifest = open(&device);
        manifest.declare("kept").unwrap();
        device.inject(Injection::after(spared, fault));
        let mut promised = Vec::new();
        let mut promised_at_image = None;
        for number in 1..8 {
            let position = at(number, 64);
            // What is begun before the image may be in it, what ended before it must be.
            if let Ok(()) = manifest.clear(1, position, 1, true)
                && !device.has_image()
            {
                promised_at_image = Some(position);
            }
            if manifest.declare(&format!("{number}")).is_ok() {
                promised.push(format!("{number}"));
            }
        }
        device.heal();
        manifest.sync().unwrap();
        let mut again = open(&device);
        assert_eq!(known(&again)[0], (1, "kept".into(), at(7, 64)), "{fault:?} after {spared}");
        assert!(promised.iter().all(|name| again.namespaces().any(|(_, known, _)| known == name)));
        again.declare("more").unwrap();
        if let Some(image) = device.take_image() {
            let found = open(&image);
            let (_, _, cleared) = found.namespaces().next().unwrap();
            assert!(
                found.is_distrusting() || Some(cleared) >= promised_at_image,
                "{fault:?} after {spared}: {cleared:?}"
            );
        }
    }
}

#[test]
fn a_file_of_the_same_name_that_was_left_half_written_does_not_matter() {
    let device = device();
    device.set_contents(FILE_NEW, vec![1; 100]);
    assert_eq!(open(&device).found(), Found::Nothing);
    assert_eq!(device.contents(FILE_NEW), None);
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_no_new_store() {
    for operation in [Operation::Open, Operation::Len, Operation::Read] {
        let device = device();
        let identity = open(&device).identity();
        device.inject(Injection::after(0, Fault::Fail).only(&[operation]));
        let error = Manifest::open(Arc::new(device.clone()), NEW).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{operation:?}");
        assert_eq!(open(&device).identity(), identity);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        names in proptest::collection::vec("[a-z]{1,20}", 0..6), at: prop::sample::Index,
        noise in proptest::collection::vec(any::<u8>(), 0..100), is_noise_alone: bool,
    ) {
        let identity = StoreIdentity { store_id: 1, hash_seed: 2, segment_len: 3, created_ms: 4 };
        let known = |name| Known { name, cleared: Position::default(), is_distrusted: false };
        let namespaces: BTreeMap<u32, Known> = (1..).zip(names.into_iter().map(known)).collect();
        let mut bytes = bytes::encode(&identity, &namespaces, 5);
        let start = at.index(bytes.len());
        let end = bytes.len().min(start + noise.len());
        bytes[start..end].copy_from_slice(&noise[..end - start]);
        let bytes = if is_noise_alone { noise } else { bytes };
        if let Ok(contents) = read(&bytes) {
            prop_assert!(contents.namespaces.iter().all(|(id, known)| namespaces[id].name == known.name));
            prop_assert!(contents.end <= bytes.len());
        }
    }
}
