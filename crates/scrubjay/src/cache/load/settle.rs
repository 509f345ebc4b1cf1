//! The end of a load: what of it is stored, what is remembered of a failure, and who is told.
//!
//! Nothing of the user's runs under the stripe's lock: the entry is made before, and what it pushes out is handled after
//! those who wait have been told.

use super::super::settings::millis;
use super::super::write::{Entering, bytes_of};
use super::super::{Left, OnObject, Shared};
use super::lead::Lead;
use crate::error::Error;
use crate::flight::{Answer, Lease, Scope, Trouble};
use crate::key::Key;
use crate::options::Loaded;
use crate::remote::{Filled, RemoteLease};
use crate::stats::{Dropped, Place, Rare};
use std::time::Duration;

/// A refresh that has failed is not tried again for so long, where there is no fail-safe whose throttle says it: else every
/// hit on a stale entry would be a call of the loader.
const REFRESH_RETRY_MS: u64 = 1_000;

/// What became of a loaded value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    Stored,
    /// By the loader's word, or since it may not be.
    NotStored,
    /// Its key was removed, inserted or invalidated meanwhile.
    Revoked,
}

/// What a load has brought, ready to be stored, with the lease that says whether it may be.
pub(super) struct Ready<K: Key, V> {
    lease: Lease<K, Answer<V>>,
    value: Option<V>,
    /// `None`: it is not to be stored.
    entering: Option<Entering<K, V>>,
    scope: Scope,
    remote: Option<RemoteLease>,
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Stores what a load has brought, if the lease still holds and no stamp has overtaken it, and tells those who wait.
    /// What is not to be stored takes the old value along: that is not the truth any more either.
    pub(super) fn settle(&self, lead: Lead<K, V>, loaded: Loaded<V>, took: Duration) -> Settled {
        let ready = self.ready(lead, loaded, took);
        self.conclude(ready, None)
    }

    /// Makes of it what is to be stored.
    pub(super) fn ready(&self, mut lead: Lead<K, V>, loaded: Loaded<V>, took: Duration) -> Ready<K, V> {
        let (born, value, remote) = (lead.born(), loaded.value.clone(), lead.take_remote());
        let lease = lead.lease;
        let entering = self.prepare_loaded(lease.key().clone(), loaded, born, took).unwrap_or_else(|error| {
            self.counters.dropped(Place::Memory, Dropped::Invalid);
            tracing::warn!(
                cache = &*self.name,
                "a loaded value is not stored: its weight or an option is out of its limits"
            );
            // The text may name the key, and keys are for nobody's log.
            tracing::trace!(cache = &*self.name, %error, "a loaded value is not stored");
            None
        });
        let scope = match &entering {
            Some(entering) => Scope::Tags(entering.entry.value.tags.clone()),
            None => Scope::Unknown,
        };
        Ready { lease, value, entering, scope, remote }
    }

    fn is_still_valid(&self, ready: &Ready<K, V>) -> bool {
        let born = ready.lease.begun().born;
        match &ready.scope {
            Scope::Tags(tags) => self.stamps.is_valid(born, tags.as_deref()),
            Scope::Unknown => self.stamps.is_valid(born, None),
        }
    }

    /// Gives the remote tier what it has a lease for, if it is wanted still. What it said of each; nothing of those that it was not
    /// asked about.
    pub(super) async fn fill(&self, readies: &mut [Ready<K, V>]) -> Vec<Option<Filled>> {
        let mut answers = vec![None; readies.len()];
        let Some(remote) = &self.remote else { return answers };
        let (mut indices, mut fills) = (Vec::new(), Vec::new());
        for (index, ready) in readies.iter_mut().enumerate() {
            let is_wanted = self.is_still_valid(ready) && ready.lease.is_held();
            // Dropped, it is given back: the next one loads.
            let Some(granted) = ready.remote.take().filter(|_| is_wanted) else { continue };
            let far = ready.entering.as_mut().and_then(|entering| entering.far.as_mut());
            indices.push(index);
            fills.push((granted, far.and_then(|far| far.remote.take())));
        }
        let filled = match fills.pop() {
            Some((granted, entry)) if fills.is_empty() => vec![remote.tier.fill(granted, entry.as_ref()).await],
            Some(last) => {
                fills.push(last);
                remote.tier.fill_many(fills).await
            }
            None => Vec::new(),
        };
        for (index, filled) in indices.into_iter().zip(filled) {
            answers[index] = Some(filled);
        }
        answers
    }

    /// Ends a load whose lease in the remote tier was gone: its result is for those who wait, and for nobody else.
    pub(super) fn revoked(&self, ready: Ready<K, V>) -> Settled {
        let Ready { lease, value, entering, scope, .. } = ready;
        drop(lease.finish());
        self.counters.count_rare(Rare::Revoked);
        lease.land(Answer { result: Ok(value), scope });
        drop(entering);
        Settled::Revoked
    }

    /// Stores it, or not, and tells those who wait. `filled`: what the remote tier said, if it was asked.
    pub(super) fn conclude(&self, ready: Ready<K, V>, filled: Option<Filled>) -> Settled {
        let is_valid = self.is_still_valid(&ready);
        let Ready { lease, value, mut entering, scope, remote: _ } = ready;
        let hash = lease.hash();
        let (mut stripe, is_ours) = lease.finish();
        let (mut left, mut settled) = (None, Settled::Revoked);
        if is_ours && is_valid {
            settled = if entering.is_some() { Settled::Stored } else { Settled::NotStored };
            stripe.forget_trouble(lease.key());
            if let Some(object) = &self.object {
                self.put_object(object, lease.key(), entering.as_ref(), filled);
            }
            left = match entering.take() {
                Some(entering) => Some(self.store_or_drop(&mut stripe, hash, entering)),
                None => {
                    let (departed, _) = self.supersede(hash, lease.key());
                    stripe.raise();
                    departed.map(Left::from)
                }
            };
        }
        drop(stripe);
        if settled == Settled::Revoked {
            self.counters.count_rare(Rare::Revoked);
        }
        lease.land(Answer { result: Ok(value), scope });
        drop(entering);
        if let Some(left) = left {
            self.let_go(left);
        }
        settled
    }

    /// What the load has brought is what the object tier has from now on. With a remote tier, only what that has taken: else nobody
    /// knows whether it is the newest.
    fn put_object(&self, object: &OnObject<V>, key: &K, entering: Option<&Entering<K, V>>, filled: Option<Filled>) {
        if self.remote.is_some() && filled != Some(Filled::Stored) {
            return;
        }
        let key_bytes = bytes_of(key);
        let copy = entering.and_then(|entering| entering.far.as_ref()).and_then(|far| far.object.as_ref());
        if copy.is_some() || object.tier.holds(&key_bytes) {
            object.tier.put(&key_bytes, copy);
        }
    }

    /// Remembers the failure as far as the settings ask for it, and tells those who wait.
    pub(super) fn settle_failed(&self, lead: Lead<K, V>, error: &Error) {
        let lease = lead.lease;
        let key = lease.key().clone();
        let now_ms = self.clock.now_ms();
        let refreshes = self.settings.stale_while_revalidate_ms > 0 || self.settings.refresh_ahead > 0.0;
        let throttle_ms = match &self.settings.fail_safe {
            Some(fail_safe) => millis(fail_safe.throttle),
            None if refreshes => REFRESH_RETRY_MS,
            None => 0,
        };
        let trouble = Trouble {
            error: error.clone(),
            back_off_until_ms: now_ms + self.settings.error_backoff.map_or(0, millis),
            throttle_until_ms: now_ms + throttle_ms,
        };
        let (mut stripe, is_ours) = lease.finish();
        if is_ours {
            stripe.note_trouble(key, trouble, now_ms);
        }
        drop(stripe);
        lease.land(Answer { result: Err(error.clone()), scope: Scope::Unknown });
    }
}
