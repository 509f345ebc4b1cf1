//! Patterns as Redis' own tests and DEBUG STRINGMATCH-LEN know them.

use super::{Case, matches};

fn check(pattern: &str, text: &str, expected: bool) {
    assert_eq!(matches(pattern.as_bytes(), text.as_bytes(), Case::Sensitive), expected, "{pattern} on {text}");
}

#[test]
fn every_part_of_a_pattern_matches_what_redis_says() {
    for (pattern, text, expected) in [
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("*", "anything", true),
        ("**a", "bba", true),
        ("h?llo", "hello", true),
        ("h?llo", "hllo", false),
        ("h*llo", "heeeello", true),
        ("h[ae]llo", "hallo", true),
        ("h[ae]llo", "hillo", false),
        ("h[^e]llo", "hallo", true),
        ("h[^e]llo", "hello", false),
        ("h[a-c]llo", "hbllo", true),
        ("h[c-a]llo", "hbllo", true),
        ("h[a-c]llo", "hdllo", false),
        ("h\\*llo", "h*llo", true),
        ("h\\*llo", "hxllo", false),
        ("a\\", "a\\", true),
        ("[\\]]", "]", true),
        ("[a", "a", true),
        ("[a", "b", false),
        ("[", "[", false),
        ("[]a]", "a", false),
        ("[a-", "a", true),
        ("[a-", "-", true),
        ("[^", "x", true),
        ("foo*bar", "foobarbarx", false),
        ("foo*bar", "foobarbar", true),
        ("*foo*bar*", "xfooxbarx", true),
    ] {
        check(pattern, text, expected);
    }
}

#[test]
fn case_is_ignored_where_names_are_matched() {
    assert!(matches(b"MAX*y", b"maxmemorY", Case::Ignored));
    assert!(matches(b"[A-C]x", b"bX", Case::Ignored));
    assert!(!matches(b"MAX*", b"maxmemory", Case::Sensitive));
}

#[test]
fn a_pattern_of_many_stars_ends_soon() {
    let text = vec![b'a'; 20_000];
    let pattern = [b"a*".repeat(2_000), b"b".to_vec()].concat();
    assert!(!matches(&pattern, &text, Case::Sensitive));
    let classes = [b"*[a-z]?".repeat(1_000), b"\\b".to_vec()].concat();
    assert!(!matches(&classes, &text, Case::Sensitive));
}
