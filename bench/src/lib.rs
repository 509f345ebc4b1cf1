//! Measures Scrubjay beside its peers, in one run on one machine. `cargo xtask bench` builds both sides and starts this.
//!
//! A suite per face: `server` speaks to processes over the wire. Each figure is a row with a case, a subject, a unit and a value.

mod clock;
mod report;
mod server;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    suite: Suite,
}

#[derive(Subcommand)]
enum Suite {
    /// The server: CPU time per operation, throughput, memory per key, growth, a reader that does not read.
    Server(server::Arguments),
}

/// Runs the suite that the command line names.
///
/// # Errors
/// A subject does not start, gives a wrong answer, or a file cannot be read or written.
pub fn run() -> anyhow::Result<()> {
    let Suite::Server(arguments) = Arguments::parse().suite;
    server::run(arguments)
}
