//! What a load does in the tiers that other processes share, before it calls the loader and after.
//!
//! Before: it asks the remote tier for a lease, so that of all processes one loads. Another may have loaded meanwhile, or be about to:
//! then its value is the answer, as if it had been found by the lookup, and no load is begun. A lease that is not to be had in time,
//! since another takes long or the server is away, is gone without: the callers get their value, and it is not shared.
//!
//! After: the value is given to the remote tier first. Only when that has taken it is it stored above, and only if the flight is
//! still there (`settle.rs`). So whoever changes the key, here or elsewhere, before, between or after, wins.
//!
//! The cache is not kept alive while others are waited for.

use super::super::Shared;
use super::super::beneath::Descent;
use super::super::on_remote::Given;
use super::super::write::{Born, bytes_of};
use crate::flight::{Answer, Lease, Scope};
use crate::key::Key;
use crate::object::ObjectBorn;
use crate::remote::{Begun, Filled, RemoteLease, RemoteTier, SharedBorn};
use crate::stats::{Came, Place};
use bytes::Bytes;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often the remote tier is asked for a lease when it answers with entries of no use: each time another one.
const ASKED_MAX: usize = 4;

/// A load of one key that is to be made.
pub(in crate::cache) struct Lead<K: Key, V> {
    pub(super) lease: Lease<K, Answer<V>>,
    /// What the remote tier has of the key, and is of no use.
    seen: Option<Bytes>,
    /// Its caller has its answer already: what is there is to be replaced, fresh or not.
    is_behind: bool,
    /// The right to store the result in the remote tier.
    remote: Option<RemoteLease>,
    shared: Option<SharedBorn>,
    object: Option<ObjectBorn>,
    /// When it began to read, by the cache's clock.
    began_ms: u64,
}

impl<K: Key, V> Lead<K, V> {
    /// Of a caller that waits.
    pub(in crate::cache) fn new(lease: Lease<K, Answer<V>>, seen: Option<Bytes>) -> Lead<K, V> {
        Lead { lease, seen, is_behind: false, remote: None, shared: None, object: None, began_ms: 0 }
    }

    /// Of one that does not.
    pub(in crate::cache) fn behind(lease: Lease<K, Answer<V>>, seen: Option<Bytes>) -> Lead<K, V> {
        Lead { is_behind: true, ..Lead::new(lease, seen) }
    }

    pub(in crate::cache) fn key(&self) -> &K {
        self.lease.key()
    }

    pub(super) fn born(&self) -> Born {
        Born { here: self.lease.begun().born, shared: self.shared, object: self.object, began_ms: self.began_ms }
    }

    pub(super) fn take_remote(&mut self) -> Option<RemoteLease> {
        self.remote.take()
    }
}

/// Asks for the leases of these loads. What is left is to be loaded; the others were answered.
pub(super) async fn lead<K, V>(cache: &Weak<Shared<K, V>>, mut leads: Vec<Lead<K, V>>) -> Vec<Lead<K, V>>
where
    K: Key,
    V: Clone + Send + Sync + 'static,
{
    let Some(to_wait_for) = cache.upgrade().map(|shared| shared.remote_to_wait_for()) else { return leads };
    if leads.len() > 1 {
        if let Some((tier, _)) = to_wait_for {
            let keys: Vec<Vec<u8>> = leads.iter().map(|lead| bytes_of(lead.key())).collect();
            let granted = tier.begin_many(&keys).await;
            for (lead, granted) in leads.iter_mut().zip(granted) {
                lead.remote = granted;
            }
        }
    } else if let Some((tier, wait)) = to_wait_for
        && let Some(lead) = leads.pop()
    {
        leads.extend(lead_one(cache, &tier, lead, wait).await);
    }
    let Some(shared) = cache.upgrade() else { return leads };
    let mut wanted = Vec::with_capacity(leads.len());
    for lead in leads {
        wanted.extend(shared.look_in_objects(lead).await);
    }
    wanted
}

async fn lead_one<K, V>(
    cache: &Weak<Shared<K, V>>,
    tier: &RemoteTier,
    mut lead: Lead<K, V>,
    wait: Duration,
) -> Option<Lead<K, V>>
where
    K: Key,
    V: Clone + Send + Sync + 'static,
{
    for _ in 0..ASKED_MAX {
        let descent = cache.upgrade()?.descend(lead.lease.hash(), lead.lease.key());
        match tier.begin(&descent.key_bytes, lead.seen.as_ref(), wait).await {
            Begun::Granted(granted) => {
                lead.remote = Some(granted);
                return Some(lead);
            }
            Begun::Filled(bytes) => {
                let shared = cache.upgrade()?;
                lead = shared.answer_with(lead, descent, bytes).await?;
            }
            Begun::Alone => return Some(lead),
        }
    }
    Some(lead)
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// The remote tier, and how long a load waits for other processes: not longer than it may take itself.
    fn remote_to_wait_for(&self) -> Option<(Arc<RemoteTier>, Duration)> {
        let remote = self.remote.as_ref()?;
        let wait = remote.tier.config().lease_wait;
        Some((Arc::clone(&remote.tier), self.settings.hard_timeout.map_or(wait, |limit| wait.min(limit))))
    }

    /// Answers the flight with what another process has loaded, if it is fresh. Else the load is still to be made.
    async fn answer_with(&self, lead: Lead<K, V>, descent: Descent<K>, bytes: Bytes) -> Option<Lead<K, V>> {
        let Some(remote) = &self.remote else { return Some(lead) };
        let hash = lead.lease.hash();
        let given = Given { key_bytes: &descent.key_bytes, born: descent.born };
        let raised = self.raise_remote(remote, given, &bytes);
        let is_fresh_enough = raised.as_ref().is_some_and(|raised| {
            let times = &raised.times;
            let due_ms = if lead.is_behind { self.due_ms(times, raised.value.is_some()) } else { times.fresh_until_ms };
            !self.clock.is_past(times.fresh_until_ms) && !self.clock.is_past(due_ms)
        });
        let Some(raised) = raised.filter(|_| is_fresh_enough) else {
            return Some(Lead { seen: Some(bytes), ..lead });
        };
        let value = raised.value.clone();
        self.count_below(Place::Remote, value.is_some());
        let is_raised = self.promote_far(hash, descent, raised);
        let key = lead.lease.key().clone();
        lead.lease.land(Answer { result: Ok(value), scope: Scope::Unknown });
        if !is_raised {
            self.raise_again(hash, &key).await;
        }
        None
    }

    /// Answers the flight with what the object tier has, if it is fresh, and gives it to the remote tier. Else the load is still to be
    /// made, and begins now.
    async fn look_in_objects(&self, mut lead: Lead<K, V>) -> Option<Lead<K, V>> {
        lead.shared = lead.remote.as_ref().and_then(|_| self.shared_born());
        lead.object = self.object_born();
        lead.began_ms = self.clock.now_ms().max(1);
        let (Some(object), Some(remote)) = (&self.object, &self.remote) else { return Some(lead) };
        // Behind a caller who has its answer, a fresh one is not wanted but a newer.
        if lead.is_behind {
            return Some(lead);
        }
        let hash = lead.lease.hash();
        let descent = self.descend(hash, lead.lease.key());
        let found = object.tier.get(&descent.key_bytes).await;
        let given = Given { key_bytes: &descent.key_bytes, born: descent.born };
        let raised = found.as_ref().and_then(|found| self.raise_object(object, given, found));
        let raised = raised.filter(|raised| !self.clock.is_past(raised.times.fresh_until_ms));
        let Some(raised) = raised else {
            self.counters.lookup(Place::Object, Came::Miss);
            return Some(lead);
        };
        self.count_below(Place::Object, raised.value.is_some());
        let mut is_revoked = false;
        if let (Some(granted), Some(born)) = (lead.take_remote(), lead.shared) {
            let entry = self.encode_raised(remote, &descent.key_bytes, &raised, (born, lead.began_ms));
            let filled = match entry {
                Some(entry) => remote.tier.fill(granted, Some(&entry)).await,
                None => Filled::Unknown,
            };
            is_revoked = filled == Filled::Revoked;
            if let (Filled::Stored, Some(found)) = (filled, &found) {
                object.tier.put_again(&descent.key_bytes, found);
            }
        }
        let value = raised.value.clone();
        if !is_revoked {
            self.promote_far(hash, descent, raised);
        }
        lead.lease.land(Answer { result: Ok(value), scope: Scope::Unknown });
        None
    }

    /// The news of a value came before the value itself, as it does for all who wait for another's load: it has taken the flight and
    /// raised the epoch. Nobody waits for this.
    async fn raise_again(&self, hash: u64, key: &K) {
        let Some(remote) = &self.remote else { return };
        let descent = self.descend(hash, key);
        if self.memory.peek(hash, key, |_, _| ()).is_some() || self.is_underway(hash, &descent.key_bytes) {
            return;
        }
        let Some(bytes) = remote.tier.get(&descent.key_bytes).await else { return };
        let given = Given { key_bytes: &descent.key_bytes, born: descent.born };
        let raised = self.raise_remote(remote, given, &bytes);
        if let Some(raised) = raised.filter(|raised| !self.clock.is_past(raised.times.fresh_until_ms)) {
            self.promote_far(hash, descent, raised);
        }
    }
}
