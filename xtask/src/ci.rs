//! `cargo xtask ci`: what a change must pass, cheap stages first, the tests' own summary last.

use crate::process::{self, cargo, is_installed};
use crate::{test, tidy};
use std::process::Command;

pub(crate) fn run() -> anyhow::Result<()> {
    process::run(cargo().args(["fmt", "--all", "--check"]))?;
    process::run(cargo().args(["fmt", "--manifest-path", "bench/Cargo.toml", "--check"]))?;
    tidy::run()?;
    process::run(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))?;
    let mut doc = cargo();
    doc.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    process::run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    if is_installed("cargo-deny") {
        process::run(cargo().args(["deny", "--all-features", "check", "--hide-inclusion-graph"]))?;
    } else {
        eprintln!("cargo-deny is not installed: licences and advisories were not checked");
    }
    // The benchmark is compiled by nobody by accident, and must not rot for that.
    process::run(bench("clippy").args(["--quiet", "--all-targets", "--", "-D", "warnings"]))?;
    process::run(bench("test").arg("--quiet"))?;
    test::run(&test::Arguments { without_clients: false, full: false })
}

fn bench(verb: &str) -> Command {
    let mut cargo = cargo();
    cargo.args([verb, "--manifest-path", "bench/Cargo.toml", "--target-dir", "target/bench"]);
    cargo
}
