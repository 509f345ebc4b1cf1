//! `cargo xtask ci`: what a change must pass, cheap stages first, the tests' own summary last.

use crate::process::{self, cargo, is_installed};
use crate::{test, tidy};
use std::process::Command;

pub(crate) fn run() -> anyhow::Result<()> {
    process::run(cargo().args(["fmt", "--all", "--check"]))?;
    process::run(cargo().args(["fmt", "--manifest-path", "bench/Cargo.toml", "--check"]))?;
    tidy::run()?;
    process::run(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))?;
    // The library as who wants no TLS and no cloud has it.
    let bare = ["clippy", "--package", "scrubjay", "--lib", "--no-default-features", "--quiet", "--", "-D", "warnings"];
    process::run(cargo().args(bare))?;
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    dependencies()?;
    // The benchmark is compiled by nobody by accident, and must not rot for that.
    process::run(bench("clippy").args(["--quiet", "--all-targets", "--", "-D", "warnings"]))?;
    process::run(bench("test").arg("--quiet"))?;
    test::run(&test::Arguments { without_clients: false, full: false })
}

/// Licences, sources and advisories, as far as this machine can tell; what it cannot is said.
fn dependencies() -> anyhow::Result<()> {
    if !is_installed("cargo-deny") {
        eprintln!("cargo-deny is not installed: licences and advisories were not checked");
        return Ok(());
    }
    let deny = |words: &[&str]| process::run(cargo().args(["deny", "--all-features"]).args(words));
    deny(&["check", "--hide-inclusion-graph", "bans", "licenses", "sources"])?;
    if deny(&["fetch", "db"]).is_err() {
        eprintln!("the advisory database cannot be fetched: advisories were not checked");
        return Ok(());
    }
    deny(&["check", "--disable-fetch", "--hide-inclusion-graph", "advisories"])
}

fn bench(verb: &str) -> Command {
    let mut cargo = cargo();
    cargo.args([verb, "--manifest-path", "bench/Cargo.toml", "--target-dir", "target/bench"]);
    cargo
}
