//! How much in how much time.

use crate::error::Error;
use crate::limits::milliseconds;
use std::time::Duration;

/// So many at most, so that all sums of a script are whole numbers below 2^53.
const MOST_MAX: u64 = 1_000_000;
/// The longest window.
const WINDOW_MAX: Duration = Duration::from_secs(30 * 86_400);

/// How much may be spent in how much time, and what counts as that time.
///
/// ```
/// use scrubjay::coordination::Limit;
/// use std::time::Duration;
///
/// let minute = Duration::from_secs(60);
/// // Cheapest; around the end of a window twice as much may pass.
/// let fixed = Limit::fixed_window(100, minute);
/// // The last 60 seconds count, whenever one looks.
/// let sliding = Limit::sliding_window(100, minute);
/// // Evenly: one each 0.6 seconds, and 10 at once after a rest.
/// let even = Limit::token_bucket(10, 100, minute);
/// # let _ = (fixed, sliding, even);
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `most` in each window. Windows follow one another, and begin at whole multiples of their length of Unix time.
    FixedWindow {
        /// 1 to 1,000,000.
        most: u64,
        /// 1 millisecond to 30 days.
        window: Duration,
    },
    /// `most` in the window that ends now. Of the fixed window before, as much counts as the sliding one still covers, as if it had
    /// been spent evenly: constant memory for an error that is small where much is spent.
    SlidingWindow {
        /// 1 to 1,000,000.
        most: u64,
        /// 1 millisecond to 30 days.
        window: Duration,
    },
    /// A bucket of `burst` that fills at a rate of `rate` per `period` (GCRA: the same, said by times of arrival).
    TokenBucket {
        /// What may be spent at once when the bucket is full: 1 to 1,000,000.
        burst: u64,
        /// 1 to 1,000,000.
        rate: u64,
        /// 1 millisecond to 30 days.
        period: Duration,
    },
}

impl Limit {
    /// [`Limit::FixedWindow`].
    pub const fn fixed_window(most: u64, window: Duration) -> Limit {
        Limit::FixedWindow { most, window }
    }

    /// [`Limit::SlidingWindow`].
    pub const fn sliding_window(most: u64, window: Duration) -> Limit {
        Limit::SlidingWindow { most, window }
    }

    /// [`Limit::TokenBucket`].
    pub const fn token_bucket(burst: u64, rate: u64, period: Duration) -> Limit {
        Limit::TokenBucket { burst, rate, period }
    }

    /// What a key says of its limit.
    ///
    /// # Errors
    /// `Invalid`, with the field and the limit.
    pub(super) fn validate(self) -> Result<String, Error> {
        let (most, window_ms, rate) = self.numbers()?;
        for (field, number) in [("most", most), ("rate", rate)] {
            if !(1..=MOST_MAX).contains(&number) {
                return Err(Error::invalid(format!("limit.{field} is {number}, must be 1..={MOST_MAX}")));
            }
        }
        let (Limit::FixedWindow { window, .. } | Limit::SlidingWindow { window, .. }) = self else {
            let Limit::TokenBucket { period, .. } = self else { return Ok(String::new()) };
            check_window("period", period)?;
            return Ok(format!("b{most}.{rate}.{window_ms}"));
        };
        check_window("window", window)?;
        let kind = if matches!(self, Limit::FixedWindow { .. }) { 'f' } else { 's' };
        Ok(format!("{kind}{most}.{window_ms}"))
    }

    /// What is allowed at once, the window in milliseconds, and what comes back in it.
    pub(in crate::coordination) fn numbers(self) -> Result<(u64, u64, u64), Error> {
        match self {
            Limit::FixedWindow { most, window } | Limit::SlidingWindow { most, window } => {
                Ok((most, milliseconds("limit.window", window)?, most))
            }
            Limit::TokenBucket { burst, rate, period } => Ok((burst, milliseconds("limit.period", period)?, rate)),
        }
    }
}

fn check_window(field: &str, window: Duration) -> Result<(), Error> {
    if window > WINDOW_MAX {
        return Err(Error::invalid(format!("limit.{field} is {window:?}, must be 1ms..={WINDOW_MAX:?}")));
    }
    Ok(())
}
