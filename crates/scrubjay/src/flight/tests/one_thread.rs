//! Leases without a second thread: who may join, what is counted, what is bounded.

use crate::error::{Error, ErrorKind};
use crate::flight::{Begun, Joined, Landing, Lease, Leases, Trouble, WAITERS_MAX, Waiter};
use crate::memory::Epochs;
use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

fn leases() -> Leases<u64, u64> {
    Leases::new(Arc::new(Epochs::new(4)))
}

fn join(leases: &Leases<u64, u64>, key: u64, may_join: bool) -> Joined<u64, u64> {
    let mut stripe = leases.lock(key);
    leases.join_or_lead(&mut stripe, key, &key, Begun { born: 0, at_ms: 0 }, |_| may_join)
}

fn lead(leases: &Leases<u64, u64>, key: u64) -> (Lease<u64, u64>, Waiter<u64>) {
    match join(leases, key, true) {
        Joined::Leads(lease, waiter) => (lease, waiter),
        _ => panic!("nobody loads {key}"),
    }
}

fn landed(waiter: Waiter<u64>) -> Option<Result<u64, bool>> {
    match pin!(waiter).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => None,
        Poll::Ready(landing) => Some(match *landing {
            Landing::Done(value) => Ok(value),
            Landing::Abandoned { is_panic } => Err(is_panic),
        }),
    }
}

fn is_stored(lease: Lease<u64, u64>, value: u64) -> bool {
    let (stripe, is_ours) = lease.finish();
    drop(stripe);
    lease.land(value);
    is_ours
}

#[test]
fn the_one_who_leads_and_those_who_join_get_the_same_result() {
    let leases = leases();
    let (lease, first) = lead(&leases, 1);
    let Joined::Follows(second) = join(&leases, 1, true) else { panic!("a flight is there") };
    assert!(is_stored(lease, 5));
    assert_eq!((landed(first), landed(second)), (Some(Ok(5)), Some(Ok(5))));
    assert_eq!(leases.len(), 0);
}

#[test]
fn a_revoked_lease_is_not_stored_and_answers_only_those_who_asked_before() {
    let leases = leases();
    let (old, before) = lead(&leases, 1);
    assert!(leases.lock(1).revoke(&1));
    let (new, after) = lead(&leases, 1);
    assert!(!is_stored(old, 5));
    assert_eq!(landed(before), Some(Ok(5)));
    assert!(is_stored(new, 6), "the end of the old flight left the new one alone");
    assert_eq!(landed(after), Some(Ok(6)));
}

#[test]
fn a_flight_that_may_not_be_joined_is_revoked() {
    let leases = leases();
    let (old, _before) = lead(&leases, 1);
    let Joined::Leads(new, _after) = join(&leases, 1, false) else { panic!("the flight was refused") };
    assert!(!is_stored(old, 5));
    assert!(is_stored(new, 6));
}

#[test]
fn a_dropped_lease_tells_those_who_wait_and_lets_the_next_one_lead() {
    let leases = leases();
    let (lease, waiter) = lead(&leases, 1);
    drop(lease);
    assert_eq!(landed(waiter), Some(Err(false)));
    lead(&leases, 1);
}

#[test]
fn a_lease_dropped_by_a_panic_says_so() {
    let leases = leases();
    let (lease, waiter) = lead(&leases, 1);
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _lease = lease;
        std::panic::resume_unwind(Box::new("the weigher"));
    }));
    assert!(caught.is_err());
    assert_eq!(landed(waiter), Some(Err(true)));
}

#[test]
fn revoking_by_a_condition_spares_the_other_keys_and_raises_every_epoch() {
    let leases = leases();
    let kept: Vec<_> = [1, 3].map(|key| lead(&leases, key)).into();
    let gone: Vec<_> = [2, 4].map(|key| lead(&leases, key)).into();
    let before: Vec<u64> = (0..4).map(|hash| leases.lock(hash).epoch()).collect();
    leases.revoke_where(|key| key % 2 == 0);
    for hash in 0..4 {
        assert_eq!(leases.lock(hash).epoch(), before[usize::try_from(hash).unwrap()] + 1);
    }
    assert!(kept.into_iter().all(|(lease, _)| is_stored(lease, 0)));
    assert!(!gone.into_iter().any(|(lease, _)| is_stored(lease, 0)));
}

#[test]
fn as_many_as_the_limit_wait_and_one_more_is_refused_until_one_leaves() {
    let leases = leases();
    let (lease, first) = lead(&leases, 1);
    let mut waiters: Vec<_> = (1..WAITERS_MAX)
        .map(|_| match join(&leases, 1, true) {
            Joined::Follows(waiter) => waiter,
            _ => panic!("below the limit"),
        })
        .collect();
    assert!(matches!(join(&leases, 1, true), Joined::Full));
    waiters.pop();
    assert!(matches!(join(&leases, 1, true), Joined::Follows(_)));
    lease.land(5);
    assert_eq!(landed(first), Some(Ok(5)));
    assert!(waiters.into_iter().all(|waiter| landed(waiter) == Some(Ok(5))));
}

/// A waker that counts.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn the_task_that_polled_last_is_the_one_that_is_woken() {
    let leases = leases();
    let (lease, mut waiter) = lead(&leases, 1);
    let bells = [Arc::<Bell>::default(), Arc::default()];
    for bell in &bells {
        let waker = Waker::from(Arc::clone(bell));
        assert!(Pin::new(&mut waiter).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    lease.land(5);
    assert_eq!(bells.map(|bell| bell.0.load(Ordering::SeqCst)), [0, 1]);
}

#[test]
fn who_leaves_takes_its_waker_along() {
    let leases = leases();
    let (_lease, mut waiter) = lead(&leases, 1);
    let bell = Arc::<Bell>::default();
    let waker = Waker::from(Arc::clone(&bell));
    assert!(Pin::new(&mut waiter).poll(&mut Context::from_waker(&waker)).is_pending());
    drop((waiter, waker));
    assert_eq!(Arc::strong_count(&bell), 1, "the task is not kept alive by a flight that it has left");
}

fn trouble(until_ms: u64) -> Trouble {
    let error = Error::new(ErrorKind::Loader, "no");
    Trouble { error, back_off_until_ms: until_ms, throttle_until_ms: 0 }
}

#[test]
fn a_trouble_is_remembered_until_an_invalidation() {
    let leases = leases();
    leases.lock(1).note_trouble(1, trouble(100), 1);
    assert!(leases.lock(1).trouble(&1).is_some());
    leases.lock(1).revoke(&1);
    assert!(leases.lock(1).trouble(&1).is_none());
}

#[test]
fn a_failure_that_asks_for_no_time_ends_the_one_before() {
    let leases = leases();
    leases.lock(1).note_trouble(1, trouble(100), 1);
    leases.lock(1).note_trouble(1, trouble(0), 2);
    assert!(leases.lock(1).trouble(&1).is_none());
}

#[test]
fn troubles_are_bounded_and_those_that_are_over_go_first() {
    let leases: Leases<u64, u64> = Leases::new(Arc::new(Epochs::new(1)));
    for key in 0..30_000 {
        leases.lock(0).note_trouble(key, trouble(100), 1);
    }
    let remembered =
        |leases: &Leases<u64, u64>| (0..30_000).filter(|key| leases.lock(0).trouble(key).is_some()).count();
    assert_eq!(remembered(&leases), 16_384);
    leases.lock(0).note_trouble(30_000, trouble(300), 200);
    assert_eq!(remembered(&leases), 0);
    assert!(leases.lock(0).trouble(&30_000).is_some());
}

/// A key that looks, when it drops, whether a stripe is locked.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Probe(u64);

thread_local! {
    static PROBED: Leases<Probe, u64> = Leases::new(Arc::new(Epochs::new(1)));
    /// Keys that dropped, and of them those that found the stripe locked.
    static DROPS: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

impl Drop for Probe {
    fn drop(&mut self) {
        // Not at the thread's end, when the leases are gone.
        if let Ok(is_locked) = PROBED.try_with(|leases| leases.try_lock(0).is_none()) {
            let (all, locked) = DROPS.get();
            DROPS.set((all + 1, locked + u64::from(is_locked)));
        }
    }
}

/// What `act` does drops so many keys, none of them with the stripe locked.
fn drops(expected: u64, what: &str, act: impl FnOnce(&Leases<Probe, u64>)) {
    DROPS.set((0, 0));
    PROBED.with(act);
    assert_eq!(DROPS.get(), (expected, 0), "{what}");
}

#[test]
fn keys_drop_when_the_stripe_is_unlocked() {
    let key = Probe(1);
    let join = |leases: &Leases<Probe, u64>, may_join| {
        leases.join_or_lead(&mut leases.lock(0), 0, &key, Begun { born: 0, at_ms: 0 }, |_| may_join)
    };
    let in_trouble = |leases: &Leases<Probe, u64>, key: &Probe, until_ms, now_ms| {
        leases.lock(0).note_trouble(key.clone(), trouble(until_ms), now_ms);
    };
    drops(2, "led and landed", |leases| {
        let Joined::Leads(lease, _) = join(leases, true) else { panic!("nobody leads") };
        let Joined::Follows(_) = join(leases, true) else { panic!("one leads") };
        lease.land(1);
    });
    drops(3, "a flight takes another's place", |leases| {
        let Joined::Leads(first, _) = join(leases, true) else { panic!("nobody leads") };
        let Joined::Leads(second, _) = join(leases, false) else { panic!("it may not be joined") };
        drop((first, second));
    });
    for by_key in [true, false] {
        drops(3, "revoked", |leases| {
            let Joined::Leads(_lease, _) = join(leases, true) else { panic!("nobody leads") };
            in_trouble(leases, &key, 100, 1);
            if by_key {
                assert!(leases.lock(0).revoke(&key));
            } else {
                leases.revoke_where(|_| true);
            }
        });
    }
    drops(3, "trouble after trouble, and its end", |leases| {
        in_trouble(leases, &key, 100, 1);
        in_trouble(leases, &key, 200, 1);
        in_trouble(leases, &key, 0, 1);
    });
    let others: Vec<Probe> = (0..16_384).map(Probe).collect();
    drops(3 + 16_384, "more troubles than are remembered", |leases| {
        others.iter().for_each(|key| in_trouble(leases, key, 100, 1));
        in_trouble(leases, &Probe(u64::MAX), 100, 1);
        in_trouble(leases, &Probe(u64::MAX - 1), 300, 200);
    });
    PROBED.with(|leases| leases.revoke_where(|_| true));
}
