//! Waiting for what must happen: the only clock of these tests.
#![allow(clippy::disallowed_methods, reason = "a deadline needs a clock, and polling a pause")]

use std::time::{Duration, Instant};

/// How long anything may take that happens at once on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Tries until something comes out; panics with `what` when it takes too long.
pub(crate) fn wait_for<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
