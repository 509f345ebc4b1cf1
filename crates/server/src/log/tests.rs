//! Lines of the log: their form, and which are written.

use super::{Level, Log, format_line};
use crate::config::Config;

#[test]
fn a_line_is_time_level_and_message_on_one_line() {
    let line = format_line(Level::Warning, 1_700_000_000_123, "client 'a\r\nb' left");
    assert_eq!(line, "2023-11-14T22:13:20.123Z warning client 'a  b' left\n");
}

#[test]
fn lines_below_loglevel_are_not_written_and_the_level_changes_live() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.log");
    let config = Config::with([("logfile", path.to_str().unwrap())]).unwrap();
    let log = Log::open(&config).unwrap();
    let all = [Level::Verbose, Level::Notice, Level::Warning];
    let written = |loglevel: &str| {
        let before = std::fs::read_to_string(&path).unwrap().lines().count();
        config.set_at_start("loglevel", loglevel).unwrap();
        all.into_iter().for_each(|level| log.line(&config, level, 0, "x"));
        std::fs::read_to_string(&path).unwrap().lines().count() - before
    };
    let counts = ["debug", "verbose", "notice", "warning", "nothing"].map(written);
    assert_eq!(counts, [3, 3, 2, 1, 0]);
}

#[test]
fn a_log_that_cannot_be_opened_names_the_setting_and_the_file() {
    let config = Config::with([("logfile", "/nowhere/at/all.log")]).unwrap();
    let error = Log::open(&config).unwrap_err();
    assert!(error.to_string().starts_with("logfile: '/nowhere/at/all.log': "), "{error}");
}
