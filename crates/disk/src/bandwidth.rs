//! How fast the log may be written: a bucket of time.
//!
//! A write of n bytes uses up n / rate of the device's time. `free_at` is when all that was taken so far is paid for; a write begins
//! then. Time that nobody used is kept for [`BURST`], so that a writer that comes in gulps has its rate on average.
//!
//! **Invariant:** in any span of time t, writes of at most rate x (t + `BURST`) bytes begin, and one more. Knows no clock: now is given.

use std::time::Duration;

/// How much unused time is kept.
const BURST: Duration = Duration::from_millis(100);

/// Lets bytes through at a rate.
#[derive(Clone, Debug)]
pub(crate) struct Bandwidth {
    bytes_per_second: u64,
    free_at: Duration,
}

impl Bandwidth {
    /// So many bytes a second; 0 counts as 1.
    pub(crate) fn new(bytes_per_second: u64) -> Bandwidth {
        Bandwidth { bytes_per_second: bytes_per_second.max(1), free_at: Duration::ZERO }
    }

    /// How long to wait before the next write. `now` is since any instant, the same each time.
    pub(crate) fn wait(&self, now: Duration) -> Duration {
        self.free_at.saturating_sub(now)
    }

    /// Takes the time that a write of so many bytes needs, which begins now.
    pub(crate) fn spend(&mut self, bytes: u64, now: Duration) {
        let start = self.free_at.max(now.saturating_sub(BURST));
        self.free_at = start.saturating_add(self.time_of(bytes));
    }

    fn time_of(&self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests;
