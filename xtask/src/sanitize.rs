//! `cargo xtask sanitize`: what finds mistakes in `unsafe` and in what threads do without locks, and is too slow for CI.
//!
//! The library's memory tier under a model checker, under Miri, and under the sanitizers for addresses and for threads. Miri and
//! the sanitizers need a nightly toolchain: `rustup toolchain install nightly --component miri,rust-src`.

use crate::process::{self, cargo, command};
use std::process::Command;

/// What Miri can run in minutes. It has no calls to C and no `membarrier`, so readers fence for themselves there.
const MIRI_TESTS: &[&str] =
    &["memory::grace", "memory::index", "memory::tier::tests::history", "memory::tier::tests::panics"];
/// Tests that run threads against each other; the thread sanitizer has nothing to say of others.
const THREAD_TESTS: &[&str] = &["memory::", "memory_cache::", "compressed::", "stats::", "threads::", "tags::"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which of them, all when none is named.
    #[arg(value_enum)]
    which: Vec<Which>,
}

/// A way to look.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Which {
    /// loom: every order of events of small scenarios, and every value that a load may return.
    Model,
    /// Miri: undefined behaviour of any kind, in the tests that need no system.
    Miri,
    /// AddressSanitizer: memory used after it was given back, or beyond its end, and leaks.
    Address,
    /// ThreadSanitizer: what two threads touch at once without being told to.
    Thread,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let is_wanted = |which| arguments.which.is_empty() || arguments.which.contains(&which);
    if is_wanted(Which::Model) {
        let mut model = cargo();
        model.args(["test", "-p", "scrubjay", "--features", "__model", "--lib", "memory::model"]);
        process::run(&mut model)?;
    }
    if is_wanted(Which::Miri) {
        let mut miri = nightly("miri");
        miri.args(["test", "-p", "scrubjay", "--lib", "--"]).args(MIRI_TESTS);
        process::run(miri.env("MIRIFLAGS", "-Zmiri-disable-isolation -Zmiri-permissive-provenance"))?;
    }
    if is_wanted(Which::Address) {
        process::run(&mut sanitized("address", &["memory::", "weigh::", "compressed::", "memory_cache::"]))?;
    }
    if is_wanted(Which::Thread) {
        process::run(&mut sanitized("thread", THREAD_TESTS))?;
    }
    Ok(())
}

fn nightly(chore: &str) -> Command {
    let mut nightly = command("cargo");
    nightly.args(["+nightly", chore]);
    nightly
}

/// The library's tests with the standard library built the same way, so that it is seen too.
fn sanitized(sanitizer: &str, tests: &[&str]) -> Command {
    let mut test = nightly("test");
    test.args(["-p", "scrubjay", "--lib", "-Zbuild-std", "--target", "x86_64-unknown-linux-gnu"]);
    test.arg("--target-dir").arg(format!("target/sanitize-{sanitizer}"));
    test.arg("--").args(tests);
    test.env("RUSTFLAGS", format!("-Zsanitizer={sanitizer}"));
    test
}
