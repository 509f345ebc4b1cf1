//! `VectorStore` as its users see it: what comes back, in which order, after a restart, and what is refused.

#![allow(clippy::unwrap_used, reason = "a test may, in its helpers too")]

#[path = "vectors/limits.rs"]
mod limits;
#[path = "vectors/restart.rs"]
mod restart;
#[path = "vectors/together.rs"]
mod together;

use proptest::prelude::*;
use scrubjay::{Clock, NewVector, VectorNamespace, VectorOptions, VectorStore};
use scrubjay_disk::SimulatedDevice;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const BYTES: u64 = 16 << 20;

fn open_on(device: &SimulatedDevice) -> VectorStore {
    VectorStore::open_on(Arc::new(device.clone()), VectorOptions::bytes(BYTES)).unwrap()
}

fn fresh() -> VectorStore {
    open_on(&SimulatedDevice::new(7))
}

/// A vector that is known by its first float.
fn floats(of: u16, dimensions: usize) -> Vec<f32> {
    (0..dimensions).map(|at| f32::from(of) + if at == 0 { 0.0 } else { 0.5 }).collect()
}

fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|float| float.to_bits()).collect()
}

#[test]
fn what_was_put_comes_back_and_nothing_else() {
    let store = fresh();
    let vector = floats(1, 1536);
    assert!(store.put("m@1", "jay", NewVector::of(&vector).metadata(b"blue")).unwrap());
    let found = store.get("m@1", "jay").unwrap().unwrap();
    assert_eq!((found.floats(), found.metadata(), found.dimensions()), (&vector[..], &b"blue"[..], 1536));
    assert_eq!(found.expires_at(), None);
    assert_eq!(found.into_floats(), vector);
    assert_eq!(store.get("m@1", "magpie").unwrap(), None);
    assert_eq!(store.get("m@2", "jay").unwrap(), None, "another version of the model");
    assert!(store.contains("m@1", "jay") && !store.contains("m@1", "magpie") && !store.contains("m@2", "jay"));
    assert_eq!(store.dimensions("m@1"), Some(1536));
    assert_eq!(store.dimensions("m@2"), None);
}

#[test]
fn a_put_replaces_with_metadata_and_all() {
    let store = fresh();
    store.put("m@1", "jay", NewVector::of(&[1.0, 2.0]).metadata(b"old")).unwrap();
    store.put("m@1", "jay", &[3.0, 4.0]).unwrap();
    let found = store.get("m@1", "jay").unwrap().unwrap();
    assert_eq!((found.floats(), found.metadata()), (&[3.0, 4.0][..], &b""[..]));
    assert_eq!(store.len("m@1"), 1);
}

#[test]
fn whatever_is_a_vector_can_be_put() {
    let store = fresh();
    let (vec, array) = (vec![1.0_f32, 2.0], [1.0, 2.0]);
    store.put("m@1", "vec", &vec).unwrap();
    store.put("m@1", b"slice", &vec[..]).unwrap();
    store.put(VectorNamespace::of_model("m", "1").unwrap(), String::from("array"), &array).unwrap();
    let found = store.get("m@1", "vec").unwrap().unwrap();
    store.put("m@1", vec![0xff, 0], &found).unwrap();
    let keys: [&[u8]; 4] = [b"vec", b"slice", b"array", &[0xff, 0]];
    assert_eq!(store.get_batch("m@1", &keys).unwrap(), vec![Some(found); 4]);
}

#[test]
fn a_batch_answers_in_the_order_of_its_keys_with_its_misses_and_doubles() {
    let store = fresh();
    let vectors: Vec<(String, Vec<f32>)> = (0..3000).step_by(3).map(|at| (at.to_string(), floats(at, 16))).collect();
    let put = store.put_batch("m@1", vectors.iter().rev().map(|(key, vector)| (key, vector))).unwrap();
    assert_eq!(put, 1000);
    // More keys than are read at a time, none in the order in which they lie there.
    let asked: Vec<u16> = (0..3000).map(|at| at * 7 % 3000).chain([6, 6, 7]).collect();
    let keys: Vec<String> = asked.iter().map(u16::to_string).collect();
    let found = store.get_batch("m@1", &keys).unwrap();
    assert_eq!(found.len(), asked.len());
    for (at, vector) in asked.into_iter().zip(found) {
        assert_eq!(vector.map(|vector| vector.into_floats()), (at % 3 == 0).then(|| floats(at, 16)), "key {at}");
    }
    let stats = store.stats();
    assert_eq!((stats.hits, stats.misses), (1002, 2001));
    assert_eq!(store.get_batch("m@2", &keys[..5]).unwrap(), [None, None, None, None, None]);
    let nothing: [&str; 0] = [];
    assert_eq!(store.get_batch("m@1", &nothing).unwrap(), []);
    assert_eq!(store.stats().misses, 2006);
}

#[test]
fn what_is_removed_is_gone_and_counted() {
    let store = fresh();
    let vectors: Vec<Vec<f32>> = (0..10).map(|at| floats(at, 4)).collect();
    store.put_batch("m@1", vectors.iter().enumerate().map(|(at, vector)| (at.to_string(), vector))).unwrap();
    assert!(store.delete("m@1", "3").unwrap());
    assert!(!store.delete("m@1", "3").unwrap());
    assert_eq!(store.delete_batch("m@1", &["2", "3", "4", "none"]).unwrap(), 2);
    assert_eq!(store.delete_batch("m@2", &["2"]).unwrap(), 0);
    let left: Vec<u8> = store.get_all("m@1").map(|found| found.unwrap().0[0]).collect();
    assert_eq!(left, b"0156789");
    assert_eq!((store.len("m@1"), store.stats().removes), (7, 3));
    store.put("m@1", "3", &floats(33, 4)).unwrap();
    assert_eq!(store.get("m@1", "3").unwrap().unwrap().into_floats(), floats(33, 4));
}

#[test]
fn a_cleared_namespace_is_empty_and_takes_other_dimensions() {
    let store = fresh();
    for name in ["m@1", "m@2"] {
        store.put(name, "jay", &floats(1, 4)).unwrap();
        store.put(name, "rook", &floats(2, 4)).unwrap();
    }
    assert_eq!(store.namespaces(), ["m@1", "m@2"]);
    store.clear_namespace("m@1").unwrap();
    store.clear_namespace("never").unwrap();
    assert_eq!(store.namespaces(), ["m@2"]);
    assert_eq!((store.len("m@1"), store.is_empty("m@1"), store.dimensions("m@1")), (0, true, None));
    assert_eq!(store.get_batch("m@1", &["jay", "rook"]).unwrap(), [None, None]);
    assert_eq!(store.get_all("m@1").count(), 0);
    store.put("m@1", "jay", &floats(3, 8)).unwrap();
    assert_eq!(store.get("m@1", "jay").unwrap().unwrap().into_floats(), floats(3, 8));
    assert_eq!((store.len("m@1"), store.len("m@2")), (1, 2));
    assert_eq!(store.stats().namespaces, 2);
}

#[test]
fn a_walk_shows_all_vectors_once_in_the_order_of_their_puts() {
    let store = fresh();
    for at in 0..500 {
        store.put("m@1", at.to_string(), NewVector::of(&floats(at, 3)).metadata(&at.to_le_bytes())).unwrap();
        store.put("m@2", at.to_string(), &floats(at, 5)).unwrap();
    }
    store.put("m@1", "0", NewVector::of(&floats(0, 3)).metadata(&[0, 0])).unwrap();
    let expected: Vec<u16> = (1..500).chain([0]).collect();
    let mut walked = Vec::new();
    for found in store.get_all("m@1") {
        let (key, vector) = found.unwrap();
        let at = u16::from_le_bytes(vector.metadata().try_into().unwrap());
        assert_eq!((key, vector.into_floats()), (at.to_string().into_bytes(), floats(at, 3)));
        walked.push(at);
    }
    assert_eq!(walked, expected);
    assert_eq!(store.get_all("m@3").count(), 0);
    assert_eq!(store.stats().hits, 0, "a walk is no use");
}

#[test]
fn a_walk_leaves_out_what_goes_before_it_comes_there() {
    let store = fresh();
    for at in 0..10 {
        store.put("m@1", at.to_string(), &floats(at, 3)).unwrap();
    }
    let mut walk = store.get_all("m@1");
    assert_eq!(walk.next().unwrap().unwrap().0, b"0");
    store.delete_batch("m@1", &["1", "2", "3", "4"]).unwrap();
    assert_eq!(walk.next().unwrap().unwrap().0, b"5");
    store.clear_namespace("m@1").unwrap();
    assert!(walk.next().is_none());
}

#[test]
fn a_vector_is_gone_when_its_time_is_over() {
    let clock = Clock::held();
    let options = VectorOptions::bytes(BYTES).clock(clock.clone()).time_to_live(Duration::from_secs(100));
    let store = VectorStore::open_on(Arc::new(SimulatedDevice::new(7)), options).unwrap();
    let vector = floats(1, 4);
    store.put("m@1", "usual", &vector).unwrap();
    store.put("m@1", "short", NewVector::of(&vector).time_to_live(Duration::from_secs(10))).unwrap();
    store.put("m@1", "long", NewVector::of(&vector).time_to_live(Duration::from_secs(1000))).unwrap();
    let expiry = |key| store.get("m@1", key).unwrap().unwrap().expires_at().unwrap();
    assert_eq!(expiry("long").duration_since(expiry("short")).unwrap(), Duration::from_secs(990));
    let found = || store.get_batch("m@1", &["short", "usual", "long"]).unwrap().iter().flatten().count();
    clock.advance(Duration::from_millis(9_999));
    assert_eq!(found(), 3);
    clock.advance(Duration::from_millis(1));
    assert_eq!(found(), 2);
    clock.advance(Duration::from_secs(90));
    assert_eq!((found(), store.len("m@1")), (1, 1));
    clock.advance(Duration::from_secs(900));
    assert_eq!(found(), 0);
    assert_eq!(store.stats().expired, 3);
    assert_eq!(store.get_all("m@1").count(), 0);
}

#[test]
fn a_closed_store_says_so_to_every_handle() {
    let store = fresh();
    let other = store.clone();
    other.put("m@1", "jay", &[1.0]).unwrap();
    assert!(store.check().is_ok());
    store.close().unwrap();
    store.close().unwrap();
    let errors = [
        other.get("m@1", "jay").unwrap_err(),
        other.get_batch("m@1", &["jay"]).unwrap_err(),
        other.put("m@1", "jay", &[1.0]).unwrap_err(),
        other.put("m@2", "jay", &[1.0]).unwrap_err(),
        other.delete("m@1", "jay").unwrap_err(),
        other.clear_namespace("m@1").unwrap_err(),
        other.flush().unwrap_err(),
        other.sync().unwrap_err(),
        other.check().unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), scrubjay::ErrorKind::Closed, "{error}");
    }
}

/// What may happen to a store of a few keys.
#[derive(Clone, Debug)]
enum Step {
    Put { namespace: u8, key: u8, bits: Vec<u32>, metadata: Vec<u8> },
    Delete { namespace: u8, key: u8 },
    Clear { namespace: u8 },
    Flush,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let metadata = prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        8 => (0_u8..3, 0_u8..8, prop::collection::vec(any::<u32>(), 3..5), metadata)
            .prop_map(|(namespace, key, bits, metadata)| Step::Put { namespace, key, bits, metadata }),
        3 => (0_u8..3, 0_u8..8).prop_map(|(namespace, key)| Step::Delete { namespace, key }),
        1 => (0_u8..3).prop_map(|namespace| Step::Clear { namespace }),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

type Model = BTreeMap<u8, (usize, BTreeMap<u8, (Vec<u32>, Vec<u8>)>)>;

/// Does a step to both.
fn go(step: Step, store: &mut VectorStore, device: &SimulatedDevice, model: &mut Model) {
    match step {
        Step::Put { namespace, key, bits, metadata } => {
            let floats: Vec<f32> = bits.iter().map(|bits| f32::from_bits(*bits)).collect();
            let put = store.put(namespace.to_string(), [key], NewVector::of(&floats).metadata(&metadata));
            let (dimensions, vectors) = model.entry(namespace).or_insert((bits.len(), BTreeMap::new()));
            if *dimensions == bits.len() {
                assert!(put.unwrap());
                vectors.insert(key, (bits, metadata));
            } else {
                assert_eq!(put.unwrap_err().kind(), scrubjay::ErrorKind::Invalid);
            }
        }
        Step::Delete { namespace, key } => {
            let was_there = model.get_mut(&namespace).is_some_and(|(_, vectors)| vectors.remove(&key).is_some());
            assert_eq!(store.delete(namespace.to_string(), [key]).unwrap(), was_there);
        }
        Step::Clear { namespace } => {
            store.clear_namespace(namespace.to_string()).unwrap();
            model.remove(&namespace);
        }
        Step::Flush => store.flush().unwrap(),
        Step::Reopen => {
            store.close().unwrap();
            *store = open_on(device);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_store_does_what_a_map_does_bit_by_bit(steps in prop::collection::vec(step(), 1..60)) {
        let device = SimulatedDevice::new(11);
        let (mut store, mut model) = (open_on(&device), Model::new());
        for step in steps {
            go(step, &mut store, &device, &mut model);
        }
        let names: Vec<String> = model.keys().map(u8::to_string).collect();
        prop_assert_eq!(store.namespaces(), names);
        for namespace in 0..3 {
            let expected = model.get(&namespace).map(|(_, vectors)| vectors.clone()).unwrap_or_default();
            let name = namespace.to_string();
            prop_assert_eq!(store.len(&name), expected.len());
            let keys: Vec<[u8; 1]> = (0..8).map(|key| [key]).collect();
            for (key, found) in (0..8).zip(store.get_batch(&name, &keys).unwrap()) {
                let found = found.map(|vector| (bits(vector.floats()), vector.metadata().to_vec()));
                prop_assert_eq!(found.as_ref(), expected.get(&key));
            }
            let walked = store.get_all(&name).map(|found| {
                let (key, vector) = found.unwrap();
                (key[0], (bits(vector.floats()), vector.metadata().to_vec()))
            });
            prop_assert_eq!(walked.collect::<BTreeMap<_, _>>(), expected);
        }
        prop_assert_eq!(store.stats().undecodable, 0);
    }
}
