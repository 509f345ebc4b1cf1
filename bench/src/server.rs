//! The server beside its peers: each file is one thing that is measured, over the wire, as its users do.

mod growth;
mod load;
mod memory;
mod slow_reader;
mod speed;
mod subject;
mod wire;

pub(crate) use subject::{Running, Subject, cpu_ns_of};

use crate::report::Report;
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The binary of ours.
    #[arg(long, value_name = "PATH")]
    scrubjay: PathBuf,
    /// Where to write the rows.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A further server that speaks Redis' protocol.
    #[arg(long, value_name = "NAME=PATH")]
    peer: Vec<String>,
    /// Only cases whose name starts so.
    #[arg(long, value_name = "PREFIX")]
    case: Vec<String>,
    /// A smoke run.
    #[arg(long)]
    quick: bool,
}

/// How much of everything.
struct Scale {
    keys: u64,
    rounds: usize,
    duration: Duration,
    is_quick: bool,
    /// Beginnings of the names of the cases that were asked for; all when empty.
    cases: Vec<String>,
}

impl Scale {
    fn wants(&self, case: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|prefix| case.starts_with(prefix.as_str()))
    }
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let (keys, rounds, duration) = match arguments.quick {
        true => (50_000, 1, Duration::from_millis(200)),
        false => (1_000_000, 5, Duration::from_millis(1500)),
    };
    let scale = Scale { keys, rounds, duration, is_quick: arguments.quick, cases: arguments.case };
    let mut subjects = vec![
        Subject::scrubjay(arguments.scrubjay.clone(), None),
        Subject::scrubjay(arguments.scrubjay, Some(1)),
        Subject::peer("redis=redis-server")?,
        Subject::memcached(),
    ];
    for peer in &arguments.peer {
        subjects.push(Subject::peer(peer)?);
    }
    let mut report = Report::default();
    speed::run(&subjects, &scale, &mut report)?;
    memory::run(&subjects, &scale, &mut report)?;
    growth::run(&scale, &mut report)?;
    slow_reader::run(&subjects, &scale, &mut report)?;
    report.finish(arguments.json.as_deref(), arguments.quick.then_some("a twentieth of the keys"))
}
