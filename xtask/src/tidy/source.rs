//! The tree as the checks see it: every text file of ours by its path, and Rust with comments and literals blanked.

use anyhow::Context;
use std::path::Path;

/// Folders that hold nothing that we wrote.
const SKIPPED: &[&str] = &["target", "node_modules", "corpus", "artifacts", "__pycache__"];

/// Endings of the files that a check reads.
const READ: &[&str] = &["rs", "toml", "md", "txt"];

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// From the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Whether the file holds Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the file holds nothing but tests.
    pub(crate) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || self.path.starts_with("tests/")
    }
}

/// Every file that a check reads, and the path of every other file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    pub(crate) sources: Vec<Source>,
    /// Every file and folder, those included that are not read.
    pub(crate) paths: Vec<String>,
}

impl Tree {
    /// Reads the tree under `root`.
    pub(crate) fn load(root: &Path) -> anyhow::Result<Tree> {
        let mut tree = Tree::default();
        tree.load_folder(root, "")?;
        tree.sources.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    fn load_folder(&mut self, folder: &Path, prefix: &str) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if entry.file_type()?.is_dir() {
                if SKIPPED.contains(&name.as_str()) || name.starts_with(".git") {
                    continue;
                }
                self.load_folder(&entry.path(), &format!("{path}/"))?;
                self.paths.push(path);
                continue;
            }
            if READ.iter().any(|ending| name.ends_with(&format!(".{ending}"))) {
                let bytes = std::fs::read(entry.path()).with_context(|| path.clone())?;
                self.sources.push(Source { path: path.clone(), text: String::from_utf8_lossy(&bytes).into_owned() });
            }
            self.paths.push(path);
        }
        Ok(())
    }

    /// The Rust files.
    pub(crate) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().filter(|source| source.is_rust())
    }

    /// The file at `path`.
    pub(crate) fn find(&self, path: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.path == path)
    }
}

/// Rust with comments and the contents of literals blanked, line by line as before: what is left are words of the program.
pub(crate) fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' if !is_word(at.checked_sub(1).map_or(b' ', |before| bytes[before]))
                || at > 0 && bytes[at - 1] == b'b' =>
            {
                raw_string_end(bytes, at)
            }
            b'\'' => char_end(bytes, at),
            _ => at,
        };
        if end == at {
            out.push(char::from(bytes[at]));
            at += 1;
        } else {
            out.extend(bytes[at..end].iter().map(|byte| if *byte == b'\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Whether `line` of blanked code holds `word` as a whole word.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).any(|found| found == word)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |len| at + len)
}

fn block_comment_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != b'"' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

/// Returns `at` itself when no raw string starts there.
fn raw_string_end(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(at + 1 + hashes) != Some(&b'"') {
        return at;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = at + 2 + hashes;
    (body..bytes.len()).find(|end| bytes[*end..].starts_with(&close)).map_or(bytes.len(), |end| end + close.len())
}

/// Returns `at` itself for a lifetime.
fn char_end(bytes: &[u8], at: usize) -> usize {
    match bytes.get(at + 1) {
        Some(b'\\') => (at + 3..bytes.len()).find(|end| bytes[*end] == b'\'').map_or(bytes.len(), |end| end + 1),
        Some(_) => (at + 2..bytes.len().min(at + 6))
            .find(|end| bytes[*end] == b'\'')
            .filter(|end| *end == at + 2 || bytes[at + 1] >= 0x80)
            .map_or(at, |end| end + 1),
        None => at,
    }
}
