//! How long loads take, in steps fine enough for a percentile on a dashboard.
//!
//! Invariant: a load is counted in exactly one step, so the steps, added up, only ever grow.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper ends of all steps but the last, which has none.
const STEPS: [Duration; 15] = [
    Duration::from_micros(100),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// How many loads took at most so long: one step of a histogram.
///
/// ```
/// # use scrubjay::{Memory, MemoryCache};
/// # let squares: MemoryCache<u64, u64> = MemoryCache::builder().memory(Memory::bytes(1 << 20)).build()?;
/// squares.get_or_insert_with(&7, || 49);
/// let stats = squares.stats();
/// for step in &stats.load_times {
///     println!("{} loads took {} s at most", step.loads, step.at_most_seconds);
/// }
/// assert_eq!(stats.load_times.last().map(|step| step.loads), Some(1));
/// # Ok::<(), scrubjay::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LoadTime {
    /// The end of the step; infinite in the last one (`null` in JSON).
    pub at_most_seconds: f64,
    /// Loads that took no longer, those of the smaller steps among them.
    pub loads: u64,
}

#[derive(Default)]
pub(super) struct LoadTimes {
    counts: [AtomicU64; STEPS.len() + 1],
}

impl LoadTimes {
    pub(super) fn count(&self, took: Duration) {
        let step = STEPS.partition_point(|end| *end < took);
        self.counts[step].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Vec<LoadTime> {
        let ends = STEPS.iter().map(Duration::as_secs_f64).chain([f64::INFINITY]);
        let mut loads = 0;
        ends.zip(&self.counts)
            .map(|(at_most_seconds, count)| {
                loads += count.load(Ordering::Relaxed);
                LoadTime { at_most_seconds, loads }
            })
            .collect()
    }
}
