//! One part of the tier: its entries, where they are, and who goes next. Readers take no lock, writers take this shard's.
//!
//! **Invariants.** A slot is in exactly one of these: the free list; the index (and then in its partition's policy, and in
//! the wheel if it has a deadline); the leaves that a caller holds; limbo, where it waits until no reader can see it.
//! A slot number that a pinned reader found in the index stays written until the pin ends. `make` and `is_wanted`, the only
//! code of others that runs under the lock besides the key's `Eq`, runs before anything has changed.

#![allow(unsafe_code, reason = "reads without locks; listed in xtask/src/tidy/unsafety.rs")]

mod retire;
mod share;
mod write;

use super::departed::{Leave, Leaver, Resident};
use super::grace::{Pinned, Published};
use super::index::{First, Parts, Table};
use super::policy::{Entries, Entry, Policy};
use super::slots::{Slot, Slots, fetch};
use super::sync::Mutex;
use super::wheel::Wheel;
use super::{Epochs, Reason};
use crate::clock::Clock;
use crossbeam_utils::CachePadded;
use retire::Limbo;
pub(super) use share::Debt;
use std::borrow::Borrow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all shards of a tier share.
pub(super) struct Surroundings {
    pub(super) clock: Clock,
    pub(super) epochs: Option<Arc<Epochs>>,
    /// Whether what leaves is shown to somebody, or goes to limbo at once.
    pub(super) is_watched: bool,
    /// The budget of the whole tier.
    pub(super) capacity: AtomicU64,
    /// What heavy entries have left behind since somebody last asked in vain for what others do not use.
    pub(super) excess: AtomicU64,
    /// Whether weights are bytes.
    pub(super) counts_bytes: bool,
    /// The first is that of entries without a partition: its quota is the budget, and its weight is not counted.
    pub(super) partitions: Box<[Partition]>,
}

/// How much a partition may take over all shards, and takes.
pub(super) struct Partition {
    pub(super) quota: u64,
    pub(super) weight: AtomicU64,
}

impl Partition {
    pub(super) fn is_over(&self) -> bool {
        self.weight.load(Ordering::Relaxed) > self.quota
    }
}

impl Surroundings {
    /// Counts weight in or out; entries without a partition are counted by their shards alone.
    fn count(&self, partition: usize, count: impl FnOnce(&AtomicU64)) {
        if partition > 0 {
            count(&self.partitions[partition].weight);
        }
    }

    fn epoch(&self, home: u32) -> u64 {
        self.epochs.as_ref().map_or(0, |epochs| epochs.get(epochs.stripe(u64::from(home))))
    }
}

/// One part of the tier. What readers look at comes first, in one cache line.
#[repr(C)]
pub(super) struct Shard<K, V> {
    /// Its place in the tier.
    number: u32,
    table: Published<Table>,
    slots: Slots<K, V>,
    writer: CachePadded<Mutex<Writer>>,
}

/// What only the holder of the lock sees.
struct Writer {
    /// The same table that is published.
    table: Arc<Table>,
    len: usize,
    weight: u64,
    /// What the entries may weigh.
    capacity: u64,
    /// This shard's part of the budget, when nobody borrows.
    share: u64,
    /// What those entries weigh that are too heavy for the share: it is entitled to that much more.
    heavy: u64,
    /// One for each partition.
    policies: Box<[Policy]>,
    /// There from the first deadline on.
    wheel: Option<Box<Wheel>>,
    free: Vec<u32>,
    /// Slots from here on were never used.
    untouched: u32,
    limbo: Limbo,
    /// Entries that left, by reason.
    departed: [u64; Reason::OverQuota as usize + 1],
}

impl<K, V> Shard<K, V> {
    pub(super) fn new(number: u32, capacity: u64, partitions: usize, slots: Slots<K, V>) -> Shard<K, V> {
        let table = Arc::new(Table::new(1));
        let writer = Writer {
            table: Arc::clone(&table),
            len: 0,
            weight: 0,
            capacity,
            share: capacity,
            heavy: 0,
            policies: (0..partitions).map(|_| Policy::new(capacity)).collect(),
            wheel: None,
            free: Vec::new(),
            untouched: 0,
            limbo: Limbo::default(),
            departed: [0; Reason::OverQuota as usize + 1],
        };
        Shard { number, table: Published::new(table), slots, writer: CachePadded::new(Mutex::new(writer)) }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Key and value of `key`, unless expired, for as long as the pin.
    ///
    /// Here is what nearly every lookup comes to: the first tag that fits is the key's, or none in its home bucket fits.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "the hit path: nothing of it goes through memory then")]
    pub(super) fn find<'a, Q>(
        &'a self,
        around: &Surroundings,
        pinned: Pinned<'a>,
        parts: Parts,
        key: &Q,
        is_touch: bool,
    ) -> Option<(&'a K, &'a V)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let first = self.table.load(pinned).first(parts);
        if first == First::Absent {
            return None;
        }
        if let First::Perhaps(number) = first
            && let Some(slot) = self.slots.near(number)
        {
            // SAFETY: as in `find_slowly`.
            let entry = unsafe { slot.entry() };
            if entry.0.borrow() == key {
                return Self::live(around, slot, entry, is_touch);
            }
        }
        self.find_slowly(around, pinned, parts, key, is_touch)
    }

    #[inline(never)]
    fn find_slowly<'a, Q>(
        &'a self,
        around: &Surroundings,
        pinned: Pinned<'a>,
        parts: Parts,
        key: &Q,
        is_touch: bool,
    ) -> Option<(&'a K, &'a V)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let look = |slot| {
            let slot = self.slots.at(slot).slot;
            // SAFETY: the slot was in the published table while its reader was pinned, so it is written, and a grace period
            // that ends after this pin comes before it is freed. The references live no longer than the pin.
            let entry = unsafe { slot.entry() };
            (entry.0.borrow() == key).then_some((slot, entry))
        };
        let (_, (slot, entry)) = self.table.load(pinned).find(parts, look)?;
        Self::live(around, slot, entry, is_touch)
    }

    /// The entry, unless it is expired.
    #[inline]
    fn live<'a>(
        around: &Surroundings,
        slot: &Slot<K, V>,
        entry: (&'a K, &'a V),
        is_touch: bool,
    ) -> Option<(&'a K, &'a V)> {
        let state = slot.state();
        if around.clock.is_past(state.deadline_ms()) {
            return None;
        }
        if is_touch {
            slot.touch(state);
        }
        Some(entry)
    }

    /// The entry of a leave: its holder owns the slot.
    pub(super) fn of_leave(&self, leave: &Leave) -> Leaver<'_, K, V> {
        let slot = self.slots.at(leave.slot);
        // SAFETY: a leave owns its slot from the moment it left the index until it is retired, which consumes it.
        let (key, value) = unsafe { slot.slot.entry() };
        let (deadline_ms, weight, cost) = (slot.deadline_ms(), slot.weight(), slot.cost());
        Leaver { key, value, reason: leave.reason, epoch: leave.epoch, deadline_ms, weight, cost }
    }

    /// First step of a lookup ahead: fetches the line of the index.
    #[inline]
    pub(super) fn fetch_bucket(&self, pinned: Pinned<'_>, parts: Parts) {
        fetch(self.table.load(pinned).bucket(parts));
    }

    /// Second step: fetches the entry that the key probably has.
    #[inline]
    pub(super) fn fetch_entry(&self, pinned: Pinned<'_>, parts: Parts) {
        if let First::Perhaps(slot) = self.table.load(pinned).first(parts) {
            self.slots.fetch(slot);
        }
    }

    /// Shows every entry that is not expired. Holds memory back while it runs.
    pub(super) fn for_each(&self, around: &Surroundings, pinned: Pinned<'_>, mut f: impl FnMut(Resident<'_, K, V>)) {
        self.table.load(pinned).for_each(|slot| {
            let slot = self.slots.at(slot);
            let deadline_ms = slot.deadline_ms();
            if !around.clock.is_past(deadline_ms) {
                // SAFETY: as in `find`: found in the published table under a pin that outlives the references.
                let (key, value) = unsafe { slot.slot.entry() };
                let (hits, weight, cost) = (slot.hits(), slot.weight(), slot.cost());
                f(Resident { key, value, hits, deadline_ms, weight, cost });
            }
        });
    }

    pub(super) fn weight(&self) -> u64 {
        self.writer.lock().weight
    }

    pub(super) fn departed_count(&self, reason: Reason) -> u64 {
        self.writer.lock().departed[reason as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.writer.lock().len
    }
}

impl<K, V> Drop for Shard<K, V> {
    fn drop(&mut self) {
        let mut slots = Vec::new();
        let writer = self.writer.get_mut();
        writer.table.for_each(|slot| slots.push(slot));
        writer.limbo.drain_into(&mut slots);
        for slot in slots {
            // A `Drop` that panics harms only its own value.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: with `&mut self` nobody reads, and a slot is either in the index or in limbo, once.
                unsafe { self.slots.free(slot) };
            }));
        }
    }
}
