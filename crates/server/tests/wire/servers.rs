//! Starting ours and the oracle, each with a directory of its own.

use crate::client::Client;
use crate::deadline::wait_for;
use scrubjay_server::{Config, Server};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Where a server listens.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Ours, in this process, stopped when dropped.
pub(crate) struct Ours {
    pub(crate) address: Address,
    _server: Server,
    _dir: TempDir,
}

impl Ours {
    pub(crate) fn start(threads: usize) -> Ours {
        Ours::with(threads, &[])
    }

    /// With further settings.
    pub(crate) fn with(threads: usize, settings: &[(&str, &str)]) -> Ours {
        let dir = tempfile::tempdir().unwrap();
        let threads = threads.to_string();
        // Between finding a free port and taking it, somebody else may take it.
        let server = wait_for("a free port", || {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
            let fixed = [
                ("bind", "127.0.0.1"),
                ("port", &port),
                ("admin-port", "0"),
                ("dir", dir.path().to_str().unwrap()),
                ("save", ""),
                ("threads", &threads),
                ("enable-debug-command", "yes"),
            ];
            let config = Config::with(fixed.into_iter().chain(settings.iter().copied())).unwrap();
            Server::start(config).ok()
        });
        Ours { address: Address::Tcp(server.address().unwrap()), _server: server, _dir: dir }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(&self.address)
    }
}

/// Debian's redis-server, ended when dropped.
pub(crate) struct Oracle {
    pub(crate) address: Address,
    process: Child,
    _dir: TempDir,
}

impl Oracle {
    pub(crate) fn start() -> Oracle {
        Oracle::with(&[])
    }

    /// With further arguments.
    pub(crate) fn with(arguments: &[&str]) -> Oracle {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--enable-debug-command", "yes"])
            .arg("--unixsocket")
            .arg(&socket)
            .arg("--dir")
            .arg(dir.path())
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = process.unwrap_or_else(|error| {
            panic!("these tests compare with redis-server 7.0 (apt-get install redis-server): {error}")
        });
        let oracle = Oracle { address: Address::Unix(socket.clone()), process, _dir: dir };
        wait_for("redis-server", || std::os::unix::net::UnixStream::connect(&socket).ok());
        oracle
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // Nothing to do about a process that is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
