//! A vector as it stands in the value of a record: 12 bytes of header, the floats, the metadata.
//!
//! ```text
//!  byte 0      2    3    4            8             12
//!      +------+----+----+------------+-------------+----------------------+----------+
//!      | "SV" | 1  | 1  | dimensions | metadata len| floats, 4 bytes each | metadata |
//!      +------+----+----+------------+-------------+----------------------+----------+
//! ```
//!
//! `docs/vector-format.md` describes it for other languages; a test checks its example. There is no checksum: the record
//! around it has one, over key and value. Floats are copied bit by bit, NaN included.

use std::fmt;

/// A vector has at least one dimension and at most this many: a quarter of a mebibyte.
pub(super) const DIMENSIONS_MAX: usize = 65_536;
/// Metadata is at most so long.
pub(super) const METADATA_LEN_MAX: usize = 65_536;
/// What stands before the floats.
pub(super) const HEADER_LEN: usize = 12;

const MAGIC: [u8; 2] = *b"SV";
const VERSION: u8 = 1;
/// 32-bit floats, little-endian: the only element type so far.
const F32: u8 = 1;
const FLOAT_LEN: usize = size_of::<f32>();

/// The parts of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decoded {
    pub(super) floats: Vec<f32>,
    pub(super) metadata: Vec<u8>,
}

/// Why bytes are no vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undecodable {
    NoVector,
    /// Of a newer format.
    Newer(u8),
    /// The lengths do not add up, or are out of their limits.
    Lengths,
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undecodable::NoVector => f.write_str("the value is no vector"),
            Undecodable::Newer(version) => write!(f, "the vector is of format {version}, newer than {VERSION}"),
            Undecodable::Lengths => f.write_str("the vector's lengths do not add up"),
        }
    }
}

/// How long the value of such a vector is.
pub(super) fn value_len(dimensions: usize, metadata_len: usize) -> usize {
    HEADER_LEN + dimensions * FLOAT_LEN + metadata_len
}

/// Appends the value to `out`. Both are within their limits.
pub(super) fn encode(floats: &[f32], metadata: &[u8], out: &mut Vec<u8>) {
    debug_assert!((1..=DIMENSIONS_MAX).contains(&floats.len()) && metadata.len() <= METADATA_LEN_MAX);
    out.reserve(value_len(floats.len(), metadata.len()));
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[VERSION, F32]);
    out.extend_from_slice(&len_bytes(floats.len()));
    out.extend_from_slice(&len_bytes(metadata.len()));
    let start = out.len();
    out.resize(start + floats.len() * FLOAT_LEN, 0);
    for (bytes, float) in out[start..].as_chunks_mut::<FLOAT_LEN>().0.iter_mut().zip(floats) {
        *bytes = float.to_le_bytes();
    }
    out.extend_from_slice(metadata);
}

/// The vector that `value` is.
///
/// # Errors
/// Why it is none. Allocates nothing before it is known that the bytes are there.
pub(super) fn decode(value: &[u8]) -> Result<Decoded, Undecodable> {
    let (header, rest) = value.split_first_chunk::<HEADER_LEN>().ok_or(Undecodable::NoVector)?;
    let [m0, m1, version, element, d0, d1, d2, d3, l0, l1, l2, l3] = *header;
    if [m0, m1] != MAGIC || version == 0 {
        return Err(Undecodable::NoVector);
    }
    if version > VERSION || element != F32 {
        return Err(Undecodable::Newer(version));
    }
    let dimensions = usize::try_from(u32::from_le_bytes([d0, d1, d2, d3])).map_err(|_| Undecodable::Lengths)?;
    let metadata_len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).map_err(|_| Undecodable::Lengths)?;
    if !(1..=DIMENSIONS_MAX).contains(&dimensions) || metadata_len > METADATA_LEN_MAX {
        return Err(Undecodable::Lengths);
    }
    if rest.len() != dimensions * FLOAT_LEN + metadata_len {
        return Err(Undecodable::Lengths);
    }
    let (floats, metadata) = rest.split_at(dimensions * FLOAT_LEN);
    let floats = floats.as_chunks::<FLOAT_LEN>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Ok(Decoded { floats, metadata: metadata.to_vec() })
}

/// What the catalogue says of a namespace: its dimensions, 0 once it was cleared.
pub(super) fn encode_dimensions(dimensions: usize) -> [u8; 4] {
    len_bytes(dimensions)
}

/// The same read again; `None` if the bytes say nothing of the kind.
pub(super) fn decode_dimensions(bytes: &[u8]) -> Option<usize> {
    let dimensions = usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()?;
    (dimensions <= DIMENSIONS_MAX).then_some(dimensions)
}

/// A length within the limits above as it is written.
fn len_bytes(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}
