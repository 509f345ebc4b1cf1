//! The bit commands, run through the executor and against naive models that look at one bit at a time.

use super::field::{Encoding, Overflow};
use super::operation::Operation;
use super::{count, position};
use crate::commands::session::Session;
use proptest::prelude::*;

const SYNTAX: &str = "-ERR syntax error";
const INTEGER: &str = "-ERR value is not an integer or out of range";
const OFFSET: &str = "-ERR bit offset is not an integer or out of range";
const BIT: &str = "-ERR bit is not an integer or out of range";
const TYPE: &str = "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";

#[test]
fn single_bits_are_set_and_read() {
    Session::new().check(&[
        ("SETBIT k 7 1", ":0"),
        ("GET k", "$1 \u{1}"),
        ("SETBIT k 7 0", ":1"),
        ("SETBIT k 25 1", ":0"),
        ("GETRANGE k 0 -1", "$4 \0\0\0@"),
        ("GETBIT k 25", ":1"),
        ("GETBIT k 24", ":0"),
        ("GETBIT k 4294967295", ":0"),
        ("GETBIT absent 1", ":0"),
        ("SETBIT fresh 8 0", ":0"),
        ("STRLEN fresh", ":2"),
        ("GETBIT k 4294967296", OFFSET),
        ("SETBIT k 4294967296 1", OFFSET),
        ("SETBIT k -1 1", OFFSET),
        ("SETBIT k #1 1", OFFSET),
        ("SETBIT k x 2", OFFSET),
        ("SETBIT k 0 2", BIT),
        ("SETBIT k 0 -1", BIT),
    ]);
}

#[test]
fn bits_are_counted_in_ranges_of_bytes_and_bits() {
    Session::new().check(&[
        ("SET k foobar", "+OK"),
        ("BITCOUNT k", ":26"),
        ("BITCOUNT k 0 0", ":4"),
        ("BITCOUNT k 1 1 BYTE", ":6"),
        ("BITCOUNT k 5 30 BIT", ":17"),
        ("BITCOUNT k -5 -1 bit", ":2"),
        ("BITCOUNT k 4 3", ":0"),
        ("BITCOUNT k -1 -2 foo", ":0"),
        ("BITCOUNT k 0 -1 foo", SYNTAX),
        ("BITCOUNT k 0", SYNTAX),
        ("BITCOUNT k 0 x", INTEGER),
        ("BITCOUNT absent 0 x", ":0"),
    ]);
}

#[test]
fn positions_end_where_the_string_or_the_range_does() {
    let mut session = Session::new();
    session.run(&[b"SET", b"ones", b"\xff\xff\xff"]);
    session.run(&[b"SET", b"k", b"\x00\xff\xf0"]);
    session.check(&[
        ("BITPOS ones 0", ":24"),
        ("BITPOS ones 0 1", ":24"),
        ("BITPOS ones 0 0 -1", ":-1"),
        ("BITPOS ones 0 5", ":-1"),
        ("BITPOS ones 1 2 1", ":-1"),
        ("BITPOS k 1", ":8"),
        ("BITPOS k 0 1", ":20"),
        ("BITPOS k 1 7 15 BIT", ":8"),
        ("BITPOS k 0 9 18 BIT", ":-1"),
        ("BITPOS k 1 -4 -1 bit", ":-1"),
        ("BITPOS k 2", "-ERR The bit argument must be 1 or 0."),
        ("BITPOS k x", INTEGER),
        ("BITPOS k 1 0 x foo", SYNTAX),
        ("BITPOS k 1 x 0 foo", INTEGER),
        ("BITPOS absent 0 x", ":0"),
        ("BITPOS absent 1", ":-1"),
        ("SET empty \"\"", "+OK"),
        ("BITPOS empty 0", ":-1"),
    ]);
}

#[test]
fn operations_store_their_result_or_remove_the_target() {
    let mut session = Session::new();
    session.run(&[b"SET", b"a", b"\x0f\xf0\x01"]);
    session.run(&[b"SET", b"b", b"\x3c"]);
    session.check(&[
        ("BITOP and t a b", ":3"),
        ("BITOP OR a a b", ":3"),
        ("BITOP NOT n b", ":1"),
        ("BITOP XOR x b b absent", ":1"),
    ]);
    for (key, value) in [("t", &b"\x0c\x00\x00"[..]), ("a", b"\x3f\xf0\x01"), ("n", b"\xc3"), ("x", b"\x00")] {
        let reply = [format!("${}\r\n", value.len()).as_bytes(), value, b"\r\n"].concat();
        assert_eq!(session.run(&[b"GET", key.as_bytes()]), reply, "{key}");
    }
    session.check(&[
        ("BITOP AND t absent", ":0"),
        ("GET t", "$-1"),
        ("BITOP NOT t a b", "-ERR BITOP NOT must be called with a single source key."),
        ("BITOP NAND t a b", SYNTAX),
    ]);
}

#[test]
fn fields_wrap_saturate_or_fail() {
    Session::new().check(&[
        ("BITFIELD k SET u8 0 255 GET u8 0", "*2 :0 :255"),
        ("BITFIELD k INCRBY u8 0 10", "*1 :9"),
        ("BITFIELD k OVERFLOW SAT INCRBY u8 0 250 INCRBY u8 0 -9999", "*2 :255 :0"),
        ("BITFIELD k OVERFLOW FAIL INCRBY u8 0 256 OVERFLOW WRAP INCRBY u8 0 256", "*2 $-1 :0"),
        ("BITFIELD k OVERFLOW SAT SET u8 0 -1 GET u8 0", "*2 :0 :255"),
        ("BITFIELD k SET i8 0 -128 OVERFLOW SAT INCRBY i8 0 -1 OVERFLOW WRAP INCRBY i8 0 -1", "*3 :-1 :-128 :127"),
        ("BITFIELD k SET i5 #3 -16 GET i5 15 GET u5 15 GET i5 #4", "*4 :0 :-16 :16 :0"),
        ("BITFIELD k SET i64 3 -9223372036854775808 GET i64 3", "*2 :-574208952489738240 :-9223372036854775808"),
        ("BITFIELD k OVERFLOW FAIL INCRBY i64 3 -1", "*1 $-1"),
        ("BITFIELD k SET u63 70 9223372036854775807 GET u63 70", "*2 :0 :9223372036854775807"),
        ("STRLEN k", ":17"),
        ("BITFIELD k", "*0"),
        ("BITFIELD k OVERFLOW SAT", "*0"),
        ("BITFIELD absent GET u8 100", "*1 :0"),
        ("GET absent", "$-1"),
        ("BITFIELD_RO k GET u4 0 GET u4 #1", "*2 :7 :0"),
    ]);
}

#[test]
fn a_bad_argument_leaves_a_field_untouched() {
    let mut session = Session::new();
    for (rest, reply) in [
        ("GET u64 0", TYPE),
        ("GET i65 0", TYPE),
        ("GET u0 0", TYPE),
        ("GET U8 0", TYPE),
        ("GET u08 0", TYPE),
        ("GET u8 -1", OFFSET),
        ("GET u8 #-1", OFFSET),
        ("GET u8 #536870912", OFFSET),
        ("GET u8 4294967296", OFFSET),
        ("SET u8 0 x", INTEGER),
        ("SET u8 0", SYNTAX),
        ("GET u8", SYNTAX),
        ("OVERFLOW", SYNTAX),
        ("FOO", SYNTAX),
        ("OVERFLOW BEND SET u8 0 1", "-ERR Invalid OVERFLOW type specified"),
    ] {
        assert_eq!(session.line(&format!("BITFIELD k SET u8 0 1 {rest}")), reply, "{rest}");
    }
    assert_eq!(session.line("BITFIELD_RO k SET u8 0 1"), "-ERR BITFIELD_RO only supports the GET subcommand");
    assert_eq!(session.state("k"), None);
    assert_eq!(Session::new().resp3().line("BITFIELD k OVERFLOW FAIL SET u1 0 2"), "*1 _");
}

#[test]
fn what_changes_no_bit_wakes_no_watcher() {
    for (line, is_change) in [
        ("SETBIT k 0 0", false),
        ("SETBIT k 0 1", true),
        ("SETBIT k 8 0", true),
        ("BITFIELD k SET u8 0 1", false),
        ("BITFIELD k OVERFLOW FAIL INCRBY u8 0 255 SET u8 0 1", false),
        ("BITFIELD k SET u8 0 2 SET u8 0 1", true),
        ("BITFIELD k OVERFLOW FAIL SET u2 7 9", true),
    ] {
        let mut session = Session::new();
        session.line("SETBIT k 7 1");
        assert_eq!(session.changes(line, "k"), is_change, "{line}");
    }
}

fn bit_at(value: &[u8], at: usize) -> bool {
    value.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1)
}

/// Bytes with long stretches of ones and zeros, as fast paths like them.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let run = (prop_oneof![Just(0_u8), Just(0xff), any::<u8>()], 1_usize..500);
    proptest::collection::vec(run, 1..6)
        .prop_map(|runs| runs.into_iter().flat_map(|(byte, len)| std::iter::repeat_n(byte, len)).collect())
}

fn encoding() -> impl Strategy<Value = Encoding> {
    prop_oneof![
        (1_u32..=64).prop_map(|width| Encoding { is_signed: true, width }),
        (1_u32..=63).prop_map(|width| Encoding { is_signed: false, width }),
    ]
}

proptest! {
    #[test]
    fn counts_and_positions_agree_with_a_walk_over_the_bits(value in value(), ends in any::<(u32, u32)>(), bit in any::<bool>()) {
        let (a, b) = (ends.0 as usize % (value.len() * 8), ends.1 as usize % (value.len() * 8));
        let (first, last) = (a.min(b), a.max(b));
        prop_assert_eq!(count::count_ones(&value), value.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>());
        let ones = (first..=last).filter(|at| bit_at(&value, *at)).count();
        prop_assert_eq!(count::count_range(&value, first, last), ones as u64);
        let found = (first..=last).find(|at| bit_at(&value, *at) == bit);
        prop_assert_eq!(position::position_in(&value, bit, first, last), found);
    }

    #[test]
    fn operations_agree_with_a_walk_over_the_bytes(sources in proptest::collection::vec(value(), 1..4)) {
        for (operation, combine) in [
            (Operation::And, (|a, b| a & b) as fn(u8, u8) -> u8),
            (Operation::Or, |a, b| a | b),
            (Operation::Xor, |a, b| a ^ b),
        ] {
            let len = sources.iter().map(Vec::len).max().unwrap_or(0);
            let byte = |source: &Vec<u8>, at: usize| source.get(at).copied().unwrap_or(0);
            let expected: Vec<u8> = (0..len)
                .map(|at| sources.iter().map(|source| byte(source, at)).reduce(combine).unwrap_or(0))
                .collect();
            let mut result = sources[0].clone();
            sources[1..].iter().for_each(|source| operation.fold(&mut result, source));
            prop_assert_eq!(result, expected);
        }
    }

    #[test]
    fn fields_agree_with_a_walk_over_the_bits(encoding in encoding(), at in 0_usize..200, seed in any::<[u8; 40]>(), number in any::<i64>()) {
        let mut value = seed.to_vec();
        let width = encoding.width as usize;
        let unsigned = (at..at + width).fold(0_u128, |sum, at| sum * 2 + u128::from(bit_at(&seed, at)));
        let is_minus = encoding.is_signed && bit_at(&seed, at);
        let expected = unsigned.cast_signed() - if is_minus { 1_i128 << width } else { 0 };
        prop_assert_eq!(i128::from(encoding.read(&value, at)), expected);
        let fitted = encoding.fit(i128::from(number), Overflow::Wrap).unwrap();
        encoding.write(&mut value, at, fitted);
        prop_assert_eq!(encoding.read(&value, at), fitted);
        for other in (0..320).filter(|other| !(at..at + width).contains(other)) {
            prop_assert_eq!(bit_at(&value, other), bit_at(&seed, other), "bit {}", other);
        }
    }

    #[test]
    fn what_fits_is_kept_and_what_does_not_is_bent(encoding in encoding(), number in any::<i64>(), more in any::<i64>()) {
        let exact = i128::from(number) + i128::from(more);
        let half = 1_i128 << (encoding.width - 1);
        let (least, most) = if encoding.is_signed { (-half, half - 1) } else { (0, 2 * half - 1) };
        let is_inside = least <= exact && exact <= most;
        let wrapped = i128::from(encoding.fit(exact, Overflow::Wrap).unwrap());
        prop_assert!((least..=most).contains(&wrapped) && (wrapped - exact) % (2 * half) == 0);
        prop_assert_eq!(encoding.fit(exact, Overflow::Fail).is_some(), is_inside);
        let saturated = i128::from(encoding.fit(exact, Overflow::Saturate).unwrap());
        prop_assert_eq!(saturated, exact.max(least).min(most));
        prop_assert!(!is_inside || wrapped == exact);
    }
}
