//! What changes a shard, under its lock.

#![allow(unsafe_code, reason = "reads without locks; listed in xtask/src/tidy/unsafety.rs")]

use super::super::Reason;
use super::super::departed::{Leave, Leaver, Leaves};
use super::super::index::{Parts, Place, Table};
use super::super::policy::{Entries, Entry, Policy};
use super::super::slots::{Held, Label, fetch};
use super::super::sync::MutexGuard;
use super::super::tier::NewEntry;
use super::super::wheel::Wheel;
use super::{Debt, Shard, Surroundings, Writer};
use smallvec::SmallVec;
use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Expired entries that a write collects on its way, at most.
const EXPIRED_PER_WRITE: usize = 4;

impl<K, V> Shard<K, V> {
    /// Stores an entry in place of the one that was there. Answers with what the shard took for that from the others, who
    /// must [give](Shard::give_excess) or [lend](Shard::lend) it.
    pub(in super::super) fn insert(
        &self,
        around: &Surroundings,
        parts: Parts,
        new: NewEntry<K, V>,
        leaves: &mut Leaves,
    ) -> Debt
    where
        K: Eq,
    {
        let mut writer = self.writer.lock();
        writer.fetch_for_insert(&self.slots, parts.home, new.partition);
        let found = writer.table.find(parts, |slot| (*self.held(&writer, slot).0 == new.key).then_some(slot));
        let debt = self.store(&mut writer, around, parts, found, new, leaves);
        self.finish(writer, around);
        debt
    }

    /// Shows what is there to `make` and stores what it returns. Answers with that one's partition, and as
    /// [`insert`](Shard::insert).
    pub(in super::super) fn upsert<Q>(
        &self,
        around: &Surroundings,
        parts: Parts,
        key: &Q,
        make: impl FnOnce(Option<Leaver<'_, K, V>>) -> Option<NewEntry<K, V>>,
        leaves: &mut Leaves,
    ) -> Option<(u16, Debt)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut writer = self.writer.lock();
        let found = writer.table.find(parts, |slot| (self.held(&writer, slot).0.borrow() == key).then_some(slot));
        let live = found.filter(|(_, slot)| !around.clock.is_past(self.slots.at(*slot).deadline_ms()));
        let old = live.map(|(_, slot)| {
            let (key, value) = self.held(&writer, slot);
            let slot = self.slots.at(slot);
            let (deadline_ms, weight, cost) = (slot.deadline_ms(), slot.weight(), slot.cost());
            Leaver { key, value, reason: Reason::Replaced, epoch: 0, deadline_ms, weight, cost }
        });
        let new = make(old)?;
        let partition = new.partition;
        let debt = self.store(&mut writer, around, parts, found, new, leaves);
        self.finish(writer, around);
        Some((partition, debt))
    }

    #[inline(always)]
    #[allow(clippy::inline_always, reason = "moves an entry: 9 ns less for one of 100 bytes")]
    fn store(
        &self,
        writer: &mut Writer,
        around: &Surroundings,
        parts: Parts,
        found: Option<(Place, u32)>,
        new: NewEntry<K, V>,
        leaves: &mut Leaves,
    ) -> Debt {
        let NewEntry { key, value, weight, deadline_ms, cost, partition } = new;
        let debt = writer.borrow(around, u64::from(weight));
        // What this call itself sends to limbo does not count against what it stores.
        let room = writer.room(around);
        let slot = writer.take_slot(&self.slots);
        let entry = self.slots.at(slot);
        let is_heavy = writer.is_heavy(u64::from(weight));
        let label = Label { home: parts.home, weight, deadline_ms, partition, cost, is_heavy };
        // SAFETY: the slot was on the free list or never used, and the lock is held.
        unsafe { entry.write(label, key, value) };
        match found {
            Some((place, old)) => {
                let gone = self.slots.at(old);
                let is_expired = around.clock.is_past(gone.deadline_ms());
                let reason = if is_expired { Reason::Expired } else { Reason::Replaced };
                self.replace(writer, place, old, slot);
                Self::count_out(writer, around, old, gone);
                self.leave(writer, around, old, gone, reason, leaves);
            }
            None => self.add(writer, parts, slot, usize::from(partition)),
        }
        Self::count_in(writer, around, slot, entry);
        if writer.wheel.is_some() {
            self.expire_some(writer, around, EXPIRED_PER_WRITE, leaves);
        }
        self.make_room(writer, around, room, leaves);
        debt
    }

    /// Takes the entry of `key` out, if it is there, not expired, and wanted.
    pub(in super::super) fn remove_if<Q>(
        &self,
        around: &Surroundings,
        parts: Parts,
        key: &Q,
        reason: Reason,
        is_wanted: impl FnOnce(&V) -> bool,
    ) -> Option<Leave>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut writer = self.writer.lock();
        let (place, slot) =
            writer.table.find(parts, |slot| (self.held(&writer, slot).0.borrow() == key).then_some(slot))?;
        if around.clock.is_past(self.slots.at(slot).deadline_ms()) || !is_wanted(self.held(&writer, slot).1) {
            return None;
        }
        let entry = self.slots.at(slot);
        writer.policies[entry.partition()].remove(&self.slots, slot);
        writer.table.remove(parts.home, place);
        Self::count_out(&mut writer, around, slot, entry);
        writer.departed[reason as usize] += 1;
        Some(Leave { slot, reason, epoch: around.epoch(parts.home), shard: self.number })
    }

    /// Takes out what has expired, `entries_max` at most.
    pub(in super::super) fn expire(&self, around: &Surroundings, entries_max: usize, leaves: &mut Leaves) {
        let mut writer = self.writer.lock();
        let mut left = entries_max;
        loop {
            let (count, is_done) = self.expire_some(&mut writer, around, left, leaves);
            left -= count;
            if is_done || left == 0 {
                break;
            }
        }
        self.finish(writer, around);
    }

    /// Takes out everything.
    pub(in super::super) fn clear(&self, around: &Surroundings, leaves: &mut Leaves) {
        let mut writer = self.writer.lock();
        let old = self.publish(&mut writer, Table::new(1));
        let capacity = writer.capacity;
        for policy in &mut writer.policies {
            *policy = Policy::new(capacity);
        }
        old.for_each(|slot| {
            let entry = self.slots.at(slot);
            Self::count_out(&mut writer, around, slot, entry);
            self.leave(&mut writer, around, slot, entry, Reason::Removed, leaves);
        });
        writer.limbo.push_table(old);
        self.finish(writer, around);
    }

    /// Evicts one entry of a partition. `false` if it has none here.
    pub(in super::super) fn evict_of(&self, around: &Surroundings, partition: usize, leaves: &mut Leaves) -> bool {
        let mut writer = self.writer.lock();
        let victim = writer.policies[partition].evict(&self.slots);
        if let Some(slot) = victim {
            self.let_go(&mut writer, around, slot, Reason::OverQuota, leaves);
        }
        self.finish(writer, around);
        victim.is_some()
    }

    /// The entry of a slot that is in the index.
    fn held<'a>(&'a self, _writer: &'a Writer, slot: u32) -> (&'a K, &'a V) {
        // SAFETY: the slot is in the index and the shard's lock is held, without which it cannot leave; the references
        // live no longer than the borrow of the guard.
        unsafe { self.slots.at(slot).slot.entry() }
    }

    /// A new key's slot joins index and policy.
    fn add(&self, writer: &mut Writer, parts: Parts, slot: u32, partition: usize) {
        if writer.len >= writer.table.capacity() {
            self.grow(writer);
        }
        writer.table.insert(parts, slot);
        writer.policies[partition].insert(&self.slots, slot);
    }

    /// `new` takes the place of `old`, with the same key.
    fn replace(&self, writer: &mut Writer, place: Place, old: u32, new: u32) {
        writer.table.replace(place, new);
        let (from, to) = (self.slots.at(old).partition(), self.slots.at(new).partition());
        if from == to {
            writer.policies[from].replace(&self.slots, old, new);
        } else {
            writer.policies[from].remove(&self.slots, old);
            writer.policies[to].insert(&self.slots, new);
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&self, writer: &mut Writer) {
        let buckets = writer.table.bucket_count();
        let larger = Table::new(if buckets < 64 { buckets * 2 } else { buckets + buckets / 3 });
        writer.table.copy_to(&larger, |slot| self.slots.at(slot).hash(), |slot| self.slots.fetch(slot));
        let old = self.publish(writer, larger);
        writer.limbo.push_table(old);
    }

    /// Readers see `table` from now on. Returns the one before, which goes to limbo.
    fn publish(&self, writer: &mut Writer, table: Table) -> Arc<Table> {
        let table = Arc::new(table);
        writer.table = Arc::clone(&table);
        self.table.replace(table)
    }

    /// Takes out of the index what the policy has already let go.
    fn let_go(&self, writer: &mut Writer, around: &Surroundings, slot: u32, reason: Reason, leaves: &mut Leaves) {
        let entry = self.slots.at(slot);
        let home = entry.hash();
        let place = writer.table.place_of(home, slot);
        debug_assert!(place.is_some(), "slot {slot} is in the policy and not in the index");
        if let Some(place) = place {
            writer.table.remove(home, place);
        }
        Self::count_out(writer, around, slot, entry);
        self.leave(writer, around, slot, entry, reason, leaves);
    }

    #[inline]
    fn count_in(writer: &mut Writer, around: &Surroundings, slot: u32, entry: Held<'_, K, V>) {
        let weight = u64::from(entry.weight());
        writer.len += 1;
        writer.weight += weight;
        if entry.is_heavy() {
            writer.heavy += weight;
        }
        around.count(entry.partition(), |total| _ = total.fetch_add(weight, Ordering::Relaxed));
        let deadline_ms = entry.deadline_ms();
        if deadline_ms != 0 {
            let now_ms = || around.clock.now_ms();
            writer.wheel.get_or_insert_with(|| Box::new(Wheel::new(now_ms()))).insert(slot, deadline_ms);
        }
    }

    #[inline]
    fn count_out(writer: &mut Writer, around: &Surroundings, slot: u32, entry: Held<'_, K, V>) {
        let weight = u64::from(entry.weight());
        writer.len -= 1;
        writer.weight -= weight;
        if entry.is_heavy() {
            writer.heavy -= weight;
            around.excess.fetch_add(weight, Ordering::Relaxed);
        }
        around.count(entry.partition(), |total| _ = total.fetch_sub(weight, Ordering::Relaxed));
        if entry.deadline_ms() != 0
            && let Some(wheel) = &mut writer.wheel
        {
            wheel.remove(slot);
        }
    }

    /// A slot that is in nothing any more: to the caller, or to limbo when nobody looks.
    #[inline]
    fn leave(
        &self,
        writer: &mut Writer,
        around: &Surroundings,
        slot: u32,
        entry: Held<'_, K, V>,
        reason: Reason,
        leaves: &mut Leaves,
    ) {
        writer.departed[reason as usize] += 1;
        if around.is_watched {
            leaves.push(Leave { slot, reason, epoch: around.epoch(entry.hash()), shard: self.number });
        } else {
            writer.retire(slot, entry.weight());
        }
    }

    pub(super) fn make_room(&self, writer: &mut Writer, around: &Surroundings, room: u64, leaves: &mut Leaves) {
        while writer.weight > room {
            let fullest = writer.fullest(around);
            let Some(slot) = writer.policies[fullest].evict(&self.slots) else { break };
            self.let_go(writer, around, slot, Reason::Evicted, leaves);
            if let Some(home) = writer.policies[fullest].prepare_next(&self.slots) {
                fetch(writer.table.bucket(Parts::of_home(home)));
            }
        }
    }

    /// Takes out some of what has expired; answers how many, and whether that was all.
    fn expire_some(
        &self,
        writer: &mut Writer,
        around: &Surroundings,
        entries_max: usize,
        leaves: &mut Leaves,
    ) -> (usize, bool) {
        let Some(wheel) = &mut writer.wheel else { return (0, true) };
        let mut expired: SmallVec<[u32; 8]> = SmallVec::new();
        let deadline_of = |slot| self.slots.at(slot).deadline_ms();
        let is_done = wheel.advance(around.clock.now_ms(), entries_max, deadline_of, |slot| expired.push(slot));
        for slot in &expired {
            let partition = self.slots.at(*slot).partition();
            writer.policies[partition].remove(&self.slots, *slot);
            self.let_go(writer, around, *slot, Reason::Expired, leaves);
        }
        (expired.len(), is_done)
    }

    /// Lets the lock go, and begins what must not happen under it.
    #[inline]
    pub(super) fn finish(&self, writer: MutexGuard<'_, Writer>, around: &Surroundings) {
        let is_due = writer.is_settling_due(around);
        drop(writer);
        if is_due {
            self.settle();
        }
    }
}

impl Writer {
    fn take_slot<K, V>(&mut self, slots: &super::Slots<K, V>) -> u32 {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        let slot = self.untouched;
        slots.reserve(slot);
        self.untouched += 1;
        slot
    }

    /// Begins to fetch what an insert will look at later.
    fn fetch_for_insert<K, V>(&self, slots: &super::Slots<K, V>, home: u32, partition: u16) {
        self.policies[usize::from(partition)].prepare_insert(home);
        if let Some(free) = self.free.last() {
            slots.fetch(*free);
        }
    }

    /// The partition that must give room: the one that takes the largest part of what it may have.
    #[inline]
    fn fullest(&self, around: &Surroundings) -> usize {
        if self.policies.len() == 1 { 0 } else { self.fullest_of_many(around) }
    }

    fn fullest_of_many(&self, around: &Surroundings) -> usize {
        let share = |(index, policy): &(usize, &Policy)| {
            let quota = around.partitions[*index].quota.max(1);
            (u128::from(policy.weight()) << 32) / u128::from(quota)
        };
        let with_entries = self.policies.iter().enumerate().filter(|(_, policy)| policy.len() > 0);
        with_entries.max_by_key(share).map_or(0, |(index, _)| index)
    }
}
