//! Turns: one subject measured in a process of its own, so that CPU time and memory of that process are the subject's alone.
//! What such a process prints is rows, a line each, fields apart by tabs.

use crate::clock;
use crate::report::{Report, median};
use anyhow::Context;
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// Prints a figure, in the process of a turn.
pub(crate) fn row(case: &str, value: f64, unit: &str) {
    println!("{case}\t{value}\t{unit}");
}

/// Runs the process of a turn to its end and returns what it printed. One that lasts longer than `limit` is ended, and an
/// error.
pub(crate) fn run(command: &mut Command, limit: Duration) -> anyhow::Result<(ExitStatus, String)> {
    // What a process prints fits into the pipe, so that it can be read when it has ended.
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start")?;
    let mut status = None;
    clock::wait_until(limit, || {
        status = child.try_wait().ok().flatten();
        status.is_some()
    });
    let Some(status) = status else {
        child.kill()?;
        child.wait()?;
        anyhow::bail!("not done after {limit:?}");
    };
    let mut text = String::new();
    child.stdout.take().context("no output")?.read_to_string(&mut text)?;
    Ok((status, text))
}

/// Every figure of a case and a subject, of all rounds, in the order in which they came first.
#[derive(Default)]
pub(crate) struct Figures(Vec<(String, &'static str, String, Vec<f64>)>);

impl Figures {
    pub(crate) fn add(&mut self, case: &str, subject: &'static str, unit: &str, value: f64) {
        match self.0.iter_mut().find(|row| row.0 == case && row.1 == subject) {
            Some(row) => row.3.push(value),
            None => self.0.push((case.to_string(), subject, unit.to_string(), vec![value])),
        }
    }

    /// Adds the rows that a turn of `subject` printed.
    pub(crate) fn take(&mut self, subject: &'static str, text: &str) -> anyhow::Result<()> {
        for line in text.lines() {
            let [case, value, unit] = line.split('\t').collect::<Vec<_>>()[..] else { anyhow::bail!("{line}: no row") };
            self.add(case, subject, unit, value.parse()?);
        }
        Ok(())
    }

    /// Reports the medians of the cases that `wants` names, the subjects in the order of `names`.
    pub(crate) fn report(mut self, names: &[&str], wants: &dyn Fn(&str) -> bool, report: &mut Report) {
        self.0.sort_by_key(|row| names.iter().position(|name| *name == row.1).unwrap_or(names.len()));
        for (case, subject, unit, values) in self.0 {
            if wants(&case) {
                report.add(case, subject, unit, median(values));
            }
        }
    }
}
