//! Whether news may have been waiting for this process: it was stopped by a signal, or its machine had no time for it.
//!
//! The connection outlives that, and the news are read in the end. But what stands on the server for a while only, so that others
//! can ask about the past, may be gone by then, and that it is not there says nothing.

use super::super::scripts::TOMBSTONE_MS;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(test)]
mod tests;

/// Heartbeats come every second, or the session ends. After so long without one the process stood still.
const STANDSTILL_MS: u64 = TOMBSTONE_MS / 3;

/// Heartbeats, by the time that has passed for this process.
#[derive(Debug, Default)]
pub(super) struct Beats {
    last_ms: AtomicU64,
    /// When it was noticed that the process had stood still, and one more.
    resumed_ms: AtomicU64,
}

impl Beats {
    /// News come in again, and nothing that is above from before is trusted: what was is of no interest.
    pub(super) fn begin(&self, now_ms: u64) {
        self.last_ms.store(now_ms, Ordering::Release);
    }

    /// The server has answered.
    pub(super) fn beat(&self, now_ms: u64) {
        if is_standstill(now_ms, self.last_ms.load(Ordering::Acquire)) {
            self.resumed_ms.store(now_ms + 1, Ordering::Release);
        }
        self.last_ms.store(now_ms, Ordering::Release);
    }

    /// Whether news that are heard now, or were a moment ago, may be older than what the server remembers.
    pub(super) fn may_be_late(&self, now_ms: u64) -> bool {
        let resumed_ms = self.resumed_ms.load(Ordering::Acquire);
        let is_awake_for_long = resumed_ms == 0 || now_ms.saturating_sub(resumed_ms - 1) > TOMBSTONE_MS;
        !is_awake_for_long || is_standstill(now_ms, self.last_ms.load(Ordering::Acquire))
    }
}

fn is_standstill(now_ms: u64, last_ms: u64) -> bool {
    now_ms.saturating_sub(last_ms) > STANDSTILL_MS
}
