//! The stripes: which keys are being loaded, who may join, and whose result is still wanted.
//!
//! Its lock comes from the parent module, so that the tests can run it under a scheduler that tries the orders of events.

use super::landing::{Begun, Flight, Landing, Waiter};
use super::sync::{Mutex, MutexGuard};
use super::troubles::{Gone, Trouble, Troubles};
use crate::memory::Epochs;
use ahash::RandomState;
use crossbeam_utils::CachePadded;
use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// The flights of a cache. `T` is what a load ends with. A clone is another handle on the same.
pub(crate) struct Leases<K, T> {
    board: Arc<Board<K, T>>,
}

/// On a cache line of its own, so that neighbours do not slow each other down.
type Lock<T> = CachePadded<Mutex<T>>;

struct Board<K, T> {
    stripes: Box<[Lock<Held<K, T>>]>,
    epochs: Arc<Epochs>,
}

/// What a stripe's lock guards, besides the keys of this stripe in the tiers.
struct Held<K, T> {
    flights: HashMap<K, Arc<Flight<T>>, RandomState>,
    troubles: Troubles<K>,
}

/// A stripe, locked.
pub(crate) struct Stripe<'a, K, T> {
    held: MutexGuard<'a, Held<K, T>>,
    epochs: &'a Epochs,
    index: usize,
    /// What was taken out. After the lock in this list, so that it drops when the stripe is unlocked: how a key or a loader's
    /// error drops is the user's code.
    gone: Vec<Gone<K>>,
}

/// What [`Leases::join_or_lead`] came to.
pub(crate) enum Joined<K: Hash + Eq, T> {
    /// Another loads already.
    Follows(Waiter<T>),
    /// The caller is to load. It waits like the others, or throws its waiter away.
    Leads(Lease<K, T>, Waiter<T>),
    /// Another loads already, and [`WAITERS_MAX`](super::WAITERS_MAX) wait for it.
    Full,
}

/// The right to load a key, and to store the result unless somebody revokes it. Goes with the load: dropped, it tells
/// everyone who waits that there will be no result.
pub(crate) struct Lease<K: Hash + Eq, T> {
    board: Arc<Board<K, T>>,
    flight: Arc<Flight<T>>,
    key: K,
    hash: u64,
    is_finished: Cell<bool>,
    is_landed: bool,
}

impl<K: Hash + Eq + Clone, T> Leases<K, T> {
    /// As many stripes as `epochs` has.
    pub(crate) fn new(epochs: Arc<Epochs>) -> Leases<K, T> {
        let hasher = RandomState::new();
        let held = || Held {
            flights: HashMap::with_hasher(hasher.clone()),
            troubles: Troubles::new(epochs.len(), hasher.clone()),
        };
        let stripes = (0..epochs.len()).map(|_| CachePadded::new(Mutex::new(held()))).collect();
        Leases { board: Arc::new(Board { stripes, epochs }) }
    }

    /// Locks the stripe of a key, by its hash in the memory tier.
    pub(crate) fn lock(&self, hash: u64) -> Stripe<'_, K, T> {
        self.board.lock(hash)
    }

    /// The same, unless somebody has it.
    pub(crate) fn try_lock(&self, hash: u64) -> Option<Stripe<'_, K, T>> {
        let index = self.board.epochs.stripe(hash);
        let held = self.board.stripes[index].try_lock()?;
        Some(Stripe { held, epochs: &self.board.epochs, index, gone: Vec::new() })
    }

    /// Revokes every lease whose key is wanted, and raises the epoch of every stripe. O(stripes + flights).
    pub(crate) fn revoke_where(&self, mut is_wanted: impl FnMut(&K) -> bool) {
        for index in 0..self.board.stripes.len() {
            let mut stripe = self.board.locked(index);
            let Stripe { held, gone, .. } = &mut stripe;
            let Held { flights, troubles } = &mut **held;
            gone.extend(flights.extract_if(|key, _| is_wanted(key)).map(|(key, _)| (key, None)));
            troubles.forget_where(&mut is_wanted, gone);
            stripe.raise();
        }
    }

    /// Loads under way that were not revoked.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.board.stripes.iter().map(|stripe| stripe.lock().flights.len()).sum()
    }
}

impl<K, T> Clone for Leases<K, T> {
    fn clone(&self) -> Leases<K, T> {
        Leases { board: Arc::clone(&self.board) }
    }
}

impl<K, T> Board<K, T> {
    fn lock(&self, hash: u64) -> Stripe<'_, K, T> {
        self.locked(self.epochs.stripe(hash))
    }

    fn locked(&self, index: usize) -> Stripe<'_, K, T> {
        Stripe { held: self.stripes[index].lock(), epochs: &self.epochs, index, gone: Vec::new() }
    }
}

impl<K: Hash + Eq + Clone, T> Stripe<'_, K, T> {
    /// Takes the flight of `key` out: those who wait get its result, nobody joins it any more, it will not be stored.
    /// Forgets the key's trouble too. Says whether there was a flight.
    pub(crate) fn revoke<Q>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.forget_trouble(key);
        if self.held.flights.is_empty() {
            return false;
        }
        let revoked = self.held.flights.remove_entry(key);
        let was_there = revoked.is_some();
        self.gone.extend(revoked.map(|(key, _)| (key, None)));
        was_there
    }

    /// Raises the stripe's epoch. After the tiers were changed, before the stripe is unlocked.
    pub(crate) fn raise(&self) {
        self.epochs.raise(self.index);
    }

    /// The stripe's epoch, which stands still while the stripe is locked.
    pub(crate) fn epoch(&self) -> u64 {
        self.epochs.get(self.index)
    }

    /// Whether a load of `key` is under way.
    pub(crate) fn is_in_flight<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.held.flights.contains_key(key)
    }

    /// Remembers that the loader of `key` failed.
    pub(crate) fn note_trouble(&mut self, key: K, trouble: Trouble, now_ms: u64) {
        self.held.troubles.note(key, trouble, now_ms, &mut self.gone);
    }

    /// Forgets it.
    pub(crate) fn forget_trouble<Q>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let forgotten = self.held.troubles.forget(key);
        self.gone.extend(forgotten);
    }

    /// What is remembered of the last failure to load `key`. Whether it still matters is for the caller's clock to say.
    pub(crate) fn trouble<Q>(&self, key: &Q) -> Option<&Trouble>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.held.troubles.get(key)
    }
}

impl<K: Hash + Eq + Clone, T> Leases<K, T> {
    /// Joins the flight of `key`, or leads one that begins now. `stripe` is the key's, locked, of these leases.
    /// A flight which `may_join` refuses is revoked.
    pub(crate) fn join_or_lead(
        &self,
        stripe: &mut Stripe<'_, K, T>,
        hash: u64,
        key: &K,
        begun: Begun,
        may_join: impl FnOnce(Begun) -> bool,
    ) -> Joined<K, T> {
        let other = stripe.held.flights.get_mut(key);
        if let Some(flight) = &other
            && may_join(flight.begun)
        {
            return flight.board().map_or(Joined::Full, Joined::Follows);
        }
        let flight = Arc::new(Flight::new(begun));
        let Some(waiter) = flight.board() else { return Joined::Full };
        match other {
            Some(other) => *other = Arc::clone(&flight),
            None => drop(stripe.held.flights.insert(key.clone(), Arc::clone(&flight))),
        }
        let (board, is_finished) = (Arc::clone(&self.board), Cell::new(false));
        Joined::Leads(Lease { board, flight, key: key.clone(), hash, is_finished, is_landed: false }, waiter)
    }
}

impl<K: Hash + Eq, T> Lease<K, T> {
    /// Whose load this is.
    pub(crate) fn key(&self) -> &K {
        &self.key
    }

    /// Its hash in the memory tier.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// When the load began.
    pub(crate) fn begun(&self) -> Begun {
        self.flight.begun
    }

    /// Whether nobody has revoked it so far.
    pub(crate) fn is_held(&self) -> bool {
        let stripe = self.board.lock(self.hash);
        stripe.held.flights.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight))
    }

    /// Ends the flight: nobody joins it any more. With the stripe locked, says whether nobody has revoked the lease: only
    /// then may the result be stored, before the stripe is unlocked.
    pub(crate) fn finish(&self) -> (Stripe<'_, K, T>, bool) {
        let mut stripe = self.board.lock(self.hash);
        let is_ours = stripe.held.flights.get(&self.key).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight));
        if is_ours {
            let flight = stripe.held.flights.remove_entry(&self.key);
            stripe.gone.extend(flight.map(|(key, _)| (key, None)));
        }
        self.is_finished.set(true);
        (stripe, is_ours)
    }

    /// Tells everyone who waits. Usually after [`finish`](Lease::finish); else it ends the flight without storing anything.
    pub(crate) fn land(mut self, result: T) {
        if !self.is_finished.get() {
            drop(self.finish());
        }
        self.is_landed = true;
        self.flight.land(Landing::Done(result));
    }
}

impl<K: Hash + Eq, T> Drop for Lease<K, T> {
    fn drop(&mut self) {
        if !self.is_landed {
            drop(self.finish());
            self.flight.land(Landing::Abandoned { is_panic: std::thread::panicking() });
        }
    }
}
