//! How many commands may be tried again: a tenth of those that are sent, so that a server that is in trouble is not asked twice as
//! much.

use parking_lot::Mutex;

/// So many commands earn one that is tried again.
const PRICE: u64 = 10;
/// What may be saved up, in commands tried again; a beginner has them all.
const SAVED_MAX: u64 = 20;

/// How many commands may be tried again. It costs nothing as long as none is.
#[derive(Debug)]
pub(super) struct Budget {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many had been sent when it was asked last.
    sent: u64,
    /// What there is to spend: a command that was sent is one.
    saved: u64,
}

impl Budget {
    pub(super) fn new() -> Budget {
        Budget { state: Mutex::new(State { sent: 0, saved: PRICE * SAVED_MAX }) }
    }

    /// Whether one may be tried again, when `sent` were sent in all, of which the lower 32 bits count.
    pub(super) fn allows(&self, sent: u64) -> bool {
        let mut state = self.state.lock();
        // The count begins anew after 2^32; and who comes late with an older one earns nothing.
        let earned = sent.wrapping_sub(state.sent) & u64::from(u32::MAX);
        let earned = if earned > u64::from(u32::MAX) / 2 { 0 } else { earned };
        state.sent = if earned == 0 { state.sent } else { sent };
        state.saved = state.saved.saturating_add(earned).min(PRICE * SAVED_MAX);
        let Some(left) = state.saved.checked_sub(PRICE) else { return false };
        state.saved = left;
        true
    }
}
