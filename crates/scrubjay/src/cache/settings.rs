//! The times and policies of a cache, validated once and fixed from then on.

use crate::clock::TIME_MS_MAX;
use crate::options::FailSafe;
use std::time::Duration;

/// What the builder was told, in the units that the cache counts in. Zero milliseconds stand for "not at all".
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    /// How long an entry is fresh; 0 for ever.
    pub(crate) time_to_live_ms: u64,
    /// How long the absence of a value is remembered; 0 not at all.
    pub(crate) negative_ttl_ms: u64,
    /// How long past its time an entry is still served while a refresh runs.
    pub(crate) stale_while_revalidate_ms: u64,
    /// The part of the time to live after which a hit starts a refresh; 0.0 never.
    pub(crate) refresh_ahead: f64,
    /// The part of the time to live by which it is shortened at most, at random.
    pub(crate) ttl_jitter: f64,
    pub(crate) fail_safe: Option<FailSafe>,
    pub(crate) error_backoff: Option<Duration>,
    pub(crate) soft_timeout: Option<Duration>,
    pub(crate) hard_timeout: Option<Duration>,
    /// Whether the time that a load took weighs in eviction.
    pub(crate) is_cost_measured: bool,
}

impl Settings {
    /// How long past its time an entry may serve anybody at all.
    pub(crate) fn grace_ms(&self) -> u64 {
        self.stale_while_revalidate_ms.max(self.max_stale_ms())
    }

    /// How long past its time an entry may serve when the loader fails or is slow.
    pub(crate) fn max_stale_ms(&self) -> u64 {
        self.fail_safe.as_ref().map_or(0, |fail_safe| millis(fail_safe.max_stale))
    }
}

/// Whole milliseconds, up to the end of the clock.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(TIME_MS_MAX).min(TIME_MS_MAX)
}
