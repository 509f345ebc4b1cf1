//! What is written is read again, and nothing else is.

use super::*;
use proptest::prelude::*;

fn sealed() -> Sealed {
    let mut draft = Draft::default();
    draft.mark(7, 90);
    draft.gone(3, 80);
    draft.value(1, 70, 5_000, b"one", b"first");
    draft.large(4, 75, 0, b"four", 0xabcd);
    draft.value(2, 71, 0, b"two", b"the second");
    draft.seal(100, 0x0123_4567_89ab_cdef)
}

fn footer(sealed: &Sealed) -> &[u8] {
    let len = usize::try_from(sealed.name.footer_len).unwrap();
    &sealed.bytes[sealed.bytes.len() - len..]
}

fn size(sealed: &Sealed) -> u64 {
    u64::try_from(sealed.bytes.len()).unwrap()
}

#[test]
fn a_pack_says_what_is_in_it() {
    let sealed = sealed();
    let read = Footer::read(sealed.name, size(&sealed), footer(&sealed)).unwrap();
    assert_eq!(read, sealed.footer);
    let whats: Vec<What> = read.rows.iter().map(|row| row.what).collect();
    let (first, second) = (What::Value { offset: 0, len: 5 }, What::Value { offset: 5, len: 10 });
    assert_eq!(whats, [first, second, What::Large { crc: 0xabcd }, What::Gone, What::Mark(7)]);
    assert_eq!(read.keys, [&b"one"[..], b"two", b"four"].map(Box::from));
    assert_eq!(&sealed.bytes[5..15], b"the second");
}

#[test]
fn the_example_of_the_documentation_is_what_is_written() {
    let text = include_str!("../../../../../docs/object-format.md");
    let hex = text.split("```hex\n").nth(1).unwrap().split("```").next().unwrap();
    let digits: String = hex.lines().flat_map(|line| line.split('|').next().unwrap().split_whitespace()).collect();
    let mut draft = Draft::default();
    draft.value(crate::object::hash::hash_of(b"42"), 0x6889_6a90_0040, 1_795_000_360_000, b"42", b"(the entry)");
    draft.gone(crate::object::hash::hash_of(b"43"), 0x6889_6a90_0041);
    let sealed = draft.seal(0x6889_6a90_0042, 7);
    let written: String = sealed.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digits, written, "{}", sealed.name);
    assert!(text.contains(&sealed.name.to_string()), "{}", sealed.name);
}

#[test]
fn names_are_read_as_they_are_written_and_no_others() {
    let names = Names::new(&Path::from("nest"), "jays/and crows", 3);
    let name = sealed().name;
    assert_eq!(Names::read(&names.pack(name)), Some(Named::Pack(name)));
    assert_eq!(Names::read(&names.clear(9)), Some(Named::Clear(9)));
    assert_eq!(Names::read(&names.lease(10)), Some(Named::Lease(10)));
    assert_eq!(Names::read_large(&names.large(1, 2, 3)), Some((1, 2)));
    assert_eq!(names.index.as_ref(), "nest/jays%2Fand crows/v3/index");
    for foreign in ["pack-1-2-3", "clear-000000000009-1", "lease-0000000G", "lease-+000000a", "readme.txt", "pack"] {
        assert_eq!(Names::read(&names.index.clone().join(foreign)), None, "{foreign}");
    }
}

#[test]
fn a_footer_under_another_name_or_size_is_torn() {
    let sealed = sealed();
    let other = PackName { writer: 1, ..sealed.name };
    assert_eq!(Footer::read(other, size(&sealed), footer(&sealed)), Err(Flawed::Torn));
    assert_eq!(Footer::read(sealed.name, size(&sealed) + 1, footer(&sealed)), Err(Flawed::Torn));
    assert_eq!(Footer::read(sealed.name, size(&sealed), b""), Err(Flawed::Torn));
}

proptest! {
    #[test]
    fn no_flipped_bit_and_no_cut_is_taken_for_a_footer(at in 0_usize..300, bit in 0_u8..8, cut in 1_usize..300) {
        let sealed = sealed();
        let whole = footer(&sealed);
        let mut bytes = whole.to_vec();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        prop_assert!(Footer::read(sealed.name, size(&sealed), &bytes).is_err());
        let cut = cut % whole.len() + 1;
        prop_assert!(Footer::read(sealed.name, size(&sealed), &whole[cut..]).is_err());
        prop_assert!(Footer::read(sealed.name, size(&sealed), &whole[..whole.len() - cut]).is_err());
    }

    #[test]
    fn whatever_bytes_there_are_reading_them_ends(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let name = sealed().name;
        let _ = Footer::read(name, 400, &bytes);
    }
}
