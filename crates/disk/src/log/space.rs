//! The space bound: what all files together may take, and who waits for some of it.
//!
//! **Invariant:** a file is counted with its full length before it is made, and until it is gone.

use parking_lot::{Condvar, Mutex};
use std::time::Duration;

/// Bytes of the device.
pub(crate) struct Space {
    state: Mutex<State>,
    /// For the writer: there is room, or there will be none.
    freed: Condvar,
    /// For reclaim: there is none to spare.
    wanted: Condvar,
    segment_len: u64,
}

struct State {
    capacity: u64,
    used: u64,
    /// Of `used`: what files beside the segments may take.
    aside: u64,
    /// The writer waits.
    is_starved: bool,
    is_closing: bool,
}

impl State {
    /// Whether the writer waits, or would for the segment after the next.
    fn is_short(&self, segment_len: u64) -> bool {
        self.is_starved || self.used + segment_len > self.capacity
    }
}

impl Space {
    /// `used` bytes of `capacity` are taken.
    pub(crate) fn new(capacity: u64, used: u64, segment_len: u64) -> Space {
        let state = State { capacity, used, aside: 0, is_starved: false, is_closing: false };
        Space { state: Mutex::new(state), freed: Condvar::new(), wanted: Condvar::new(), segment_len }
    }

    /// Takes `bytes`, if they are there.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let mut state = self.state.lock();
        let fits = state.used + bytes <= state.capacity;
        if fits {
            state.used += bytes;
        }
        state.is_starved = !fits;
        if state.is_short(self.segment_len) {
            self.wanted.notify_all();
        }
        fits
    }

    /// Waits for a while until something was given back.
    pub(crate) fn wait(&self, time: Duration) {
        let mut state = self.state.lock();
        if !state.is_closing && state.is_starved {
            self.freed.wait_for(&mut state, time);
        }
    }

    /// The device is full before the bound is reached: reclaim is to make room all the same.
    pub(crate) fn press(&self) {
        self.state.lock().is_starved = true;
        self.wanted.notify_all();
    }

    /// Lets the thread that makes room look around.
    pub(crate) fn nudge(&self) {
        self.wanted.notify_all();
    }

    /// Says what files beside the segments may take: it counts, as segments do.
    pub(crate) fn set_aside(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.used = state.used.saturating_sub(state.aside) + bytes;
        state.aside = bytes;
    }

    /// Gives bytes back.
    pub(crate) fn give(&self, bytes: u64) {
        let mut state = self.state.lock();
        state.used = state.used.saturating_sub(bytes);
        state.is_starved = false;
        drop(state);
        self.freed.notify_all();
    }

    /// Whether the writer waits for space.
    pub(crate) fn is_starved(&self) -> bool {
        self.state.lock().is_starved
    }

    /// Whether what comes takes the place of something: there is no more to spare than the segment that reclaim keeps free,
    /// and what a segment gives back when it is sealed.
    pub(crate) fn is_full(&self) -> bool {
        let state = self.state.lock();
        state.is_starved || state.used + 2 * self.segment_len + self.segment_len / 8 > state.capacity
    }

    /// Whether there is less than a segment to spare.
    pub(crate) fn is_short(&self) -> bool {
        self.state.lock().is_short(self.segment_len)
    }

    /// Waits until there is less than a segment to spare, or somebody calls, at most for `time`. `false` when the store
    /// closes.
    pub(crate) fn wait_until_short(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.is_closing && !state.is_short(self.segment_len) {
            self.wanted.wait_for(&mut state, time);
        }
        !state.is_closing
    }

    /// Waits for so long, or until somebody calls, although there is none to spare. `false` when the store closes.
    pub(crate) fn rest(&self, time: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.is_closing {
            self.wanted.wait_for(&mut state, time);
        }
        !state.is_closing
    }

    pub(crate) fn close(&self) {
        self.state.lock().is_closing = true;
        self.freed.notify_all();
        self.wanted.notify_all();
    }

    /// Changes the bound. What is too much goes when reclaim has its turn.
    pub(crate) fn resize(&self, capacity: u64) {
        self.state.lock().capacity = capacity;
        self.freed.notify_all();
        self.wanted.notify_all();
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.state.lock().capacity
    }

    pub(crate) fn used(&self) -> u64 {
        self.state.lock().used
    }
}
