//! `/metrics`: the facts in Prometheus' text format (version 0.0.4), under redis_exporter's names where it has one.
//!
//! Every family opens with HELP and TYPE, its samples stand together, and names of counters end in `_total` unless
//! redis_exporter says otherwise.

use crate::info::{CommandFacts, Facts};
use crate::server::REDIS_VERSION;
use std::fmt::{Display, Write};
use std::time::Duration;

/// The type of the text that [`render`] makes.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The text under way.
struct Page(String);

impl Page {
    fn family(&mut self, kind: &str, name: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if index == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family("gauge", name, help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family("counter", name, help);
        self.sample(name, &[], value);
    }

    /// One counter per command that `value` has something to say of.
    fn per_command<V: Display>(&mut self, facts: &Facts, name: &str, help: &str, value: impl Fn(&CommandFacts) -> V) {
        self.family("counter", name, help);
        for command in facts.commands.iter().filter(|command| command.calls + command.rejected + command.failed > 0) {
            self.sample(name, &[("cmd", &command.name)], value(command));
        }
    }
}

/// Backslash, quote and line end, as label values want them.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// The page.
pub(super) fn render(facts: &Facts) -> String {
    let mut page = Page(String::with_capacity(16 << 10));
    process(&mut page, facts);
    clients(&mut page, facts);
    memory(&mut page, facts);
    snapshots(&mut page, facts);
    traffic(&mut page, facts);
    commands(&mut page, facts);
    databases(&mut page, facts);
    page.0
}

fn process(page: &mut Page, facts: &Facts) {
    page.gauge("redis_up", "Whether the server answers.", 1);
    page.family("gauge", "redis_instance_info", "What the server says it is.");
    let (pid, port) = (std::process::id().to_string(), facts.port.to_string());
    let labels = [
        ("redis_version", REDIS_VERSION),
        ("redis_mode", "standalone"),
        ("role", "master"),
        ("process_id", &pid),
        ("tcp_port", &port),
        ("run_id", &facts.run_id),
        ("maxmemory_policy", "noeviction"),
    ];
    page.sample("redis_instance_info", &labels, 1);
    page.family("gauge", "scrubjay_build_info", "The version of Scrubjay.");
    page.sample("scrubjay_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.gauge("redis_uptime_in_seconds", "Seconds since the start.", facts.uptime_seconds);
    let started = (facts.now_us / 1_000_000).saturating_sub(facts.uptime_seconds);
    page.gauge("redis_start_time_seconds", "Unix time of the start.", started);
    page.gauge("redis_process_id", "Number of the process.", std::process::id());
    page.gauge("scrubjay_threads", "Threads that serve clients.", facts.threads);
    page.counter("redis_cpu_sys_seconds_total", "CPU time spent in the system.", seconds(facts.cpu.system));
    page.counter("redis_cpu_user_seconds_total", "CPU time spent in the program.", seconds(facts.cpu.user));
}

fn clients(page: &mut Page, facts: &Facts) {
    page.gauge("redis_connected_clients", "Clients that are connected.", facts.clients);
    page.gauge("redis_blocked_clients", "Clients that wait for something.", facts.blocked_clients);
    page.gauge("redis_tracking_clients", "Clients that track keys.", facts.tracking_clients);
    page.gauge("redis_max_clients", "Clients that may be connected at once.", facts.maxclients);
    page.gauge("redis_config_maxclients", "The setting maxclients.", facts.maxclients);
    page.gauge("redis_connected_slaves", "Replicas that are connected.", 0);
}

fn memory(page: &mut Page, facts: &Facts) {
    page.gauge("redis_memory_used_bytes", "Bytes of data, buffers and the program itself.", facts.memory_used);
    page.gauge("redis_memory_used_rss_bytes", "Bytes that the system counts as resident.", facts.memory_resident);
    page.gauge("redis_memory_used_peak_bytes", "The most that was used.", facts.memory_peak);
    page.gauge("redis_memory_used_startup_bytes", "Bytes used at the start.", facts.memory_baseline);
    page.gauge("redis_mem_clients_normal", "Bytes of buffers of clients.", facts.memory_buffers);
    page.gauge("redis_memory_max_bytes", "The setting maxmemory; 0 is no limit.", facts.maxmemory);
    page.gauge("redis_config_maxmemory", "The setting maxmemory; 0 is no limit.", facts.maxmemory);
    page.gauge("redis_total_system_memory_bytes", "Bytes of memory that the machine has.", facts.memory_system);
}

fn snapshots(page: &mut Page, facts: &Facts) {
    let snapshot = &facts.snapshot;
    page.gauge("redis_loading_dump_file", "Whether a snapshot is being loaded.", u8::from(snapshot.is_loading));
    page.gauge("redis_rdb_changes_since_last_save", "Changes since the last snapshot.", snapshot.changes_since_save);
    page.gauge("redis_rdb_bgsave_in_progress", "Whether a snapshot is being saved.", u8::from(snapshot.is_saving));
    page.gauge("redis_rdb_last_save_timestamp_seconds", "Unix time of the last snapshot.", snapshot.last_save_seconds);
    let status = u8::from(!snapshot.has_last_failed);
    page.gauge("redis_rdb_last_bgsave_status", "Whether the last background save succeeded.", status);
    let took = |seconds: Option<u64>| seconds.map_or(-1, |seconds| i64::try_from(seconds).unwrap_or(i64::MAX));
    let last = took(snapshot.last_took_seconds);
    page.gauge("redis_rdb_last_bgsave_duration_sec", "How long the last background save took.", last);
    let current = took(snapshot.current_took_seconds);
    page.gauge("redis_rdb_current_bgsave_duration_sec", "How long the current one has taken.", current);
    page.counter("redis_rdb_saves_total", "Snapshots saved since the start.", snapshot.saves);
    page.gauge("redis_aof_enabled", "Whether there is an append-only file.", 0);
}

fn traffic(page: &mut Page, facts: &Facts) {
    page.counter("redis_connections_received_total", "Connections accepted.", facts.connections_received);
    page.counter("redis_rejected_connections_total", "Connections refused by maxclients.", facts.connections_rejected);
    page.counter("redis_commands_processed_total", "Commands run.", facts.commands_processed);
    page.gauge("redis_instantaneous_ops_per_sec", "Commands per second.", facts.commands_per_second);
    page.counter("redis_net_input_bytes_total", "Bytes read from clients.", facts.input_bytes);
    page.counter("redis_net_output_bytes_total", "Bytes written to clients.", facts.output_bytes);
    page.counter("redis_keyspace_hits_total", "Reads that found their key.", facts.keyspace_hits);
    page.counter("redis_keyspace_misses_total", "Reads that did not.", facts.keyspace_misses);
    page.counter("redis_expired_keys_total", "Keys removed because their time was over.", facts.expired_keys);
    page.counter("redis_evicted_keys_total", "Keys removed for memory.", 0);
    let name = "redis_expired_time_cap_reached_total";
    page.counter(name, "Rounds of expiry that ended early for their time.", facts.expire_time_cap_reached);
    let name = "scrubjay_limit_disconnections_total";
    page.family("counter", name, "Clients disconnected for the size of a buffer.");
    page.sample(name, &[("buffer", "output")], facts.output_limit_closed);
    page.sample(name, &[("buffer", "query")], facts.query_limit_closed);
    page.gauge("redis_tracking_total_keys", "Keys remembered for tracking.", facts.tracked_keys);
    page.gauge("redis_slowlog_length", "Entries of the slow log.", facts.slowlog_len);
    page.counter("redis_total_error_replies", "Error replies.", facts.error_replies);
    page.family("counter", "redis_errors_total", "Error replies by code.");
    for (code, count) in &facts.errors {
        page.sample("redis_errors_total", &[("err", code)], count);
    }
}

fn commands(page: &mut Page, facts: &Facts) {
    page.per_command(facts, "redis_commands_total", "Calls by command.", |command| command.calls);
    page.per_command(facts, "redis_commands_duration_seconds_total", "Time spent by command.", |command| {
        seconds(Duration::from_nanos(command.nanos))
    });
    page.per_command(facts, "redis_commands_rejected_calls_total", "Calls refused before they ran.", |command| {
        command.rejected
    });
    page.per_command(facts, "redis_commands_failed_calls_total", "Calls that ended in an error.", |command| {
        command.failed
    });
}

fn databases(page: &mut Page, facts: &Facts) {
    let of_all = |page: &mut Page, name: &str, help: &str, value: fn(u64, u64) -> u64| {
        page.family("gauge", name, help);
        for database in &facts.databases {
            let db = format!("db{}", database.db);
            page.sample(name, &[("db", &db)], value(database.keys, database.expires));
        }
    };
    of_all(page, "redis_db_keys", "Keys by database.", |keys, _| keys);
    of_all(page, "redis_db_keys_expiring", "Keys with an expiry by database.", |_, expires| expires);
}
