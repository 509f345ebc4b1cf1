//! The server as a whole: what all threads share, start and stop.

use crate::clock::Clock;
use crate::reactor;
use scrubjay_keyspace::{Keyspace, Options};
use std::net::SocketAddr;
use std::sync::Arc;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen.
    pub address: SocketAddr,
}

/// What all threads share.
pub(crate) struct Shared {
    pub(crate) keyspace: Keyspace,
    pub(crate) clock: Clock,
}

/// A running server.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server; it runs until the process ends.
    pub fn start(settings: Settings) -> std::io::Result<Server> {
        let keyspace = Keyspace::new(Options::default()).map_err(std::io::Error::other)?;
        let shared = Arc::new(Shared { keyspace, clock: Clock::default() });
        Ok(Server { address: reactor::start(settings.address, shared)? })
    }
}
