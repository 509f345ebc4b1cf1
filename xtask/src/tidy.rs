//! The rules of the tree that no lint knows, each a small function from sources to findings.
//!
//! Runs as `cargo xtask tidy` and as a test. A rule that stands in the way of a better page is changed here, with the
//! reason in the commit; there is no way to silence it in place.

mod documents;
mod edges;
mod layout;
mod source;
mod unsafety;

#[cfg(test)]
mod tests;

use crate::process;
use source::Tree;

/// What a check has to say about one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Path from the root, with the line where there is one.
    pub(crate) place: String,
    pub(crate) text: String,
    /// A warning is shown and does not fail.
    pub(crate) is_warning: bool,
}

impl Finding {
    fn error(place: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding { place: place.into(), text: text.into(), is_warning: false }
    }

    fn warning(place: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding { is_warning: true, ..Finding::error(place, text) }
    }
}

type Check = fn(&Tree) -> Vec<Finding>;

/// Every check, in the order in which it reports.
const CHECKS: &[Check] = &[
    layout::file_length,
    layout::header,
    layout::banned_names,
    layout::names_of_tests,
    layout::promises,
    unsafety::listed_files_only,
    unsafety::listed_files_are_short,
    unsafety::every_block_has_its_reason,
    edges::dependencies_run_downwards,
    documents::architecture_names_real_files,
    documents::every_row_has_a_transcript,
    documents::the_front_door_has_examples,
];

/// Checks the tree and prints what is wrong with it.
pub(crate) fn run() -> anyhow::Result<()> {
    let findings = check(&Tree::load(&process::root())?);
    for finding in &findings {
        let kind = if finding.is_warning { "warning" } else { "error" };
        println!("{kind}: {}: {}", finding.place, finding.text);
    }
    let errors = findings.iter().filter(|finding| !finding.is_warning).count();
    anyhow::ensure!(errors == 0, "tidy: {errors} to mend");
    println!("tidy: {} checks, nothing to mend", CHECKS.len());
    Ok(())
}

fn check(tree: &Tree) -> Vec<Finding> {
    CHECKS.iter().flat_map(|check| check(tree)).collect()
}
