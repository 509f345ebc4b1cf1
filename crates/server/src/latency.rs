//! The latency monitor: for every event (`command`, `expire-cycle` ...) the last moments at which it took longer than
//! `latency-monitor-threshold`, as LATENCY shows them.
//!
//! **Invariant:** at most 160 samples per event, one per second: a second's sample is its worst. The mutex is taken only when
//! something was slow or somebody asks; whether it was slow is the caller's comparison.

#[cfg(test)]
mod tests;

use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};

/// Samples kept per event.
const SAMPLES_MAX: usize = 160;

/// The worst latency of an event in one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Unix time in seconds.
    pub(crate) at_seconds: u64,
    pub(crate) latency_ms: u64,
}

/// What is known of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// Oldest first.
    pub(crate) samples: VecDeque<Sample>,
    /// The worst since the last reset, samples that were dropped included.
    pub(crate) worst_ms: u64,
}

/// The samples of one server, by event.
#[derive(Default)]
pub(crate) struct LatencyMonitor {
    events: Mutex<BTreeMap<&'static str, History>>,
}

impl LatencyMonitor {
    /// Notes that `event` took `latency_ms`.
    pub(crate) fn note(&self, event: &'static str, at_seconds: u64, latency_ms: u64) {
        let mut events = self.events.lock();
        let history = events.entry(event).or_default();
        history.worst_ms = history.worst_ms.max(latency_ms);
        match history.samples.back_mut() {
            Some(last) if last.at_seconds == at_seconds => last.latency_ms = last.latency_ms.max(latency_ms),
            _ => {
                if history.samples.len() == SAMPLES_MAX {
                    history.samples.pop_front();
                }
                history.samples.push_back(Sample { at_seconds, latency_ms });
            }
        }
    }

    /// What is known of `event`, by its name in any case; nothing when it was never slow.
    pub(crate) fn history(&self, event: &[u8]) -> Option<(&'static str, History)> {
        let events = self.events.lock();
        let found = events.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(event));
        found.map(|(name, history)| (*name, history.clone()))
    }

    /// Every event that was slow once.
    pub(crate) fn all(&self) -> Vec<(&'static str, History)> {
        self.events.lock().iter().map(|(name, history)| (*name, history.clone())).collect()
    }

    /// Forgets the named events, or all. Returns how many there were.
    pub(crate) fn reset(&self, names: &[&[u8]]) -> usize {
        let mut events = self.events.lock();
        let before = events.len();
        events.retain(|event, _| {
            !names.is_empty() && !names.iter().any(|name| event.as_bytes().eq_ignore_ascii_case(name))
        });
        before - events.len()
    }
}

/// What LATENCY DOCTOR reports of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) average_ms: u64,
    /// Mean distance from the average.
    pub(crate) deviation_ms: u64,
    /// Seconds between two samples.
    pub(crate) period_seconds: f64,
}

impl History {
    /// The samples in three numbers, for one who asks at `now_seconds`. Nothing to say without samples.
    #[allow(clippy::cast_precision_loss, reason = "seconds and sample counts are far below 2^52")]
    pub(crate) fn summary(&self, now_seconds: u64) -> Option<Summary> {
        let first = self.samples.front()?;
        let count = self.samples.len() as u64;
        let average_ms = self.samples.iter().map(|sample| sample.latency_ms).sum::<u64>() / count;
        let distances = self.samples.iter().map(|sample| sample.latency_ms.abs_diff(average_ms));
        Some(Summary {
            average_ms,
            deviation_ms: distances.sum::<u64>() / count,
            period_seconds: now_seconds.saturating_sub(first.at_seconds) as f64 / count as f64,
        })
    }

    /// Columns of `_o#` with the age of each sample below, as LATENCY GRAPH draws them.
    pub(crate) fn graph(&self, event: &str, now_seconds: u64) -> String {
        const STEPS: &[u8; 3] = b"_o#";
        const ROWS: u64 = 4;
        let latencies = self.samples.iter().map(|sample| sample.latency_ms);
        let (low, high) = (latencies.clone().min().unwrap_or(0), latencies.max().unwrap_or(0));
        let steps = ROWS * STEPS.len() as u64;
        let ages: Vec<String> =
            self.samples.iter().map(|sample| age(now_seconds.saturating_sub(sample.at_seconds))).collect();
        let mut text = format!("{event} - high {high} ms, low {low} ms (all time high {} ms)\n", self.worst_ms);
        text.push_str(&"-".repeat(80));
        text.push('\n');
        for row in (0..ROWS).rev() {
            for sample in &self.samples {
                let height = ((sample.latency_ms - low) * steps).checked_div(high - low).unwrap_or(0).min(steps - 1);
                let in_row = height / STEPS.len() as u64 == row;
                let step = STEPS[usize::try_from(height % STEPS.len() as u64).unwrap_or(0)];
                text.push(if in_row {
                    char::from(step)
                } else if height / STEPS.len() as u64 > row {
                    '|'
                } else {
                    ' '
                });
            }
            text.push('\n');
        }
        text.push('\n');
        for line in 0..ages.iter().map(String::len).max().unwrap_or(0) {
            text.extend(ages.iter().map(|age| age.as_bytes().get(line).map_or(' ', |byte| char::from(*byte))));
            text.push('\n');
        }
        text
    }
}

/// `12s`, `3m`, `2h`, `9d`.
fn age(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3599 => format!("{}m", seconds / 60),
        3600..=86_399 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
