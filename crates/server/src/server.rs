//! The server as a whole: what all threads share, start and stop.

use crate::clock::Clock;
use crate::config::Config;
use crate::latency::LatencyMonitor;
use crate::persistence::{self, Persistence};
use crate::reactor;
use crate::slowlog::SlowLog;
use scrubjay_keyspace::{Keyspace, Options};
use std::net::SocketAddr;
use std::sync::Arc;

/// The version of Redis whose commands these are: what HELLO and INFO tell clients that ask.
pub(crate) const REDIS_VERSION: &str = "7.2.4";

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) keyspace: Keyspace,
    pub(crate) clock: Clock,
    pub(crate) config: Config,
    pub(crate) latency: LatencyMonitor,
    pub(crate) persistence: Persistence,
    pub(crate) slowlog: SlowLog,
}

/// A running server.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server; it runs until the process ends.
    pub fn start(config: Config) -> std::io::Result<Server> {
        let options = Options { databases: config.databases(), ..Options::default() };
        let keyspace = Keyspace::new(options.clone()).map_err(std::io::Error::other)?;
        let addresses = config.listen_addresses().map_err(std::io::Error::other)?;
        let Some((address, _)) = addresses.first() else { return Err(std::io::Error::other("nothing to listen on")) };
        let clock = Clock::default();
        let persistence = Persistence::new(options.slots as usize, clock.now_ms());
        let shared = Arc::new(Shared {
            keyspace,
            clock,
            config,
            persistence,
            slowlog: SlowLog::default(),
            latency: LatencyMonitor::default(),
        });
        persistence::load_at_start(&shared).map_err(std::io::Error::other)?;
        persistence::start(&shared)?;
        Ok(Server { address: reactor::start(*address, shared)? })
    }
}
