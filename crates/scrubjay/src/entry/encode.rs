//! Writing an entry: the header is laid down with holes, the codec appends its payload behind it, the holes are filled.

use super::{
    CHECKSUM_LEN, COST_MAX, Compression, FLAG_ABSENT, FLAG_LOCAL, FLAG_SHARED, FLAG_TIMES, HEADER_LEN, Identity,
    KEY_LEN_MAX, Local, MAGIC, NAMESPACE_LEN_MAX, ORIGINAL_LEN_MAX, Packing, SharedBorn, TAG_LEN_MAX, TAGS_MAX, Times,
    VERSION, VERSION_SHARED, pack,
};

/// An entry to write, but for its payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) identity: Identity<'a>,
    pub(crate) key: &'a [u8],
    /// In Unix milliseconds.
    pub(crate) times: Times,
    /// Cost class of loading it again, 0..=3.
    pub(crate) cost: u8,
    pub(crate) local: Option<Local>,
    pub(crate) shared: Option<SharedBorn>,
    pub(crate) tags: &'a [&'a str],
}

/// Why an entry was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotEncoded<E> {
    /// The value does not serialise.
    Payload(E),
    /// The payload is longer than an entry may hold.
    TooLarge,
    /// The key, the namespace or a tag is too long (or a tag empty), or there are too many tags.
    OutOfLimits(&'static str),
}

impl Draft<'_> {
    /// Appends the entry to `out`, with the payload that `write` appends. After an error `out` is as it was.
    pub(crate) fn encode<E>(
        &self,
        out: &mut Vec<u8>,
        packing: Packing,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), NotEncoded<E>> {
        let start = out.len();
        let result = self.write_all(out, packing, Some(write));
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    /// Appends an entry that says: this key has no value.
    pub(crate) fn encode_absent(&self, out: &mut Vec<u8>) -> Result<(), NotEncoded<std::convert::Infallible>> {
        let start = out.len();
        let nothing = None::<fn(&mut Vec<u8>) -> Result<(), std::convert::Infallible>>;
        let result = self.write_all(out, Packing { compression: Compression::None, len_min: 0 }, nothing);
        if result.is_err() {
            out.truncate(start);
        }
        result
    }

    fn write_all<E>(
        &self,
        out: &mut Vec<u8>,
        packing: Packing,
        write: Option<impl FnOnce(&mut Vec<u8>) -> Result<(), E>>,
    ) -> Result<(), NotEncoded<E>> {
        self.check()?;
        let start = out.len();
        out.resize(start + HEADER_LEN, 0);
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.identity.namespace.as_bytes());
        let times = self.times.ordered();
        if times.fresh_until_ms != 0 {
            out.extend_from_slice(&times.fresh_until_ms.to_le_bytes());
            out.extend_from_slice(&times.stale_until_ms.to_le_bytes());
        }
        if let Some(local) = self.local {
            out.extend_from_slice(&local.born.to_le_bytes());
            out.extend_from_slice(&local.weight.to_le_bytes());
        }
        if let Some(shared) = self.shared {
            out.extend_from_slice(&shared.generation.to_le_bytes());
            out.extend_from_slice(&shared.sequence.to_le_bytes());
        }
        let tags_start = out.len();
        for tag in self.tags {
            out.extend_from_slice(&narrow::<u16, _>(tag.len())?.to_le_bytes());
            out.extend_from_slice(tag.as_bytes());
        }
        let payload_start = out.len();
        let is_absent = write.is_none();
        if let Some(write) = write {
            write(out).map_err(NotEncoded::Payload)?;
        }
        let original_len = out.len() - payload_start;
        if original_len > ORIGINAL_LEN_MAX {
            return Err(NotEncoded::TooLarge);
        }
        let compression = pack::pack(packing, out, payload_start);
        let lens = Lens {
            tags: narrow(payload_start - tags_start)?,
            payload: narrow(out.len() - payload_start)?,
            original: narrow(original_len)?,
        };
        self.fill_header(&mut out[start..start + HEADER_LEN], compression, is_absent, lens)?;
        let checksum = crc32fast::hash(&out[start..]);
        let checksum: [u8; CHECKSUM_LEN] = checksum.to_le_bytes();
        out.extend_from_slice(&checksum);
        Ok(())
    }

    fn fill_header<E>(
        &self,
        header: &mut [u8],
        compression: Compression,
        is_absent: bool,
        lens: Lens,
    ) -> Result<(), NotEncoded<E>> {
        let mut flags = compression.to_bits();
        flags |= if is_absent { FLAG_ABSENT } else { 0 };
        flags |= if self.times.fresh_until_ms == 0 { 0 } else { FLAG_TIMES };
        flags |= if self.local.is_some() { FLAG_LOCAL } else { 0 };
        flags |= if self.shared.is_some() { FLAG_SHARED } else { 0 };
        header[0..2].copy_from_slice(&MAGIC);
        header[2] = if self.shared.is_some() { VERSION_SHARED } else { VERSION };
        header[3] = flags;
        header[4] = self.identity.codec;
        header[5] = narrow(self.identity.namespace.len())?;
        header[6..8].copy_from_slice(&narrow::<u16, _>(self.key.len())?.to_le_bytes());
        header[8..12].copy_from_slice(&self.identity.schema.to_le_bytes());
        header[12..16].copy_from_slice(&lens.payload.to_le_bytes());
        header[16..24].copy_from_slice(&self.times.stored_at_ms.to_le_bytes());
        header[24..26].copy_from_slice(&lens.tags.to_le_bytes());
        header[26] = self.cost.min(COST_MAX);
        header[28..32].copy_from_slice(&lens.original.to_le_bytes());
        Ok(())
    }

    fn check<E>(&self) -> Result<(), NotEncoded<E>> {
        let Draft { identity, key, tags, .. } = self;
        let wrong = if key.len() > KEY_LEN_MAX {
            "key"
        } else if identity.namespace.len() > NAMESPACE_LEN_MAX {
            "namespace"
        } else if tags.len() > TAGS_MAX {
            "tags"
        } else if tags.iter().any(|tag| tag.is_empty() || tag.len() > TAG_LEN_MAX) {
            "tag"
        } else {
            return Ok(());
        };
        Err(NotEncoded::OutOfLimits(wrong))
    }
}

struct Lens {
    tags: u16,
    payload: u32,
    original: u32,
}

/// A length that was checked against its limit, in the width of its field.
fn narrow<N: TryFrom<usize>, E>(len: usize) -> Result<N, NotEncoded<E>> {
    N::try_from(len).map_err(|_| NotEncoded::TooLarge)
}
