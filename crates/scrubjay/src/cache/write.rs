//! The way of an entry into the tiers and out of them.
//!
//! In: [`prepare`](Shared::prepare) asks whatever is the user's (weigher, partition, key bytes) and the tag registry, with
//! no lock held; then [`store`](Shared::store), under the stripe's lock, only moves what is ready. Out: what memory lets go
//! is a [`Left`], which is handled when the stripe is unlocked (`demote.rs`).
//!
//! Why the epoch is raised *after* the tiers have changed: what leaves memory carries the epoch of that moment, and is
//! demoted only if it still holds. Raised before, an old value that is evicted between the raise and its replacement would
//! pass the test, and lie below the new one. But the same change may push out another key of the same stripe, whose
//! demotion the raise must not stop: nobody else raises while the stripe is locked, so a neighbour that left in there with
//! the number from before is as good as one that left with the number after ([`Own`]).

use super::coherence::Changing;
use super::write_far::FarCopy;
use super::{Cache, Shared};
use crate::disk::Encoded;
use crate::entry::Times;
use crate::error::Error;
use crate::flight::{Answer, Stripe};
use crate::kept::NewKept;
use crate::key::Key;
use crate::limits::{self, Partitioner, cost_class};
use crate::memory::{Budget, Departed, NewEntry, Reason, Tier};
use crate::object::ObjectBorn;
use crate::options::{EntryOptions, Loaded};
use crate::remote::SharedBorn;
use crate::stats::{Dropped, Frequent, Place};
use crate::stored::Stored;
use crate::weigh::{entry_weight, heap_bytes, is_serialisable};
use serde::Serialize;
use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// Who is told what left memory, and why.
pub(super) type Listener<K, V> = Box<dyn Fn(&K, &V, Reason) + Send + Sync>;

/// What an entry weighs.
pub(super) struct Weigher<K, V> {
    weigh: Weigh<K, V>,
    /// Where values are known to be of serde: whether one can be serialised.
    is_serialisable: Option<fn(&V) -> bool>,
    /// Whether it estimates bytes, and knows nothing of tags.
    is_estimate: bool,
    counts_bytes: bool,
}

pub(super) type Weigh<K, V> = Box<dyn Fn(&K, &V) -> u32 + Send + Sync>;

impl<K: Key, V> Weigher<K, V> {
    /// The caller's word, in the units of the budget.
    pub(super) fn given(budget: Budget, weigh: Weigh<K, V>) -> Weigher<K, V> {
        let counts_bytes = matches!(budget, Budget::Bytes(_));
        Weigher { weigh, is_serialisable: None, is_estimate: false, counts_bytes }
    }

    /// An estimate where bytes are counted, and 1 where entries are.
    pub(super) fn estimate(budget: Budget) -> Weigher<K, V>
    where
        V: Serialize,
    {
        let counts_bytes = matches!(budget, Budget::Bytes(_));
        let weigh: Weigh<K, V> = if counts_bytes {
            Box::new(|key, value| entry_weight(entry_bytes::<K, V>(), key.heap_bytes(), heap_bytes(value)))
        } else {
            Box::new(|_, _| 1)
        };
        Weigher { weigh, is_serialisable: Some(is_serialisable), is_estimate: counts_bytes, counts_bytes }
    }

    fn weigh(&self, key: &K, value: &V, tag_bytes: usize) -> u32 {
        let more = if self.is_estimate { u32::try_from(tag_bytes).unwrap_or(u32::MAX) } else { 0 };
        (self.weigh)(key, value).saturating_add(more)
    }

    /// The knowledge that a key has no value.
    fn weigh_absent(&self, key: &K, tag_bytes: usize) -> u32 {
        if self.counts_bytes { entry_weight(entry_bytes::<K, V>(), key.heap_bytes(), tag_bytes) } else { 1 }
    }
}

/// What the memory tier takes for an entry.
fn entry_bytes<K: Key, V>() -> usize {
    Tier::<K, Stored<V>>::entry_bytes()
}

/// Which partition an entry is charged to.
pub(super) struct Partitions<K> {
    pub(super) with_quotas: Vec<(String, u64)>,
    pub(super) name_of: Partitioner<K>,
}

/// An entry that is ready to be stored.
pub(crate) struct Entering<K, V> {
    pub(super) entry: NewEntry<K, Stored<V>>,
    pub(super) beneath: Beneath,
    /// What it is in the tiers that others share.
    pub(super) far: Option<Box<FarCopy>>,
    /// Whether it is kept above them. It is not when nobody would hear that it was changed.
    pub(super) is_kept: bool,
}

impl<K, V> Entering<K, V> {
    /// An entry that comes from below, or is for this process alone.
    pub(super) fn above(entry: NewEntry<K, Stored<V>>, beneath: Beneath) -> Entering<K, V> {
        Entering { entry, beneath, far: None, is_kept: true }
    }

    /// The bytes of its key, if there is a tier below that wants them.
    pub(super) fn key_bytes(&self) -> Option<&[u8]> {
        match &self.beneath {
            Beneath::Same => None,
            Beneath::Other(other) => Some(&other.key_bytes),
        }
    }
}

/// What becomes of what the tiers below have of the key.
pub(super) enum Beneath {
    /// It is of the same version, or there is no such tier.
    Same,
    /// It goes. In a box, since an entry is moved some times on its way, and mostly there is no such tier.
    Other(Box<Other>),
}

/// What is known of a key for the tiers below.
pub(super) struct Other {
    key_bytes: Vec<u8>,
    /// Takes the place of what is on disk, if all that is stored is written through.
    on_disk: Option<Encoded>,
}

/// What a removal came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Removed {
    /// There was a fresh value.
    pub(super) was_there: bool,
    /// Something was on disk.
    pub(super) was_on_disk: bool,
}

/// What left memory. To be handed to [`Shared::let_go`] when no lock is held.
#[must_use]
pub(crate) struct Left<'a, K, V> {
    pub(super) departed: Departed<'a, K, Stored<V>>,
    pub(super) own: Option<Own>,
    /// Something was taken off the disk, which may have to survive the process.
    pub(super) is_owed: bool,
}

/// The change of which something left: its stripe, and that stripe's epoch before the change raised it.
#[derive(Clone, Copy)]
pub(super) struct Own {
    pub(super) stripe: usize,
    pub(super) epoch: u64,
}

/// What an entry may take, and takes beside what is weighed.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub(super) quota: Option<u64>,
    pub(super) tag_bytes: usize,
}

/// What was true when the insert or load of an entry began.
#[derive(Clone, Copy)]
pub(crate) struct Born {
    /// The cache's own sequence.
    pub(super) here: u64,
    /// That of the remote tier, if the entry is to go there.
    pub(super) shared: Option<SharedBorn>,
    /// And that of the object tier.
    pub(super) object: Option<ObjectBorn>,
    /// Of a load: when it began, by the cache's clock. What it has read is not newer, so that is when its entry counts as stored
    /// where the later one wins. 0 for an insert, which is as new as it is.
    pub(super) began_ms: u64,
}

/// Why an entry cannot be stored.
pub(super) struct Refused {
    pub(super) error: Error,
    is_too_large: bool,
}

impl Refused {
    /// As the counters have it.
    pub(super) fn why(&self) -> Dropped {
        if self.is_too_large { Dropped::TooLarge } else { Dropped::Invalid }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused { error, is_too_large: false }
    }
}

impl<'a, K, V> From<Departed<'a, K, Stored<V>>> for Left<'a, K, V> {
    fn from(departed: Departed<'a, K, Stored<V>>) -> Left<'a, K, V> {
        Left { departed, own: None, is_owed: false }
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Makes an entry of what a load brought. `None` if it is not to be stored: by the loader's word, because an absence
    /// is not remembered, or because it is too large. What was dropped is counted.
    ///
    /// # Errors
    /// The loader's options or the weigher's answer are out of their limits.
    pub(crate) fn prepare_loaded(
        &self,
        key: K,
        loaded: Loaded<V>,
        born: Born,
        took: Duration,
    ) -> Result<Option<Entering<K, V>>, Error> {
        let Loaded { value, options, is_stored } = loaded;
        let is_remembered = options.time_to_live.is_some() || self.settings.negative_ttl_ms > 0;
        if !is_stored || value.is_none() && !is_remembered {
            return Ok(None);
        }
        match self.prepare(key, value, &options, born, self.settings.is_cost_measured.then_some(took)) {
            Ok(entering) => Ok(Some(entering)),
            Err(refused) if refused.is_too_large => {
                self.counters.dropped(Place::Memory, Dropped::TooLarge);
                Ok(None)
            }
            Err(refused) => Err(refused.error),
        }
    }

    /// Makes an entry of a value, or of the knowledge that there is none. No lock may be held.
    pub(super) fn prepare(
        &self,
        key: K,
        value: Option<V>,
        options: &EntryOptions,
        born: Born,
        took: Option<Duration>,
    ) -> Result<Entering<K, V>, Refused> {
        let times = self.times(options, value.is_some())?;
        if !options.tags.is_empty() {
            self.check_stampable("tags of the entry")?;
        }
        let tags = self.stamps.tags(&options.tags)?;
        let (partition, quota) = self.partition(&key)?;
        let tag_bytes = tags.as_ref().map_or(0, |tags| tags.heap_bytes());
        let weight = self.weight(&key, value.as_ref(), options, Room { quota, tag_bytes })?;
        let cost = options.cost.or(took).map_or(0, cost_class);
        let above = self.times_above(times);
        let is_kept = above.is_some();
        let above = above.unwrap_or(times);
        let due_ms = self.due_ms(&above, value.is_some());
        let value = Stored { value, fresh_until_ms: above.fresh_until_ms, due_ms, born: born.here, tags };
        let deadline_ms = above.stale_until_ms;
        let entry = NewEntry { key, value, weight, deadline_ms, cost, partition };
        let beneath = self.beneath(&entry, above);
        let mut entering = Entering { entry, beneath, far: None, is_kept };
        if self.has_far() {
            entering.far = entering.key_bytes().map(|bytes| self.far_copy(&entering.entry, bytes, times, born));
        }
        Ok(entering)
    }

    /// Stores the entry in memory and takes its key out of the tiers below. `stripe` is the key's, locked; the key's flight
    /// is whoever's who calls.
    pub(crate) fn store(
        &self,
        stripe: &mut Stripe<'_, K, Answer<V>>,
        hash: u64,
        entering: Entering<K, V>,
    ) -> Left<'_, K, V> {
        let Entering { entry, beneath, .. } = entering;
        let own = Own { stripe: self.epochs.stripe(hash), epoch: stripe.epoch() };
        let mut is_owed = false;
        if let Beneath::Other(other) = beneath {
            if let Some(compressed) = &self.compressed {
                compressed.tier.replaced(hash, &other.key_bytes);
            }
            if let Some(disk) = &self.disk {
                is_owed = disk.tier.replace(&other.key_bytes, other.on_disk.as_ref());
            }
        }
        let departed = self.memory.insert(hash, entry);
        stripe.raise();
        self.counters.count(Frequent::MemoryInsert);
        Left { departed, own: Some(own), is_owed }
    }

    pub(super) fn beneath(&self, entry: &NewEntry<K, Stored<V>>, times: Times) -> Beneath {
        if !self.has_below() {
            return Beneath::Same;
        }
        let key_bytes = bytes_of(&entry.key);
        let mut on_disk = None;
        if let Some(disk) = self.disk.as_ref().filter(|disk| disk.tier.config().is_written_through) {
            let stored = &entry.value;
            let tags: Vec<&str> = stored.tags.iter().flat_map(|tags| tags.names()).collect();
            let (cost, born, weight) = (entry.cost, stored.born, entry.weight);
            let new = NewKept { key: &key_bytes, times, cost, born, weight, tags: &tags };
            let write = stored.value.as_ref().map(|value| |out: &mut Vec<u8>| disk.codec.encode(value, out));
            on_disk = disk.tier.encode(&new, write);
        }
        Beneath::Other(Box::new(Other { key_bytes, on_disk }))
    }

    /// What is true of an insert that begins now.
    pub(super) fn born(&self) -> Born {
        Born { here: self.stamps.born(), shared: self.shared_born(), object: self.object_born(), began_ms: 0 }
    }

    /// An insert by the caller: revokes the load of the key, and wins against it. Whether something was on disk.
    pub(super) fn enter(&self, entering: Entering<K, V>) -> bool {
        let hash = self.memory.hash(&entering.entry.key);
        let left = {
            let mut stripe = self.leases.lock(hash);
            stripe.revoke(&entering.entry.key);
            self.store(&mut stripe, hash, entering)
        };
        let is_owed = left.is_owed;
        self.let_go(left);
        is_owed
    }

    /// A removal by the caller, in the tiers of this process. Whether there was a fresh value; and whether something was on disk,
    /// which the caller may wait for.
    pub(super) async fn remove<Q>(&self, key: &Q) -> Removed
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.memory.hash(key);
        let key_bytes = self.has_below().then(|| bytes_of(&key.to_owned()));
        let was_fresh_on_disk = self.is_fresh_below(hash, key, key_bytes.as_deref()).await;
        let (was_there, left, ()) = self.remove_now(hash, key, key_bytes.as_deref(), |_| ());
        self.removed(was_there, was_fresh_on_disk, left)
    }

    /// The same, and the change is registered for the tiers that others share, if there are any.
    pub(super) async fn remove_registered<Q>(self: &Arc<Self>, key: &Q) -> (Removed, Option<Changing<K, V>>)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        if !self.has_far() {
            return (self.remove(key).await, None);
        }
        let (hash, owned) = (self.memory.hash(key), key.to_owned());
        let key_bytes = bytes_of(&owned);
        let was_fresh_on_disk = self.is_fresh_below(hash, key, Some(&key_bytes)).await;
        let bytes = key_bytes.clone();
        let register = |stripe: &Stripe<'_, K, Answer<V>>| {
            let was_in_objects = self.object.as_ref().is_some_and(|object| object.tier.remove(&bytes));
            let mut changing = self.begin_change(stripe, hash, owned, bytes);
            changing.was_in_objects = was_in_objects;
            changing
        };
        let (was_there, left, registered) = self.remove_now(hash, key, Some(&key_bytes), register);
        (self.removed(was_there, was_fresh_on_disk, left), Some(registered))
    }

    /// Whether the disk has a fresh value of a key that the tiers in memory do not know.
    async fn is_fresh_below<Q>(&self, hash: u64, key: &Q, key_bytes: Option<&[u8]>) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        match (&self.disk, key_bytes) {
            (Some(disk), Some(key_bytes)) if !self.is_in_memory(hash, key, key_bytes) => {
                self.is_fresh_on_disk(disk, key_bytes).await
            }
            _ => false,
        }
    }

    fn removed(&self, was_there: bool, was_fresh_on_disk: bool, left: Left<'_, K, V>) -> Removed {
        let was_on_disk = left.is_owed;
        self.let_go(left);
        Removed { was_there: was_there || was_on_disk && was_fresh_on_disk, was_on_disk }
    }

    /// Whether the tiers in memory know of the key.
    fn is_in_memory<Q>(&self, hash: u64, key: &Q, key_bytes: &[u8]) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.memory.peek(hash, key, |_, _| ()).is_some()
            || self.compressed.as_ref().is_some_and(|compressed| compressed.tier.holds(hash, key_bytes))
    }

    /// `then` is called with the stripe locked, when the tiers have changed.
    fn remove_now<Q, R>(
        &self,
        hash: u64,
        key: &Q,
        key_bytes: Option<&[u8]>,
        then: impl FnOnce(&Stripe<'_, K, Answer<V>>) -> R,
    ) -> (bool, Left<'_, K, V>, R)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let mut was_there = false;
        let mut stripe = self.leases.lock(hash);
        let own = Own { stripe: self.epochs.stripe(hash), epoch: stripe.epoch() };
        stripe.revoke(key);
        let departed = self.memory.remove_if(hash, key, Reason::Removed, |stored| {
            was_there = stored.value.is_some()
                && !self.clock.is_past(stored.fresh_until_ms)
                && self.stamps.is_valid(stored.born, stored.tags.as_deref());
            true
        });
        if let (Some(compressed), Some(key_bytes)) = (&self.compressed, key_bytes) {
            compressed.tier.remove_if(hash, key_bytes, |kept| {
                was_there |= !kept.is_absent
                    && !self.clock.is_past(kept.times.fresh_until_ms)
                    && self.stamps.is_valid_named(kept.born, kept.tags);
                true
            });
        }
        let is_owed = match (&self.disk, key_bytes) {
            (Some(disk), Some(key_bytes)) => disk.tier.remove(key_bytes),
            _ => false,
        };
        let then = then(&stripe);
        stripe.raise();
        let departed = departed.unwrap_or_else(|| self.memory.nothing_departed());
        (was_there, Left { departed, own: Some(own), is_owed }, then)
    }

    /// Takes the key out of the tiers of this process: there is something newer that is not to be stored. The stripe is locked, and
    /// raised by the caller.
    pub(super) fn supersede(&self, hash: u64, key: &K) -> (Option<Departed<'_, K, Stored<V>>>, bool) {
        let departed = self.memory.remove_if(hash, key, Reason::Replaced, |_| true);
        let mut is_owed = false;
        if self.has_below() {
            let key_bytes = bytes_of(key);
            if let Some(compressed) = &self.compressed {
                compressed.tier.replaced(hash, &key_bytes);
            }
            if let Some(disk) = &self.disk {
                is_owed = disk.tier.replace(&key_bytes, None);
            }
        }
        (departed, is_owed)
    }

    /// Returns when what was taken off the disk has survived what it is to survive.
    ///
    /// # Errors
    /// `Unavailable`, see [`Durability::Synced`](crate::Durability::Synced). `Closed`: the cache was closed meanwhile, and the disk
    /// may not have heard of the change: the next process would find what was there before.
    pub(super) async fn settle_on_disk(&self, is_owed: bool) -> Result<(), Error> {
        let Some(disk) = &self.disk else { return Ok(()) };
        self.tasks.check_open()?;
        if is_owed { Box::pin(disk.tier.settle()).await } else { Ok(()) }
    }

    /// Whether there is a tier below memory.
    pub(super) fn has_below(&self) -> bool {
        self.has_near_below() || self.has_far()
    }

    /// Whether there is one of this process alone.
    #[inline]
    pub(super) fn has_near_below(&self) -> bool {
        self.compressed.is_some() || self.disk.is_some()
    }

    /// The partition of a key as the tier counts them, and its quota.
    pub(super) fn partition(&self, key: &K) -> Result<(u16, Option<u64>), Error> {
        match &self.partitions {
            Some(partitions) => limits::partition((partitions.name_of)(key), &partitions.with_quotas),
            None => Ok((0, None)),
        }
    }

    /// What an entry may weigh in memory as it is now.
    pub(super) fn weight_max(&self, quota: Option<u64>) -> u64 {
        let capacity = self.memory.capacity();
        quota.map_or(capacity, |quota| quota.min(capacity))
    }

    /// The weight of an entry, within what it may take.
    pub(super) fn weight(
        &self,
        key: &K,
        value: Option<&V>,
        options: &EntryOptions,
        room: Room,
    ) -> Result<u32, Refused> {
        if self.has_below()
            && let (Some(is_serialisable), Some(value)) = (self.weigher.is_serialisable, value)
            && !is_serialisable(value)
        {
            let tier = match (&self.compressed, &self.disk) {
                (Some(_), _) => "compressed",
                (None, Some(_)) => "disk",
                (None, None) => "shared",
            };
            let text = format!("value of key {} does not serialise, must for the {tier} tier", shown(key));
            return Err(Refused { error: Error::invalid(text), is_too_large: false });
        }
        let weight = match (options.weight, value) {
            (Some(weight), _) => weight,
            (None, Some(value)) => self.weigher.weigh(key, value, room.tag_bytes),
            (None, None) => self.weigher.weigh_absent(key, room.tag_bytes),
        };
        let weight_max = self.weight_max(room.quota);
        if weight == 0 || u64::from(weight) > weight_max {
            let text = format!("weight of key {} is {weight}, must be 1..={weight_max}", shown(key));
            return Err(Refused { error: Error::invalid(text), is_too_large: weight != 0 });
        }
        Ok(weight)
    }
}

/// The stable bytes of a key.
pub(super) fn bytes_of<K: Key>(key: &K) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.encode(&mut bytes);
    bytes
}

/// A key as a message shows it.
fn shown<K: Key>(key: &K) -> String {
    const BYTES_MAX: usize = 64;
    let bytes = bytes_of(key);
    let is_cut = bytes.len() > BYTES_MAX;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(BYTES_MAX)]);
    if is_cut { format!("{text:?}...") } else { format!("{text:?}") }
}

/// # Writing
///
/// Each of these wins against every load of its key that began before: those who already wait get the load's result, nobody
/// else, and it is not stored.
impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// Stores a value, as the cache keeps values.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if it weighs nothing or more than the budget, [`Closed`](crate::ErrorKind::Closed):
    /// what was there before stays. [`Unavailable`](crate::ErrorKind::Unavailable) if what was there before may be back after a
    /// crash ([`Durability::Synced`](crate::Durability::Synced)): the new value is stored.
    ///
    /// # Cancellation
    /// Waits for nothing, unless an older value of the key was on disk: then until that has
    /// [survived](crate::Durability) what it is to; and with a [remote tier](crate::CacheBuilder::remote) until that has the value, or will get
    /// it later. Stored it is before that, and whoever goes away, the rest is done.
    ///
    /// # While a remote tier is away
    /// Here the value serves for as long as [`OnDisconnect`](crate::OnDisconnect) says. It is brought to the server when that is back, if
    /// that is within 25 seconds; else, and if this process has never been connected yet and so does not know what was invalidated
    /// there, only the older value is removed: the next who asks loads.
    pub async fn insert(&self, key: K, value: V) -> Result<(), Error> {
        self.insert_with(key, value, EntryOptions::default()).await
    }

    /// Stores a value with options of its own.
    ///
    /// # Errors
    /// As [`insert`](Cache::insert), and `Invalid` for options that are out of their limits.
    pub async fn insert_with(&self, key: K, value: V, options: EntryOptions) -> Result<(), Error> {
        let shared = &*self.shared;
        shared.tasks.check_open()?;
        let born = shared.born();
        let entering = shared.prepare(key, Some(value), &options, born, None).map_err(|refused| refused.error)?;
        let is_owed = if shared.has_far() {
            Box::pin(self.shared.insert_far(vec![entering])).await
        } else {
            shared.enter(entering)
        };
        shared.settle_on_disk(is_owed).await
    }

    /// Takes the key out of every tier, and says whether it had a fresh value.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed). [`Unavailable`](crate::ErrorKind::Unavailable) if it is gone here, and the disk did not
    /// confirm that ([`Durability::Synced`](crate::Durability::Synced)), or a tier that others share is away: then it will be gone there as
    /// soon as that is back ([`Removals`](crate::Removals)).
    pub async fn remove<Q>(&self, key: &Q) -> Result<bool, Error>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.shared.tasks.check_open()?;
        let shared = &self.shared;
        let (removed, registered) = shared.remove_registered(key).await;
        let far = match registered {
            Some(registered) => Some(Box::pin(shared.remove_far(vec![registered])).await),
            None => None,
        };
        shared.settle_on_disk(removed.was_on_disk).await?;
        let Some(far) = far else { return Ok(removed.was_there) };
        shared.answer_of(far.deferred)?;
        Ok(removed.was_there || far.more_than(&[false]) > 0)
    }
}
