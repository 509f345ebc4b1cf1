//! The gate's mechanism: flags, the closed sign and who waits for whom. Knows nothing of keyspaces; its primitives come from
//! the parent module, so that the tests can run it under a scheduler that tries the orders of events.

use super::sync::{AtomicBool, Condvar, Mutex, MutexGuard, Ordering};

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
