//! Who was made and who was dropped: every value exactly once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug, Default)]
pub(super) struct Ledger {
    opened: AtomicU64,
    closed: AtomicU64,
}

const LIVE: u64 = 0x600d_600d_600d_600d;
const DEAD: u64 = 0xdead_dead_dead_dead;

/// One value's line: open from its making to its drop.
pub(super) struct Line {
    ledger: Arc<Ledger>,
    state: AtomicU64,
}

impl Ledger {
    pub(super) fn open(self: &Arc<Ledger>) -> Line {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Line { ledger: Arc::clone(self), state: AtomicU64::new(LIVE) }
    }

    pub(super) fn live(&self) -> u64 {
        self.opened.load(Ordering::Relaxed) - self.closed.load(Ordering::Relaxed)
    }

    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Line {
    pub(super) fn check(&self) {
        assert_eq!(self.state.load(Ordering::Relaxed), LIVE, "a dropped value was read");
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        assert_eq!(self.state.swap(DEAD, Ordering::Relaxed), LIVE, "a value was dropped twice");
        self.ledger.closed.fetch_add(1, Ordering::Relaxed);
    }
}
