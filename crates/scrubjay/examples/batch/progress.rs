//! A line of progress on standard error: written over itself on a terminal, once a second elsewhere.

use scrubjay::Stats;
use std::io::{IsTerminal, Write};
use std::time::Duration;
use tokio::time::Instant;

/// How far the job is, since when.
pub(crate) struct Progress {
    rows: u64,
    began: Instant,
    shown: Instant,
    is_terminal: bool,
}

impl Progress {
    pub(crate) fn new(rows: u64) -> Progress {
        let began = Instant::now();
        Progress { rows, began, shown: began, is_terminal: std::io::stderr().is_terminal() }
    }

    /// Some more are done. Shown only if the last line is old enough.
    pub(crate) fn shows(&mut self, rows_done: u64, stats: &Stats) {
        let every = Duration::from_millis(if self.is_terminal { 100 } else { 1_000 });
        if self.shown.elapsed() >= every {
            self.shown = Instant::now();
            self.write(&self.line(rows_done, self.began.elapsed(), stats), self.is_terminal);
        }
    }

    /// The last line stays.
    pub(crate) fn ends(&self, rows_done: u64, stats: &Stats) {
        self.write(&self.line(rows_done, self.began.elapsed(), stats), false);
    }

    /// `120000/400000 rows  30 %  65000 rows/s  hits 83.1 %  240 loads  eta 0:04`
    pub(crate) fn line(&self, rows_done: u64, took: Duration, stats: &Stats) -> String {
        let rows = self.rows;
        let percent = (rows_done * 100).checked_div(rows).unwrap_or(100);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = rows_done.saturating_mul(1_000) / took_ms;
        let eta = ((rows - rows_done) * 1_000).checked_div(rate).map_or("?".to_owned(), |ms| {
            let seconds = ms.div_ceil(1_000);
            format!("{}:{:02}", seconds / 60, seconds % 60)
        });
        let (hits, loads) = (100.0 * stats.hit_ratio(), stats.loads);
        format!("{rows_done}/{rows} rows {percent:>3} %  {rate} rows/s  hits {hits:.1} %  {loads} loads  eta {eta}")
    }

    fn write(&self, line: &str, is_overwritten: bool) {
        let mut stderr = std::io::stderr();
        // To the start of the line and clear it; where nobody reads, nobody misses it.
        let _ = match (self.is_terminal, is_overwritten) {
            (true, true) => write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush()),
            (true, false) => writeln!(stderr, "\r\x1b[K{line}"),
            (false, _) => writeln!(stderr, "{line}"),
        };
    }
}
