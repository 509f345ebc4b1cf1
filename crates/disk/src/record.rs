//! A record: what one write leaves in the log, with all that a reader must know to trust it.
//!
//! ```text
//!  0        4      6   7   8           12          16
//!  | crc    | "RJ" |knd|flg| namespace | value len |
//!  |        hash           | expires, 6 bytes |keyl|     16 .. 32
//!  | key | value | zeros up to a multiple of 16 |
//! ```
//!
//! The checksum is the CRC-32 of everything behind it, the zeros included, XORed with a mask of the store, the segment
//! and the offset. Invariants: a flipped bit anywhere in a record is found; a record that stands where it was not
//! written to (another offset, segment or store) does not verify, so that neither a misdirected write nor bytes that a
//! user stored are ever taken for a record. The checksum is taken where nobody waits, before the place is known;
//! [`place`] adds the mask for the price of one XOR.
//!
//! It knows nothing of files, time and the index. Nothing that is read here panics or allocates. All numbers are
//! little-endian; docs/disk-format.md is the specification.

#[cfg(test)]
mod tests;

use crate::place::{Position, UNIT};

/// Bytes before the key.
pub(crate) const HEADER_LEN: usize = 32;
/// A key is at most this long: its length has two bytes.
pub(crate) const KEY_LEN_MAX: usize = 0xffff;
/// A value is at most this long.
pub(crate) const VALUE_LEN_MAX: usize = 64 << 20;
/// The latest expiry that a record can hold; a later one is cut to it.
pub(crate) const EXPIRES_MS_MAX: u64 = (1 << 48) - 1;
/// No record is longer.
pub(crate) const RECORD_LEN_MAX: usize = padded(HEADER_LEN + KEY_LEN_MAX + VALUE_LEN_MAX);

const UNIT_LEN: usize = 16;
const MAGIC: [u8; 2] = *b"RJ";
const FLAG_PINNED: u8 = 1;

const _: () = assert!(UNIT == UNIT_LEN as u64 && HEADER_LEN.is_multiple_of(UNIT_LEN));

/// What a record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The key has this value from here on.
    Value,
    /// The key with this hash has no value from here on.
    Tombstone,
    /// Nothing of any key: it fills a block up, and may be a mark.
    Padding,
}

impl Kind {
    /// The byte that stands for it.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Kind::Value => 1,
            Kind::Tombstone => 2,
            Kind::Padding => 3,
        }
    }

    /// What a byte stands for.
    pub(crate) const fn from_code(code: u8) -> Option<Kind> {
        match code {
            1 => Some(Kind::Value),
            2 => Some(Kind::Tombstone),
            3 => Some(Kind::Padding),
            _ => None,
        }
    }
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damaged {
    /// They do not begin as one.
    #[error("no record begins here")]
    NotARecord,
    /// Kind, flags or lengths break a rule.
    #[error("the header of the record breaks a rule")]
    Header,
    /// The record is longer than what is there.
    #[error("the record is cut off")]
    CutOff,
    /// A bit differs, or the record was written to another place.
    #[error("the checksum differs")]
    Checksum,
}

/// A record that is yet to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draft<'a> {
    pub(crate) kind: Kind,
    pub(crate) namespace: u32,
    pub(crate) hash: u64,
    /// Unix milliseconds; 0 is never.
    pub(crate) expires_ms: u64,
    pub(crate) is_pinned: bool,
    /// At most [`KEY_LEN_MAX`] bytes; empty unless it is a value.
    pub(crate) key: &'a [u8],
    /// At most [`VALUE_LEN_MAX`] bytes; empty in a tombstone.
    pub(crate) value: &'a [u8],
}

impl<'a> Draft<'a> {
    /// What says that the key with this hash has no value.
    pub(crate) const fn tombstone(namespace: u32, hash: u64) -> Draft<'a> {
        Draft { kind: Kind::Tombstone, namespace, hash, expires_ms: 0, is_pinned: false, key: &[], value: &[] }
    }

    /// Bytes that it takes in the log.
    pub(crate) const fn len(&self) -> usize {
        padded(HEADER_LEN + self.key.len() + self.value.len())
    }

    /// Computes the checksum, which reads key and value once; nothing is copied.
    ///
    /// # Panics
    /// If the key or the value is longer than a record can hold. Whoever takes them from a caller checks.
    pub(crate) fn sign(self) -> Signed<'a> {
        let key_len = u16::try_from(self.key.len()).expect("no key is longer than KEY_LEN_MAX");
        let value_len = u32::try_from(self.value.len()).expect("no value is longer than VALUE_LEN_MAX");
        let mut header = [0; HEADER_LEN];
        header[4..6].copy_from_slice(&MAGIC);
        header[6] = self.kind.code();
        header[7] = if self.is_pinned { FLAG_PINNED } else { 0 };
        header[8..12].copy_from_slice(&self.namespace.to_le_bytes());
        header[12..16].copy_from_slice(&value_len.to_le_bytes());
        header[16..24].copy_from_slice(&self.hash.to_le_bytes());
        let last = self.expires_ms.min(EXPIRES_MS_MAX) | u64::from(key_len) << 48;
        header[24..32].copy_from_slice(&last.to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&header[4..]);
        crc.update(self.key);
        crc.update(self.value);
        crc.update(self.padding());
        header[..4].copy_from_slice(&crc.finalize().to_le_bytes());
        Signed { draft: self, header }
    }

    /// What stands behind the value.
    fn padding(&self) -> &'static [u8] {
        &[0; UNIT_LEN][..self.len() - HEADER_LEN - self.key.len() - self.value.len()]
    }

    /// Appends the record, its checksum without the mask: [`place`] it before it is written.
    ///
    /// # Panics
    /// As [`sign`](Draft::sign).
    #[cfg(test)]
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.sign().placed(0).iter().for_each(|part| out.extend_from_slice(part));
    }
}

/// A record with its checksum, which still lies where it came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    draft: Draft<'a>,
    header: [u8; HEADER_LEN],
}

impl<'a> Signed<'a> {
    pub(crate) const fn draft(&self) -> &Draft<'a> {
        &self.draft
    }

    /// Bytes that it takes in the log.
    pub(crate) const fn len(&self) -> usize {
        self.draft.len()
    }

    /// Makes it the record that stands at the place of this mask: its parts in order, to be written one behind the other.
    pub(crate) fn placed(&mut self, mask: u32) -> [&[u8]; 4] {
        place(&mut self.header, mask);
        [&self.header, self.draft.key, self.draft.value, self.draft.padding()]
    }
}

/// Appends a record of `len` bytes that says nothing, its checksum without the mask. Nothing is shorter than a header:
/// who has 16 bytes left to fill leaves them and fills the next block as well.
///
/// # Panics
/// If `len` is no length of a record.
pub(crate) fn encode_padding(len: usize, out: &mut Vec<u8>) {
    encode_mark(len, Position::default(), out);
}

/// The shortest padding that can be a mark.
pub(crate) const MARK_LEN: usize = 48;

/// Appends padding that says up to where the log was durable when it was written. Such marks tell a reader of damage whether
/// it hit what was promised to stay: only then is something lost that nobody knows of. One at the end of each block, or
/// after each sync, is enough. In a padding of 32 bytes the mark has no room and is left out.
///
/// # Panics
/// If `len` is no length of a record.
pub(crate) fn encode_mark(len: usize, synced: Position, out: &mut Vec<u8>) {
    assert!(len.is_multiple_of(UNIT_LEN) && (HEADER_LEN..=VALUE_LEN_MAX).contains(&len), "no record has {len} bytes");
    let value_len = u32::try_from(len - HEADER_LEN).expect("below VALUE_LEN_MAX");
    let start = out.len();
    out.resize(start + len, 0);
    let record = &mut out[start..];
    record[4..6].copy_from_slice(&MAGIC);
    record[6] = Kind::Padding.code();
    record[12..16].copy_from_slice(&value_len.to_le_bytes());
    if len >= MARK_LEN {
        record[32..40].copy_from_slice(&synced.seq.to_le_bytes());
        record[40..48].copy_from_slice(&synced.offset.to_le_bytes());
    }
    sign(record);
}

/// Writes the checksum of everything behind it.
fn sign(record: &mut [u8]) {
    let crc = crc32fast::hash(&record[4..]);
    record[..4].copy_from_slice(&crc.to_le_bytes());
}

/// Makes an encoded record one that stands at the place of this mask, or undoes it: the mask is XORed in.
pub(crate) fn place(record: &mut [u8], mask: u32) {
    if let Some(crc) = record.first_chunk_mut::<4>() {
        *crc = (u32::from_le_bytes(*crc) ^ mask).to_le_bytes();
    }
}

/// What the checksum of a record at `position` of a store is XORed with.
pub(crate) const fn mask(store_id: u64, position: Position) -> u32 {
    let mixed = mix(mix(mix(store_id) ^ position.seq) ^ position.offset);
    #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
    let low = mixed as u32;
    low
}

/// The finaliser of SplitMix64: every bit of the result depends on every bit of `x`, and no two numbers have one result.
const fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// The length with zeros up to the next unit.
const fn padded(len: usize) -> usize {
    len.next_multiple_of(UNIT_LEN)
}

/// What the first bytes of a record announce, before anything is verified: enough to know how many bytes to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) kind: Kind,
    /// Bytes of the record in the log; at most [`RECORD_LEN_MAX`].
    pub(crate) len: usize,
    flags: u8,
    pub(crate) key_len: usize,
    value_len: usize,
}

impl Announced {
    /// Reads the header. Cheap, and most bytes that are no record fail here.
    pub(crate) fn read(bytes: &[u8]) -> Result<Announced, Damaged> {
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or(Damaged::CutOff)?;
        if header[4..6] != MAGIC {
            return Err(Damaged::NotARecord);
        }
        let kind = Kind::from_code(header[6]).ok_or(Damaged::Header)?;
        let flags = header[7];
        let key_len = usize::from(u16::from_le_bytes([header[30], header[31]]));
        let value_len = u32::from_le_bytes([header[12], header[13], header[14], header[15]]);
        let value_len = usize::try_from(value_len).map_err(|_| Damaged::Header)?;
        let is_well_formed = match kind {
            Kind::Value => flags & !FLAG_PINNED == 0,
            Kind::Tombstone => flags == 0 && key_len == 0 && value_len == 0,
            Kind::Padding => flags == 0 && key_len == 0,
        };
        if !is_well_formed || value_len > VALUE_LEN_MAX {
            return Err(Damaged::Header);
        }
        Ok(Announced { kind, len: padded(HEADER_LEN + key_len + value_len), flags, key_len, value_len })
    }
}

/// A record that was read and verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) kind: Kind,
    pub(crate) namespace: u32,
    pub(crate) hash: u64,
    /// Unix milliseconds; 0 is never.
    pub(crate) expires_ms: u64,
    pub(crate) is_pinned: bool,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    /// Bytes that it takes in the log.
    pub(crate) len: usize,
}

impl<'a> Record<'a> {
    /// The same to be written elsewhere.
    pub(crate) const fn draft(&self) -> Draft<'a> {
        let Record { kind, namespace, hash, expires_ms, is_pinned, key, value, .. } = *self;
        Draft { kind, namespace, hash, expires_ms, is_pinned, key, value }
    }

    /// The record that `bytes` begin with, if all of it is there and every bit is what was written to this place.
    pub(crate) fn decode(bytes: &'a [u8], mask: u32) -> Result<Record<'a>, Damaged> {
        let Announced { kind, len, flags, key_len, value_len } = Announced::read(bytes)?;
        let record = bytes.get(..len).ok_or(Damaged::CutOff)?;
        let (crc, rest) = record.split_first_chunk::<4>().ok_or(Damaged::CutOff)?;
        if crc32fast::hash(rest) ^ mask != u32::from_le_bytes(*crc) {
            return Err(Damaged::Checksum);
        }
        let (header, body) = record.split_first_chunk::<HEADER_LEN>().ok_or(Damaged::CutOff)?;
        let (key, body) = body.split_at_checked(key_len).ok_or(Damaged::CutOff)?;
        let value = body.get(..value_len).ok_or(Damaged::CutOff)?;
        let words = header.as_chunks::<8>().0;
        Ok(Record {
            kind,
            namespace: u32::from_le_bytes([header[8], header[9], header[10], header[11]]),
            hash: u64::from_le_bytes(words[2]),
            expires_ms: u64::from_le_bytes(words[3]) & EXPIRES_MS_MAX,
            is_pinned: flags & FLAG_PINNED != 0,
            key,
            value,
            len,
        })
    }

    /// What a mark says; the beginning of all positions if it is none.
    pub(crate) fn synced(&self) -> Position {
        match self.value.first_chunk::<16>().map(|mark| mark.as_chunks::<8>().0) {
            Some([seq, offset]) if self.kind == Kind::Padding => {
                Position { seq: u64::from_le_bytes(*seq), offset: u64::from_le_bytes(*offset) }
            }
            _ => Position::default(),
        }
    }
}
