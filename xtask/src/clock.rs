//! The chores' only clock: waiting for other processes, and how long a step took.

use std::time::{Duration, Instant};

/// Monotonic time.
#[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Asks every 20 ms whether `condition` holds, until it does or `limit` is over. Returns whether it does.
#[allow(
    clippy::disallowed_methods,
    reason = "the clock is the place that may; another process has no condition to wait on"
)]
pub(crate) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = now() + limit;
    loop {
        if condition() {
            return true;
        }
        if now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
