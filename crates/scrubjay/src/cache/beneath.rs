//! What is found below memory: what it is worth to its caller, and its way up.
//!
//! The epoch of the key's stripe is read before a tier is asked, and what is found goes up only if it is the same under the
//! stripe's lock: nobody has changed the key meanwhile. Born, tags and remaining time go with it.

use super::write::{Beneath, Entering, bytes_of};
use super::{Compressing, Found, Shared, Stale, Start};
use crate::clock::Clock;
use crate::codec::Codec;
use crate::entry::Times;
use crate::error::BoxError;
use crate::kept::Kept;
use crate::key::Key;
use crate::memory::NewEntry;
use crate::stats::{Came, Frequent, Place};
use crate::stored::Stored;
use crate::tags::TagSet;
use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::atomic::Ordering;

/// An entry that was found below memory, decoded.
pub(super) struct Raised<V> {
    pub(super) value: Option<V>,
    pub(super) times: Times,
    pub(super) cost: u8,
    /// In the memory of the process that wrote it; 0 if that is not known.
    pub(super) weight: u32,
    pub(super) born: u64,
    pub(super) tags: Option<Box<TagSet>>,
}

/// A key on its way down, and what was true when it set out.
#[derive(Clone)]
pub(super) struct Descent<K> {
    pub(super) key: K,
    pub(super) key_bytes: Vec<u8>,
    /// Of its stripe, before anything was asked: whoever changes the key from then on raises it.
    pub(super) epoch: u64,
    /// The cache's sequence then.
    pub(super) born: u64,
}

impl<V> Raised<V> {
    /// The value for who has no loader.
    pub(super) fn value_if_fresh(self, clock: &Clock) -> Option<V> {
        self.value.filter(|_| !clock.is_past(self.times.fresh_until_ms))
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Sets out for the tiers below.
    pub(super) fn descend<Q>(&self, hash: u64, key: &Q) -> Descent<K>
    where
        Q: ToOwned<Owned = K> + ?Sized,
    {
        let epoch = self.epochs.get(self.epochs.stripe(hash));
        let (key, born) = (key.to_owned(), self.stamps.born());
        Descent { key_bytes: bytes_of(&key), key, epoch, born }
    }

    /// Looks in the compressed tier, and counts what that came to for the caller. Who set out from the top has no loader, or
    /// will set out again below the flight: nothing stale is for it.
    pub(super) fn find_in_compressed<Q>(
        &self,
        compressed: &Compressing<V>,
        hash: u64,
        key: &Q,
        start: Start,
    ) -> Found<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let descent = self.descend(hash, key);
        let Some(raised) = self.read_compressed(compressed, hash, &descent.key_bytes, true) else {
            return self.find_gone_up(hash, key);
        };
        let (found, is_fresh) = self.worth(Place::Compressed, &raised, start);
        if is_fresh {
            self.promote(Some(compressed), hash, descent, raised);
        }
        found
    }

    /// What lies in a tier below past its time, if anything of use, and in which. Not counted.
    pub(super) async fn stale_below(&self, key: &K) -> Option<(Stale<V>, Place)> {
        let key_bytes = bytes_of(key);
        let mut raised: Option<Raised<V>> = None;
        if let Some(compressed) = &self.compressed {
            raised = self.read_compressed(compressed, self.memory.hash(key), &key_bytes, false);
        }
        let mut place = Place::Compressed;
        if let (Some(disk), None) = (&self.disk, &raised)
            && disk.tier.holds(&key_bytes)
        {
            place = Place::Disk;
            raised = Box::pin(self.read_on_disk(disk, key_bytes.clone())).await;
        }
        if self.has_far() && raised.is_none() {
            let far = Box::pin(self.read_far(self.memory.hash(key), &key_bytes)).await?;
            place = far.0;
            raised = Some(far.1);
        }
        let raised = raised.filter(|raised| self.clock.is_past(raised.times.fresh_until_ms))?;
        match self.judge_due(raised.value, raised.times.fresh_until_ms) {
            Found::Stale(stale) => Some((stale, place)),
            Found::Fresh(_) | Found::RefreshDue(_) | Found::Miss => None,
        }
    }

    /// Looks once more in memory: since it was asked, another lookup may have taken the entry up (one of the same call, if a key
    /// is in it twice).
    fn find_gone_up<Q>(&self, hash: u64, key: &Q) -> Found<V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let found = self.peek_in_memory(hash, key);
        if let Found::Fresh(_) | Found::RefreshDue(_) = found {
            self.count_below(Place::Compressed, is_value(&found));
            return found;
        }
        self.counters.lookup(Place::Compressed, Came::Miss);
        Found::Miss
    }

    /// What an entry that was found in a tier below is worth to the caller, which is counted, and whether it is fresh.
    pub(super) fn worth(&self, place: Place, raised: &Raised<V>, start: Start) -> (Found<V>, bool) {
        let value = raised.value.clone();
        if self.clock.is_past(raised.times.fresh_until_ms) {
            let found = self.judge_due(value, raised.times.fresh_until_ms);
            let serves =
                matches!(&found, Found::Stale(stale) if stale.is_served_at_once) && start == Start::BelowFlight;
            if serves {
                self.count_stale_below(place)
            } else {
                self.counters.lookup(place, Came::Miss)
            }
            return (found, false);
        }
        let is_due = self.clock.is_past(self.due_ms(&raised.times, value.is_some()));
        let found = if is_due { Found::RefreshDue(value) } else { Found::Fresh(value) };
        self.count_below(place, is_value(&found));
        (found, true)
    }

    /// A stale value of that tier serves its caller.
    pub(super) fn count_stale_below(&self, place: Place) {
        self.counters.lookup(place, Came::StaleHit);
    }

    /// A fresh entry of that tier serves its caller.
    pub(super) fn count_below(&self, place: Place, is_value: bool) {
        self.counters.lookup(place, Came::Hit);
        if !is_value {
            self.counters.count(Frequent::NegativeHit);
        }
    }

    /// The entry of the key in the compressed tier, decoded, if it still counts.
    pub(super) fn read_compressed(
        &self,
        compressed: &Compressing<V>,
        hash: u64,
        key_bytes: &[u8],
        is_touched: bool,
    ) -> Option<Raised<V>> {
        let is_valid = |kept: &Kept<'_>| self.stamps.is_valid_named(kept.born, kept.tags);
        let read = |kept: &Kept<'_>, payload: Option<&[u8]>| self.decode(&*compressed.codec, kept, payload);
        if is_touched {
            compressed.tier.get(hash, key_bytes, |kept| self.is_valid_below(kept), read)
        } else {
            compressed.tier.peek(hash, key_bytes, is_valid, read)
        }
    }

    /// Whether nothing has overtaken an entry that a lookup has met below memory.
    pub(super) fn is_valid_below(&self, kept: &Kept<'_>) -> bool {
        let is_valid = self.stamps.is_valid_named(kept.born, kept.tags);
        if !is_valid {
            self.met_outdated_named(kept.born, kept.times.fresh_until_ms, kept.tags);
        }
        is_valid
    }

    /// The entry that was read.
    pub(super) fn decode(
        &self,
        codec: &dyn Codec<V>,
        kept: &Kept<'_>,
        payload: Option<&[u8]>,
    ) -> Result<Raised<V>, BoxError> {
        let value = payload.map(|bytes| codec.decode(bytes)).transpose()?;
        let tags = self.stamps.tags(&kept.tags.collect::<Vec<_>>())?;
        let (times, cost, born, weight) = (kept.times, kept.cost, kept.born, kept.weight);
        Ok(Raised { value, times, cost, weight, born, tags })
    }

    /// Takes an entry up into memory, unless its key was changed since it set out, or memory has become too small for it. It
    /// leaves the compressed tier, if it comes from there, and stays on disk.
    pub(super) fn promote(
        &self,
        from: Option<&Compressing<V>>,
        hash: u64,
        descent: Descent<K>,
        raised: Raised<V>,
    ) -> bool {
        let Descent { key, key_bytes, epoch, born: _ } = descent;
        let Ok((partition, quota)) = self.partition(&key) else { return false };
        if u64::from(raised.weight) > self.weight_max(quota) {
            return false;
        }
        let born = raised.born;
        let entering = Entering::above(self.entry_of(key, raised, partition), Beneath::Same);
        let is_held = if from.is_some() { &self.moves_held } else { &self.rises_held };
        let left = {
            let mut stripe = self.leases.lock(hash);
            // A cache that was closed meanwhile stays empty: then nothing is valid.
            let is_valid = self.stamps.is_valid(born, None);
            if stripe.epoch() != epoch || is_held.load(Ordering::Acquire) > 0 || !is_valid {
                return false;
            }
            if let Some(compressed) = from {
                compressed.tier.promoted(hash, &key_bytes);
            }
            self.store(&mut stripe, hash, entering)
        };
        self.let_go(left);
        true
    }

    /// What was found below as memory keeps it.
    pub(super) fn entry_of(&self, key: K, raised: Raised<V>, partition: u16) -> NewEntry<K, Stored<V>> {
        let due_ms = self.due_ms(&raised.times, raised.value.is_some());
        let Raised { value, times, cost, weight, born, tags } = raised;
        let (fresh_until_ms, deadline_ms) = (times.fresh_until_ms, times.ordered().stale_until_ms);
        let value = Stored { value, fresh_until_ms, due_ms, born, tags };
        NewEntry { key, value, weight, deadline_ms, cost, partition }
    }
}

fn is_value<V>(found: &Found<V>) -> bool {
    !matches!(found, Found::Fresh(None) | Found::RefreshDue(None))
}
