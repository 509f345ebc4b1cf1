//! `scrubjay serve`: settings, limits of the process, the server, and the lines that say what is on and where to look.

use anyhow::Context;
use scrubjay_server::{Config, Server, Sources, make_room_for_clients};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Runs a server until it is stopped by a signal or SHUTDOWN.
pub(crate) fn run(sources: &Sources) -> anyhow::Result<()> {
    let config = Config::load(sources)?;
    let mut lines = described(&config);
    let room = make_room_for_clients(config.maxclients());
    if room < config.maxclients() {
        let _ =
            writeln!(lines, "  warning    the system's limit of open files leaves room for {room} clients (ulimit -n)");
    }
    lines.push_str(&exposure(&config));
    let pidfile = config.pidfile().map(PidFile::write).transpose()?;
    let server = Server::start(config).context("cannot start")?;
    crate::print(&format!("{}{lines}", headline(&server)))?;
    server.stop_on_signals().context("cannot listen for signals")?;
    server.wait().context("the server did not stop in order")?;
    drop(pidfile);
    Ok(())
}

/// Version and addresses.
fn headline(server: &Server) -> String {
    let mut lines = format!("scrubjay {} is ready\n", env!("CARGO_PKG_VERSION"));
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    let _ = writeln!(
        lines,
        "  listening  {}",
        if addresses.is_empty() { "on no TCP port".into() } else { addresses.join(", ") }
    );
    match server.admin_address() {
        Some(address) => {
            let _ = writeln!(lines, "  admin      http://{address}/metrics  /healthz  /readyz  /info");
        }
        None => lines.push_str("  admin      off\n"),
    }
    lines
}

/// What the settings say.
fn described(config: &Config) -> String {
    let mut lines = String::new();
    let maxmemory = match config.maxmemory() {
        0 => "no limit".to_owned(),
        bytes => format!("{bytes} bytes, then writes are refused"),
    };
    let log = config.logfile().map_or("standard output".to_owned(), |path| path.display().to_string());
    let file = config.file().map_or("none".to_owned(), |path| path.display().to_string());
    let rows: [(&str, String); 6] = [
        ("threads", config.threads().to_string()),
        ("databases", config.databases().to_string()),
        ("data", config.dir().join(&*config.dbfilename()).display().to_string()),
        ("maxmemory", maxmemory),
        ("log", log),
        ("settings", format!("{file} (all of them: scrubjay serve --help)")),
    ];
    if let Some(path) = config.unixsocket() {
        let _ = writeln!(lines, "  socket     {}", path.display());
    }
    for (name, value) in rows {
        let _ = writeln!(lines, "  {name:<10} {value}");
    }
    lines
}

/// What a server that other machines can reach, and that has no password, should tell.
fn exposure(config: &Config) -> String {
    let addresses = config.listen_addresses().unwrap_or_default();
    let is_reachable = addresses.iter().any(|(address, _)| !address.ip().is_loopback());
    match (is_reachable && !config.requires_password(), config.protected_mode()) {
        (false, _) => String::new(),
        (true, true) => {
            "  note       without requirepass, clients from other machines are refused (protected-mode)\n".into()
        }
        (true, false) => "  warning    whoever reaches this machine may read and write: set requirepass\n".into(),
    }
}

/// The file that holds the process' number for as long as it runs.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: PathBuf) -> anyhow::Result<PidFile> {
        let written = std::fs::write(&path, format!("{}\n", std::process::id()));
        written.with_context(|| format!("pidfile: '{}' cannot be written", path.display()))?;
        Ok(PidFile(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Somebody else may have removed it; it is gone either way.
        let _ = std::fs::remove_file(self.path());
    }
}
