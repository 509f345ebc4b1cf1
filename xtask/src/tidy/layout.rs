//! How files look from outside: length, header, names.

use super::Finding;
use super::source::{Source, Tree, code};

/// Lines of a file without tests, at most.
const LINES_MAX: usize = 1000;
/// Lines from which on a file is asked to be two.
const LINES_WARN: usize = 500;

/// Names that say nothing of what is inside.
const BANNED: &[&str] =
    &["util", "utils", "helper", "helpers", "common", "misc", "type", "types", "manager", "prelude", "mod"];

/// No file is longer than a reader's patience.
pub(super) fn file_length(tree: &Tree) -> Vec<Finding> {
    let long = tree.rust().filter(|source| !source.is_test()).filter_map(|source| match source.text.lines().count() {
        lines if lines > LINES_MAX => Some(Finding::error(&source.path, format!("{lines} lines, at most {LINES_MAX}"))),
        lines if lines > LINES_WARN => {
            Some(Finding::warning(&source.path, format!("{lines} lines, aim at {LINES_WARN}")))
        }
        _ => None,
    });
    long.collect()
}

/// Every file says first what it owns.
pub(super) fn header(tree: &Tree) -> Vec<Finding> {
    let has_none = |source: &&Source| {
        let first = source.text.lines().find(|line| !line.starts_with("#!")).unwrap_or_default();
        first.trim_start_matches("//!").trim().is_empty() || !first.starts_with("//!")
    };
    let tests_beside = |source: &&Source| !source.path.ends_with("/tests.rs");
    let bare = tree.rust().filter(tests_beside).filter(has_none);
    bare.map(|source| Finding::error(&source.path, "opens without a `//!` header")).collect()
}

/// A name says what the thing is.
pub(super) fn banned_names(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in tree.paths.iter().filter(|path| !path.starts_with("target")) {
        let name = path.rsplit('/').next().unwrap_or(path);
        let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
        let is_ours = matches!(ending, "rs" | "py" | "cjs" | "mjs" | "sh" | "");
        if is_ours && BANNED.contains(&stem) {
            findings.push(Finding::error(path, format!("`{stem}` says nothing of what is inside")));
        }
    }
    findings
}

/// Tests are sentences, and none is switched off.
pub(super) fn names_of_tests(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.rust() {
        for (number, line) in (1..).zip(code(&source.text).lines()) {
            let place = || format!("{}:{number}", source.path);
            if line.contains("fn test_") {
                findings.push(Finding::error(place(), "a test's name is a sentence without `test_`"));
            }
            if line.contains("#[ignore") {
                findings.push(Finding::error(place(), "a test that nobody runs is no test"));
            }
        }
    }
    findings
}

/// No promises in the tree: what is to be done is an issue, not a comment.
pub(super) fn promises(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.rust().filter(|source| !source.path.starts_with("xtask/src/tidy")) {
        for (number, line) in (1..).zip(source.text.lines()) {
            let comment = line.split_once("//").map_or("", |(_, comment)| comment);
            if ["TODO", "FIXME", "XXX"].iter().any(|word| super::source::has_word(comment, word)) {
                findings.push(Finding::error(format!("{}:{number}", source.path), "what is to be done is an issue"));
            }
        }
    }
    findings
}
