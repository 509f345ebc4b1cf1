//! Who may use how much: a shard's share of the budget, and what it takes from the others and gives them.
//!
//! **Idea.** An entry of more than a quarter of the share is *heavy*: while it is there, its shard is entitled to its weight
//! besides the share, and takes that from the others. They give what they are not entitled to first, then what they do not use,
//! and only then evict. Once a heavy entry is gone, a shard with less than its share takes a step back whenever it would have to
//! evict. **Invariant:** the capacities of all shards add up to the budget, but for calls that are under way.

use super::super::departed::Leaves;
use super::{Shard, Surroundings, Writer};
use std::sync::atomic::Ordering;

/// Capacity that a shard has taken, and the others have not given yet.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Debt {
    pub(in super::super) amount: u64,
    /// Whether it is for an entry that is too heavy for the shard's share.
    pub(in super::super) is_heavy: bool,
}

impl<K, V> Shard<K, V> {
    /// Changes the shard's part of the budget, and evicts down to it.
    pub(in super::super) fn set_share(&self, around: &Surroundings, share: u64, leaves: &mut Leaves) {
        let mut writer = self.writer.lock();
        writer.share = share;
        self.resize(&mut writer, around, share, leaves);
        self.finish(writer, around);
    }

    /// Gives `wanted` of the shard's capacity away, if it has so much, and what is not used then besides, up to `most` in
    /// all; says how much that was.
    pub(in super::super) fn lend(&self, around: &Surroundings, wanted: u64, most: u64, leaves: &mut Leaves) -> u64 {
        let mut writer = self.writer.lock();
        let lent = wanted.min(writer.capacity);
        let capacity = writer.capacity - lent;
        self.resize(&mut writer, around, capacity, leaves);
        // The last that it evicted may have been heavy.
        let unused = writer.capacity.saturating_sub(writer.weight).min(most - lent);
        writer.capacity -= unused;
        writer.tell_policies();
        self.finish(writer, around);
        lent + unused
    }

    /// Gives up to `wanted` of what the shard holds beyond what it is entitled to away, and says how much.
    pub(in super::super) fn give_excess(&self, around: &Surroundings, wanted: u64, leaves: &mut Leaves) -> u64 {
        let mut writer = self.writer.lock();
        let given = wanted.min(writer.capacity.saturating_sub(writer.entitled(around)));
        if given > 0 {
            let capacity = writer.capacity - given;
            self.resize(&mut writer, around, capacity, leaves);
            self.finish(writer, around);
        }
        given
    }

    /// Gives up to `wanted` of what the shard does not use away, and says how much.
    pub(in super::super) fn give_unused(&self, wanted: u64) -> u64 {
        let mut writer = self.writer.lock();
        let given = wanted.min(writer.capacity.saturating_sub(writer.weight));
        writer.capacity -= given;
        writer.tell_policies();
        given
    }

    fn resize(&self, writer: &mut Writer, around: &Surroundings, capacity: u64, leaves: &mut Leaves) {
        writer.capacity = capacity;
        writer.tell_policies();
        let room = writer.room(around);
        self.make_room(writer, around, room, leaves);
    }
}

impl Writer {
    /// Whether an entry would fill more than a quarter of the share.
    pub(super) fn is_heavy(&self, weight: u64) -> bool {
        weight.saturating_mul(4) > self.share
    }

    /// What the shard may have: its share, and room for what is too heavy for that.
    fn entitled(&self, around: &Surroundings) -> u64 {
        self.share.saturating_add(self.heavy).min(around.capacity.load(Ordering::Relaxed))
    }

    /// Takes capacity from the others: for a heavy entry as much as it weighs; and what they have too much of or do not use,
    /// if this shard must evict though it has less than its share.
    #[inline]
    pub(super) fn borrow(&mut self, around: &Surroundings, weight: u64) -> Debt {
        let is_heavy = self.is_heavy(weight);
        let is_short = self.weight + weight > self.capacity && self.capacity < self.share;
        let is_due = is_heavy || is_short && around.excess.load(Ordering::Relaxed) > 0;
        if !is_due {
            return Debt { amount: 0, is_heavy };
        }
        let wanted = match is_heavy {
            true => self.entitled(around).saturating_add(weight).min(around.capacity.load(Ordering::Relaxed)),
            // A step at a time: what the others do not use now, they may want later.
            false => self.capacity.saturating_add(self.share / 8).min(self.share),
        };
        let amount = wanted.saturating_sub(self.capacity);
        self.capacity += amount;
        self.tell_policies();
        Debt { amount, is_heavy }
    }

    fn tell_policies(&mut self) {
        for policy in &mut self.policies {
            policy.set_capacity(self.capacity);
        }
    }
}
