use super::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

#[derive(Serialize)]
struct User {
    id: u64,
    name: String,
    roles: Vec<String>,
    address: Address,
    score: Option<f64>,
}

#[derive(Serialize)]
struct Address {
    street: String,
    number: u32,
    lines: [u64; 4],
}

fn user(id: usize) -> User {
    User {
        id: 7,
        name: format!("user number {id}"),
        roles: (0..id % 5).map(|role| format!("role {role}")).collect(),
        address: Address { street: "x".repeat(id % 40), number: 3, lines: [0; 4] },
        score: Some(0.5),
    }
}

/// The estimate over what an allocator counted while the value was made, 16 bytes for each allocation's own overhead.
fn ratio<V: Serialize>(make: impl FnOnce() -> V) -> f64 {
    let (mut value, mut make) = (None, Some(make));
    let info = allocation_counter::measure(|| value = make.take().map(|make| make()));
    let held = u32::try_from(info.bytes_current + 16 * info.count_current).unwrap();
    let estimate = u32::try_from(heap_bytes(&value.unwrap())).unwrap();
    assert!(held > 0);
    f64::from(estimate) / f64::from(held)
}

fn check<V: Serialize>(what: &str, make: impl FnOnce() -> V) {
    let ratio = ratio(make);
    println!("{what}: {ratio:.2}");
    assert!((0.5..=2.0).contains(&ratio), "{what}: {ratio:.2} of what is held");
}

#[test]
fn the_estimate_lies_between_half_and_twice_what_is_held() {
    for len in [1, 30, 1000] {
        check("String", || "x".repeat(len));
        check("Box<str>", || "x".repeat(len).into_boxed_str());
        check("Arc<str>", || Arc::<str>::from("x".repeat(len)));
        check("Vec<u8>", || vec![7_u8; len]);
        check("Vec<u64>", || vec![7_u64; len]);
        check("Vec<f32>", || vec![0.5_f32; len]);
        check("Vec<(u8, u64)>", || vec![(1_u8, 7_u64); len]);
        check("Vec<Option<u64>>", || vec![Some(7_u64); len]);
        check("Vec<String>", || (0..len).map(|i| i.to_string()).collect::<Vec<_>>());
        check("Vec<Option<String>>", || (0..len).map(|i| (i % 2 == 0).then(|| i.to_string())).collect::<Vec<_>>());
        check("HashMap<u64, u64>", || (0..len).map(|i| (i, i)).collect::<HashMap<_, _>>());
        check("HashMap<String, Vec<u32>>", || {
            (0..len).map(|i| (format!("key {i}"), vec![1_u32; i % 20])).collect::<HashMap<_, _>>()
        });
        check("Vec<User>", || (0..len).map(user).collect::<Vec<_>>());
        check("Arc<Vec<u64>>", || Arc::new(vec![7_u64; len]));
    }
    check("User", || user(3));
    check("Box<User>", || Box::new(user(4)));
    check("Arc<User>", || Arc::new(user(0)));
    check("Box<[u64; 100]>", || Box::new([7_u64; 32]));
    check("BTreeMap<u32, String>", || (0..1000_u32).map(|i| (i, i.to_string())).collect::<BTreeMap<_, _>>());
}

#[test]
fn sets_are_larger_than_estimated_by_no_more_than_is_said() {
    for len in [10, 100, 450, 1000] {
        let ratio = ratio(|| (0..len).collect::<HashSet<u64>>());
        assert!((0.38..=1.0).contains(&ratio), "{len}: {ratio:.2}");
    }
}

#[test]
fn what_lies_in_the_value_itself_costs_nothing() {
    #[derive(Serialize)]
    enum Shape {
        Circle { radius: f64 },
        Name(String),
        Nothing,
    }
    assert_eq!(heap_bytes(&7_u64) + heap_bytes(&(1_u8, 'x', true, [0_u32; 9])) + heap_bytes(&Some(1.5_f32)), 0);
    assert_eq!(heap_bytes(&String::new()) + heap_bytes(&Vec::<u64>::new()) + heap_bytes(&None::<String>), 0);
    assert_eq!(heap_bytes(&Shape::Circle { radius: 1.0 }) + heap_bytes(&Shape::Nothing), 0);
    assert_eq!(heap_bytes(&Shape::Name("x".repeat(10))), 27);
}

#[test]
fn the_walk_allocates_nothing() {
    let users: Vec<User> = (0..100).map(user).collect();
    let map: HashMap<String, Vec<u32>> = (0..100).map(|i| (i.to_string(), vec![1; 10])).collect();
    let info = allocation_counter::measure(|| {
        heap_bytes(&users);
        heap_bytes(&map);
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn a_value_that_refuses_counts_as_far_as_it_was_walked() {
    struct Refusing;

    impl Serialize for Refusing {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("not me"))
        }
    }
    assert_eq!(heap_bytes(&("x".repeat(100), Refusing)), 128);
}

#[test]
fn a_weight_beyond_its_width_is_the_largest() {
    assert_eq!(entry_weight(64, 10, 100), 174);
    assert_eq!(entry_weight(64, usize::MAX, 100), u32::MAX);
}
