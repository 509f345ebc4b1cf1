//! The library's memory tier beside its peers, in this process.
//!
//! A case is a race: every subject runs the same operations in rounds that interleave them, the order rotating. What the
//! subjects are called with stands in `store.rs`, one face for all of them.

mod asynchronous;
mod draw;
mod footprint;
mod keys;
mod ours;
#[cfg(feature = "peers")]
mod peers;
mod race;
mod speed;
mod store;

pub(crate) use draw::{Random, Zipf, mixed};
pub use footprint::fill_and_weigh;
pub(crate) use ours::Sharded;
#[cfg(feature = "peers")]
pub(crate) use peers::{FoyerLfu, FoyerS3Fifo, Moka, QuickCache};
pub(crate) use store::Store;

use crate::report::Report;
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where to write the rows.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only cases whose name starts so. Repeatable.
    #[arg(long, value_name = "PREFIX", value_delimiter = ',')]
    case: Vec<String>,
    /// Only these subjects: `scrubjay,quick_cache`.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    subject: Vec<String>,
    /// How often each subject has its turn.
    #[arg(long)]
    rounds: Option<usize>,
    /// How long a turn lasts.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// A smoke run.
    #[arg(long)]
    quick: bool,
}

/// How much of everything, and of what.
struct Scale {
    /// Keys of the cases in which everything fits, and what the others may hold.
    keys: usize,
    /// Keys of the cases in which not everything fits.
    keyspace: usize,
    /// Entries of the cases that measure bytes.
    entries: usize,
    rounds: usize,
    duration: Duration,
    /// Beginnings of the names of the cases that were asked for; all when empty.
    cases: Vec<String>,
    /// The subjects that were asked for; all when empty.
    subjects: Vec<String>,
}

impl Scale {
    fn wants(&self, case: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|prefix| case.starts_with(prefix.as_str()))
    }

    fn wants_subject(&self, name: &str) -> bool {
        self.subjects.is_empty() || self.subjects.iter().any(|subject| subject == name)
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let (keys, rounds, seconds) = if arguments.quick { (10_000, 1, 0.02) } else { (100_000, 5, 0.35) };
    let scale = Scale {
        keys,
        keyspace: keys * 10,
        entries: keys * 10,
        rounds: arguments.rounds.unwrap_or(rounds),
        duration: Duration::try_from_secs_f64(arguments.seconds.unwrap_or(seconds))?,
        cases: arguments.case.clone(),
        subjects: arguments.subject.clone(),
    };
    let mut report = Report::default();
    speed::run(&scale, &mut report)?;
    asynchronous::run(&scale, &mut report)?;
    footprint::run(&scale, &mut report)?;
    report.finish(arguments.json.as_deref(), arguments.quick.then_some("a tenth of the keys"))
}
