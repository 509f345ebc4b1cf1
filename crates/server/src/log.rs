//! The log: one line per event, `2026-11-21T03:17:00.123Z notice message`, appended to `logfile` or written to standard output.
//!
//! A line is one write, so lines of several threads never mix; what cannot be written is dropped, since a full disk must not
//! stop the server. The log knows no clock: the caller's time stamps the line.

#[cfg(test)]
mod tests;

use crate::config::Config;
use chrono::{DateTime, SecondsFormat};
use parking_lot::Mutex;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::Write;

/// How much a line matters, in Redis' words. The numbers are those of `loglevel`; nothing is said at `debug` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Verbose = 1,
    Notice,
    Warning,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Verbose => "verbose",
            Level::Notice => "notice",
            Level::Warning => "warning",
        }
    }
}

/// Where lines go.
#[derive(Debug)]
pub(crate) struct Log {
    /// `None` is standard output.
    file: Option<Mutex<File>>,
}

impl Log {
    /// Opens the log that `config` names. Fails when its file cannot be appended to.
    pub(crate) fn open(config: &Config) -> std::io::Result<Log> {
        let Some(path) = config.logfile() else { return Ok(Log { file: None }) };
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file =
            file.map_err(|error| std::io::Error::new(error.kind(), format!("logfile: '{}': {error}", path.display())))?;
        Ok(Log { file: Some(Mutex::new(file)) })
    }

    /// Writes one line, when `loglevel` asks for `level`. Line ends inside of `message` become blanks.
    pub(crate) fn line(&self, config: &Config, level: Level, now_ms: u64, message: impl Display) {
        if (level as u8) < config.loglevel() {
            return;
        }
        let line = format_line(level, now_ms, message);
        // There is nowhere left to say that the log cannot be written.
        let _ = match &self.file {
            Some(file) => file.lock().write_all(line.as_bytes()),
            None => std::io::stdout().lock().write_all(line.as_bytes()),
        };
    }
}

fn format_line(level: Level, now_ms: u64, message: impl Display) -> String {
    let time = i64::try_from(now_ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default();
    let message = message.to_string().replace(|letter: char| letter.is_control(), " ");
    format!("{} {} {message}\n", time.to_rfc3339_opts(SecondsFormat::Millis, true), level.name())
}
