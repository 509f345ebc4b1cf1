//! Each check on a tree that breaks its rule and on one that keeps it; then all of them on the real tree.

use super::source::{Source, Tree, code};
use super::*;

fn tree(files: &[(&str, &str)]) -> Tree {
    let source = |(path, text): &(&str, &str)| Source { path: (*path).to_string(), text: (*text).to_string() };
    Tree {
        sources: files.iter().map(source).collect(),
        paths: files.iter().map(|(path, _)| (*path).to_string()).collect(),
    }
}

/// Checks that `check` has one thing to say about `bad` and nothing about `good`.
#[track_caller]
fn tells_apart(check: impl Fn(&Tree) -> Vec<Finding>, bad: &[(&str, &str)], good: &[(&str, &str)]) {
    let findings = check(&tree(bad));
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(check(&tree(good)), []);
}

#[test]
fn the_tree_is_tidy() {
    let findings = check(&Tree::load(&process::root()).unwrap());
    let errors: Vec<_> = findings.iter().filter(|finding| !finding.is_warning).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn a_long_file_is_found_and_a_long_test_is_not() {
    let long = "x\n".repeat(1001);
    tells_apart(layout::file_length, &[("a/b.rs", &long)], &[("a/tests.rs", &long), ("a/c.rs", "x\n")]);
    assert!(layout::file_length(&tree(&[("a/b.rs", &"x\n".repeat(501))]))[0].is_warning);
}

#[test]
fn a_file_without_a_header_is_found() {
    tells_apart(layout::header, &[("a.rs", "use b;\n")], &[("a.rs", "//! Owns b.\nuse b;\n")]);
    tells_apart(layout::header, &[("a.rs", "//!\nuse b;\n")], &[("a/tests.rs", "use b;\n")]);
}

#[test]
fn a_name_that_says_nothing_is_found() {
    tells_apart(layout::banned_names, &[("src/util.rs", "")], &[("src/utility_bill.rs", ""), ("types.json", "")]);
    tells_apart(layout::banned_names, &[("src/reactor/mod.rs", "")], &[("src/reactor.rs", "")]);
    tells_apart(layout::banned_names, &[("tests/common", "")], &[("tests/wire", "")]);
}

#[test]
fn a_test_named_test_or_switched_off_is_found() {
    tells_apart(
        layout::names_of_tests,
        &[("a.rs", "fn test_get() {}")],
        &[("a.rs", "fn get_misses() {} // fn test_get")],
    );
    tells_apart(layout::names_of_tests, &[("a.rs", "#[ignore = \"slow\"]")], &[("a.rs", "let a = \"#[ignore]\";")]);
}

#[test]
fn a_promise_in_a_comment_is_found() {
    tells_apart(layout::promises, &[("a.rs", "// TODO: later")], &[("a.rs", "let todo = TODOS; // a TODOLIST")]);
}

#[test]
fn unsafe_outside_the_list_is_found() {
    let check = |tree: &Tree| unsafety::listed_only(tree, &["leaf.rs"]);
    let leaf = ("leaf.rs", "unsafe { a() }");
    tells_apart(
        check,
        &[leaf, ("b.rs", "fn b() { unsafe { a() } }")],
        &[leaf, ("b.rs", "// unsafe\nlet unsafe_b = \"unsafe\";")],
    );
    tells_apart(check, &[leaf, ("b.rs", "#![allow(unsafe_code)]")], &[leaf, ("b.rs", "#![deny(unsafe_code)]")]);
    tells_apart(check, &[("leaf.rs", "fn a() {}")], &[leaf]);
}

#[test]
fn a_long_file_with_unsafe_is_found() {
    let check = |tree: &Tree| unsafety::listed_are_short(tree, &["leaf.rs"]);
    let long = "x\n".repeat(401);
    tells_apart(check, &[("leaf.rs", &long)], &[("leaf.rs", "x\n"), ("b.rs", &long)]);
}

#[test]
fn an_unsafe_block_without_a_reason_of_its_own_is_found() {
    let check = unsafety::every_block_has_its_reason;
    tells_apart(check, &[("a.rs", "unsafe { a() }")], &[("a.rs", "// SAFETY: a asks nothing.\nunsafe { a() }")]);
    let shared = "// SAFETY: a asks nothing.\nunsafe { a() };\nunsafe { b() };";
    tells_apart(check, &[("a.rs", shared)], &[("a.rs", "unsafe fn a();")]);
    tells_apart(check, &[("a.rs", "unsafe impl Send for A {}")], &[("a.rs", "// unsafe impl")]);
}

#[test]
fn a_dependency_that_runs_upwards_is_found() {
    let check = edges::dependencies_run_downwards;
    let path = "crates/keyspace/Cargo.toml";
    tells_apart(
        check,
        &[(path, "[dependencies]\nscrubjay-resp.workspace = true\n")],
        &[(path, "[dependencies]\nahash = \"0.8\"\n[dev-dependencies]\nscrubjay-resp.workspace = true\n")],
    );
    tells_apart(check, &[(path, "[dependencies.tokio]\nversion = \"1\"\n")], &[]);
    tells_apart(check, &[(path, "[target.'cfg(unix)'.dependencies]\nmio = \"1\"\n")], &[]);
    tells_apart(check, &[("crates/new/Cargo.toml", "")], &[("crates/server/Cargo.toml", "")]);
}

#[test]
fn a_file_that_architecture_names_and_nobody_has_is_found() {
    let check = documents::architecture_names_real_files;
    let page = ("ARCHITECTURE.md", "A GET enters in `crates/server/src/exec.rs`, not in `exec/`-like `a.b`.");
    let exec = ("crates/server/src/exec.rs", "");
    tells_apart(check, &[page, ("exec", "")], &[page, exec, ("exec", "")]);
    tells_apart(check, &[exec], &[page, exec, ("exec", "")]);
}

#[test]
fn a_row_without_a_transcript_is_found() {
    let check = documents::every_row_has_a_transcript;
    let page = (
        "docs/commands.md",
        "| `GET key` | 1 |\n| `BITOP AND \\| OR dest` | 1 |\n| `OBJECT` | 1 |\n| `OBJECT FREQ key` | 1 |",
    );
    let of = |text| ("crates/server/tests/transcripts/strings.txt", text);
    let all = of("# get\n2> get k\nBITOP OR a b\n~any OBJECT freq k\n");
    tells_apart(check, &[page, of("# get\nGETRANGE k\nBITOP OR a b\nOBJECT FREQ k\n")], &[page, all]);
    tells_apart(check, &[page, of("GET k\nBITOP OR a b\nOBJECT HELP\n; OBJECT FREQ\n")], &[page, all]);
    tells_apart(check, &[all], &[page, all]);
}

#[test]
fn a_type_of_the_front_door_without_an_example_is_found() {
    let door = (
        "crates/scrubjay/src/lib.rs",
        "//! A cache.\nmod a;\npub use a::{\n    Cache, Keys,\n};\npub use a::BoxError;\n",
    );
    let of = |text| ("crates/scrubjay/src/a.rs", text);
    let keys = "/// ```\n/// keys();\n/// ```\n#[derive(Debug)]\npub struct Keys<K> {}\npub type BoxError = ();\n";
    let bare = format!("/// ```\n/// ```\npub struct CacheBuilder;\n\n/// Caches.\npub struct Cache;\n\n{keys}");
    let shown = format!("/// ```\n/// cache();\n/// ```\npub struct Cache;\n\n{keys}");
    tells_apart(documents::the_front_door_has_examples, &[door, of(bare.as_str())], &[door, of(shown.as_str())]);
}

#[test]
fn comments_and_literals_are_not_code() {
    let check = |text: &str, expected: &str| assert_eq!(code(text), expected, "{text}");
    check("a // b\nc", "a     \nc");
    check("a /* /* b */ */ c", "a               c");
    check(r#"f("a\"b") c"#, r#"f(      ) c"#);
    check(r##"r#"a"b"# c"##, r#"         c"#);
    check("'\"' 'a b'\"\"", "    'a b'  ");
    check("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)");
    check("for\"x\"", "for   ");
}
