//! The only place that reads a clock: Unix time for expiry, where the options name no other, and the monotonic clock for
//! intervals and for how long the device takes.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The system's Unix time in milliseconds.
#[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Monotonic time since the first call, never 0.
#[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
pub(crate) fn monotonic() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed() + Duration::from_nanos(1)
}
