//! The one binary: `scrubjay serve`, and the tools.
//!
//! An error is one line on standard error and status 1; of `scrubjay disk` and `scrubjay migrate` it is status 2, since 1 says
//! there that a store is damaged, or that keys were not copied.

mod arguments;
mod clock;
mod disk;
mod migrate;
mod serve;
#[cfg(test)]
mod tests;

use arguments::Order;
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match arguments::read(std::env::args_os().skip(1), std::env::vars_os()) {
        Ok(Order::Print(text)) => print(&text).map(|()| ExitCode::SUCCESS),
        Ok(Order::Serve(sources)) => serve::run(&sources).map(|()| ExitCode::SUCCESS),
        Ok(Order::Disk(tool)) => disk::run(&tool),
        Ok(Order::Migrate(options)) => migrate::run(&options),
        Err(error) => Err(error),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("scrubjay: {error:#}");
        let is_finding = std::env::args_os().nth(1).is_some_and(|tool| tool == "disk" || tool == "migrate");
        ExitCode::from(if is_finding { 2 } else { 1 })
    })
}

/// Prints, and takes it calmly when the reader left early (`scrubjay --help | head`).
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
