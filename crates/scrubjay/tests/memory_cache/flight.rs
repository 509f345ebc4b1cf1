//! One computation per key among threads, and what may come between. A closure that must wait for others to wait for it
//! reads `stats().waiting`.

use scrubjay::MemoryCache;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

fn cache() -> MemoryCache<u64, String> {
    MemoryCache::builder().entries(100).build().unwrap()
}

/// Until `count` calls, the leader's own among them, wait for a computation.
fn until_waiting(cache: &MemoryCache<u64, String>, count: u64) {
    while cache.stats().waiting < count {
        thread::yield_now();
    }
}

#[test]
fn one_of_many_threads_computes_and_the_others_share() {
    let cache = cache();
    let computed = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let value = cache.get_or_insert_with(&1, || {
                    until_waiting(&cache, 8);
                    format!("value {}", computed.fetch_add(1, Ordering::Relaxed))
                });
                assert_eq!(value, "value 0");
            });
        }
    });
    assert_eq!((cache.get(&1).as_deref(), computed.into_inner()), (Some("value 0"), 1));
    let stats = cache.stats();
    assert_eq!((stats.loads, stats.joined, stats.waiters, stats.waiting), (1, 7, 8, 0));
}

#[test]
fn a_panic_hands_the_computation_over() {
    let cache = cache();
    let tried = AtomicU64::new(0);
    let panicked = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let outcome = catch_unwind(AssertUnwindSafe(|| {
                    cache.get_or_insert_with(&1, || match tried.fetch_add(1, Ordering::SeqCst) {
                        0 => {
                            until_waiting(&cache, 4);
                            panic!("from the closure")
                        }
                        _ => "second".to_owned(),
                    })
                }));
                match outcome {
                    Ok(value) => assert_eq!(value, "second"),
                    Err(_) => drop(panicked.fetch_add(1, Ordering::SeqCst)),
                }
            });
        }
    });
    assert_eq!((tried.into_inner(), panicked.into_inner()), (2, 1));
    assert_eq!(cache.get(&1).as_deref(), Some("second"));
    assert_eq!(cache.stats().load_errors, 1);
}

#[test]
fn an_error_is_its_own_callers_and_the_next_one_tries() {
    let cache = cache();
    let tried = AtomicU64::new(0);
    let failed = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let outcome = cache.try_get_or_insert_with(&1, || match tried.fetch_add(1, Ordering::SeqCst) {
                    0 => {
                        until_waiting(&cache, 4);
                        Err("first")
                    }
                    1 => Err("second"),
                    _ => Ok("third".to_owned()),
                });
                match outcome {
                    Ok(value) => assert_eq!(value, "third"),
                    Err(_) => drop(failed.fetch_add(1, Ordering::SeqCst)),
                }
            });
        }
    });
    assert_eq!((tried.into_inner(), failed.into_inner()), (3, 2));
}

/// While one thread computes "old" and another waits for it, `meanwhile` runs. Both get "old".
fn check_overtaken(meanwhile: impl FnOnce(&MemoryCache<u64, String>), stored: Option<&str>) {
    let cache = cache();
    let (begun, done) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let value = cache.get_or_insert_with(&1, || {
                begun.wait();
                done.wait();
                "old".to_owned()
            });
            assert_eq!(value, "old");
        });
        begun.wait();
        scope.spawn(|| assert_eq!(cache.get_or_insert_with(&1, || "waited for nobody".to_owned()), "old"));
        until_waiting(&cache, 2);
        meanwhile(&cache);
        done.wait();
    });
    assert_eq!(cache.get(&1).as_deref(), stored);
    assert_eq!(cache.stats().revoked, 1);
}

#[test]
fn a_removal_wins_against_a_computation_that_began_before() {
    check_overtaken(|cache| assert_eq!(cache.remove(&1), None), None);
    check_overtaken(|cache| assert_eq!(cache.remove_many(&[1]), 0), None);
    check_overtaken(|cache| cache.clear(), None);
    check_overtaken(|cache| assert_eq!(cache.retain(|_, _| true), 0), None);
}

#[test]
fn an_insert_wins_against_a_computation_that_began_before() {
    check_overtaken(|cache| cache.insert(1, "new".to_owned()).unwrap(), Some("new"));
    check_overtaken(|cache| cache.insert_many([(1, "new".to_owned())]).unwrap(), Some("new"));
}

#[test]
fn a_computation_that_begins_after_a_removal_is_its_own() {
    let cache = cache();
    let (begun, done) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let compute = || {
                begun.wait();
                done.wait();
                "old".to_owned()
            };
            assert_eq!(cache.get_or_insert_with(&1, compute), "old");
        });
        begun.wait();
        cache.remove(&1);
        assert_eq!(cache.get_or_insert_with(&1, || "new".to_owned()), "new");
        done.wait();
    });
    assert_eq!(cache.get(&1).as_deref(), Some("new"));
}

#[test]
fn a_closure_may_write_its_own_key() {
    let cache = cache();
    let value = cache.get_or_insert_with(&1, || {
        cache.insert(1, "inserted".to_owned()).unwrap();
        "computed".to_owned()
    });
    assert_eq!((value.as_str(), cache.get(&1).as_deref()), ("computed", Some("inserted")));
}

#[test]
fn a_closure_may_compute_other_keys() {
    let cache = cache();
    let of = |n: u64| cache.get_or_insert_with(&n, || n.to_string());
    assert_eq!(cache.get_or_insert_with(&10, || of(1) + &of(2)), "12");
    assert_eq!(cache.len(), 3);
}

#[test]
fn a_closure_that_asks_for_its_own_key_panics_instead_of_waiting_for_ever() {
    let cache = cache();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        cache.get_or_insert_with(&1, || cache.get_or_insert_with(&1, || "inner".to_owned()))
    }));
    let message = outcome.unwrap_err().downcast::<&str>().unwrap();
    assert!(message.contains("would wait for itself"), "{message}");
    assert_eq!(cache.get_or_insert_with(&1, || "after".to_owned()), "after");
}

#[test]
fn closures_that_ask_for_each_others_keys_do_not_wait_for_ever() {
    let cache = cache();
    let both = Barrier::new(2);
    let panicked = AtomicU64::new(0);
    thread::scope(|scope| {
        for (own, other) in [(1, 2), (2, 1)] {
            let (cache, both, panicked) = (&cache, &both, &panicked);
            scope.spawn(move || {
                let compute = || {
                    both.wait();
                    cache.get_or_insert_with(&other, || "of the other".to_owned())
                };
                let outcome = catch_unwind(AssertUnwindSafe(|| cache.get_or_insert_with(&own, compute)));
                panicked.fetch_add(u64::from(outcome.is_err()), Ordering::SeqCst);
            });
        }
    });
    assert_eq!(panicked.into_inner(), 1);
    assert_eq!(cache.stats().waiting, 0);
}
