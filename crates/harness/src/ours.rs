//! Our own server, in this process: a test of the library in a fresh clone has no binary of ours to start.
//!
//! It cannot be stopped halfway as a process can; a [`crate::Proxy`] in front of it does what SIGSTOP would.

use crate::clock::{PATIENCE, wait_until};
use crate::console::{Console, Reply};
use crate::ports;
use scrubjay_server::{Config, Server};
use std::net::{Ipv4Addr, SocketAddr};
use tempfile::TempDir;

/// `scrubjay serve` on a free port, its data in a folder of its own; nothing is saved.
///
/// ```
/// let server = scrubjay_harness::ScrubjayServer::start();
/// assert_eq!(server.console().call(&["PING"]).text(), "PONG");
/// ```
pub struct ScrubjayServer {
    port: u16,
    settings: Vec<(String, String)>,
    server: Option<Server>,
    folder: TempDir,
}

impl ScrubjayServer {
    /// A server of two threads.
    pub fn start() -> ScrubjayServer {
        ScrubjayServer::start_with(&[])
    }

    /// With further settings, `[("maxmemory", "4mb")]`.
    pub fn start_with(settings: &[(&str, &str)]) -> ScrubjayServer {
        let mut server = ScrubjayServer {
            port: 0,
            settings: settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            server: None,
            folder: tempfile::tempdir().expect("a folder for scrubjay"),
        };
        server.start_again_on(ports::free);
        server
    }

    fn start_again_on(&mut self, port: impl Fn() -> u16) {
        let folder = self.folder.path().to_str().expect("a folder in UTF-8");
        let started = wait_until(PATIENCE, || {
            let port = port();
            let text = port.to_string();
            let fixed = [
                ("bind", "127.0.0.1"),
                ("port", text.as_str()),
                ("admin-port", "0"),
                ("dir", folder),
                ("save", ""),
                ("threads", "2"),
                ("loglevel", "warning"),
                ("enable-debug-command", "yes"),
            ];
            let given = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let config = Config::with(fixed.into_iter().chain(given)).unwrap_or_else(|error| panic!("{error}"));
            Some((port, Server::start(config).ok()?))
        });
        let (port, server) = started.expect("scrubjay serve starts");
        self.port = port;
        self.server = Some(server);
    }

    /// The port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// 127.0.0.1 and the port.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// `redis://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// A connection of its own. Panics when the server does not answer.
    #[track_caller]
    pub fn console(&self) -> Console {
        Console::connect(self.address()).unwrap_or_else(|error| panic!("scrubjay on {}: {error}", self.port))
    }

    /// One command on a connection of its own.
    #[track_caller]
    pub fn call<A: AsRef<[u8]>>(&self, arguments: &[A]) -> Reply {
        self.console().call(arguments)
    }

    /// Ends it and every connection. Its port refuses connections until [`ScrubjayServer::start_again`].
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts it on the same port, empty.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "it runs");
        let port = self.port;
        self.start_again_on(|| port);
    }

    /// [`ScrubjayServer::kill`] and [`ScrubjayServer::start_again`].
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }
}

impl std::fmt::Debug for ScrubjayServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScrubjayServer").field("port", &self.port).field("is_running", &self.server.is_some()).finish()
    }
}
