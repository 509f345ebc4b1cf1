//! CLIENT PAUSE: until when requests are held back, and which.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The pause of a server; without one, a single load tells so.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    /// Unix milliseconds, 0 without a pause.
    until_ms: AtomicU64,
    holds_reads: AtomicBool,
}

impl Pause {
    /// Holds back writes, and reads too when `holds_reads`, until `until_ms`. Of two pauses the longer and stricter holds.
    pub(crate) fn start(&self, until_ms: u64, holds_reads: bool, now_ms: u64) {
        let is_over = self.until_ms.load(Ordering::Acquire) <= now_ms;
        self.holds_reads
            .store(holds_reads || (!is_over && self.holds_reads.load(Ordering::Relaxed)), Ordering::Relaxed);
        self.until_ms.fetch_max(until_ms, Ordering::Release);
    }

    /// CLIENT UNPAUSE. The caller wakes the workers.
    pub(crate) fn end(&self) {
        self.until_ms.store(0, Ordering::Release);
    }

    /// Until when a request is held back, if it is.
    #[inline]
    pub(crate) fn holds(&self, is_write: impl FnOnce() -> bool, now_ms: u64) -> Option<u64> {
        let until_ms = self.until_ms.load(Ordering::Acquire);
        (until_ms > now_ms && (self.holds_reads.load(Ordering::Relaxed) || is_write())).then_some(until_ms)
    }

    /// Whether anything is held back: active expiry then rests too.
    pub(crate) fn is_active(&self, now_ms: u64) -> bool {
        self.until_ms.load(Ordering::Acquire) > now_ms
    }
}
