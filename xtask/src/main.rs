//! The project's chores: `cargo xtask test`, `ci`, `tidy`, `bench`, `redis-suite`, `sanitize`.
//!
//! Each chore is a file of its own and starts the tools that a newcomer would start by hand. Nothing here is part of the
//! server; the server knows nothing of it.

mod bench;
mod ci;
mod clients;
mod clock;
mod process;
mod redis_suite;
mod sanitize;
mod server;
mod test;
mod tidy;
mod tools;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The project's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Runs every test: workspace, documentation examples, and real client libraries against the built server.
    Test(test::Arguments),
    /// What CI runs: format, lints, tidy, documentation, licences, tests.
    Ci,
    /// Checks the rules of the tree that no lint knows.
    Tidy,
    /// Measures against other servers on this machine.
    Bench(bench::Arguments),
    /// Runs Redis' own test suite against the release server.
    RedisSuite(redis_suite::Arguments),
    /// Looks for mistakes in `unsafe` and between threads: model checker, Miri, sanitizers.
    Sanitize(sanitize::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Test(arguments) => test::run(&arguments),
        Chore::Ci => ci::run(),
        Chore::Tidy => tidy::run(),
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::RedisSuite(arguments) => redis_suite::run(&arguments),
        Chore::Sanitize(arguments) => sanitize::run(&arguments),
    };
    // Without the backtrace that `main` returning the error would print below it.
    if let Err(error) = result {
        eprintln!("xtask: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
