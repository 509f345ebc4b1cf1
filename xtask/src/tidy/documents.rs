//! What documents promise about the tree: files that exist, a transcript and a line of the page for every command row.

use super::Finding;
use super::source::Tree;

/// Where the rows of the command table stand.
const ROWS: &str = "crates/server/src/commands/";
/// Where the transcripts stand.
const TRANSCRIPTS: &str = "crates/server/tests/transcripts/";
/// The page that the table generates.
const PAGE: &str = "docs/commands.md";

/// A file that ARCHITECTURE.md names exists.
pub(super) fn architecture_names_real_files(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.find("ARCHITECTURE.md") else {
        return vec![Finding::error("ARCHITECTURE.md", "missing")];
    };
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(page.text.lines()) {
        let quoted = line.split('`').skip(1).step_by(2);
        for path in quoted.filter(|quoted| is_path(quoted)) {
            let wanted = path.trim_end_matches('/');
            if !tree.paths.iter().any(|path| path == wanted) {
                findings.push(Finding::error(format!("ARCHITECTURE.md:{number}"), format!("{path} does not exist")));
            }
        }
    }
    findings
}

/// Every command row is spoken on the wire in a transcript.
pub(super) fn every_row_has_a_transcript(tree: &Tree) -> Vec<Finding> {
    let is_transcript = |path: &str| path.starts_with(TRANSCRIPTS) && path.ends_with(".txt");
    let transcripts = tree.sources.iter().filter(|source| is_transcript(&source.path));
    let spoken = transcripts.map(|source| source.text.to_lowercase()).collect::<Vec<_>>().join("\n");
    if spoken.is_empty() {
        return vec![Finding::warning(TRANSCRIPTS, "no transcripts")];
    }
    missing(tree, "no transcript speaks it", |name| {
        spoken.split(|c: char| c.is_whitespace() || c == '"').any(|word| word == name)
    })
}

/// Every command row is on the page that is generated from the table.
pub(super) fn every_row_is_on_the_page(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.find(PAGE).map(|page| page.text.to_lowercase()) else {
        return vec![Finding::warning(PAGE, "missing")];
    };
    missing(tree, "not in docs/commands.md", |name| {
        page.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).any(|word| word == name)
    })
}

fn missing(tree: &Tree, text: &str, is_there: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.rust().filter(|source| source.path.starts_with(ROWS) && !source.is_test()) {
        for name in row_names(&source.text).filter(|name| !is_there(name)) {
            findings.push(Finding::error(&source.path, format!("row `{name}`: {text}")));
        }
    }
    findings
}

/// The names of the rows in a file of commands, as far as they are written as rows.
fn row_names(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.trim().strip_prefix("name: \"")?.strip_suffix("\","))
}

fn is_path(quoted: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let ends = [".rs", ".toml", ".md", "/"].iter().any(|ending| quoted.ends_with(ending));
    quoted.contains('/') && ends && quoted.chars().all(is_word)
}
