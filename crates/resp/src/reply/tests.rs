//! Every reply type, byte by byte, in both protocols.

use super::*;

fn written(protocol: Protocol, write: impl Fn(&mut Reply<'_>)) -> String {
    let mut out = Vec::new();
    write(&mut Reply::new(&mut out, protocol));
    String::from_utf8(out).unwrap()
}

fn check(write: impl Fn(&mut Reply<'_>), resp2: &str, resp3: &str) {
    assert_eq!(written(Protocol::Resp2, &write), resp2);
    assert_eq!(written(Protocol::Resp3, &write), resp3);
}

fn check_both(write: impl Fn(&mut Reply<'_>), bytes: &str) {
    check(write, bytes, bytes);
}

#[test]
fn replies_that_are_the_same_in_both_protocols() {
    check_both(|reply| reply.ok(), "+OK\r\n");
    check_both(|reply| reply.simple("PONG"), "+PONG\r\n");
    check_both(|reply| reply.error("ERR no such key"), "-ERR no such key\r\n");
    check_both(|reply| reply.error("ERR a\r\nb"), "-ERR a  b\r\n");
    check_both(|reply| reply.error("ERR quoted \n \r\n"), "-ERR quoted   \r\n");
    check_both(|reply| reply.bulk(b""), "$0\r\n\r\n");
    check_both(|reply| reply.bulk(b"a\r\nb"), "$4\r\na\r\nb\r\n");
    check_both(|reply| reply.bulk_integer(-12), "$3\r\n-12\r\n");
    check_both(|reply| reply.array(0), "*0\r\n");
    check_both(|reply| reply.array(1_000_000), "*1000000\r\n");
    check_both(|reply| reply.raw(b"+raw\r\n"), "+raw\r\n");
}

#[test]
fn replies_that_only_resp3_has() {
    check(|reply| reply.null(), "$-1\r\n", "_\r\n");
    check(|reply| reply.null_array(), "*-1\r\n", "_\r\n");
    check(|reply| reply.map(2), "*4\r\n", "%2\r\n");
    check(|reply| reply.set(12), "*12\r\n", "~12\r\n");
    check(|reply| reply.push(3), "*3\r\n", ">3\r\n");
    check(|reply| reply.boolean(true), ":1\r\n", "#t\r\n");
    check(|reply| reply.boolean(false), ":0\r\n", "#f\r\n");
    check(|reply| reply.double_text("3.141"), "$5\r\n3.141\r\n", ",3.141\r\n");
    check(|reply| reply.double_text("-inf"), "$4\r\n-inf\r\n", ",-inf\r\n");
    check(
        |reply| reply.big_number("1234567999999999999"),
        "$19\r\n1234567999999999999\r\n",
        "(1234567999999999999\r\n",
    );
    check(|reply| reply.verbatim("txt", b"some\ntext"), "$9\r\nsome\ntext\r\n", "=13\r\ntxt:some\ntext\r\n");
    let attribute = |reply: &mut Reply<'_>| {
        reply.attribute(1, |reply| {
            reply.bulk(b"ttl");
            reply.integer(3600);
        });
        reply.bulk(b"v");
    };
    check(attribute, "$1\r\nv\r\n", "|1\r\n$3\r\nttl\r\n:3600\r\n$1\r\nv\r\n");
}

#[test]
fn numbers_and_lengths_of_every_width() {
    let edges = (0..19).map(|power| 10_i64.pow(power)).flat_map(|edge| [edge - 1, edge, edge + 1, -edge]);
    for number in edges.chain([i64::MIN, i64::MAX]) {
        check_both(|reply| reply.integer(number), &format!(":{number}\r\n"));
        if let Ok(len) = usize::try_from(number) {
            check_both(|reply| reply.array(len), &format!("*{number}\r\n"));
        }
    }
    for len in (0..120).chain([999, 1000, 12345, 123_456]) {
        let bytes = "x".repeat(len);
        check_both(|reply| reply.bulk(bytes.as_bytes()), &format!("${len}\r\n{bytes}\r\n"));
    }
}

#[test]
fn a_reply_can_be_taken_back() {
    let mut out = b"+OK\r\n".to_vec();
    let mut reply = Reply::new(&mut out, Protocol::Resp2);
    let position = reply.position();
    reply.reborrow().array(2);
    reply.truncate(position);
    reply.set_protocol(Protocol::Resp3);
    assert_eq!(reply.protocol(), Protocol::Resp3);
    reply.null();
    assert_eq!(out, b"+OK\r\n_\r\n");
}
