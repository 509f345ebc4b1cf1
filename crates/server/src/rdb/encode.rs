//! Lengths and strings as an RDB file holds them, appended to memory.

use super::{
    Compressor, ENCODED_8_BITS, ENCODED_16_BITS, ENCODED_32_BITS, ENCODED_LZF, LENGTH_32_BITS, LENGTH_64_BITS,
};

/// Shorter strings are not worth the attempt.
const COMPRESSED_FROM_LEN: usize = 21;
/// Digits of the longest number that has an encoding of its own, its sign included.
const NUMBER_LEN_MAX: usize = 11;

pub(super) fn length(out: &mut Vec<u8>, len: u64) {
    match (u8::try_from(len), u16::try_from(len), u32::try_from(len)) {
        (Ok(short @ ..64), _, _) => out.push(short),
        (_, Ok(medium @ ..0x4000), _) => out.extend((medium | 0x4000).to_be_bytes()),
        (_, _, Ok(long)) => {
            out.push(LENGTH_32_BITS);
            out.extend(long.to_be_bytes());
        }
        _ => {
            out.push(LENGTH_64_BITS);
            out.extend(len.to_be_bytes());
        }
    }
}

/// Appends everything of a string but its bytes, which are returned: so that a writer need not copy long ones.
pub(super) fn string<'b>(out: &mut Vec<u8>, bytes: &'b [u8], compressor: Option<&'b mut Compressor>) -> &'b [u8] {
    if let Some(value) = number(bytes) {
        match (i8::try_from(value), i16::try_from(value)) {
            (Ok(byte), _) => out.extend([ENCODED_8_BITS, byte.to_le_bytes()[0]]),
            (_, Ok(short)) => {
                out.push(ENCODED_16_BITS);
                out.extend(short.to_le_bytes());
            }
            _ => {
                out.push(ENCODED_32_BITS);
                out.extend(value.to_le_bytes());
            }
        }
        return &[];
    }
    let packed =
        compressor.filter(|_| bytes.len() >= COMPRESSED_FROM_LEN).and_then(|compressor| compressor.compress(bytes));
    if let Some(packed) = packed {
        out.push(ENCODED_LZF);
        length(out, packed.len() as u64);
        length(out, bytes.len() as u64);
        return packed;
    }
    length(out, bytes.len() as u64);
    bytes
}

/// The number that `bytes` are the one spelling of: what is read back must be the same bytes.
fn number(bytes: &[u8]) -> Option<i32> {
    let is_candidate = matches!(bytes.first(), Some(b'-' | b'0'..=b'9')) && bytes.len() <= NUMBER_LEN_MAX;
    let value: i32 = std::str::from_utf8(bytes).ok().filter(|_| is_candidate)?.parse().ok()?;
    (itoa::Buffer::new().format(value).as_bytes() == bytes).then_some(value)
}
