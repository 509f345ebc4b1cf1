//! Debian's `redis-server` as a child process.

use crate::certificates::Certificates;
use crate::clock::{PATIENCE, wait_until};
use crate::console::{Console, Reply};
use crate::ports;
use crate::process::Running;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

/// How often another port is tried when somebody was faster.
const ATTEMPTS: usize = 10;
/// Another program than the `redis-server` that is installed: another version, or Valkey.
const PROGRAM_VARIABLE: &str = "SCRUBJAY_REDIS_SERVER";

/// What these servers run.
struct Program {
    path: OsString,
    /// Of Redis, or of what replaces it.
    major: u32,
}

/// Asked once.
fn program() -> &'static Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = std::env::var_os(PROGRAM_VARIABLE).unwrap_or_else(|| "redis-server".into());
        let output = Command::new(&path).arg("--version").output().unwrap_or_else(|error| {
            panic!("these tests need redis-server 6.2 or later (apt-get install redis-server): {error}")
        });
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_once("v=").and_then(|(_, version)| version.split('.').next()?.parse().ok());
        Program { path, major: version.unwrap_or_else(|| panic!("no version of a redis-server: {text:?}")) }
    })
}

/// A `redis-server` on a free port, its data in a folder of its own; nothing is saved unless an argument says so.
///
/// Where the program is not installed, starting panics and says what to install (`cargo xtask test` does it by itself). Another
/// one is run where the environment's `SCRUBJAY_REDIS_SERVER` names it: Redis 6.2, Valkey.
///
/// ```no_run
/// use scrubjay_harness::RedisServer;
/// let mut server = RedisServer::start_with(&["--maxmemory", "4mb"]);
/// server.console().ok(&["SET", "a", "1"]);
/// server.restart();
/// assert_eq!(server.console().call(&["GET", "a"]).text(), "");
/// ```
pub struct RedisServer {
    port: u16,
    arguments: Vec<String>,
    running: Option<Running>,
    certificates: Option<Certificates>,
    folder: TempDir,
}

impl RedisServer {
    /// A server as it comes, that saves nothing.
    pub fn start() -> RedisServer {
        RedisServer::start_with(&[])
    }

    /// With further arguments, `["--maxmemory", "4mb"]`, an ACL user `["--user", "ann", "on", ">secret", "~*", "&*", "+@all"]`.
    pub fn start_with(arguments: &[&str]) -> RedisServer {
        RedisServer::launch(arguments, None)
    }

    /// Speaks TLS alone, with a certificate for 127.0.0.1 and `localhost` by [`RedisServer::certificates`]. There is no
    /// [`RedisServer::console`] of such a server.
    pub fn start_tls(arguments: &[&str]) -> RedisServer {
        RedisServer::launch(arguments, Some(Certificates::new()))
    }

    fn launch(arguments: &[&str], certificates: Option<Certificates>) -> RedisServer {
        let mut server = RedisServer {
            port: 0,
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            running: None,
            certificates,
            folder: tempfile::tempdir().expect("a folder for redis-server"),
        };
        for _ in 0..ATTEMPTS {
            server.port = ports::free();
            if server.try_start() {
                return server;
            }
        }
        panic!("redis-server does not start: {}", server.log());
    }

    /// False when it ended before it answered.
    fn try_start(&mut self) -> bool {
        let started = Running::start(&mut self.command()).unwrap_or_else(|error| panic!("redis-server: {error}"));
        let running = self.running.insert(started);
        let (address, is_tls) = (SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)), self.certificates.is_some());
        let is_up = wait_until(PATIENCE, || {
            if running.has_ended() {
                return Some(false);
            }
            let mut console = Console::connect(address).ok()?;
            // Who asks for a password answers as well, and so does who is still loading. In TLS the port has to do.
            let is_loading = |reply: &Reply| matches!(reply, Reply::Error(text) if text.starts_with("LOADING"));
            (is_tls || console.try_call(&["PING"]).is_ok_and(|reply| !is_loading(&reply))).then_some(true)
        });
        let is_up = is_up.unwrap_or_else(|| panic!("redis-server does not answer: {}", self.log()));
        if !is_up {
            self.running = None;
        }
        is_up
    }

    fn command(&self) -> Command {
        let log = std::fs::File::options().create(true).append(true).open(self.log_path()).expect("a log");
        let program = program();
        let mut command = Command::new(&program.path);
        let (port, plain) = (self.port.to_string(), self.certificates.is_none());
        command.args(["--port", if plain { &port } else { "0" }, "--bind", "127.0.0.1", "--dir"]);
        command.arg(self.folder.path()).args(["--save", "", "--appendonly", "no"]);
        command.args(["--repl-diskless-sync-delay", "0"]);
        if program.major >= 7 {
            // Before, it was on.
            command.args(["--enable-debug-command", "yes"]);
        }
        if let Some(certificates) = &self.certificates {
            command.args(["--tls-port", &port, "--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(certificates.server_path());
            command.arg("--tls-key-file").arg(certificates.server_key_path());
            command.arg("--tls-ca-cert-file").arg(certificates.authority_path());
        }
        command.args(&self.arguments).stderr(log.try_clone().expect("a log")).stdout(Stdio::from(log));
        command
    }

    /// What it wrote so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    /// The port on 127.0.0.1; the same after a restart.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// 127.0.0.1 and the port.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// `redis://127.0.0.1:port`, or `rediss://` where it speaks TLS.
    pub fn url(&self) -> String {
        let scheme = if self.certificates.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// The authority to trust, of a server that speaks TLS.
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Its folder: where it keeps what it saves, and its log.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A connection of its own. Panics when the server does not answer.
    #[track_caller]
    pub fn console(&self) -> Console {
        Console::connect(self.address()).unwrap_or_else(|error| panic!("redis-server on {}: {error}", self.port))
    }

    /// One command on a connection of its own.
    #[track_caller]
    pub fn call<A: AsRef<[u8]>>(&self, arguments: &[A]) -> Reply {
        self.console().call(arguments)
    }

    /// Ends it at once, as a crash would. Its port refuses connections until [`RedisServer::start_again`].
    pub fn kill(&mut self) {
        self.running = None;
    }

    /// Starts it on the same port with the same folder, with what it saved. Panics when it does not answer.
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "it runs");
        let is_up = wait_until(PATIENCE, || self.try_start().then_some(()));
        assert!(is_up.is_some(), "redis-server does not start again: {}", self.log());
    }

    /// [`RedisServer::kill`] and [`RedisServer::start_again`]: its data is gone, unless an argument had it saved.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again();
    }

    /// SIGSTOP: connections stay open, and nothing is answered.
    pub fn pause(&self) {
        self.running.as_ref().expect("it runs").pause();
    }

    /// Goes on after [`RedisServer::pause`].
    pub fn resume(&self) {
        self.running.as_ref().expect("it runs").resume();
    }

    /// Whether it was started and not killed.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.running.as_ref().expect("it runs").id()
    }
}

impl std::fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisServer").field("port", &self.port).field("is_running", &self.running.is_some()).finish()
    }
}
