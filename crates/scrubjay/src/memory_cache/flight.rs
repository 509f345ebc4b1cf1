//! One flight per key among threads: who computes, who waits, and what a removal does to both.
//!
//! A flight is one computation of one key's value. It stands in its stripe while its result may be stored and while others
//! may join; who removes or inserts the key takes it out (revokes it), and from then on its result belongs to those who
//! wait already, and to nobody else.
//!
//! **Invariant:** `Stripe::open` is the number of flights in the stripe, raised before the flight's closure runs. So a
//! writer that reads 0 knows: whatever flight comes later sees what the writer's thread did before. That lets writers
//! pass without the stripe's lock while nobody computes; the flight, for its part, never overwrites an entry that it finds
//! when it lands.
//!
//! A thread that waits is noted beside the leader that it waits for (`Wait`). Whoever is about to close a circle, the
//! shortest being a closure that asks for its own key, panics instead of waiting for ever.

use crossbeam_utils::CachePadded;
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::thread::{self, ThreadId};

/// Stripes per core: so many that two threads seldom meet in one.
const STRIPES_PER_CORE: usize = 16;
/// Stripes, at most: 128 bytes each.
const STRIPES_MAX: usize = 1024;

/// The flights of a cache, by hash.
pub(super) struct Stripes<K, V> {
    stripes: Box<[CachePadded<Stripe<K, V>>]>,
}

/// The flights of some of the keys.
pub(super) struct Stripe<K, V> {
    open: AtomicUsize,
    /// Few: no more than there are threads. So they are compared one by one.
    flights: Mutex<Vec<Boarding<K, V>>>,
}

struct Boarding<K, V> {
    hash: u64,
    key: K,
    flight: Arc<Flight<V>>,
}

/// One computation, for the thread that does it and those that wait.
pub(super) struct Flight<V> {
    lead: Arc<Lead>,
    outcome: Mutex<Outcome<V>>,
    landed: Condvar,
}

enum Outcome<V> {
    Open,
    Landed(V),
    /// The closure failed or panicked: whoever waited tries for itself.
    Abandoned,
}

/// The room of a write: its key has no flight. Field order: the lock is let go before the key of the revoked one drops.
pub(super) struct Revoked<'a, K, V> {
    _flights: Option<MutexGuard<'a, Vec<Boarding<K, V>>>>,
    _boarding: Option<Boarding<K, V>>,
}

/// What joining a key's flight came to.
pub(super) enum Joined<'a, K, V> {
    /// Another thread computes.
    Waits(Arc<Flight<V>>),
    /// This thread computes.
    Leads(Leading<'a, K, V>),
    /// The value is there by now.
    Stored,
}

impl<K, V> Stripes<K, V> {
    pub(super) fn new() -> Stripes<K, V> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let count = cores.saturating_mul(STRIPES_PER_CORE).min(STRIPES_MAX).next_power_of_two();
        let stripe = || Stripe { open: AtomicUsize::new(0), flights: Mutex::new(Vec::new()) };
        Stripes { stripes: (0..count).map(|_| CachePadded::new(stripe())).collect() }
    }

    pub(super) fn of(&self, hash: u64) -> &Stripe<K, V> {
        let low = usize::try_from(hash & 0xffff_ffff).unwrap_or(0);
        &self.stripes[low & (self.stripes.len() - 1)]
    }

    /// Revokes every flight.
    pub(super) fn revoke_all(&self) {
        for stripe in &self.stripes {
            if stripe.is_quiet() {
                continue;
            }
            let mut flights = stripe.flights.lock();
            let revoked = std::mem::take(&mut *flights);
            stripe.note(&flights);
            drop(flights);
            drop(revoked);
        }
    }
}

impl<K, V> Stripe<K, V> {
    /// Whether no flight is open. One that opens from now on sees all that this thread has done so far.
    fn is_quiet(&self) -> bool {
        // Pairs with the fence of `join`: of a writer that goes on to look at `open` and a leader that goes on to look at
        // the source of truth, at least one sees the other.
        fence(Ordering::SeqCst);
        self.open.load(Ordering::Relaxed) == 0
    }

    fn note(&self, flights: &MutexGuard<'_, Vec<Boarding<K, V>>>) {
        self.open.store(flights.len(), Ordering::Relaxed);
    }

    /// Revokes the key's flight. The caller writes to the tier while it holds what this returns, so that no flight of the
    /// key opens or lands before the write is done.
    pub(super) fn revoke<Q>(&self, hash: u64, key: &Q) -> Revoked<'_, K, V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if self.is_quiet() {
            return Revoked { _flights: None, _boarding: None };
        }
        let mut flights = self.flights.lock();
        let boarding = find(&flights, hash, key).map(|index| flights.swap_remove(index));
        self.note(&flights);
        Revoked { _flights: Some(flights), _boarding: boarding }
    }

    /// Joins the flight of `key`, or opens one, unless `is_stored` says that the value is there.
    pub(super) fn join<Q>(&self, hash: u64, key: &Q, is_stored: impl FnOnce() -> bool) -> Joined<'_, K, V>
    where
        K: Borrow<Q>,
        Q: Eq + ToOwned<Owned = K> + ?Sized,
    {
        let mut flights = self.flights.lock();
        if let Some(index) = find(&flights, hash, key) {
            return Joined::Waits(Arc::clone(&flights[index].flight));
        }
        // A flight that has landed since the caller looked.
        if is_stored() {
            return Joined::Stored;
        }
        let lead = Arc::new(Lead { thread: thread::current().id(), is_over: AtomicBool::new(false) });
        let flight = Arc::new(Flight { lead, outcome: Mutex::new(Outcome::Open), landed: Condvar::new() });
        flights.push(Boarding { hash, key: key.to_owned(), flight: Arc::clone(&flight) });
        self.note(&flights);
        drop(flights);
        fence(Ordering::SeqCst);
        Joined::Leads(Leading { stripe: self, flight, is_landed: false })
    }

    /// Takes `flight` out, if nobody has yet.
    fn take(&self, flights: &mut MutexGuard<'_, Vec<Boarding<K, V>>>, flight: &Arc<Flight<V>>) -> Option<K> {
        let index = flights.iter().position(|boarding| Arc::ptr_eq(&boarding.flight, flight))?;
        let Boarding { key, .. } = flights.swap_remove(index);
        self.note(flights);
        Some(key)
    }
}

fn find<K, V, Q>(flights: &[Boarding<K, V>], hash: u64, key: &Q) -> Option<usize>
where
    K: Borrow<Q>,
    Q: Eq + ?Sized,
{
    flights.iter().position(|boarding| boarding.hash == hash && boarding.key.borrow() == key)
}

/// The duty to end a flight. Dropped without [`land`](Leading::land), it abandons the flight, and one of those who wait
/// takes over.
pub(super) struct Leading<'a, K, V> {
    stripe: &'a Stripe<K, V>,
    flight: Arc<Flight<V>>,
    is_landed: bool,
}

impl<K, V> Leading<'_, K, V> {
    /// Ends the flight: `store` runs, under the stripe's lock, if nobody has revoked it; those who wait get a clone of
    /// `value` in any case. `None`: it was revoked.
    pub(super) fn land<R>(mut self, value: &V, store: impl FnOnce() -> R) -> Option<R>
    where
        V: Clone,
    {
        let stored = {
            let mut flights = self.stripe.flights.lock();
            let key = self.stripe.take(&mut flights, &self.flight);
            let stored = key.is_some().then(store);
            drop(flights);
            stored
        };
        // Out of the stripe, so nobody joins any more: only those who wait hold another handle.
        if Arc::strong_count(&self.flight) > 1 {
            self.flight.end(Outcome::Landed(value.clone()));
        }
        self.is_landed = true;
        stored
    }
}

impl<K, V> Drop for Leading<'_, K, V> {
    fn drop(&mut self) {
        if self.is_landed {
            return;
        }
        let mut flights = self.stripe.flights.lock();
        let key = self.stripe.take(&mut flights, &self.flight);
        drop(flights);
        self.flight.end(Outcome::Abandoned);
        drop(key);
    }
}

impl<V> Flight<V> {
    fn end(&self, outcome: Outcome<V>) {
        self.lead.is_over.store(true, Ordering::Release);
        *self.outcome.lock() = outcome;
        self.landed.notify_all();
    }

    /// Waits for the value; `None` if the computation was abandoned.
    ///
    /// # Panics
    /// The flight could not end before this thread goes on.
    pub(super) fn wait(&self) -> Option<V>
    where
        V: Clone,
    {
        let _noted = Wait::on(&self.lead);
        let mut outcome = self.outcome.lock();
        loop {
            match &*outcome {
                Outcome::Open => self.landed.wait(&mut outcome),
                Outcome::Landed(value) => return Some(value.clone()),
                Outcome::Abandoned => return None,
            }
        }
    }
}

/// Who computes, and whether that is over.
struct Lead {
    thread: ThreadId,
    is_over: AtomicBool,
}

/// For each thread that waits, whom it waits for; of all caches, since circles may go through several.
static WAITS: Mutex<Option<HashMap<ThreadId, Arc<Lead>>>> = Mutex::new(None);

/// A thread's note that it waits, while it does.
struct Wait {
    thread: ThreadId,
}

impl Wait {
    fn on(lead: &Arc<Lead>) -> Wait {
        let thread = thread::current().id();
        let mut waits = WAITS.lock();
        let waits = waits.get_or_insert_with(HashMap::new);
        let mut next = Some(Arc::clone(lead));
        while let Some(lead) = next.filter(|lead| !lead.is_over.load(Ordering::Acquire)) {
            assert!(
                lead.thread != thread,
                "get_or_insert_with would wait for itself: its closure asks for the key whose value it computes, \
                 directly or through the closures of other threads"
            );
            next = waits.get(&lead.thread).cloned();
        }
        waits.insert(thread, Arc::clone(lead));
        Wait { thread }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(waits) = WAITS.lock().as_mut() {
            waits.remove(&self.thread);
        }
    }
}
