//! `cargo xtask bench`: builds the server and the load generator in `bench/`, and runs one against the other.

use crate::process::{self, cargo, command};
use crate::tools;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(clap::Subcommand)]
enum Suite {
    /// Server CPU time per operation, throughput, memory per key, growth, and a reader that does not read.
    Server(ServerArguments),
}

#[derive(clap::Args)]
struct ServerArguments {
    /// Where to write the rows.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A further server that speaks Redis' protocol, by the path of its binary. Repeatable.
    #[arg(long, value_name = "NAME=PATH")]
    peer: Vec<String>,
    /// Runs only cases whose name starts with this. Repeatable.
    #[arg(long, value_name = "PREFIX")]
    case: Vec<String>,
    /// A smoke run: small, short, and no figures to quote.
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Suite::Server(arguments) = &arguments.suite;
    tools::memcached()?;
    process::run(cargo().args(["build", "--release", "--package", "scrubjay-cli"]))?;
    let target = process::root().join("target/bench");
    let mut build = cargo();
    build.args(["build", "--release", "--manifest-path", "bench/Cargo.toml", "--target-dir"]).arg(&target);
    process::run(&mut build)?;
    let mut bench = command(target.join("release/scrubjay-bench"));
    bench.arg("server").arg("--scrubjay").arg(process::root().join("target/release/scrubjay"));
    for peer in &arguments.peer {
        bench.args(["--peer", peer]);
    }
    for case in &arguments.case {
        bench.args(["--case", case]);
    }
    if let Some(json) = &arguments.json {
        // Relative to where the user stands, not to the root that the bench runs in.
        bench.arg("--json").arg(std::path::absolute(json)?);
    }
    if arguments.quick {
        bench.arg("--quick");
    }
    process::run(&mut bench)
}
