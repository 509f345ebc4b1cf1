//! What may be a key: hashed and compared in memory, written as stable bytes to every tier below.
//!
//! Invariant: two keys are equal exactly when their bytes are. The bytes never come from a debug print: they are what
//! other processes and other languages write for the same key, so they never change for a type. Integers are decimal
//! text, strings themselves, so that a shared tier stays readable.

use std::hash::Hash;

/// A key of a cache.
pub trait Key: Hash + Eq + Clone + Send + Sync + 'static {
    /// Appends the key's stable bytes to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// The key whose bytes these are; `None` if they are no key's.
    fn decode(bytes: &[u8]) -> Option<Self>
    where
        Self: Sized;

    /// Bytes that the key holds outside of itself, for the weigher.
    fn heap_bytes(&self) -> usize {
        0
    }
}

impl Key for u64 {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_string().as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<u64> {
        std::str::from_utf8(bytes).ok()?.parse().ok()
    }
}

impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<String> {
        String::from_utf8(bytes.to_vec()).ok()
    }

    fn heap_bytes(&self) -> usize {
        self.capacity()
    }
}
