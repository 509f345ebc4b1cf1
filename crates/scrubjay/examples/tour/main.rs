//! A tour of the library: `cargo run --release --example tour`.
//!
//! Every feature at work, with the counts that show it. Each line is compared with what must come out, so the tour fails if
//! a feature does. Time is a clock that the tour holds, and loaders wait at gates that it opens: it takes a second or two,
//! and comes out the same every time, but for what is printed as measured.

mod bounds;
mod database;
mod dropping;
mod faces;
mod failing;
mod keeping;
mod loading;
mod page;
#[cfg(test)]
mod tests;
mod tiers;
mod timeouts;
mod watching;

use page::Page;
use std::process::ExitCode;
use tokio::runtime::Builder;
use tokio::time::Instant;

/// Whatever stops the tour before its end.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let (mut page, began) = (Page::default(), Instant::now());
    println!("Scrubjay, a tour. Every line is checked: what is not as it must be says so, and the tour fails.");
    match walk(&mut page) {
        Ok(()) => page.end(began.elapsed()),
        Err(failure) => {
            eprintln!("the tour stops here: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn walk(page: &mut Page) -> Result<(), Failure> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        loading::show(page).await?;
        keeping::show(page).await?;
        failing::show(page).await?;
        dropping::show(page).await?;
        tiers::show(page).await?;
        bounds::show(page).await?;
        watching::show(page).await
    })?;
    // A runtime whose time passes when nobody has anything to do: a timeout of seconds is over at once.
    let paused = Builder::new_current_thread().enable_all().start_paused(true).build()?;
    paused.block_on(timeouts::show(page))?;
    faces::show(page)
}
