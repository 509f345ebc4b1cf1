//! Entries that have left the tier, still readable by whoever must be told.
//!
//! Invariant: nothing in here is found by any read any more. Keys and values are dropped when this is, outside of
//! every lock of the tier, or later, when the last reader that saw them is gone.

use std::sync::Arc;

/// Why an entry left.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Its caller removed it, by key, tag, prefix or `clear`.
    Removed,
    /// A newer value took its place.
    Replaced,
    /// Its time was over.
    Expired,
    /// The policy chose it, to make room.
    Evicted,
    /// Its partition was over its quota.
    OverQuota,
}

/// Entries that have left, with the reason of each.
pub(crate) struct Departed<K, V> {
    pub(super) entries: Vec<(Arc<super::tier::Entry<K, V>>, Reason, u64)>,
}

/// One entry that has left.
pub(crate) struct Leaver<'a, K, V> {
    pub(crate) key: &'a K,
    pub(crate) value: &'a V,
    pub(crate) reason: Reason,
    /// The epoch of the key's stripe when it left.
    pub(crate) epoch: u64,
    /// When it expires, by the tier's clock; 0 for never.
    pub(crate) deadline_ms: u64,
    pub(crate) weight: u32,
}

impl<K, V> Departed<K, V> {
    pub(crate) fn each(&self, mut f: impl FnMut(Leaver<'_, K, V>)) {
        for (entry, reason, epoch) in &self.entries {
            let (key, value) = (&entry.key, &entry.value);
            let (deadline_ms, weight) = (entry.deadline_ms, entry.weight);
            f(Leaver { key, value, reason: *reason, epoch: *epoch, deadline_ms, weight });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
