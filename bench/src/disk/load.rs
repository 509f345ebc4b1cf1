//! Keys and values that every subject gets, the same in every run.

use crate::library::{Random, mixed};
use std::sync::Arc;

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

/// What values are cut from: random, so that nobody's compression finds anything.
const POOL_LEN: usize = 16 << 20;

/// Values of one length, known from their number.
#[derive(Clone, Debug)]
pub(super) struct Values {
    pool: Arc<[u8]>,
    len: usize,
}

impl Values {
    pub(super) fn of_len(len: usize) -> Values {
        let mut random = Random::new(0x7a1);
        let mut pool = Vec::with_capacity(POOL_LEN);
        while pool.len() < POOL_LEN {
            pool.extend_from_slice(&random.next().to_le_bytes());
        }
        Values { pool: pool.into(), len }
    }

    pub(super) fn get(&self, number: u64) -> &[u8] {
        let starts = (self.pool.len() - self.len) as u64;
        let start = usize::try_from(mixed(number ^ 0x000f_f5e7) % starts).unwrap_or(0);
        &self.pool[start..start + self.len]
    }

    /// Whether `bytes` is the value of `number`, by its length and both ends: cheap, and enough to see a value of another
    /// key.
    pub(super) fn is(&self, number: u64, bytes: &[u8]) -> bool {
        let wanted = self.get(number);
        let end = self.len.min(16);
        bytes.len() == self.len && bytes[..end] == wanted[..end] && bytes[self.len - end..] == wanted[self.len - end..]
    }

    /// Bytes of an entry as its user counts them.
    pub(super) fn entry_len(&self) -> u64 {
        entry_len(self.len)
    }
}

/// The same of a value of `value_len`.
pub(super) fn entry_len(value_len: usize) -> u64 {
    (size_of::<Key>() + value_len) as u64
}

#[cfg(test)]
mod tests;
