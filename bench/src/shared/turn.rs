//! One subject in one group of cases, in a process of its own.

use super::store::{Setting, Store};
use super::subject::{Subject, subject};
use super::{invalidation, memory_hits, stampede, traffic};
use crate::server::cpu_ns_of;
use anyhow::Context;
use std::time::Duration;

/// The variable of the environment that says where the server is.
pub(super) const URL: &str = "SCRUBJAY_BENCH_URL";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The group of cases.
    group: String,
    /// Whom to measure.
    #[arg(long)]
    subject: String,
    /// The server's process, where it is known.
    #[arg(long, value_name = "PROCESS")]
    server: Option<u32>,
    /// Only cases whose name starts so.
    #[arg(long, value_name = "PREFIX")]
    case: Vec<String>,
    /// Writes the keys that the group reads, and measures nothing.
    #[arg(long)]
    fill: bool,
    #[arg(long)]
    quick: bool,
}

/// What a case has to know.
pub(super) struct Turn {
    pub(super) subject: &'static Subject,
    pub(super) group: String,
    pub(super) is_quick: bool,
    pub(super) is_filling: bool,
    url: String,
    server: Option<u32>,
    cases: Vec<String>,
}

impl Turn {
    /// With room for so many entries in memory.
    pub(super) fn setting(&self, room: u64) -> Setting {
        Setting { url: self.url.clone(), room, memory_ttl: super::store::TTL, is_alone: false }
    }

    pub(super) fn wants(&self, case: &str) -> bool {
        self.cases.is_empty() || self.cases.iter().any(|prefix| case.starts_with(prefix.as_str()))
    }

    /// The duration, or a tenth of it in a smoke run.
    pub(super) fn lasting(&self, duration: Duration) -> Duration {
        if self.is_quick { duration / 10 } else { duration }
    }

    /// CPU time of the server so far, where it can be seen.
    pub(super) fn server_cpu_ns(&self) -> Option<u64> {
        self.server.and_then(|process| cpu_ns_of(process).ok())
    }
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let turn = Turn {
        subject: subject(&arguments.subject)?,
        group: arguments.group.clone(),
        is_quick: arguments.quick,
        is_filling: arguments.fill,
        url: std::env::var(URL).with_context(|| format!("{URL} is not set: this is a turn of the suite `shared`"))?,
        server: arguments.server,
        cases: arguments.case.clone(),
    };
    (turn.subject.take)(&turn)
}

/// The turn, with its client known by type.
pub(super) fn take<S: Store>(turn: &Turn) -> anyhow::Result<()> {
    // As programs have it: a worker per core.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match turn.group.split_once('/') {
        Some(("memory-hit", tracking)) => runtime.block_on(memory_hits::run::<S>(turn, tracking)),
        Some(("traffic", value_len)) => runtime.block_on(traffic::run::<S>(turn, value_len.parse()?)),
        None if turn.group == "invalidation" => invalidation::take_part::<S>(turn, &runtime),
        None if turn.group == "stampede" => stampede::take_part::<S>(turn, &runtime),
        _ => anyhow::bail!("{}: no such group", turn.group),
    }
}
