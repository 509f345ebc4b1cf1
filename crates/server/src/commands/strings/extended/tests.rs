//! Sums as Redis 7.0 on x86-64 prints them, and the edges of the format.

use super::*;
use proptest::prelude::*;

fn sum(a: &str, b: &str) -> Option<String> {
    let a = Extended::parse(a.as_bytes())?;
    Some(a.plus(Extended::parse(b.as_bytes())?)?.to_string())
}

#[test]
fn sums_print_as_redis_prints_them() {
    for (a, b, printed) in [
        ("10.5", "0.1", "10.6"),
        ("3.0e3", "200", "3200"),
        ("5.0e3", "2.0e2", "5200"),
        ("1", "1.0000000000000000001", "2"),
        ("1.1", "-1.1", "0"),
        ("-0", "0", "0"),
        ("-1e-30", "0", "0"),
        ("0", "1e-17", "0.00000000000000001"),
        ("17179869184", "1.5", "17179869185.5"),
        ("1", "0x1.8p1", "4"),
        ("18446744073709551615", "1", "18446744073709551616"),
        ("18446744073709551616", "1", "18446744073709551616"),
        ("-3", "1e3", "997"),
    ] {
        assert_eq!(sum(a, b).as_deref(), Some(printed), "{a} + {b}");
    }
}

#[test]
fn what_is_no_number_or_out_of_range_is_refused() {
    let long = "1".repeat(TEXT_LEN_MAX + 1);
    for text in
        ["", " 1", "1 ", "+", "-", ".", "e5", "1e", "1e+", "nan", "0x", "1.2.3", "1e5000", "1e-5000", "--1", &long]
    {
        assert_eq!(Extended::parse(text.as_bytes()), None, "{text}");
    }
    for text in ["1.", ".5", "+1", "0e99999", "1e4932", "1e-4950", "-inf", "Infinity", "0X1P-3", &"9".repeat(4932)] {
        assert!(Extended::parse(text.as_bytes()).is_some(), "{text}");
    }
    assert_eq!(sum("inf", "1"), None);
    assert_eq!(sum("1e4932", "1e4932"), None, "the sum is infinite");
}

#[test]
fn subnormals_add_without_losing_a_bit() {
    let least = Extended { mantissa: 1, ..Extended::ZERO };
    assert_eq!(Extended::parse(b"3.6451995318824746025e-4951"), Some(least));
    assert_eq!(least.plus(least), Some(Extended { mantissa: 2, ..Extended::ZERO }));
    let normal = Extended { mantissa: 1 << 63, ..Extended::ZERO };
    let minus = Extended { is_negative: true, ..least };
    assert_eq!(normal.plus(minus), Some(Extended { mantissa: (1 << 63) - 1, ..Extended::ZERO }));
}

proptest! {
    /// With 53 bits on each side and exponents that are near, the sum of 64 bits is exact, and doubles can tell.
    #[test]
    fn small_sums_are_exact(a in -(1_i64 << 40)..1_i64 << 40, b in -(1_i64 << 40)..1_i64 << 40) {
        let text = |number: i64| format!("{:.10}", number as f64 / 1024.0);
        let exact = text(a + b);
        prop_assert_eq!(sum(&text(a), &text(b)), Some(exact.trim_end_matches('0').trim_end_matches('.').to_owned()));
    }

    #[test]
    fn decimals_of_seventeen_digits_come_back(whole in 0_u64..90, fraction in 0_u64..10_u64.pow(17)) {
        let text = format!("{whole}.{fraction:017}");
        let shown = text.trim_end_matches('0').trim_end_matches('.').to_owned();
        prop_assert_eq!(sum(&text, "0"), Some(shown));
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(text in "[-+0-9.eExXpPinfa]{0,40}") {
        if let Some(number) = Extended::parse(text.as_bytes()) {
            prop_assert!(!number.to_string().is_empty());
        }
    }
}
