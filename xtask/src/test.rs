//! `cargo xtask test`: every test that there is, the runner's own summary last.

use crate::process::{self, cargo, is_installed};
use crate::{clients, tools};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leaves out the run with real client libraries and what it fetches.
    #[arg(long)]
    pub(crate) without_clients: bool,
    /// Sends a million commands through `redis-cli --pipe` instead of a hundred thousand.
    #[arg(long)]
    pub(crate) full: bool,
}

/// Runs every stage, those after a failed one too, and fails when one did.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    let mut stage = |name: &'static str, result: anyhow::Result<()>| {
        if let Err(error) = result {
            eprintln!("{name}: failed: {error:#}");
            failed.push(name);
        }
    };
    stage("tools", tools::programs());
    if !arguments.without_clients {
        stage("clients", clients::run(arguments.full));
    }
    stage("doc tests", process::run(cargo().args(["test", "--workspace", "--doc", "--quiet"])));
    // Last, so that its summary is what the reader sees.
    stage("workspace", process::run(cargo().args(runner())));
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn runner() -> &'static [&'static str] {
    if is_installed("cargo-nextest") {
        &["nextest", "run", "--workspace", "--no-fail-fast"]
    } else {
        &["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"]
    }
}
