//! Arguments at their limits and one beyond.

use super::*;

#[test]
fn integers_are_read_in_their_canonical_form_only() {
    let yes: &[(&str, i64)] = &[
        ("0", 0),
        ("1", 1),
        ("-1", -1),
        ("10", 10),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
    ];
    for (text, number) in yes {
        assert_eq!(parse_integer(text.as_bytes()), Some(*number), "{text}");
    }
    let no = [
        "",
        "-",
        "+1",
        "-0",
        "01",
        "-01",
        "00",
        " 1",
        "1 ",
        "1.0",
        "1e3",
        "0x1",
        "a",
        "1a",
        "--1",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999",
        "18446744073709551616",
        "\u{661}",
    ];
    for text in no {
        assert_eq!(parse_integer(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn option_words_match_in_any_case_and_whole() {
    assert!(is(b"kEePtTl", "KEEPTTL"));
    assert!(!is(b"keep", "keepttl"));
    assert!(!is(b"keepttls", "keepttl"));
    assert_eq!(Moment::from_option(b"eXat"), Some(Moment::EXAT));
    assert_eq!(Moment::from_option(b"e"), None);
}

#[test]
fn moments_overflow_into_the_error_that_names_the_command() {
    let invalid = Err(error::invalid_expire("set"));
    assert_eq!(Moment::EX.expiry(b"10", 1_000, "set"), Ok(11_000));
    assert_eq!(Moment::PX.expiry(b"10", 1_000, "set"), Ok(1_010));
    assert_eq!(Moment::EXAT.expiry(b"10", 1_000, "set"), Ok(10_000));
    assert_eq!(Moment::PXAT.expiry(b"10", 1_000, "set"), Ok(10));
    assert_eq!(Moment::PXAT.expiry(b"9223372036854775807", 1_000, "set"), Ok(i64::MAX.unsigned_abs()));
    for (moment, amount) in [
        (Moment::EX, "0"),
        (Moment::EX, "-1"),
        (Moment::PXAT, "0"),
        (Moment::EX, "9223372036854775"),
        (Moment::EX, "9223372036854776"),
        (Moment::EXAT, "9223372036854776"),
        (Moment::PX, "9223372036854775807"),
    ] {
        assert_eq!(moment.expiry(amount.as_bytes(), 1_000, "set"), invalid, "{moment:?} {amount}");
    }
    assert_eq!(Moment::EX.expiry(b"1.5", 0, "set"), Err(error::NOT_AN_INTEGER));
    assert_eq!(Moment::EX.any(b"-5", 1_000, "expire"), Ok(-4_000));
    assert_eq!(Moment::EXAT.any(b"-9223372036854776", 0, "expireat"), Err(error::invalid_expire("expireat")));
}
