//! A histogram of latencies: 32 steps per doubling, so that what it tells is within 3 % of what was measured.

use std::time::Duration;

/// Steps per doubling, and its logarithm.
const STEPS: usize = 1 << STEPS_LOG;
const STEPS_LOG: u32 = 5;

/// How often which latency was measured.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    counts: Vec<u64>,
    longest: Duration,
}

impl Latencies {
    pub(crate) fn new() -> Latencies {
        Latencies { counts: vec![0; STEPS * 64], longest: Duration::ZERO }
    }

    pub(crate) fn add(&mut self, latency: Duration) {
        self.counts[step_of(nanoseconds(latency))] += 1;
        self.longest = self.longest.max(latency);
    }

    /// Adds what another thread measured.
    pub(crate) fn merge(&mut self, other: &Latencies) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.longest = self.longest.max(other.longest);
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The latency in microseconds that a share of `quantile` did not exceed; zero of nothing.
    pub(crate) fn at(&self, quantile: f64) -> f64 {
        let rank = (self.count() as f64 * quantile).ceil().max(1.0);
        let mut seen = 0.0;
        for (step, count) in self.counts.iter().enumerate() {
            seen += *count as f64;
            if seen >= rank {
                return highest_of(step) as f64 / 1000.0;
            }
        }
        0.0
    }

    /// The longest, in microseconds.
    pub(crate) fn longest(&self) -> f64 {
        nanoseconds(self.longest) as f64 / 1000.0
    }

    /// A line per doubling: its upper end in microseconds, how many were in it, and how many were longer.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut left = self.count();
        let mut lines = Vec::new();
        for (doubling, counts) in self.counts.chunks(STEPS).enumerate() {
            let inside: u64 = counts.iter().sum();
            left -= inside;
            if inside > 0 {
                let end = highest_of((doubling + 1) * STEPS - 1) as f64 / 1000.0;
                lines.push(format!("<= {end:>10.1} us {inside:>9}   longer: {left:>8}"));
            }
        }
        lines
    }
}

fn nanoseconds(latency: Duration) -> u64 {
    u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX)
}

/// Numbers below `STEPS` have a step each; from there on the highest bits after the leading one choose.
fn step_of(number: u64) -> usize {
    if number < STEPS as u64 {
        return usize::try_from(number).unwrap_or(0);
    }
    let doubling = number.ilog2() - STEPS_LOG;
    let within = (number >> doubling) & (STEPS as u64 - 1);
    (doubling as usize + 1) * STEPS + usize::try_from(within).unwrap_or(0)
}

/// The highest number of a step.
fn highest_of(step: usize) -> u64 {
    match (step / STEPS, (step % STEPS) as u64) {
        (0, within) => within,
        (doubling, within) => ((STEPS as u64 + within + 1) << (doubling - 1)) - 1,
    }
}

#[cfg(test)]
mod tests;
