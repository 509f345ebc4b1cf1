//! The cache's way to the disk tier: at once where no device must be waited for, else on the runtime's blocking threads.

use super::beneath::{Descent, Raised};
use super::{Found, OnDisk, Shared, Start};
use crate::disk::{Looked, is_damage};
use crate::kept::Kept;
use crate::key::Key;
use crate::stats::{Came, Place};
use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::Arc;

/// Keys that are read from the device at a time.
const BATCH: usize = 1024;

/// What a look that waits for nothing came to.
pub(super) enum Glimpse<K, V> {
    Settled(Found<V>),
    /// The device has it: to be asked with [`Shared::wait_for_disk`].
    Waits(Descent<K>),
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Looks on disk, and counts what that came to for the caller.
    pub(super) fn look_on_disk<Q>(&self, disk: &OnDisk<V>, hash: u64, key: &Q, start: Start) -> Glimpse<K, V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let descent = self.descend(hash, key);
        match disk.tier.look(&descent.key_bytes) {
            Looked::Waits => Glimpse::Waits(descent),
            Looked::Hit(bytes) => Glimpse::Settled(self.found_on_disk(disk, hash, descent, Some(&bytes), start)),
            Looked::Miss => Glimpse::Settled(self.found_on_disk(disk, hash, descent, None, start)),
        }
    }

    /// The same, having waited.
    pub(super) async fn wait_for_disk(
        &self,
        disk: &OnDisk<V>,
        hash: u64,
        descent: Descent<K>,
        start: Start,
    ) -> Found<V> {
        let bytes = disk.tier.fetch(descent.key_bytes.clone(), true).await;
        self.found_on_disk(disk, hash, descent, bytes.as_deref(), start)
    }

    /// What was found is worth to the caller; what is fresh goes up, and stays below too.
    pub(super) fn found_on_disk(
        &self,
        disk: &OnDisk<V>,
        hash: u64,
        descent: Descent<K>,
        bytes: Option<&[u8]>,
        start: Start,
    ) -> Found<V> {
        let read = |bytes| {
            let decode = |kept: &Kept<'_>, payload: Option<&[u8]>| self.decode(&*disk.codec, kept, payload);
            disk.tier.read(&descent.key_bytes, bytes, |kept| self.is_valid_below(kept), decode)
        };
        let Some(raised) = bytes.and_then(read) else {
            self.counters.lookup(Place::Disk, Came::Miss);
            return Found::Miss;
        };
        let (found, is_fresh) = self.worth(Place::Disk, &raised, start);
        if is_fresh {
            self.promote(None, hash, descent, raised);
        }
        found
    }

    /// The entry that was read, decoded, if it still counts.
    pub(super) fn raise(&self, disk: &OnDisk<V>, key_bytes: &[u8], bytes: &[u8]) -> Option<Raised<V>> {
        let is_valid = |kept: &Kept<'_>| self.stamps.is_valid_named(kept.born, kept.tags);
        disk.tier.read(key_bytes, bytes, is_valid, |kept, payload| self.decode(&*disk.codec, kept, payload))
    }

    /// The entry of the key. A touch, and not counted.
    pub(super) async fn read_on_disk(&self, disk: &OnDisk<V>, key_bytes: Vec<u8>) -> Option<Raised<V>> {
        let bytes = match disk.tier.look(&key_bytes) {
            Looked::Hit(bytes) => bytes,
            Looked::Miss => return None,
            Looked::Waits => disk.tier.fetch(key_bytes.clone(), true).await?,
        };
        self.raise(disk, &key_bytes, &bytes)
    }

    /// The same without a touch.
    pub(super) async fn peek_on_disk(&self, disk: &OnDisk<V>, key_bytes: Vec<u8>) -> Option<Raised<V>> {
        let bytes = disk.tier.fetch(key_bytes.clone(), false).await?;
        self.raise(disk, &key_bytes, &bytes)
    }

    /// Whether the key has a fresh value on disk. Where memory or the compressed tier has the key, they know better.
    pub(super) async fn is_fresh_on_disk(&self, disk: &OnDisk<V>, key_bytes: &[u8]) -> bool {
        if !disk.tier.holds(key_bytes) {
            return false;
        }
        let bytes = match disk.tier.look(key_bytes) {
            Looked::Hit(bytes) => Some(bytes),
            Looked::Miss => None,
            Looked::Waits => Box::pin(disk.tier.fetch(key_bytes.to_vec(), true)).await,
        };
        bytes.is_some_and(|bytes| self.is_fresh(disk, key_bytes, &bytes))
    }

    fn is_fresh(&self, disk: &OnDisk<V>, key_bytes: &[u8], bytes: &[u8]) -> bool {
        let is_valid = |kept: &Kept<'_>| self.stamps.is_valid_named(kept.born, kept.tags);
        let is_fresh =
            |kept: &Kept<'_>, _: Option<&[u8]>| Ok(!kept.is_absent && !self.clock.is_past(kept.times.fresh_until_ms));
        disk.tier.read(key_bytes, bytes, is_valid, is_fresh).unwrap_or(false)
    }

    /// What memory has had no hit for, and what the device has of it: read in one go, so that the lookups that follow find it in
    /// the system's cache.
    pub(super) async fn read_ahead(&self, disk: &OnDisk<V>, keys: impl Iterator<Item = &K>) {
        let held: Vec<Vec<u8>> =
            keys.map(super::write::bytes_of).filter(|key_bytes| disk.tier.holds(key_bytes)).collect();
        if held.len() > 1 {
            disk.tier.fetch_many(held).await;
        }
    }

    /// The keys that are on disk, in batches that `keep` may thin out, which is called where it may block. `None` if not all could
    /// be read, or the folder is away.
    pub(super) async fn keys_on_disk(
        self: &Arc<Self>,
        disk: &OnDisk<V>,
        keep: impl Fn(&Shared<K, V>, &OnDisk<V>, &[u8]) -> bool + Copy + Send + 'static,
        mut take: impl FnMut(Vec<K>),
    ) -> Option<()> {
        let attached = disk.tier.attached()?;
        let entries = attached.entries.clone();
        let mut walk = disk.tier.apart(move || entries.keys()).await?;
        loop {
            let shared = Arc::clone(self);
            let (rest, batch) = disk
                .tier
                .apart(move || {
                    // What is damaged is taken out as it is met, so it is nobody's key any more.
                    let legible = walk.by_ref().filter(|key| !matches!(key, Err(error) if is_damage(error)));
                    let batch: Result<Vec<Vec<u8>>, _> = legible.take(BATCH).collect();
                    let keys = batch.map(|batch| {
                        let count = batch.len();
                        let disk = shared.disk.as_ref();
                        let kept = batch.into_iter().filter(|key| disk.is_some_and(|disk| keep(&shared, disk, key)));
                        (count, kept.filter_map(|key| K::decode(&key)).collect::<Vec<K>>())
                    });
                    (walk, keys.ok())
                })
                .await?;
            walk = rest;
            let (count, keys) = batch?;
            if count == 0 {
                return Some(());
            }
            take(keys);
        }
    }

    /// Whether an entry on disk is fresh, for who may block.
    pub(super) fn is_fresh_blocking(&self, disk: &OnDisk<V>, key_bytes: &[u8]) -> bool {
        let bytes = disk.tier.attached().and_then(|attached| attached.entries.peek(key_bytes).ok().flatten());
        bytes.is_some_and(|bytes| self.is_fresh(disk, key_bytes, &bytes))
    }
}
