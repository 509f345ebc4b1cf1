//! Races: the same operations for every subject, in rounds that interleave them.
//!
//! **Invariant:** every turn begins with a subject made and filled anew, so that no figure hangs on where one instance
//! happened to lie in memory or how its hasher was seeded, and no subject lives while another is timed.

use super::Scale;
use crate::clock;
use crate::report::{Report, median};
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// Steps between two looks at the clock.
const BLOCK: usize = 1000;

/// What one thread did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) operations: u64,
    pub(crate) hits: u64,
    pub(crate) elapsed: Duration,
    /// CPU time of the thread, in nanoseconds.
    pub(crate) cpu_ns: u64,
}

/// A subject, filled, and what is to be done with it.
pub(crate) trait Course: Sync {
    /// Runs as thread number `thread` until `duration` is over.
    fn run(&self, thread: usize, duration: Duration) -> Sample;
}

/// A subject of a case.
pub(crate) struct Contender {
    pub(crate) case: String,
    pub(crate) subject: &'static str,
    /// How many of the operations must hit; less fails the run.
    pub(crate) hits_least: f64,
    pub(crate) prepare: Box<dyn Fn() -> anyhow::Result<Box<dyn Course>>>,
}

/// Runs `block` over steps of a sequence of `steps`, again and again, until `duration` is over. It returns its hits.
/// Never inlined: the loops of all subjects start alike.
#[inline(never)]
pub(crate) fn timed(duration: Duration, steps: usize, mut block: impl FnMut(Range<usize>) -> u64) -> Sample {
    let mut sample = Sample::default();
    let mut next = 0;
    let (began, cpu_before): (Instant, u64) = (clock::now(), clock::thread_cpu_ns());
    while sample.elapsed < duration {
        sample.hits += block(next..next + BLOCK);
        sample.operations += BLOCK as u64;
        next += BLOCK;
        if next + BLOCK > steps {
            next = 0;
        }
        sample.elapsed = began.elapsed();
    }
    sample.cpu_ns = clock::thread_cpu_ns() - cpu_before;
    sample
}

/// Lets the contenders run against each other and reports the medians of their rounds.
pub(crate) fn run(contenders: &[Contender], threads: usize, scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    let mut times = vec![(Vec::new(), Vec::new(), Vec::new()); contenders.len()];
    for round in 0..scale.rounds {
        for turn in 0..contenders.len() {
            let index = (turn + round) % contenders.len();
            let Contender { case, subject, hits_least, .. } = &contenders[index];
            let course = (contenders[index].prepare)()?;
            // A short run first: the caches of the processor hold what the subject before wanted.
            together(course.as_ref(), threads, scale.duration / 8);
            let samples = together(course.as_ref(), threads, scale.duration);
            let mean = |figure: &dyn Fn(&Sample) -> f64| samples.iter().map(figure).sum::<f64>() / samples.len() as f64;
            let hits = mean(&|sample| sample.hits as f64 / sample.operations as f64);
            anyhow::ensure!(hits >= *hits_least, "{case}: {subject}: only {:.2} % were hits", hits * 100.0);
            times[index].0.push(mean(&|sample| sample.elapsed.as_nanos() as f64 / sample.operations as f64));
            times[index].1.push(mean(&|sample| sample.cpu_ns as f64 / sample.operations as f64));
            times[index].2.push(hits * 100.0);
        }
    }
    for (Contender { case, subject, .. }, (wall, cpu, _)) in contenders.iter().zip(&times) {
        report.add(case.clone(), subject, "ns/op", median(wall.clone()));
        report.add(format!("{case}/cpu"), subject, "ns/op", median(cpu.clone()));
    }
    // Where some may miss, how many hit says on what the time was spent.
    for (Contender { case, subject, hits_least, .. }, (.., hits)) in contenders.iter().zip(times) {
        if *hits_least == 0.0 && hits.iter().any(|hits| *hits > 0.0) {
            report.add(format!("{case}/hits"), subject, "%", median(hits));
        }
    }
    Ok(())
}

/// Runs the course on `threads` at once.
fn together(course: &dyn Course, threads: usize, duration: Duration) -> Vec<Sample> {
    let start = Barrier::new(threads);
    let run = |thread| {
        start.wait();
        course.run(thread, duration)
    };
    let run = &run;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}
