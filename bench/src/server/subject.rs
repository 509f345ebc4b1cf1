//! The servers that are measured: how each is started, and what the kernel knows of it.
//!
//! **Invariant:** a server started here listens on a free port of 127.0.0.1, keeps its files in a folder of its own under the
//! system's temporary folder, and is gone, folder and all, when it is dropped.

use super::wire::Protocol;
use crate::clock;
use anyhow::{Context, ensure};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A server that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    binary: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// With so many threads, or one per core.
    Scrubjay(Option<u32>),
    Redis,
    Dragonfly,
    Memcached,
}

impl Subject {
    /// Ours, with one thread per core, or with `threads`.
    pub(crate) fn scrubjay(binary: PathBuf, threads: Option<u32>) -> Subject {
        let name = threads.map_or_else(|| "scrubjay".to_string(), |threads| format!("scrubjay-{threads}"));
        Subject { name, binary, kind: Kind::Scrubjay(threads) }
    }

    /// Debian's memcached.
    pub(crate) fn memcached() -> Subject {
        Subject { name: "memcached".to_string(), binary: "memcached".into(), kind: Kind::Memcached }
    }

    /// A server that takes Redis' settings: `name=path`.
    pub(crate) fn peer(spec: &str) -> anyhow::Result<Subject> {
        let (name, path) = spec.split_once('=').with_context(|| format!("{spec}: wanted name=path"))?;
        let kind = if name.starts_with("dragonfly") { Kind::Dragonfly } else { Kind::Redis };
        Ok(Subject { name: name.to_string(), binary: path.into(), kind })
    }

    /// What it speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        if matches!(self.kind, Kind::Memcached) { Protocol::Memcached } else { Protocol::Redis }
    }

    /// Starts it, empty.
    pub(crate) fn start(&self) -> anyhow::Result<Running> {
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let folder = std::env::temp_dir().join(format!("scrubjay-bench-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let log = std::fs::File::create(folder.join("log"))?;
        let mut command = Command::new(&self.binary);
        command.current_dir(&folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.arguments(&mut command, &port.to_string());
        let child = command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))?;
        let mut running = Running { child, port, protocol: self.protocol(), folder };
        let is_up = clock::wait_until(Duration::from_secs(20), || {
            !matches!(running.child.try_wait(), Ok(None)) || TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let has_ended = !matches!(running.child.try_wait(), Ok(None));
        ensure!(is_up && !has_ended, "{} does not start: {}", self.name, running.log());
        Ok(running)
    }

    fn arguments(&self, command: &mut Command, port: &str) {
        match self.kind {
            Kind::Scrubjay(threads) => {
                command.args(["serve", "--port", port, "--bind", "127.0.0.1", "--dir", "."]);
                command.args(["--save", "", "--admin-port", "0"]);
                if let Some(threads) = threads {
                    command.arg(format!("--threads={threads}"));
                }
            }
            Kind::Redis => {
                command.args(["--port", port, "--bind", "127.0.0.1", "--dir", ".", "--save", "", "--appendonly", "no"]);
            }
            Kind::Dragonfly => {
                command.args(["--port", port, "--bind", "127.0.0.1", "--dir", ".", "--dbfilename="]);
            }
            Kind::Memcached => {
                command.args(["-l", "127.0.0.1", "-p", port, "-U", "0", "-m", "8192", "-c", "4096"]);
                if rustix::process::geteuid().is_root() {
                    command.args(["-u", "root"]);
                }
            }
        }
    }
}

/// CPU time of all threads of a process so far, in nanoseconds, what the kernel did for them included.
pub(crate) fn cpu_ns_of(process: u32) -> anyhow::Result<u64> {
    let mut sum = 0;
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else { continue };
        sum += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(sum)
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    folder: PathBuf,
}

impl Running {
    /// CPU time of all its threads so far, in nanoseconds, what the kernel did for them included.
    pub(crate) fn cpu_ns(&self) -> anyhow::Result<u64> {
        cpu_ns_of(self.id())
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in bytes, page by page (the counters of `statm` lag behind).
    pub(crate) fn rss(&self) -> anyhow::Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).context("no Rss")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// Resident memory once it stands still, or after 3 s.
    pub(crate) fn settled_rss(&self) -> anyhow::Result<u64> {
        let mut last = self.rss()?;
        for _ in 0..15 {
            clock::pause(Duration::from_millis(200));
            let rss = self.rss()?;
            if rss.abs_diff(last) < 64 << 10 {
                return Ok(rss);
            }
            last = rss;
        }
        Ok(last)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
