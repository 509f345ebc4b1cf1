//! The tier itself: entries go in as bytes and come out as parts.

use super::Compressed;
use super::counters::{CompressedCounts, Count, Counters};
use crate::clock::Clock;
use crate::entry::{
    self, Anchor, Compression, Draft, Entry, Identity, Local, NotEncoded, Packing, Refused, Tags, Times,
};
use crate::error::BoxError;
use crate::memory::{Departed, Memory, NewEntry, Reason, Tier, TierOptions};
use crate::weigh::allocation_bytes;
use std::borrow::Borrow;
use std::cell::Cell;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An entry may take this part of the tier at most.
const ENTRY_SHARE: u64 = 8;
/// What an `Arc` keeps in front of its bytes.
const COUNTS_LEN: usize = 16;
/// What a thread keeps of its buffers between two entries.
const KEPT_LEN_MAX: usize = 1 << 20;

thread_local! {
    /// Where entries are written and payloads unpacked. Taken out while in use: a codec that calls the cache finds an
    /// empty one.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What the tier must know of the cache that it belongs to.
pub(crate) struct TierSetup<'a> {
    /// The cache's name.
    pub(crate) namespace: &'a str,
    /// The cache's schema version.
    pub(crate) schema: u32,
    /// [`Codec::id`](crate::Codec::id) of the cache's codec.
    pub(crate) codec: u8,
    pub(crate) clock: Clock,
}

/// An entry to be kept, but for its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewKept<'a> {
    pub(crate) key: &'a [u8],
    /// By the cache's clock.
    pub(crate) times: Times,
    pub(crate) cost: u8,
    pub(crate) born: u64,
    /// In the memory tier.
    pub(crate) weight: u32,
    pub(crate) tags: &'a [&'a str],
}

/// An entry that is kept, but for its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept<'a> {
    pub(crate) key: &'a [u8],
    /// By the cache's clock.
    pub(crate) times: Times,
    pub(crate) cost: u8,
    pub(crate) born: u64,
    /// In the memory tier.
    pub(crate) weight: u32,
    pub(crate) tags: Tags<'a>,
    /// Whether it says that its key has no value.
    pub(crate) is_absent: bool,
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
    _departed: Departed<'a, Blob, ()>,
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
    namespace: Box<str>,
    schema: u32,
    codec: u8,
    packing: Packing,
    anchor: Anchor,
    counters: Counters,
}

impl CompressedTier {
    /// A tier as configured; the configuration is validated.
    pub(crate) fn new(config: &Compressed, setup: TierSetup<'_>) -> CompressedTier {
        let mut memory = Memory::bytes(config.bytes);
        memory.shards = config.shards;
        let options = TierOptions { memory, clock: setup.clock, epochs: None, is_watched: true };
        CompressedTier {
            tier: Tier::new(options),
            namespace: setup.namespace.into(),
            schema: setup.schema,
            codec: setup.codec,
            packing: config.packing,
            anchor: Anchor::PROCESS,
            counters: Counters::new(),
        }
    }

    /// Writes and packs an entry with the payload that `write` appends. Not a moment for locks: it takes microseconds.
    /// `None` if it cannot be kept, which is counted by reason.
    pub(crate) fn encode(
        &self,
        new: &NewKept<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), BoxError>,
    ) -> Option<Encoded> {
        self.encode_with(new, |draft, out| draft.encode(out, self.packing, write))
    }

    /// The same for a key that has no value.
    pub(crate) fn encode_absent(&self, new: &NewKept<'_>) -> Option<Encoded> {
        self.encode_with(new, |draft, out| draft.encode_absent(out))
    }

    fn encode_with<E>(
        &self,
        new: &NewKept<'_>,
        encode: impl FnOnce(&Draft<'_>, &mut Vec<u8>) -> Result<(), NotEncoded<E>>,
    ) -> Option<Encoded> {
        let draft = Draft {
            identity: self.identity(),
            key: new.key,
            times: self.anchor.to_unix(new.times),
            cost: new.cost,
            local: Some(Local { born: new.born, weight: new.weight }),
            tags: new.tags,
        };
        let mut buffer = take_buffer();
        buffer.clear();
        let result = encode(&draft, &mut buffer).map(|()| Blob(Arc::from(buffer.as_slice())));
        put_back(buffer);
        match result {
            Ok(blob) if u64::from(weight(&blob)) > self.tier.capacity() / ENTRY_SHARE => {
                self.counters.one(Count::TooLarge);
                None
            }
            Ok(blob) => {
                let is_packed = Entry::glance(&blob.0).is_ok_and(|entry| entry.compression() != Compression::None);
                let deadline_ms = new.times.ordered().stale_until_ms;
                Some(Encoded { blob, deadline_ms, cost: new.cost, is_packed })
            }
            Err(not_encoded) => {
                let is_too_large = matches!(not_encoded, NotEncoded::TooLarge);
                self.counters.one(if is_too_large { Count::TooLarge } else { Count::NotEncoded });
                None
            }
        }
    }

    /// Stores the entry in place of the one that was there, and makes room. Drop the result outside of locks.
    pub(crate) fn insert(&self, encoded: Encoded) -> Left<'_> {
        let Encoded { blob, deadline_ms, cost, is_packed } = encoded;
        self.counters.one(Count::Inserted);
        self.counters.add(Count::Packed, u64::from(is_packed));
        let (hash, weight) = (self.hash(entry::key_of(&blob.0)), weight(&blob));
        self.left(self.tier.insert(hash, NewEntry { key: blob, value: (), weight, deadline_ms, cost, partition: 0 }))
    }

    /// Looks the key up, and counts as a touch. `is_valid` is asked first, before anything is unpacked; then `read` gets
    /// the payload, `None` standing for a key that has no value. What is not intact, not valid or not readable is taken
    /// out, counted, and a miss. Both run outside of every lock.
    pub(crate) fn get<R>(
        &self,
        key: &[u8],
        is_valid: impl FnOnce(&Kept<'_>) -> bool,
        read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Option<R> {
        let blob = self.tier.get(self.hash(key), key, |blob, ()| Blob::clone(blob));
        self.read_counted(key, blob, is_valid, read)
    }

    /// The same without a touch; hits and misses are not counted.
    pub(crate) fn peek<R>(
        &self,
        key: &[u8],
        is_valid: impl FnOnce(&Kept<'_>) -> bool,
        read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Option<R> {
        let blob = self.tier.peek(self.hash(key), key, |blob, ()| Blob::clone(blob))?;
        self.read(key, &blob, is_valid, read).map_err(|reason| self.drop_unusable(key, reason)).ok()
    }

    fn read_counted<R>(
        &self,
        key: &[u8],
        blob: Option<Blob>,
        is_valid: impl FnOnce(&Kept<'_>) -> bool,
        read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Option<R> {
        let found = blob.map(|blob| self.read(key, &blob, is_valid, read));
        match found {
            Some(Ok(result)) => {
                self.counters.one(Count::Hit);
                Some(result)
            }
            Some(Err(reason)) => {
                self.drop_unusable(key, reason);
                self.counters.one(Count::Miss);
                None
            }
            None => {
                self.counters.one(Count::Miss);
                None
            }
        }
    }

    fn read<R>(
        &self,
        key: &[u8],
        blob: &Blob,
        is_valid: impl FnOnce(&Kept<'_>) -> bool,
        read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Result<R, Count> {
        let entry = Entry::open(&blob.0, key, self.identity()).map_err(count_of)?;
        let kept = self.kept(&entry);
        if !is_valid(&kept) {
            return Err(Count::Invalidated);
        }
        let mut buffer = take_buffer();
        let result = match entry.payload(&mut buffer) {
            Ok(payload) => read(&kept, payload).map_err(|_| Count::Undecodable),
            Err(refused) => Err(count_of(refused)),
        };
        put_back(buffer);
        result
    }

    /// Takes out what `get` could not use. A newer entry that came meanwhile may go with it: a miss more, nothing else.
    fn drop_unusable(&self, key: &[u8], reason: Count) {
        self.counters.one(reason);
        drop(self.tier.remove_if(self.hash(key), key, Reason::Removed, |()| true));
    }

    /// Takes the key's entry out; whether there was one.
    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        self.take(key, Count::Removed)
    }

    /// The same where a newer value of the key takes the entry's place above.
    pub(crate) fn replaced(&self, key: &[u8]) -> bool {
        self.take(key, Count::Replaced)
    }

    /// The same for an entry that is in the memory tier now.
    pub(crate) fn promoted(&self, key: &[u8]) -> bool {
        self.take(key, Count::Promoted)
    }

    /// Takes the key's entry out if `is_wanted` says so. Exact as long as the key's stripe is locked, since nobody else
    /// stores the key meanwhile.
    pub(crate) fn remove_if(&self, key: &[u8], is_wanted: impl FnOnce(&Kept<'_>) -> bool) -> bool {
        let blob = self.tier.peek(self.hash(key), key, |blob, ()| Blob::clone(blob));
        blob.is_some_and(|blob| {
            Entry::glance(&blob.0).map_or(true, |entry| is_wanted(&self.kept(&entry))) && self.remove(key)
        })
    }

    fn take(&self, key: &[u8], count: Count) -> bool {
        let departed = self.tier.remove_if(self.hash(key), key, Reason::Removed, |()| true);
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
            if let Ok(entry) = Entry::glance(&blob.0) {
                f(&self.kept(&entry));
            }
        });
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

    fn hash(&self, key: &[u8]) -> u64 {
        self.tier.hash(key)
    }

    fn identity(&self) -> Identity<'_> {
        Identity { namespace: &self.namespace, schema: self.schema, codec: self.codec }
    }

    fn kept<'a>(&self, entry: &Entry<'a>) -> Kept<'a> {
        let local = entry.local.unwrap_or(Local { born: 0, weight: 1 });
        Kept {
            key: entry.key,
            times: self.anchor.to_clock(entry.times),
            cost: entry.cost,
            born: local.born,
            weight: local.weight,
            tags: entry.tags,
            is_absent: entry.is_absent(),
        }
    }

    fn left<'a>(&self, departed: Departed<'a, Blob, ()>) -> Left<'a> {
        departed.each(|leaver| match leaver.reason {
            Reason::Evicted | Reason::OverQuota => self.counters.one(Count::Evicted),
            Reason::Expired => self.counters.one(Count::Expired),
            Reason::Removed => self.counters.one(Count::Removed),
            Reason::Replaced => self.counters.one(Count::Replaced),
        });
        Left { _departed: departed }
    }

    /// Puts bytes in place of the key's entry, as a fault in memory would.
    #[cfg(test)]
    pub(super) fn spoil(&self, key: &[u8], spoil: impl FnOnce(&mut Vec<u8>)) {
        let blob = self.tier.peek(self.hash(key), key, |blob, ()| Blob::clone(blob));
        let mut bytes = blob.map(|blob| blob.0.to_vec()).unwrap_or_default();
        spoil(&mut bytes);
        let blob = Blob(Arc::from(bytes));
        let weight = weight(&blob);
        let new = NewEntry { key: blob, value: (), weight, deadline_ms: 0, cost: 0, partition: 0 };
        drop(self.tier.insert(self.hash(key), new));
    }
}

/// What an entry takes, in bytes.
fn weight(blob: &Blob) -> u32 {
    let bytes = allocation_bytes(blob.0.len() + COUNTS_LEN) + Tier::<Blob, ()>::entry_bytes();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn count_of(refused: Refused) -> Count {
    match refused {
        Refused::Corrupt(_) => Count::Corrupt,
        Refused::ForeignKey
        | Refused::OtherNamespace
        | Refused::OtherSchema(_)
        | Refused::OtherCodec(_)
        | Refused::NewerFormat(_) => Count::Foreign,
    }
}

/// A thread that is ending has no buffer any more: it makes one for each entry.
fn take_buffer() -> Vec<u8> {
    BUFFER.try_with(Cell::take).unwrap_or_default()
}

fn put_back(mut buffer: Vec<u8>) {
    if buffer.capacity() > KEPT_LEN_MAX {
        buffer = Vec::new();
    }
    let _ = BUFFER.try_with(|kept| kept.set(buffer));
}
