//! What memory knows goes to disk: its entries when the cache is closed, and before that, now and then, how hot they are.
//!
//! Entries go the hottest first, since the device may fail or the room may end, and at most three quarters of the disk's budget
//! of them, so that what comes last does not drop what came first. Each is made ready and put under its stripe's lock if the
//! stripe's epoch is the same, as in a demotion: a removal that runs meanwhile wins.

use super::write::bytes_of;
use super::{OnDisk, Shared};
use crate::kept::NewKept;
use crate::key::Key;
use crate::memory::Resident;
use crate::stats::{Dropped, Place};

/// The most hits that memory counts.
const HITS_MAX: u8 = 3;
/// Of the engine's degrees of heat, those that a hit in memory stands for.
const HEAT_PER_HIT: u8 = 2;
/// Part of the disk's budget that a close writes at most, in quarters.
const QUARTERS_MAX: u64 = 3;
/// After so many bytes the writer is waited for.
const FLUSH_BYTES: u64 = 4 << 20;

/// An entry of memory that is to be written, as it was when the epochs were read.
struct Want<K> {
    key: K,
    deadline_ms: u64,
    weight: u32,
    cost: u8,
}

/// How much a close has written.
#[derive(Default)]
struct Written {
    bytes: u64,
    /// Since it last waited.
    unflushed: u64,
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Writes down what only the tiers in memory have, if that is asked for, and lets the folder go. Blocks.
    pub(super) fn close_disk(&self) {
        let Some(disk) = &self.disk else { return };
        if disk.tier.config().is_written_at_close && disk.tier.is_attached() {
            let mut written = Written::default();
            for hits in (0..=HITS_MAX).rev() {
                self.write_memory(disk, hits, &mut written);
            }
            self.write_compressed(disk, &mut written);
        }
        disk.tier.close();
    }

    fn write_memory(&self, disk: &OnDisk<V>, wanted: u8, written: &mut Written) {
        for shard in 0..self.memory.shard_count() {
            let (mut wants, epochs) = (Vec::new(), self.all_epochs());
            self.memory.for_each_of(shard, |seen| {
                if seen.hits == wanted {
                    let Resident { deadline_ms, weight, cost, .. } = seen;
                    wants.push(Want { key: seen.key.clone(), deadline_ms, weight, cost });
                }
            });
            for want in wants {
                if !written.has_room(disk) {
                    self.counters.dropped(Place::Disk, Dropped::TooLarge);
                    continue;
                }
                let hash = self.memory.hash(&want.key);
                let epoch = epochs[self.epochs.stripe(hash)];
                self.write_entry(disk, &want, (hash, epoch), wanted * HEAT_PER_HIT, written);
            }
        }
    }

    fn all_epochs(&self) -> Vec<u64> {
        (0..self.epochs.len()).map(|stripe| self.epochs.get(stripe)).collect()
    }

    fn write_entry(
        &self,
        disk: &OnDisk<V>,
        want: &Want<K>,
        (hash, epoch): (u64, u64),
        heat: u8,
        written: &mut Written,
    ) {
        let key_bytes = bytes_of(&want.key);
        if disk.tier.warm(&key_bytes, heat) {
            return;
        }
        let encoded = self.memory.peek(hash, &want.key, |_, stored| {
            if !self.stamps.is_valid(stored.born, stored.tags.as_deref()) {
                return None;
            }
            let tags: Vec<&str> = stored.tags.iter().flat_map(|tags| tags.names()).collect();
            let times = self.times_of(stored, want.deadline_ms);
            let (cost, weight, born) = (want.cost, want.weight, stored.born);
            let new = NewKept { key: &key_bytes, times, cost, born, weight, tags: &tags };
            let write = stored.value.as_ref().map(|value| |out: &mut Vec<u8>| disk.codec.encode(value, out));
            Some((disk.tier.encode(&new, write)?, times))
        });
        let Some((encoded, times)) = encoded.flatten() else { return };
        written.count(disk, encoded.bytes.len());
        let stripe = self.leases.lock(hash);
        if stripe.epoch() != epoch {
            return self.counters.dropped(Place::Disk, Dropped::Invalidated);
        }
        disk.tier.put(&key_bytes, &encoded.bytes, times, heat);
    }

    /// The rest is colder than anything in memory.
    fn write_compressed(&self, disk: &OnDisk<V>, written: &mut Written) {
        let Some(compressed) = &self.compressed else { return };
        for shard in 0..compressed.tier.shard_count() {
            for blob in compressed.tier.blobs_of(shard) {
                let Some(kept) = disk.tier.glance(&blob) else { continue };
                let Some(key) = K::decode(kept.key) else { continue };
                let is_worth = self.stamps.is_valid_named(kept.born, kept.tags);
                if !is_worth || disk.tier.warm(kept.key, 0) {
                    continue;
                }
                if !written.has_room(disk) {
                    self.counters.dropped(Place::Disk, Dropped::TooLarge);
                    continue;
                }
                written.count(disk, blob.len());
                let hash = self.memory.hash(&key);
                let stripe = self.leases.lock(hash);
                // The very bytes are there still: nobody has changed the key.
                if compressed.tier.has(hash, &blob) {
                    disk.tier.put(kept.key, &blob, kept.times, 0);
                } else {
                    self.counters.dropped(Place::Disk, Dropped::Invalidated);
                }
                drop(stripe);
            }
        }
    }

    /// Tells the disk how hot the entries are that memory answers for, so that it does not reclaim them as cold: those of one
    /// part of memory.
    pub(super) fn tell_heat(&self, shard: usize) {
        let Some(disk) = &self.disk else { return };
        let mut hot = Vec::new();
        self.memory.for_each_of(shard, |seen| {
            if seen.hits > 0 {
                hot.push((bytes_of(seen.key), seen.hits * HEAT_PER_HIT));
            }
        });
        for (key_bytes, heat) in hot {
            disk.tier.warm(&key_bytes, heat);
        }
    }
}

impl Written {
    fn has_room<V>(&self, disk: &OnDisk<V>) -> bool {
        self.bytes < disk.tier.config().bytes / 4 * QUARTERS_MAX
    }

    /// Waits for the writer now and then, so that nothing is dropped for want of room in the queue.
    fn count<V>(&mut self, disk: &OnDisk<V>, len: usize) {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        self.bytes += len;
        self.unflushed += len;
        if self.unflushed > FLUSH_BYTES.min(disk.tier.config().queue_bytes / 4) {
            self.unflushed = 0;
            // If it fails, what does not fit is dropped and counted.
            let _ = disk.tier.flush(false);
        }
    }
}
