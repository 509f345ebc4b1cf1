//! When an entry was stored and how long it may serve.
//!
//! On paper times are Unix milliseconds, since processes share entries. In a process they are milliseconds of the
//! cache's own monotonic clock, and an [`Anchor`] is the distance between the two, taken once and then fixed: what is
//! written and read back through the same anchor is unchanged, however the system's time jumps meanwhile.

/// The latest time of a cache's clock. Compared with the clock's own limit where both are in sight.
pub(crate) const CLOCK_MS_MAX: u64 = (1 << 42) - 1;

/// The times of an entry, in milliseconds. Which clock's depends on where it stands: Unix time in an entry's bytes, the
/// cache's clock beside a decoded one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Times {
    /// When it was stored; 0 if nobody knows.
    pub(crate) stored_at_ms: u64,
    /// From when on it is not fresh; 0 for never.
    pub(crate) fresh_until_ms: u64,
    /// From when on it may serve nobody: never earlier than `fresh_until_ms`, and 0 for never if that is.
    pub(crate) stale_until_ms: u64,
}

impl Times {
    /// The same with an end of the stale window that lies where it may.
    pub(crate) fn ordered(self) -> Times {
        let stale_until_ms = if self.fresh_until_ms == 0 { 0 } else { self.stale_until_ms.max(self.fresh_until_ms) };
        Times { stale_until_ms, ..self }
    }
}

/// Where the zero of a cache's clock lies in Unix time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    unix_ms_at_zero: u64,
}

impl Anchor {
    /// For entries that never leave the process: their times stay the clock's.
    pub(crate) const PROCESS: Anchor = Anchor { unix_ms_at_zero: 0 };

    /// From one moment read on both clocks.
    pub(crate) fn new(clock_ms: u64, unix_ms: u64) -> Anchor {
        Anchor { unix_ms_at_zero: unix_ms.saturating_sub(clock_ms) }
    }

    /// Times of the clock as Unix times.
    pub(crate) fn to_unix(self, times: Times) -> Times {
        self.each(times, |ms| ms.saturating_add(self.unix_ms_at_zero))
    }

    /// Unix times as times of the clock. What lies before the clock's start becomes its first millisecond, which is
    /// past; what lies beyond its end becomes its last.
    pub(crate) fn to_clock(self, times: Times) -> Times {
        self.each(times, |ms| ms.saturating_sub(self.unix_ms_at_zero).clamp(1, CLOCK_MS_MAX))
    }

    /// A time of the clock as Unix time.
    pub(crate) fn unix_ms(self, clock_ms: u64) -> u64 {
        clock_ms.saturating_add(self.unix_ms_at_zero)
    }

    fn each(self, times: Times, convert: impl Fn(u64) -> u64) -> Times {
        let known = |ms: u64| if ms == 0 { 0 } else { convert(ms) };
        Times {
            stored_at_ms: known(times.stored_at_ms),
            fresh_until_ms: known(times.fresh_until_ms),
            stale_until_ms: known(times.stale_until_ms),
        }
    }
}
