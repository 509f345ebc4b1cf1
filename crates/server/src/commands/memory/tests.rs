//! MEMORY on the wire.

use crate::transcript::{Peer, serve};

#[test]
fn usage_answers_bytes_of_a_key() {
    let mut peer = Peer::connect(serve(&[]));
    peer.check(&[("set k 0123456789", "+OK"), ("memory usage nope", "$-1")]);
    let bytes: u64 = peer.ask("memory usage k samples 0").trim_start_matches(':').parse().unwrap();
    assert!((11..200).contains(&bytes), "{bytes}");
    peer.check(&[
        ("memory usage k samples -1", "-ERR syntax error"),
        ("memory usage k samples x", "-ERR value is not an integer or out of range"),
        ("memory usage k samples", "-ERR syntax error"),
        ("memory usage k foo 1", "-ERR syntax error"),
        ("memory purge", "+OK"),
        ("memory malloc-stats", "$45 Stats not supported for the current allocator"),
    ]);
}

#[test]
fn stats_have_the_fields_that_tools_read() {
    let mut peer = Peer::connect(serve(&[]));
    peer.ask("hello 3");
    peer.check(&[("select 3", "+OK"), ("set k v", "+OK")]);
    let stats = peer.ask("memory stats");
    assert!(stats.starts_with("%28 $14 peak.allocated :"), "{stats}");
    for field in ["$10 keys.count :1 ", "$4 db.3 %3 ", "$13 dataset.bytes :", "$18 dataset.percentage ,"] {
        assert!(stats.contains(field), "{field} in {stats}");
    }
    assert!(peer.ask("memory doctor").starts_with("="));
}
