//! What looks through whole tiers: the keys, and removal by prefix.
//!
//! While a removal looks through them, no entry may slip past it from one tier into another. So it holds the moves:
//! promotions and demotions ask, under the stripe's lock, and give up. Whoever asked before has moved its entry before
//! the stripes were passed through, and that is before the tiers are. What leaves memory while the moves are held carries
//! an epoch that is raised at the end, and is not demoted later either.
//!
//! A folder takes longer, so it comes after, and only what goes up from there is held: what goes up stays below as well, but may
//! be reclaimed there. What comes down meanwhile was stored after the call began, or was looked at in memory.
//!
//! The tiers that others share come last, and for as long as that takes nothing goes up from there either. In the end the stripes are
//! passed through once more: what a lookup or a load has read there before a key was taken out goes nowhere. What is not promised: that a
//! load of another process which has begun before, of a key of which there was no entry, does not store.

use super::on_remote::Given;
use super::write_far::Deferred;
use super::{Cache, Shared};
use crate::error::Error;
use crate::key::Key;
use crate::remote::Confirmed;
use crate::tags::Mark;
use bytes::Bytes;
use std::any::TypeId;
use std::collections::HashSet;
use std::iter::FusedIterator;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Keys that the remote tier is asked about at a time.
const BATCH: usize = 1024;

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

impl<K> Keys<K> {
    pub(crate) fn none() -> Keys<K> {
        Keys { keys: Vec::new().into_iter() }
    }
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

    async fn remove_where(
        self: &Arc<Self>,
        prefix: &str,
        is_wanted: impl Fn(&K) -> bool + Send,
    ) -> Result<usize, Error> {
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
        let mut deferred = Deferred::default();
        if self.has_far() {
            let far = Box::pin(self.remove_far_where(prefix, &is_wanted)).await;
            count = count.max(far.0);
            deferred = far.1;
            self.leases.revoke_where(&is_wanted);
        }
        drop(hold_rises);
        self.settle_on_disk(is_owed).await?;
        self.answer_of(deferred).map(|()| count)
    }

    /// Takes the keys out of the tiers that others share. How many there were, and who has not confirmed it.
    async fn remove_far_where(&self, prefix: &str, is_wanted: &(impl Fn(&K) -> bool + Send)) -> (usize, Deferred) {
        let (mut count, mut deferred) = (0, Deferred::default());
        let is_wanted_bytes = |bytes: &[u8]| K::decode(bytes).as_ref().is_some_and(is_wanted);
        if let Some(object) = &self.object {
            let mut keys = Vec::new();
            let take = |batch: Vec<Vec<u8>>| keys.extend(batch.into_iter().filter(|bytes| is_wanted_bytes(bytes)));
            if !object.tier.keys(take).await {
                // Nobody knows whether what could not be read was one of these.
                object.tier.raise(Mark::Cleared);
            }
            count += keys.iter().filter(|key| object.tier.remove(key)).count();
            deferred.is_object = !self.settle_objects().await;
        }
        let Some(remote) = &self.remote else { return (count, deferred) };
        // The bytes of a text are what it begins with; of other keys all are looked at.
        let begins_with = if is_text::<K>() { prefix.as_bytes() } else { b"" };
        let swept = remote.tier.remove_where(begins_with, |bytes| is_text::<K>() || is_wanted_bytes(bytes)).await;
        deferred.is_remote = swept.confirmed == Confirmed::Deferred;
        (count.max(usize::try_from(swept.removed).unwrap_or(usize::MAX)), deferred)
    }

    /// The keys of which the shared tiers have a fresh value.
    async fn keys_far(&self) -> HashSet<K, ahash::RandomState> {
        let mut keys: HashSet<K, ahash::RandomState> = HashSet::default();
        if let Some(remote) = &self.remote {
            let mut listed: Vec<Vec<u8>> = Vec::new();
            let take = |batch: Vec<Vec<u8>>| {
                listed.extend(batch);
                true
            };
            // What cannot be listed now is left out.
            let _ = remote.tier.keys(take).await;
            for batch in listed.chunks(BATCH) {
                let found = remote.tier.get_many(batch).await;
                let is_fresh = |(key, bytes): &(&Vec<u8>, Option<Bytes>)| {
                    let given = Given { key_bytes: key, born: 0 };
                    let raised = bytes.as_ref().and_then(|bytes| self.raise_remote(remote, given, bytes));
                    raised.and_then(|raised| raised.value_if_fresh(&self.clock)).is_some()
                };
                keys.extend(batch.iter().zip(found).filter(is_fresh).filter_map(|(key, _)| K::decode(key)));
            }
        }
        if let Some(object) = &self.object {
            object.tier.keys(|batch| keys.extend(batch.iter().filter_map(|key| K::decode(key)))).await;
        }
        keys
    }
}

/// Whether the bytes of such a key are its text.
fn is_text<K: Key>() -> bool {
    [TypeId::of::<String>(), TypeId::of::<Box<str>>(), TypeId::of::<Arc<str>>()].contains(&TypeId::of::<K>())
}

/// # Keys
impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// The keys that have a fresh value. O(entries), in time and memory; a disk tier is read from end to end, and of a remote tier
    /// everything that all processes have put there is fetched. Of an object tier the keys are listed whatever their values are worth.
    /// Writers go on meanwhile: what comes, goes or moves between tiers during the call may be in it, or not, or twice.
    pub async fn keys(&self) -> Keys<K> {
        let mut keys = self.shared.keys();
        if let Some(disk) = &self.shared.disk {
            let above: HashSet<K, ahash::RandomState> = keys.iter().cloned().collect();
            let take = |batch: Vec<K>| keys.extend(batch.into_iter().filter(|key| !above.contains(key)));
            // What cannot be read now is left out.
            let _ = self.shared.keys_on_disk(disk, Shared::is_fresh_blocking, take).await;
        }
        if self.shared.has_far() {
            let mut far = Box::pin(self.shared.keys_far()).await;
            for key in &keys {
                far.remove(key);
            }
            keys.extend(far);
        }
        Keys { keys: keys.into_iter() }
    }

    /// Takes out every key that begins with `prefix`, and wins against every load of such a key that began before. Says how
    /// many had a fresh value. O(entries): a [tag](Cache::remove_by_tag) is the way for what happens often.
    /// Of a disk tier every key is read. What cannot be read may be one of them, so all that is on disk is given up then.
    /// A remote tier looks through all keys of its server, which others may have as well; with one, the count is what was there, or here
    /// if that was more.
    ///
    /// Of other processes it reaches what lies on the server, what they have of that in memory, and each load that holds a lease there,
    /// whether its key has an entry or not. It does not reach what no trace of is on the server: a load without a lease (the server was
    /// away when it began, or it had waited for [`lease_wait`](crate::Remote::lease_wait)), what only their memory has, and an insert that
    /// waits until they reach the server. A [tag](Cache::remove_by_tag) and [`clear`](Cache::clear) reach these, too.
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
        self.shared.check_stampable("remove_by_prefix")?;
        Box::pin(self.shared.remove_where(prefix, |key| key.as_ref().starts_with(prefix))).await
    }
}
