//! Keys of a snapshot on their way into the keyspace: their index lines are fetched while further ones are read.
//!
//! **Invariant:** keys are stored in the order of the file, and memory stays at [`BYTES_MAX`] and one record.

use crate::rdb::{Problem, Record};
use scrubjay_keyspace::{Db, Expiry, Full, Held, Key, KeyHash, Owned};

/// Records that are under way at once.
const RECORDS_MAX: usize = 32;
/// Bytes that are under way at once: longer records go through alone.
const BYTES_MAX: usize = 64 << 10;

struct Waiting {
    db: Db,
    hash: KeyHash,
    key_len: usize,
    len: usize,
    expires_at_ms: Option<u64>,
    idle_seconds: Option<u64>,
}

/// Records that were read and are not stored yet.
#[derive(Default)]
pub(super) struct Batch {
    /// Keys and values, one behind the other.
    bytes: Vec<u8>,
    waiting: Vec<Waiting>,
}

impl Batch {
    /// Takes one more record, and stores what waits when that is enough.
    pub(super) fn push(&mut self, held: &mut Held<'_>, db: Db, record: &Record<'_>) -> Result<(), Problem> {
        let hash = held.key(record.key).hash;
        held.keyspace().prefetch_bucket(db, hash);
        self.bytes.extend_from_slice(record.key);
        self.bytes.extend_from_slice(record.value);
        self.waiting.push(Waiting {
            db,
            hash,
            key_len: record.key.len(),
            len: record.key.len() + record.value.len(),
            expires_at_ms: record.expires_at_ms,
            idle_seconds: record.idle_seconds,
        });
        if self.waiting.len() >= RECORDS_MAX || self.bytes.len() >= BYTES_MAX { self.store(held) } else { Ok(()) }
    }

    /// Stores everything that waits.
    pub(super) fn store(&mut self, held: &mut Held<'_>) -> Result<(), Problem> {
        let mut rest = self.bytes.as_slice();
        for waiting in self.waiting.drain(..) {
            let (bytes, behind) = rest.split_at(waiting.len);
            rest = behind;
            waiting.store(held, bytes).map_err(|Full| Problem::Full)?;
        }
        self.bytes.clear();
        self.bytes.shrink_to(BYTES_MAX);
        Ok(())
    }
}

impl Waiting {
    fn store(&self, held: &mut Held<'_>, bytes: &[u8]) -> Result<(), Full> {
        let (key, value) = bytes.split_at(self.key_len);
        let key = Key { bytes: key, hash: self.hash };
        match self.idle_seconds {
            None => held.set(self.db, &key, value, self.expires_at_ms.map_or(Expiry::Clear, Expiry::At)),
            Some(idle_seconds) => {
                let idle_seconds = u32::try_from(idle_seconds).unwrap_or(u32::MAX);
                let (value, expires_at_ms) = (value.to_vec(), self.expires_at_ms);
                held.insert(self.db, &key, Owned { value, expires_at_ms, is_raw: false, idle_seconds })
            }
        }
    }
}
