//! The only place that reads a clock, so that tests can hold it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall time and monotonic time, as one thing that tests can hold still.
#[derive(Debug, Default)]
pub struct Clock {
    /// Unix milliseconds while held, 0 while running.
    held_ms: AtomicU64,
}

impl Clock {
    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_us() / 1000
    }

    /// Unix time in microseconds.
    #[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
    pub fn now_us(&self) -> u64 {
        match self.held_ms.load(Ordering::Relaxed) {
            0 => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64,
            held_ms => held_ms * 1000,
        }
    }

    /// Monotonic time, for durations.
    #[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Blocks this thread: DEBUG SLEEP.
    #[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
    pub fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    /// Holds wall time at `now_ms` until the next call: for tests.
    pub fn hold(&self, now_ms: u64) {
        self.held_ms.store(now_ms, Ordering::Relaxed);
    }
}
