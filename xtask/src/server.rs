//! A server that a chore starts for itself, and ends.
//!
//! **Invariant:** its port was free, its data is in a folder of its own under `target/`, and it goes when this is dropped.

use crate::clock;
use crate::process::{self, Running, command};
use anyhow::ensure;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

/// A server on a free port, its data in a folder of its own.
pub(crate) struct Server {
    pub(crate) port: u16,
    folder: PathBuf,
    running: Running,
}

impl Server {
    /// Starts the binary (a path in the repository) with `arguments` and waits until it answers.
    pub(crate) fn start(binary: &str, arguments: &[&str]) -> anyhow::Result<Server> {
        let port = process::free_port()?;
        let folder = process::root().join("target/clients").join(format!("server-{port}"));
        std::fs::create_dir_all(&folder)?;
        let log = std::fs::File::create(folder.join("log"))?;
        let mut serve = command(process::root().join(binary));
        serve.args(["serve", "--port", &port.to_string(), "--dir"]).arg(&folder).args(["--admin-port", "0"]);
        serve.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut server = Server { port, running: Running::start(&mut serve)?, folder };
        let is_up = clock::wait_until(Duration::from_secs(20), || {
            server.running.has_ended() || TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        ensure!(is_up && !server.running.has_ended(), "the server does not start: {}", server.log());
        Ok(server)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Where what it writes goes.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.running.has_ended()
    }

    /// Ends the server and removes its folder, after a run that left nothing to look at.
    pub(crate) fn remove(self) -> anyhow::Result<()> {
        drop(self.running);
        Ok(std::fs::remove_dir_all(&self.folder)?)
    }
}
