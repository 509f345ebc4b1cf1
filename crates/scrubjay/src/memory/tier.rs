//! The way into the memory tier: chooses the shard, and does what concerns more than one.
//!
//! The budget is cut evenly among the shards. A shard that must hold an entry of more than a quarter of its share takes
//! capacity from the others, which take what is left over back once it is gone; the sum of all is always the budget.

use super::departed::{Departed, Leave, Leaver, Leaves, Resident};
use super::epochs::Epochs;
use super::grace;
use super::index::Parts;
use super::policy;
use super::shard::{Debt, Partition, Shard, Surroundings};
use super::slots::{Note, Slot, Slots};
use super::{Budget, Memory, Reason};
use crate::clock::Clock;
use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A shard gets at least this much of a budget, in entries or in bytes: smaller ones evict worse.
const SHARD_ENTRIES_MIN: u64 = 1024;
const SHARD_BYTES_MIN: u64 = 512 << 10;
const SHARDS_MAX: u64 = 1024;

/// Slots of entries that have left a shard and may still be read, in ordinary times: at least, and at most.
const LIMBO_SLOTS_MIN: u64 = 128;
const LIMBO_SLOTS_MAX: u64 = 4096;

/// How many keys `get_many` looks ahead at once: the processor has about 24 fetches under way.
const GROUP: usize = 16;

/// What a tier is made of.
pub(crate) struct TierOptions {
    pub(crate) memory: Memory,
    pub(crate) clock: Clock,
    /// Whose counters tell of invalidations; without them, entries that left have epoch 0.
    pub(crate) epochs: Option<Arc<Epochs>>,
    /// Whether anybody wants to see what left. Without it `Departed` stays empty, and costs nothing.
    pub(crate) is_watched: bool,
}

/// An entry to insert.
pub(crate) struct NewEntry<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
    /// In units of the budget, at least 1.
    pub(crate) weight: u32,
    /// When it expires, by the tier's clock; 0 for never. The tier does not return it from then on.
    pub(crate) deadline_ms: u64,
    /// Cost class of loading it again, 0..=3.
    pub(crate) cost: u8,
    /// Index into the partitions as configured, plus one; 0 for none.
    pub(crate) partition: u16,
}

/// Typed entries, bounded by weight.
pub(crate) struct Tier<K, V> {
    shards: Box<[Shard<K, V>]>,
    shard_mask: usize,
    hasher: ahash::RandomState,
    around: Surroundings,
    /// Where the search for a victim of a partition over its quota begins next.
    cursor: AtomicU32,
}

impl<K: Hash + Eq, V> Tier<K, V> {
    pub(crate) fn new(options: TierOptions) -> Tier<K, V> {
        grace::prepare();
        let TierOptions { memory, clock, epochs, is_watched } = options;
        let (Budget::Bytes(capacity) | Budget::Entries(capacity)) = memory.budget;
        let counts_bytes = matches!(memory.budget, Budget::Bytes(_));
        let quotas = std::iter::once(capacity).chain(memory.partitions.iter().map(|(_, quota)| *quota));
        let partitions: Box<[Partition]> = quotas.map(|quota| Partition { quota, weight: AtomicU64::new(0) }).collect();
        let count = shard_count(&memory);
        let shards: Box<[Shard<K, V>]> = (0..)
            .zip(shares(capacity, count))
            .zip(Slots::of_shards(count, Self::near_slots(&memory, count), !counts_bytes))
            .map(|((number, share), slots)| Shard::new(number, share, partitions.len(), slots))
            .collect();
        Tier {
            shard_mask: shards.len() - 1,
            shards,
            hasher: ahash::RandomState::new(),
            around: Surroundings {
                clock,
                epochs,
                is_watched,
                capacity: AtomicU64::new(capacity),
                excess: AtomicU64::new(0),
                counts_bytes,
                partitions,
            },
            cursor: AtomicU32::new(0),
        }
    }

    /// As many slots as a shard should need: those of its entries, and of what has left them and may still be read.
    fn near_slots(memory: &Memory, shards: usize) -> usize {
        let entries = match memory.budget {
            Budget::Bytes(bytes) => bytes / Self::entry_bytes() as u64,
            Budget::Entries(entries) => entries,
        };
        let each = entries / shards as u64;
        // Twice what is collected before a grace period begins. What is never used of this may lie in huge pages.
        let limbo = (each / 16).min(LIMBO_SLOTS_MAX) + LIMBO_SLOTS_MIN;
        usize::try_from(each.saturating_add(limbo)).unwrap_or(usize::MAX)
    }

    /// The hash by which every other call finds the key.
    #[inline]
    pub(crate) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Shows the entry of `key` to `f`, and counts as a touch. `f` runs while readers hold memory back: keep it short.
    #[inline]
    pub(crate) fn get<Q, R>(&self, hash: u64, key: &Q, f: impl FnOnce(&K, &V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.get_or(hash, key, |key, value| Some(f(key, value)), || None)
    }

    /// The same with what to answer if the key is not there. Either closure's answer is moved no more.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the hit path: the answer is written where the caller wants it")]
    pub(crate) fn get_or<Q, R>(&self, hash: u64, key: &Q, hit: impl FnOnce(&K, &V) -> R, miss: impl FnOnce() -> R) -> R
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let pin = grace::pin();
        match self.home(hash).find(&self.around, pin.pinned(), Parts::of(hash), key, true) {
            Some((key, value)) => hit(key, value),
            None => miss(),
        }
    }

    /// The same without a touch.
    pub(crate) fn peek<Q, R>(&self, hash: u64, key: &Q, f: impl FnOnce(&K, &V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let pin = grace::pin();
        let (key, value) = self.home(hash).find(&self.around, pin.pinned(), Parts::of(hash), key, false)?;
        Some(f(key, value))
    }

    /// Shows the entry of each key to `f` with the key's index, as so many [`get`](Tier::get)s would, but fetches the lines
    /// of a group of keys before it looks at the first.
    pub(crate) fn get_many(&self, keys: &[K], mut f: impl FnMut(usize, &K, &V)) {
        for (group, keys) in keys.chunks(GROUP).enumerate() {
            let pin = grace::pin();
            let mut hashes = [0; GROUP];
            for (hash, key) in hashes.iter_mut().zip(keys) {
                *hash = self.hash(key);
                self.home(*hash).fetch_bucket(pin.pinned(), Parts::of(*hash));
            }
            for hash in &hashes[..keys.len()] {
                self.home(*hash).fetch_entry(pin.pinned(), Parts::of(*hash));
            }
            for (index, (hash, key)) in hashes.iter().zip(keys).enumerate() {
                if let Some((key, value)) =
                    self.home(*hash).find(&self.around, pin.pinned(), Parts::of(*hash), key, true)
                {
                    f(group * GROUP + index, key, value);
                }
            }
        }
    }

    /// Begins to fetch what an insert of the key will look at first.
    #[inline]
    pub(crate) fn prepare_insert(&self, hash: u64) {
        self.home(hash).fetch_bucket(grace::pin().pinned(), Parts::of(hash));
    }

    /// Stores the entry, in place of the one that was there, and makes room.
    pub(crate) fn insert(&self, hash: u64, new: NewEntry<K, V>) -> Departed<'_, K, V> {
        let mut departed = Departed::new(self);
        let partition = new.partition;
        let shard = self.home(hash);
        let debt = shard.insert(&self.around, Parts::of(hash), new, &mut departed.leaves);
        self.balance(shard, debt, partition, &mut departed);
        departed
    }

    /// Shows to `make` what is there (`None`: nothing, or expired), stores what it returns in its place, and makes room;
    /// all under the shard's lock, so no other write comes between. `make` must not write to this tier; if it panics or
    /// returns `None`, everything stays as it was.
    pub(crate) fn upsert<Q>(
        &self,
        hash: u64,
        key: &Q,
        make: impl FnOnce(Option<Leaver<'_, K, V>>) -> Option<NewEntry<K, V>>,
    ) -> Option<Departed<'_, K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut departed = Departed::new(self);
        let shard = self.home(hash);
        let (partition, debt) = shard.upsert(&self.around, Parts::of(hash), key, make, &mut departed.leaves)?;
        self.balance(shard, debt, partition, &mut departed);
        Some(departed)
    }

    /// What a call that took nothing out returns.
    pub(crate) fn nothing_departed(&self) -> Departed<'_, K, V> {
        Departed::new(self)
    }

    /// Takes the entry out. `is_wanted` is asked first, under the shard's lock: it must not call back.
    pub(crate) fn remove_if<Q>(
        &self,
        hash: u64,
        key: &Q,
        reason: Reason,
        is_wanted: impl FnOnce(&V) -> bool,
    ) -> Option<Departed<'_, K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let shard = self.home(hash);
        let leave = shard.remove_if(&self.around, Parts::of(hash), key, reason, is_wanted)?;
        let mut departed = Departed::new(self);
        departed.leaves.push(leave);
        Some(departed)
    }

    /// Shows every entry that is not expired, in no order, a shard at a time; what comes or goes meanwhile may be seen or
    /// not. Holds memory back while it runs.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&K, &V)) {
        for shard in &self.shards {
            shard.for_each(&self.around, grace::pin().pinned(), |seen| f(seen.key, seen.value));
        }
    }

    /// The same for one of the [`shard_count`](Tier::shard_count) shards, and with all that is known of an entry.
    pub(crate) fn for_each_of(&self, shard: usize, f: impl FnMut(Resident<'_, K, V>)) {
        self.shards[shard].for_each(&self.around, grace::pin().pinned(), f);
    }

    /// Parts that are locked apart.
    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Takes out every entry.
    pub(crate) fn clear(&self) -> Departed<'_, K, V> {
        self.of_every_shard(|shard, leaves| shard.clear(&self.around, leaves))
    }

    /// Takes out what has expired, as the timer wheel has it, `entries_max` of each shard at most, and drops what has left
    /// before. Inserts do a little of this on their own.
    pub(crate) fn expire(&self, entries_max: usize) -> Departed<'_, K, V> {
        self.settle();
        self.of_every_shard(|shard, leaves| shard.expire(&self.around, entries_max, leaves))
    }

    /// Drops what has left, but for what a reader may still see. Writes do this on their own, for many entries at once.
    pub(crate) fn settle(&self) {
        self.shards.iter().for_each(Shard::settle);
    }

    /// Changes the budget, and evicts down to it.
    pub(crate) fn resize(&self, capacity: u64) -> Departed<'_, K, V> {
        self.around.capacity.store(capacity, Ordering::Relaxed);
        self.around.excess.store(0, Ordering::Relaxed);
        let mut shares = shares(capacity, self.shards.len());
        self.of_every_shard(|shard, leaves| shard.set_share(&self.around, shares.next().unwrap_or(0), leaves))
    }

    /// The budget.
    pub(crate) fn capacity(&self) -> u64 {
        self.around.capacity.load(Ordering::Relaxed)
    }

    /// What the entries weigh.
    pub(crate) fn weight(&self) -> u64 {
        self.shards.iter().map(Shard::weight).sum()
    }

    /// Entries, expired ones that were not collected yet among them.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(Shard::len).sum()
    }

    /// Entries that have left for this reason since the tier was made, whether anybody watches or not.
    pub(crate) fn departed_count(&self, reason: Reason) -> u64 {
        self.shards.iter().map(|shard| shard.departed_count(reason)).sum()
    }

    /// Bytes that an entry takes in the tier besides what key and value hold outside of themselves: its slot, its place in
    /// the index at the usual load, and what the policy remembers of it.
    pub(crate) fn entry_bytes() -> usize {
        size_of::<Slot<K, V>>() + size_of::<Note>() + super::index::BYTES_PER_ENTRY + policy::BYTES_PER_ENTRY
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    fn home(&self, hash: u64) -> &Shard<K, V> {
        &self.shards[(hash >> 40) as usize & self.shard_mask]
    }

    /// Restores the bounds that the shard by itself does not keep.
    #[inline]
    fn balance(&self, shard: &Shard<K, V>, debt: Debt, partition: u16, departed: &mut Departed<'_, K, V>) {
        if debt.amount > 0 {
            self.repay(shard, debt, departed);
        }
        if partition > 0 {
            self.keep_quota(usize::from(partition), departed);
        }
    }

    /// The other shards give what they have too much of and what they do not use, and lend, for a heavy entry, what else one
    /// took beyond its share; what they do not have it gives back.
    #[cold]
    fn repay(&self, shard: &Shard<K, V>, debt: Debt, departed: &mut Departed<'_, K, V>) {
        let count = self.shards.len();
        let other = |step: usize| &self.shards[(shard.number() as usize + step) & self.shard_mask];
        let mut amount = debt.amount;
        for step in 1..count {
            amount -= other(step).give_excess(&self.around, amount, &mut departed.leaves);
        }
        for step in 1..count {
            amount -= other(step).give_unused(amount);
        }
        if amount == debt.amount {
            self.around.excess.store(0, Ordering::Relaxed);
        }
        for step in if debt.is_heavy { 1 } else { count }..=count {
            if amount == 0 {
                return;
            }
            let part = amount.div_ceil((count - step).max(1) as u64);
            amount -= other(step).lend(&self.around, part, amount, &mut departed.leaves);
        }
    }

    /// Evicts entries of a partition, of one shard after another, until it is within its quota.
    fn keep_quota(&self, partition: usize, departed: &mut Departed<'_, K, V>) {
        let mut empty = 0;
        while self.around.partitions[partition].is_over() && empty < self.shards.len() {
            let number = self.cursor.fetch_add(1, Ordering::Relaxed) as usize & self.shard_mask;
            let found = self.shards[number].evict_of(&self.around, partition, &mut departed.leaves);
            empty = if found { 0 } else { empty + 1 };
        }
    }

    fn of_every_shard(&self, mut f: impl FnMut(&Shard<K, V>, &mut Leaves)) -> Departed<'_, K, V> {
        let mut departed = Departed::new(self);
        for shard in &self.shards {
            f(shard, &mut departed.leaves);
        }
        departed
    }
}

impl<K, V> Tier<K, V> {
    pub(super) fn shard(&self, number: u32) -> &Shard<K, V> {
        &self.shards[number as usize]
    }

    /// Takes back what has been looked at for the last time; all of it is of one shard.
    pub(super) fn retire(&self, leaves: &[Leave]) {
        if let Some(first) = leaves.first() {
            self.shard(first.shard).retire(&self.around, leaves);
        }
    }
}

/// As many shards as writers on all cores want, but none too small to evict well; a power of two.
fn shard_count(memory: &Memory) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let wanted = memory.shards.unwrap_or(cores * 4).max(1) as u64;
    let fitting = match memory.budget {
        Budget::Bytes(bytes) => bytes / SHARD_BYTES_MIN,
        Budget::Entries(entries) => entries / SHARD_ENTRIES_MIN,
    };
    let count = wanted.min(SHARDS_MAX).next_power_of_two().min(fitting.max(1));
    // The largest power of two that is not above.
    1 << usize::try_from(count.ilog2()).unwrap_or(0)
}

/// The budget cut evenly, to the last unit.
fn shares(capacity: u64, count: usize) -> impl Iterator<Item = u64> {
    let count = count as u64;
    (0..count).map(move |number| capacity / count + u64::from(number < capacity % count))
}

#[cfg(test)]
mod tests;
