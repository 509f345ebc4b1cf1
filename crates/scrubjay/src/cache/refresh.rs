//! Loads behind a caller who has its answer already: a stale value was served, or the refresh of a fresh one is due.
//!
//! A hot key is hit thousands of times while its refresh runs, so who finds the stripe locked leaves it at that: another hit
//! will start the refresh, or has.

use super::load::{Lead, Loading};
use super::{Found, Shared};
use crate::flight::{Answer, Begun, Joined, Lease, Scope, Stripe};
use crate::key::Key;
use crate::stats::{Frequent, Rare};
use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// The value that serves with nothing to start behind it, since a refresh runs or is not to be tried yet. Of a hot key that
    /// is nearly every hit during its refresh.
    pub(super) fn served_behind<Q>(&self, hash: u64, key: &Q, found: &Found<V>) -> Option<Option<V>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let value = match found {
            Found::RefreshDue(value) => value.clone(),
            Found::Stale(stale) if stale.is_served_at_once => Some(stale.value.clone()),
            Found::Fresh(_) | Found::Stale(_) | Found::Miss => return None,
        };
        if let Some(stripe) = self.leases.try_lock(hash)
            && self.is_refreshable(&stripe, key, self.clock.now_ms())
        {
            return None;
        }
        if let Found::Stale(_) = found {
            self.counters.count(Frequent::MemoryStaleHit);
        }
        Some(value)
    }

    fn is_refreshable<Q>(&self, stripe: &Stripe<'_, K, Answer<V>>, key: &Q, at_ms: u64) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        !stripe.is_in_flight(key) && stripe.trouble(key).is_none_or(|trouble| trouble.is_over(at_ms))
    }

    /// Starts a load of the key behind, unless one runs or the loader has failed lately.
    pub(super) fn refresh(self: &Arc<Self>, hash: u64, key: K, loading: Loading<V>) {
        if let Some(lease) = self.lead_behind(hash, key) {
            self.start(vec![Lead::behind(lease, None)], loading);
        }
    }

    /// The lease for such a load, counted as one.
    pub(super) fn lead_behind(&self, hash: u64, key: K) -> Option<Lease<K, Answer<V>>> {
        let lease = {
            let mut stripe = self.leases.try_lock(hash)?;
            let at_ms = self.clock.now_ms();
            if !self.is_refreshable(&stripe, &key, at_ms) {
                return None;
            }
            let begun = Begun { born: self.stamps.born(), at_ms };
            match self.leases.join_or_lead(&mut stripe, hash, &key, begun, |_| true) {
                Joined::Leads(lease, _) => lease,
                Joined::Follows(_) | Joined::Full => return None,
            }
        };
        // Another refresh may have ended between the caller's lookup and the lease. Who has joined meanwhile gets what it left.
        if let Found::Fresh(value) = self.peek_in_memory(hash, lease.key()) {
            lease.land(Answer { result: Ok(value), scope: Scope::Unknown });
            return None;
        }
        self.counters.count_rare(Rare::Refresh);
        Some(lease)
    }
}
