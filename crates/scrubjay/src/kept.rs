//! An entry as the tiers below memory keep it: written and read, in the same form in each of them.
//!
//! Whoever calls writes a payload and reads one; here is what stands around it, and what of it cannot be used. It knows
//! neither values nor where the bytes lie. Times go through an [`Anchor`]: what stands in the bytes is its reading, what
//! is handed out is the cache's clock's.

use crate::entry::{
    Anchor, Compression, Draft, Entry, Identity, Local, NotEncoded, Packing, Refused, SharedBorn, Tags, Times,
};
use crate::error::BoxError;
use std::cell::Cell;

/// What a thread keeps of its buffers between two entries.
const KEPT_LEN_MAX: usize = 1 << 20;

thread_local! {
    /// Where entries are written and payloads unpacked. Taken out while in use: a codec that calls the cache finds an
    /// empty one.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Whose entries they are, and how they are written.
#[derive(Clone, Debug)]
pub(crate) struct Keeping {
    /// The cache's name.
    pub(crate) namespace: Box<str>,
    /// The cache's schema version.
    pub(crate) schema: u32,
    /// [`Codec::id`](crate::Codec::id) of the cache's codec.
    pub(crate) codec: u8,
    pub(crate) packing: Packing,
    pub(crate) anchor: Anchor,
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
    /// Where the shared stamps stood, in tiers that processes share.
    pub(crate) shared: Option<SharedBorn>,
    /// When it was stored, in Unix milliseconds.
    pub(crate) stored_at_unix_ms: u64,
    pub(crate) tags: Tags<'a>,
    /// Whether it says that its key has no value.
    pub(crate) is_absent: bool,
}

/// Why an entry was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotKept {
    /// Beyond what the format allows.
    TooLarge,
    /// The value does not serialise, or key or tags are beyond the format.
    NotEncoded,
}

/// Why bytes are of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// They are not intact.
    Corrupt,
    /// They are, and the codec cannot decode them.
    Undecodable,
    /// Of another key, cache, schema version, codec or format version.
    Foreign,
    /// A tag or the whole cache was invalidated since.
    Invalidated,
}

/// The bytes of an entry, as they were written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written<'a> {
    pub(crate) bytes: &'a [u8],
    /// Whether compression made it smaller.
    pub(crate) is_packed: bool,
}

impl Keeping {
    /// Writes and packs an entry with the payload that `write` appends, and shows its bytes to `keep`. Not a moment for locks:
    /// it takes microseconds.
    ///
    /// # Errors
    /// It cannot be kept.
    pub(crate) fn write<R>(
        &self,
        new: &NewKept<'_>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), BoxError>,
        keep: impl FnOnce(Written<'_>) -> R,
    ) -> Result<R, NotKept> {
        let draft = self.draft_local(new);
        write_with(&draft, |draft, out| draft.encode(out, self.packing, write), keep)
    }

    /// The same for a key that has no value.
    ///
    /// # Errors
    /// It cannot be kept.
    pub(crate) fn write_absent<R>(&self, new: &NewKept<'_>, keep: impl FnOnce(Written<'_>) -> R) -> Result<R, NotKept> {
        write_with(&self.draft_local(new), |draft, out| draft.encode_absent(out), keep)
    }

    /// The same as [`write`](Keeping::write), or for `None` as [`write_absent`](Keeping::write_absent), of an entry that other
    /// processes read: with `born` in place of what means something in this one only.
    ///
    /// # Errors
    /// It cannot be kept.
    pub(crate) fn write_shared<R>(
        &self,
        new: &NewKept<'_>,
        born: SharedBorn,
        write: Option<impl FnOnce(&mut Vec<u8>) -> Result<(), BoxError>>,
        keep: impl FnOnce(Written<'_>) -> R,
    ) -> Result<R, NotKept> {
        let draft = Draft { shared: Some(born), ..self.draft(new) };
        match write {
            Some(write) => write_with(&draft, |draft, out| draft.encode(out, self.packing, write), keep),
            None => write_with(&draft, |draft, out| draft.encode_absent(out), keep),
        }
    }

    fn draft<'a>(&'a self, new: &NewKept<'a>) -> Draft<'a> {
        Draft {
            identity: self.identity(),
            key: new.key,
            times: self.anchor.to_unix(new.times),
            cost: new.cost,
            local: None,
            shared: None,
            tags: new.tags,
        }
    }

    fn draft_local<'a>(&'a self, new: &NewKept<'a>) -> Draft<'a> {
        Draft { local: Some(Local { born: new.born, weight: new.weight }), ..self.draft(new) }
    }

    /// Reads the entry of `key` in `bytes`. `is_valid` is asked first, before anything is unpacked; then `read` gets the
    /// payload, `None` standing for a key that has no value.
    ///
    /// # Errors
    /// What is not intact, not valid or not readable is of no use.
    pub(crate) fn read<R>(
        &self,
        key: &[u8],
        bytes: &[u8],
        is_valid: impl FnOnce(&Kept<'_>) -> bool,
        read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Result<R, Unusable> {
        let entry = Entry::open(bytes, key, self.identity()).map_err(unusable)?;
        let kept = self.kept(&entry);
        if !is_valid(&kept) {
            return Err(Unusable::Invalidated);
        }
        let mut buffer = take_buffer();
        let result = match entry.payload(&mut buffer) {
            Ok(payload) => read(&kept, payload).map_err(|_| Unusable::Undecodable),
            Err(refused) => Err(unusable(refused)),
        };
        put_back(buffer);
        result
    }

    /// What `bytes` say of their entry, which was written here and has not left the process' memory since. Nothing is checked
    /// but the form.
    pub(crate) fn glance<'a>(&self, bytes: &'a [u8]) -> Option<Kept<'a>> {
        Entry::glance(bytes).ok().map(|entry| self.kept(&entry))
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
            shared: entry.shared,
            stored_at_unix_ms: entry.times.stored_at_ms,
            tags: entry.tags,
            is_absent: entry.is_absent(),
        }
    }
}

fn write_with<E, R>(
    draft: &Draft<'_>,
    encode: impl FnOnce(&Draft<'_>, &mut Vec<u8>) -> Result<(), NotEncoded<E>>,
    keep: impl FnOnce(Written<'_>) -> R,
) -> Result<R, NotKept> {
    let mut buffer = take_buffer();
    buffer.clear();
    let result = match encode(draft, &mut buffer) {
        Ok(()) => {
            let bytes = buffer.as_slice();
            let is_packed = Entry::glance(bytes).is_ok_and(|entry| entry.compression() != Compression::None);
            Ok(keep(Written { bytes, is_packed }))
        }
        Err(NotEncoded::TooLarge) => Err(NotKept::TooLarge),
        Err(NotEncoded::Payload(_) | NotEncoded::OutOfLimits(_)) => Err(NotKept::NotEncoded),
    };
    put_back(buffer);
    result
}

fn unusable(refused: Refused) -> Unusable {
    match refused {
        Refused::Corrupt(_) => Unusable::Corrupt,
        Refused::ForeignKey
        | Refused::OtherNamespace
        | Refused::OtherSchema(_)
        | Refused::OtherCodec(_)
        | Refused::NewerFormat(_) => Unusable::Foreign,
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
