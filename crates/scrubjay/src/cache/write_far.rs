//! The way of a caller's change into the tiers that other processes share.
//!
//! The tiers above have the change already, and it is registered (`coherence.rs`): what is done here is done to its end, even if
//! nobody waits for it any more.

use super::coherence::{Changing, ToItsEnd};
use super::write::{Born, Entering, Own, bytes_of};
use super::{Left, OnRemote, Shared};
use crate::entry::Times;
use crate::error::{Error, ErrorKind};
use crate::flight::{Answer, Stripe};
use crate::kept::NewKept;
use crate::key::Key;
use crate::memory::NewEntry;
use crate::object;
use crate::remote::{self, Removal, Removals, SharedBorn};
use crate::stored::Stored;
use crate::tags::Mark;
use std::sync::Arc;

/// What an entry is in the shared tiers.
pub(super) struct FarCopy {
    /// `None`: it cannot be kept there, or is not to. Then the older one goes.
    pub(super) remote: Option<remote::Encoded>,
    pub(super) object: Option<object::Encoded>,
}

/// What a removal came to in the shared tiers.
pub(super) struct RemovedFar {
    /// For each of the keys: something was there.
    were_there: Vec<bool>,
    pub(super) deferred: Deferred,
}

/// Which of the shared tiers have not confirmed a change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deferred {
    pub(super) is_remote: bool,
    pub(super) is_object: bool,
}

/// A change for the shared tiers.
struct Change<K: Key, V: Clone + Send + Sync + 'static> {
    registered: Changing<K, V>,
    copy: Option<Box<FarCopy>>,
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// What a new insert or load begins with, if there is a remote tier.
    pub(super) fn shared_born(&self) -> Option<SharedBorn> {
        self.remote.as_ref().map(|remote| remote.tier.born())
    }

    /// The entry for the shared tiers.
    pub(super) fn far_copy(
        &self,
        entry: &NewEntry<K, Stored<V>>,
        key_bytes: &[u8],
        times: Times,
        born: Born,
    ) -> Box<FarCopy> {
        let stored = &entry.value;
        let tags: Vec<&str> = stored.tags.iter().flat_map(|tags| tags.names()).collect();
        let (cost, weight) = (entry.cost, entry.weight);
        let stored_at_ms = if born.began_ms > 0 { born.began_ms } else { times.stored_at_ms };
        let times = Times { stored_at_ms, ..times };
        let new = NewKept { key: key_bytes, times, cost, born: stored.born, weight, tags: &tags };
        let remote = self.remote.as_ref().zip(born.shared);
        let object = self.object.as_ref().zip(born.object);
        Box::new(FarCopy {
            remote: remote.and_then(|(remote, born)| self.encode_remote(remote, &new, stored, born)),
            object: object.and_then(|(object, born)| self.encode_object(object, &new, stored, born)),
        })
    }

    /// Inserts by the caller, here and there. Whether something was on disk.
    pub(super) async fn insert_far(self: &Arc<Self>, entries: Vec<Entering<K, V>>) -> bool {
        let mut is_owed = false;
        let mut changes = Vec::with_capacity(entries.len());
        for entering in entries {
            let (change, was_on_disk) = self.enter_registered(entering);
            changes.push(change);
            is_owed |= was_on_disk;
        }
        let shared = Arc::clone(self);
        ToItsEnd::new(&self.tasks, async move { shared.send(changes).await }).await;
        is_owed
    }

    fn enter_registered(self: &Arc<Self>, mut entering: Entering<K, V>) -> (Change<K, V>, bool) {
        let key = entering.entry.key.clone();
        let key_bytes = entering.key_bytes().map_or_else(|| bytes_of(&key), <[u8]>::to_vec);
        let copy = entering.far.take();
        let hash = self.memory.hash(&key);
        let (left, registered) = {
            let mut stripe = self.leases.lock(hash);
            stripe.revoke(&key);
            let left = self.store_or_drop(&mut stripe, hash, entering);
            if let Some(object) = &self.object {
                object.tier.insert(&key_bytes, copy.as_ref().and_then(|copy| copy.object.as_ref()));
            }
            (left, self.begin_change(&stripe, hash, key, key_bytes))
        };
        let is_owed = left.is_owed;
        self.let_go(left);
        (Change { registered, copy }, is_owed)
    }

    async fn send(&self, changes: Vec<Change<K, V>>) {
        let Some(remote) = &self.remote else { return };
        if let [change] = changes.as_slice() {
            let entry = change.copy.as_ref().and_then(|copy| copy.remote.as_ref());
            return remote.tier.insert(&change.registered.key_bytes, entry).await;
        }
        let (mut entries, mut registered) = (Vec::with_capacity(changes.len()), Vec::with_capacity(changes.len()));
        for Change { registered: change, copy } in changes {
            entries.push((change.key_bytes.clone(), copy.and_then(|copy| copy.remote)));
            registered.push(change);
        }
        remote.tier.insert_many(entries).await;
    }

    /// Takes keys out of the shared tiers that were taken out above.
    pub(super) async fn remove_far(self: &Arc<Self>, changes: Vec<Changing<K, V>>) -> RemovedFar {
        let shared = Arc::clone(self);
        let work = async move {
            let are_objects_gone = shared.settle_objects().await;
            let mut were_there: Vec<bool> = changes.iter().map(|change| change.was_in_objects).collect();
            let removals = match (&shared.remote, changes.as_slice()) {
                (None, _) => Vec::new(),
                (Some(remote), [change]) => vec![remote.tier.remove(&change.key_bytes).await],
                (Some(remote), changes) => {
                    let keys: Vec<Vec<u8>> = changes.iter().map(|change| change.key_bytes.clone()).collect();
                    remote.tier.remove_many(&keys).await
                }
            };
            drop(changes);
            for (was_there, removal) in were_there.iter_mut().zip(&removals) {
                *was_there |= matches!(removal, Removal::Gone { was_there: true });
            }
            let is_remote_gone = !removals.contains(&Removal::Deferred);
            RemovedFar { were_there, deferred: Deferred { is_remote: !is_remote_gone, is_object: !are_objects_gone } }
        };
        ToItsEnd::new(&self.tasks, work).await
    }

    /// Stamps the shared tiers, the cache's own stamps having been raised. The remote tier tells of it once more when it begins
    /// ([`Hearing`](super::coherence::Hearing)), and judges all that is read there by it from then on.
    ///
    /// # Errors
    /// As [`answer_of`](Shared::answer_of).
    pub(super) async fn raise_far(self: &Arc<Self>, mark: Mark) -> Result<(), Error> {
        let shared = Arc::clone(self);
        let work = async move {
            if let Some(object) = &shared.object {
                object.tier.raise(mark);
            }
            let is_object = !shared.settle_objects().await;
            let Some(remote) = &shared.remote else { return Deferred { is_object, is_remote: false } };
            let _own = shared.begin_mark(mark);
            let is_remote = remote.tier.raise(mark).await == remote::Confirmed::Deferred;
            Deferred { is_remote, is_object }
        };
        let deferred = ToItsEnd::new(&self.tasks, work).await;
        self.answer_of(deferred)
    }

    /// Fails where the remote tier has plain values, which nobody can stamp.
    ///
    /// # Errors
    /// `Invalid`.
    pub(super) fn check_stampable(&self, call: &str) -> Result<(), Error> {
        match &self.remote {
            Some(remote) if remote.tier.config().is_raw => {
                Err(Error::invalid(format!("{call}: a remote tier in raw mode has plain values, must not be raw")))
            }
            _ => Ok(()),
        }
    }

    /// What the caller is told of a change that has not reached a shared tier.
    ///
    /// # Errors
    /// `Unavailable`, unless the caller has said that it does not matter.
    pub(super) fn answer_of(&self, deferred: Deferred) -> Result<(), Error> {
        let confirms = |remote: &OnRemote<V>| remote.tier.config().removals == Removals::Confirmed;
        let which = if deferred.is_remote && self.remote.as_ref().is_some_and(confirms) {
            "remote"
        } else if deferred.is_object {
            "object"
        } else {
            return Ok(());
        };
        let may_be_lost =
            which == "remote" && self.remote.as_ref().is_some_and(|remote| remote.tier.has_lost_removals());
        let text = if may_be_lost {
            "removed here; the remote tier is away, and has more to be told than is kept: it may never be removed there"
                .into()
        } else {
            format!("removed here; the {which} tier is away, and the change is queued until it is back")
        };
        Err(Error::new(ErrorKind::Unavailable, text))
    }

    /// Stores the entry above, or takes what is older out if it may not be kept there.
    pub(super) fn store_or_drop(
        &self,
        stripe: &mut Stripe<'_, K, Answer<V>>,
        hash: u64,
        entering: Entering<K, V>,
    ) -> Left<'_, K, V> {
        if entering.is_kept {
            return self.store(stripe, hash, entering);
        }
        let own = Own { stripe: self.epochs.stripe(hash), epoch: stripe.epoch() };
        let (departed, is_owed) = self.supersede(hash, &entering.entry.key);
        stripe.raise();
        let departed = departed.unwrap_or_else(|| self.memory.nothing_departed());
        Left { departed, own: Some(own), is_owed }
    }
}

impl RemovedFar {
    /// How many keys had something there that had nothing here.
    pub(super) fn more_than(&self, were_here: &[bool]) -> usize {
        self.were_there.iter().zip(were_here).filter(|(there, here)| **there && !**here).count()
    }
}
