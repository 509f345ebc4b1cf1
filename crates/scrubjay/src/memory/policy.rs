//! Admission and eviction: which entry goes when there is no room. For now first in, first out; S3-FIFO comes under the
//! same interface.

use std::collections::VecDeque;

/// What the policy may know and write of an entry. Every call happens under the shard's lock; `hits` races benignly
/// with readers.
pub(crate) trait Entries {
    fn hits(&self, slot: u32) -> u8;
    fn set_hits(&self, slot: u32, hits: u8);
    fn hash(&self, slot: u32) -> u32;
    fn weight(&self, slot: u32) -> u32;
    fn cost(&self, slot: u32) -> u8;
    fn position(&self, slot: u32) -> u32;
    fn set_position(&self, slot: u32, position: u32);
    fn prefetch(&self, slot: u32);
}

pub(crate) struct Policy {
    queue: VecDeque<u32>,
    first: u32,
    weight: u64,
    len: usize,
}

/// Bytes that the policy takes for an entry.
pub(crate) const BYTES_PER_ENTRY: usize = 12;

const GONE: u32 = u32::MAX;

impl Policy {
    pub(crate) fn new(_capacity: u64) -> Policy {
        Policy { queue: VecDeque::new(), first: 0, weight: 0, len: 0 }
    }

    pub(crate) fn set_capacity(&mut self, _capacity: u64) {}

    pub(crate) fn insert(&mut self, entries: &impl Entries, slot: u32) {
        let position = self.first.wrapping_add(u32::try_from(self.queue.len()).unwrap_or(0));
        entries.set_position(slot, position);
        self.queue.push_back(slot);
        self.weight += u64::from(entries.weight(slot));
        self.len += 1;
    }

    pub(crate) fn remove(&mut self, entries: &impl Entries, slot: u32) {
        let index = entries.position(slot).wrapping_sub(self.first);
        self.queue[index as usize] = GONE;
        self.weight -= u64::from(entries.weight(slot));
        self.len -= 1;
    }

    pub(crate) fn replace(&mut self, entries: &impl Entries, old: u32, new: u32) {
        let position = entries.position(old);
        self.queue[position.wrapping_sub(self.first) as usize] = new;
        entries.set_position(new, position);
        self.weight = self.weight - u64::from(entries.weight(old)) + u64::from(entries.weight(new));
    }

    pub(crate) fn evict(&mut self, entries: &impl Entries) -> Option<u32> {
        loop {
            let slot = self.queue.pop_front()?;
            self.first = self.first.wrapping_add(1);
            if slot != GONE {
                self.weight -= u64::from(entries.weight(slot));
                self.len -= 1;
                return Some(slot);
            }
        }
    }

    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}
