//! What is refused, with words that say what would be right; and what is just within the limits.

use super::{BYTES, fresh};
use scrubjay::{Error, ErrorKind, NewVector, VectorOptions, VectorStore};
use scrubjay_disk::SimulatedDevice;
use std::sync::Arc;
use std::time::Duration;

fn check<T: std::fmt::Debug>(result: Result<T, Error>, message: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Invalid, message));
}

#[test]
fn dimensions_are_1_to_65536_and_those_of_the_first() {
    let store = fresh();
    let zeros = vec![0.0_f32; 65_537];
    check(store.put("m@1", "k", &[]), "vector has 0 dimensions, must have 1..=65536");
    check(store.put("m@1", "k", &zeros), "vector has 65537 dimensions, must have 1..=65536");
    assert_eq!(store.namespaces(), [""; 0], "a put that is refused makes no namespace");
    assert!(store.put("m@1", "k", &zeros[1..]).unwrap());
    assert!(store.put("m@2", "k", &zeros[..1]).unwrap());
    assert_eq!(store.get("m@1", "k").unwrap().unwrap().dimensions(), 65_536);
    assert_eq!(store.get("m@2", "k").unwrap().unwrap().dimensions(), 1);
    check(
        store.put("m@2", "k", &zeros[..2]),
        "vector has 2 dimensions, must have 1 as the others in namespace \"m@2\": another model or version belongs into a \
         namespace of its own",
    );
    assert_eq!(store.get("m@2", "k").unwrap().unwrap().dimensions(), 1, "what was there stays");
    // The last of a namespace's vectors may go: its dimensions stay until it is cleared.
    store.delete("m@2", "k").unwrap();
    assert!(store.put("m@2", "k", &zeros[..2]).is_err());
}

#[test]
fn one_wrong_vector_of_a_batch_and_none_is_stored() {
    let store = fresh();
    let (one, two) = (vec![1.0_f32], vec![1.0_f32, 2.0]);
    check(
        store.put_batch("m@1", [("a", &one), ("b", &two)]),
        "vector has 2 dimensions, must have 1 as the first of the batch",
    );
    check(store.put_batch("m@1", [("a", &one), ("b", &Vec::new())]), "vector has 0 dimensions, must have 1..=65536");
    let long = "k".repeat(65_536);
    check(store.put_batch("m@1", [("a", &one), (&long, &one)]), "key is 65536 bytes, must be at most 65535");
    assert_eq!((store.namespaces().len(), store.stats().puts), (0, 0));
    assert_eq!(store.put_batch("m@1", [("a", &one), ("b", &one)]).unwrap(), 2);
    let nothing: [(&str, &Vec<f32>); 0] = [];
    assert_eq!(store.put_batch("m@2", nothing).unwrap(), 0);
    assert_eq!(store.namespaces(), ["m@1"]);
}

#[test]
fn keys_names_metadata_and_times_have_limits() {
    let store = fresh();
    let vector = [1.0_f32, 2.0];
    let key = "k".repeat(65_535);
    assert!(store.put("m@1", &key, &vector).unwrap());
    assert!(store.put("m@1", "", &vector).unwrap(), "an empty key is one");
    assert_eq!(store.get_batch("m@1", &[key.as_str(), ""]).unwrap().iter().flatten().count(), 2);
    check(store.put("m@1", format!("{key}k"), &vector), "key is 65536 bytes, must be at most 65535");

    let name = "n".repeat(255);
    assert!(store.put(&name, "k", &vector).unwrap() && store.contains(&name, "k"));
    check(store.put(format!("{name}n"), "k", &vector), "namespace is 256 bytes, must be 1..=255");
    check(store.put("", "k", &vector), "namespace is 0 bytes, must be 1..=255");
    check(store.put("\0vectors", "k", &vector), "namespace is \"\\0vectors\", must not contain a zero byte");
    assert_eq!(store.get("\0vectors", "m@1").unwrap(), None, "the catalogue is nobody's");
    store.clear_namespace("\0vectors").unwrap();
    assert!(!store.delete("\0vectors", "m@1").unwrap());

    let metadata = vec![9; 65_537];
    assert!(store.put("m@1", "most", NewVector::of(&vector).metadata(&metadata[1..])).unwrap());
    assert_eq!(store.get("m@1", "most").unwrap().unwrap().metadata(), &metadata[1..]);
    let above = NewVector::of(&vector).metadata(&metadata);
    check(store.put("m@1", "above", above), "metadata is 65537 bytes, must be at most 65536");
    let timeless = NewVector::of(&vector).time_to_live(Duration::ZERO);
    check(store.put("m@1", "timeless", timeless), "time_to_live is 0ns, must be 1ns..=4398046511103ms");
}

#[test]
fn the_longest_record_fits_into_the_smallest_store() {
    let device = SimulatedDevice::new(7);
    let open = || VectorStore::open_on(Arc::new(device.clone()), VectorOptions::bytes(4 << 20)).unwrap();
    let store = open();
    let (floats, metadata) = (vec![1.5_f32; 65_536], vec![7; 65_536]);
    store.put("rare@1", "jay", &[1.0, 2.0, 3.0]).unwrap();
    // Some times the whole store, so that it goes on to make room.
    for at in 0_u8..40 {
        let key = vec![at; 65_535];
        assert!(store.put("m@1", &key, NewVector::of(&floats).metadata(&metadata)).unwrap());
        assert!(store.get("m@1", &key).unwrap().is_some(), "vector {at}");
    }
    let stats = store.stats();
    assert!(stats.evicted > 0 && stats.used_bytes <= 4 << 20, "{stats:?}");
    // What is known of the namespaces was in the first segment, and outlives it.
    store.close().unwrap();
    let store = open();
    assert_eq!((store.dimensions("m@1"), store.stats().namespaces), (Some(65_536), 2));
    assert!((1..40).contains(&store.len("m@1")));
    assert_eq!((store.dimensions("rare@1"), store.len("rare@1")), (Some(3), 0));
}

#[test]
fn options_out_of_their_limits_are_refused() {
    let open = |options| VectorStore::open_on(Arc::new(SimulatedDevice::new(7)), options);
    check(open(VectorOptions::bytes((4 << 20) - 1)), "bytes is 4194303, must be at least 4194304");
    check(open(VectorOptions::bytes(BYTES).dimensions(0)), "dimensions is 0, must be 1..=65536");
    check(open(VectorOptions::bytes(BYTES).dimensions(65_537)), "dimensions is 65537, must be 1..=65536");
    let timeless = VectorOptions::bytes(BYTES).time_to_live(Duration::ZERO);
    check(open(timeless), "time_to_live is 0ns, must be 1ns..=4398046511103ms");
    let store = open(VectorOptions::bytes(4 << 20).dimensions(3)).unwrap();
    assert!(store.put("m@1", "k", &[1.0, 2.0, 3.0]).unwrap());
    check(store.put("m@2", "k", &[1.0, 2.0]), "vector has 2 dimensions, must have 3 as the store's options say");
}
