use super::*;

const A: Sum = Sum(1);
const B: Sum = Sum(2);

#[test]
fn what_was_written_is_own_and_anything_else_is_not() {
    let mut echo = Echo::default();
    echo.expect(b"k", A, 0);
    assert_eq!(echo.expected(b"k"), Some(A));
    assert_eq!(echo.judge(b"k", A, Some(A)), Whose::Own);
    assert_eq!(echo.judge(b"k", A, Some(A)), Whose::Own);
    assert_eq!(echo.judge(b"k", A, None), Whose::Anothers);
    assert_eq!(echo.expected(b"k"), None);
    assert_eq!(echo.judge(b"k", A, Some(A)), Whose::Anothers);
}

#[test]
fn a_check_that_a_newer_own_write_has_overtaken_is_own() {
    let mut echo = Echo::default();
    echo.expect(b"k", A, 0);
    echo.expect(b"k", B, 1);
    assert_eq!(echo.judge(b"k", A, Some(A)), Whose::Own);
    assert_eq!(echo.judge(b"k", A, Some(B)), Whose::Own);
}

#[test]
fn what_a_check_finds_between_own_writes_is_looked_at_again() {
    let mut echo = Echo::default();
    echo.expect(b"k", A, 0);
    echo.expect(b"k", Sum(3), 1);
    // B was written between the two, by this process or by another.
    assert_eq!(echo.judge(b"k", A, Some(B)), Whose::Unknown);
    assert_eq!(echo.judge(b"k", A, None), Whose::Unknown);
    assert_eq!(echo.expected(b"k"), Some(Sum(3)));
    assert_eq!(echo.judge(b"k", Sum(3), Some(Sum(3))), Whose::Own);
    assert_eq!(echo.judge(b"k", Sum(3), Some(A)), Whose::Unknown, "the last write is not there yet");
    assert_eq!(echo.judge(b"k", Sum(3), Some(B)), Whose::Anothers, "nothing was written since it was asked");
    echo.expect(b"k", A, 0);
    assert_eq!(echo.judge(b"k", A, None), Whose::Anothers, "it was forgotten");
}

#[test]
fn who_reads_something_else_believes_the_news() {
    let mut echo = Echo::default();
    echo.expect(b"k", A, 0);
    let since = echo.moment();
    // Read before the write was done, or after that of another: not used for long, but no check has said otherwise yet.
    assert!(!echo.is_overtaken(b"k", Some(B), since));
    assert_eq!(echo.judge(b"k", A, Some(A)), Whose::Anothers);
}

#[test]
fn a_lookup_that_a_check_has_overtaken_is_not_used() {
    let mut echo = Echo::default();
    echo.expect(b"k", A, 0);
    let since = echo.moment();
    assert_eq!(echo.judge(b"k", A, Some(A)), Whose::Own);
    assert!(echo.is_overtaken(b"k", Some(B), since));
    let mut echo = Echo::default();
    echo.expect(b"k", A, 0);
    assert_eq!(echo.judge(b"k", A, Some(A)), Whose::Own);
    let since = echo.moment();
    assert!(!echo.is_overtaken(b"k", Some(A), since));
    assert!(!echo.is_overtaken(b"k", Some(B), since));
}

#[test]
fn what_was_written_is_forgotten_after_a_while_and_never_grows() {
    let mut echo = Echo::default();
    echo.expect(b"k", A, 0);
    echo.expect(b"l", A, KEPT_MS);
    assert_eq!(echo.expected(b"k"), Some(A));
    echo.expect(b"m", A, 2 * KEPT_MS);
    assert_eq!((echo.expected(b"k"), echo.expected(b"l")), (None, Some(A)));
    for key in 0..100_000_u32 {
        echo.expect(&key.to_le_bytes(), A, 3 * KEPT_MS);
        assert!(echo.young.len() + echo.old.len() <= 2 * HALF_MAX);
    }
    assert_eq!(echo.expected(&99_999_u32.to_le_bytes()), Some(A));
}
