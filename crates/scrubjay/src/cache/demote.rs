//! The way down: what memory evicts goes into the compressed tier, if there is one, and what that evicts, or memory where there
//! is none, goes to disk.
//!
//! What leaves a tier carries the epoch of its stripe. It is made ready with no lock held; then the stripe is locked, and it
//! arrives below if the epoch is the same: nobody has changed the key since. What is on disk still, since it came from
//! there, is of the same version, and is not written again.

use super::write::{Left, Own, bytes_of};
use super::{Compressing, OnDisk, Shared};
use crate::compressed;
use crate::disk::Count;
use crate::kept::NewKept;
use crate::key::Key;
use crate::memory::{Leaver, Reason};
use crate::stats::{Dropped, Place, Rare};
use crate::stored::Stored;
use std::sync::atomic::Ordering;

/// How hot an entry counts on disk that was evicted above: it was there, and was not asked for of late.
const EVICTED_HEAT: u8 = 1;

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Handles what left memory: demotes what still counts, tells the listener. No lock may be held.
    pub(crate) fn let_go(&self, left: Left<'_, K, V>) {
        left.departed.each(|leaver| {
            if let Reason::Evicted | Reason::OverQuota = leaver.reason {
                match (&self.compressed, &self.disk) {
                    (Some(compressed), _) => self.demote(compressed, &leaver, left.own),
                    (None, Some(disk)) => self.demote_to_disk(disk, &leaver, left.own),
                    (None, None) => {}
                }
            }
            if let (Some(listener), Some(value)) = (&self.listener, &leaver.value.value) {
                let tell = || listener(leaver.key, value, leaver.reason);
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(tell)).is_err() {
                    self.counters.count_rare(Rare::ListenerPanic);
                }
            }
        });
    }

    /// Whether what left memory is worth a place below; if not, why is counted.
    fn is_demotable(&self, place: Place, leaver: &Leaver<'_, K, Stored<V>>) -> bool {
        if self.clock.is_past(leaver.deadline_ms) {
            self.counters.dropped(place, Dropped::Expired);
            return false;
        }
        let is_valid = self.stamps.is_valid(leaver.value.born, leaver.value.tags.as_deref());
        if !is_valid {
            self.counters.dropped(place, Dropped::Invalidated);
        }
        is_valid
    }

    fn demote(&self, compressed: &Compressing<V>, leaver: &Leaver<'_, K, Stored<V>>, own: Option<Own>) {
        if !self.is_demotable(Place::Compressed, leaver) {
            return;
        }
        let stored = leaver.value;
        let key_bytes = bytes_of(leaver.key);
        let tags: Vec<&str> = stored.tags.iter().flat_map(|tags| tags.names()).collect();
        let new = self.kept_of(leaver, &key_bytes, &tags);
        let encoded = match &stored.value {
            Some(value) => compressed.tier.encode(&new, |out| compressed.codec.encode(value, out)),
            None => compressed.tier.encode_absent(&new),
        };
        // Why not is counted by the tier. What is too large for it may have room on disk.
        let Some(encoded) = encoded else {
            if let Some(disk) = &self.disk {
                self.demote_to_disk(disk, leaver, own);
            }
            return;
        };
        let hash = self.memory.hash(leaver.key);
        let epoch = self.epoch_of(hash, leaver.epoch, own);
        let left = {
            let stripe = self.leases.lock(hash);
            if stripe.epoch() != epoch || self.moves_held.load(Ordering::Acquire) > 0 {
                return self.counters.dropped(Place::Compressed, Dropped::Invalidated);
            }
            compressed.tier.insert(hash, encoded)
        };
        self.lower(&left);
    }

    /// What the compressed tier evicted goes to disk, as it is. No lock may be held.
    pub(super) fn lower(&self, left: &compressed::Left<'_>) {
        let Some(disk) = &self.disk else { return };
        left.each_evicted(|evicted| {
            let Some(kept) = disk.tier.glance(evicted.bytes) else { return };
            let dropped = |why| self.counters.dropped(Place::Disk, why);
            if self.clock.is_past(kept.times.ordered().stale_until_ms) {
                return dropped(Dropped::Expired);
            }
            if !self.stamps.is_valid_named(kept.born, kept.tags) {
                return dropped(Dropped::Invalidated);
            }
            if disk.tier.warm(kept.key, EVICTED_HEAT) {
                return disk.tier.count(Count::Kept);
            }
            let Some(key) = K::decode(kept.key) else { return dropped(Dropped::Invalid) };
            let stripe = self.leases.lock(self.memory.hash(&key));
            if stripe.epoch() != evicted.epoch || self.moves_held.load(Ordering::Acquire) > 0 {
                return dropped(Dropped::Invalidated);
            }
            disk.tier.put(kept.key, evicted.bytes, kept.times, 0);
        });
    }

    fn demote_to_disk(&self, disk: &OnDisk<V>, leaver: &Leaver<'_, K, Stored<V>>, own: Option<Own>) {
        if !self.is_demotable(Place::Disk, leaver) {
            return;
        }
        let stored = leaver.value;
        let key_bytes = bytes_of(leaver.key);
        if disk.tier.warm(&key_bytes, EVICTED_HEAT) {
            return disk.tier.count(Count::Kept);
        }
        let tags: Vec<&str> = stored.tags.iter().flat_map(|tags| tags.names()).collect();
        let new = self.kept_of(leaver, &key_bytes, &tags);
        let write = stored.value.as_ref().map(|value| |out: &mut Vec<u8>| disk.codec.encode(value, out));
        // Why not is counted by the tier.
        let Some(encoded) = disk.tier.encode(&new, write) else { return };
        let hash = self.memory.hash(leaver.key);
        let epoch = self.epoch_of(hash, leaver.epoch, own);
        let stripe = self.leases.lock(hash);
        if stripe.epoch() != epoch || self.moves_held.load(Ordering::Acquire) > 0 {
            drop(stripe);
            return self.counters.dropped(Place::Disk, Dropped::Invalidated);
        }
        disk.tier.put(&key_bytes, &encoded.bytes, new.times, 0);
    }

    /// The epoch that the stripe must have still: a change raises it once for what it pushed out itself.
    fn epoch_of(&self, hash: u64, left_at: u64, own: Option<Own>) -> u64 {
        let own = own.filter(|own| own.stripe == self.epochs.stripe(hash) && own.epoch == left_at);
        left_at + u64::from(own.is_some())
    }

    fn kept_of<'a>(&self, leaver: &Leaver<'_, K, Stored<V>>, key_bytes: &'a [u8], tags: &'a [&'a str]) -> NewKept<'a> {
        NewKept {
            key: key_bytes,
            times: self.times_of(leaver.value, leaver.deadline_ms),
            cost: leaver.cost,
            born: leaver.value.born,
            weight: leaver.weight,
            tags,
        }
    }
}
