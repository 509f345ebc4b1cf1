use super::*;

#[test]
fn capacities_are_those_of_the_published_table() {
    let check = |distinct: u32, expected| {
        let trace = Trace::of("some", (0..distinct).collect()).unwrap();
        assert_eq!(trace.capacities(), expected);
    };
    check(1011, [20, 101, 506]);
    check(186_880, [187, 1869, 18688]);
    check(3, [1, 1, 2]);
}

#[test]
fn a_trace_is_read_as_it_was_written() {
    let path = std::env::temp_dir().join(format!("scrubjay-bench-trace-{}.u32.zst", std::process::id()));
    let bytes: Vec<u8> = [0_u32, 1, 0, 2, 70_000 % 3].iter().flat_map(|id| id.to_le_bytes()).collect();
    std::fs::write(&path, zstd::encode_all(bytes.as_slice(), 1).unwrap()).unwrap();
    let trace = Trace::read(&path, 4).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(trace.name.starts_with("scrubjay-bench-trace-") && !trace.name.contains('.'));
    assert_eq!((trace.requests, trace.distinct), (vec![0, 1, 0, 2], 3));
}

#[test]
fn ids_that_are_not_dense_are_an_error() {
    assert!(Trace::of("some", vec![0, 5]).is_err());
}
