//! Many threads at one store: what they read is what somebody put, and dimensions never mix.

use super::{BYTES, floats, fresh};
use scrubjay::{Durability, Vector, VectorOptions, VectorStore};
use scrubjay_disk::SimulatedDevice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Every float but the first is the first and a half.
fn assert_whole(vector: &Vector) {
    let [first, others @ ..] = vector.floats() else { panic!("no floats") };
    assert!(others.iter().all(|float| *float == *first + 0.5), "{:?}", vector.floats());
}

#[test]
fn readers_see_whole_vectors_while_writers_replace_and_remove_them() {
    let store = fresh();
    let is_over = AtomicBool::new(false);
    let write = |store: &VectorStore, from: u16| {
        for round in 0..300_u16 {
            let key = (round % 10).to_string();
            store.put("m@1", &key, &floats(from + round, 64)).unwrap();
            if round % 7 == 0 {
                store.delete_batch("m@1", &[key]).unwrap();
            }
        }
    };
    let keys: Vec<String> = (0..10).map(|key| key.to_string()).collect();
    thread::scope(|scope| {
        scope.spawn(|| write(&store, 0));
        scope.spawn(|| write(&store, 10_000));
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = 0;
                while !is_over.load(Ordering::Relaxed) || seen == 0 {
                    for vector in store.get_batch("m@1", &keys).unwrap().iter().flatten() {
                        assert_whole(vector);
                        seen += 1;
                    }
                    store.get_all("m@1").for_each(|found| assert_whole(&found.unwrap().1));
                }
            });
        }
        scope.spawn(|| {
            while store.stats().puts < 600 {
                thread::yield_now();
            }
            is_over.store(true, Ordering::Relaxed);
        });
    });
    assert_eq!(store.stats().undecodable, 0);
}

#[tokio::test]
async fn calls_are_made_beside_the_runtime_and_panics_go_on_in_the_caller() {
    let store = fresh();
    let caller = thread::current().id();
    let made = store.call(move |store| {
        assert_ne!(thread::current().id(), caller);
        store.put("m@1", "jay", &floats(1, 4))
    });
    assert!(made.await.unwrap());
    let found = store.call(|store| store.get("m@1", "jay")).await.unwrap().unwrap();
    assert_eq!(found.floats(), floats(1, 4));
    assert!(store.call(|store| store.put("m@1", "jay", &[])).await.is_err());
    let other = store.clone();
    let panicked = tokio::spawn(async move { other.call(|_| -> Result<(), _> { panic!("of the calls") }).await });
    assert!(panicked.await.unwrap_err().is_panic());
    assert!(store.check().is_ok());
}

#[test]
fn a_call_without_a_runtime_is_an_error() {
    let store = fresh();
    let mut call = std::pin::pin!(store.call(|store| store.get("m@1", "jay")));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(result) = call.as_mut().poll(&mut context) else { panic!("it waits for nothing") };
    assert_eq!(result.unwrap_err().kind(), scrubjay::ErrorKind::Unavailable);
}

#[test]
fn a_store_may_be_closed_while_others_call() {
    let store = fresh();
    thread::scope(|scope| {
        let callers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    for round in 0_u16..=u16::MAX {
                        let put = store.put("m@1", "jay", &floats(round % 100, 64));
                        let error = match put.and_then(|_| store.get("m@1", "jay")) {
                            Ok(found) => {
                                found.iter().for_each(assert_whole);
                                continue;
                            }
                            Err(error) => error,
                        };
                        assert_eq!(error.kind(), scrubjay::ErrorKind::Closed, "{error}");
                        return;
                    }
                })
            })
            .collect();
        while store.stats().puts < 50 {
            thread::yield_now();
        }
        store.close().unwrap();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    });
}

/// Puts batches of vectors of so many dimensions, and clears now and then. How many vectors were accepted.
fn put_and_clear(store: &VectorStore, dimensions: usize) -> usize {
    let mut accepted = 0;
    for round in 0..20_u16 {
        let keys: Vec<String> = (0..300).map(|key| format!("{dimensions}:{key}")).collect();
        let vector = floats(round, dimensions);
        // Refused as a whole, where the namespace has others.
        accepted += store.put_batch("m@1", keys.iter().map(|key| (key, &vector))).unwrap_or(0);
        for vector in store.get_batch("m@1", &keys).unwrap().iter().flatten() {
            assert_eq!(vector.dimensions(), dimensions);
            assert_whole(vector);
        }
        if round % 4 == 1 {
            store.clear_namespace("m@1").unwrap();
        }
    }
    accepted
}

#[test]
fn puts_of_different_dimensions_and_clears_never_mix() {
    let options = VectorOptions::bytes(BYTES).removals(Durability::Buffered);
    let store = VectorStore::open_on(Arc::new(SimulatedDevice::new(7)), options).unwrap();
    for _ in 0..20 {
        let accepted: usize = thread::scope(|scope| {
            let putters = [4, 5, 6].map(|dimensions| {
                let store = &store;
                scope.spawn(move || put_and_clear(store, dimensions))
            });
            putters.into_iter().map(|putter| putter.join().unwrap()).sum()
        });
        assert!(accepted >= 300, "{accepted}");
        let fixed = store.dimensions("m@1");
        for found in store.get_all("m@1") {
            assert_eq!(Some(found.unwrap().1.dimensions()), fixed);
        }
    }
    // Keys are asked for by those alone who put them: nobody has met what the namespace does not have.
    assert_eq!(store.stats().undecodable, 0);
}
