//! The harness' only clock: waiting for other processes, which have no condition to wait on.

use std::time::{Duration, Instant};

/// How long anything may take that happens at once on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Asks every 2 ms until something comes out, and panics with `what` after 30 s.
///
/// ```
/// let mut asked = 0;
/// let answer = scrubjay_harness::wait_for("the third question", || {
///     asked += 1;
///     (asked == 3).then_some("yes")
/// });
/// assert_eq!(answer, "yes");
/// ```
#[track_caller]
pub fn wait_for<T>(what: &str, attempt: impl FnMut() -> Option<T>) -> T {
    wait_until(PATIENCE, attempt).unwrap_or_else(|| panic!("waited {PATIENCE:?} in vain for {what}"))
}

/// Asks every 2 ms until something comes out; `None` after `limit`.
#[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
pub(crate) fn wait_until<T>(limit: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(result) = attempt() {
            return Some(result);
        }
        if start.elapsed() >= limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
