//! One subject in one case, in a process of its own.

use super::engine::{Setting, Subject, subject};
use super::{amplification, hits, opening, reclaim, speed};
use std::io::Write;
use std::path::PathBuf;

/// Threads that put and get in the cases that measure time.
pub(super) const THREADS: usize = 2;

/// What of everything a smoke run does: one part in so many.
const QUICK: u64 = 32;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The group of cases.
    group: String,
    /// Whom to measure.
    #[arg(long)]
    subject: String,
    /// Where its data goes.
    #[arg(long)]
    folder: PathBuf,
    /// The step, where the group has several.
    #[arg(long, default_value = "")]
    step: String,
    #[arg(long)]
    direct: bool,
    #[arg(long)]
    quick: bool,
}

/// What a case has to know.
pub(super) struct Turn {
    pub(super) subject: &'static Subject,
    pub(super) is_quick: bool,
    folder: PathBuf,
    is_direct: bool,
}

impl Turn {
    pub(super) fn setting(&self, capacity: u64) -> Setting {
        Setting { folder: self.folder.clone(), capacity, is_direct: self.is_direct }
    }

    /// With twice the room that so many entries of that length take.
    pub(super) fn roomy(&self, entries: u64, entry_len: u64) -> Setting {
        let capacity = entries * (entry_len + 64).next_multiple_of(self.subject.granule) * 2;
        self.setting(capacity.max(64 << 20))
    }

    pub(super) fn capacity(&self, capacity: u64) -> u64 {
        capacity_of(capacity, self.is_quick)
    }

    pub(super) fn scaled(&self, amount: u64) -> u64 {
        scaled(amount, self.is_quick)
    }
}

/// The capacity, or a part of it in a smoke run: no less than makes a few dozen segments.
pub(super) fn capacity_of(capacity: u64, is_quick: bool) -> u64 {
    if is_quick { capacity / 8 } else { capacity }
}

/// The amount, or a part of it in a smoke run.
fn scaled(amount: u64, is_quick: bool) -> u64 {
    if is_quick { amount / QUICK } else { amount }
}

/// What is written and removed again before anything is measured.
const WARM_BYTES: u64 = 1 << 30;

/// Has the machine find the pages that the page cache will want. A virtual machine gives free memory back to its host after
/// some seconds, and then pays several times what a put costs for each page of it that is touched again: whoever came after
/// a pause would pay for it.
fn warm(turn: &Turn) -> anyhow::Result<()> {
    let path = turn.folder.join("warm");
    let mut file = std::fs::File::create(&path)?;
    let chunk = vec![0; 1 << 20];
    for _ in 0..turn.scaled(WARM_BYTES) / chunk.len() as u64 {
        file.write_all(&chunk)?;
    }
    Ok(std::fs::remove_file(path)?)
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<()> {
    let turn = Turn {
        subject: subject(&arguments.subject)?,
        is_quick: arguments.quick,
        folder: arguments.folder,
        is_direct: arguments.direct,
    };
    if arguments.step.is_empty() {
        warm(&turn)?;
    }
    match arguments.group.split_once('/') {
        Some(("speed", value_len)) => speed::run(&turn, value_len),
        Some(("wamp", "uniform80")) => amplification::uniform(&turn),
        Some(("wamp", "cold")) => amplification::cold(&turn),
        Some(("hitratio", zipf)) => hits::run(&turn, zipf.trim_start_matches("zipf")),
        Some(("open", _)) => opening::run(&turn, &arguments.step),
        Some(("reclaim-p999", _)) => reclaim::run(&turn),
        _ => anyhow::bail!("{}: no such group", arguments.group),
    }
}
