//! A small number for every thread, so that per-thread slots can lie in a plain array.
//!
//! Invariant: no two threads that live at the same time have the same index, except [`ENDING`]. The index of a thread that
//! has ended is given out again, the smallest first, so that the numbers stay below the most threads that ever lived at
//! once. Whoever gets an index sees everything that its previous owner wrote: the registry's lock is between them.

use parking_lot::Mutex;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The index of a thread that is running its last destructors: not its own any more, and larger than any array.
pub(crate) const ENDING: usize = usize::MAX;

const UNKNOWN: usize = usize::MAX - 1;

static REGISTRY: Mutex<Registry> = Mutex::new(Registry { next: 0, free: BinaryHeap::new() });

struct Registry {
    next: usize,
    free: BinaryHeap<Reverse<usize>>,
}

/// Gives the thread's index back when the thread ends.
struct Lease(usize);

thread_local! {
    // Apart from the lease, since a thread-local without a destructor is read without asking for its state.
    static INDEX: Cell<usize> = const { Cell::new(UNKNOWN) };
    static LEASE: Cell<Option<Lease>> = const { Cell::new(None) };
}

/// This thread's index: a thread-local read, about a nanosecond. The first call of a thread takes a lock.
///
/// An index below the length of an array owns its slot exclusively; whoever has a larger one has to share.
#[inline]
pub(crate) fn index() -> usize {
    let index = INDEX.get();
    if index == UNKNOWN { register() } else { index }
}

/// The same, or a number larger than any array where [`index`] would have to find one out first.
#[inline]
pub(crate) fn known_index() -> usize {
    INDEX.get()
}

#[cold]
#[inline(never)]
fn register() -> usize {
    let lease = Lease(REGISTRY.lock().take());
    let index = lease.0;
    INDEX.set(index);
    // Fails in a thread that is ending: the lease is dropped right here then, which leaves the thread without an index.
    match LEASE.try_with(move |own| own.set(Some(lease))) {
        Ok(()) => index,
        Err(_) => ENDING,
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        INDEX.set(ENDING);
        REGISTRY.lock().free.push(Reverse(self.0));
    }
}

impl Registry {
    fn take(&mut self) -> usize {
        if let Some(Reverse(index)) = self.free.pop() {
            return index;
        }
        self.next += 1;
        self.next - 1
    }
}

#[cfg(test)]
mod tests;
