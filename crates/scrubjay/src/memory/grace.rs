//! Grace periods: when memory that readers without locks may still look at can be used again.
//!
//! **Idea.** A reader raises the count in a record of its own thread before it reads (odd: reading) and once more after
//! (even: not). Nobody else writes that record, so reading costs no shared write. A writer first takes an entry out of
//! everything by which it can be found, then notes which records are odd ([`Grace::begin`]). Once each of those counts has
//! changed, nobody who could have found the entry still reads it ([`Grace::is_over`]).
//!
//! **Why it holds.** A reader must not look before its count is seen, and stores and later loads may change places. A fence
//! on both sides forbids that, and the reader's would cost more than the rest of it. Linux lets the writer pay for both
//! (`membarrier`: every running thread of the process passes a full fence before the call returns; 0.3 us, or some us
//! when others run), so the reader keeps only the compiler from reordering. Where the call is missing, both fence.
//! After the writer's fence, either the writer sees an odd count, or the reader that raised it afterwards sees the entry gone.
//!
//! **Awkward cases.** A pin inside of a pin (a value's `Clone` that reads a cache) leaves the count alone. A thread that has
//! lost its thread-locals takes a record for one read. Records are reused after their thread, never freed.
//!
//! **Limits.** A reader that stalls inside of a read (a closure, or a `Clone`, that does not return) holds back what left
//! meanwhile. The shard makes up for that with up to half of its capacity; beyond, memory grows until the reader goes on.
//! Source: the idea of userspace RCU (Desnoyers et al., "User-level implementations of read-copy update", 2012).

#![allow(unsafe_code, reason = "reads without locks; listed in xtask/src/tidy/unsafety.rs")]

#[cfg(all(test, feature = "__model"))]
mod model;
#[cfg(all(test, feature = "__model"))]
pub(super) use model::warm_up;
#[cfg(test)]
mod tests;

use super::sync::{AtomicBool, AtomicPtr, AtomicU64, BLOCK_RECORDS, Ordering, compiler_fence, fence, thread_local};
use std::sync::Arc;
use std::sync::OnceLock;

use crossbeam_utils::CachePadded;
use smallvec::SmallVec;
use std::cell::Cell;
use std::marker::PhantomData;

/// What one thread says about itself.
#[derive(Debug, Default)]
struct Record {
    /// Odd while the thread reads.
    count: AtomicU64,
    is_taken: AtomicBool,
}

/// Records come in blocks that are never freed.
#[derive(Default)]
struct Block {
    records: [CachePadded<Record>; BLOCK_RECORDS],
    next: OnceLock<Box<Block>>,
}

static FIRST: OnceLock<Block> = OnceLock::new();

/// Whether readers must fence for themselves.
static READERS_FENCE: AtomicBool = AtomicBool::new(true);

thread_local! {
    /// This thread's record, if it need not fence: the quick way to it.
    static RECORD: Cell<Option<&'static Record>> = const { Cell::new(None) };
    /// The same if it must.
    static FENCING: Cell<Option<&'static Record>> = const { Cell::new(None) };
    static RELEASE: Release = const { Release };
}

/// Gives the thread's record back when the thread ends.
struct Release;

impl Drop for Release {
    fn drop(&mut self) {
        for record in [RECORD.take(), FENCING.take()].into_iter().flatten() {
            record.is_taken.store(false, Ordering::Release);
        }
    }
}

/// Asks the system, once, whether writers can fence for readers. To be called before any memory is shared.
pub(super) fn prepare() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| READERS_FENCE.store(!membarrier::register(), Ordering::SeqCst));
}

#[cfg(all(target_os = "linux", not(miri), not(feature = "__model")))]
mod membarrier {
    use rustix::thread::{MembarrierCommand, membarrier};

    pub(super) fn register() -> bool {
        membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
    }

    pub(super) fn run() -> bool {
        membarrier(MembarrierCommand::PrivateExpedited).is_ok()
    }
}

#[cfg(not(all(target_os = "linux", not(miri), not(feature = "__model"))))]
mod membarrier {
    pub(super) fn register() -> bool {
        false
    }

    /// The model checker's readers have a fence where this would be theirs.
    pub(super) fn run() -> bool {
        cfg!(feature = "__model")
    }
}

/// While it lives, nothing that its thread may have found is given to anybody else.
#[derive(Debug)]
pub(super) struct Pin {
    record: &'static Record,
    /// What the record's count is to be afterwards; [`BORROWED`] besides, if the record was taken for this read alone.
    after: u64,
    /// The record is this thread's: a pin must not leave it.
    _not_send: PhantomData<*const ()>,
}

/// In [`Pin::after`].
const BORROWED: u64 = 1 << 63;

/// Begins a read. A few nanoseconds, no shared write.
#[inline]
pub(super) fn pin() -> Pin {
    let Some(record) = RECORD.get() else { return pin_slowly() };
    let count = record.count.load(Ordering::Relaxed);
    if count & 1 == 1 {
        return Pin { record, after: count, _not_send: PhantomData };
    }
    // Release for the read before this one: who sees this count must see that one ended. The fence is for what follows.
    record.count.store(count + 1, Ordering::Release);
    compiler_fence(Ordering::SeqCst);
    Pin { record, after: count + 2, _not_send: PhantomData }
}

/// A thread's first read, its last ones, and all where the system cannot fence for readers.
#[cold]
#[inline(never)]
fn pin_slowly() -> Pin {
    let (record, borrowed) = match FENCING.get() {
        Some(record) => (record, 0),
        None => register(),
    };
    let count = record.count.load(Ordering::Relaxed);
    if count & 1 == 1 {
        return Pin { record, after: count, _not_send: PhantomData };
    }
    record.count.store(count + 1, Ordering::Release);
    fence(Ordering::SeqCst);
    Pin { record, after: (count + 2) | borrowed, _not_send: PhantomData }
}

impl Drop for Pin {
    #[inline]
    fn drop(&mut self) {
        if self.after & BORROWED == 0 {
            self.record.count.store(self.after, Ordering::Release);
        } else {
            give_back(self.record, self.after & !BORROWED);
        }
    }
}

impl Pin {
    /// To hand on, where a reference to the pin would cost a place in memory.
    #[inline]
    pub(super) fn pinned(&self) -> Pinned<'_> {
        Pinned(PhantomData)
    }
}

/// Says that a [`Pin`] is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pinned<'a>(PhantomData<&'a Pin>);

#[cold]
#[inline(never)]
fn give_back(record: &Record, count: u64) {
    record.count.store(count, Ordering::Release);
    record.is_taken.store(false, Ordering::Release);
}

fn register() -> (&'static Record, u64) {
    let mut block = FIRST.get_or_init(Block::default);
    let record: &'static Record = 'found: loop {
        for record in &block.records {
            let free = record.is_taken.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed);
            if free.is_ok() {
                break 'found record;
            }
        }
        block = block.next.get_or_init(Box::default);
    };
    // A thread whose locals are gone cannot give its record back at its end, so it does after this one read.
    if RELEASE.try_with(|_| ()).is_err() {
        return (record, BORROWED);
    }
    let own = if READERS_FENCE.load(Ordering::Relaxed) { &FENCING } else { &RECORD };
    own.set(Some(record));
    (record, 0)
}

/// Whether this thread is inside of a read.
#[cfg(test)]
pub(super) fn is_pinned() -> bool {
    let own = RECORD.get().or(FENCING.get());
    own.is_some_and(|record| record.count.load(Ordering::Relaxed) & 1 == 1)
}

/// The reads that were under way at one moment.
#[derive(Debug)]
pub(super) struct Grace {
    /// Whether readers could be trusted to have said that they read.
    is_fenced: bool,
    readers: SmallVec<[(&'static Record, u64); 2]>,
}

impl Grace {
    /// Notes who reads now. What was unlinked before this call can be seen by nobody else later.
    pub(super) fn begin() -> Grace {
        // A call that once worked may be forbidden later. Readers do not fence by then, so nothing can be said.
        let is_fenced = READERS_FENCE.load(Ordering::Relaxed) || membarrier::run();
        fence(Ordering::SeqCst);
        let mut readers = SmallVec::new();
        let mut block = FIRST.get();
        while let Some(here) = block {
            for record in &here.records {
                let count = record.count.load(Ordering::Acquire);
                if count & 1 == 1 {
                    readers.push((&**record, count));
                }
            }
            block = here.next.get().map(|next| &**next);
        }
        Grace { is_fenced, readers }
    }

    /// Whether each of them has ended. Once over, always over.
    pub(super) fn is_over(&mut self) -> bool {
        if !self.is_fenced {
            *self = Grace::begin();
        }
        self.readers.retain(|(record, count)| record.count.load(Ordering::Acquire) == *count);
        self.is_fenced && self.readers.is_empty()
    }
}

/// A pointer that readers follow without a lock, and that its one writer replaces.
///
/// **Invariant:** it points into an `Arc` of which this owns one count.
pub(super) struct Published<T> {
    pointer: AtomicPtr<T>,
}

impl<T> Published<T> {
    pub(super) fn new(value: Arc<T>) -> Published<T> {
        Published { pointer: AtomicPtr::new(Arc::into_raw(value).cast_mut()) }
    }

    #[inline]
    pub(super) fn load<'a>(&self, _pinned: Pinned<'a>) -> &'a T {
        let pointer = self.pointer.load(Ordering::Acquire);
        // SAFETY: the pointer came from `Arc::into_raw`, and the count that it stands for is given back only by who
        // got it from `replace`, after a grace period that began after the replacement (its contract): not before this pin ends.
        unsafe { &*pointer }
    }

    /// Publishes `value`; the one before must be kept until a [`Grace`] begun after this call is over.
    #[must_use]
    pub(super) fn replace(&self, value: Arc<T>) -> Arc<T> {
        let old = self.pointer.swap(Arc::into_raw(value).cast_mut(), Ordering::AcqRel);
        // SAFETY: the pointer came from `Arc::into_raw`, and its count passes to the caller.
        unsafe { Arc::from_raw(old) }
    }
}

impl<T> Drop for Published<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from `Arc::into_raw`; with `&mut self` nobody reads, and its count ends here.
        drop(unsafe { Arc::from_raw(*self.pointer.get_mut()) });
    }
}
