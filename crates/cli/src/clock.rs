//! The only place of the tools that reads a clock: how long something took. It is tokio's, so that tests can hold it.

use std::sync::LazyLock;
use std::time::Duration;
use tokio::time::Instant;

/// Monotonic time since the first call.
pub(crate) fn monotonic() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}
