//! What is there after a restart, in order or not; what a damaged or a strange folder comes to.

use super::{BYTES, floats, open_on};
use scrubjay::{Durability, ErrorKind, VectorOptions, VectorStore};
use scrubjay_disk::simulated::{Fault, Injection, Operation};
use scrubjay_disk::{Options, SimulatedDevice, Store};
use std::sync::Arc;

/// 200 vectors of 8 dimensions in each of two namespaces.
fn filled(device: &SimulatedDevice) -> VectorStore {
    let store = open_on(device);
    let vectors: Vec<Vec<f32>> = (0..200).map(|at| floats(at, 8)).collect();
    for name in ["m@1", "m@2"] {
        store.put_batch(name, vectors.iter().enumerate().map(|(at, vector)| (at.to_string(), vector))).unwrap();
    }
    store
}

fn found(store: &VectorStore, name: &str) -> usize {
    let keys: Vec<String> = (0..200).map(|at| at.to_string()).collect();
    let found = store.get_batch(name, &keys).unwrap();
    for (at, vector) in (0..).zip(&found) {
        assert!(vector.as_ref().is_none_or(|vector| vector.floats() == floats(at, 8)), "vector {at}");
    }
    found.iter().flatten().count()
}

#[test]
fn everything_is_there_again_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a").join("b");
    let open = || VectorStore::open(&path, VectorOptions::bytes(BYTES)).unwrap();
    let store = open();
    store.put("m@1", "jay", &floats(3, 1536)).unwrap();
    let error = VectorStore::open(&path, VectorOptions::bytes(BYTES)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    // The last handle closes it, or whoever says so while there are others.
    drop(store);
    let store = open();
    store.put("m@1", "magpie", &floats(4, 1536)).unwrap();
    store.close().unwrap();
    assert_eq!(store.stats().puts, 1, "what it has done is still known");
    assert!(store.namespaces().is_empty() && store.get_all("m@1").next().is_none());
    let closed = store;
    let store = open();
    assert_eq!(closed.get("m@1", "jay").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(store.get("m@1", "jay").unwrap().unwrap().into_floats(), floats(3, 1536));
    assert_eq!((store.namespaces(), store.dimensions("m@1")), (vec!["m@1".to_owned()], Some(1536)));
    assert!(store.put("m@1", "jay", &floats(3, 768)).is_err(), "the dimensions are remembered");
}

#[test]
fn what_was_removed_or_cleared_stays_so_when_the_process_dies() {
    let device = SimulatedDevice::new(7);
    let store = filled(&device);
    store.flush().unwrap();
    store.delete_batch("m@1", &["1", "2", "3"]).unwrap();
    // The process dies when a call has returned, and does nothing more.
    let after_delete = device.kill();
    store.clear_namespace("m@2").unwrap();
    let after_clear = device.kill();
    let after = open_on(&after_delete);
    assert_eq!((found(&after, "m@1"), found(&after, "m@2")), (197, 200));
    let after = open_on(&after_clear);
    assert_eq!((found(&after, "m@1"), found(&after, "m@2")), (197, 0));
    assert_eq!(after.get_batch("m@1", &["1", "2", "3"]).unwrap(), [None, None, None]);
    assert_eq!(after.namespaces(), ["m@1"]);
    assert_eq!((after.len("m@1"), after.len("m@2"), after.dimensions("m@2")), (197, 0, None));
    assert!(after.put("m@2", "1", &[1.0, 2.0]).unwrap(), "other dimensions after a clear");
    assert!(after.put("m@1", "1", &[1.0, 2.0]).is_err());
    // And once more, in order.
    after.close().unwrap();
    drop(store);
}

fn open_with(device: &SimulatedDevice, removals: Durability) -> VectorStore {
    VectorStore::open_on(Arc::new(device.clone()), VectorOptions::bytes(BYTES).removals(removals)).unwrap()
}

#[test]
fn removals_survive_the_power_if_the_options_say_so() {
    for seed in 0..20 {
        let device = SimulatedDevice::new(seed);
        filled(&device).close().unwrap();
        let store = open_with(&device, Durability::Synced);
        assert!(store.delete("m@1", "1").unwrap());
        let after_delete = open_on(&device.crash());
        store.clear_namespace("m@2").unwrap();
        let after_clear = open_on(&device.crash());
        assert_eq!((found(&after_delete, "m@1"), found(&after_delete, "m@2")), (199, 200), "seed {seed}");
        assert_eq!((found(&after_clear, "m@1"), found(&after_clear, "m@2")), (199, 0), "seed {seed}");
        assert!(after_clear.put("m@2", "1", &[1.0]).unwrap(), "seed {seed}");
    }
}

#[test]
fn removals_wait_for_nothing_if_the_options_say_so() {
    let device = SimulatedDevice::new(7);
    filled(&device).close().unwrap();
    let store = open_with(&device, Durability::Buffered);
    device.inject(Injection::after(0, Fault::Stall).only(&[Operation::Write]).every(1));
    assert_eq!(store.delete_batch("m@1", &["1", "2"]).unwrap(), 2);
    assert_eq!(found(&store, "m@1"), 198);
    device.heal();
}

#[test]
fn what_was_put_before_a_flush_survives_the_process_and_before_a_sync_the_power() {
    let device = SimulatedDevice::new(7);
    let store = filled(&device);
    store.flush().unwrap();
    assert_eq!(found(&open_on(&device.kill()), "m@1"), 200);
    store.sync().unwrap();
    store.put("m@1", "5", &floats(500, 8)).unwrap();
    let after = open_on(&device.crash());
    assert_eq!((found(&after, "m@2"), after.len("m@1")), (200, 200));
    let fifth = after.get("m@1", "5").unwrap().unwrap().into_floats();
    assert!(fifth == floats(5, 8) || fifth == floats(500, 8));
}

#[test]
fn dimensions_are_those_of_the_vectors_wherever_the_power_fails() {
    let mut images = 0;
    for seed in 0..40 {
        let device = SimulatedDevice::new(seed);
        let store = open_on(&device);
        // At any operation but those of opening, the power fails; what it leaves is kept.
        device.inject(Injection::after(seed % 20, Fault::Crash).only(&[Operation::Write, Operation::Sync]));
        for round in 0_u16..4 {
            let dimensions = usize::from(round) + 1;
            store.put("m@1", "a", &floats(round, dimensions)).unwrap();
            store.put("m@1", "b", &floats(round, dimensions)).unwrap();
            store.flush().unwrap();
            store.clear_namespace("m@1").unwrap();
        }
        store.close().unwrap();
        let Some(image) = device.take_image() else { continue };
        images += 1;
        let after = open_on(&image);
        let fixed = after.dimensions("m@1");
        for found in after.get_all("m@1") {
            let (_, vector) = found.unwrap();
            assert_eq!(Some(vector.dimensions()), fixed, "seed {seed}");
            assert_eq!(vector.floats()[0], f32::from(u16::try_from(vector.dimensions()).unwrap() - 1));
        }
        let dimensions = fixed.unwrap_or(9);
        assert!(after.put("m@1", "a", &floats(1, dimensions)).unwrap(), "seed {seed}");
        assert!(after.get("m@1", "a").unwrap().is_some(), "seed {seed}");
    }
    assert!(images >= 30, "{images}");
}

#[test]
fn what_a_clear_that_the_power_took_leaves_is_not_shown_and_does_not_come_back() {
    let device = SimulatedDevice::new(7);
    let store = filled(&device);
    store.clear_namespace("m@1").unwrap();
    store.close().unwrap();
    // As if the record of the clear had lasted, and the clear had not.
    let engine = Store::open_on(Arc::new(device.clone()), Options::bytes(BYTES)).unwrap();
    let a_vector = engine.namespace("m@2").unwrap().get(b"1").unwrap().unwrap();
    engine.namespace("m@1").unwrap().put(b"1", &a_vector).unwrap();
    engine.close().unwrap();

    let store = open_on(&device);
    assert_eq!((store.get("m@1", "1").unwrap(), store.len("m@1"), store.get_all("m@1").count()), (None, 0, 0));
    assert!(!store.contains("m@1", "1") && store.dimensions("m@1").is_none());
    store.put("m@1", "2", &floats(2, 8)).unwrap();
    assert_eq!((store.get("m@1", "1").unwrap(), store.len("m@1"), found(&store, "m@1")), (None, 1, 1));
    store.close().unwrap();
    assert_eq!(found(&open_on(&device), "m@1"), 1);
}

#[test]
fn values_that_are_no_vectors_are_misses_and_counted() {
    let device = SimulatedDevice::new(7);
    filled(&device).close().unwrap();
    let engine = Store::open_on(Arc::new(device.clone()), Options::bytes(BYTES)).unwrap();
    let entries = engine.namespace("m@1").unwrap();
    entries.put(b"7", b"no vector").unwrap();
    let mut newer = entries.get(b"8").unwrap().unwrap().to_vec();
    newer[2] = 2;
    entries.put(b"8", &newer).unwrap();
    engine.close().unwrap();

    let store = open_on(&device);
    assert_eq!(store.get("m@1", "7").unwrap(), None);
    assert_eq!(found(&store, "m@1"), 198);
    let stats = store.stats();
    assert_eq!((stats.hits, stats.misses, stats.undecodable), (198, 3, 3));
    assert_eq!(store.get_all("m@1").map(Result::unwrap).count(), 198);
    assert_eq!(store.stats().undecodable, 5);
    // A put mends it.
    store.put("m@1", "7", &floats(7, 8)).unwrap();
    assert_eq!(found(&store, "m@1"), 199);
}

#[test]
fn a_namespace_whose_record_was_lost_learns_its_dimensions_from_its_vectors() {
    let device = SimulatedDevice::new(7);
    filled(&device).close().unwrap();
    let engine = Store::open_on(Arc::new(device.clone()), Options::bytes(BYTES)).unwrap();
    assert!(engine.namespace("\0vectors").unwrap().remove(b"m@1").unwrap());
    assert!(!engine.namespace("empty@1").unwrap().contains(b"k"));
    engine.close().unwrap();
    for _ in 0..2 {
        let store = open_on(&device);
        assert_eq!((store.dimensions("m@1"), store.dimensions("empty@1")), (Some(8), None));
        assert_eq!(found(&store, "m@1"), 200);
        assert!(store.put("m@1", "1", &[1.0]).is_err());
        store.close().unwrap();
    }
}

#[test]
fn a_folder_of_something_else_is_refused() {
    let device = SimulatedDevice::new(7);
    let engine = Store::open_on(Arc::new(device.clone()), Options::bytes(BYTES)).unwrap();
    engine.namespace("users").unwrap().put(b"42", b"Ada").unwrap();
    engine.close().unwrap();
    let error = VectorStore::open_on(Arc::new(device.clone()), VectorOptions::bytes(BYTES)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("must be empty or a VectorStore's"), "{error}");
    // Its owner finds it as it was.
    let engine = Store::open_on(Arc::new(device), Options::bytes(BYTES)).unwrap();
    assert_eq!(&*engine.namespace("users").unwrap().get(b"42").unwrap().unwrap(), b"Ada");
}

#[test]
fn a_vector_that_cannot_be_read_is_a_miss_of_a_get_and_an_error_of_a_walk() {
    let device = SimulatedDevice::new(7);
    filled(&device).close().unwrap();
    let store = open_on(&device);
    device.inject(Injection::after(0, Fault::Fail).only(&[Operation::Read]).every(1));
    assert_eq!(store.get("m@1", "1").unwrap(), None);
    assert_eq!(found(&store, "m@1"), 0);
    assert_eq!(store.stats().unreadable, 201);
    let error = store.get_all("m@1").next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    device.heal();
    assert_eq!(found(&store, "m@1"), 200);
    // One read of the key, then the one of the vector.
    device.inject(Injection::after(1, Fault::Fail).only(&[Operation::Read]));
    let walked: Vec<bool> = store.get_all("m@1").map(|found| found.is_ok()).collect();
    assert_eq!((walked.len(), walked[0], walked[1]), (200, false, true));
}

#[test]
fn a_damaged_vector_is_a_miss_and_the_others_are_there() {
    let device = SimulatedDevice::new(7);
    let store = filled(&device);
    store.flush().unwrap();
    let segment = "segment-0000000000000001";
    let bytes = device.contents(segment).unwrap();
    let one: Vec<u8> = floats(150, 8).iter().flat_map(|float| float.to_le_bytes()).collect();
    let at = bytes.windows(one.len()).position(|window| window == one).unwrap();
    device.flip(segment, at as u64 * 8 + 3);
    assert_eq!(found(&store, "m@1") + found(&store, "m@2"), 399);
    assert_eq!(store.stats().corrupt, 1);
}
