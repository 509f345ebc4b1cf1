//! The tier itself: entries go in as bytes and come out as parts.

use super::Compressed;
use super::counters::{CompressedCounts, Count, Counters};
use crate::clock::Clock;
use crate::entry;
use crate::error::BoxError;
use crate::kept::{Keeping, Kept, NewKept, NotKept, Unusable, Written};
use crate::memory::{Departed, Epochs, Memory, NewEntry, Reason, Tier, TierOptions};
use crate::weigh::allocation_bytes;
use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An entry may take this part of the tier at most.
const ENTRY_SHARE: u64 = 8;
/// What an `Arc` keeps in front of its bytes.
const COUNTS_LEN: usize = 16;

/// What the tier must know of the cache that it belongs to.
pub(crate) struct TierSetup {
    pub(crate) keeping: Keeping,
    pub(crate) clock: Clock,
    /// Whose epochs an entry that leaves carries.
    pub(crate) epochs: Arc<Epochs>,
}

/// An entry ready to be stored.
pub(crate) struct Encoded {
    blob: Blob,
    deadline_ms: u64,
    cost: u8,
    is_packed: bool,
}

/// Entries that an insert, a resize or a clear took out. Dropping it frees them: do that outside of locks.
#[must_use]
pub(crate) struct Left<'a> {
    departed: Departed<'a, Blob, ()>,
}

/// An entry that was evicted: it still counts, there was no room for it.
pub(crate) struct Evicted<'a> {
    /// All of it.
    pub(crate) bytes: &'a [u8],
    /// The epoch of its key's stripe when it left.
    pub(crate) epoch: u64,
}

impl Left<'_> {
    /// Shows what was evicted, and nothing else that left.
    pub(crate) fn each_evicted(&self, mut f: impl FnMut(Evicted<'_>)) {
        self.departed.each(|leaver| {
            if let Reason::Evicted | Reason::OverQuota = leaver.reason {
                f(Evicted { bytes: &leaver.key.0, epoch: leaver.epoch });
            }
        });
    }
}

/// The bytes of an entry. Equal and hashed by the key that lies in them.
#[derive(Clone)]
struct Blob(Arc<[u8]>);

impl Borrow<[u8]> for Blob {
    fn borrow(&self) -> &[u8] {
        entry::key_of(&self.0)
    }
}

impl Hash for Blob {
    fn hash<H: Hasher>(&self, state: &mut H) {
        entry::key_of(&self.0).hash(state);
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Blob) -> bool {
        entry::key_of(&self.0) == entry::key_of(&other.0)
    }
}

impl Eq for Blob {}

/// Encoded entries in memory, bounded in bytes.
pub(crate) struct CompressedTier {
    tier: Tier<Blob, ()>,
    keeping: Keeping,
    counters: Counters,
}

/// Every `hash` is the key's in the memory tier: so an entry here has the same stripe, and leaves with its epoch.
impl CompressedTier {
    /// A tier as configured; the configuration is validated.
    pub(crate) fn new(config: &Compressed, setup: TierSetup) -> CompressedTier {
        let TierSetup { keeping, clock, epochs } = setup;
        let mut memory = Memory::bytes(config.bytes);
        memory.shards = config.shards;
        let options = TierOptions { memory, clock, epochs: Some(epochs), is_watched: true };
        CompressedTier { tier: Tier::new(options), keeping, counters: Counters::new() }
    }

    /// Writes and packs an entry with the payload that `write` appends. Not a moment for locks: it takes microseconds.
    /// `None` if it cannot be kept, which is counted by reason.
    pub(crate) fn encode(
        &self,
        new: &NewKept<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), BoxError>,
    ) -> Option<Encoded> {
        let blob = self.keeping.write(new, write, blob);
        self.encoded(new, blob)
    }

    /// The same for a key that has no value.
    pub(crate) fn encode_absent(&self, new: &NewKept<'_>) -> Option<Encoded> {
        let blob = self.keeping.write_absent(new, blob);
        self.encoded(new, blob)
    }

    fn encoded(&self, new: &NewKept<'_>, blob: Result<(Blob, bool), NotKept>) -> Option<Encoded> {
        let why = match blob {
            Ok((blob, is_packed)) if u64::from(weight(&blob)) <= self.tier.capacity() / ENTRY_SHARE => {
                let deadline_ms = new.times.ordered().stale_until_ms;
                return Some(Encoded { blob, deadline_ms, cost: new.cost, is_packed });
            }
            Ok(_) | Err(NotKept::TooLarge) => Count::TooLarge,
            Err(NotKept::NotEncoded) => Count::NotEncoded,
        };
        self.counters.one(why);
        None
    }

    /// Stores the entry in place of the one that was there, and makes room. Drop the result outside of locks.
    pub(crate) fn insert(&self, hash: u64, encoded: Encoded) -> Left<'_> {
        let Encoded { blob, deadline_ms, cost, is_packed } = encoded;
        self.counters.one(Count::Inserted);
        self.counters.add(Count::Packed, u64::from(is_packed));
        let weight = weight(&blob);
        self.left(self.tier.insert(hash, NewEntry { key: blob, value: (), weight, deadline_ms, cost, partition: 0 }))
    }

    /// Looks the key up, and counts as a touch. `is_valid` is asked first, before anything is unpacked; then `read` gets
    /// the payload, `None` standing for a key that has no value. What is not intact, not valid or not readable is taken
    /// out, counted, and a miss. Both run outside of every lock.
    pub(crate) fn get<R>(
        &self,
        hash: u64,
        key: &[u8],
        is_valid: impl FnOnce(&Kept<'_>) -> bool,
        read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Option<R> {
        let blob = self.tier.get(hash, key, |blob, ()| Blob::clone(blob));
        self.read_counted(hash, key, blob, is_valid, read)
    }

    /// The same without a touch; hits and misses are not counted.
    pub(crate) fn peek<R>(
        &self,
        hash: u64,
        key: &[u8],
        is_valid: impl FnOnce(&Kept<'_>) -> bool,
        read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Option<R> {
        let blob = self.tier.peek(hash, key, |blob, ()| Blob::clone(blob))?;
        self.keeping.read(key, &blob.0, is_valid, read).map_err(|why| self.drop_unusable(hash, key, why)).ok()
    }

    fn read_counted<R>(
        &self,
        hash: u64,
        key: &[u8],
        blob: Option<Blob>,
        is_valid: impl FnOnce(&Kept<'_>) -> bool,
        read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Option<R> {
        let found = blob.map(|blob| self.keeping.read(key, &blob.0, is_valid, read));
        match found {
            Some(Ok(result)) => {
                self.counters.one(Count::Hit);
                Some(result)
            }
            Some(Err(why)) => {
                self.drop_unusable(hash, key, why);
                self.counters.one(Count::Miss);
                None
            }
            None => {
                self.counters.one(Count::Miss);
                None
            }
        }
    }

    /// Takes out what `get` could not use. A newer entry that came meanwhile may go with it: a miss more, nothing else.
    fn drop_unusable(&self, hash: u64, key: &[u8], why: Unusable) {
        self.counters.one(match why {
            Unusable::Corrupt => Count::Corrupt,
            Unusable::Undecodable => Count::Undecodable,
            Unusable::Foreign => Count::Foreign,
            Unusable::Invalidated => Count::Invalidated,
        });
        drop(self.tier.remove_if(hash, key, Reason::Removed, |()| true));
    }

    /// Whether the key has an entry, whatever it is worth.
    pub(crate) fn holds(&self, hash: u64, key: &[u8]) -> bool {
        self.tier.peek(hash, key, |_, ()| ()).is_some()
    }

    /// Takes the key's entry out; whether there was one.
    pub(crate) fn remove(&self, hash: u64, key: &[u8]) -> bool {
        self.take(hash, key, Count::Removed)
    }

    /// The same where a newer value of the key takes the entry's place above.
    pub(crate) fn replaced(&self, hash: u64, key: &[u8]) -> bool {
        self.take(hash, key, Count::Replaced)
    }

    /// The same for an entry that is in the memory tier now.
    pub(crate) fn promoted(&self, hash: u64, key: &[u8]) -> bool {
        self.take(hash, key, Count::Promoted)
    }

    /// Takes the key's entry out if `is_wanted` says so. Exact as long as the key's stripe is locked, since nobody else
    /// stores the key meanwhile.
    pub(crate) fn remove_if(&self, hash: u64, key: &[u8], is_wanted: impl FnOnce(&Kept<'_>) -> bool) -> bool {
        let blob = self.tier.peek(hash, key, |blob, ()| Blob::clone(blob));
        blob.is_some_and(|blob| {
            self.keeping.glance(&blob.0).is_none_or(|kept| is_wanted(&kept)) && self.remove(hash, key)
        })
    }

    fn take(&self, hash: u64, key: &[u8], count: Count) -> bool {
        let departed = self.tier.remove_if(hash, key, Reason::Removed, |()| true);
        self.counters.add(count, u64::from(departed.is_some()));
        departed.is_some()
    }

    /// Takes everything out. Drop the result outside of locks.
    pub(crate) fn clear(&self) -> Left<'_> {
        self.left(self.tier.clear())
    }

    /// Takes out what has expired, `entries_max` at most.
    pub(crate) fn expire(&self, entries_max: usize) -> Left<'_> {
        self.left(self.tier.expire(entries_max))
    }

    /// Shows every entry that is not expired, in no order; what comes or goes meanwhile may be seen or not.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&Kept<'_>)) {
        self.tier.for_each(|blob, ()| {
            if let Some(kept) = self.keeping.glance(&blob.0) {
                f(&kept);
            }
        });
    }

    /// Parts that are locked apart.
    pub(crate) fn shard_count(&self) -> usize {
        self.tier.shard_count()
    }

    /// The bytes of every entry of a part that is not expired.
    pub(crate) fn blobs_of(&self, shard: usize) -> Vec<Arc<[u8]>> {
        let mut blobs = Vec::new();
        self.tier.for_each_of(shard, |seen| blobs.push(Arc::clone(&seen.key.0)));
        blobs
    }

    /// Whether the key whose entry these bytes are has these very bytes still.
    pub(crate) fn has(&self, hash: u64, blob: &Arc<[u8]>) -> bool {
        self.tier.peek(hash, entry::key_of(blob), |found, ()| Arc::ptr_eq(&found.0, blob)).unwrap_or(false)
    }

    /// The budget in bytes.
    pub(crate) fn capacity(&self) -> u64 {
        self.tier.capacity()
    }

    /// Bytes that the entries take, the tier's structures included.
    pub(crate) fn weight(&self) -> u64 {
        self.tier.weight()
    }

    /// Entries, expired ones that were not collected yet among them.
    pub(crate) fn len(&self) -> usize {
        self.tier.len()
    }

    /// What was counted so far.
    pub(crate) fn counts(&self) -> CompressedCounts {
        self.counters.read()
    }

    fn left<'a>(&self, departed: Departed<'a, Blob, ()>) -> Left<'a> {
        departed.each(|leaver| match leaver.reason {
            Reason::Evicted | Reason::OverQuota => self.counters.one(Count::Evicted),
            Reason::Expired => self.counters.one(Count::Expired),
            Reason::Removed => self.counters.one(Count::Removed),
            Reason::Replaced => self.counters.one(Count::Replaced),
        });
        Left { departed }
    }

    /// Puts bytes in place of the key's entry, as a fault in memory would.
    #[cfg(test)]
    pub(super) fn spoil(&self, hash: u64, key: &[u8], spoil: impl FnOnce(&mut Vec<u8>)) {
        let blob = self.tier.peek(hash, key, |blob, ()| Blob::clone(blob));
        let mut bytes = blob.map(|blob| blob.0.to_vec()).unwrap_or_default();
        spoil(&mut bytes);
        let blob = Blob(Arc::from(bytes));
        let weight = weight(&blob);
        let new = NewEntry { key: blob, value: (), weight, deadline_ms: 0, cost: 0, partition: 0 };
        drop(self.tier.insert(hash, new));
    }
}

/// The bytes in an allocation of their own, and whether they are packed.
fn blob(written: Written<'_>) -> (Blob, bool) {
    (Blob(Arc::from(written.bytes)), written.is_packed)
}

/// What an entry takes, in bytes.
fn weight(blob: &Blob) -> u32 {
    let bytes = allocation_bytes(blob.0.len() + COUNTS_LEN) + Tier::<Blob, ()>::entry_bytes();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
