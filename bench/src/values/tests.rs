use super::*;

#[test]
fn a_value_is_known_from_its_number_and_from_no_other() {
    let values = Values::of_len(128);
    assert!(values.is(7, values.get(7)));
    assert!(!values.is(7, values.get(8)));
    assert!(!values.is(7, &values.get(7)[1..]));
}
