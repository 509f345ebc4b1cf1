//! CPU time per operation and throughput: the same load on every subject, in rounds that interleave them.
//!
//! All subjects stand side by side, filled alike, and one at a time is asked, so that whatever disturbs the machine for a while
//! disturbs all of them. A figure is the median over rounds.

use super::Scale;
use super::load::{self, Act, Load};
use super::subject::{Running, Subject};
use crate::report::{Report, median};
use anyhow::Context;
use std::time::Duration;

const VALUE_LEN: usize = 64;
const CONNECTIONS: usize = 50;

/// Measures `get` and `set`, pipelined and not.
pub(crate) fn run(subjects: &[Subject], scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let keys = scale.keys;
    let cases: Vec<(&str, usize, Act)> = [32, 1]
        .into_iter()
        .flat_map(|depth| [("get", depth, Act::Get { keys }), ("set", depth, Act::Set { keys, value_len: VALUE_LEN })])
        .filter(|(name, depth, _)| {
            scale.wants(&format!("cpu/{name}/p{depth}")) || scale.wants(&format!("throughput/{name}/p{depth}"))
        })
        .collect();
    if cases.is_empty() {
        return Ok(());
    }
    let mut running = Vec::new();
    for subject in subjects {
        running.push(start_filled(subject, keys).with_context(|| subject.name.clone())?);
    }
    let mut samples = vec![vec![(Vec::new(), Vec::new()); subjects.len()]; cases.len()];
    for round in 0..scale.rounds {
        for (case, (_, depth, act)) in cases.iter().enumerate() {
            for turn in 0..subjects.len() {
                let subject = (turn + round) % subjects.len();
                let seed = 1 + round as u64;
                let load = Load { act: *act, connections: CONNECTIONS, depth: *depth, duration: scale.duration, seed };
                // A short run first: connections accepted, buffers grown, caches warm.
                load::run(&running[subject], &Load { duration: scale.duration / 8, seed: seed + 1000, ..load })?;
                let outcome = load::run(&running[subject], &load).with_context(|| subjects[subject].name.clone())?;
                let operations = outcome.operations as f64;
                samples[case][subject].0.push(outcome.cpu_ns as f64 / 1000.0 / operations);
                samples[case][subject].1.push(operations / outcome.elapsed.as_secs_f64());
            }
        }
    }
    for ((name, depth, _), samples) in cases.iter().zip(samples) {
        for (subject, (cpu, throughput)) in subjects.iter().zip(samples) {
            report.add(format!("cpu/{name}/p{depth}"), &subject.name, "us/op", median(cpu));
            report.add(format!("throughput/{name}/p{depth}"), &subject.name, "op/s", median(throughput));
        }
    }
    Ok(())
}

fn start_filled(subject: &Subject, keys: u64) -> anyhow::Result<Running> {
    let running = subject.start()?;
    let act = Act::Fill { keys, value_len: VALUE_LEN, has_ttl: false };
    load::run(&running, &Load { act, connections: 8, depth: 100, duration: Duration::ZERO, seed: 1 })?;
    Ok(running)
}
