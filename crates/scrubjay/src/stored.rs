//! What the memory tier keeps of an entry beside its key: the value, and what decides whether it still counts.
//!
//! 32 bytes beyond the value. Of the times only those stand here that an entry has for its own; the windows after its
//! time to live are the cache's, and the tier's own deadline is the end of the last of them.

use crate::tags::TagSet;

/// A value, or the knowledge that its key has none.
#[derive(Clone, Debug)]
pub(crate) struct Stored<V> {
    /// `None`: the key has no value, and that is remembered.
    pub(crate) value: Option<V>,
    /// When it stops being fresh, by the cache's clock; 0 for never.
    pub(crate) fresh_until_ms: u64,
    /// From when on a hit is more than a hit: its refresh is due, or it is stale. 0 for never, and then a hit asks no clock:
    /// the tier's deadline is where the freshness ends.
    pub(crate) due_ms: u64,
    /// The cache's sequence when its load or insert began.
    pub(crate) born: u64,
    pub(crate) tags: Option<Box<TagSet>>,
}

const _: () = assert!(size_of::<Stored<u64>>() == size_of::<Option<u64>>() + 32);
