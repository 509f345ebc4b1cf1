//! The only place that reads a clock, so that tests (and users' tests) can hold it.
//!
//! Time is milliseconds since the clock was made, from 1 on: 0 is free to mean "never". A reading of the
//! system's clock costs 30 ns, so nobody asks it about what has no time.
//!
//! What leaves the process carries Unix time. Where a clock's zero lies in it is read once, when the clock is made, so that
//! the system's time may jump meanwhile. Of a clock that is held a test says it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::time::{Instant, SystemTime};

/// The latest time that a clock can say, in milliseconds: 2^42 - 1, 139 years after its start.
pub(crate) const TIME_MS_MAX: u64 = (1 << 42) - 1;

/// Where a cache takes its time from: the system, or a test that holds it.
///
/// ```
/// use scrubjay::{Clock, Memory, MemoryCache};
/// use std::time::Duration;
///
/// let clock = Clock::held();
/// let builder = MemoryCache::builder().memory(Memory::bytes(1 << 20)).clock(clock.clone());
/// let codes: MemoryCache<String, u32> = builder.time_to_live(Duration::from_secs(60)).build()?;
/// codes.insert("Ada".into(), 1815)?;
/// clock.advance(Duration::from_secs(59));
/// assert_eq!(codes.get("Ada"), Some(1815));
/// clock.advance(Duration::from_secs(1));
/// assert_eq!(codes.get("Ada"), None);
/// # Ok::<(), scrubjay::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    System { start: Instant, unix_ms: u64 },
    Held { now: Arc<AtomicU64>, unix_ms: u64 },
    Tokio { start: tokio::time::Instant, unix_ms: u64 },
}

/// Where a clock that is held begins unless somebody says it: the first moment of 2026.
const HELD_UNIX_MS: u64 = 1_767_225_600_000;

impl Clock {
    /// The system's monotonic clock.
    #[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
    pub fn system() -> Clock {
        Clock { source: Source::System { start: Instant::now(), unix_ms: unix_ms() } }
    }

    /// A clock that stands still until [`advance`](Clock::advance): for tests. Clones share the time. It begins with the year
    /// 2026, whenever it is made, which only matters to tiers that outlive their cache: give the clock of the one cache to the
    /// other that opens its files, or say with [`held_at`](Clock::held_at) how much later that is.
    pub fn held() -> Clock {
        Clock::held_at(Duration::from_millis(HELD_UNIX_MS))
    }

    /// The same, and what time it is when it begins, since the beginning of 1970.
    ///
    /// ```
    /// # use scrubjay::{Cache, Clock, Memory};
    /// # use std::time::Duration;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let new_year = Duration::from_secs(1_798_761_600);
    /// let clock = Clock::held_at(new_year);
    /// let cache: Cache<u64, u64> =
    ///     Cache::builder("years").memory(Memory::bytes(1 << 20)).clock(clock).build().await?;
    /// # cache.insert(2027, 1).await?;
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn held_at(since_1970: Duration) -> Clock {
        let unix_ms = u64::try_from(since_1970.as_millis()).unwrap_or(TIME_MS_MAX).min(TIME_MS_MAX);
        Clock { source: Source::Held { now: Arc::new(AtomicU64::new(1)), unix_ms } }
    }

    /// A clock that goes with the timers of the tokio runtime in which it is made and asked: for tests with tokio's paused
    /// time, where an entry's time to live and a load's timeouts then pass together, by `tokio::time::advance`. (With a
    /// [held](Clock::held) clock they pass apart: timeouts are tokio's timers.) Elsewhere it is the system's clock, read slowly.
    pub fn tokio() -> Clock {
        Clock { source: Source::Tokio { start: tokio::time::Instant::now(), unix_ms: unix_ms() } }
    }

    /// Moves a held clock forward; the others are not ours to move, and stay.
    pub fn advance(&self, by: Duration) {
        if let Source::Held { now, .. } = &self.source {
            now.fetch_add(u64::try_from(by.as_millis()).unwrap_or(TIME_MS_MAX).min(TIME_MS_MAX), Ordering::AcqRel);
        }
    }

    /// Milliseconds since the clock's start, plus one.
    pub(crate) fn now_ms(&self) -> u64 {
        match &self.source {
            Source::System { start, .. } => u64::try_from(start.elapsed().as_millis()).unwrap_or(TIME_MS_MAX) + 1,
            Source::Held { now, .. } => now.load(Ordering::Acquire),
            Source::Tokio { start, .. } => u64::try_from(start.elapsed().as_millis()).unwrap_or(TIME_MS_MAX) + 1,
        }
    }

    /// The Unix time in milliseconds at which this clock was 0, which it never is.
    pub(crate) fn unix_ms_at_zero(&self) -> u64 {
        let (Source::System { unix_ms, .. } | Source::Held { unix_ms, .. } | Source::Tokio { unix_ms, .. }) =
            &self.source;
        // It begins with 1.
        unix_ms.saturating_sub(1)
    }

    /// Whether `deadline_ms` is reached. 0 is never.
    #[inline]
    pub(crate) fn is_past(&self, deadline_ms: u64) -> bool {
        deadline_ms != 0 && self.now_ms() >= deadline_ms
    }

    /// For durations: how long something took.
    #[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
    pub(crate) fn instant(&self) -> Instant {
        match &self.source {
            Source::Tokio { .. } => tokio::time::Instant::now().into_std(),
            Source::System { .. } | Source::Held { .. } => Instant::now(),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
fn unix_ms() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_millis()).unwrap_or(TIME_MS_MAX)
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::system()
    }
}
