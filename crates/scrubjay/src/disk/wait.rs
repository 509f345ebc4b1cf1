//! Waiting for the device without keeping a thread of a runtime: on its blocking threads, so many at a time, for so long.

use super::Durability;
use super::counters::Count;
use super::tier::DiskTier;
use crate::error::{Error, ErrorKind};
use scrubjay_disk::Value;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{Mutex, Semaphore};

/// How much longer than for a read one waits for removals to be written.
const SETTLE_FACTOR: u32 = 4;

/// Who waits, and for what.
#[derive(Debug)]
pub(super) struct Waiting {
    /// One for each read that may wait at once.
    reads: Arc<Semaphore>,
    flushes: Arc<Flushes>,
}

/// Flushes that many wait for: one runs at a time, and serves all who came before it began.
#[derive(Debug, Default)]
struct Flushes {
    gate: Arc<Mutex<()>>,
    begun: AtomicU64,
    /// Whether the last one failed.
    is_failing: AtomicBool,
}

impl Waiting {
    pub(super) fn new(reads_max: usize) -> Waiting {
        let reads = Arc::new(Semaphore::new(reads_max.min(Semaphore::MAX_PERMITS)));
        Waiting { reads, flushes: Arc::default() }
    }
}

impl DiskTier {
    /// What the key's entry is, having waited for the device. Nothing if that takes too long, fails, or is not tried since it has
    /// failed lately, which is counted. Not a touch if `is_touched` does not say so.
    pub(crate) async fn fetch(&self, key: Vec<u8>, is_touched: bool) -> Option<Value> {
        let Some(attached) = self.attached() else {
            self.count(Count::Skipped);
            return None;
        };
        if !self.breaker.allows(self.clock.now_ms()) {
            self.count(Count::Skipped);
            return None;
        }
        let (reads, runtime) = (Arc::clone(&self.waiting.reads), self.runtime.clone());
        let read = async move {
            let permit = reads.acquire_owned().await.ok()?;
            let task = runtime.spawn_blocking(move || {
                // Held for as long as the thread is, however long its caller waits.
                let _permit = permit;
                let entries = &attached.entries;
                let found = if is_touched { entries.get(&key) } else { entries.peek(&key) };
                // The engine keeps what it could not read.
                let is_failed = matches!(&found, Ok(None)) && entries.contains(&key);
                (found.ok().flatten(), is_failed)
            });
            task.await.ok()
        };
        match self.timers.limit(self.disk.read_timeout, read).await {
            Some(Some((found, is_failed))) => {
                self.breaker.succeeded();
                if is_failed || found.is_some() {
                    self.read_went(!is_failed);
                }
                found
            }
            // The runtime is going away.
            Some(None) => {
                self.count(Count::Skipped);
                None
            }
            None => {
                self.count(Count::TimedOut);
                self.breaker.failed(self.clock.now_ms());
                None
            }
        }
    }

    /// The same for many keys, in their order, in one go and in the order in which they lie on the device.
    pub(crate) async fn fetch_many(&self, keys: Vec<Vec<u8>>) -> Vec<Option<Value>> {
        let count = keys.len();
        let attached = self.attached().filter(|_| self.breaker.allows(self.clock.now_ms()));
        let Some(attached) = attached else {
            keys.iter().for_each(|_| self.count(Count::Skipped));
            return vec![None; count];
        };
        let (reads, runtime) = (Arc::clone(&self.waiting.reads), self.runtime.clone());
        let read = async move {
            let permit = reads.acquire_owned().await.ok()?;
            let task = runtime.spawn_blocking(move || {
                let _permit = permit;
                let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                attached.entries.get_many(&keys).ok()
            });
            task.await.ok().flatten()
        };
        match self.timers.limit(self.disk.read_timeout, read).await {
            Some(Some(values)) => {
                self.breaker.succeeded();
                values
            }
            Some(None) => vec![None; count],
            None => {
                (0..count).for_each(|_| self.count(Count::TimedOut));
                self.breaker.failed(self.clock.now_ms());
                vec![None; count]
            }
        }
    }

    /// Gives up all that is on disk.
    pub(crate) async fn forget(self: &Arc<Self>) {
        self.count(Count::Forgotten);
        let tier = Arc::clone(self);
        self.apart(move || tier.clear()).await;
    }

    /// Returns when what was removed so far has survived what it is to survive, or when the device fails or takes too long, which
    /// is counted.
    ///
    /// # Errors
    /// `Unavailable`: the same, where removals are to survive a power failure.
    pub(crate) async fn settle(self: &Arc<Self>) -> Result<(), Error> {
        let Some(is_synced) = Option::<bool>::from(self.disk.removals) else { return Ok(()) };
        if !self.is_attached() {
            return Ok(());
        }
        let flushes = Arc::clone(&self.waiting.flushes);
        let before = flushes.begun.load(Ordering::Acquire);
        let tier = Arc::clone(self);
        let flush = async move {
            let gate = Arc::clone(&flushes.gate).lock_owned().await;
            if flushes.begun.load(Ordering::Acquire) > before {
                // It began after what this call removed, and it has ended, since the gate is ours.
                return !flushes.is_failing.load(Ordering::Acquire);
            }
            let task = tier.runtime.clone().spawn_blocking(move || {
                let _gate = gate;
                flushes.begun.fetch_add(1, Ordering::AcqRel);
                let is_done = tier.flush(is_synced).is_ok();
                flushes.is_failing.store(!is_done, Ordering::Release);
                is_done
            });
            task.await.unwrap_or(false)
        };
        if self.in_time(flush).await.unwrap_or(false) {
            return Ok(());
        }
        self.count(Count::Unsettled);
        if self.disk.removals != Durability::Synced {
            return Ok(());
        }
        let text =
            "disk: the device did not confirm the removal: what was there is gone here, and may be back after a crash";
        Err(Error::new(ErrorKind::Unavailable, text))
    }

    async fn in_time<R>(&self, work: impl Future<Output = R>) -> Option<R> {
        self.timers.limit(self.disk.read_timeout * SETTLE_FACTOR, work).await
    }

    /// Does what blocks where it may, and to its end, whoever waits. `None` if the runtime is going away.
    pub(crate) async fn apart<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> Option<R> {
        self.runtime.spawn_blocking(work).await.ok()
    }
}
