//! A value as it was read, with the buffer that it was read into.

use std::fmt;
use std::ops::{Deref, Range};

/// The bytes of a value.
#[derive(Clone)]
pub struct Value {
    bytes: Vec<u8>,
    range: Range<usize>,
    expires_ms: u64,
}

impl Value {
    /// `range` lies in `bytes`.
    pub(crate) fn new(bytes: Vec<u8>, range: Range<usize>, expires_ms: u64) -> Value {
        Value { bytes, range, expires_ms }
    }

    /// When it expires, in Unix milliseconds; 0 for never.
    pub fn expires_ms(&self) -> u64 {
        self.expires_ms
    }

    /// The bytes in a buffer of their own; moves them, but does not allocate.
    pub fn into_vec(mut self) -> Vec<u8> {
        self.bytes.truncate(self.range.end);
        self.bytes.drain(..self.range.start);
        self.bytes
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.range.clone()]
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq<[u8]> for Value {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Value").field("len", &self.len()).field("expires_ms", &self.expires_ms).finish()
    }
}
