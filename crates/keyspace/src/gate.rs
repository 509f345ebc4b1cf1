//! The keyspace-wide gate: batches pass it for a store to a cache line of their own; one caller can close it.
//!
//! A thread that enters raises its own flag and looks whether the gate is closed; a caller that closes it says so and then
//! waits until no flag is up. Both write before they read, in one total order (sequential consistency), so at least one
//! of two that meet sees the other: either the batch turns back, or the closer waits for it.
//!
//! **Invariant:** while an [`Exclusive`] lives, every flag is down or about to be taken down by a thread that turned back
//! without touching anything.

use crate::{Held, KeyHash, Keyspace};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::sync::atomic::{AtomicBool, Ordering};

/// A flag on a cache line (two, for the prefetcher's sake) of its own.
#[derive(Default)]
#[repr(align(128))]
struct Flag(AtomicBool);

/// The gate itself.
pub(crate) struct Gate {
    inside: Box<[Flag]>,
    closed: AtomicBool,
    /// Held by the one who has the gate closed.
    turn: Mutex<()>,
    /// Guards nothing: makes a waiter and its waker take turns.
    doors: Mutex<()>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn new(slots: u32) -> Gate {
        Gate {
            inside: (0..slots).map(|_| Flag::default()).collect(),
            closed: AtomicBool::new(false),
            turn: Mutex::new(()),
            doors: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    #[inline]
    pub(crate) fn enter(&self, slot: u32) {
        let flag = &self.inside[slot as usize].0;
        loop {
            assert!(!flag.swap(true, Ordering::SeqCst), "slot {slot} holds a pass already");
            if !self.closed.load(Ordering::SeqCst) {
                return;
            }
            self.leave(slot);
            let mut doors = self.doors.lock();
            while self.closed.load(Ordering::SeqCst) {
                self.changed.wait(&mut doors);
            }
        }
    }

    #[inline]
    pub(crate) fn leave(&self, slot: u32) {
        self.inside[slot as usize].0.store(false, Ordering::SeqCst);
        if self.closed.load(Ordering::SeqCst) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // Between a waiter's look and its sleep the doors are locked: taking them here means that the wake-up is not lost.
        drop(self.doors.lock());
        self.changed.notify_all();
    }

    pub(crate) fn close(&self) -> MutexGuard<'_, ()> {
        let turn = self.turn.lock();
        self.closed.store(true, Ordering::SeqCst);
        let mut doors = self.doors.lock();
        while self.inside.iter().any(|flag| flag.0.load(Ordering::SeqCst)) {
            self.changed.wait(&mut doors);
        }
        turn
    }

    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.wake();
    }
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
