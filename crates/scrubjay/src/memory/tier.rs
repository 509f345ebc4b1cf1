//! The way into the memory tier. For now a map behind a lock: the real one comes under the same interface.

use super::departed::Leaver;
use super::{Budget, Departed, Memory, Reason};
use crate::clock::Clock;
use parking_lot::Mutex;
use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter per stripe of keys, which every invalidation of one of its keys raises. Who holds a value that it read
/// earlier compares: the same number, and no invalidation came between.
#[derive(Debug)]
pub(crate) struct Epochs {
    stripes: Box<[AtomicU64]>,
}

impl Epochs {
    pub(crate) fn new(stripes: usize) -> Epochs {
        Epochs { stripes: (0..stripes.next_power_of_two()).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The stripe of a key, by its hash in the memory tier.
    pub(crate) fn stripe(&self, hash: u64) -> usize {
        usize::try_from(hash & 0xffff_ffff).unwrap_or(0) & (self.stripes.len() - 1)
    }

    pub(crate) fn len(&self) -> usize {
        self.stripes.len()
    }

    pub(crate) fn get(&self, stripe: usize) -> u64 {
        self.stripes[stripe].load(Ordering::Acquire)
    }

    /// Called after the key left the memory tier, while its stripe is locked.
    pub(crate) fn raise(&self, stripe: usize) {
        self.stripes[stripe].fetch_add(1, Ordering::AcqRel);
    }
}

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

pub(crate) struct Entry<K, V> {
    pub(super) key: K,
    pub(super) value: V,
    pub(super) weight: u32,
    pub(super) deadline_ms: u64,
    partition: u16,
}

pub(crate) struct Tier<K, V> {
    hasher: ahash::RandomState,
    clock: Clock,
    epochs: Option<Arc<Epochs>>,
    map: Mutex<Map<K, V>>,
}

struct Map<K, V> {
    capacity: u64,
    weight: u64,
    entries: HashMap<u64, Vec<Arc<Entry<K, V>>>>,
    order: VecDeque<Arc<Entry<K, V>>>,
    quotas: Vec<u64>,
}

impl<K: Hash + Eq, V> Tier<K, V> {
    pub(crate) fn new(options: TierOptions) -> Tier<K, V> {
        let (Budget::Bytes(capacity) | Budget::Entries(capacity)) = options.memory.budget;
        let quotas = options.memory.partitions.iter().map(|(_, quota)| *quota).collect();
        let map = Map { capacity, weight: 0, entries: HashMap::new(), order: VecDeque::new(), quotas };
        let hasher = ahash::RandomState::new();
        Tier { hasher, clock: options.clock, epochs: options.epochs, map: Mutex::new(map) }
    }

    /// The hash by which every other call finds the key.
    pub(crate) fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Shows the entry of `key` to `f`, and counts as a touch. `f` runs while readers hold memory back: keep it short.
    pub(crate) fn get<Q, R>(&self, hash: u64, key: &Q, f: impl FnOnce(&K, &V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.peek(hash, key, f)
    }

    /// The same without a touch.
    pub(crate) fn peek<Q, R>(&self, hash: u64, key: &Q, f: impl FnOnce(&K, &V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let entry = {
            let map = self.map.lock();
            let entry = map.entries.get(&hash)?.iter().find(|entry| entry.key.borrow() == key)?;
            Arc::clone(entry)
        };
        (!self.clock.is_past(entry.deadline_ms)).then(|| f(&entry.key, &entry.value))
    }

    /// Shows the entry of each key to `f` with the key's index, as so many [`get`](Tier::get)s would, but looks ahead.
    pub(crate) fn get_many(&self, keys: &[K], mut f: impl FnMut(usize, &K, &V)) {
        for (index, key) in keys.iter().enumerate() {
            let _ = self.get(self.hash(key), key, |key, value| f(index, key, value));
        }
    }

    /// Stores the entry, in place of the one that was there, and makes room.
    #[must_use]
    pub(crate) fn insert(&self, hash: u64, new: NewEntry<K, V>) -> Departed<K, V> {
        let mut map = self.map.lock();
        self.store(&mut map, hash, new)
    }

    /// Shows to `make` what is there (`None`: nothing, or expired), stores what it returns in its place, and makes room;
    /// all under the shard's lock, so no other write comes between. `make` must not call back; if it panics or returns
    /// `None`, everything stays as it was.
    #[must_use]
    pub(crate) fn upsert<Q>(
        &self,
        hash: u64,
        key: &Q,
        make: impl FnOnce(Option<Leaver<'_, K, V>>) -> Option<NewEntry<K, V>>,
    ) -> Option<Departed<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut map = self.map.lock();
        let bucket = map.entries.get(&hash).map_or(&[][..], Vec::as_slice);
        let entry = bucket.iter().find(|entry| entry.key.borrow() == key);
        let old = entry.filter(|entry| !self.clock.is_past(entry.deadline_ms)).map(|entry| Leaver {
            key: &entry.key,
            value: &entry.value,
            reason: Reason::Replaced,
            epoch: 0,
            deadline_ms: entry.deadline_ms,
            weight: entry.weight,
        });
        let new = make(old)?;
        Some(self.store(&mut map, hash, new))
    }

    /// Takes the entry out. `is_wanted` is asked first, under the shard's lock: it must not call back.
    #[must_use]
    pub(crate) fn remove_if<Q>(
        &self,
        hash: u64,
        key: &Q,
        reason: Reason,
        is_wanted: impl FnOnce(&V) -> bool,
    ) -> Option<Departed<K, V>>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut map = self.map.lock();
        let entry = map.entries.get(&hash)?.iter().find(|entry| entry.key.borrow() == key)?;
        if !is_wanted(&entry.value) {
            return None;
        }
        Some(self.take(&mut map, hash, key, reason))
    }

    /// Shows every entry that is not expired, in no order, a shard at a time; what comes or goes meanwhile may be seen or
    /// not.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&K, &V)) {
        let entries: Vec<_> = self.map.lock().entries.values().flatten().cloned().collect();
        for entry in entries.iter().filter(|entry| !self.clock.is_past(entry.deadline_ms)) {
            f(&entry.key, &entry.value);
        }
    }

    /// Takes out every entry.
    #[must_use]
    pub(crate) fn clear(&self) -> Departed<K, V> {
        let mut map = self.map.lock();
        let entries: Vec<_> =
            map.entries.drain().flat_map(|(hash, entries)| entries.into_iter().map(move |e| (hash, e))).collect();
        map.order.clear();
        map.weight = 0;
        Departed { entries: entries.into_iter().map(|(hash, e)| (e, Reason::Removed, self.epoch(hash))).collect() }
    }

    /// Takes out what has expired, as the timer wheel has it, `entries_max` at most. Inserts do a little of this on their own.
    #[must_use]
    pub(crate) fn expire(&self, entries_max: usize) -> Departed<K, V> {
        let mut map = self.map.lock();
        let past: Vec<_> = map
            .entries
            .iter()
            .flat_map(|(hash, entries)| entries.iter().map(|e| (*hash, Arc::clone(e))))
            .filter(|(_, entry)| self.clock.is_past(entry.deadline_ms))
            .take(entries_max)
            .collect();
        let mut departed = Departed { entries: Vec::new() };
        for (hash, entry) in past {
            departed.entries.extend(self.take(&mut map, hash, &entry.key, Reason::Expired).entries);
        }
        departed
    }

    /// Changes the budget, and evicts down to it.
    #[must_use]
    pub(crate) fn resize(&self, capacity: u64) -> Departed<K, V> {
        let mut map = self.map.lock();
        map.capacity = capacity;
        let mut departed = Departed { entries: Vec::new() };
        self.make_room(&mut map, &mut departed);
        departed
    }

    /// The budget.
    pub(crate) fn capacity(&self) -> u64 {
        self.map.lock().capacity
    }

    /// What the entries weigh.
    pub(crate) fn weight(&self) -> u64 {
        self.map.lock().weight
    }

    /// Entries, expired ones that were not collected yet among them.
    pub(crate) fn len(&self) -> usize {
        self.map.lock().entries.values().map(Vec::len).sum()
    }

    /// Bytes that an entry takes in the tier besides what key and value hold outside of themselves.
    pub(crate) fn entry_bytes() -> usize {
        size_of::<Entry<K, V>>() + 24
    }

    fn epoch(&self, hash: u64) -> u64 {
        self.epochs.as_ref().map_or(0, |epochs| epochs.get(epochs.stripe(hash)))
    }

    fn store(&self, map: &mut Map<K, V>, hash: u64, new: NewEntry<K, V>) -> Departed<K, V> {
        let NewEntry { key, value, weight, deadline_ms, partition, .. } = new;
        let entry = Arc::new(Entry { key, value, weight, deadline_ms, partition });
        let mut departed = self.take(map, hash, &entry.key, Reason::Replaced);
        map.weight += u64::from(weight);
        map.entries.entry(hash).or_default().push(Arc::clone(&entry));
        map.order.push_back(entry);
        self.make_room(map, &mut departed);
        self.keep_quota(map, partition, &mut departed);
        departed
    }

    fn make_room(&self, map: &mut Map<K, V>, departed: &mut Departed<K, V>) {
        while map.weight > map.capacity {
            let Some(victim) = map.order.front().cloned() else { break };
            let left = self.take(map, self.hash(&victim.key), &victim.key, Reason::Evicted);
            departed.entries.extend(left.entries);
        }
    }

    fn keep_quota(&self, map: &mut Map<K, V>, partition: u16, departed: &mut Departed<K, V>) {
        let Some(index) = partition.checked_sub(1) else { return };
        loop {
            let of_partition = || map.order.iter().filter(|entry| entry.partition == partition);
            let weight: u64 = of_partition().map(|entry| u64::from(entry.weight)).sum();
            let victim = of_partition().next().filter(|_| weight > map.quotas[usize::from(index)]).cloned();
            let Some(victim) = victim else { return };
            let left = self.take(map, self.hash(&victim.key), &victim.key, Reason::OverQuota);
            departed.entries.extend(left.entries);
        }
    }

    fn take<Q>(&self, map: &mut Map<K, V>, hash: u64, key: &Q, reason: Reason) -> Departed<K, V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut departed = Departed { entries: Vec::new() };
        let Some(bucket) = map.entries.get_mut(&hash) else { return departed };
        if let Some(index) = bucket.iter().position(|entry| entry.key.borrow() == key) {
            let entry = bucket.swap_remove(index);
            if bucket.is_empty() {
                map.entries.remove(&hash);
            }
            map.weight -= u64::from(entry.weight);
            map.order.retain(|other| !Arc::ptr_eq(other, &entry));
            departed.entries.push((entry, reason, self.epoch(hash)));
        }
        departed
    }
}
