//! LATENCY HISTOGRAM: how many calls of a command took at most how many microseconds, summed over threads.

use crate::call::Call;
use crate::dispatch::{self, Row};
use crate::error::Error;
use crate::stats::{LATENCY_BUCKETS, WorkerStats};
use std::sync::Arc;

pub(super) fn histogram(call: &mut Call<'_>) -> Result<(), Error> {
    let rows: Vec<&Row> = match call.args.get(2..).unwrap_or_default() {
        [] => dispatch::rows().iter().collect(),
        names => names.iter().flat_map(|name| named(name)).collect(),
    };
    let workers = &call.shared.workers;
    let mut histograms: Vec<(&Row, Histogram)> =
        rows.iter().map(|row| (*row, Histogram::of(row.id, workers))).collect();
    histograms.retain(|(_, histogram)| histogram.calls > 0);
    let reply = &mut call.reply;
    reply.map(histograms.len());
    for (row, histogram) in histograms {
        reply.bulk(row.full_name.as_bytes());
        reply.map(2);
        reply.bulk(b"calls");
        reply.integer(integer(histogram.calls));
        reply.bulk(b"histogram_usec");
        reply.map(histogram.cumulative.len());
        for (limit_us, calls) in histogram.cumulative {
            reply.integer(integer(limit_us));
            reply.integer(integer(calls));
        }
    }
    Ok(())
}

/// The row with this name, and those of its subcommands.
fn named(name: &[u8]) -> impl Iterator<Item = &'static Row> {
    let rows = dispatch::rows();
    let found = rows.iter().find(|row| row.full_name.as_bytes().eq_ignore_ascii_case(name));
    let under = found.map(|row| usize::from(row.subcommands.start)..usize::from(row.subcommands.end));
    found.into_iter().chain(under.and_then(|range| rows.get(range)).unwrap_or_default())
}

pub(super) struct Histogram {
    pub(super) calls: u64,
    /// Microseconds, and how many calls took at most as long. Only limits at which there are more than below.
    pub(super) cumulative: Vec<(u64, u64)>,
}

impl Histogram {
    pub(super) fn of(id: u16, workers: &[Arc<WorkerStats>]) -> Histogram {
        let mut histogram = Histogram { calls: 0, cumulative: Vec::new() };
        for bucket in 0..LATENCY_BUCKETS {
            let counts = workers.iter().filter_map(|worker| worker.command(id)?.latency.get(bucket));
            let count: u64 = counts.map(|counter| counter.get()).sum();
            if count == 0 {
                continue;
            }
            histogram.calls += count;
            // The limit is a power of two of nanoseconds; what is below a microsecond counts as one, as in Redis.
            let limit_us = ((1_u64 << bucket) / 1000).max(1);
            match histogram.cumulative.last_mut() {
                Some((last_us, calls)) if *last_us == limit_us => *calls = histogram.calls,
                _ => histogram.cumulative.push((limit_us, histogram.calls)),
            }
        }
        histogram
    }
}

fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
