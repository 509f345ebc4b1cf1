//! The server as its users meet it: Redis' own tools, client libraries of three makers, a small real program.
//!
//! The scripts are in `tests/clients/`. Each is given the port of a server that was started for it alone, says what went
//! wrong, and exits with something other than 0 when anything did.

use crate::process::{self, Running, cargo, command};
use crate::server::Server;
use crate::{clock, tools};
use anyhow::{bail, ensure};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long one script may take.
const SCRIPT_LIMIT: Duration = Duration::from_secs(100);

pub(crate) fn run(is_full: bool) -> anyhow::Result<()> {
    let (python, node_modules) = (tools::python()?, tools::node_modules()?);
    process::run(cargo().args(["build", "--quiet", "--package", "scrubjay-cli"]))?;
    let script = |name: &str| process::root().join("tests/clients").join(name);
    let pipe_commands = if is_full { "1000000" } else { "100000" };
    let mut failed = Vec::new();
    let mut check = |name: &'static str, command: &mut Command| {
        if let Err(error) = with_server(name, command) {
            eprintln!("clients: {name}: {error:#}");
            failed.push(name);
        }
    };
    check("redis tools", command("bash").arg(script("redis_tools.sh")).env("PIPE_COMMANDS", pipe_commands));
    check("redis-py, RESP2", command(&python).arg(script("redis_py.py")).env("PROTOCOL", "2"));
    check("redis-py, RESP3", command(&python).arg(script("redis_py.py")).env("PROTOCOL", "3"));
    check("ioredis", command("node").arg(script("ioredis.cjs")).env("NODE_PATH", &node_modules));
    check("node-redis", command("node").arg(script("node_redis.cjs")).env("NODE_PATH", &node_modules));
    check("web program", command(&python).arg(script("web_program.py")));
    ensure!(failed.is_empty(), "{}", failed.join(", "));
    Ok(())
}

/// Runs `script` against a server of its own, `PORT` in its environment.
fn with_server(name: &str, script: &mut Command) -> anyhow::Result<()> {
    let began = clock::now();
    let server = Server::start("target/debug/scrubjay", &[])?;
    let mut running = Running::start(script.env("PORT", server.port.to_string()).stdin(Stdio::null()))?;
    let Some(status) = running.wait(SCRIPT_LIMIT) else { bail!("not done after {SCRIPT_LIMIT:?}") };
    ensure!(status.success(), "{status}; the server's log is {}", server.log_path().display());
    eprintln!("clients: {name}: passed in {:.1} s", began.elapsed().as_secs_f64());
    server.remove()
}
