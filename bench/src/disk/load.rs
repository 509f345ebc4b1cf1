//! Keys that every subject gets, the same in every run.

use crate::library::mixed;

/// A key: two spread numbers and a tail, so that keys are apart from their first byte on and as long as those of real
/// caches.
pub(super) type Key = [u8; 24];

/// The key of `number`; another number has another key.
pub(super) fn key(number: u64) -> Key {
    let mut key = *b"................:entries";
    key[..8].copy_from_slice(&mixed(number).to_le_bytes());
    key[8..16].copy_from_slice(&mixed(number ^ 0x5eed_5eed_5eed_5eed).to_le_bytes());
    key
}

/// Bytes of an entry as its user counts them, with a value of `value_len`.
pub(super) fn entry_len(value_len: usize) -> u64 {
    (size_of::<Key>() + value_len) as u64
}

#[cfg(test)]
mod tests;
