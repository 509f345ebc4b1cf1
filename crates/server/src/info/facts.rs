//! What INFO and `/metrics` are made of: numbers gathered from all threads at one moment.

use super::process::{self, CpuTime};
use crate::dispatch::{self, Row};
use crate::server::Shared;
use crate::stats::{self, Counter, WorkerStats};
use scrubjay_keyspace::Db;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One command's counters, summed over threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommandFacts {
    /// `get`, `config|set`.
    pub(crate) name: String,
    pub(crate) calls: u64,
    pub(crate) nanos: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    /// Calls by latency: place `n` counts those of less than `2^n` ns and at least half of it.
    pub(crate) latency: Vec<u64>,
}

/// One database that has keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DbFacts {
    pub(crate) db: u16,
    pub(crate) keys: u64,
    pub(crate) expires: u64,
}

/// Snapshots: what happens and what happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct SnapshotFacts {
    pub(crate) is_loading: bool,
    pub(crate) is_saving: bool,
    pub(crate) changes_since_save: u64,
    /// Unix seconds.
    pub(crate) last_save_seconds: u64,
    pub(crate) has_last_failed: bool,
    /// How long the last background save took; `None` before the first.
    pub(crate) last_took_seconds: Option<u64>,
    pub(crate) current_took_seconds: Option<u64>,
    pub(crate) saves: u64,
    pub(crate) loaded_keys: u64,
    pub(crate) loaded_expired: u64,
}

/// The server at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) now_us: u64,
    pub(crate) uptime_seconds: u64,
    pub(crate) run_id: String,
    pub(crate) port: u16,
    pub(crate) threads: usize,
    pub(crate) hz: u64,
    pub(crate) config_file: PathBuf,
    pub(crate) clients: u64,
    pub(crate) maxclients: u64,
    pub(crate) blocked_clients: u64,
    pub(crate) tracking_clients: u64,
    pub(crate) tracked_keys: u64,
    pub(crate) tracked_items: u64,
    pub(crate) tracked_prefixes: u64,
    pub(crate) memory_used: u64,
    pub(crate) memory_peak: u64,
    pub(crate) memory_baseline: u64,
    pub(crate) memory_buffers: u64,
    pub(crate) memory_resident: u64,
    pub(crate) memory_system: u64,
    pub(crate) maxmemory: u64,
    pub(crate) snapshot: SnapshotFacts,
    pub(crate) connections_received: u64,
    pub(crate) connections_rejected: u64,
    pub(crate) output_limit_closed: u64,
    pub(crate) query_limit_closed: u64,
    pub(crate) commands_processed: u64,
    pub(crate) commands_per_second: u64,
    pub(crate) input_bytes: u64,
    pub(crate) output_bytes: u64,
    pub(crate) input_bytes_per_second: u64,
    pub(crate) output_bytes_per_second: u64,
    pub(crate) expired_keys: u64,
    pub(crate) expire_time_cap_reached: u64,
    pub(crate) keyspace_hits: u64,
    pub(crate) keyspace_misses: u64,
    pub(crate) error_replies: u64,
    pub(crate) slowlog_len: u64,
    pub(crate) cpu: CpuTime,
    pub(crate) cpu_main_thread: CpuTime,
    pub(crate) percentiles: Vec<f64>,
    /// Whether `latencystats` is shown.
    pub(crate) has_latencies: bool,
    pub(crate) commands: Vec<CommandFacts>,
    pub(crate) errors: BTreeMap<String, u64>,
    pub(crate) databases: Vec<DbFacts>,
}

impl Facts {
    /// Gathers them. Reads every thread's counters, the keyspace's counts and `/proc`; stops nobody.
    pub(crate) fn gather(shared: &Shared) -> Facts {
        let (config, workers, vitals) = (&shared.config, &shared.workers, &shared.vitals);
        let now = shared.clock.instant();
        let sum = |field: fn(&WorkerStats) -> &Counter| stats::sum(workers, field);
        let memory_used = shared.memory_used() as u64;
        Facts {
            now_us: shared.clock.now_us(),
            uptime_seconds: now.saturating_duration_since(vitals.started).as_secs(),
            run_id: vitals.run_id.clone(),
            port: config.port(),
            threads: workers.len(),
            hz: config.hz(),
            config_file: config.file().map(PathBuf::from).unwrap_or_default(),
            clients: shared.registry.len() as u64,
            maxclients: config.maxclients(),
            blocked_clients: shared.registry.blocked_len(),
            tracking_clients: shared.tracking.clients_len() as u64,
            tracked_keys: shared.tracking.keys_len() as u64,
            tracked_items: shared.tracking.items_len() as u64,
            tracked_prefixes: shared.tracking.prefixes_len() as u64,
            memory_used,
            memory_peak: vitals.note_used(memory_used),
            memory_baseline: vitals.baseline_bytes(),
            memory_buffers: sum(|worker| &worker.buffer_bytes),
            memory_resident: process::resident_bytes(),
            memory_system: process::system_bytes(),
            maxmemory: config.maxmemory(),
            snapshot: snapshot(shared),
            connections_received: sum(|worker| &worker.connections_received),
            connections_rejected: sum(|worker| &worker.connections_rejected),
            output_limit_closed: sum(|worker| &worker.output_limit_closed),
            query_limit_closed: sum(|worker| &worker.query_limit_closed),
            commands_processed: sum(|worker| &worker.commands),
            commands_per_second: shared.rates.commands_per_second(),
            input_bytes: sum(|worker| &worker.input_bytes),
            output_bytes: sum(|worker| &worker.output_bytes),
            input_bytes_per_second: shared.rates.input_bytes_per_second(),
            output_bytes_per_second: shared.rates.output_bytes_per_second(),
            expired_keys: shared.keyspace.expired_count(),
            expire_time_cap_reached: sum(|worker| &worker.expire_time_cap_reached),
            keyspace_hits: sum(|worker| &worker.keyspace_hits),
            keyspace_misses: sum(|worker| &worker.keyspace_misses),
            error_replies: sum(|worker| &worker.errors),
            slowlog_len: shared.slowlog.len() as u64,
            cpu: process::cpu_time(),
            cpu_main_thread: process::main_thread_cpu_time(),
            percentiles: config.latency_percentiles(),
            has_latencies: config.latency_tracking(),
            commands: dispatch::rows().iter().map(|row| command(row, workers)).collect(),
            errors: stats::errors_by_code(workers),
            databases: databases(shared),
        }
    }
}

fn snapshot(shared: &Shared) -> SnapshotFacts {
    let status = shared.persistence.status(shared.clock.instant());
    SnapshotFacts {
        is_loading: !shared.is_ready.load(Ordering::Relaxed),
        is_saving: status.is_background_save_running,
        changes_since_save: status.changes_since_save,
        last_save_seconds: status.last_save_seconds,
        has_last_failed: status.last_background_save_failed,
        last_took_seconds: status.last_background_save_took,
        current_took_seconds: status.background_save_running_for,
        saves: status.saves,
        loaded_keys: status.loaded_keys,
        loaded_expired: status.expired_keys_in_file,
    }
}

fn command(row: &Row, workers: &[Arc<WorkerStats>]) -> CommandFacts {
    let mut facts = CommandFacts {
        name: row.full_name.clone(),
        latency: vec![0; stats::LATENCY_BUCKETS],
        ..CommandFacts::default()
    };
    for counted in workers.iter().filter_map(|worker| worker.command(row.id)) {
        facts.calls += counted.calls.get();
        facts.nanos += counted.nanos.get();
        facts.rejected += counted.rejected.get();
        facts.failed += counted.failed.get();
        for (sum, bucket) in facts.latency.iter_mut().zip(&counted.latency) {
            *sum += bucket.get();
        }
    }
    facts
}

fn databases(shared: &Shared) -> Vec<DbFacts> {
    let all = (0..shared.keyspace.databases()).map(|db| DbFacts {
        db,
        keys: shared.keyspace.len(Db(db)),
        expires: shared.keyspace.expires_len(Db(db)),
    });
    all.filter(|facts| facts.keys > 0).collect()
}

impl CommandFacts {
    /// The latency that `percentile` percent of the calls stay within: the upper end of a bucket, so at most twice too high.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among calls; counts are far below 2^52, and the product lies between 0 and the count"
    )]
    pub(super) fn latency_nanos(&self, percentile: f64) -> u64 {
        let calls: u64 = self.latency.iter().sum();
        let rank = ((calls as f64 * percentile / 100.0).ceil() as u64).clamp(1, calls.max(1));
        let mut seen = 0;
        for (power, count) in self.latency.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return 1_u64.checked_shl(u32::try_from(power).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
            }
        }
        0
    }
}
