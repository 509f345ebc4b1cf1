//! What documents promise about the tree: files that exist, a transcript for every command row, an example for whatever the
//! library shows.

use super::Finding;
use super::source::Tree;

/// Where the transcripts stand.
const TRANSCRIPTS: &str = "crates/server/tests/transcripts/";
/// What the library shows.
const FRONT_DOOR: &str = "crates/scrubjay/src/lib.rs";
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

/// Whatever the library's front door shows has an example in its documentation; they run as doc tests.
pub(super) fn the_front_door_has_examples(tree: &Tree) -> Vec<Finding> {
    let Some(door) = tree.find(FRONT_DOOR) else {
        return vec![Finding::error(FRONT_DOOR, "missing")];
    };
    let library = || tree.rust().filter(|source| source.path.starts_with("crates/scrubjay/src/") && !source.is_test());
    let bare = front_door_names(&door.text).into_iter().filter_map(|name| {
        let (source, has_example) = library().find_map(|source| Some((source, has_example(&source.text, name)?)))?;
        (!has_example).then(|| Finding::error(&source.path, format!("`{name}` has no example in its documentation")))
    });
    bare.collect()
}

/// The names in `pub use a::B;` and `pub use a::{B, C};`.
fn front_door_names(text: &str) -> Vec<&str> {
    let uses = text.split("\npub use ").skip(1).filter_map(|rest| rest.split(';').next());
    let names = uses.flat_map(|path| path.rsplit("::").next().unwrap_or(path).split([',', '{', '}']));
    names.map(str::trim).filter(|name| !name.is_empty()).collect()
}

/// Whether the item of that name has an example above it; `None` if it is not in this text, or only another name.
fn has_example(text: &str, name: &str) -> Option<bool> {
    let is_item = |line: &str| {
        let kinds = ["struct", "enum", "trait", "fn", "const"];
        let rest = line.strip_prefix("pub ").and_then(|line| line.split_once(' '));
        rest.is_some_and(|(kind, rest)| {
            kinds.contains(&kind)
                && rest
                    .strip_prefix(name)
                    .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
        })
    };
    let lines: Vec<&str> = text.lines().collect();
    let item = lines.iter().position(|line| is_item(line))?;
    let above = lines[..item].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
    Some(above.clone().any(|line| line.trim_end() == "/// ```"))
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
