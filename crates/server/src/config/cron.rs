//! `snapshot-cron`: five cron fields in UTC, and when they match next.

use chrono::DateTime;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

/// When snapshots are due.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
}

impl Schedule {
    /// Reads the fields; `None` for an empty text. The error says what would be right.
    pub(crate) fn parse(text: &str) -> Result<Option<Schedule>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        match parser.parse(text) {
            Ok(cron) => Ok(Some(Schedule { cron })),
            Err(error) => {
                Err(format!("it takes five cron fields, such as '0 4 * * *' for 04:00 UTC every day: {error}"))
            }
        }
    }

    /// Whether a snapshot became due after `since_ms` and not after `now_ms`. Several such moments are one snapshot.
    pub fn is_due(&self, since_ms: u64, now_ms: u64) -> bool {
        self.next_ms(since_ms).is_some_and(|next_ms| next_ms <= now_ms)
    }

    /// The first moment after `now_ms` (Unix milliseconds) at which a snapshot is due; `None` when there is none.
    pub fn next_ms(&self, now_ms: u64) -> Option<u64> {
        let now = DateTime::from_timestamp_millis(i64::try_from(now_ms).ok()?)?;
        let next = self.cron.find_next_occurrence(&now, false).ok()?;
        u64::try_from(next.timestamp_millis()).ok()
    }
}
