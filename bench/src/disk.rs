//! The disk engine beside its peers.
//!
//! A turn is a process of its own (`child.rs`): one subject, one group of cases, an empty folder. So the process's CPU time,
//! its resident memory and what it wrote are the subject's alone. Turns of the groups that measure time are repeated in
//! rounds that interleave the subjects; what is reported is the median.

mod account;
mod amplification;
mod child;
mod engine;
mod hits;
mod load;
mod opening;
mod ours;
#[cfg(feature = "disk-peers")]
mod peers;
mod reclaim;
#[cfg(feature = "rocksdb")]
mod rocks;
mod speed;

pub(crate) use child::{Arguments as ChildArguments, run as run_child};

use crate::report::Report;
use crate::turns::{self, Figures};
use engine::{SUBJECTS, Subject};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to write the rows.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only cases whose name starts so. Repeatable.
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    case: Vec<String>,
    /// Only these subjects: `scrubjay,fjall`.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    subject: Vec<String>,
    /// How often each subject has its turn in the cases that measure time.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the data goes; a folder in it is made and removed.
    #[arg(long, value_name = "FOLDER", default_value = "target")]
    folder: PathBuf,
    /// Past the page cache, with the subjects that can: ours, foyer, `RocksDB`.
    #[arg(long)]
    direct: bool,
    /// A smoke run.
    #[arg(long)]
    quick: bool,
}

/// Cases that are measured together.
struct Group {
    name: &'static str,
    /// Beginnings of the names of its rows.
    cases: &'static [&'static str],
    is_repeated: bool,
    /// Only for subjects that hold themselves to a capacity.
    is_for_bounded: bool,
}

const GROUPS: &[Group] = &[
    group("speed/4096", &["put/4096", "hit/4096", "miss/4096"], true, false),
    group("speed/128", &["put/128", "hit/128", "miss/128"], true, false),
    group("speed/102400", &["put/102400", "hit/102400"], true, false),
    group("wamp/uniform80", &["wamp/uniform80"], false, false),
    group("wamp/cold", &["wamp/cold"], false, false),
    group("hitratio/zipf0.99", &["hitratio/zipf0.99"], false, true),
    group("hitratio/zipf0.8", &["hitratio/zipf0.8"], false, true),
    group("open/1M", &["open/1M", "memory/1M"], false, false),
    group("reclaim-p999/4096", &["reclaim-p999/4096"], false, true),
];

const fn group(name: &'static str, cases: &'static [&'static str], is_repeated: bool, is_for_bounded: bool) -> Group {
    Group { name, cases, is_repeated, is_for_bounded }
}

/// How often a store is opened that was filled once.
const OPENINGS: usize = 3;

/// A process that lasts longer is a failure.
const PROCESS_MAX: Duration = Duration::from_secs(300);

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let is_wanted =
        |subject: &&Subject| arguments.subject.is_empty() || arguments.subject.iter().any(|name| name == subject.name);
    let subjects: Vec<&Subject> = SUBJECTS.iter().filter(is_wanted).collect();
    for name in arguments.subject.iter().filter(|name| *name != "lru") {
        engine::subject(name)?;
    }
    let wants =
        |case: &str| arguments.case.is_empty() || arguments.case.iter().any(|prefix| case.starts_with(prefix.as_str()));
    let names: Vec<&str> = SUBJECTS.iter().map(|subject| subject.name).collect();
    let mut report = Report::default();
    let mut failures = Vec::new();
    for group in GROUPS {
        // A prefix may be shorter than a case's name, or as long as the name of a row of it.
        let is_asked_for = |case: &&str| wants(case) || arguments.case.iter().any(|prefix| prefix.starts_with(case));
        if !group.cases.iter().any(is_asked_for) {
            continue;
        }
        let mut figures = Figures::default();
        let takers: Vec<_> =
            subjects.iter().filter(|subject| subject.is_bounded || !group.is_for_bounded).copied().collect();
        for round in 0..if group.is_repeated { arguments.rounds } else { 1 } {
            for turn in 0..takers.len() {
                let subject = takers[(turn + round) % takers.len()];
                if let Err(error) = take_turn(arguments, group, subject, &mut figures) {
                    let failure = format!("{}: {}: {error:#}", group.name, subject.name);
                    eprintln!("{failure}");
                    failures.push(failure);
                }
            }
        }
        if let Some(exponent) = group.name.strip_prefix("hitratio/zipf") {
            figures.add(group.name, "lru", "%", hits::lru(arguments.quick, exponent)?);
        }
        figures.report(&names, &wants, &mut report);
    }
    report.finish(arguments.json.as_deref(), arguments.quick.then_some("a 32nd of everything"))?;
    anyhow::ensure!(failures.is_empty(), "failed: {}", failures.join("; "));
    Ok(())
}

/// One subject's turn in a group: a process, or several that follow each other.
fn take_turn(
    arguments: &Arguments,
    group: &Group,
    subject: &'static Subject,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let folder = std::path::absolute(&arguments.folder)?.join("scrubjay-bench-disk");
    let clear = || if folder.exists() { std::fs::remove_dir_all(&folder) } else { Ok(()) };
    clear()?;
    std::fs::create_dir_all(&folder)?;
    let result = if group.name.starts_with("open/") {
        opening::STEPS.iter().try_for_each(|step| {
            if step.starts_with("fill") {
                clear()?;
                std::fs::create_dir_all(&folder)?;
            }
            let times = if step.starts_with("open") { OPENINGS } else { 1 };
            (0..times).try_for_each(|_| process(arguments, group, subject, &folder, step, figures))
        })
    } else {
        process(arguments, group, subject, &folder, "", figures)
    };
    clear()?;
    result
}

/// Runs a process and takes its rows.
fn process(
    arguments: &Arguments,
    group: &Group,
    subject: &'static Subject,
    folder: &Path,
    step: &str,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    eprintln!("{} {} {step}", group.name, subject.name);
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env("RUST_BACKTRACE", "0")
        .args(["disk-turn", group.name, "--subject", subject.name, "--step", step, "--folder"])
        .arg(folder);
    if arguments.direct {
        command.arg("--direct");
    }
    if arguments.quick {
        command.arg("--quick");
    }
    let (status, text) = turns::run(&mut command, PROCESS_MAX)?;
    anyhow::ensure!(status.success() || step.ends_with("-kill") && status.code().is_none(), "{status}");
    figures.take(subject.name, &text)
}
