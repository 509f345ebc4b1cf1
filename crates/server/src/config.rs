//! The settings in force: one cell per row of the table, read by every thread.
//!
//! **Invariant:** a cell only ever holds a value that its row accepted. Reading a number or a yes/no is one relaxed load;
//! texts are behind a lock and cloned by reference. Two settings that change together are not seen together.

mod accepted;
mod check;
mod clients;
mod cron;
mod load;
mod memory;
mod network;
mod observing;
mod page;
mod persistence;
mod quoting;
mod rewrite;
mod rows;
mod settable;
mod setting;
#[cfg(test)]
mod tests;
mod value;

use parking_lot::RwLock;
use rows::index_of;
use setting::{Kind, Setting};
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use value::Value;

pub use cron::Schedule;
pub use load::Sources;
pub use page::Described;
pub use value::OutputLimit;

/// A value that was refused, or a setting that does not exist: one line that says which and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// Where a value lives. Numbers, yes/no and enums are in `number`; texts are in `text`, and `number` is their length.
struct Cell {
    number: AtomicI64,
    text: RwLock<Arc<str>>,
    /// Whether anybody has set it, to whatever value.
    is_given: AtomicBool,
}

/// The settings of one server. Starts with the defaults.
pub struct Config {
    cells: Box<[Cell]>,
    /// `client-output-buffer-limit` as numbers, class by class: hard, soft, seconds.
    output_limits: [[AtomicU64; 3]; 3],
    /// The file that it was loaded from: what CONFIG REWRITE writes.
    file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Config {
        let cells = (0..rows::COUNT).map(|_| Cell {
            number: AtomicI64::new(0),
            text: RwLock::new("".into()),
            is_given: AtomicBool::new(false),
        });
        let config = Config { cells: cells.collect(), output_limits: Default::default(), file: None };
        for (index, setting) in rows::all() {
            let parsed = setting.parse(setting.default, "");
            debug_assert!(parsed.is_ok(), "the default of {} is not a value of it: {parsed:?}", setting.name);
            if let Ok(value) = parsed {
                config.store(index, setting, value);
            }
            config.cells[index].is_given.store(false, Ordering::Relaxed);
        }
        config
    }
}

impl Config {
    /// The defaults, and `pairs` of names and values over them: what tests and embedders start from.
    pub fn with<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Config, ConfigError> {
        let config = Config::default();
        for (name, text) in pairs {
            config.set_at_start(name, text)?;
        }
        Ok(config)
    }

    /// Sets `name` before the server starts, when everything may change.
    pub fn set_at_start(&self, name: &str, text: &str) -> Result<(), ConfigError> {
        let Some((index, setting)) = rows::find(name) else { return Err(ConfigError(load::unknown(name))) };
        let value = setting
            .parse(text, &self.shown(index, setting))
            .map_err(|right| ConfigError(load::refused(setting, text, &right)))?;
        self.store(index, setting, value);
        Ok(())
    }

    /// The file that it was loaded from.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    fn store(&self, index: usize, setting: &Setting, value: Value) {
        let cell = &self.cells[index];
        cell.is_given.store(true, Ordering::Relaxed);
        match value {
            Value::Number(number) => cell.number.store(number, Ordering::Relaxed),
            Value::Text(text) => {
                if setting.kind == Kind::OutputLimits {
                    self.store_output_limits(&text);
                }
                let len = i64::try_from(text.len()).unwrap_or(i64::MAX);
                *cell.text.write() = text.into();
                cell.number.store(len, Ordering::Relaxed);
            }
        }
    }

    fn store_output_limits(&self, text: &str) {
        let limits = value::parse_output_limits(text, [OutputLimit::default(); 3]).unwrap_or_default();
        for (cells, limit) in self.output_limits.iter().zip(limits) {
            for (cell, number) in cells.iter().zip([limit.hard_bytes, limit.soft_bytes, limit.soft_seconds]) {
                cell.store(number, Ordering::Relaxed);
            }
        }
    }

    fn shown(&self, index: usize, setting: &Setting) -> String {
        let cell = &self.cells[index];
        match setting.kind {
            Kind::Text | Kind::Words | Kind::Lines | Kind::OutputLimits => cell.text.read().to_string(),
            _ => value::show(setting.kind, &Value::Number(cell.number.load(Ordering::Relaxed))),
        }
    }

    #[inline]
    fn number(&self, index: usize) -> i64 {
        self.cells[index].number.load(Ordering::Relaxed)
    }

    /// Rows of numbers that are never negative.
    #[inline]
    fn count(&self, index: usize) -> u64 {
        u64::try_from(self.number(index)).unwrap_or(0)
    }

    #[inline]
    fn is_on(&self, index: usize) -> bool {
        self.number(index) != 0
    }

    fn text(&self, index: usize) -> Arc<str> {
        Arc::clone(&self.cells[index].text.read())
    }
}

/// The readers: one per setting that something depends on.
impl Config {
    /// Addresses to listen on, each with whether it may be missing (`-` before it). Blocks on name resolution.
    ///
    /// A word of `bind` may carry a port of its own; `127.0.0.1:0` is any free port, as tests want it.
    pub fn listen_addresses(&self) -> Result<Vec<(SocketAddr, bool)>, ConfigError> {
        let mut addresses = Vec::new();
        for word in self.text(const { index_of("bind") }).split_whitespace() {
            let (host, may_be_missing) = match word.strip_prefix('-') {
                Some(host) => (host, true),
                None => (word, false),
            };
            match socket_address(host, self.port()) {
                Ok(address) => addresses.extend(address.map(|address| (address, may_be_missing))),
                Err(_) if may_be_missing => {}
                Err(error) => return Err(ConfigError(format!("bind: '{word}' is not an address: {error}"))),
            }
        }
        Ok(addresses)
    }

    /// TCP port for clients; 0 for none.
    pub fn port(&self) -> u16 {
        u16::try_from(self.number(const { index_of("port") })).unwrap_or(0)
    }

    /// Path of the Unix socket, if any.
    pub fn unixsocket(&self) -> Option<PathBuf> {
        self.path(const { index_of("unixsocket") })
    }

    /// Permissions of the Unix socket; 0 leaves them alone.
    pub fn unixsocketperm(&self) -> u32 {
        u32::try_from(self.number(const { index_of("unixsocketperm") })).unwrap_or(0)
    }

    /// Threads that serve clients, at least one.
    pub fn threads(&self) -> usize {
        match usize::try_from(self.number(const { index_of("threads") })) {
            Ok(0) | Err(_) => std::thread::available_parallelism().map_or(1, usize::from),
            Ok(threads) => threads,
        }
    }

    /// Length of the queue of connections to accept.
    pub fn tcp_backlog(&self) -> i32 {
        i32::try_from(self.number(const { index_of("tcp-backlog") })).unwrap_or(i32::MAX)
    }

    /// Seconds until the first keepalive probe; 0 for none.
    pub fn tcp_keepalive_seconds(&self) -> u64 {
        self.count(const { index_of("tcp-keepalive") })
    }

    /// Whether clients from elsewhere are refused while there is no password.
    pub fn protected_mode(&self) -> bool {
        self.is_on(const { index_of("protected-mode") })
    }

    /// Whether there is a password. One relaxed load.
    pub fn requires_password(&self) -> bool {
        self.is_on(const { index_of("requirepass") })
    }

    /// The password; empty for none.
    pub fn requirepass(&self) -> Arc<str> {
        self.text(const { index_of("requirepass") })
    }

    /// Number of databases.
    pub fn databases(&self) -> u16 {
        u16::try_from(self.number(const { index_of("databases") })).unwrap_or(1)
    }

    /// Clients that may be connected at once.
    pub fn maxclients(&self) -> u64 {
        self.count(const { index_of("maxclients") })
    }

    /// Seconds after which an idle client is disconnected; 0 never.
    pub fn timeout_seconds(&self) -> u64 {
        self.count(const { index_of("timeout") })
    }

    /// Limit of output for ordinary clients. Three relaxed loads.
    pub fn output_limit_normal(&self) -> OutputLimit {
        self.output_limit(0)
    }

    fn output_limit(&self, class: usize) -> OutputLimit {
        let [hard, soft, seconds] = &self.output_limits[class];
        OutputLimit {
            hard_bytes: hard.load(Ordering::Relaxed),
            soft_bytes: soft.load(Ordering::Relaxed),
            soft_seconds: seconds.load(Ordering::Relaxed),
        }
    }

    /// Bytes of input that may wait for the rest of a request.
    pub fn client_query_buffer_limit(&self) -> u64 {
        self.count(const { index_of("client-query-buffer-limit") })
    }

    /// Bytes of the longest argument.
    pub fn proto_max_bulk_len(&self) -> u64 {
        self.count(const { index_of("proto-max-bulk-len") })
    }

    /// Bytes that the server may use; 0 is no limit.
    #[inline]
    pub fn maxmemory(&self) -> u64 {
        self.count(const { index_of("maxmemory") })
    }

    /// What `hz` is set to, for INFO: nothing depends on it.
    pub fn hz(&self) -> u64 {
        self.count(const { index_of("hz") })
    }

    /// Effort of active expiry, 1 to 10.
    pub fn active_expire_effort(&self) -> u64 {
        self.count(const { index_of("active-expire-effort") })
    }

    /// The directory of the data.
    pub fn dir(&self) -> PathBuf {
        PathBuf::from(&*self.text(const { index_of("dir") }))
    }

    /// Name of the snapshot file.
    pub fn dbfilename(&self) -> Arc<str> {
        self.text(const { index_of("dbfilename") })
    }

    /// When to save by itself: pairs of seconds and changes.
    pub fn save_points(&self) -> Vec<(u64, u64)> {
        let text = self.text(const { index_of("save") });
        let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
    }

    /// Whether snapshots compress strings.
    pub fn rdbcompression(&self) -> bool {
        self.is_on(const { index_of("rdbcompression") })
    }

    /// Whether snapshots carry a checksum.
    pub fn rdbchecksum(&self) -> bool {
        self.is_on(const { index_of("rdbchecksum") })
    }

    /// Whether writes are refused after a failed background save.
    pub fn stop_writes_on_bgsave_error(&self) -> bool {
        self.is_on(const { index_of("stop-writes-on-bgsave-error") })
    }

    /// Microseconds from which on a command is slow; `None` logs none.
    pub fn slowlog_slower_than_us(&self) -> Option<u64> {
        u64::try_from(self.number(const { index_of("slowlog-log-slower-than") })).ok()
    }

    /// Entries that the slow log keeps.
    pub fn slowlog_max_len(&self) -> usize {
        usize::try_from(self.number(const { index_of("slowlog-max-len") })).unwrap_or(usize::MAX)
    }

    /// Milliseconds from which on an event enters the latency monitor; 0 for none.
    pub fn latency_threshold_ms(&self) -> u64 {
        self.count(const { index_of("latency-monitor-threshold") })
    }

    /// Whether the time of every command is kept for INFO latencystats.
    pub fn latency_tracking(&self) -> bool {
        self.is_on(const { index_of("latency-tracking") })
    }

    /// The percentiles of INFO latencystats.
    pub fn latency_percentiles(&self) -> Vec<f64> {
        let text = self.text(const { index_of("latency-tracking-info-percentiles") });
        text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
    }

    /// Keys that CLIENT TRACKING remembers; 0 is no limit.
    pub fn tracking_table_max_keys(&self) -> u64 {
        self.count(const { index_of("tracking-table-max-keys") })
    }

    /// Whether a client, which is `local` or not, may use DEBUG.
    pub fn allows_debug(&self, is_local: bool) -> bool {
        allows(self.number(const { index_of("enable-debug-command") }), is_local)
    }

    /// Whether a client, which is `local` or not, may change protected settings.
    pub fn allows_protected(&self, is_local: bool) -> bool {
        allows(self.number(const { index_of("enable-protected-configs") }), is_local)
    }

    /// When to save by the calendar.
    pub fn snapshot_cron(&self) -> Option<Schedule> {
        Schedule::parse(&self.text(const { index_of("snapshot-cron") })).ok().flatten()
    }

    /// The other names of commands: old name, new name; an empty new name takes the command away.
    pub fn renamed_commands(&self) -> Vec<(String, String)> {
        let words = quoting::split(&self.text(const { index_of("rename-command") })).unwrap_or_default();
        words.chunks_exact(2).map(|pair| (pair[0].to_ascii_lowercase(), pair[1].to_ascii_lowercase())).collect()
    }

    /// The least important level that is logged: 0 debug, 1 verbose, 2 notice, 3 warning, 4 nothing.
    pub fn loglevel(&self) -> u8 {
        u8::try_from(self.number(const { index_of("loglevel") })).unwrap_or(2)
    }

    /// The file of the log; `None` is standard output.
    pub fn logfile(&self) -> Option<PathBuf> {
        self.path(const { index_of("logfile") })
    }

    /// The file that holds the process' number.
    pub fn pidfile(&self) -> Option<PathBuf> {
        self.path(const { index_of("pidfile") })
    }

    /// Where the admin listener listens; `None` when it is off.
    pub fn admin_address(&self) -> Result<Option<SocketAddr>, ConfigError> {
        let port = u16::try_from(self.number(const { index_of("admin-port") })).unwrap_or(0);
        let host = self.text(const { index_of("admin-bind") });
        socket_address(&host, port)
            .map_err(|error| ConfigError(format!("admin-bind: '{host}' is not an address: {error}")))
    }

    /// Whether the admin listener's address was set by somebody.
    pub fn is_admin_given(&self) -> bool {
        let indexes = const { [index_of("admin-bind"), index_of("admin-port")] };
        indexes.into_iter().any(|index| self.cells[index].is_given.load(Ordering::Relaxed))
    }

    /// Makes the directory of the data when it is missing, and its path absolute.
    pub fn settle_dir(&self) -> Result<(), ConfigError> {
        let dir = self.dir();
        let settled = std::fs::create_dir_all(&dir).and_then(|()| std::fs::canonicalize(&dir));
        let fail = |why: &dyn fmt::Display| ConfigError(format!("dir: '{}' cannot be used: {why}", dir.display()));
        let absolute = settled.map_err(|error| fail(&error))?;
        let absolute = absolute.into_os_string().into_string().map_err(|_| fail(&"its path must be UTF-8"))?;
        *self.cells[const { index_of("dir") }].text.write() = absolute.into();
        Ok(())
    }

    fn path(&self, index: usize) -> Option<PathBuf> {
        Some(self.text(index)).filter(|path| !path.is_empty()).map(|path| PathBuf::from(&*path))
    }
}

/// Whether `who` (nobody, everybody, local clients) includes a client.
fn allows(who: i64, is_local: bool) -> bool {
    who == 1 || (who == 2 && is_local)
}

/// The address that `host` and `port` mean; none for port 0, unless `host` brings its own.
fn socket_address(host: &str, port: u16) -> std::io::Result<Option<SocketAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(Some(address));
    }
    if port == 0 {
        return Ok(None);
    }
    let host = match host {
        "*" => "0.0.0.0",
        "::*" => "::",
        host => host,
    };
    Ok((host, port).to_socket_addrs()?.next())
}
