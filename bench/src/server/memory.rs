//! Memory per key: what the process grew by, less keys and values, over the number of keys.

use super::Scale;
use super::load::{self, Act, Load};
use super::subject::Subject;
use super::wire::KEY_LEN;
use crate::report::Report;
use anyhow::Context;
use std::time::Duration;

/// Length of the values, number of keys as a multiple of the scale's, and whether each has a time to live.
const CASES: &[(&str, usize, u64, bool)] = &[
    ("16+32/1M", 32, 1, false),
    ("16+32+ttl/1M", 32, 1, true),
    ("16+256/1M", 256, 1, false),
    ("16+32/5M", 32, 5, false),
    ("16+32+ttl/5M", 32, 5, true),
];

/// Measures each case with a process of its own, started empty.
pub(crate) fn run(subjects: &[Subject], scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    for (name, value_len, multiple, has_ttl) in CASES.iter().filter(|(name, ..)| scale.wants(&format!("memory/{name}")))
    {
        if scale.is_quick && *multiple > 1 {
            continue;
        }
        // Memory per key does not depend on the number of threads.
        for subject in subjects.iter().filter(|subject| subject.name != "scrubjay-1") {
            let keys = scale.keys * multiple;
            let act = Act::Fill { keys, value_len: *value_len, has_ttl: *has_ttl };
            let bytes = overhead(subject, act).with_context(|| subject.name.clone())?;
            report.add(format!("memory/{name}"), &subject.name, "bytes/key", bytes);
        }
    }
    Ok(())
}

fn overhead(subject: &Subject, act: Act) -> anyhow::Result<f64> {
    let Act::Fill { keys, value_len, .. } = act else { return Ok(0.0) };
    let running = subject.start()?;
    let before = running.settled_rss()?;
    load::run(&running, &Load { act, connections: 4, depth: 100, duration: Duration::ZERO, seed: 1 })?;
    let after = running.settled_rss()?;
    Ok((after as f64 - before as f64) / keys as f64 - (KEY_LEN + value_len) as f64)
}
