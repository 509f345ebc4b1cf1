//! What happens with nobody calling, and the end: expiry behind, changing budgets, `clear`, `close`, and what can be seen.

use super::{Cache, OnRemote, Shared};
use crate::disk::Durability;
use crate::error::{Error, ErrorKind};
use crate::health::{Health, TierState};
use crate::key::Key;
use crate::limits::check_capacity;
use crate::memory::Reason;
use crate::stats::{Level, Lower, Stats, TierStats, Unit};
use crate::tags::{Mark, place};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often what has expired is taken out that nobody came across.
const INTERVAL: Duration = Duration::from_millis(250);

/// Entries of a shard that one step takes out, and steps of one round.
const STEP_ENTRIES: usize = 1024;
const STEPS_MAX: usize = 64;

/// Starts the maintenance of a cache. It ends with the last handle, or when the cache is closed.
///
/// # Errors
/// `Closed`.
pub(super) fn start<K: Key, V: Clone + Send + Sync + 'static>(shared: &Arc<Shared<K, V>>) -> Result<(), Error> {
    let upkeep = Upkeep { cache: Arc::downgrade(shared) };
    shared.tasks.spawn(maintain(upkeep))
}

/// Says in the cache's health that nothing is done behind any more, if that ends before the cache does.
struct Upkeep<K: Key, V: Clone + Send + Sync + 'static> {
    cache: Weak<Shared<K, V>>,
}

impl<K: Key, V: Clone + Send + Sync + 'static> Drop for Upkeep<K, V> {
    fn drop(&mut self) {
        let Some(shared) = self.cache.upgrade() else { return };
        if shared.tasks.check_open().is_ok() {
            let why = "the cache's runtime has shut down, or its upkeep panicked: loads may fail, what expires is kept longer";
            shared.health.report("memory", TierState::Degraded, Some(why.to_owned()));
        }
    }
}

async fn maintain<K: Key, V: Clone + Send + Sync + 'static>(upkeep: Upkeep<K, V>) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        for _ in 0..STEPS_MAX {
            // Never held across a wait, or the cache would live as long as this.
            let Some(shared) = upkeep.cache.upgrade() else { return };
            if !shared.expire() {
                break;
            }
            drop(shared);
            tokio::task::yield_now().await;
        }
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Takes out some of what has expired. Whether there may be more.
    pub(super) fn expire(&self) -> bool {
        if let Some(compressed) = &self.compressed {
            self.lower(&compressed.tier.expire(STEP_ENTRIES));
        }
        let count = || self.memory.departed_count(Reason::Expired);
        let before = count();
        self.let_go(self.memory.expire(STEP_ENTRIES).into());
        count() != before
    }

    /// Empties every tier, and wins against every load and insert that began before.
    async fn clear(self: &Arc<Self>) -> Result<(), Error> {
        self.stamps.clear();
        self.empty();
        let far = match self.has_far() {
            true => Box::pin(self.raise_far(Mark::Cleared)).await,
            false => Ok(()),
        };
        if let Some(disk) = &self.disk {
            let tier = Arc::clone(&disk.tier);
            // The stamp says it already; this gives the room back.
            disk.tier.apart(move || tier.clear()).await;
        }
        self.settle_on_disk(true).await.and(far)
    }

    /// Gives back the room of what a foreign `clear` has ended. Whoever stores meanwhile may lose its entry to it: a miss more.
    /// Blocks.
    pub(super) fn give_room_back(&self) {
        let departed = self.memory.clear();
        if let Some(compressed) = &self.compressed {
            drop(compressed.tier.clear());
        }
        self.let_go(departed.into());
        if let Some(disk) = &self.disk {
            disk.tier.clear();
        }
    }

    /// Writes the state of the tiers into the book that may fail.
    fn report_tiers(&self) {
        if let Some(disk) = &self.disk {
            let (state, message) = disk.tier.state();
            self.health.report("disk", state, message);
        }
        if let Some(remote) = &self.remote {
            let (state, message) = remote.tier.health();
            self.health.report("remote", state, message);
        }
        if let Some(object) = &self.object {
            let (state, message) = object.tier.health();
            self.health.report("object", state, message);
        }
    }

    /// The tiers in memory, after a stamp.
    fn empty(&self) {
        self.leases.revoke_where(|_| true);
        let departed = self.memory.clear();
        if let Some(compressed) = &self.compressed {
            drop(compressed.tier.clear());
        }
        self.let_go(departed.into());
        self.memory.settle();
    }
}

/// # The whole cache
impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Takes out everything. Wins against every load that began before, in O(1); then the memory is given back, entry by
    /// entry.
    ///
    /// # Errors
    /// [`Closed`](crate::ErrorKind::Closed), [`Unavailable`](crate::ErrorKind::Unavailable) as [`remove`](Cache::remove).
    ///
    /// ```
    /// # use scrubjay::{Cache, Memory};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let cache: Cache<u64, u64> = Cache::builder("clear").memory(Memory::bytes(1 << 20)).build().await?;
    /// cache.insert(1, 10).await?;
    /// cache.clear().await?;
    /// assert_eq!(cache.get(&1).await, None);
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn clear(&self) -> Result<(), Error> {
        self.shared.tasks.check_open()?;
        self.shared.check_stampable("clear")?;
        Box::pin(self.shared.clear()).await
    }

    /// Takes out everything that has the tag, in O(1), and wins against every load that began before. The entries' memory is
    /// given back when somebody comes across them, or when they are evicted.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for an empty tag or one of more than 256 bytes, [`Closed`](crate::ErrorKind::Closed),
    /// [`Unavailable`](crate::ErrorKind::Unavailable) as [`remove`](Cache::remove).
    ///
    /// ```
    /// # use scrubjay::{Cache, EntryOptions, Memory};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let cache: Cache<u64, u64> = Cache::builder("tags").memory(Memory::bytes(1 << 20)).build().await?;
    /// cache.insert_with(1, 10, EntryOptions::new().tag("even")).await?;
    /// cache.remove_by_tag("even").await?;
    /// assert_eq!(cache.get(&1).await, None);
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn remove_by_tag(&self, tag: &str) -> Result<(), Error> {
        self.shared.tasks.check_open()?;
        let shared = &self.shared;
        shared.check_stampable("remove_by_tag")?;
        shared.stamps.invalidate(tag)?;
        let mut far = Ok(());
        if shared.has_far() {
            far = Box::pin(shared.raise_far(Mark::Floor(place(tag)))).await;
        }
        shared.settle_on_disk(true).await.and(far)
    }

    /// Changes the memory tier's budget, in its units, and evicts down to it. Quotas of partitions stay.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if it is too small, [`Closed`](crate::ErrorKind::Closed).
    pub async fn resize(&self, capacity: u64) -> Result<(), Error> {
        self.shared.tasks.check_open()?;
        check_capacity("capacity", capacity, self.shared.capacity_min)?;
        self.shared.let_go(self.shared.memory.resize(capacity).into());
        self.shared.memory.settle();
        Ok(())
    }

    /// Hands what was given to the disk tier so far to the operating system, or makes it durable if
    /// [`Disk::removals`](crate::Disk::removals) is `Durability::Synced`: it survives this process then, however it ends. What
    /// only memory has is not written; [`close`](Cache::close) does that. What waits to be written to the object tier is
    /// written there first.
    ///
    /// # Errors
    /// [`Unavailable`](crate::ErrorKind::Unavailable) if the device or the object store fails or does not answer, [`Closed`](crate::ErrorKind::Closed).
    ///
    /// ```
    /// # use scrubjay::{Cache, Disk, Memory};
    /// # let folder = tempfile::tempdir()?;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let builder = Cache::<u64, u64>::builder("flush").memory(Memory::bytes(1 << 20));
    /// let cache = builder.disk(Disk::at(folder.path()).bytes(1 << 20).write_through(true)).build().await?;
    /// cache.insert(1, 10).await?;
    /// cache.flush().await?;
    /// # cache.close().await;
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn flush(&self) -> Result<(), Error> {
        self.shared.tasks.check_open()?;
        if let Some(object) = &self.shared.object {
            Box::pin(object.tier.flush()).await?;
        }
        let Some(disk) = &self.shared.disk else { return Ok(()) };
        let tier = Arc::clone(&disk.tier);
        let is_synced = tier.config().removals == Durability::Synced;
        let gone = || Error::new(ErrorKind::Unavailable, "the runtime of the cache has shut down");
        disk.tier.apart(move || tier.flush(is_synced)).await.unwrap_or_else(|| Err(gone()))
    }

    /// What has happened so far, and what the tiers hold. Reads counters; costs nothing to anybody else.
    pub fn stats(&self) -> Stats {
        let shared = &*self.shared;
        let unit = if shared.counts_bytes { Unit::Bytes } else { Unit::Entries };
        let memory = Level::of(&shared.memory, unit);
        let compressed = shared.compressed.as_ref().map(|compressed| TierStats::from(&compressed.tier));
        let disk = shared.disk.as_ref().map(|disk| disk.tier.stats());
        let mut remote = shared.remote.as_ref().map(OnRemote::stats);
        if let Some((_, remote)) = &mut remote {
            shared.avoided.add_to(remote);
        }
        let object = shared.object.as_ref().map(|object| object.tier.stats());
        shared.counters.read(memory, Lower { compressed, disk, remote, object })
    }

    /// How each tier is doing.
    pub fn health(&self) -> Health {
        self.shared.report_tiers();
        self.shared.health.read()
    }

    /// Ends the cache: loads are given up and those who wait for one get an error of kind
    /// [`Closed`](crate::ErrorKind::Closed), tasks end, the tiers in memory are emptied. What only they had goes
    /// to disk before, if there is such a tier and it was not told otherwise ([`Disk::write_on_close`](crate::Disk::write_on_close)), and the folder is
    /// let go. Returns when all that has happened. From then on every lookup
    /// is a miss, and every other call fails with `Closed`. Closing twice is harmless.
    ///
    /// Changes that the remote tier's server has not had yet are tried once more if it is there, for five seconds and the time of
    /// a command at most; those that are left then are lost, and the log says how many.
    ///
    /// ```
    /// # use scrubjay::{Cache, ErrorKind, Memory};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let cache: Cache<u64, u64> = Cache::builder("close").memory(Memory::bytes(1 << 20)).build().await?;
    /// cache.close().await;
    /// assert_eq!(cache.get(&1).await, None);
    /// assert_eq!(cache.insert(1, 10).await.unwrap_err().kind(), ErrorKind::Closed);
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn close(&self) {
        let shared = &self.shared;
        shared.tasks.close().await;
        if let Some(disk) = &shared.disk {
            let closing = Arc::clone(shared);
            // To its end, whoever waits.
            disk.tier.apart(move || closing.close_disk()).await;
        }
        if let Some(object) = &shared.object {
            object.tier.close().await;
        }
        if let Some(remote) = &shared.remote {
            remote.tier.close().await;
        }
        shared.stamps.close();
        shared.empty();
        shared.health.close();
    }
}
