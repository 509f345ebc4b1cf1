use super::*;
use proptest::prelude::*;

#[test]
fn every_row_is_found_by_its_name_in_any_case() {
    let dispatch = Dispatch::new(&[]).unwrap();
    for row in rows().iter().filter(|row| !row.full_name.contains('|')) {
        assert_eq!(dispatch.find(row.full_name.as_bytes()).map(|found| found.id), Some(row.id));
        assert_eq!(dispatch.find(row.full_name.to_uppercase().as_bytes()).map(|found| found.id), Some(row.id));
    }
}

#[test]
fn a_row_stands_at_its_id() {
    assert!(rows().iter().enumerate().all(|(at, row)| usize::from(row.id) == at));
}

#[test]
fn a_renamed_command_answers_to_its_new_name_only() {
    let renames = [("GET".to_owned(), "Fetch".to_owned()), ("set".to_owned(), String::new())];
    let dispatch = Dispatch::new(&renames).unwrap();
    assert_eq!(dispatch.find(b"fetch").map(|row| row.command.name), Some("get"));
    assert!(dispatch.find(b"get").is_none());
    assert!(dispatch.find(b"set").is_none());
    assert!(Dispatch::new(&[("nothing".to_owned(), "x".to_owned())]).is_err());
    assert!(Dispatch::new(&[("get".to_owned(), "set".to_owned())]).is_err());
}

#[test]
fn zero_bytes_behind_a_name_make_it_another_name() {
    let dispatch = Dispatch::new(&[]).unwrap();
    for name in [b"\0".as_slice(), b"\0\0\0\0\0", b"get\0", b"ping\0\0\0\0\0", b""] {
        assert!(dispatch.find(name).is_none(), "{name:?}");
    }
}

proptest! {
    #[test]
    fn names_fold_alike_when_they_differ_in_case_only(a in proptest::collection::vec(1_u8.., 1..=16), b in proptest::collection::vec(1_u8.., 1..=16)) {
        prop_assert_eq!(fold(&a), fold(&a.to_ascii_uppercase()));
        prop_assert_eq!(fold(&a) == fold(&b), a.eq_ignore_ascii_case(&b));
    }
}
