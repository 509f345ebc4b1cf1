//! The page in the tree is the page of the rows.

use super::page;
use std::path::Path;

#[test]
fn commands_page_in_the_tree_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/commands.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page()).unwrap();
    }
    let in_tree = std::fs::read_to_string(&path).unwrap_or_default();
    let command = "UPDATE=1 cargo test -p scrubjay-server commands_page";
    assert!(in_tree == page(), "docs/commands.md is not what the rows say; rewrite it with `{command}`");
}

#[test]
fn a_line_shows_call_version_cost_and_differences() {
    let page = page();
    assert!(page.contains("| `GET key` | 1.0.0 | O(1) | "), "{page}");
    assert!(page.contains("| `MEMORY USAGE key [SAMPLES count]` | 4.0.0 |"), "{page}");
    assert!(page.contains("`REPLICAOF <host port \\| NO ONE>`"), "{page}");
    assert!(page.contains("**Differs:** Only `NO ONE`: there is no replication."), "{page}");
}
