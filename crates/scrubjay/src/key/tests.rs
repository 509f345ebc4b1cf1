use super::Key;
use proptest::prelude::*;
use std::fmt::Debug;
use std::sync::Arc;

fn bytes_of(key: &impl Key) -> Vec<u8> {
    let mut out = b"before".to_vec();
    key.encode(&mut out);
    out.split_off(6)
}

/// A key comes back from its bytes, and two keys share bytes only if they are equal.
fn check<K: Key + Debug>(one: &K, other: &K) {
    let bytes = bytes_of(one);
    assert_eq!(K::decode(&bytes).as_ref(), Some(one));
    assert_eq!(bytes == bytes_of(other), one == other, "{one:?} and {other:?}");
}

/// Bytes decode to a key only if that key encodes to them.
fn check_bytes<K: Key + Debug>(bytes: &[u8]) {
    if let Some(key) = K::decode(bytes) {
        assert_eq!(bytes_of(&key), bytes, "{key:?}");
    }
}

/// Texts of few different characters, separator and escape among them, so that collisions would be found.
fn tricky() -> impl Strategy<Value = String> {
    r"[a:\\]{0,4}"
}

#[test]
fn integers_are_decimal_text() {
    assert_eq!(bytes_of(&42_u64), b"42");
    assert_eq!(bytes_of(&i64::MIN), b"-9223372036854775808");
    assert_eq!(bytes_of(&u128::MAX), b"340282366920938463463374607431768211455");
    for foreign in ["+7", "007", "-0", "", " 7", "7 ", "256", "0x7"] {
        assert_eq!(u8::decode(foreign.as_bytes()), None, "{foreign}");
        assert_eq!(i8::decode(foreign.as_bytes()), None, "{foreign}");
    }
}

#[test]
fn tuples_of_plain_parts_are_readable() {
    assert_eq!(bytes_of(&(7_u64, "users".to_owned())), b"7:users");
    assert_eq!(bytes_of(&("eu".to_owned(), true, -3_i8)), b"eu:true:-3");
    assert_eq!(bytes_of(&(1_u8, 2_u16, 3_u32, [b'x', b'y'])), b"1:2:3:xy");
}

#[test]
fn a_separator_within_a_part_is_escaped() {
    assert_eq!(bytes_of(&("a:b".to_owned(), r"c\".to_owned())), br"a\:b:c\\");
    assert_eq!(bytes_of(&(("a".to_owned(), "b".to_owned()), "c".to_owned())), br"a\:b:c");
    assert_eq!(bytes_of(&("a".to_owned(), ("b".to_owned(), "c".to_owned()))), br"a:b\:c");
}

#[test]
fn tuples_have_one_spelling_only() {
    type Pair = (String, String);
    for foreign in [&b"a"[..], b"", b"a:b:c", br"a\:b", br"\a:b", br"a:b\", br"a\"] {
        assert_eq!(Pair::decode(foreign), None, "{}", foreign.escape_ascii());
    }
    assert_eq!(Pair::decode(b":"), Some((String::new(), String::new())));
}

#[test]
fn text_that_is_no_utf8_is_no_key() {
    assert_eq!(String::decode(b"\xff"), None);
    assert_eq!(<Arc<str>>::decode(b"\xff"), None);
    assert_eq!(Vec::<u8>::decode(b"\xff"), Some(vec![0xff]));
    assert_eq!(<[u8; 2]>::decode(b"\xff"), None);
}

#[test]
fn what_a_key_holds_outside_of_itself_is_counted() {
    assert_eq!(7_u64.heap_bytes() + [0_u8; 40].heap_bytes() + String::new().heap_bytes(), 0);
    let text = "x".repeat(100);
    assert!((100..150).contains(&text.heap_bytes()));
    assert!((100..150).contains(&Arc::<str>::from(text.as_str()).heap_bytes()));
    assert_eq!((7_u8, text.clone(), text.clone()).heap_bytes(), 2 * text.heap_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn keys_are_equal_exactly_if_their_bytes_are(
        numbers in any::<[i64; 2]>(), small in any::<[u8; 2]>(), wide in any::<[u128; 2]>(), flags in any::<[bool; 2]>(),
    ) {
        check(&numbers[0], &numbers[1]);
        check(&small[0], &small[1]);
        check(&wide[0], &wide[1]);
        check(&flags[0], &flags[1]);
        check(&small, &[small[1], small[0]]);
        check(&(small[0], flags[0]), &(small[1], flags[1]));
    }

    #[test]
    fn texts_and_bytes_are_equal_exactly_if_their_bytes_are(one in tricky(), other in tricky()) {
        check(&one, &other);
        check(&Arc::<str>::from(one.as_str()), &Arc::from(other.as_str()));
        check(&one.clone().into_boxed_str(), &other.clone().into_boxed_str());
        check(&one.clone().into_bytes(), &other.clone().into_bytes());
        check(&one.clone().into_bytes().into_boxed_slice(), &other.clone().into_bytes().into_boxed_slice());
        check(&Arc::<[u8]>::from(one.as_bytes()), &Arc::from(other.as_bytes()));
    }

    #[test]
    fn tuples_are_equal_exactly_if_their_bytes_are(
        one in proptest::array::uniform4(tricky()), other in proptest::array::uniform4(tricky()),
    ) {
        let [a, b, c, d] = one;
        let [e, f, g, h] = other;
        check(&(a.clone(), b.clone()), &(e.clone(), f.clone()));
        check(&(a.clone(), b.clone(), c.clone()), &(e.clone(), f.clone(), g.clone()));
        check(&((a.clone(), b.clone()), (c.clone(), d.clone())), &((e.clone(), f.clone()), (g.clone(), h.clone())));
        check(&(a, b, c, d), &(e, f, g, h));
    }

    #[test]
    fn bytes_of_no_key_decode_to_none(bytes in r"[-+0-2a:\\]{0,6}") {
        let bytes = bytes.as_bytes();
        check_bytes::<u64>(bytes);
        check_bytes::<i8>(bytes);
        check_bytes::<bool>(bytes);
        check_bytes::<String>(bytes);
        check_bytes::<[u8; 3]>(bytes);
        check_bytes::<(u8, i8)>(bytes);
        check_bytes::<(String, Vec<u8>, String)>(bytes);
        check_bytes::<((String, String), String)>(bytes);
    }
}
