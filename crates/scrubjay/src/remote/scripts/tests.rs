use super::*;

#[test]
fn answers_are_read_by_their_code_and_nothing_else_is_taken_for_one() {
    let of = |parts: Vec<Value>| answer(Value::Array(parts));
    assert_eq!(of(vec![Value::Int(0)]), Ok(Answer::Nothing));
    assert_eq!(of(vec![Value::Int(3), Value::Int(7)]), Ok(Answer::Held(7)));
    let value = vec![Value::Int(2), Value::BulkString(b"v".to_vec()), Value::Int(-1)];
    assert_eq!(of(value), Ok(Answer::Value(Bytes::from_static(b"v"), -1)));
    for wrong in [vec![], vec![Value::Int(9)], vec![Value::Int(3)], vec![Value::Nil], vec![Value::Int(2), Value::Nil]] {
        assert!(of(wrong).is_err());
    }
    assert!(answer(Value::Okay).is_err());
    assert_eq!(raised(b"000000000000feed0000000000000012"), Some((0xfeed, 12)));
    assert_eq!(raised(b"short"), None);
}
