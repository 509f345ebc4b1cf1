//! Hit ratios on traces: ours and the peers, beside LRU and Belady's optimum.
//!
//! Read-through: each request is looked up, and inserted when it is not there. Every entry counts as one, and every subject
//! is held to its capacity.

mod bound;
mod replay;
mod table;
mod trace;

pub(crate) use bound::lru_hits;

use crate::report::Report;
use anyhow::Context;
use replay::SUBJECTS;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use trace::Trace;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Traces, or folders of traces: zstd-compressed, one little-endian u32 per request.
    #[arg(value_name = "TRACE", default_value = "../shared/traces")]
    traces: Vec<PathBuf>,
    /// Where to write the rows.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only these subjects: `scrubjay,quick_cache`.
    #[arg(long, alias = "peers", value_name = "NAME", value_delimiter = ',')]
    subject: Vec<String>,
    /// A smoke run.
    #[arg(long)]
    quick: bool,
}

/// Requests of a trace that a smoke run replays.
const QUICK_REQUESTS: usize = 20_000;

/// One capacity of one trace, and what each subject reaches there, in percent.
#[derive(Clone, Debug)]
struct Cell {
    trace: usize,
    capacity: usize,
    ratios: Vec<f64>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut traces = Vec::new();
    for path in paths(&arguments.traces)? {
        traces.push(Trace::read(&path, if arguments.quick { QUICK_REQUESTS } else { usize::MAX })?);
    }
    let is_wanted = |name: &str| arguments.subject.is_empty() || arguments.subject.iter().any(|wanted| wanted == name);
    let subjects: Vec<_> = SUBJECTS.iter().filter(|subject| is_wanted(subject.name)).collect();
    anyhow::ensure!(!traces.is_empty() && !subjects.is_empty(), "no trace or no subject");
    let mut cells: Vec<Cell> = Vec::new();
    for (index, trace) in traces.iter().enumerate() {
        for capacity in trace.capacities() {
            cells.push(Cell { trace: index, capacity, ratios: vec![0.0; subjects.len()] });
        }
    }
    measure(&traces, &subjects, &mut cells)?;
    let mut report = Report::default();
    for cell in &cells {
        let case = format!("hitratio/{}/{}", traces[cell.trace].name, cell.capacity);
        for (subject, ratio) in subjects.iter().zip(&cell.ratios) {
            report.add(case.clone(), subject.name, "%", *ratio);
        }
    }
    println!("\n{}", table::of(&traces, &subjects, &cells));
    if arguments.quick {
        println!("\nA smoke run on the beginnings of the traces: these are no figures to quote.");
    }
    if let Some(path) = &arguments.json {
        report.write(path)?;
        println!("Rows written to {}", path.display());
    }
    Ok(())
}

/// Every cell with every subject, on as many threads as there are cores.
fn measure(traces: &[Trace], subjects: &[&replay::Subject], cells: &mut [Cell]) -> anyhow::Result<()> {
    let jobs: Vec<(usize, usize)> =
        (0..cells.len()).flat_map(|cell| (0..subjects.len()).map(move |subject| (cell, subject))).collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let places: Vec<(usize, usize)> = cells.iter().map(|cell| (cell.trace, cell.capacity)).collect();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((cell, subject)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (trace, capacity) = places[*cell];
                    let ratio = (subjects[*subject].hits)(&traces[trace], capacity)
                        .map(|hits| hits as f64 * 100.0 / traces[trace].requests.len() as f64);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push((*cell, *subject, ratio));
                }
            });
        }
    });
    for (cell, subject, ratio) in results.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let name = subjects[subject].name;
        cells[cell].ratios[subject] = ratio.with_context(|| name)?;
    }
    Ok(())
}

/// The files, and in place of a folder the traces in it.
fn paths(given: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for path in given {
        if !path.is_dir() {
            paths.push(path.clone());
            continue;
        }
        let is_trace = |path: &Path| path.extension().is_some_and(|ending| ending == "zst");
        let mut inside: Vec<PathBuf> = std::fs::read_dir(path)?.flatten().map(|entry| entry.path()).collect();
        inside.retain(|path| is_trace(path));
        inside.sort();
        paths.extend(inside);
    }
    Ok(paths)
}
