//! The worst single SET while the keyspace grows from nothing: CPU time of the thread that pays for it.
//!
//! Measured inside the process, on the keyspace itself, since from outside a stall of a millisecond cannot be told from the
//! scheduler's.

use super::Scale;
use super::wire;
use crate::clock;
use crate::report::Report;
use scrubjay_keyspace::{Db, Expiry, Keyspace, Options};

/// Measures every insert of a growth to five times the scale's keys.
pub(crate) fn run(scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    if !scale.wants("set-worst/5M") && !scale.wants("set-p99.999/5M") {
        return Ok(());
    }
    let count = usize::try_from(scale.keys * 5)?;
    let (mut worst_ns, mut tail_ns) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds.min(3) {
        let mut times_ns = insert(count)?;
        times_ns.sort_unstable();
        worst_ns.push(f64::from(times_ns[count - 1]));
        tail_ns.push(f64::from(times_ns[count - 1 - count / 100_000]));
    }
    // The worst of all rounds, not the median: a promise about the worst case has no lucky rounds.
    report.add("set-worst/5M", "scrubjay", "ms", worst_ns.into_iter().fold(0.0, f64::max) / 1e6);
    report.add("set-p99.999/5M", "scrubjay", "ms", tail_ns.into_iter().fold(0.0, f64::max) / 1e6);
    Ok(())
}

fn insert(count: usize) -> anyhow::Result<Vec<u32>> {
    let keyspace = Keyspace::new(Options::default())?;
    let mut times_ns = vec![1_u32; count];
    let value = [b'v'; 32];
    for (number, time_ns) in (0..).zip(&mut times_ns) {
        let key = wire::key(number);
        let before = clock::thread_cpu_ns();
        let key = keyspace.key(&key);
        let stored = keyspace.pass(0).latch_one(key.hash, 1).set(Db(0), &key, &value, Expiry::Clear);
        *time_ns = u32::try_from(clock::thread_cpu_ns() - before).unwrap_or(u32::MAX);
        anyhow::ensure!(stored.is_ok(), "the keyspace is full at {number} keys");
    }
    Ok(times_ns)
}
