//! Values that every subject gets, the same in every run, and known from their number.

use crate::library::{Random, mixed};
use std::sync::Arc;

/// What values are cut from: random, so that nobody's compression finds anything.
const POOL_LEN: usize = 16 << 20;

/// Values of one length, known from their number.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    pool: Arc<[u8]>,
    len: usize,
}

impl Values {
    pub(crate) fn of_len(len: usize) -> Values {
        let mut random = Random::new(0x7a1);
        let mut pool = Vec::with_capacity(POOL_LEN);
        while pool.len() < POOL_LEN {
            pool.extend_from_slice(&random.next().to_le_bytes());
        }
        Values { pool: pool.into(), len }
    }

    /// How long each of them is.
    pub(crate) fn value_len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, number: u64) -> &[u8] {
        let starts = (self.pool.len() - self.len) as u64;
        let start = usize::try_from(mixed(number ^ 0x000f_f5e7) % starts).unwrap_or(0);
        &self.pool[start..start + self.len]
    }

    /// Whether `bytes` is the value of `number`, by its length and both ends: cheap, and enough to see a value of another
    /// key.
    pub(crate) fn is(&self, number: u64, bytes: &[u8]) -> bool {
        let wanted = self.get(number);
        let end = self.len.min(16);
        bytes.len() == self.len && bytes[..end] == wanted[..end] && bytes[self.len - end..] == wanted[self.len - end..]
    }
}

#[cfg(test)]
mod tests;
