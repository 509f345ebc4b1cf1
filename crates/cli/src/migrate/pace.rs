//! How fast keys and bytes may go: after each batch the next one is held back until the rate allows what is gone. It keeps no
//! clock: it is told what time it is, and says how long to wait.

use std::time::Duration;

/// Rates that hold on the mean, with one batch as the burst.
#[derive(Debug)]
pub(super) struct Pace {
    keys: Option<u64>,
    bytes: Option<u64>,
    /// Nothing more before this.
    next_at: Duration,
    pub(super) held_back: Duration,
}

impl Pace {
    /// Per second; `None` is no limit.
    pub(super) fn new(keys: Option<u64>, bytes: Option<u64>) -> Pace {
        Pace { keys, bytes, next_at: Duration::ZERO, held_back: Duration::ZERO }
    }

    /// Keys of a batch that is not larger than a tenth of a second's worth, so that it does not go by jerks.
    pub(super) fn batch(&self, wanted: u64) -> u64 {
        self.keys.map_or(wanted, |keys| wanted.min((keys / 10).max(1)))
    }

    /// So much went at `now`.
    pub(super) fn charge(&mut self, keys: u64, bytes: u64, now: Duration) {
        let cost = share(keys, self.keys).max(share(bytes, self.bytes));
        self.next_at = self.next_at.max(now).saturating_add(cost);
    }

    /// How long to wait at `now`.
    pub(super) fn wait(&mut self, now: Duration) -> Duration {
        let wait = self.next_at.saturating_sub(now);
        self.held_back = self.held_back.saturating_add(wait);
        wait
    }
}

/// The time that `count` takes at so many per second.
fn share(count: u64, rate: Option<u64>) -> Duration {
    let Some(rate) = rate else { return Duration::ZERO };
    let nanos = u128::from(count).saturating_mul(1_000_000_000) / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
