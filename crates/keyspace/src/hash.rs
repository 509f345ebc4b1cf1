//! The hash of a key: what stripe, segment, bucket and tag are read from.

/// The 64-bit seeded hash of a key. The same key has the same hash for the life of one [`crate::Keyspace`], and another
/// one in the next process, so that nobody can craft keys that collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(pub(crate) u64);

impl KeyHash {
    /// A placeholder for "no key", for batches that mix commands with and without keys.
    pub const NONE: KeyHash = KeyHash(0);
}

/// A key with its hash, made by [`crate::Keyspace::key`]: hashed once, used by every step after.
#[derive(Clone, Copy, Debug)]
pub struct Key<'k> {
    /// The bytes of the key as the client sent them.
    pub bytes: &'k [u8],
    /// Their hash in this keyspace.
    pub hash: KeyHash,
}
