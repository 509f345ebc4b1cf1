//! Counters: every thread writes its own, INFO and LATENCY sum over threads.
//!
//! **Invariant:** a [`Counter`] of a [`WorkerStats`] has one writer, its worker; so adding is a load and a store, and no cache
//! line is fought for. Reads from other threads may be a moment old, and a reset may lose a few additions.

mod rates;

pub(crate) use rates::Rates;

use crate::dispatch;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// A number that one thread adds to and every thread may read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds, from the one thread that may.
    #[inline]
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// Replaces the value: for gauges.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The value, perhaps a moment old.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Back to zero, from any thread.
    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Buckets of a latency histogram: bucket `n` counts calls of less than `2^n` ns, and at least half of that.
pub(crate) const LATENCY_BUCKETS: usize = 40;

/// What is counted per command.
#[derive(Debug)]
pub(crate) struct CommandStats {
    pub(crate) calls: Counter,
    /// Nanoseconds spent in the handler.
    pub(crate) nanos: Counter,
    /// Refused before the handler ran.
    pub(crate) rejected: Counter,
    /// Answered with an error by the handler.
    pub(crate) failed: Counter,
    pub(crate) latency: [Counter; LATENCY_BUCKETS],
}

impl CommandStats {
    fn new() -> CommandStats {
        CommandStats {
            calls: Counter::default(),
            nanos: Counter::default(),
            rejected: Counter::default(),
            failed: Counter::default(),
            latency: std::array::from_fn(|_| Counter::default()),
        }
    }

    /// Counts calls that took `nanos` each.
    #[inline]
    pub(crate) fn note_all(&self, calls: u64, nanos: u64) {
        self.calls.add(calls);
        self.nanos.add(nanos.saturating_mul(calls));
        let bucket = (u64::BITS - nanos.leading_zeros()) as usize;
        self.latency[bucket.min(LATENCY_BUCKETS - 1)].add(calls);
    }

    fn reset(&self) {
        [&self.calls, &self.nanos, &self.rejected, &self.failed].into_iter().for_each(Counter::reset);
        self.latency.iter().for_each(Counter::reset);
    }
}

/// Distinct error codes that are counted apart; Redis stops at the same number.
const ERROR_CODES_MAX: usize = 128;

/// The counters of one worker.
#[derive(Debug)]
pub(crate) struct WorkerStats {
    pub(crate) commands: Counter,
    pub(crate) connections_received: Counter,
    pub(crate) connections_rejected: Counter,
    /// Connections closed for their output or query buffer.
    pub(crate) output_limit_closed: Counter,
    pub(crate) query_limit_closed: Counter,
    pub(crate) input_bytes: Counter,
    pub(crate) output_bytes: Counter,
    pub(crate) keyspace_hits: Counter,
    pub(crate) keyspace_misses: Counter,
    /// Runs of active expiry that ended because of their time limit.
    pub(crate) expire_time_cap_reached: Counter,
    pub(crate) errors: Counter,
    pub(crate) panics: Counter,
    /// A gauge: buffers of connections, in bytes.
    pub(crate) buffer_bytes: Counter,
    per_command: Box<[CommandStats]>,
    errors_by_code: Mutex<BTreeMap<String, u64>>,
}

impl WorkerStats {
    pub(crate) fn new() -> WorkerStats {
        WorkerStats {
            commands: Counter::default(),
            connections_received: Counter::default(),
            connections_rejected: Counter::default(),
            output_limit_closed: Counter::default(),
            query_limit_closed: Counter::default(),
            input_bytes: Counter::default(),
            output_bytes: Counter::default(),
            keyspace_hits: Counter::default(),
            keyspace_misses: Counter::default(),
            expire_time_cap_reached: Counter::default(),
            errors: Counter::default(),
            panics: Counter::default(),
            buffer_bytes: Counter::default(),
            per_command: dispatch::rows().iter().map(|_| CommandStats::new()).collect(),
            errors_by_code: Mutex::default(),
        }
    }

    /// The counters of the command with this [`dispatch::Row::id`].
    #[inline]
    pub(crate) fn command(&self, id: u16) -> Option<&CommandStats> {
        self.per_command.get(usize::from(id))
    }

    /// Counts an error reply by its code, the first word of `text`.
    pub(crate) fn note_error(&self, text: &str) {
        self.errors.add(1);
        let code = text.split(' ').next().unwrap_or_default();
        let mut by_code = self.errors_by_code.lock();
        if let Some(count) = by_code.get_mut(code) {
            *count += 1;
        } else if by_code.len() < ERROR_CODES_MAX {
            by_code.insert(code.to_owned(), 1);
        }
    }

    /// CONFIG RESETSTAT: everything but gauges.
    pub(crate) fn reset(&self) {
        [
            &self.commands,
            &self.connections_received,
            &self.connections_rejected,
            &self.output_limit_closed,
            &self.query_limit_closed,
            &self.input_bytes,
            &self.output_bytes,
            &self.keyspace_hits,
            &self.keyspace_misses,
            &self.expire_time_cap_reached,
            &self.errors,
        ]
        .into_iter()
        .for_each(Counter::reset);
        self.per_command.iter().for_each(CommandStats::reset);
        self.errors_by_code.lock().clear();
    }
}

/// Sums `field` over workers.
pub(crate) fn sum(workers: &[std::sync::Arc<WorkerStats>], field: impl Fn(&WorkerStats) -> &Counter) -> u64 {
    workers.iter().map(|worker| field(worker).get()).sum()
}

/// Error replies by code, summed over workers.
pub(crate) fn errors_by_code(workers: &[std::sync::Arc<WorkerStats>]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for worker in workers {
        for (code, count) in worker.errors_by_code.lock().iter() {
            *sums.entry(code.clone()).or_default() += count;
        }
    }
    sums
}
