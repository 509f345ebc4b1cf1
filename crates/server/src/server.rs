//! The server as a whole: what all threads share, start and stop.

use crate::clock::Clock;
use crate::config::Config;
use crate::reactor;
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
        let keyspace = Keyspace::new(options).map_err(std::io::Error::other)?;
        let addresses = config.listen_addresses().map_err(std::io::Error::other)?;
        let Some((address, _)) = addresses.first() else { return Err(std::io::Error::other("nothing to listen on")) };
        let shared = Arc::new(Shared { keyspace, clock: Clock::default(), config });
        Ok(Server { address: reactor::start(*address, shared)? })
    }
}
