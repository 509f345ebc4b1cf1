//! Where `unsafe` may stand: leaf modules of the keyspace and of the memory tier, by name, short, each block with its reason.

use super::Finding;
use super::source::{Tree, code, has_word};

/// The files that may use `unsafe`. A file joins by a commit that says what it gains, in numbers.
const UNSAFE_FILES: &[&str] = &[
    "crates/keyspace/src/memory.rs",
    "crates/scrubjay/src/memory/grace.rs",
    "crates/scrubjay/src/memory/lanes.rs",
    "crates/scrubjay/src/memory/region.rs",
    "crates/scrubjay/src/memory/model/life.rs",
    "crates/scrubjay/src/memory/shard.rs",
    "crates/scrubjay/src/memory/shard/retire.rs",
    "crates/scrubjay/src/memory/shard/write.rs",
    "crates/scrubjay/src/memory/slots.rs",
];

/// Lines of a file that uses `unsafe`, at most.
const LINES_MAX: usize = 400;

/// How far above an `unsafe` block its `SAFETY` comment may stand: a statement over several lines may lie between.
const REASON_REACH: usize = 12;

/// `unsafe` stands in listed files only, and the list names none that does without.
pub(super) fn listed_files_only(tree: &Tree) -> Vec<Finding> {
    listed_only(tree, UNSAFE_FILES)
}

/// A file with `unsafe` can be read in one sitting.
pub(super) fn listed_files_are_short(tree: &Tree) -> Vec<Finding> {
    listed_are_short(tree, UNSAFE_FILES)
}

pub(super) fn listed_only(tree: &Tree, listed: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.rust().filter(|source| !listed.contains(&source.path.as_str())) {
        let is_unsafe =
            |line: &str| has_word(line, "unsafe") || line.contains("allow(") && has_word(line, "unsafe_code");
        if let Some(index) = code(&source.text).lines().position(is_unsafe) {
            let place = format!("{}:{}", source.path, index + 1);
            findings.push(Finding::error(place, "`unsafe` in a file that may not"));
        }
    }
    for path in listed {
        if !tree.find(path).is_some_and(|source| has_word(&code(&source.text), "unsafe")) {
            findings.push(Finding::error(*path, "listed as a file with `unsafe`, and has none"));
        }
    }
    findings
}

pub(super) fn listed_are_short(tree: &Tree, listed: &[&str]) -> Vec<Finding> {
    let listed = listed.iter().filter_map(|path| tree.find(path));
    let long = listed.map(|source| (source, source.text.lines().count())).filter(|(_, lines)| *lines > LINES_MAX);
    long.map(|(source, lines)| {
        Finding::error(&source.path, format!("{lines} lines with `unsafe`, at most {LINES_MAX}"))
    })
    .collect()
}

/// Every `unsafe` block and implementation says above it why it is sound.
pub(super) fn every_block_has_its_reason(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.rust() {
        let lines: Vec<&str> = source.text.lines().collect();
        let mut reason_from = 0;
        for (index, line) in code(&source.text).lines().enumerate() {
            if !has_word(line, "unsafe") || line.contains("unsafe fn") || line.contains("unsafe extern") {
                continue;
            }
            let from = reason_from.max(index.saturating_sub(REASON_REACH));
            if !lines[from..=index].iter().any(|line| line.contains("SAFETY:")) {
                let place = format!("{}:{}", source.path, index + 1);
                findings.push(Finding::error(place, "`unsafe` without a `// SAFETY:` line of its own"));
            }
            reason_from = index + 1;
        }
    }
    findings
}
