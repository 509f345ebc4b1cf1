//! Settings of the log, the slow log, latency monitoring and the admin listener.

use super::check;
use super::setting::{Setting, int, one_of, text, words, yes_no};

/// The levels of `loglevel`, the most talkative first.
pub(crate) const LEVELS: &[&str] = &["debug", "verbose", "notice", "warning", "nothing"];

pub(crate) static ROWS: &[Setting] = &[
    one_of("loglevel", LEVELS, "notice", "The least important lines that are still logged."),
    text("logfile", "", "File that the log is appended to; empty is standard output.").at_start(),
    text("pidfile", "", "File that holds the process' number while the server runs; empty is none.").at_start(),
    int(
        "slowlog-log-slower-than",
        -1,
        i64::MAX,
        "10000",
        "Microseconds from which on a command enters the slow log; 0 is every command, -1 none.",
    ),
    int("slowlog-max-len", 0, i64::MAX, "128", "Entries that the slow log keeps."),
    int(
        "latency-monitor-threshold",
        0,
        i64::MAX,
        "0",
        "Milliseconds from which on an event enters the latency monitor; 0 watches nothing.",
    ),
    yes_no("latency-tracking", "yes", "Whether INFO latencystats knows how long each command took."),
    words("latency-tracking-info-percentiles", "50 99 99.9", "The percentiles that INFO latencystats shows.")
        .check(check::percentiles),
    text("admin-bind", "127.0.0.1", "Address of the admin listener (`/metrics`, `/healthz`, `/readyz`, `/info`).")
        .at_start(),
    int("admin-port", 0, 65_535, "9121", "Port of the admin listener; 0 turns it off.").at_start(),
];
