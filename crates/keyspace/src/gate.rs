//! The keyspace-wide gate: batches pass it for a store to a cache line of their own; one caller can close it.
//!
//! A thread that enters raises its own flag and looks whether the gate is closed; a caller that closes it says so and then
//! waits until no flag is up. Both write before they read, in one total order (sequential consistency), so at least one
//! of two that meet sees the other: either the batch turns back, or the closer waits for it.
//!
//! **Invariant:** while an [`Exclusive`] lives, every flag is down or about to be taken down by a thread that turned back
//! without touching anything. A batch that waits is let in before the gate closes again.

mod door;
#[cfg(test)]
mod tests;

use crate::{Held, KeyHash, Keyspace};
pub(crate) use door::Gate;
use sync::MutexGuard;

mod sync {
    pub(super) use parking_lot::{Condvar, Mutex, MutexGuard};
    pub(super) use std::sync::atomic::{AtomicBool, Ordering};
}

/// Permission to latch stripes, held for one batch. While any pass lives, nobody is exclusive.
pub struct Pass<'a> {
    keyspace: &'a Keyspace,
    slot: u32,
}

/// The whole keyspace for one caller: made by [`Keyspace::exclusive`], which waits until every pass is given back.
pub struct Exclusive<'a> {
    keyspace: &'a Keyspace,
    _turn: MutexGuard<'a, ()>,
}

impl<'a> Pass<'a> {
    pub(crate) fn new(keyspace: &'a Keyspace, slot: u32) -> Pass<'a> {
        keyspace.gate.enter(slot);
        Pass { keyspace, slot }
    }

    /// Latches the stripe of one key.
    #[inline]
    pub fn latch_one(&self, hash: KeyHash, now_ms: u64) -> Held<'_> {
        Held::one(self.keyspace, hash, now_ms)
    }

    /// Latches the stripes of all `hashes` in the one global order, so that two callers never wait for each other.
    /// An empty list holds nothing: good for what latches stripe by stripe itself (`scan`, `random_key`, `for_each`).
    pub fn latch(&self, hashes: &[KeyHash], now_ms: u64) -> Held<'_> {
        Held::keys(self.keyspace, hashes, now_ms)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.keyspace.gate.leave(self.slot);
    }
}

impl<'a> Exclusive<'a> {
    pub(crate) fn new(keyspace: &'a Keyspace) -> Exclusive<'a> {
        Exclusive { keyspace, _turn: keyspace.gate.close() }
    }

    /// Holds every stripe.
    pub fn hold_all(&self, now_ms: u64) -> Held<'_> {
        Held::all(self.keyspace, now_ms)
    }
}

impl Drop for Exclusive<'_> {
    fn drop(&mut self) {
        self.keyspace.gate.open();
    }
}
