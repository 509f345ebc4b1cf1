//! `cargo xtask redis-suite`: Redis' own tests against the release server, in the mode that they call external.
//!
//! Each unit runs against a server of its own. Tests that cannot pass yet are in `tests/redis-suite/left-out.txt`, by name
//! and with the reason. **Invariant:** the suite itself is not in this repository; whoever runs this has it.

use crate::process::{self, cargo, is_installed};
use crate::server::Server;
use anyhow::{Context, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The units that say something about a server of strings.
const UNITS: &[&str] = &[
    "unit/type/string",
    "unit/type/incr",
    "unit/bitfield",
    "unit/bitops",
    "unit/dump",
    "unit/expire",
    "unit/info-command",
    "unit/introspection",
    "unit/introspection-2",
    "unit/keyspace",
    "unit/latency-monitor",
    "unit/multi",
    "unit/other",
    "unit/pause",
    "unit/protocol",
    "unit/quit",
    "unit/scan",
    "unit/slowlog",
];

/// Slow tests and those that want a replica or hundreds of megabytes.
const TAGS: &str = "-slow -needs:repl -large-memory";

/// Names of tests under the reason (`# ...`) why they are left out.
const LEFT_OUT: &str = "tests/redis-suite/left-out.txt";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A checkout of Redis 7.2.4: the folder with `tests/test_helper.tcl`.
    #[arg(long, value_name = "PATH")]
    suite: PathBuf,
    /// The units to run, all that apply when none is named.
    units: Vec<String>,
}

/// What became of the tests of one unit.
#[derive(Default)]
struct Tally {
    passed: usize,
    /// The suite's own words, a line each.
    failed: Vec<String>,
    /// How many were left out for which reason.
    skipped: BTreeMap<String, usize>,
    /// Left out by the suite: tests by tags, or whole blocks that do not apply in external mode.
    not_applicable: usize,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    ensure!(is_installed("tclsh"), "tclsh is missing; Debian has it in the package tcl");
    let suite = std::path::absolute(&arguments.suite)?;
    ensure!(suite.join("tests/test_helper.tcl").is_file(), "{} is no checkout of Redis", suite.display());
    process::run(cargo().args(["build", "--release", "--quiet", "--package", "scrubjay-cli"]))?;
    let left_out = std::fs::read_to_string(process::root().join(LEFT_OUT)).context(LEFT_OUT)?;
    let reasons = reasons(&left_out);
    let all: Vec<String> = UNITS.iter().map(|unit| (*unit).to_owned()).collect();
    let units = if arguments.units.is_empty() { &all } else { &arguments.units };
    println!("| unit | passed | failed | skipped | not in external mode, or slow |\n|---|---|---|---|---|");
    let mut failed = Vec::new();
    for unit in units {
        let tally = run_unit(&suite, unit, &reasons)?;
        println!("{}", row(unit, &tally));
        failed.extend(tally.failed.into_iter().map(|line| format!("{unit}: {line}")));
    }
    ensure!(failed.is_empty(), "{} tests failed\n{}", failed.len(), failed.join("\n"));
    Ok(())
}

/// The reason for every test that is left out.
fn reasons(left_out: &str) -> BTreeMap<&str, &str> {
    let mut reason = "";
    let mut reasons = BTreeMap::new();
    for line in left_out.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# ") {
            Some(text) => reason = text,
            None => drop(reasons.insert(line, reason)),
        }
    }
    reasons
}

fn run_unit(suite: &Path, unit: &str, reasons: &BTreeMap<&str, &str>) -> anyhow::Result<Tally> {
    let mut server = Server::start("target/release/scrubjay", &["--enable-debug-command", "yes"])?;
    let mut tests = Command::new("tclsh");
    tests.current_dir(suite).stdin(Stdio::null()).arg("tests/test_helper.tcl");
    tests.args(["--host", "127.0.0.1", "--port", &server.port.to_string(), "--clients", "1", "--timeout", "120"]);
    // Durable: an error is a failed test, not the end of the unit.
    tests.args(["--durable", "--tags", TAGS, "--skipfile"]).arg(process::root().join(LEFT_OUT));
    let output = tests.args(["--single", unit]).output().context("cannot start tclsh")?;
    let mut tally = tally(&String::from_utf8_lossy(&output.stdout), reasons);
    if server.has_ended() {
        tally.failed.push(format!("the server has ended; its log is {}", server.log_path().display()));
    } else if tally.failed.is_empty() {
        server.remove()?;
    }
    Ok(tally)
}

/// Reads what the suite prints: `[ok]: name (1 ms)`, in colours.
fn tally(output: &str, reasons: &BTreeMap<&str, &str>) -> Tally {
    let mut tally = Tally::default();
    let mut has_ended = false;
    for line in output.lines().map(without_colours) {
        let Some((status, text)) = line.strip_prefix('[').and_then(|line| line.split_once("]: ")) else {
            has_ended |= line.trim() == "The End";
            continue;
        };
        match status {
            "ok" => tally.passed += 1,
            "err" | "exception" | "TIMEOUT" => tally.failed.push(text.to_owned()),
            "skip" => *tally.skipped.entry(reasons.get(text).copied().unwrap_or_default().to_owned()).or_default() += 1,
            "ignore" => tally.not_applicable += 1,
            _ => {}
        }
    }
    if !has_ended && tally.failed.is_empty() {
        tally.failed.push("the suite did not come to its end".to_owned());
    }
    tally
}

/// A line without the terminal's colours.
fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    for (number, part) in line.split('\u{1b}').enumerate() {
        let behind = if number == 0 { part } else { part.split_once('m').map_or("", |(_, behind)| behind) };
        plain.push_str(behind);
    }
    plain
}

fn row(unit: &str, tally: &Tally) -> String {
    let skipped: Vec<String> = tally.skipped.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    let skipped = if skipped.is_empty() { "0".to_owned() } else { skipped.join("; ") };
    format!("| {unit} | {} | {} | {skipped} | {} |", tally.passed, tally.failed.len(), tally.not_applicable)
}
