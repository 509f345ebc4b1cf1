//! The times of a cache as the builder was told them, and whether they go together.

use super::super::settings::Settings;
use crate::error::Error;
use crate::limits::milliseconds;
use crate::options::FailSafe;
use std::time::Duration;

/// The times as they were given.
#[derive(Debug, Default)]
pub(super) struct Times {
    pub(super) time_to_live: Option<Duration>,
    pub(super) negative_ttl: Option<Duration>,
    pub(super) stale_while_revalidate: Option<Duration>,
    pub(super) refresh_ahead: Option<f64>,
    pub(super) ttl_jitter: Option<f64>,
    pub(super) fail_safe: Option<FailSafe>,
    pub(super) error_backoff: Option<Duration>,
    pub(super) soft_timeout: Option<Duration>,
    pub(super) hard_timeout: Option<Duration>,
    pub(super) is_cost_measured: bool,
}

impl Times {
    /// # Errors
    /// Names the field and the limit.
    pub(super) fn validate(&self) -> Result<Settings, Error> {
        let ms = |field, time: Option<Duration>| time.map_or(Ok(0), |time| milliseconds(field, time));
        ms("error_backoff", self.error_backoff)?;
        ms("hard_timeout", self.hard_timeout)?;
        ms("soft_timeout", self.soft_timeout)?;
        ms("fail_safe.max_stale", self.fail_safe.map(|fail_safe| fail_safe.max_stale))?;
        if let Some(soft) = self.soft_timeout {
            if self.fail_safe.is_none() {
                return Err(Error::invalid(format!("soft_timeout is {soft:?}, must not be set without fail_safe")));
            }
            if let Some(hard) = self.hard_timeout
                && soft >= hard
            {
                return Err(Error::invalid(format!("soft_timeout is {soft:?}, must be below hard_timeout, {hard:?}")));
            }
        }
        let refresh_ahead = self.refresh_ahead.unwrap_or(0.0);
        if self.refresh_ahead.is_some() && !(refresh_ahead > 0.0 && refresh_ahead < 1.0) {
            return Err(Error::invalid(format!("refresh_ahead is {refresh_ahead}, must be above 0 and below 1")));
        }
        let ttl_jitter = self.ttl_jitter.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&ttl_jitter) {
            return Err(Error::invalid(format!("ttl_jitter is {ttl_jitter}, must be 0..=1")));
        }
        Ok(Settings {
            time_to_live_ms: ms("time_to_live", self.time_to_live)?,
            negative_ttl_ms: ms("negative_ttl", self.negative_ttl)?,
            stale_while_revalidate_ms: ms("stale_while_revalidate", self.stale_while_revalidate)?,
            refresh_ahead,
            ttl_jitter,
            fail_safe: self.fail_safe,
            error_backoff: self.error_backoff,
            soft_timeout: self.soft_timeout,
            hard_timeout: self.hard_timeout,
            is_cost_measured: self.is_cost_measured,
        })
    }
}
