//! What the store holds and where: one entry of 24 bytes for each key, in memory, found by hash.
//!
//! Sharded by the low bits of the hash, each shard under a lock of its own with its counters beside it, so that a get takes
//! one lock and touches one table. Within a shard the upper bits choose the slot (`index/table.rs`).
//!
//! **Invariant:** one entry at most per hash. A key whose hash another key has takes that one's place: a cache may lose an
//! entry, and who reads compares the key itself.
//!
//! **Invariant:** lock order is shard, then log. Nobody takes a second shard while he holds one.
//!
//! It knows nothing of files, keys or the clock: whether an entry has expired or was cleared is for who asks.

mod slot;
mod table;
mod tally;
#[cfg(test)]
mod tests;

pub(crate) use slot::{Entry, HEAT_MAX, PINNED};
pub(crate) use tally::Tally;

use crate::place::Place;
use crossbeam_utils::CachePadded;
use parking_lot::{Mutex, MutexGuard};
use table::Table;

/// Shards at most: the low 16 bits of the hash choose, and the upper 32 place.
const SHARDS_MAX: usize = 1 << 16;
/// A shard's table is copied when it grows: so much of the log per shard keeps that under a millisecond.
const LOG_BYTES_PER_SHARD: u64 = 16 << 20;

/// Every entry of the store.
#[derive(Debug)]
pub(crate) struct Index {
    shards: Box<[CachePadded<Mutex<Shard>>]>,
    mask: u64,
}

/// A part of the entries and what was counted on them.
#[derive(Debug, Default)]
struct Shard {
    table: Table,
    tally: Tally,
}

/// A shard, locked.
#[derive(Debug)]
pub(crate) struct ShardGuard<'a> {
    shard: MutexGuard<'a, Shard>,
}

impl Index {
    /// An index of so many shards, rounded up to a power of two.
    pub(crate) fn new(shards: usize) -> Index {
        let count = shards.clamp(1, SHARDS_MAX).next_power_of_two();
        let shards = (0..count).map(|_| CachePadded::new(Mutex::default())).collect();
        Index { shards, mask: u64::try_from(count).unwrap_or(1) - 1 }
    }

    /// How many shards a store of that capacity wants: enough that threads seldom meet, and that none is long to grow.
    pub(crate) fn shards_for(threads: usize, capacity: u64) -> usize {
        let by_len = usize::try_from(capacity / LOG_BYTES_PER_SHARD).unwrap_or(SHARDS_MAX).min(4096);
        threads.saturating_mul(16).max(64).max(by_len).min(SHARDS_MAX).next_power_of_two()
    }

    /// How many shards there are.
    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Which shard the hash belongs to.
    pub(crate) fn shard_number(&self, hash: u64) -> usize {
        // The mask is below the number of shards, which is a usize.
        usize::try_from(hash & self.mask).unwrap_or(0)
    }

    /// Locks the shard that the hash belongs to.
    #[inline]
    pub(crate) fn shard(&self, hash: u64) -> ShardGuard<'_> {
        // The mask is below the number of shards, which is a usize.
        let number = usize::try_from(hash & self.mask).unwrap_or(0);
        ShardGuard { shard: self.shards[number].lock() }
    }

    /// What is known of the hash.
    #[inline]
    pub(crate) fn get(&self, hash: u64) -> Option<Entry> {
        self.shard(hash).get(hash)
    }

    /// The same, and it is warmer by one.
    #[inline]
    pub(crate) fn get_touched(&self, hash: u64) -> Option<Entry> {
        self.shard(hash).get_touched(hash)
    }

    /// Entries, shard by shard: not of one instant.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().table.len()).sum()
    }

    /// Bytes that it takes in memory.
    pub(crate) fn bytes(&self) -> usize {
        let tables: usize = self.shards.iter().map(|shard| shard.lock().table.bytes()).sum();
        tables + self.shards.len() * size_of::<CachePadded<Mutex<Shard>>>()
    }

    /// What was counted, over all shards.
    pub(crate) fn tally(&self) -> Tally {
        self.shards.iter().map(|shard| shard.lock().tally).sum()
    }

    /// Shows every entry. A shard is copied out under its lock and shown without it: `show` may use the index, and sees
    /// what was there when its shard was copied.
    pub(crate) fn for_each(&self, mut show: impl FnMut(u64, &Entry)) {
        let mut copied: Vec<(u64, Entry)> = Vec::new();
        for shard in &self.shards {
            copied.clear();
            {
                let shard = shard.lock();
                copied.reserve(shard.table.len());
                copied.extend(shard.table.iter());
            }
            copied.iter().for_each(|(hash, entry)| show(*hash, entry));
        }
    }

    /// Keeps the entries that `keep` says, and returns how many it let go. `keep` runs under the shard's lock: it must not
    /// use the index.
    pub(crate) fn retain(&self, mut keep: impl FnMut(u64, &Entry) -> bool) -> usize {
        self.shards.iter().map(|shard| shard.lock().table.retain(&mut keep)).sum()
    }

    /// Panics if the order in a table is broken.
    #[cfg(test)]
    pub(crate) fn validate(&self) {
        for (number, shard) in self.shards.iter().enumerate() {
            let shard = shard.lock();
            shard.table.validate();
            let belongs = |hash: u64| usize::try_from(hash & self.mask).is_ok_and(|chosen| chosen == number);
            assert!(shard.table.iter().all(|(hash, _)| belongs(hash)), "an entry of another shard in {number}");
        }
    }
}

impl ShardGuard<'_> {
    /// What is known of the hash.
    #[inline]
    pub(crate) fn get(&self, hash: u64) -> Option<Entry> {
        self.shard.table.get(hash)
    }

    /// The same, and it is warmer by one. Returns it as it was before.
    #[inline]
    pub(crate) fn get_touched(&mut self, hash: u64) -> Option<Entry> {
        self.shard.table.get_touched(hash)
    }

    /// Puts it in, and returns what it replaces.
    pub(crate) fn insert(&mut self, hash: u64, entry: Entry) -> Option<Entry> {
        self.shard.table.insert(hash, entry)
    }

    /// Takes it out.
    pub(crate) fn remove(&mut self, hash: u64) -> Option<Entry> {
        self.shard.table.remove_if(hash, |_| true)
    }

    /// Takes it out if it still stands at that place.
    pub(crate) fn remove_at(&mut self, hash: u64, place: Place) -> Option<Entry> {
        self.shard.table.remove_if(hash, |entry| entry.place == place)
    }

    /// Makes it at least so warm; a pinned one stays as it is. False if it is not there.
    pub(crate) fn warm(&mut self, hash: u64, heat: u8) -> bool {
        self.shard.table.warm(hash, heat)
    }

    /// What is counted on this shard.
    #[inline]
    pub(crate) fn tally(&mut self) -> &mut Tally {
        &mut self.shard.tally
    }
}
