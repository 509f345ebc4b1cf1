//! The fields of each section, under Redis' names. What does not exist here, and tools expect, has its resting value.

use super::facts::{CommandFacts, Facts};
use super::process;
use crate::server::REDIS_VERSION;
use std::borrow::Cow;
use std::time::Duration;

/// Names and values, in order.
pub(super) type Fields = Vec<(Cow<'static, str>, String)>;

macro_rules! fields {
    ($($name:literal: $value:expr),* $(,)?) => { vec![$((Cow::Borrowed($name), $value.to_string())),*] };
}

pub(super) fn server(facts: &Facts) -> Fields {
    let executable = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    fields! {
        "redis_version": REDIS_VERSION,
        "redis_git_sha1": "00000000",
        "redis_git_dirty": 0,
        "redis_build_id": "0",
        "redis_mode": "standalone",
        "scrubjay_version": env!("CARGO_PKG_VERSION"),
        "os": process::operating_system(),
        "arch_bits": usize::BITS,
        "monotonic_clock": "POSIX clock_gettime",
        "multiplexing_api": "epoll",
        "atomicvar_api": "c11-builtin",
        "gcc_version": "0.0.0",
        "process_id": std::process::id(),
        "process_supervised": "no",
        "run_id": facts.run_id,
        "tcp_port": facts.port,
        "server_time_usec": facts.now_us,
        "uptime_in_seconds": facts.uptime_seconds,
        "uptime_in_days": facts.uptime_seconds / 86_400,
        "hz": facts.hz,
        "configured_hz": facts.hz,
        "lru_clock": (facts.now_us / 1_000_000) & 0xff_ffff,
        "executable": executable,
        "config_file": facts.config_file.display(),
        "io_threads_active": u8::from(facts.threads > 1),
        "threads": facts.threads,
    }
}

pub(super) fn clients(facts: &Facts) -> Fields {
    fields! {
        "connected_clients": facts.clients,
        "cluster_connections": 0,
        "maxclients": facts.maxclients,
        "client_recent_max_input_buffer": 0,
        "client_recent_max_output_buffer": 0,
        "blocked_clients": facts.blocked_clients,
        "tracking_clients": facts.tracking_clients,
        "clients_in_timeout_table": 0,
        "total_blocking_keys": 0,
        "total_blocking_keys_on_nokey": 0,
    }
}

pub(super) fn memory(facts: &Facts) -> Fields {
    let used = facts.memory_used;
    let overhead = facts.memory_baseline + facts.memory_buffers;
    let dataset = used.saturating_sub(overhead);
    let fragmentation = signed(facts.memory_resident) - signed(used);
    let mut fields: Fields = fields! {
        "used_memory": used,
        "used_memory_human": human(used),
        "used_memory_rss": facts.memory_resident,
        "used_memory_rss_human": human(facts.memory_resident),
        "used_memory_peak": facts.memory_peak,
        "used_memory_peak_human": human(facts.memory_peak),
        "used_memory_peak_perc": percent(used, facts.memory_peak),
        "used_memory_overhead": overhead,
        "used_memory_startup": facts.memory_baseline,
        "used_memory_dataset": dataset,
        "used_memory_dataset_perc": percent(dataset, used.saturating_sub(facts.memory_baseline)),
        "allocator_allocated": used,
        "allocator_active": facts.memory_resident,
        "allocator_resident": facts.memory_resident,
        "total_system_memory": facts.memory_system,
        "total_system_memory_human": human(facts.memory_system),
        "used_memory_lua": 0,
        "used_memory_vm_eval": 0,
        "used_memory_lua_human": "0B",
        "used_memory_scripts_eval": 0,
        "number_of_cached_scripts": 0,
        "number_of_functions": 0,
        "number_of_libraries": 0,
        "used_memory_vm_functions": 0,
        "used_memory_vm_total": 0,
        "used_memory_vm_total_human": "0B",
        "used_memory_functions": 0,
        "used_memory_scripts": 0,
        "used_memory_scripts_human": "0B",
        "maxmemory": facts.maxmemory,
        "maxmemory_human": human(facts.maxmemory),
        "maxmemory_policy": "noeviction",
    };
    fields.extend(fields! {
        "allocator_frag_ratio": "1.00",
        "allocator_frag_bytes": 0,
        "allocator_rss_ratio": ratio(facts.memory_resident, used),
        "allocator_rss_bytes": fragmentation,
        "rss_overhead_ratio": "1.00",
        "rss_overhead_bytes": 0,
        "mem_fragmentation_ratio": ratio(facts.memory_resident, used),
        "mem_fragmentation_bytes": fragmentation,
        "mem_not_counted_for_evict": 0,
        "mem_replication_backlog": 0,
        "mem_total_replication_buffers": 0,
        "mem_clients_slaves": 0,
        "mem_clients_normal": facts.memory_buffers,
        "mem_cluster_links": 0,
        "mem_aof_buffer": 0,
        "mem_allocator": "scrubjay",
        "active_defrag_running": 0,
        "lazyfree_pending_objects": 0,
        "lazyfreed_objects": 0,
    });
    fields
}

pub(super) fn persistence(facts: &Facts) -> Fields {
    let snapshot = &facts.snapshot;
    let seconds = |seconds: Option<u64>| seconds.map_or(-1, signed);
    fields! {
        "loading": u8::from(snapshot.is_loading),
        "async_loading": 0,
        "current_cow_peak": 0,
        "current_cow_size": 0,
        "current_cow_size_age": 0,
        "current_fork_perc": "0.00",
        "current_save_keys_processed": 0,
        "current_save_keys_total": 0,
        "rdb_changes_since_last_save": snapshot.changes_since_save,
        "rdb_bgsave_in_progress": u8::from(snapshot.is_saving),
        "rdb_last_save_time": snapshot.last_save_seconds,
        "rdb_last_bgsave_status": if snapshot.has_last_failed { "err" } else { "ok" },
        "rdb_last_bgsave_time_sec": seconds(snapshot.last_took_seconds),
        "rdb_current_bgsave_time_sec": seconds(snapshot.current_took_seconds),
        "rdb_saves": snapshot.saves,
        "rdb_last_cow_size": 0,
        "rdb_last_load_keys_expired": snapshot.loaded_expired,
        "rdb_last_load_keys_loaded": snapshot.loaded_keys,
        "aof_enabled": 0,
        "aof_rewrite_in_progress": 0,
        "aof_rewrite_scheduled": 0,
        "aof_last_rewrite_time_sec": -1,
        "aof_current_rewrite_time_sec": -1,
        "aof_last_bgrewrite_status": "ok",
        "aof_rewrites": 0,
        "aof_rewrites_consecutive_failures": 0,
        "aof_last_write_status": "ok",
        "aof_last_cow_size": 0,
        "module_fork_in_progress": 0,
        "module_fork_last_cow_size": 0,
    }
}

pub(super) fn stats(facts: &Facts) -> Fields {
    let mut fields: Fields = fields! {
        "total_connections_received": facts.connections_received,
        "total_commands_processed": facts.commands_processed,
        "instantaneous_ops_per_sec": facts.commands_per_second,
        "total_net_input_bytes": facts.input_bytes,
        "total_net_output_bytes": facts.output_bytes,
        "total_net_repl_input_bytes": 0,
        "total_net_repl_output_bytes": 0,
        "instantaneous_input_kbps": kilobytes(facts.input_bytes_per_second),
        "instantaneous_output_kbps": kilobytes(facts.output_bytes_per_second),
        "instantaneous_input_repl_kbps": "0.00",
        "instantaneous_output_repl_kbps": "0.00",
        "rejected_connections": facts.connections_rejected,
        "sync_full": 0,
        "sync_partial_ok": 0,
        "sync_partial_err": 0,
        "expired_keys": facts.expired_keys,
        "expired_stale_perc": "0.00",
        "expired_time_cap_reached_count": facts.expire_time_cap_reached,
        "expire_cycle_cpu_milliseconds": 0,
        "evicted_keys": 0,
        "evicted_clients": 0,
        "total_eviction_exceeded_time": 0,
        "current_eviction_exceeded_time": 0,
        "keyspace_hits": facts.keyspace_hits,
        "keyspace_misses": facts.keyspace_misses,
        "pubsub_channels": 0,
        "pubsub_patterns": 0,
        "pubsubshard_channels": 0,
        "latest_fork_usec": 0,
        "total_forks": 0,
        "migrate_cached_sockets": 0,
        "slave_expires_tracked_keys": 0,
    };
    fields.extend(fields! {
        "active_defrag_hits": 0,
        "active_defrag_misses": 0,
        "active_defrag_key_hits": 0,
        "active_defrag_key_misses": 0,
        "total_active_defrag_time": 0,
        "current_active_defrag_time": 0,
        "tracking_total_keys": facts.tracked_keys,
        "tracking_total_items": facts.tracked_items,
        "tracking_total_prefixes": facts.tracked_prefixes,
        "unexpected_error_replies": 0,
        "total_error_replies": facts.error_replies,
        "dump_payload_sanitizations": 0,
        "total_reads_processed": 0,
        "total_writes_processed": 0,
        "io_threaded_reads_processed": 0,
        "io_threaded_writes_processed": 0,
        "client_query_buffer_limit_disconnections": facts.query_limit_closed,
        "client_output_buffer_limit_disconnections": facts.output_limit_closed,
        "reply_buffer_shrinks": 0,
        "reply_buffer_expands": 0,
    });
    fields
}

pub(super) fn replication(facts: &Facts) -> Fields {
    fields! {
        "role": "master",
        "connected_slaves": 0,
        "master_failover_state": "no-failover",
        "master_replid": facts.run_id,
        "master_replid2": "0".repeat(40),
        "master_repl_offset": 0,
        "second_repl_offset": -1,
        "repl_backlog_active": 0,
        "repl_backlog_size": 1_048_576,
        "repl_backlog_first_byte_offset": 0,
        "repl_backlog_histlen": 0,
    }
}

pub(super) fn cpu(facts: &Facts) -> Fields {
    let seconds = |time: Duration| format!("{}.{:06}", time.as_secs(), time.subsec_micros());
    fields! {
        "used_cpu_sys": seconds(facts.cpu.system),
        "used_cpu_user": seconds(facts.cpu.user),
        "used_cpu_sys_children": "0.000000",
        "used_cpu_user_children": "0.000000",
        "used_cpu_sys_main_thread": seconds(facts.cpu_main_thread.system),
        "used_cpu_user_main_thread": seconds(facts.cpu_main_thread.user),
    }
}

pub(super) fn commandstats(facts: &Facts) -> Fields {
    let seen = facts.commands.iter().filter(|command| command.calls + command.rejected + command.failed > 0);
    let field = |command: &CommandFacts| {
        let value = format!(
            "calls={},usec={},usec_per_call={},rejected_calls={},failed_calls={}",
            command.calls,
            command.nanos / 1000,
            ratio(command.nanos / 1000, command.calls),
            command.rejected,
            command.failed,
        );
        (Cow::Owned(format!("cmdstat_{}", command.name)), value)
    };
    seen.map(field).collect()
}

pub(super) fn errorstats(facts: &Facts) -> Fields {
    facts
        .errors
        .iter()
        .map(|(code, count)| (Cow::Owned(format!("errorstat_{code}")), format!("count={count}")))
        .collect()
}

pub(super) fn latencystats(facts: &Facts) -> Fields {
    let is_seen = |command: &&CommandFacts| facts.has_latencies && command.latency.iter().any(|count| *count > 0);
    let seen = facts.commands.iter().filter(is_seen);
    let field = |command: &CommandFacts| {
        let shown = facts.percentiles.iter().map(|percentile| {
            let nanos = command.latency_nanos(*percentile);
            format!("p{percentile}={}.{:03}", nanos / 1000, nanos % 1000)
        });
        (Cow::Owned(format!("latency_percentiles_usec_{}", command.name)), shown.collect::<Vec<_>>().join(","))
    };
    seen.map(field).collect()
}

pub(super) fn cluster(_: &Facts) -> Fields {
    fields! { "cluster_enabled": 0 }
}

pub(super) fn keyspace(facts: &Facts) -> Fields {
    let field = |database: &super::facts::DbFacts| {
        let value = format!("keys={},expires={},avg_ttl=0", database.keys, database.expires);
        (Cow::Owned(format!("db{}", database.db)), value)
    };
    facts.databases.iter().map(field).collect()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// `1.50K`, as Redis writes bytes for people.
pub(super) fn human(bytes: u64) -> String {
    let units = ["K", "M", "G", "T", "P"];
    let Some(power) = bytes.checked_ilog2().map(|log| log / 10).filter(|power| *power > 0) else {
        return format!("{bytes}B");
    };
    let (unit, power) = match units.get(power as usize - 1) {
        Some(unit) => (*unit, power),
        None => ("P", 5),
    };
    let hundredths = (u128::from(bytes) * 100 + (1 << (power * 10 - 1))) >> (power * 10);
    format!("{}.{:02}{unit}", hundredths / 100, hundredths % 100)
}

/// `part / whole` with two decimals; 0 of nothing.
fn ratio(part: u64, whole: u64) -> String {
    let hundredths = (u128::from(part) * 100).checked_div(u128::from(whole)).unwrap_or(0);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn percent(part: u64, whole: u64) -> String {
    format!("{}%", ratio(part.saturating_mul(100), whole))
}

/// Bytes per second as Redis' `kbps`.
fn kilobytes(bytes: u64) -> String {
    ratio(bytes, 1024)
}
