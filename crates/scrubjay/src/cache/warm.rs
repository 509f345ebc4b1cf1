//! The warm restart: when a cache is built on a folder that is not empty, memory is filled from there, the hottest first.
//!
//! It runs behind, on a blocking thread, from the moment the cache is built; lookups and writes go on. Each entry is
//! read again right after the epoch of its stripe, and goes up as in a promotion: nothing that was removed, inserted or
//! invalidated meanwhile is overwritten. It ends when memory is four fifths full, or there is no more.

use super::beneath::Descent;
use super::{Cache, Shared};
use crate::key::Key;
use serde::Serialize;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Fifths of memory that are filled.
const FIFTHS_MAX: u64 = 4;
/// How many entries are looked through at most for each that memory might hold: some are past their time.
const LOOKS_PER_ENTRY: u64 = 2;
/// The least that an entry takes in memory.
const ENTRY_BYTES_MIN: u64 = 64;

/// How far the filling of memory is.
///
/// ```
/// # use scrubjay::{Cache, Memory, WarmUpState};
/// let users: scrubjay::BlockingCache<u64, u64> =
///     Cache::builder("users").memory(Memory::bytes(1 << 20)).build_blocking()?;
/// // Without a disk tier there is nothing to fill memory from.
/// assert_eq!(users.warm_up().state, WarmUpState::None);
/// # Ok::<(), scrubjay::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WarmUpState {
    /// There is nothing to fill it from, or that is switched off.
    #[default]
    None,
    /// It goes on.
    Running,
    /// Memory is full enough, or there is no more.
    Done,
    /// The cache was closed before.
    Stopped,
}

/// How far the filling of memory from disk is, see [`Cache::warm_up`].
///
/// ```
/// # use scrubjay::{Cache, Disk, Memory, WarmUpState};
/// # let folder = tempfile::tempdir()?;
/// # let open = || Cache::<u64, u64>::builder("users").memory(Memory::bytes(1 << 20))
/// #     .disk(Disk::at(folder.path()).bytes(1 << 20)).build_blocking();
/// # let users = open()?;
/// # users.insert(1, 10)?;
/// # users.close()?;
/// let users = open()?;
/// loop {
///     let warm_up = users.warm_up();
///     println!("{} of {} entries, {} bytes", warm_up.entries_done, warm_up.entries_total, warm_up.bytes);
///     if warm_up.state != WarmUpState::Running {
///         break;
///     }
/// #   std::thread::yield_now();
/// }
/// assert_eq!(users.get(&1), Some(10));
/// # users.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WarmUp {
    /// Whether it goes on.
    pub state: WarmUpState,
    /// Entries that were looked at.
    pub entries_done: u64,
    /// Entries that there are to look at, as far as memory might hold them.
    pub entries_total: u64,
    /// Of those looked at, the ones that went up.
    pub entries_raised: u64,
    /// Their bytes on disk.
    pub bytes: u64,
}

/// The numbers behind it.
#[derive(Debug, Default)]
pub(crate) struct Warming {
    state: AtomicU8,
    done: AtomicU64,
    total: AtomicU64,
    raised: AtomicU64,
    bytes: AtomicU64,
}

impl Warming {
    fn set(&self, state: WarmUpState) {
        self.state.store(state as u8, Ordering::Release);
    }

    fn read(&self) -> WarmUp {
        let states = [WarmUpState::None, WarmUpState::Running, WarmUpState::Done, WarmUpState::Stopped];
        let number = usize::from(self.state.load(Ordering::Acquire));
        let of = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        WarmUp {
            state: states.get(number).copied().unwrap_or_default(),
            entries_done: of(&self.done),
            entries_total: of(&self.total),
            entries_raised: of(&self.raised),
            bytes: of(&self.bytes),
        }
    }
}

/// What one entry came to.
enum Step {
    Next,
    Full,
}

/// Starts it, if there is a folder to fill memory from.
pub(super) fn start<K: Key, V: Clone + Send + Sync + 'static>(shared: &Arc<Shared<K, V>>) {
    let Some(disk) = &shared.disk else { return };
    if !disk.tier.config().is_warmed || !disk.tier.is_attached() {
        return;
    }
    shared.warming.set(WarmUpState::Running);
    let weak = Arc::downgrade(shared);
    drop(shared.tasks.runtime().spawn_blocking(move || run(&weak)));
}

fn run<K: Key, V: Clone + Send + Sync + 'static>(weak: &Weak<Shared<K, V>>) {
    let Some(attached) = weak.upgrade().and_then(|shared| shared.disk.as_ref()?.tier.attached()) else { return };
    let limit = weak.upgrade().map_or(0, |shared| shared.warm_limit());
    // Dropped before `attached`, which says that the folder is let go.
    let hottest = attached.entries.hottest(usize::try_from(limit).unwrap_or(usize::MAX));
    if let Some(shared) = weak.upgrade() {
        shared.warming.total.store(u64::try_from(hottest.remaining()).unwrap_or(u64::MAX), Ordering::Release);
    }
    for hot in hottest {
        // Not held from one to the next, or the cache would live as long as this.
        let Some(shared) = weak.upgrade() else { return };
        if shared.tasks.check_open().is_err() {
            return shared.warming.set(WarmUpState::Stopped);
        }
        if let Step::Full = shared.warm_one(&attached.entries, hot.key) {
            return shared.warming.set(WarmUpState::Done);
        }
    }
    if let Some(shared) = weak.upgrade() {
        shared.warming.set(WarmUpState::Done);
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    fn warm_limit(&self) -> u64 {
        let capacity = self.memory.capacity();
        let entries = if self.counts_bytes { capacity / ENTRY_BYTES_MIN } else { capacity };
        entries.saturating_mul(LOOKS_PER_ENTRY)
    }

    fn warm_one(&self, entries: &scrubjay_disk::Namespace, key_bytes: Vec<u8>) -> Step {
        if self.memory.weight() >= self.memory.capacity() / 5 * FIFTHS_MAX {
            return Step::Full;
        }
        self.warming.done.fetch_add(1, Ordering::AcqRel);
        let (Some(disk), Some(key)) = (&self.disk, K::decode(&key_bytes)) else { return Step::Next };
        let hash = self.memory.hash(&key);
        // Before the entry is read again: what the walk has read may have been replaced since.
        let epoch = self.epochs.get(self.epochs.stripe(hash));
        let born = self.stamps.born();
        if self.memory.peek(hash, &key, |_, _| ()).is_some() {
            return Step::Next;
        }
        let Some(bytes) = entries.peek(&key_bytes).ok().flatten() else { return Step::Next };
        let Some(raised) = self.raise(disk, &key_bytes, &bytes) else { return Step::Next };
        if self.clock.is_past(raised.times.fresh_until_ms) {
            return Step::Next;
        }
        if self.promote(None, hash, Descent { key, key_bytes, epoch, born }, raised) {
            self.warming.raised.fetch_add(1, Ordering::AcqRel);
            self.warming.bytes.fetch_add(u64::try_from(bytes.len()).unwrap_or(0), Ordering::AcqRel);
        }
        Step::Next
    }
}

/// # After a restart
impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// How far the filling of memory from the disk tier is, which begins when the cache is built. The cache serves meanwhile; what
    /// is not in memory yet is found on disk.
    pub fn warm_up(&self) -> WarmUp {
        self.shared.warming.read()
    }
}
