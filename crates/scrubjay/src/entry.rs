//! The format of an entry outside of the memory tier: one key's value, with all that a reader must know to trust it.
//!
//! Every lower tier keeps entries in this form, and so do other languages: docs/entry-format.md is the specification,
//! byte by byte, with an example that a test checks. All numbers are little-endian.
//!
//! ```text
//!  0      2   3   4   5   6      8         12        16
//!  | "SJ" |ver|flg|cdc|nsl| keyl |  schema | payload |
//!  |      stored at       | tags |cst| 0   | original|     16 .. 32
//!  | key | namespace | fresh, stale until | born, weight | generation, sequence | tags | payload | crc-32 |
//!                      (flag 3, 8 + 8)      (flag 4, 8 + 4) (flag 5, 8 + 8)
//! ```
//!
//! Invariants: the lengths in the header add up to the length of the whole; the last four bytes are the CRC-32 of all
//! before them, so that a flipped bit or a cut is never taken for data. Nothing that is read here panics, and nothing
//! is allocated because a length was announced: what unpacks is bounded by what that many packed bytes can hold at
//! all, and by [`ORIGINAL_LEN_MAX`].
//!
//! It knows nothing of tiers, clocks and codecs: whoever calls brings the bytes of the key and writes the payload. It
//! names no other module of the crate, so that the fuzz target can include it as it is.

mod decode;
mod encode;
mod pack;
#[cfg(test)]
mod tests;
mod time;

pub(crate) use decode::{Entry, Refused, Tags, key_of};
pub(crate) use encode::{Draft, NotEncoded};
pub(crate) use pack::{Compression, Packing};
pub(crate) use time::{Anchor, CLOCK_MS_MAX, Times};

/// Bytes before the key.
pub(crate) const HEADER_LEN: usize = 32;
/// Bytes of the checksum, at the end.
pub(crate) const CHECKSUM_LEN: usize = 4;
/// A key is at most this long: its length has two bytes.
pub(crate) const KEY_LEN_MAX: usize = 0xffff;
/// A namespace is at most this long: its length has one byte.
pub(crate) const NAMESPACE_LEN_MAX: usize = 0xff;
/// An entry has at most this many tags.
pub(crate) const TAGS_MAX: usize = 64;
/// A tag has at least one byte and at most this many.
pub(crate) const TAG_LEN_MAX: usize = 256;
/// A payload is at most this long before it is packed.
pub(crate) const ORIGINAL_LEN_MAX: usize = 64 << 20;

const MAGIC: [u8; 2] = *b"SJ";
const VERSION: u8 = 1;
/// That of an entry with a shared part, and of no other.
const VERSION_SHARED: u8 = 2;
const FLAG_COMPRESSION: u8 = 0b0000_0011;
const FLAG_ABSENT: u8 = 0b0000_0100;
const FLAG_TIMES: u8 = 0b0000_1000;
const FLAG_LOCAL: u8 = 0b0001_0000;
const FLAG_SHARED: u8 = 0b0010_0000;
const FLAGS_KNOWN: u8 = FLAG_COMPRESSION | FLAG_ABSENT | FLAG_TIMES | FLAG_LOCAL | FLAG_SHARED;
const TIMES_LEN: usize = 16;
const LOCAL_LEN: usize = 12;
const SHARED_LEN: usize = 16;
/// The dearest cost class.
const COST_MAX: u8 = 3;

/// Whose entry it is and how its payload is to be read: the same for all entries of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity<'a> {
    /// The cache's name, [`NAMESPACE_LEN_MAX`] bytes at most.
    pub(crate) namespace: &'a str,
    /// The cache's schema version: a changed type is a miss.
    pub(crate) schema: u32,
    /// The codec's number.
    pub(crate) codec: u8,
}

/// What means something in the writer's process only. Tiers that others read leave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Local {
    /// The cache's sequence when the load of this entry began: stamps of tags and of `clear` compare with it.
    pub(crate) born: u64,
    /// Its weight in the memory tier.
    pub(crate) weight: u32,
}

/// Where the stamps that processes share stood when the load or insert of an entry began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SharedBorn {
    /// Which life of the stamps; 0 if none is known.
    pub(crate) generation: u64,
    pub(crate) sequence: u64,
}
