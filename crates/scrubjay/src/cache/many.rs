//! Several keys in one call.

use super::on_disk::Glimpse;
use super::{Cache, Found, OnDisk, Shared, Start};
use crate::error::Error;
use crate::key::Key;
use crate::options::EntryOptions;
use crate::stats::Frequent;
use smallvec::SmallVec;

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// As so many lookups would end that begin at the top; but memory is asked for all of the keys at once, and so is the disk.
    async fn find_many(&self, keys: &[K]) -> Vec<Option<V>> {
        let mut values: Vec<Option<V>> = vec![None; keys.len()];
        let mut is_found: SmallVec<[bool; 32]> = SmallVec::from_elem(false, keys.len());
        let (mut negative, mut outdated) = (0, SmallVec::<[usize; 8]>::new());
        self.memory.get_many(keys, |index, _, stored| match self.judge(stored) {
            Some(Found::Fresh(value) | Found::RefreshDue(value)) => {
                negative += u64::from(value.is_none());
                is_found[index] = true;
                values[index] = value;
            }
            Some(Found::Stale(_) | Found::Miss) => {}
            None => outdated.push(index),
        });
        self.bury_each(keys, &outdated);
        let hits = is_found.iter().filter(|is_found| **is_found).count();
        let count = |event, n: usize| self.counters.add(event, u64::try_from(n).unwrap_or(0));
        count(Frequent::MemoryHit, hits);
        if negative > 0 {
            self.counters.add(Frequent::NegativeHit, negative);
        }
        if hits == keys.len() {
            return values;
        }
        count(Frequent::MemoryMiss, keys.len() - hits);
        if let Some(compressed) = &self.compressed {
            for (index, key) in keys.iter().enumerate() {
                if is_found[index] {
                    continue;
                }
                let found = self.find_in_compressed(compressed, self.memory.hash(key), key, Start::Memory);
                // What is past its time here is no fresher on disk.
                if !matches!(found, Found::Miss) {
                    is_found[index] = true;
                    take(&mut values[index], found);
                }
            }
        }
        if let Some(disk) = &self.disk {
            let missed = (0..keys.len()).filter(|index| !is_found[*index]).collect();
            Box::pin(self.find_many_on_disk(disk, keys, missed, (&mut values, &mut is_found))).await;
        }
        if self.has_far() && is_found.contains(&false) {
            let missed = (0..keys.len()).filter(|index| !is_found[*index]).collect();
            Box::pin(self.find_many_far(keys, missed, &mut values)).await;
        }
        values
    }

    /// One request for all of them.
    async fn find_many_far(&self, keys: &[K], missed: Vec<usize>, values: &mut [Option<V>]) {
        let hashes: Vec<u64> = missed.iter().map(|index| self.memory.hash(&keys[*index])).collect();
        let descents = missed.iter().zip(&hashes).map(|(index, hash)| self.descend(*hash, &keys[*index]));
        let asked: Vec<_> = hashes.iter().copied().zip(descents).collect();
        for (index, found) in missed.into_iter().zip(self.find_each_far(asked, Start::Memory).await) {
            take(&mut values[index], found.found);
        }
    }

    async fn find_many_on_disk(
        &self,
        disk: &OnDisk<V>,
        keys: &[K],
        missed: SmallVec<[usize; 32]>,
        (values, is_found): (&mut [Option<V>], &mut [bool]),
    ) {
        let (mut waiting, mut key_bytes) = (Vec::new(), Vec::new());
        for index in missed {
            let hash = self.memory.hash(&keys[index]);
            match self.look_on_disk(disk, hash, &keys[index], Start::Memory) {
                Glimpse::Settled(found) => {
                    is_found[index] = !matches!(found, Found::Miss);
                    take(&mut values[index], found);
                }
                Glimpse::Waits(descent) => {
                    key_bytes.push(descent.key_bytes.clone());
                    waiting.push((index, hash, descent));
                }
            }
        }
        if waiting.is_empty() {
            return;
        }
        let found = disk.tier.fetch_many(key_bytes).await;
        for ((index, hash, descent), bytes) in waiting.into_iter().zip(found) {
            let found = self.found_on_disk(disk, hash, descent, bytes.as_deref(), Start::Memory);
            is_found[index] = !matches!(found, Found::Miss);
            take(&mut values[index], found);
        }
    }
}

fn take<V>(value: &mut Option<V>, found: Found<V>) {
    if let Found::Fresh(found) | Found::RefreshDue(found) = found {
        *value = found;
    }
}

/// # Many keys at once
///
/// ```
/// # use scrubjay::{Cache, Memory};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let cache: Cache<u64, u64> = Cache::builder("many").memory(Memory::bytes(1 << 20)).build().await?;
/// cache.insert_many((1..=3).map(|n| (n, n * n))).await?;
/// assert_eq!(cache.get_many(&[2, 3, 4]).await, [Some(4), Some(9), None]);
/// assert_eq!(cache.remove_many(&[3, 4]).await?, 1);
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// The values of many keys, in their order. Memory overlaps the lookups: about twice as fast as one after another.
    pub async fn get_many(&self, keys: &[K]) -> Vec<Option<V>> {
        self.shared.find_many(keys).await
    }

    /// Stores many values. Others may see some of them before the call returns.
    ///
    /// # Errors
    /// As [`insert`](Cache::insert). One entry that is `Invalid` stops them all: none is stored.
    pub async fn insert_many(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result<(), Error> {
        let shared = &*self.shared;
        shared.tasks.check_open()?;
        let (born, options) = (shared.born(), EntryOptions::default());
        let prepared: Result<Vec<_>, _> =
            entries.into_iter().map(|(key, value)| shared.prepare(key, Some(value), &options, born, None)).collect();
        let prepared = prepared.map_err(|refused| refused.error)?;
        let mut is_owed = false;
        if shared.has_far() {
            is_owed = Box::pin(self.shared.insert_far(prepared)).await;
        } else {
            prepared.into_iter().for_each(|entering| is_owed |= shared.enter(entering));
        }
        shared.settle_on_disk(is_owed).await
    }

    /// Takes many keys out of every tier, and says how many had a fresh value.
    ///
    /// # Errors
    /// As [`remove`](Cache::remove).
    pub async fn remove_many(&self, keys: &[K]) -> Result<usize, Error> {
        let shared = &self.shared;
        shared.tasks.check_open()?;
        let (mut were_here, mut is_owed) = (Vec::with_capacity(keys.len()), false);
        let mut changes = Vec::new();
        for key in keys {
            let (removed, registered) = shared.remove_registered(key).await;
            were_here.push(removed.was_there);
            is_owed |= removed.was_on_disk;
            changes.extend(registered);
        }
        let mut count = were_here.iter().filter(|was_here| **was_here).count();
        let mut far = Ok(());
        if !changes.is_empty() {
            let removed = Box::pin(shared.remove_far(changes)).await;
            count += removed.more_than(&were_here);
            far = shared.answer_of(removed.deferred);
        }
        shared.settle_on_disk(is_owed).await?;
        far.map(|()| count)
    }
}
