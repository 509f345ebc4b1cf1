//! The shared tier beside its peers: processes that share one server.
//!
//! A turn is a process of its own (`turn.rs`), so that its CPU time is the client's alone; where several processes take part
//! (`together.rs`), they are turns too, and this one tells them when to begin. Turns are repeated in rounds that interleave the
//! subjects; what is reported is the median, unless the case says otherwise.

mod clients;
mod family;
mod invalidation;
mod memory_hits;
mod ours;
mod stampede;
mod store;
mod subject;
#[cfg(feature = "shared-peers")]
mod tiered;
mod traffic;
mod turn;

pub(crate) use turn::{Arguments as TurnArguments, run as run_turn};

use crate::report::Report;
use crate::server;
use crate::turns::{self, Figures};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use subject::{SUBJECTS, Subject};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to write the rows.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only cases whose name starts so. Repeatable.
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    case: Vec<String>,
    /// Only these subjects: `scrubjay,redis`.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    subject: Vec<String>,
    /// How often each subject has its turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Another server than Debian's redis-server: the binary of ours.
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    scrubjay: Option<PathBuf>,
    /// A server that is there already. Keys are written to it, which go after an hour.
    #[arg(long)]
    url: Option<String>,
    /// A smoke run.
    #[arg(long)]
    quick: bool,
}

/// Cases that are measured in one turn.
struct Group {
    name: &'static str,
    /// Beginnings of the names of its rows.
    cases: &'static [&'static str],
    /// Whether the subject's keys must be there before.
    is_filled: bool,
    /// Who takes part.
    takes: fn(&Subject) -> bool,
}

const GROUPS: &[Group] = &[
    Group {
        name: "memory-hit/tracking-on",
        cases: &["memory-hit/tracking-on"],
        is_filled: false,
        takes: |s| s.is_told,
    },
    Group {
        name: "memory-hit/tracking-off",
        cases: &["memory-hit/tracking-off"],
        is_filled: false,
        takes: |s| s.is_unaware,
    },
    Group { name: "traffic/100", cases: traffic::CASES, is_filled: true, takes: |_| true },
    Group { name: "traffic/1024", cases: traffic::CASES, is_filled: true, takes: |_| true },
    Group { name: "invalidation", cases: &["invalidation"], is_filled: false, takes: |s| s.keeps },
    Group { name: "stampede", cases: &["stampede"], is_filled: false, takes: |_| true },
];

/// A turn that lasts longer is a failure.
const TURN_MAX: Duration = Duration::from_secs(120);

/// Where the turns find what they measure.
struct Stand {
    url: String,
    /// The server's process, if it is ours to look at.
    server: Option<server::Running>,
    is_quick: bool,
}

impl Stand {
    fn begin(arguments: &Arguments) -> anyhow::Result<Stand> {
        if let Some(url) = &arguments.url {
            return Ok(Stand { url: url.clone(), server: None, is_quick: arguments.quick });
        }
        let server = match &arguments.scrubjay {
            Some(binary) => server::Subject::scrubjay(binary.clone(), None),
            None => server::Subject::peer("redis=redis-server")?,
        };
        let server = server.start()?;
        let url = format!("redis://127.0.0.1:{}/", server.port);
        Ok(Stand { url, server: Some(server), is_quick: arguments.quick })
    }

    /// The command that runs a turn of `subject`.
    fn turn(&self, group: &str, subject: &Subject) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env("RUST_BACKTRACE", "0").args(["shared-turn", group, "--subject", subject.name]);
        // Not as an argument, which every user of the machine could read: a password may be in it.
        command.env(turn::URL, &self.url);
        if let Some(server) = &self.server {
            command.args(["--server", &server.id().to_string()]);
        }
        if self.is_quick {
            command.arg("--quick");
        }
        Ok(command)
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    for name in &arguments.subject {
        subject::subject(name)?;
    }
    let is_wanted =
        |subject: &&Subject| arguments.subject.is_empty() || arguments.subject.iter().any(|name| name == subject.name);
    let subjects: Vec<&'static Subject> = SUBJECTS.iter().filter(is_wanted).collect();
    let names: Vec<&'static str> = SUBJECTS.iter().map(|subject| subject.name).collect();
    let wants =
        |case: &str| arguments.case.is_empty() || arguments.case.iter().any(|prefix| case.starts_with(prefix.as_str()));
    let stand = Stand::begin(arguments)?;
    let (mut report, mut failures) = (Report::beginning_with(&names), Vec::new());
    for group in GROUPS {
        // A prefix may be shorter than a case's name, or as long as the name of a row of it.
        let is_asked_for = |case: &&str| wants(case) || arguments.case.iter().any(|prefix| prefix.starts_with(case));
        if !group.cases.iter().any(is_asked_for) {
            continue;
        }
        let takers: Vec<_> = subjects.iter().filter(|subject| (group.takes)(subject)).copied().collect();
        let mut figures = Figures::default();
        let rounds = if arguments.quick { 1 } else { arguments.rounds };
        for round in 0..rounds {
            for turn in 0..takers.len() {
                let subject = takers[(turn + round) % takers.len()];
                eprintln!("{} {}", group.name, subject.name);
                if let Err(error) = take_turn(&stand, group, subject, round, arguments, &mut figures) {
                    let failure = format!("{}: {}: {error:#}", group.name, subject.name);
                    eprintln!("{failure}");
                    failures.push(failure);
                }
            }
        }
        figures.report(&names, &wants, &mut report);
    }
    report.finish(arguments.json.as_deref(), arguments.quick.then_some("a tenth of the keys, for moments"))?;
    anyhow::ensure!(failures.is_empty(), "failed: {}", failures.join("; "));
    Ok(())
}

/// Has the keys written that the turns of the group read, by a process that ends before they begin.
fn fill(stand: &Stand, group: &str, subject: &Subject) -> anyhow::Result<()> {
    let (status, _) = turns::run(stand.turn(group, subject)?.arg("--fill"), TURN_MAX)?;
    anyhow::ensure!(status.success(), "filling: {status}");
    Ok(())
}

fn take_turn(
    stand: &Stand,
    group: &Group,
    subject: &'static Subject,
    round: usize,
    arguments: &Arguments,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    match group.name {
        "invalidation" => return invalidation::run(stand, subject, figures),
        "stampede" => return stampede::run(stand, subject, figures),
        _ => {}
    }
    if group.is_filled && round == 0 {
        fill(stand, group.name, subject)?;
    }
    let mut turn = stand.turn(group.name, subject)?;
    for case in &arguments.case {
        turn.args(["--case", case]);
    }
    let (status, text) = turns::run(&mut turn, TURN_MAX)?;
    anyhow::ensure!(status.success(), "{status}");
    figures.take(subject.name, &text)
}
