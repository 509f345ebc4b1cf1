//! The string commands, run through the executor and against naive models.

use super::{lcs, range};
use crate::commands::session::{NOW_MS, Session};
use proptest::prelude::*;

const SYNTAX: &str = "-ERR syntax error";
const INTEGER: &str = "-ERR value is not an integer or out of range";
const SET_EXPIRE: &str = "-ERR invalid expire time in 'set' command";

#[test]
fn set_writes_on_its_conditions() {
    Session::new().check(&[
        ("SET k v", "+OK"),
        ("GET k", "$1 v"),
        ("SET k w NX", "$-1"),
        ("SET k w nx GET", "$1 v"),
        ("SET k w XX", "+OK"),
        ("SET new v XX", "$-1"),
        ("SET new v XX GET", "$-1"),
        ("GET new", "$-1"),
        ("SET new v NX GET", "$-1"),
        ("GET new", "$1 v"),
        ("SET k x GET", "$1 w"),
        ("SET k y NX XX", SYNTAX),
        ("SET k y XX NX", SYNTAX),
        ("SET k y NX NX", "$-1"),
        ("SETNX k z", ":0"),
        ("SETNX other z", ":1"),
        ("GETSET k z", "$1 x"),
        ("GETDEL k", "$1 z"),
        ("GETDEL k", "$-1"),
    ]);
}

#[test]
fn set_refuses_options_that_contradict_each_other() {
    for options in [
        "EX",
        "PX",
        "EX 1 PX 1",
        "EX 1 EXAT 1",
        "PXAT 1 PX 1",
        "KEEPTTL EX 1",
        "EX 1 KEEPTTL",
        "PERSIST",
        "EX 1 foo",
        "foo",
        "GET EX",
    ] {
        assert_eq!(Session::new().line(&format!("SET k v {options}")), SYNTAX, "{options}");
    }
    for (options, reply) in [
        ("EX 0", SET_EXPIRE),
        ("PX -1", SET_EXPIRE),
        ("EXAT 9223372036854776", SET_EXPIRE),
        ("EX 9223372036854775", SET_EXPIRE),
        ("PX 9223372036854775807", SET_EXPIRE),
        ("EX 1.5", INTEGER),
        ("PXAT 9223372036854775808", INTEGER),
        ("EX 0 foo", SYNTAX),
    ] {
        let mut session = Session::new();
        assert_eq!(session.line(&format!("SET k v {options}")), reply, "{options}");
        assert_eq!(session.state("k"), None, "{options}");
    }
}

#[test]
fn every_way_to_expire_ends_at_its_moment() {
    for (line, expires_at_ms) in [
        ("SET k v", None),
        ("SET k v EX 10", Some(NOW_MS + 10_000)),
        ("SET k v EX 10 EX 20", Some(NOW_MS + 20_000)),
        ("SET k v PX 10 GET", Some(NOW_MS + 10)),
        ("SET k v EXAT 1800000000", Some(1_800_000_000_000)),
        ("SET k v PXAT 1800000000001", Some(1_800_000_000_001)),
        ("SETEX k 10 v", Some(NOW_MS + 10_000)),
        ("PSETEX k 10 v", Some(NOW_MS + 10)),
        ("SET k w KEEPTTL", Some(NOW_MS + 500)),
        ("GETSET k v", None),
        ("GETEX k", Some(NOW_MS + 500)),
        ("GETEX k PERSIST", None),
        ("GETEX k PERSIST PERSIST", None),
        ("GETEX k PXAT 1800000000001", Some(1_800_000_000_001)),
        ("GETEX k EX 5", Some(NOW_MS + 5_000)),
        ("MSET k v", None),
        ("APPEND k v", Some(NOW_MS + 500)),
        ("SETRANGE k 0 v", Some(NOW_MS + 500)),
        ("INCR k", Some(NOW_MS + 500)),
        ("INCRBYFLOAT k 1.5", Some(NOW_MS + 500)),
        ("SETBIT k 3 0", Some(NOW_MS + 500)),
        ("BITFIELD k SET u8 0 1", Some(NOW_MS + 500)),
        ("BITOP AND k k", None),
    ] {
        let mut session = Session::new();
        session.line("SET k 1 PX 500");
        session.line(line);
        assert_eq!(session.state("k").map(|(expires_at_ms, _)| expires_at_ms), Some(expires_at_ms), "{line}");
    }
}

#[test]
fn a_moment_in_the_past_leaves_no_key() {
    let mut session = Session::new();
    session.check(&[("SET k v PXAT 1", "+OK"), ("GET k", "$-1"), ("SET k v", "+OK"), ("GETEX k EXAT 1", "$1 v")]);
    assert_eq!(session.state("k"), None);
}

#[test]
fn getex_names_itself_and_forgives_for_absent_keys() {
    Session::new().check(&[
        ("GETEX absent EX 0", "$-1"),
        ("GETEX absent EX x", "$-1"),
        ("GETEX absent FOO", SYNTAX),
        ("SET k v", "+OK"),
        ("GETEX k EX 0", "-ERR invalid expire time in 'getex' command"),
        ("GETEX k EX", SYNTAX),
        ("GETEX k EX 1 PERSIST", SYNTAX),
        ("GETEX k PERSIST PX 1", SYNTAX),
        ("GETEX k KEEPTTL", SYNTAX),
        ("GETEX k PX x", INTEGER),
        ("SETEX k 0 v", "-ERR invalid expire time in 'setex' command"),
        ("PSETEX k -1 v", "-ERR invalid expire time in 'psetex' command"),
    ]);
}

#[test]
fn many_keys_are_written_together_or_not_at_all() {
    Session::new().check(&[
        ("MSET a 1 b 2 a 3", "+OK"),
        ("MGET a b c a", "*4 $1 3 $1 2 $-1 $1 3"),
        ("MSETNX c 1 b 9", ":0"),
        ("MGET b c", "*2 $1 2 $-1"),
        ("MSETNX c 1 d 9 c 2", ":1"),
        ("MGET c d", "*2 $1 2 $1 9"),
        ("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command"),
        ("MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command"),
    ]);
    assert_eq!(Session::new().resp3().line("MGET a"), "*1 _");
}

#[test]
fn counters_stop_at_their_limits() {
    Session::new().check(&[
        ("INCR n", ":1"),
        ("DECRBY n 11", ":-10"),
        ("INCRBY n 9223372036854775807", ":9223372036854775797"),
        ("INCRBY n 11", "-ERR increment or decrement would overflow"),
        ("INCRBY n 10", ":9223372036854775807"),
        ("INCR n", "-ERR increment or decrement would overflow"),
        ("DECRBY n -9223372036854775808", "-ERR decrement would overflow"),
        ("SET n -9223372036854775808", "+OK"),
        ("DECR n", "-ERR increment or decrement would overflow"),
        ("INCRBY n 1.5", INTEGER),
        ("SET n 01", "+OK"),
        ("INCR n", INTEGER),
        ("INCRBYFLOAT n 0.5", "$3 1.5"),
        ("INCRBYFLOAT n x", "-ERR value is not a valid float"),
        ("INCRBYFLOAT n inf", "-ERR increment would produce NaN or Infinity"),
        ("INCRBYFLOAT n -1.5", "$1 0"),
        ("SET n x", "+OK"),
        ("INCRBYFLOAT n 1", "-ERR value is not a valid float"),
    ]);
}

#[test]
fn values_changed_in_place_are_raw_and_written_ones_are_not() {
    let mut session = Session::new();
    for (line, is_raw) in [
        ("SET k 1", false),
        ("APPEND k 2", true),
        ("INCR k", false),
        ("SETRANGE k 0 3", true),
        ("SET k 3", false),
        ("SETBIT k 0 1", true),
        ("APPEND fresh 12", true),
        ("MSET k 3", false),
        ("BITOP OR k k", true),
        ("GETSET k 3", false),
        ("BITFIELD k SET u8 0 7", true),
    ] {
        session.line(line);
        assert_eq!(session.state("k"), Some((None, is_raw)), "{line}");
    }
    assert_eq!(session.state("fresh"), Some((None, false)), "an APPEND that makes the key writes it");
}

#[test]
fn strings_end_at_the_limit() {
    let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    Session::new().check(&[
        ("SETRANGE k 536870912 x", too_long),
        ("SETRANGE k 9223372036854775807 x", too_long),
        ("SETRANGE k 536870912 \"\"", ":0"),
        ("SETRANGE k -1 x", "-ERR offset is out of range"),
        ("STRLEN k", ":0"),
        ("SETRANGE k 5 \"\"", ":0"),
        ("GET k", "$-1"),
        ("SETRANGE k 2 xyz", ":5"),
        ("GETRANGE k 0 -1", "$5 \0\0xyz"),
        ("SETRANGE k 1 ab", ":5"),
        ("GETRANGE k 0 -1", "$5 \0abyz"),
        ("SUBSTR k -3 -1", "$3 byz"),
        ("GETRANGE absent 0 -1", "$0"),
        ("GETRANGE k 0 x", INTEGER),
    ]);
    let mut session = Session::new();
    session.shared.config.set_at_start("proto-max-bulk-len", "1mb").unwrap();
    let megabyte = vec![b'x'; 1 << 20];
    assert_eq!(session.run(&[b"APPEND", b"k", &megabyte]), b":1048576\r\n");
    assert_eq!(session.line("APPEND k x"), too_long);
    assert_eq!(session.line("APPEND k \"\""), ":1048576");
    assert_eq!(session.line("SETRANGE k 1048575 x"), ":1048576");
    assert_eq!(session.line("SETRANGE k 1048576 x"), too_long);
}

#[test]
fn reads_count_hits_and_misses() {
    let mut session = Session::new();
    session.line("MSET a 1 b 2");
    for line in ["GET a", "GET absent", "MGET a b absent", "STRLEN a", "GETRANGE absent 0 1", "INCR a", "SETNX a 1"] {
        session.line(line);
    }
    assert_eq!((session.worker.stats.keyspace_hits.get(), session.worker.stats.keyspace_misses.get()), (4, 3));
}

#[test]
fn lcs_answers_text_length_and_ranges() {
    let matches = "$7 matches *2 *3 *2 :4 :7 *2 :5 :8 :4 *3 *2 :2 :3 *2 :0 :1 :2 $3 len :6";
    Session::new().check(&[
        ("MSET a ohmytext b mynewtext", "+OK"),
        ("LCS a b", "$6 mytext"),
        ("LCS a b LEN", ":6"),
        ("LCS a b IDX WITHMATCHLEN", &format!("*4 {matches}")),
        ("LCS a b IDX MINMATCHLEN 4", "*4 $7 matches *1 *2 *2 :4 :7 *2 :5 :8 $3 len :6"),
        ("LCS a b IDX MINMATCHLEN -4 MINMATCHLEN 9", "*4 $7 matches *0 $3 len :6"),
        ("LCS a absent", "$0"),
        ("LCS a absent IDX", "*4 $7 matches *0 $3 len :0"),
        ("LCS a b IDX LEN", "-ERR If you want both the length and indexes, please just use IDX."),
        ("LCS a b MINMATCHLEN", SYNTAX),
        ("LCS a b MINMATCHLEN x", INTEGER),
    ]);
    let mut session = Session::new().resp3();
    session.line("MSET a ohmytext b mynewtext");
    assert_eq!(session.line("LCS a b IDX WITHMATCHLEN"), format!("%2 {matches}"));
}

#[test]
fn lcs_refuses_a_table_that_is_too_large() {
    let mut session = Session::new();
    session.line("SETRANGE a 20000 x");
    session.line("SETRANGE b 20000 x");
    let refused = "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
    assert_eq!(session.line("LCS a b LEN"), refused);
}

/// The bytes of a range, one by one.
fn part_one_by_one(value: &[u8], start: i64, end: i64) -> Vec<u8> {
    let len = i64::try_from(value.len()).unwrap();
    let absolute = |offset: i64| if offset < 0 { len + offset } else { offset };
    let is_backwards = start < 0 && end < 0 && start > end;
    // An end before the string stands for its first byte.
    let (start, end) = (absolute(start), absolute(end).max(0));
    (0_i64..).zip(value).filter(|(at, _)| !is_backwards && (start..=end).contains(at)).map(|(_, byte)| *byte).collect()
}

/// Length of the longest common subsequence, straight from its definition.
fn common_len_by_definition(a: &[u8], b: &[u8]) -> usize {
    match (a, b) {
        ([.., x], [.., y]) if x == y => 1 + common_len_by_definition(&a[..a.len() - 1], &b[..b.len() - 1]),
        ([], _) | (_, []) => 0,
        _ => common_len_by_definition(&a[..a.len() - 1], b).max(common_len_by_definition(a, &b[..b.len() - 1])),
    }
}

fn is_subsequence(part: &[u8], whole: &[u8]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|byte| whole.any(|other| other == byte))
}

proptest! {
    #[test]
    fn ranges_hold_what_lies_between_their_ends(
        value in proptest::collection::vec(any::<u8>(), 0..12),
        start in prop_oneof![-15_i64..15, Just(i64::MIN), Just(i64::MAX)],
        end in prop_oneof![-15_i64..15, Just(i64::MIN), Just(i64::MAX)],
    ) {
        prop_assert_eq!(range::part(&value, start, end), part_one_by_one(&value, start, end));
    }

    #[test]
    fn lcs_is_common_and_longest(a in "[abc]{0,9}", b in "[abc]{0,9}") {
        let (a, b) = (a.as_bytes(), b.as_bytes());
        let table = lcs::Table::new(a, b).unwrap();
        let sequence = table.sequence(a, b);
        prop_assert!(is_subsequence(&sequence, a) && is_subsequence(&sequence, b));
        prop_assert_eq!(sequence.len(), common_len_by_definition(a, b));
        prop_assert_eq!(lcs::common_len(a, b) as usize, sequence.len());
        table.matches(a, b, |found| assert_eq!(a[found.a..found.a + found.len], b[found.b..found.b + found.len]));
    }
}
