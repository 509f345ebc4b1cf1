//! How far it is: a bar on a terminal, a line now and then elsewhere, both on standard error.

use super::report::Report;
use crate::clock::monotonic;
use crate::disk::words::{bytes, count};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

/// Lines come this often at most.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    verb: &'static str,
    total: u64,
    said_at: Duration,
}

impl Progress {
    /// About `total` keys are to come.
    pub(super) fn new(verb: &'static str, total: u64) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
            let template = "{bar:40} {percent:>3} %  {human_pos} of about {human_len} keys, {speed}, {eta} to go{msg}";
            let speed = |state: &ProgressState, line: &mut dyn Write| {
                let _ = write!(line, "{:.0}/s", state.per_sec());
            };
            let style = ProgressStyle::with_template(template);
            let style = style.map(|style| style.progress_chars("=> ").with_key("speed", speed));
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Progress { bar, verb, total, said_at: monotonic() }
    }

    pub(super) fn show(&mut self, report: &Report) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!(", {} copied", bytes(report.bytes)));
        }
        self.count(report.seen);
    }

    pub(super) fn count(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            // The source grows, or SCAN names a key twice.
            bar.set_length(self.total.max(done));
            bar.set_position(done);
            return;
        }
        let now = monotonic();
        if now.saturating_sub(self.said_at) >= LINE_EVERY {
            self.said_at = now;
            eprintln!("{} of about {} keys {}", count(done), count(self.total.max(done)), self.verb);
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
