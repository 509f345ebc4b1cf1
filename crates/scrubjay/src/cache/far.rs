//! The tiers that other processes share, as a lookup sees them: what they have of a key, and its way up.
//!
//! What is found there goes up by the rules of every tier below memory (`beneath.rs`), and by two more. It was born, for the
//! stamps of this cache, when the lookup set out: what is stamped from then on concerns it, and the remote tier has judged it by all
//! that was stamped before. And it does not go up while a change of our own is on its way (`coherence.rs`).
//!
//! It leaves what is below memory behind: an older version there, past its time, goes. What is past its time, but may
//! serve still, goes up as well: who asks next should not have to ask so far.

use super::beneath::{Descent, Raised};
use super::on_remote::Given;
use super::write::{Beneath, Entering, Room};
use super::{Found, Shared, Start};
use crate::entry::Times;
use crate::key::Key;
use crate::options::EntryOptions;
use crate::remote::Trust;
use crate::stats::{Came, Dropped, Place};
use bytes::Bytes;
use parking_lot::Mutex;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a lookup in these tiers came to.
pub(super) struct FoundFar<V> {
    pub(super) found: Found<V>,
    /// What the remote tier has of the key, if that is of no use as a fresh value.
    pub(super) seen: Option<Bytes>,
    /// It went up.
    pub(super) is_raised: bool,
}

/// The epochs that a call for many keys has raised itself, by what goes up: by stripe, from which to which. Else of all keys of a
/// stripe that are fetched in one request only the first could go up.
#[derive(Debug, Default)]
pub(super) struct OwnRaises {
    now: HashMap<(usize, u64), u64, ahash::RandomState>,
}

impl OwnRaises {
    /// What the stripe's epoch is if nobody else has raised it since it was `epoch`.
    fn expected(&self, stripe: usize, epoch: u64) -> u64 {
        self.now.get(&(stripe, epoch)).copied().unwrap_or(epoch)
    }

    /// Something went up that expected this.
    fn raised(&mut self, stripe: usize, epoch: u64) {
        let expected = self.expected(stripe, epoch);
        self.now.insert((stripe, epoch), expected + 1);
    }
}

/// What a call for many keys has fetched of one, before it knew that it would be the one to ask for it.
pub(super) struct Fetched<K> {
    descent: Descent<K>,
    bytes: Option<Bytes>,
    raises: Arc<Mutex<OwnRaises>>,
}

impl<V> From<Found<V>> for FoundFar<V> {
    fn from(found: Found<V>) -> FoundFar<V> {
        FoundFar { found, seen: None, is_raised: false }
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Whether there is a tier that other processes share.
    #[inline]
    pub(super) fn has_far(&self) -> bool {
        self.remote.is_some() || self.object.is_some()
    }

    /// Looks in the shared tiers, and counts what that came to.
    pub(super) async fn find_far<Q>(&self, hash: u64, key: &Q, start: Start) -> FoundFar<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let descent = self.descend(hash, key);
        if self.is_underway(hash, &descent.key_bytes) {
            return self.found_nothing();
        }
        if let Some(remote) = &self.remote {
            let bytes = remote.tier.get(&descent.key_bytes).await;
            if self.object.is_none() {
                return self.found_remote(remote, (hash, descent), bytes, start);
            }
            let far = self.found_remote(remote, (hash, descent.clone()), bytes, start);
            // A load asks the object tier when it has its lease (lead.rs).
            if start == Start::BelowFlight || !matches!(far.found, Found::Miss) {
                return far;
            }
        }
        match &self.object {
            Some(object) => self.find_in_objects(object, (hash, descent), start).await,
            None => Found::Miss.into(),
        }
    }

    /// A change of the key is on its way: what the shared tiers have of it is not asked for.
    fn found_nothing(&self) -> FoundFar<V> {
        let place = if self.remote.is_some() { Place::Remote } else { Place::Object };
        self.counters.lookup(place, Came::Miss);
        Found::Miss.into()
    }

    /// The same for many keys, each with its hash, in their order: in one request to each tier.
    pub(super) async fn find_each_far(&self, asked: Vec<(u64, Descent<K>)>, start: Start) -> Vec<FoundFar<V>> {
        let (mut found, mut raises) = (Vec::with_capacity(asked.len()), OwnRaises::default());
        let may_ask = |asked: &(u64, Descent<K>)| !self.is_underway(asked.0, &asked.1.key_bytes);
        let may_ask: Vec<bool> = asked.iter().map(may_ask).collect();
        if let Some(remote) = &self.remote {
            let keys = asked.iter().zip(&may_ask).filter(|(_, may_ask)| **may_ask);
            let keys: Vec<&[u8]> = keys.map(|((_, descent), _)| &descent.key_bytes[..]).collect();
            let mut answers = remote.tier.get_many(&keys).await.into_iter();
            let mut find = |asked, may_ask: bool| {
                let bytes = if may_ask { answers.next().flatten() } else { None };
                self.found_among(&mut raises, asked, |asked| self.found_remote(remote, asked, bytes, start))
            };
            if self.object.is_none() {
                return asked.into_iter().zip(may_ask).map(|(asked, may_ask)| find(asked, may_ask)).collect();
            }
            found.extend(asked.iter().zip(&may_ask).map(|(asked, may_ask)| find(asked.clone(), *may_ask)));
        } else {
            found.resize_with(asked.len(), || Found::Miss.into());
        }
        let Some(object) = &self.object else { return found };
        let is_wanted = |(far, may_ask): (&FoundFar<V>, &bool)| *may_ask && matches!(far.found, Found::Miss);
        let wanted: Vec<bool> = found.iter().zip(&may_ask).map(is_wanted).collect();
        let keys = asked.iter().zip(&wanted).filter(|(_, wanted)| **wanted);
        let keys: Vec<Vec<u8>> = keys.map(|((_, descent), _)| descent.key_bytes.clone()).collect();
        let mut answers = object.tier.get_many(&keys).await.into_iter();
        for ((far, asked), _) in found.iter_mut().zip(asked).zip(wanted).filter(|(_, wanted)| *wanted) {
            let answer = answers.next().flatten();
            let find = |asked| self.found_in_objects(object, asked, answer.as_ref(), start);
            far.found = self.found_among(&mut raises, asked, find).found;
        }
        found
    }

    /// One of many that were asked for together.
    fn found_among(
        &self,
        raises: &mut OwnRaises,
        (hash, mut descent): (u64, Descent<K>),
        find: impl FnOnce((u64, Descent<K>)) -> FoundFar<V>,
    ) -> FoundFar<V> {
        let (stripe, epoch) = (self.epochs.stripe(hash), descent.epoch);
        descent.epoch = raises.expected(stripe, epoch);
        let far = find((hash, descent));
        if far.is_raised {
            raises.raised(stripe, epoch);
        }
        far
    }

    /// Fetches what the shared tiers have of each of these keys, in one request. `None` for who is not asked about, and for what
    /// lies in this process or on its machine.
    pub(super) async fn fetch_each(&self, keys: Vec<Option<&K>>) -> Vec<Option<Fetched<K>>> {
        let raises = Arc::new(Mutex::new(OwnRaises::default()));
        let mut fetched: Vec<Option<Fetched<K>>> = keys
            .into_iter()
            .map(|key| {
                let key = key?;
                let hash = self.memory.hash(key);
                let descent = self.descend(hash, key);
                let is_near = self.is_near(hash, &descent.key_bytes) || self.is_underway(hash, &descent.key_bytes);
                (!is_near).then(|| Fetched { descent, bytes: None, raises: Arc::clone(&raises) })
            })
            .collect();
        // The object tier is asked one by one: there, a batch is for who has no loader.
        let Some(remote) = &self.remote else { return Vec::new() };
        let wanted: Vec<&[u8]> = fetched.iter().flatten().map(|fetched| &fetched.descent.key_bytes[..]).collect();
        let answers = remote.tier.get_many(&wanted).await;
        for (fetched, bytes) in fetched.iter_mut().flatten().zip(answers) {
            fetched.bytes = bytes;
        }
        fetched
    }

    fn is_near(&self, hash: u64, key_bytes: &[u8]) -> bool {
        self.compressed.as_ref().is_some_and(|compressed| compressed.tier.holds(hash, key_bytes))
            || self.disk.as_ref().is_some_and(|disk| disk.tier.holds(key_bytes))
    }

    /// [`find_far`](Shared::find_far) below the flight, for who may have fetched already. What was fetched counts only if nobody
    /// has changed the key since: the flight began later, and who has joined it may have asked after that.
    pub(super) async fn find_fetched(&self, hash: u64, key: &K, fetched: Option<Fetched<K>>) -> FoundFar<V> {
        let stripe = self.epochs.stripe(hash);
        let epoch = self.epochs.get(stripe);
        if let (Some(remote), Some(Fetched { mut descent, bytes, raises })) = (&self.remote, fetched) {
            let set_out = descent.epoch;
            descent.epoch = raises.lock().expected(stripe, set_out);
            if descent.epoch == epoch {
                let far = self.found_remote(remote, (hash, descent), bytes, Start::BelowFlight);
                if far.is_raised {
                    raises.lock().raised(stripe, set_out);
                }
                return far;
            }
        }
        self.find_far(hash, key, Start::BelowFlight).await
    }

    /// What was found is worth to the caller; what may serve goes up.
    pub(super) fn found_far(
        &self,
        place: Place,
        (hash, descent): (u64, Descent<K>),
        raised: Raised<V>,
        start: Start,
    ) -> FoundFar<V> {
        let (found, is_fresh) = self.worth(place, &raised, start);
        let may_serve = is_fresh || matches!(found, Found::Stale(_));
        let is_raised = may_serve && self.promote_far(hash, descent, raised);
        FoundFar { found, seen: None, is_raised }
    }

    /// The entry of the key in the shared tiers, and in which. Not counted, and nothing goes up.
    pub(super) async fn read_far(&self, hash: u64, key_bytes: &[u8]) -> Option<(Place, Raised<V>)> {
        if self.is_underway(hash, key_bytes) {
            return None;
        }
        let given = Given { key_bytes, born: self.stamps.born() };
        if let Some(remote) = &self.remote
            && let Some(bytes) = remote.tier.get(key_bytes).await
            && let Some(raised) = self.raise_remote(remote, given, &bytes)
        {
            return Some((Place::Remote, raised));
        }
        let object = self.object.as_ref()?;
        let found = object.tier.get(key_bytes).await?;
        Some((Place::Object, self.raise_object(object, given, &found)?))
    }

    /// Takes an entry of a shared tier up into memory, unless its key was changed since it set out, a change of it is on its way,
    /// or it may not be kept there.
    pub(super) fn promote_far(&self, hash: u64, descent: Descent<K>, mut raised: Raised<V>) -> bool {
        let Descent { key, key_bytes, epoch, born: _ } = descent;
        let Some(times) = self.times_above(raised.times) else { return false };
        let Ok((partition, quota)) = self.partition(&key) else { return false };
        let tag_bytes = raised.tags.as_ref().map_or(0, |tags| tags.heap_bytes());
        let room = Room { quota, tag_bytes };
        match self.weight(&key, raised.value.as_ref(), &EntryOptions::default(), room) {
            Ok(weight) => raised.weight = weight,
            Err(refused) => {
                self.counters.dropped(Place::Memory, refused.why());
                return false;
            }
        }
        raised.times = times;
        let (born, tags) = (raised.born, raised.tags.clone());
        let entry = self.entry_of(key, raised, partition);
        let beneath = if self.has_near_below() { self.beneath(&entry, times) } else { Beneath::Same };
        let entering = Entering::above(entry, beneath);
        let left = {
            let mut stripe = self.leases.lock(hash);
            let is_valid = self.stamps.is_valid(born, tags.as_deref());
            let is_held = self.rises_held.load(Ordering::Acquire) > 0 || self.is_underway(hash, &key_bytes);
            if stripe.epoch() != epoch || is_held || !is_valid {
                drop(stripe);
                self.counters.dropped(Place::Memory, Dropped::Invalidated);
                return false;
            }
            self.store(&mut stripe, hash, entering)
        };
        self.let_go(left);
        true
    }

    /// The times of an entry above the remote tier: as they are as long as this process hears what others change. `None`: it is not
    /// to be kept there.
    pub(super) fn times_above(&self, times: Times) -> Option<Times> {
        let Some(remote) = &self.remote else { return Some(times) };
        match remote.tier.trust() {
            Trust::Whole => Some(times),
            Trust::Capped(ms) => Some(capped(times, self.clock.now_ms().saturating_add(ms))),
            Trust::Nothing => None,
        }
    }
}

/// The times with no freshness beyond `until_ms`.
fn capped(times: Times, until_ms: u64) -> Times {
    let Times { stored_at_ms, fresh_until_ms, stale_until_ms } = times.ordered();
    if fresh_until_ms == 0 {
        return Times { stored_at_ms, fresh_until_ms: until_ms, stale_until_ms: until_ms };
    }
    Times { stored_at_ms, fresh_until_ms: fresh_until_ms.min(until_ms), stale_until_ms }
}
