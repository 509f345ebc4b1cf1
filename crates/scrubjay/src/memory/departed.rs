//! Entries that have left the tier, still readable by whoever must be told.
//!
//! Invariant: nothing in here is found by any read any more. Keys and values are dropped when this is, outside of
//! every lock of the tier, or later, when the last reader that saw them is gone.

use super::tier::Tier;

/// Why an entry left.
///
/// ```
/// use scrubjay::{Memory, MemoryCache, Reason};
/// use std::sync::mpsc;
///
/// let (tell, told) = mpsc::channel();
/// let names: MemoryCache<u64, String> = MemoryCache::builder()
///     .memory(Memory::bytes(1 << 20))
///     .on_departure(move |_, name: &String, why| tell.send((name.clone(), why)).unwrap())
///     .build()?;
/// names.insert(1, "Ada".into())?;
/// names.insert(1, "Grace".into())?;
/// names.remove(&1);
/// let told: Vec<_> = told.try_iter().collect();
/// assert_eq!(told, [("Ada".into(), Reason::Replaced), ("Grace".into(), Reason::Removed)]);
/// # Ok::<(), scrubjay::Error>(())
/// ```
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

/// A slot that has left the index of a shard, and what is known of that.
#[derive(Debug)]
pub(super) struct Leave {
    pub(super) slot: u32,
    pub(super) shard: u32,
    pub(super) reason: Reason,
    pub(super) epoch: u64,
}

/// Slots that have left and whose holder owns them now. Mostly empty: nobody watches, or nothing left.
pub(super) type Leaves = Vec<Leave>;

/// Entries that have left, with the reason of each.
#[must_use = "what left is told to nobody else"]
pub(crate) struct Departed<'a, K, V> {
    tier: &'a Tier<K, V>,
    pub(super) leaves: Leaves,
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
    /// Cost class of loading it again.
    pub(crate) cost: u8,
}

/// One entry that is in the tier, or was a moment ago.
pub(crate) struct Resident<'a, K, V> {
    pub(crate) key: &'a K,
    pub(crate) value: &'a V,
    /// How often it was hit of late, 0 to 3.
    pub(crate) hits: u8,
    pub(crate) deadline_ms: u64,
    pub(crate) weight: u32,
    pub(crate) cost: u8,
}

impl<'a, K, V> Departed<'a, K, V> {
    pub(super) fn new(tier: &'a Tier<K, V>) -> Departed<'a, K, V> {
        Departed { tier, leaves: Leaves::new() }
    }

    /// Shows each of them.
    pub(crate) fn each(&self, mut f: impl FnMut(Leaver<'_, K, V>)) {
        for leave in &self.leaves {
            f(self.tier.shard(leave.shard).of_leave(leave));
        }
    }
}

impl<K, V> Drop for Departed<'_, K, V> {
    #[inline]
    fn drop(&mut self) {
        if !self.leaves.is_empty() {
            self.retire();
        }
    }
}

impl<K, V> Departed<'_, K, V> {
    #[cold]
    fn retire(&mut self) {
        let mut leaves = std::mem::take(&mut self.leaves);
        // Most often there is one, or all are of one shard.
        leaves.sort_unstable_by_key(|leave| leave.shard);
        for of_one_shard in leaves.chunk_by(|one, next| one.shard == next.shard) {
            self.tier.retire(of_one_shard);
        }
    }
}
