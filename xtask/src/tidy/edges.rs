//! Which crate may know which: dependencies run downwards only.

use super::Finding;
use super::source::Tree;

/// A crate, the crates of ours that it may depend on, and crates of others that would break its boundary.
struct Edges {
    name: &'static str,
    may_use: &'static [&'static str],
    must_not_use: &'static [&'static str],
}

const EDGES: &[Edges] = &[
    Edges { name: "resp", may_use: &[], must_not_use: &["mio", "socket2", "tokio", "axum"] },
    Edges { name: "keyspace", may_use: &[], must_not_use: &["mio", "socket2", "tokio", "axum"] },
    Edges { name: "disk", may_use: &[], must_not_use: &["mio", "socket2", "tokio", "axum", "clap", "anyhow"] },
    Edges {
        name: "scrubjay",
        may_use: &["scrubjay-disk"],
        must_not_use: &["mio", "socket2", "axum", "clap", "anyhow"],
    },
    Edges { name: "server", may_use: &["scrubjay-resp", "scrubjay-keyspace"], must_not_use: &["clap", "anyhow"] },
    Edges {
        name: "cli",
        may_use: &["scrubjay", "scrubjay-server", "scrubjay-disk"],
        must_not_use: &["mio", "socket2"],
    },
    Edges { name: "harness", may_use: &["scrubjay-server"], must_not_use: &["clap", "anyhow"] },
];

/// Each crate depends on those below it, and on nothing that its boundary keeps out.
pub(super) fn dependencies_run_downwards(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for manifest in tree.sources.iter().filter(|source| source.path.starts_with("crates/")) {
        let Some(name) = manifest.path.strip_prefix("crates/").and_then(|path| path.strip_suffix("/Cargo.toml")) else {
            continue;
        };
        let Some(edges) = EDGES.iter().find(|edges| edges.name == name) else {
            findings
                .push(Finding::error(&manifest.path, "a crate whose place is not written in xtask/src/tidy/edges.rs"));
            continue;
        };
        for dependency in dependencies(&manifest.text) {
            let is_ours = dependency.starts_with("scrubjay");
            if is_ours && !edges.may_use.contains(&dependency) || edges.must_not_use.contains(&dependency) {
                findings.push(Finding::error(&manifest.path, format!("{name} must not depend on {dependency}")));
            }
        }
    }
    findings
}

/// The names under `[dependencies]`, for every target; what only tests and build scripts use is not asked.
pub(super) fn dependencies(manifest: &str) -> Vec<&str> {
    let mut is_inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            let (head, last) = section.rsplit_once('.').unwrap_or(("", section));
            is_inside = last == "dependencies";
            if head == "dependencies" || head.ends_with(".dependencies") {
                names.push(last);
            }
        } else if is_inside && !line.starts_with('#') {
            names.extend(line.split(['=', '.', ' ']).next().filter(|name| !name.is_empty()));
        }
    }
    names
}
