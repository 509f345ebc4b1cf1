//! Until when an entry is fresh, when its refresh is due, and how long it may serve at all.

use super::Shared;
use super::settings::millis;
use crate::clock::TIME_MS_MAX;
use crate::entry::Times;
use crate::error::Error;
use crate::limits::milliseconds;
use crate::options::EntryOptions;
use crate::stored::Stored;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Random parts of a time to live, so that entries which came together do not go together.
pub(super) struct Jitter {
    hasher: ahash::RandomState,
    count: AtomicU64,
}

impl Jitter {
    pub(super) fn new() -> Jitter {
        Jitter { hasher: ahash::RandomState::new(), count: AtomicU64::new(0) }
    }

    /// `ttl_ms` less a random part of it, `part` at most; never 0.
    fn shorten(&self, ttl_ms: u64, part: f64) -> u64 {
        if part <= 0.0 {
            return ttl_ms;
        }
        let random = self.hasher.hash_one(self.count.fetch_add(1, Ordering::Relaxed));
        let fraction = f64::from(u32::try_from(random >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        let less = Duration::from_millis(ttl_ms).mul_f64(part * fraction);
        (ttl_ms - millis(less).min(ttl_ms)).max(1)
    }
}

impl<K, V> Shared<K, V> {
    /// The times of an entry that is stored now. The absence of a value has no grace.
    pub(super) fn times(&self, options: &EntryOptions, is_value: bool) -> Result<Times, Error> {
        let ttl_ms = match options.time_to_live {
            Some(ttl) => milliseconds("time_to_live of the entry", ttl)?,
            None if is_value => self.settings.time_to_live_ms,
            None => self.settings.negative_ttl_ms,
        };
        if ttl_ms == 0 {
            return Ok(Times::default());
        }
        let stored_at_ms = self.clock.now_ms();
        let ttl_ms = self.jitter.shorten(ttl_ms, self.settings.ttl_jitter);
        let fresh_until_ms = stored_at_ms.saturating_add(ttl_ms).min(TIME_MS_MAX);
        let grace_ms = if is_value { self.settings.grace_ms() } else { 0 };
        let stale_until_ms = fresh_until_ms.saturating_add(grace_ms).min(TIME_MS_MAX);
        Ok(Times { stored_at_ms, fresh_until_ms, stale_until_ms })
    }

    /// From when on a hit on an entry with these times is more than a hit.
    pub(super) fn due_ms(&self, times: &Times, is_value: bool) -> u64 {
        let Times { stored_at_ms, fresh_until_ms, stale_until_ms } = times.ordered();
        if fresh_until_ms == 0 {
            return 0;
        }
        if is_value && self.settings.refresh_ahead > 0.0 && stored_at_ms > 0 {
            let ttl = Duration::from_millis(fresh_until_ms.saturating_sub(stored_at_ms));
            return stored_at_ms + millis(ttl.mul_f64(self.settings.refresh_ahead));
        }
        if stale_until_ms > fresh_until_ms { fresh_until_ms } else { 0 }
    }

    /// The times of an entry in memory. When it was stored is known only if its refresh hangs on that.
    pub(super) fn times_of(&self, stored: &Stored<V>, deadline_ms: u64) -> Times {
        let Stored { fresh_until_ms, due_ms, .. } = *stored;
        let mut stored_at_ms = 0;
        if self.settings.refresh_ahead > 0.0 && (1..fresh_until_ms).contains(&due_ms) {
            let rest = Duration::from_millis(fresh_until_ms - due_ms);
            stored_at_ms =
                fresh_until_ms.saturating_sub(millis(rest.div_f64(1.0 - self.settings.refresh_ahead))).max(1);
        }
        Times { stored_at_ms, fresh_until_ms, stale_until_ms: deadline_ms }
    }
}
