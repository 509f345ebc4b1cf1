//! When a server is left alone: after some commands in a row that failed because of it.
//!
//! One breaker belongs to one session, so that what a former connection's commands end with does not count. How long the server is
//! left alone is [`Backoff`](super::backoff::Backoff)'s, and whether it is well again the session finds out: it asks every second anyway.

use std::sync::atomic::{AtomicU32, Ordering};

/// So many in a row open it.
pub(super) const FAILURES_MAX: u32 = 5;

/// How many commands failed in a row.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: AtomicU32,
}

impl Breaker {
    /// A command was answered, whatever with. Writes nothing while all is well.
    #[inline]
    pub(super) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A command failed because of the server. Whether this one opens it: that is said once, until a command succeeds.
    pub(super) fn failed(&self) -> bool {
        let before = self.failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_add(1));
        before.is_ok_and(|count| count + 1 == FAILURES_MAX)
    }
}
