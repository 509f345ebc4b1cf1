//! `cargo xtask ci`: what a change must pass, cheap stages first.

use crate::process::{self, cargo, is_installed};
use crate::{test, tidy};

pub(crate) fn run() -> anyhow::Result<()> {
    process::run(cargo().args(["fmt", "--all", "--check"]))?;
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
    test::run(&test::Arguments { without_clients: false, full: false })
}
