//! How long an engine takes to open with a million small entries, after it was closed and after it was killed, and what it
//! takes of memory for them.
//!
//! Each step is a process of its own: one fills and closes, or fills, settles and is killed; the next opens. Whoever opens
//! after a kill is killed too, so that the one after it finds the same.

use super::account;
use super::child::Turn;
use super::load::{entry_len, key};
use crate::clock;
use crate::turns::row;
use crate::values::Values;
use std::time::Duration;

const VALUE_LEN: usize = 128;
const ENTRIES: u64 = 1_000_000;

/// Keys of which it is asked after opening whether they are there.
const PROBES: u64 = 1000;

/// Buffers that are kept for the next write may go meanwhile.
const AT_REST: Duration = Duration::from_secs(3);

/// The processes after each other, by name. `open-...` may be repeated.
pub(super) const STEPS: &[&str] = &["fill-close", "open-close", "fill-kill", "open-kill"];

pub(super) fn run(turn: &Turn, step: &str) -> anyhow::Result<()> {
    let (verb, end) = step.split_once('-').ok_or_else(|| anyhow::anyhow!("{step}: no such step"))?;
    let values = Values::of_len(VALUE_LEN);
    let entries = turn.scaled(ENTRIES);
    let setting = turn.roomy(entries, entry_len(values.value_len()));
    let resident_before = account::resident_bytes()?;
    let began = clock::now();
    let engine = (turn.subject.open)(&setting)?;
    let per_entry = |resident: u64| resident.saturating_sub(resident_before) as f64 / entries as f64;
    if verb == "fill" {
        for number in 0..entries {
            engine.put(&key(number), values.get(number))?;
        }
        engine.settle()?;
        if end == "close" {
            clock::pause(AT_REST);
            row("memory/1M", per_entry(account::resident_bytes()?), "bytes/entry");
            if let Some(index) = engine.index_bytes() {
                row("memory/1M/index", index as f64 / entries as f64, "bytes/entry");
            }
        }
    } else {
        let is_there = engine.get(&key(0), &mut |_| ())?;
        row(&format!("open/1M/{end}"), began.elapsed().as_nanos() as f64 / 1e6, "ms");
        if end == "close" {
            clock::pause(AT_REST);
            row("memory/1M/opened", per_entry(account::resident_bytes()?), "bytes/entry");
        }
        let mut there = u64::from(is_there);
        for probe in 1..PROBES {
            let number = probe * (entries / PROBES);
            there += u64::from(engine.get(&key(number), &mut |value| assert!(values.is(number, value)))?);
        }
        row(&format!("open/1M/{end}/kept"), there as f64 * 100.0 / PROBES as f64, "% of keys");
    }
    if end == "kill" {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
    }
    engine.close()
}
