//! The one binary: `scrubjay serve`, and the tools.
//!
//! An error is one line on standard error and status 1.

mod arguments;
mod serve;
#[cfg(test)]
mod tests;

use arguments::Order;
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match arguments::read(std::env::args_os().skip(1), std::env::vars_os()) {
        Ok(Order::Print(text)) => print(&text),
        Ok(Order::Serve(sources)) => serve::run(&sources),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scrubjay: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints, and takes it calmly when the reader left early (`scrubjay --help | head`).
fn print(text: &str) -> anyhow::Result<()> {
    use std::io::{ErrorKind, Write};
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
