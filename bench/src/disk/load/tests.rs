use super::*;

#[test]
fn keys_of_different_numbers_differ() {
    let keys: std::collections::HashSet<Key> = (0..10_000).map(key).collect();
    assert_eq!(keys.len(), 10_000);
}
