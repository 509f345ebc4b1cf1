//! Bytes per entry beyond the value, each subject in a process of its own.
//!
//! The process makes a cache for so many entries and inserts twice as many, so that it is as full as it gets and has evicted:
//! what a policy remembers of evicted keys belongs to the price. What it took is resident memory, and, beside it, what the
//! allocator was asked for, both over the entries that the cache really holds.

use super::Scale;
use super::keys::Key;
use super::store::{Store, Value};
use crate::clock;
use crate::report::Report;
use anyhow::Context;
use scrubjay::MemoryCache;
use std::process::Command;
use std::time::Duration;

type Stored = [u8; 32];

/// The program that fills, beside this one.
const PROGRAM: &str = "scrubjay-bench-bytes";

/// Whom the program knows.
const SUBJECTS: &[&str] =
    if cfg!(feature = "peers") { &["scrubjay", "quick_cache", "moka", "foyer"] } else { &["scrubjay"] };

pub(super) fn run(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    if !scale.wants("bytes/1M") {
        return Ok(());
    }
    let program = std::env::current_exe()?.with_file_name(PROGRAM);
    for subject in SUBJECTS.iter().filter(|subject| scale.wants_subject(subject)) {
        let output = Command::new(&program).args([subject, scale.entries.to_string().as_str()]).output();
        let output = output.with_context(|| format!("cannot start {}", program.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let failure = || format!("{subject}: {text}{}", String::from_utf8_lossy(&output.stderr));
        let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
        let [entries, resident, allocated] = numbers.with_context(failure)?[..] else { anyhow::bail!(failure()) };
        let beyond = |bytes: f64| bytes / entries - size_of::<Stored>() as f64;
        report.add("bytes/1M", subject, "bytes/entry", beyond(resident));
        report.add("bytes/1M/allocated", subject, "bytes/entry", beyond(allocated));
    }
    Ok(())
}

/// The whole of the other program: fills the cache that its first argument names with as many entries as its second
/// says, and prints the entries held, the resident bytes that they took, and the bytes asked of the allocator, whose
/// present number `allocated` tells.
///
/// # Errors
/// The arguments name no subject and number, or the kernel does not say what is resident.
pub fn fill_and_weigh(allocated: impl Fn() -> usize) -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [subject, entries] = &arguments[..] else { anyhow::bail!("wanted: SUBJECT ENTRIES") };
    let entries = entries.parse()?;
    match subject.as_str() {
        "scrubjay" => weigh::<MemoryCache<u64, Stored>>(entries, allocated),
        #[cfg(feature = "peers")]
        "quick_cache" => weigh::<super::peers::QuickCache<u64, Stored>>(entries, allocated),
        #[cfg(feature = "peers")]
        "moka" => weigh::<super::peers::Moka<u64, Stored>>(entries, allocated),
        #[cfg(feature = "peers")]
        "foyer" => weigh::<super::peers::FoyerS3Fifo<u64, Stored>>(entries, allocated),
        _ => anyhow::bail!("{subject}: no such subject"),
    }
}

fn weigh<S: Store<u64, Stored>>(entries: usize, allocated: impl Fn() -> usize) -> anyhow::Result<()> {
    let (resident_before, allocated_before) = (settled_resident()?, allocated());
    let store = S::with_room(entries)?;
    for rank in 0..2 * entries as u64 {
        store.insert(u64::of(rank), Stored::of(rank));
    }
    store.settle();
    let (resident, allocated) = (settled_resident()?, allocated());
    println!("{} {} {}", store.len(), resident - resident_before, allocated - allocated_before);
    Ok(())
}

/// Resident memory of this process once it stands still, or after 3 s.
fn settled_resident() -> anyhow::Result<u64> {
    let mut last = resident()?;
    for _ in 0..15 {
        clock::pause(Duration::from_millis(200));
        let now = resident()?;
        if now.abs_diff(last) < 64 << 10 {
            return Ok(now);
        }
        last = now;
    }
    Ok(last)
}

fn resident() -> anyhow::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).context("no Rss")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
