use super::*;

#[test]
fn a_value_is_known_from_its_number_and_from_no_other() {
    let values = Values::of_len(128);
    assert!(values.is(7, values.get(7)));
    assert!(!values.is(7, values.get(8)));
    assert!(!values.is(7, &values.get(7)[1..]));
}

#[test]
fn keys_of_different_numbers_differ() {
    let keys: std::collections::HashSet<Key> = (0..10_000).map(key).collect();
    assert_eq!(keys.len(), 10_000);
}
