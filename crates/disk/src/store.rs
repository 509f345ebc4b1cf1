//! The front door: a store, and a namespace of it.
//!
//! `store/write.rs` is the way of a put and a removal, `store/read.rs` the way of a get, `store/list.rs` what walks through
//! the index. What they share is [`Core`]; the threads behind (the log's writer, reclaim) hold it as well, so a [`Store`] is a
//! handle whose last clone ends them.
//!
//! **Invariants**
//! - The index is the truth about what is there: whatever it names may be served, whatever it does not name is absent, and
//!   stays so after a restart, since what was taken out of it on a caller's word left a tombstone in the log.
//! - Lock order: a shard of the index, then the head of the log. Nobody waits for the device with either.

mod behind;
mod list;
mod read;
mod write;

pub use list::{Hot, Hottest, Keys};
pub use read::Lookup;
pub use write::{Put, PutOptions, Why};

use crate::admission::Admitter;
use crate::device::Device;
use crate::device::file::FileDevice;
use crate::error::{Error, ErrorKind};
use crate::heat;
use crate::index::Index;
use crate::log::{Log, NotDone};
use crate::namespace::{NamespaceState, Namespaces};
use crate::open;
use crate::options::{Options, Sync, check_capacity};
use crate::reclaim::Reclaim;
use crate::state::State;
use crate::stats::{OpenCounts, Stats, WriterCounts};
use behind::Threads;
use parking_lot::Mutex;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes by namespace and key, in a folder.
///
/// A clone is another handle; the last one closes the store.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

struct Handle {
    core: Arc<Core>,
    threads: Mutex<Option<Threads>>,
}

/// What handles and threads share.
pub(crate) struct Core {
    pub(crate) options: Options,
    pub(crate) device: Arc<dyn Device>,
    pub(crate) index: Index,
    pub(crate) log: Arc<Log>,
    pub(crate) namespaces: Namespaces,
    pub(crate) admitter: Admitter,
    pub(crate) reclaim: Reclaim,
    pub(crate) counts: Arc<WriterCounts>,
    pub(crate) opened: OpenCounts,
    pub(crate) store_id: u64,
    hash_seed: u64,
    /// The greatest time that was ever seen: the clock may jump back, this does not.
    latest_ms: AtomicU64,
}

/// A part of a store, with keys of its own.
#[derive(Clone)]
pub struct Namespace {
    core: Arc<Core>,
    state: Arc<NamespaceState>,
    /// Keeps the store open.
    _open: Arc<Handle>,
}

impl Store {
    /// Opens the store in the folder `path`, which is made if it is not there.
    ///
    /// Reads the footers of all segments: 1M entries take about 0.2 s. What a store that ended without being closed was
    /// writing at the time is cut off, and counted.
    ///
    /// # Errors
    /// `Invalid` for options out of their limits; `InUse`, `Newer`, `Corrupt` for what is in the folder; `Unavailable` if
    /// the folder cannot be made, read or written.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Store, Error> {
        let path = path.as_ref();
        options.validate()?;
        let device = FileDevice::open(path, options.io).map_err(|error| Error::device("the folder", error).at(path))?;
        Store::open_on(Arc::new(device), options).map_err(|error| error.at(path))
    }

    /// The same on a device of one's own: for tests, above all.
    ///
    /// # Errors
    /// As [`open`](Store::open).
    pub fn open_on(device: Arc<dyn Device>, options: Options) -> Result<Store, Error> {
        options.validate()?;
        let core = Arc::new(open::open(device, options)?);
        let threads = Threads::start(&core)?;
        Ok(Store { handle: Arc::new(Handle { core, threads: Mutex::new(Some(threads)) }) })
    }

    /// The namespace of that name, 1 to 255 bytes. Declares it if it is new, which takes a write to the manifest.
    ///
    /// # Errors
    /// `Invalid` for a name out of its limits or too many of them, `Unavailable`, `Closed`.
    pub fn namespace(&self, name: &str) -> Result<Namespace, Error> {
        let core = &self.handle.core;
        core.check_open()?;
        let (state, is_new) = core.namespaces.open(name)?;
        if is_new {
            core.set_aside();
        }
        Ok(Namespace { core: Arc::clone(core), state, _open: Arc::clone(&self.handle) })
    }

    /// All namespaces that were ever declared, in alphabetical order.
    pub fn namespaces(&self) -> Vec<String> {
        self.handle.core.namespaces.names()
    }

    /// Hands everything written before to the operating system: it survives the end of this process.
    ///
    /// # Errors
    /// `Unavailable` if the device fails or does not answer, `Closed`.
    pub fn flush(&self) -> Result<(), Error> {
        self.handle.core.flush(false)
    }

    /// Makes everything written before durable: it survives a power failure.
    ///
    /// # Errors
    /// As [`flush`](Store::flush).
    pub fn sync(&self) -> Result<(), Error> {
        self.handle.core.flush(true)
    }

    /// Changes the space bound. Smaller, the oldest entries go at once, behind.
    ///
    /// # Errors
    /// `Invalid` if that holds fewer than four segments.
    pub fn resize(&self, capacity: u64) -> Result<(), Error> {
        let core = &self.handle.core;
        core.check_open()?;
        check_capacity(capacity, core.log.settings().segment_len)?;
        core.log.space.resize(capacity);
        core.set_aside();
        Ok(())
    }

    /// Writes what is live in all segments anew, oldest first, and drops the segments: what is dead takes no space
    /// afterwards. `progress` is told segments done and segments to do. Blocks.
    ///
    /// # Errors
    /// `Unavailable` if the device fails, `Closed`.
    pub fn compact(&self, progress: impl FnMut(u64, u64)) -> Result<(), Error> {
        self.handle.core.check_open()?;
        self.handle.core.compact(progress)
    }

    /// How it is doing.
    pub fn state(&self) -> State {
        let core = &self.handle.core;
        core.log.troubles.read(core.options.stall_after)
    }

    /// What it holds and has done.
    pub fn stats(&self) -> Stats {
        self.handle.core.stats()
    }

    /// Writes everything down (durably, unless the store's `sync` is [`Sync::None`]), ends the threads, and lets the folder
    /// go. Handles that are left find the store closed. Blocks as long as the device takes; a device that fails is tried a few times.
    ///
    /// # Errors
    /// `Unavailable` if something could not be written: it is lost.
    pub fn close(&self) -> Result<(), Error> {
        self.handle.close()
    }
}

impl Handle {
    fn close(&self) -> Result<(), Error> {
        let Some(threads) = self.threads.lock().take() else { return Ok(()) };
        threads.end(&self.core)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the disk store was not closed in order");
        }
    }
}

impl Core {
    /// Puts together what opening found.
    pub(crate) fn new(parts: Parts) -> Core {
        let Parts { options, device, index, log, manifest, opened, store_id, hash_seed, latest_ms } = parts;
        let core = Core {
            namespaces: Namespaces::new(manifest),
            admitter: Admitter::new(options.admission, options.capacity),
            reclaim: Reclaim::new(options.reinsert, options.capacity),
            options,
            device,
            index,
            log: Arc::new(log),
            counts: Arc::default(),
            opened,
            store_id,
            hash_seed,
            latest_ms: AtomicU64::new(latest_ms),
        };
        core.set_aside();
        core
    }

    /// Counts the manifest, and the heat of entries, each with a successor that takes its place, as space that is taken. Walks
    /// through the namespaces: for who has added one, or changed the bound.
    fn set_aside(&self) {
        let space = &self.log.space;
        space.set_aside(aside(space.capacity(), self.namespaces.manifest_len_max()));
    }

    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.log.troubles.is_closed() { Err(Error::closed()) } else { Ok(()) }
    }

    /// Unix time, which never goes back.
    pub(crate) fn now_ms(&self) -> u64 {
        let now_ms = (self.options.clock)();
        let latest_ms = self.latest_ms.load(Ordering::Relaxed);
        if now_ms > latest_ms {
            // Two that come here at once may write the lesser one last: a millisecond.
            self.latest_ms.store(now_ms, Ordering::Relaxed);
        }
        now_ms.max(latest_ms)
    }

    /// Whether `expires_ms` is reached. 0 is never, and asks no clock.
    pub(crate) fn is_expired(&self, expires_ms: u64) -> bool {
        expires_ms != 0 && self.now_ms() >= expires_ms
    }

    /// The hash by which the index knows a key.
    pub(crate) fn hash(&self, namespace: u32, key: &[u8]) -> u64 {
        hash(self.hash_seed, namespace, key)
    }

    pub(crate) fn flush(&self, is_synced: bool) -> Result<(), Error> {
        self.check_open()?;
        self.log.saw(self.now_ms());
        if is_synced {
            self.namespaces.sync()?;
        }
        self.log.flush(is_synced, self.options.stall_after).map_err(|not_done| self.not_done(not_done))
    }

    pub(crate) fn not_done(&self, not_done: NotDone) -> Error {
        match not_done {
            NotDone::Closed => Error::closed(),
            NotDone::Failing => {
                let why = match self.log.troubles.read(self.options.stall_after) {
                    State::Failing(message) | State::Stalled(message) | State::Degraded(message) => message,
                    State::Serving | State::Closed => "the device did not answer in time".to_owned(),
                };
                Error::new(ErrorKind::Unavailable, format!("what was written is not on the device: {why}"))
            }
        }
    }

    fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = Stats {
            entries: self.index.len() as u64,
            index_bytes: self.index.bytes() as u64,
            used_bytes: self.log.space.used(),
            capacity_bytes: self.log.space.capacity(),
            queued_bytes: self.log.queued_bytes(),
            segments: self.log.files.load().len() as u64,
            reclaimed_expired: read(&self.counts.swept_expired),
            written_bytes: read(&self.counts.written_bytes),
            reclaimed_segments: read(&self.counts.reclaimed_segments),
            given_up_segments: read(&self.counts.given_up_segments),
            device_errors: read(&self.counts.errors),
            lost: read(&self.counts.lost),
            torn_bytes: self.opened.torn_bytes,
            distrusted_entries: self.opened.distrusted_entries,
            discarded_segments: self.opened.discarded_segments,
            ..Stats::default()
        };
        stats.count(&self.index.tally());
        stats
    }
}

/// Bytes of the space bound that files beside the segments may take.
pub(crate) fn aside(capacity: u64, manifest_len_max: u64) -> u64 {
    heat::reserve(capacity) + manifest_len_max
}

/// What opening a store comes to.
pub(crate) struct Parts {
    pub(crate) options: Options,
    pub(crate) device: Arc<dyn Device>,
    pub(crate) index: Index,
    pub(crate) log: Log,
    pub(crate) manifest: crate::manifest::Manifest,
    pub(crate) opened: OpenCounts,
    pub(crate) store_id: u64,
    pub(crate) hash_seed: u64,
    pub(crate) latest_ms: u64,
}

/// The hash of a key in a namespace: XXH3 of the key, with a seed that the namespace changes. It is the same after a restart.
pub(crate) fn hash(seed: u64, namespace: u32, key: &[u8]) -> u64 {
    let seed = (seed ^ u64::from(namespace)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    twox_hash::XxHash3_64::oneshot_with_seed(seed, key)
}

impl Namespace {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// Takes everything out of it, at a cost that does not depend on how much that is: space comes back as segments are
    /// reclaimed.
    ///
    /// # Errors
    /// `Unavailable`: it is empty as long as the store is open, and may not be after a restart. `Closed`.
    pub fn clear(&self) -> Result<(), Error> {
        let core = &self.core;
        core.check_open()?;
        let is_synced = core.options.sync != Sync::None;
        // What is moved meanwhile would stand behind the position, and count.
        let held = core.reclaim.hold_moves();
        core.namespaces.clear(&self.state, core.log.next(), core.now_ms(), is_synced)?;
        drop(held);
        core.reclaim.sweep_soon();
        core.log.space.nudge();
        Ok(())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("options", &self.handle.core.options).finish_non_exhaustive()
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("name", &self.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
