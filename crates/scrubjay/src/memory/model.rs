//! The tier's reads without locks under a model checker (loom): it tries every order in which two or three threads can go
//! on and every value that a load may return, within a bound of preemptions.
//!
//! `cargo xtask sanitize model` runs it; `LOOM_MAX_PREEMPTIONS=3` looks deeper. The sources are those of every build; their atomics come
//! from `sync.rs`. Where writers fence for readers (`membarrier`), the reader has a fence here.
//!
//! **What is promised.** What a reader found is neither dropped nor used again before its pin ends. A reader sees a whole value,
//! of the key that it asked for. It finds a key that is there all the time, whatever is replaced, inserted or removed beside
//! it and while the index grows; absence is seen only of a key that was absent at some moment of the lookup.

mod index;
mod life;
mod shard;
pub(super) mod sync;

use super::grace::{Grace, Published, pin, warm_up};
use life::Life;
use loom::thread;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Set where a panic would be caught by who drops.
static IS_BROKEN: AtomicBool = AtomicBool::new(false);
/// What `grace.rs` keeps in statics is of one execution at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Tries the scenario in every order, with readers as they are where writers can fence for them.
fn check(scenario: impl Fn() + Send + Sync + 'static) {
    check_with(false, scenario);
}

fn check_with(readers_fence: bool, scenario: impl Fn() + Send + Sync + 'static) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut model = loom::model::Builder::new();
    model.max_branches = 50_000;
    model.preemption_bound = model.preemption_bound.or(Some(2));
    let executions = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let count = Arc::clone(&executions);
    model.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        sync::begin();
        warm_up(readers_fence);
        scenario();
        assert!(!IS_BROKEN.swap(false, Ordering::SeqCst), "something was dropped that somebody may still look at");
    });
    println!("{} executions", executions.load(Ordering::Relaxed));
}

/// A number that says when it is looked at at the wrong time: before it was there, or after it was dropped.
struct Watched {
    number: u64,
    life: Life,
}

impl Watched {
    fn new(number: u64) -> Watched {
        Watched { number, life: Life::begin() }
    }

    fn get(&self) -> u64 {
        self.life.look();
        self.number
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.number = u64::MAX;
        if !std::thread::panicking() && catch_unwind(AssertUnwindSafe(|| self.life.end())).is_err() {
            IS_BROKEN.store(true, Ordering::SeqCst);
        }
    }
}

/// Waits until nobody reads who could have found what left.
fn wait(mut grace: Grace) {
    while !grace.is_over() {
        thread::yield_now();
    }
}

/// Loom's pointer is made by who uses it first, and that must be who shares it.
fn publish<T>(value: T) -> Arc<Published<T>> {
    let published = Published::new(Arc::new(value));
    published.load(pin().pinned());
    Arc::new(published)
}

#[test]
fn what_was_published_before_is_kept_until_its_readers_are_gone() {
    for readers_fence in [false, true] {
        check_with(readers_fence, || {
            let published = publish(Watched::new(1));
            let readers = [0; 2].map(|_| {
                let published = Arc::clone(&published);
                thread::spawn(move || {
                    let guard = pin();
                    let seen = published.load(guard.pinned());
                    assert!((1..=2).contains(&seen.get()));
                    assert!((1..=2).contains(&seen.get()));
                })
            });
            let old = published.replace(Arc::new(Watched::new(2)));
            wait(Grace::begin());
            drop(old);
            readers.into_iter().for_each(|reader| reader.join().unwrap());
        });
    }
}

/// The count of the second read says that the first has ended, so it must carry what the first one's end does.
#[test]
fn a_reader_that_comes_back_is_waited_for_again() {
    for readers_fence in [false, true] {
        check_with(readers_fence, || {
            let published = publish(Watched::new(1));
            let theirs = Arc::clone(&published);
            let reader = thread::spawn(move || {
                let mut last = 0;
                for _ in 0..2 {
                    let outer = pin();
                    let inner = pin();
                    let seen = theirs.load(outer.pinned());
                    drop(inner);
                    let number = seen.get();
                    assert!(number >= last);
                    last = number;
                }
            });
            for number in 2..4 {
                let old = published.replace(Arc::new(Watched::new(number)));
                wait(Grace::begin());
                drop(old);
            }
            reader.join().unwrap();
        });
    }
}
