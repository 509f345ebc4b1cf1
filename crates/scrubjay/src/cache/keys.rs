//! What looks through whole tiers: the keys, and removal by prefix.
//!
//! While a removal looks through them, no entry may slip past it from one tier into another. So it holds the moves:
//! promotions and demotions ask, under the stripe's lock, and give up. Whoever asked before has moved its entry before
//! the stripes were passed through, and that is before the tiers are. What leaves memory while the moves are held carries
//! an epoch that is raised at the end, and is not demoted later either.
//!
//! A folder takes longer, so it comes after, and only what goes up from there is held: what goes up stays below as well, but may
//! be reclaimed there. What comes down meanwhile was stored after the call began, or was looked at in memory.

use super::{Cache, Shared};
use crate::error::Error;
use crate::key::Key;
use std::collections::HashSet;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The keys of a cache, as they were at one moment. In no order.
///
/// ```
/// # use scrubjay::{Cache, Memory};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let cache: Cache<u64, u64> = Cache::builder("keys").memory(Memory::bytes(1 << 20)).build().await?;
/// cache.insert_many([(1, 10), (2, 20)]).await?;
/// let mut keys: Vec<u64> = cache.keys().await.collect();
/// keys.sort();
/// assert_eq!(keys, [1, 2]);
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keys<K> {
    keys: std::vec::IntoIter<K>,
}

impl<K> Iterator for Keys<K> {
    type Item = K;

    fn next(&mut self) -> Option<K> {
        self.keys.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.keys.size_hint()
    }
}

impl<K> ExactSizeIterator for Keys<K> {}
impl<K> FusedIterator for Keys<K> {}

/// No entry moves between tiers as long as one of these lives.
struct Hold<'a> {
    moves_held: &'a AtomicUsize,
}

impl<'a> Hold<'a> {
    fn new(moves_held: &'a AtomicUsize) -> Hold<'a> {
        moves_held.fetch_add(1, Ordering::AcqRel);
        Hold { moves_held }
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.moves_held.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Every wanted key that has an entry in a tier, whatever the entry is worth.
    fn keys_where(&self, is_wanted: impl Fn(&K) -> bool) -> Vec<K> {
        let mut keys = Vec::new();
        self.memory.for_each(|key, _| {
            if is_wanted(key) {
                keys.push(key.clone());
            }
        });
        if let Some(compressed) = &self.compressed {
            compressed.tier.for_each(|kept| keys.extend(K::decode(kept.key).filter(|key| is_wanted(key))));
        }
        keys
    }

    /// Every key that has a fresh value in a tier.
    fn keys(&self) -> Vec<K> {
        let mut keys = Vec::new();
        self.memory.for_each(|key, stored| {
            let is_fresh = stored.value.is_some() && !self.clock.is_past(stored.fresh_until_ms);
            if is_fresh && self.stamps.is_valid(stored.born, stored.tags.as_deref()) {
                keys.push(key.clone());
            }
        });
        if let Some(compressed) = &self.compressed {
            compressed.tier.for_each(|kept| {
                let is_fresh = !kept.is_absent && !self.clock.is_past(kept.times.fresh_until_ms);
                if is_fresh && self.stamps.is_valid_named(kept.born, kept.tags) {
                    keys.extend(K::decode(kept.key));
                }
            });
        }
        keys
    }

    async fn remove_where(self: &Arc<Self>, is_wanted: impl Fn(&K) -> bool) -> Result<usize, Error> {
        let (hold, hold_rises) = (Hold::new(&self.moves_held), Hold::new(&self.rises_held));
        self.leases.revoke_where(&is_wanted);
        let (mut count, mut is_owed) = (0, false);
        for key in self.keys_where(&is_wanted) {
            let removed = self.remove(&key).await;
            count += usize::from(removed.was_there);
            is_owed |= removed.was_on_disk;
        }
        self.leases.revoke_where(|_| false);
        drop(hold);
        if let Some(disk) = &self.disk {
            let mut keys = Vec::new();
            let take = |batch: Vec<K>| keys.extend(batch.into_iter().filter(&is_wanted));
            if self.keys_on_disk(disk, |_, _, _| true, take).await.is_none() {
                // Some key could not be read, or the folder is away: nobody knows whether it was one of these.
                disk.tier.forget().await;
                is_owed = true;
            }
            for key in keys {
                let removed = self.remove(&key).await;
                count += usize::from(removed.was_there);
                is_owed |= removed.was_on_disk;
            }
        }
        drop(hold_rises);
        self.settle_on_disk(is_owed).await?;
        Ok(count)
    }
}

/// # Keys
impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// The keys that have a fresh value. O(entries), in time and memory; a disk tier is read from end to end. Writers go on meanwhile: what comes, goes or moves
    /// between tiers during the call may be in it, or not, or twice.
    pub async fn keys(&self) -> Keys<K> {
        let mut keys = self.shared.keys();
        if let Some(disk) = &self.shared.disk {
            let above: HashSet<K, ahash::RandomState> = keys.iter().cloned().collect();
            let take = |batch: Vec<K>| keys.extend(batch.into_iter().filter(|key| !above.contains(key)));
            // What cannot be read now is left out.
            let _ = self.shared.keys_on_disk(disk, Shared::is_fresh_blocking, take).await;
        }
        Keys { keys: keys.into_iter() }
    }

    /// Takes out every key that begins with `prefix`, and wins against every load of such a key that began before. Says how
    /// many had a fresh value. O(entries): a [tag](Cache::remove_by_tag) is the way for what happens often.
    /// Of a disk tier every key is read. What cannot be read may be one of them, so all that is on disk is given up then.
    ///
    /// # Errors
    /// As [`remove`](Cache::remove).
    ///
    /// ```
    /// # use scrubjay::{Cache, Memory};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let cache: Cache<String, u64> = Cache::builder("prefix").memory(Memory::bytes(1 << 20)).build().await?;
    /// cache.insert_many([("user:1".into(), 1), ("user:2".into(), 2), ("team:1".into(), 3)]).await?;
    /// assert_eq!(cache.remove_by_prefix("user:").await?, 2);
    /// assert_eq!(cache.get("team:1").await, Some(3));
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn remove_by_prefix(&self, prefix: &str) -> Result<usize, Error>
    where
        K: AsRef<str>,
    {
        self.shared.tasks.check_open()?;
        self.shared.remove_where(|key| key.as_ref().starts_with(prefix)).await
    }
}
