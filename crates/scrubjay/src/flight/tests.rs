//! The leases under shuttle: the same source with a lock whose every step is a point where another thread may go on.
//! Beside it, what needs no second thread.

#[allow(
    clippy::duplicate_mod,
    dead_code,
    reason = "the same source over another lock is the point; not all is asked of it"
)]
#[path = "landing.rs"]
mod landing;
#[allow(
    clippy::duplicate_mod,
    dead_code,
    reason = "the same source over another lock is the point; not all is asked of it"
)]
#[path = "leases.rs"]
mod leases;
mod one_thread;
#[allow(
    clippy::duplicate_mod,
    dead_code,
    reason = "the same source over another lock is the point; not all is asked of it"
)]
#[path = "troubles.rs"]
mod troubles;

use crate::memory::Epochs;
use landing::{Begun, Landing, Waiter};
use leases::{Joined, Lease, Leases};
use shuttle::future::block_on;
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicU64, Ordering};
use shuttle::thread;
use std::pin::pin;
use std::task::{Context, Waker};

/// What the sources ask of their parent, in the form of `parking_lot` and made of shuttle.
mod sync {
    pub(super) struct Mutex<T>(shuttle::sync::Mutex<T>);
    pub(super) struct MutexGuard<'a, T>(shuttle::sync::MutexGuard<'a, T>);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Mutex<T> {
            Mutex(shuttle::sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> MutexGuard<'_, T> {
            MutexGuard(self.0.lock().unwrap())
        }

        pub(super) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok().map(MutexGuard)
        }
    }

    impl<T> std::ops::Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T> std::ops::DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }
}

const HASH: u64 = 7;
const KEY: &str = "key";
/// What the tier of the model holds when it holds nothing.
const NOTHING: u64 = u64::MAX;

/// A cache of one key: a source of truth, a tier, the leases between them.
#[derive(Clone)]
struct Model {
    leases: Leases<String, u64>,
    source: Arc<AtomicU64>,
    tier: Arc<AtomicU64>,
    /// Loads that run and were not revoked when they were counted.
    loading: Arc<AtomicU64>,
}

impl Model {
    fn new() -> Model {
        Model {
            leases: Leases::new(std::sync::Arc::new(Epochs::new(1))),
            source: Arc::new(AtomicU64::new(0)),
            tier: Arc::new(AtomicU64::new(NOTHING)),
            loading: Arc::new(AtomicU64::new(0)),
        }
    }

    fn join_or_lead(&self) -> Joined<String, u64> {
        let mut stripe = self.leases.lock(HASH);
        self.leases.join_or_lead(&mut stripe, HASH, &KEY.to_owned(), Begun { born: 0, at_ms: 0 }, |_| true)
    }

    fn load(&self, lease: Lease<String, u64>) {
        let value = self.source.load(Ordering::SeqCst);
        thread::yield_now();
        let (stripe, is_ours) = lease.finish();
        if is_ours {
            self.tier.store(value, Ordering::SeqCst);
        }
        drop(stripe);
        lease.land(value);
    }

    /// A read through the cache: the value, or nothing if the load was abandoned.
    fn read(&self) -> Option<u64> {
        let found = self.tier.load(Ordering::SeqCst);
        if found != NOTHING {
            return Some(found);
        }
        let waiter = match self.join_or_lead() {
            Joined::Follows(waiter) => waiter,
            Joined::Leads(lease, waiter) => {
                self.load(lease);
                waiter
            }
            Joined::Full => return None,
        };
        match *block_on(waiter) {
            Landing::Done(value) => Some(value),
            Landing::Abandoned { .. } => None,
        }
    }

    /// The truth changes, then the caller invalidates.
    fn change(&self, value: u64) {
        self.source.store(value, Ordering::SeqCst);
        let mut stripe = self.leases.lock(HASH);
        stripe.revoke(KEY);
        self.tier.store(NOTHING, Ordering::SeqCst);
        stripe.raise();
    }
}

fn check(scenario: fn(), times: usize) {
    shuttle::check_random(scenario, times);
    shuttle::check_pct(scenario, times, 3);
}

fn removes_among_loads() {
    let model = Model::new();
    let mut threads = Vec::new();
    for _ in 0..2 {
        let model = model.clone();
        threads.push(thread::spawn(move || {
            model.read();
            model.read();
        }));
    }
    for value in [1, 2] {
        model.change(value);
        let seen = model.read();
        assert_eq!(seen, Some(value), "a read that begins after the remove returned sees what was true then");
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert!([2, NOTHING].contains(&model.tier.load(Ordering::SeqCst)), "no load has brought an old value back");
    assert_eq!(model.leases.len(), 0);
}

#[test]
fn no_load_stores_or_answers_what_a_remove_has_overtaken() {
    check(removes_among_loads, 2_000);
}

/// Leaders that drop their lease, waiters that are dropped before and after their first poll: everybody else ends.
/// A waiter that was forgotten is a deadlock, which shuttle reports.
fn drops_everywhere() {
    let model = Model::new();
    let mut threads = Vec::new();
    for number in 0..4 {
        let model = model.clone();
        threads.push(thread::spawn(move || {
            let (lease, waiter) = match model.join_or_lead() {
                Joined::Follows(waiter) => (None, waiter),
                Joined::Leads(lease, waiter) => (Some(lease), waiter),
                Joined::Full => unreachable!("four wait"),
            };
            match (lease, number) {
                (Some(lease), 0 | 1) => drop(lease),
                (Some(lease), _) => lease.land(number),
                (None, _) => {}
            }
            if number % 2 == 0 {
                poll_once_and_drop(waiter);
            } else {
                block_on(waiter);
            }
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(model.leases.len(), 0);
}

fn poll_once_and_drop(waiter: Waiter<u64>) {
    let _ = pin!(waiter).poll(&mut Context::from_waker(Waker::noop()));
}

#[test]
fn nobody_waits_for_ever_whatever_is_dropped_when() {
    check(drops_everywhere, 2_000);
}

fn loads_of_one_key() {
    let model = Model::new();
    let mut threads = Vec::new();
    for _ in 0..3 {
        let model = model.clone();
        threads.push(thread::spawn(move || {
            for _ in 0..2 {
                if let Joined::Leads(lease, _) = model.join_or_lead() {
                    assert_eq!(model.loading.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
                    thread::yield_now();
                    model.loading.fetch_sub(1, Ordering::SeqCst);
                    drop(lease.finish());
                    lease.land(0);
                }
            }
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(model.leases.len(), 0);
}

#[test]
fn a_key_has_one_loader_at_a_time() {
    check(loads_of_one_key, 2_000);
}
