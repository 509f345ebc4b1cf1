//! A cache as the races and the replays see it: one face for ours and for the peers.

use super::keys::Key;
use std::hint::black_box;
use std::sync::Arc;

/// A type of value that is measured.
pub(crate) trait Value: Clone + Send + Sync + 'static {
    fn of(number: u64) -> Self;

    /// Uses the value as its owner would who holds a reference to it and no copy. Some peer hands out references.
    #[cfg_attr(not(feature = "peers"), expect(dead_code, reason = "ours hands out values"))]
    fn use_in_place(&self);
}

impl Value for () {
    fn of(_: u64) {}

    fn use_in_place(&self) {}
}

/// Inline: the caller ends up with the bytes.
impl<const LEN: usize> Value for [u8; LEN] {
    fn of(number: u64) -> [u8; LEN] {
        [number.to_le_bytes()[0]; LEN]
    }

    fn use_in_place(&self) {
        black_box(*self);
    }
}

/// Shared: the caller ends up with a handle.
impl<const LEN: usize> Value for Arc<[u8; LEN]> {
    fn of(number: u64) -> Arc<[u8; LEN]> {
        Arc::new([number.to_le_bytes()[0]; LEN])
    }

    fn use_in_place(&self) {
        black_box(self[0]);
    }
}

/// A cache of bounded size, every entry counting as one.
pub(crate) trait Store<K: Key, V: Value>: Send + Sync + Sized + 'static {
    /// Empty, with room for so many entries.
    fn with_room(entries: usize) -> anyhow::Result<Self>;

    /// Looks the key up and uses its value. Whether there was one.
    fn read(&self, key: &K::Lookup) -> bool;

    fn insert(&self, key: K, value: V);

    /// Ends what the cache has put off, if it puts anything off.
    fn settle(&self) {}

    /// Entries that it holds.
    fn len(&self) -> usize;
}
