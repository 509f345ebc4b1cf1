//! DUMP payloads: type and value as in a file, then the version (2 bytes) and the CRC-64 of all that (8), little-endian.

use super::reader::read_value;
use super::{Compressor, TYPE_STRING, VERSION, VERSION_MAX, checksum, encode};

const FOOTER_LEN: usize = 10;

/// Why a payload was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PayloadError {
    /// Made by a newer version, or not what it was when it was made.
    Footer,
    /// Whole, but not a string.
    Format,
}

/// What DUMP answers for `value`.
pub(crate) fn dump(value: &[u8], compress: bool) -> Vec<u8> {
    let mut compressor = compress.then(Compressor::new);
    let mut payload = Vec::with_capacity(value.len() + FOOTER_LEN + 10);
    payload.push(TYPE_STRING);
    let body = encode::string(&mut payload, value, compressor.as_mut());
    payload.extend_from_slice(body);
    payload.extend(VERSION.to_le_bytes());
    let sum = checksum::of(&payload);
    payload.extend(sum.to_le_bytes());
    payload
}

/// The value that RESTORE is given as `payload`.
pub(crate) fn restore(payload: &[u8]) -> Result<Vec<u8>, PayloadError> {
    let (covered, sum) = payload.split_last_chunk::<8>().ok_or(PayloadError::Footer)?;
    let (object, version) = covered.split_last_chunk::<2>().ok_or(PayloadError::Footer)?;
    if u16::from_le_bytes(*version) > VERSION_MAX || u64::from_le_bytes(*sum) != checksum::of(covered) {
        return Err(PayloadError::Footer);
    }
    match object.split_first() {
        Some((&TYPE_STRING, string)) => read_value(string).ok_or(PayloadError::Format),
        _ => Err(PayloadError::Format),
    }
}
