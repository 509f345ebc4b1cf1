//! What documents promise about the tree: files that exist, a transcript for every command row.

use super::Finding;
use super::source::Tree;

/// Where the transcripts stand.
const TRANSCRIPTS: &str = "crates/server/tests/transcripts/";
/// The page that the command table generates; a test of the server keeps it up to date.
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

/// Every command row is spoken on the wire in a transcript. The rows are read from the page that they generate.
pub(super) fn every_row_has_a_transcript(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.find(PAGE) else {
        return vec![Finding::error(PAGE, "missing")];
    };
    let transcripts = tree.sources.iter().filter(|source| source.path.starts_with(TRANSCRIPTS));
    let spoken: Vec<String> = transcripts.flat_map(|source| source.text.lines().filter_map(spoken)).collect();
    let rows: Vec<String> = page.text.lines().filter_map(row_name).collect();
    let is_container =
        |row: &str| rows.iter().any(|other| other.strip_prefix(row).is_some_and(|rest| rest.starts_with(' ')));
    let is_spoken =
        |row: &str| spoken.iter().any(|line| line.strip_prefix(row).is_some_and(|rest| !is_word_start(rest)));
    let silent: Vec<&str> =
        rows.iter().map(String::as_str).filter(|row| !is_container(row) && !is_spoken(row)).collect();
    if silent.is_empty() {
        return Vec::new();
    }
    vec![Finding::error(TRANSCRIPTS, format!("no transcript speaks {}", silent.join(", ")))]
}

/// The name in a line of the page's tables: `MEMORY USAGE` of "| `MEMORY USAGE key [SAMPLES count]` | ...".
fn row_name(line: &str) -> Option<String> {
    let call = line.strip_prefix("| `")?.split('`').next()?;
    let words: Vec<&str> = call.split(' ').collect();
    let is_literal =
        |word: &str| word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || "-_".contains(c));
    // A literal that has an alternative is an argument: `BITOP AND \| OR`.
    let is_subcommand = words.get(1).is_some_and(|word| is_literal(word)) && words.get(2) != Some(&"\\|");
    Some(words[..if is_subcommand { 2 } else { 1 }].join(" "))
}

/// The command of a line of a transcript, in upper case, without marks and the number of the connection.
fn spoken(line: &str) -> Option<String> {
    let is_mark = |word: &&str| word.starts_with('~') || word.ends_with('>');
    let words: Vec<&str> = line.split_whitespace().skip_while(is_mark).collect();
    let is_command = words.first().is_some_and(|word| !word.starts_with(['#', ';', '=']));
    is_command.then(|| words.join(" ").to_uppercase())
}

fn is_word_start(rest: &str) -> bool {
    rest.starts_with(|c: char| !c.is_whitespace())
}

fn is_path(quoted: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let ends = [".rs", ".toml", ".md", "/"].iter().any(|ending| quoted.ends_with(ending));
    quoted.contains('/') && ends && quoted.chars().all(is_word)
}
