//! The server as a whole: what all threads share, start and stop.
//!
//! What the hot path asks of the settings it asks here, in its own units.

use crate::admin::Admin;
use crate::client::Client;
use crate::clock::Clock;
use crate::command::Flags;
use crate::config::Config;
use crate::dispatch::{Dispatch, Row};
use crate::info::Vitals;
use crate::latency::LatencyMonitor;
use crate::log::{Level, Log};
use crate::monitors::Monitors;
use crate::pause::Pause;
use crate::persistence::{self, Persistence};
use crate::reactor::Reactor;
use crate::redaction;
use crate::registry::Registry;
use crate::slowlog::SlowLog;
use crate::stats::{Rates, WorkerStats};
use crate::tracking::Tracking;
use scrubjay_keyspace::{Keyspace, Options};
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The version of Redis whose commands these are: what HELLO and INFO tell clients that ask.
pub(crate) const REDIS_VERSION: &str = "7.2.4";

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) keyspace: Keyspace,
    pub(crate) clock: Clock,
    pub(crate) registry: Registry,
    pub(crate) dispatch: Dispatch,
    pub(crate) pause: Pause,
    pub(crate) rates: Rates,
    /// Counters of every worker, by slot.
    pub(crate) workers: Vec<Arc<WorkerStats>>,
    /// DEBUG SET-ACTIVE-EXPIRE.
    pub(crate) is_active_expire_on: AtomicBool,
    pub(crate) config: Config,
    pub(crate) latency: LatencyMonitor,
    pub(crate) monitors: Monitors,
    pub(crate) persistence: Persistence,
    pub(crate) slowlog: SlowLog,
    pub(crate) tracking: Tracking,
    pub(crate) vitals: Vitals,
    /// The data is loaded and clients are served.
    pub(crate) is_ready: AtomicBool,
    log: Log,
    /// When [`Shared::note_http`] last logged, Unix milliseconds.
    http_logged_ms: AtomicU64,
    is_stopping: AtomicBool,
    /// Whether the data is saved once the last command has run.
    saves_at_stop: AtomicBool,
}

impl Shared {
    /// What a server with `threads` threads shares. The error names the setting that cannot be.
    pub(crate) fn new(config: Config, threads: usize) -> Result<Shared, String> {
        let slots = u32::try_from(threads).map_err(|error| error.to_string())?;
        let stripes = (slots * 16).next_power_of_two().clamp(32, 2048);
        let options = Options { databases: config.databases(), slots: slots + 1, stripes, ..Options::default() };
        let keyspace = Keyspace::new(options).map_err(|error| error.to_string())?;
        let clock = Clock::default();
        Ok(Shared {
            keyspace,
            registry: Registry::default(),
            dispatch: Dispatch::new(&config.renamed_commands())?,
            pause: Pause::default(),
            rates: Rates::default(),
            workers: (0..threads).map(|_| Arc::new(WorkerStats::new())).collect(),
            is_active_expire_on: AtomicBool::new(true),
            latency: LatencyMonitor::default(),
            monitors: Monitors::default(),
            slowlog: SlowLog::default(),
            tracking: Tracking::default(),
            vitals: Vitals::new(clock.instant()),
            is_ready: AtomicBool::new(false),
            log: Log::open(&config).map_err(|error| error.to_string())?,
            persistence: Persistence::new(threads + 1, clock.now_ms()),
            clock,
            config,
            http_logged_ms: AtomicU64::new(0),
            is_stopping: AtomicBool::new(false),
            saves_at_stop: AtomicBool::new(true),
        })
    }

    /// Writes a line to the log.
    pub(crate) fn log(&self, level: Level, message: impl Display) {
        self.log.line(&self.config, level, self.clock.now_ms(), message);
    }

    /// Why clients should go elsewhere, if they should.
    pub(crate) fn why_not_ready(&self) -> Option<&'static str> {
        if self.is_stopping() {
            return Some("stopping\n");
        }
        if self.is_ready.load(Ordering::Relaxed) { None } else { Some("loading\n") }
    }

    /// CONFIG SET: has every thread look at the settings again.
    pub(crate) fn settings_changed(&self) {
        self.registry.wake_all();
    }

    /// CONFIG RESETSTAT.
    pub(crate) fn reset_stats(&self) {
        self.workers.iter().for_each(|worker| worker.reset());
    }

    pub(crate) fn maxclients(&self) -> usize {
        usize::try_from(self.config.maxclients()).unwrap_or(usize::MAX)
    }

    /// `timeout` in milliseconds, 0 when clients may idle.
    pub(crate) fn idle_timeout_ms(&self) -> u64 {
        self.config.timeout_seconds().saturating_mul(1000)
    }

    pub(crate) fn query_buffer_limit(&self) -> usize {
        usize::try_from(self.config.client_query_buffer_limit()).unwrap_or(usize::MAX)
    }

    pub(crate) fn bulk_len_max(&self) -> usize {
        usize::try_from(self.config.proto_max_bulk_len()).unwrap_or(usize::MAX)
    }

    /// Microseconds from which on somebody wants to know of a command: the slow log or the latency monitor.
    pub(crate) fn slow_us(&self) -> u64 {
        let monitored_us = match self.config.latency_threshold_ms() {
            0 => u64::MAX,
            threshold_ms => threshold_ms.saturating_mul(1000),
        };
        self.config.slowlog_slower_than_us().unwrap_or(u64::MAX).min(monitored_us)
    }

    /// Whether a client from elsewhere is turned away.
    pub(crate) fn is_protected(&self) -> bool {
        self.config.protected_mode() && !self.config.requires_password()
    }

    #[inline]
    pub(crate) fn is_memory_limited(&self) -> bool {
        self.config.maxmemory() != 0
    }

    /// Bytes of the program itself, of data and of client buffers.
    pub(crate) fn memory_used(&self) -> usize {
        let buffers: u64 = self.workers.iter().map(|worker| worker.buffer_bytes.get()).sum();
        let besides = buffers.saturating_add(self.vitals.baseline_bytes());
        self.keyspace.memory_used().saturating_add(usize::try_from(besides).unwrap_or(usize::MAX))
    }

    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.memory_used() as u64 > self.config.maxmemory()
    }

    /// A command took [`Shared::slow_us`] or longer.
    #[cold]
    pub(crate) fn note_slow(&self, client: &Client, row: &Row, args: &[&[u8]], spent: Duration) {
        let spent_us = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
        let (flags, now_seconds) = (row.command.flags, self.clock.now_ms() / 1000);
        let is_logged = self.config.slowlog_slower_than_us().is_some_and(|slow_us| spent_us >= slow_us);
        if is_logged && !flags.contains(Flags::SKIP_SLOWLOG) {
            let name = client.handle.identity.lock().name.clone();
            let who = (client.handle.address.as_str(), name.as_slice());
            let args = redaction::redacted(row, args);
            self.slowlog.note(&args, now_seconds, spent_us, who, self.config.slowlog_max_len());
        }
        let threshold_ms = self.config.latency_threshold_ms();
        if threshold_ms != 0 && spent_us >= threshold_ms.saturating_mul(1000) {
            let event = if flags.contains(Flags::FAST) { "fast-command" } else { "command" };
            self.latency.note(event, now_seconds, spent_us / 1000);
        }
    }

    /// A client spoke HTTP and is closed for it. One line a minute, whoever tries.
    #[cold]
    pub(crate) fn note_http(&self, client: &Client) {
        let now_ms = self.clock.now_ms();
        let logged_ms = self.http_logged_ms.load(Ordering::Relaxed);
        if now_ms.saturating_sub(logged_ms) >= 60_000 {
            self.http_logged_ms.store(now_ms, Ordering::Relaxed);
            let address = &client.handle.address;
            self.log(Level::Warning, format_args!("closed {address}: it speaks HTTP, perhaps on behalf of a web page"));
        }
    }

    /// Has every thread finish what it runs, send what it can, and end. A handler that holds the whole keyspace and calls this
    /// knows that no command runs after it.
    pub(crate) fn request_stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.registry.wake_all();
    }

    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// The same, and the data stays as it was last saved: SHUTDOWN that saved it already, or was told not to.
    pub(crate) fn request_stop_unsaved(&self) {
        self.saves_at_stop.store(false, Ordering::SeqCst);
        self.request_stop();
    }

    fn save_on_stop(&self) -> std::io::Result<()> {
        match self.saves_at_stop.load(Ordering::SeqCst) {
            true => persistence::save_on_shutdown(self).map_err(std::io::Error::other),
            false => Ok(()),
        }
    }
}

/// A running server. Dropping it stops it.
pub struct Server {
    shared: Arc<Shared>,
    reactor: Option<Reactor>,
    snapshots: Option<JoinHandle<()>>,
    admin: Option<Admin>,
    addresses: Vec<SocketAddr>,
}

impl Server {
    /// Starts a server. It answers from here on.
    pub fn start(config: Config) -> std::io::Result<Server> {
        let threads = config.threads().clamp(1, 256);
        let shared = Arc::new(Shared::new(config, threads).map_err(std::io::Error::other)?);
        shared.config.settle_dir().map_err(std::io::Error::other)?;
        let admin = Admin::start_as_configured(&shared)?;
        persistence::load_at_start(&shared).map_err(std::io::Error::other)?;
        let (reactor, addresses) = Reactor::start(&shared)?;
        let mut server = Server { shared, reactor: Some(reactor), snapshots: None, admin, addresses };
        server.snapshots = Some(persistence::start(&server.shared)?);
        let shared = &server.shared;
        shared.vitals.measure_baseline(shared.keyspace.memory_used() as u64);
        shared.is_ready.store(true, Ordering::Relaxed);
        let version = env!("CARGO_PKG_VERSION");
        shared.log(Level::Notice, format_args!("scrubjay {version} serves clients, process {}", std::process::id()));
        Ok(server)
    }

    /// Every TCP address that it listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the admin listener listens, when it is on.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// The first TCP address that it listens on.
    pub fn address(&self) -> Option<SocketAddr> {
        self.addresses.first().copied()
    }

    /// Has SIGTERM and SIGINT stop the server, for the whole process. A server that cannot save goes on instead.
    pub fn stop_on_signals(&self) -> std::io::Result<()> {
        let mut signals =
            signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])?;
        let shared = Arc::downgrade(&self.shared);
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for _ in signals.forever() {
                let Some(shared) = shared.upgrade() else { return };
                match persistence::save_on_shutdown(&shared) {
                    Ok(()) => shared.request_stop(),
                    Err(error) => {
                        shared.log(Level::Warning, format_args!("not stopping, since saving failed: {error}"));
                    }
                }
            }
        })?;
        Ok(())
    }

    /// Waits until the server was stopped by a signal or SHUTDOWN; then the data is saved. Fails when it could not be.
    pub fn wait(mut self) -> std::io::Result<()> {
        self.join()
    }

    /// Stops the server and waits for its end; the data is saved.
    pub fn stop(mut self) -> std::io::Result<()> {
        self.shared.request_stop();
        self.join()
    }

    /// What its threads share: for tests inside the crate.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    fn join(&mut self) -> std::io::Result<()> {
        let Some(reactor) = self.reactor.take() else { return Ok(()) };
        let (ended, saved) = (reactor.join(), self.shared.save_on_stop());
        self.shared.persistence.stop();
        if self.snapshots.take().is_some_and(|snapshots| snapshots.join().is_err()) {
            return Err(std::io::Error::other("the snapshot thread ended in a panic"));
        }
        ended.and(saved)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.reactor.is_some() {
            self.shared.request_stop();
            if let Err(error) = self.join() {
                self.shared.log(Level::Warning, format_args!("stopping: {error}"));
            }
        }
    }
}
