//! The only place that reads a clock, so that tests can hold it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall time and monotonic time, as one thing that tests can hold still.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// Unix milliseconds while held, 0 while running.
    held_ms: AtomicU64,
}

impl Clock {
    /// Unix time in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_us() / 1000
    }

    /// Unix time in microseconds.
    #[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
    pub(crate) fn now_us(&self) -> u64 {
        match self.held_ms.load(Ordering::Relaxed) {
            0 => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                since.as_secs() * 1_000_000 + u64::from(since.subsec_micros())
            }
            held_ms => held_ms * 1000,
        }
    }

    /// Monotonic time, for durations.
    #[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
    pub(crate) fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Blocks this thread: DEBUG SLEEP.
    #[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
    pub(crate) fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    /// Holds wall time at `now_ms` until the next call: for tests.
    #[cfg(test)]
    pub(crate) fn hold(&self, now_ms: u64) {
        self.held_ms.store(now_ms, Ordering::Relaxed);
    }
}
