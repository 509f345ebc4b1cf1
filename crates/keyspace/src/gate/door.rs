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
    /// Batches that wait for the gate to open; the gate is closed only while this is held. The next closer lets them in
    /// first: else one that closes again and again would keep them out for ever.
    doors: Mutex<u32>,
    changed: Condvar,
}

impl Gate {
    pub(crate) fn new(slots: u32) -> Gate {
        Gate {
            inside: (0..slots).map(|_| Flag::default()).collect(),
            closed: AtomicBool::new(false),
            turn: Mutex::new(()),
            doors: Mutex::new(0),
            changed: Condvar::new(),
        }
    }

    #[inline]
    pub(crate) fn enter(&self, slot: u32) {
        let flag = &self.inside[slot as usize].0;
        assert!(!flag.swap(true, Ordering::SeqCst), "slot {slot} holds a pass already");
        if self.closed.load(Ordering::SeqCst) {
            self.enter_later(slot);
        }
    }

    #[cold]
    fn enter_later(&self, slot: u32) {
        self.leave(slot);
        let mut waiting = self.doors.lock();
        *waiting += 1;
        while self.closed.load(Ordering::SeqCst) {
            self.changed.wait(&mut waiting);
        }
        *waiting -= 1;
        // Nobody closes the gate before the doors are given back, and whoever does then sees the flag.
        self.inside[slot as usize].0.store(true, Ordering::SeqCst);
        self.changed.notify_all();
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
        let mut doors = self.doors.lock();
        while *doors > 0 {
            self.changed.wait(&mut doors);
        }
        self.closed.store(true, Ordering::SeqCst);
        while self.inside.iter().any(|flag| flag.0.load(Ordering::SeqCst)) {
            self.changed.wait(&mut doors);
        }
        turn
    }

    /// Batches that wait.
    #[cfg(test)]
    #[allow(dead_code, reason = "this source is compiled twice in tests, and asked in one of them")]
    pub(crate) fn waiting(&self) -> u32 {
        *self.doors.lock()
    }

    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
        self.wake();
    }
}
