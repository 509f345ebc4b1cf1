//! When what a tier lies on is left alone: after some reads in a row that failed or took too long, for a while that doubles.
//!
//! When the while is over, one read goes to see how it is (the others still pass the tier by); if it ends well, all do again.
//! Time is given, so that a test can hold it.

use parking_lot::Mutex;

/// So many in a row open it.
const FAILURES_MAX: u32 = 5;
/// The first while, and the longest.
const WHILE_MIN_MS: u64 = 1_000;
const WHILE_MAX_MS: u64 = 30_000;

/// Whether to read from a device or a store.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Until when nobody reads; 0 if everybody does.
    until_ms: u64,
    while_ms: u64,
    /// One has gone to see how it is.
    is_probed: bool,
}

impl Breaker {
    /// Whether a read may set out now. Who may says how it ended.
    pub(crate) fn allows(&self, now_ms: u64) -> bool {
        let mut state = self.state.lock();
        if state.until_ms == 0 {
            return true;
        }
        if now_ms < state.until_ms {
            return false;
        }
        // This one goes to see. Should it never tell, another goes after as long again.
        state.until_ms = now_ms + state.while_ms;
        state.is_probed = true;
        true
    }

    /// A read ended in time.
    pub(crate) fn succeeded(&self) {
        let mut state = self.state.lock();
        if state.failures > 0 {
            *state = State::default();
        }
    }

    /// A read failed or took too long.
    pub(crate) fn failed(&self, now_ms: u64) {
        let mut state = self.state.lock();
        state.failures = state.failures.saturating_add(1);
        // Reads that set out before it opened may end after: of those it knows already.
        let is_news = state.until_ms == 0 || state.is_probed;
        if state.failures >= FAILURES_MAX && is_news {
            state.is_probed = false;
            state.while_ms = (2 * state.while_ms).clamp(WHILE_MIN_MS, WHILE_MAX_MS);
            state.until_ms = now_ms + state.while_ms;
        }
    }

    /// Whether reads pass it by now.
    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().until_ms != 0
    }
}

#[cfg(test)]
mod tests;
