//! Measures Scrubjay beside its peers, in one run on one machine. `cargo xtask bench` builds both sides and starts this.
//!
//! A suite per face: `server` speaks to processes over the wire, `library` calls caches in this process, `hitratio`
//! replays traces through them, `disk` is what lies beneath, and `shared` what processes have in common. Each figure is a row with a case, a subject, a unit and a value.

mod clock;
mod disk;
mod hitratio;
mod latency;
mod library;
mod report;
mod server;
mod shared;
mod turns;
mod values;

pub use library::fill_and_weigh;

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
    /// The library's memory tier: time per hit, miss, insert and mix, bytes per entry.
    Memory(library::Arguments),
    /// The library's eviction: hit ratios on traces, beside LRU and the optimum.
    Hitratio(hitratio::Arguments),
    /// The disk engine: CPU time per operation, write amplification, hit ratios, time to open, memory per entry.
    Disk(disk::Arguments),
    /// One turn of the suite `disk`, which starts it.
    #[command(hide = true)]
    DiskTurn(disk::ChildArguments),
    /// The shared tier: hits, writes and loads over the wire, invalidation and stampedes across processes.
    Shared(shared::Arguments),
    /// One turn of the suite `shared`, which starts it.
    #[command(hide = true)]
    SharedTurn(shared::TurnArguments),
}

/// Runs the suite that the command line names.
///
/// # Errors
/// A subject does not start, gives a wrong answer, or a file cannot be read or written.
pub fn run() -> anyhow::Result<()> {
    match Arguments::parse().suite {
        Suite::Server(arguments) => server::run(arguments),
        Suite::Memory(arguments) => library::run(&arguments),
        Suite::Hitratio(arguments) => hitratio::run(&arguments),
        Suite::Disk(arguments) => disk::run(&arguments),
        Suite::DiskTurn(arguments) => disk::run_child(arguments),
        Suite::Shared(arguments) => shared::run(&arguments),
        Suite::SharedTurn(arguments) => shared::run_turn(&arguments),
    }
}
