use super::*;

/// Feeds `stream` in pieces of every size and checks how many replies come out.
#[track_caller]
fn check(protocol: Protocol, stream: &str, expected: usize) {
    for piece in 1..=stream.len() {
        let mut replies = Replies::new(protocol);
        let count: usize = stream.as_bytes().chunks(piece).map(|bytes| replies.count(bytes).unwrap()).sum();
        assert_eq!(count, expected, "in pieces of {piece}");
    }
}

#[test]
fn replies_are_counted_in_whatever_pieces_they_arrive() {
    check(Protocol::Redis, "+OK\r\n$3\r\na\nb\r\n$0\r\n\r\n+OK\r\n", 4);
    check(Protocol::Memcached, "STORED\r\nVALUE key:000000000001 0 3\r\na\nb\r\nEND\r\nSTORED\r\n", 3);
}

#[test]
fn a_miss_or_an_error_fails_the_run() {
    for (protocol, reply) in [
        (Protocol::Redis, "$-1\r\n"),
        (Protocol::Redis, "-ERR no\r\n"),
        (Protocol::Memcached, "END\r\n"),
        (Protocol::Memcached, "ERROR\r\n"),
    ] {
        assert!(Replies::new(protocol).count(reply.as_bytes()).is_err(), "{reply}");
    }
}

#[test]
fn keys_are_sixteen_bytes_and_requests_are_well_formed() {
    assert_eq!(&key(1_234_567), b"key:000001234567");
    let mut out = Vec::new();
    append_set(Protocol::Redis, &mut out, &key(7), b"abc", Some(60));
    assert_eq!(out, b"*5\r\n$3\r\nSET\r\n$16\r\nkey:000000000007\r\n$3\r\nabc\r\n$2\r\nEX\r\n$2\r\n60\r\n");
    out.clear();
    append_set(Protocol::Memcached, &mut out, &key(7), b"abc", None);
    assert_eq!(out, b"set key:000000000007 0 0 3\r\nabc\r\n");
}
