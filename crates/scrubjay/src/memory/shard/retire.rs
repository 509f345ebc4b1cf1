//! From limbo back to the free list: slots that have left are dropped once no reader can see them.
//!
//! Slots are collected and wait together, since finding out who reads costs the same for one and for a thousand. How many
//! may be collected is bounded by number and by weight, so what left takes little beside what is there.

#![allow(unsafe_code, reason = "reads without locks; listed in xtask/src/tidy/unsafety.rs")]

use super::super::departed::Leave;
use super::super::grace::Grace;
use super::super::index::Table;
use super::super::policy::{Entries, Entry};
use super::{Shard, Surroundings, Writer};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Slots collected before a grace period begins: a 32nd of the entries, between these. With another thread at work
/// beginning one costs some microseconds.
const BATCH_MIN: usize = 64;
const BATCH_MAX: usize = 2048;

/// What has left the index and may still be read.
#[derive(Default)]
pub(super) struct Limbo {
    /// Collected, no grace period begun.
    fresh: Batch,
    /// In the order of their grace periods.
    waiting: VecDeque<(Grace, Batch)>,
    /// Of everything that is in limbo, those outside of the lock included.
    weight: u64,
}

#[derive(Default)]
struct Batch {
    slots: Vec<u32>,
    tables: Vec<Arc<Table>>,
    weight: u64,
}

impl Limbo {
    /// A table that is not published any more.
    pub(super) fn push_table(&mut self, table: Arc<Table>) {
        self.fresh.tables.push(table);
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.fresh.slots.is_empty() && self.fresh.tables.is_empty()
    }

    pub(super) fn drain_into(&mut self, slots: &mut Vec<u32>) {
        slots.append(&mut self.fresh.slots);
        for (_, batch) in self.waiting.drain(..) {
            slots.extend(batch.slots);
        }
    }
}

impl Writer {
    pub(super) fn retire(&mut self, slot: u32, weight: u32) {
        self.limbo.fresh.slots.push(slot);
        self.limbo.fresh.weight += u64::from(weight);
        self.limbo.weight += u64::from(weight);
    }

    /// What entries may weigh now: the capacity, less what limbo holds beyond an eighth of it because readers stall.
    pub(super) fn room(&self, around: &Surroundings) -> u64 {
        let excess = if around.counts_bytes { self.limbo.weight.saturating_sub(self.capacity / 8) } else { 0 };
        self.capacity - excess.min(self.capacity / 2)
    }

    /// Whether limbo has collected enough.
    pub(super) fn is_settling_due(&self, around: &Surroundings) -> bool {
        let fresh = &self.limbo.fresh;
        let is_heavy = around.counts_bytes && fresh.weight > self.capacity / 32;
        // In a small shard no more than are there.
        let least = BATCH_MIN.min(self.len.max(1));
        fresh.slots.len() >= (self.len / 32).clamp(least, BATCH_MAX) || is_heavy
    }
}

impl<K, V> Shard<K, V> {
    /// Takes slots that their holder has looked at for the last time.
    pub(in super::super) fn retire(&self, around: &Surroundings, leaves: &[Leave]) {
        let mut writer = self.writer.lock();
        for leave in leaves {
            writer.retire(leave.slot, self.slots.at(leave.slot).weight());
        }
        let is_due = writer.is_settling_due(around);
        drop(writer);
        if is_due {
            self.settle();
        }
    }

    /// Begins a grace period for what is fresh, and frees whatever no reader can see any more.
    pub(in super::super) fn settle(&self) {
        let fresh = {
            let mut writer = self.writer.lock();
            if writer.limbo.is_empty() {
                return;
            }
            std::mem::take(&mut writer.limbo.fresh)
        };
        // The fence of `begin` may take microseconds: not under the lock.
        let mut grace = Grace::begin();
        let mut over = Vec::new();
        {
            let mut writer = self.writer.lock();
            let waiting = &mut writer.limbo.waiting;
            while let Some((grace, _)) = waiting.front_mut()
                && grace.is_over()
            {
                over.extend(waiting.pop_front().map(|(_, batch)| batch));
            }
            match grace.is_over() {
                true => over.push(fresh),
                false => waiting.push_back((grace, fresh)),
            }
        }
        for batch in &over {
            self.free(&batch.slots);
        }
        let mut writer = self.writer.lock();
        for batch in &mut over {
            writer.limbo.weight -= batch.weight;
            writer.free.append(&mut batch.slots);
            if writer.limbo.fresh.slots.capacity() < batch.slots.capacity() {
                // What has been collected meanwhile is little.
                batch.slots.append(&mut writer.limbo.fresh.slots);
                std::mem::swap(&mut batch.slots, &mut writer.limbo.fresh.slots);
            }
        }
        drop(writer);
    }

    /// Drops the entries of slots whose grace period is over. A `Drop` that panics harms only its own value.
    fn free(&self, slots: &[u32]) {
        if !std::mem::needs_drop::<(K, V)>() {
            return;
        }
        for slot in slots {
            let _ = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: the slot left the index before a grace period that is over, so nobody sees it; it came out of
                // limbo just now, once, and is not on the free list yet.
                unsafe { self.slots.free(*slot) };
            }));
        }
    }
}
