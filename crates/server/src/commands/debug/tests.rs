//! Digests and protocol samples, as redis-server 7 answers them.

use super::digest::Digest;
use super::protocol;
use crate::transcript::{Peer, serve};
use scrubjay_resp::{Protocol, Reply};

#[test]
fn digests_are_those_of_redis() {
    let (mut plain, mut expiring, mut whole) = (Digest::default(), Digest::default(), Digest::default());
    plain.add_value(b"b", false);
    assert_eq!(plain.hex(), "b78559cd22bce6e6df712eb99ce7f3b08e8f8f1f");
    expiring.add_value(b"b", true);
    assert_eq!(expiring.hex(), "5100a732fe850cb21e67c541d98d3c2b9421ce9c");
    assert_eq!(whole.hex(), "0".repeat(40));
    whole.add_database(0);
    whole.add_key(b"a", b"b", false);
    assert_eq!(whole.hex(), "479783d7290f02957dfbe3408a858ba13eea1709");
}

fn check(kind: &str, resp2: &str, resp3: &str) {
    for (protocol, want) in [(Protocol::Resp2, resp2), (Protocol::Resp3, resp3)] {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, protocol);
        if let Err(error) = protocol::answer(&mut reply, kind.as_bytes()) {
            reply.error(&error.0);
        }
        assert_eq!(String::from_utf8_lossy(&out).replace("\r\n", " "), want, "{kind}");
    }
}

#[test]
fn every_protocol_sample_is_that_of_redis() {
    check("string", "$11 Hello World ", "$11 Hello World ");
    check("integer", ":12345 ", ":12345 ");
    check("double", "$5 3.141 ", ",3.141 ");
    check("null", "$-1 ", "_ ");
    check("array", "*3 :0 :1 :2 ", "*3 :0 :1 :2 ");
    check("set", "*3 :0 :1 :2 ", "~3 :0 :1 :2 ");
    check("map", "*6 :0 :0 :1 :1 :2 :0 ", "%3 :0 #f :1 #t :2 #f ");
    check(
        "attrib",
        "$39 Some real reply following the attribute ",
        "|1 $14 key-popularity *2 $7 key:123 :90 $39 Some real reply following the attribute ",
    );
    check(
        "push",
        "-ERR RESP2 is not supported by this command ",
        ">2 $16 server-cpu-usage :42 $40 Some real reply following the push reply ",
    );
    check("verbatim", "$25 This is a verbatim\nstring ", "=29 txt:This is a verbatim\nstring ");
    check("true", ":1 ", "#t ");
    check("false", ":0 ", "#f ");
    check("bignum", "$37 1234567999999999999999999999999999999 ", "(1234567999999999999999999999999999999 ");
}

#[test]
fn values_are_digested_inspected_and_made() {
    let mut peer = Peer::connect(serve(&[]));
    peer.check(&[
        ("debug digest", "+0000000000000000000000000000000000000000"),
        ("set a b", "+OK"),
        ("debug digest", "+479783d7290f02957dfbe3408a858ba13eea1709"),
        (
            "debug digest-value a nope",
            "*2 +b78559cd22bce6e6df712eb99ce7f3b08e8f8f1f +0000000000000000000000000000000000000000",
        ),
        ("pexpire a 1000000", ":1"),
        ("debug digest", "+f3ab785a0fb529fedf3d4009f7fbe16909f6078c"),
        ("debug object nope", "-ERR no such key"),
        ("debug populate 3 p 5", "+OK"),
        ("get p:2", "$5 value"),
        ("dbsize", ":4"),
        ("debug populate -1", "-ERR value is out of range"),
    ]);
    let object = peer.ask("debug object a");
    assert!(object.contains(" refcount:1 encoding:embstr serializedlength:2 lru:"), "{object}");
}

#[test]
fn switches_and_errors_answer() {
    let mut peer = Peer::connect(serve(&[]));
    let wrong = "-ERR unknown subcommand or wrong number of arguments for 'sleep'. Try DEBUG HELP.";
    peer.check(&[
        ("debug sleep 0", "+OK"),
        ("debug sleep", wrong),
        ("debug sleep 0 0", wrong),
        ("debug set-active-expire 0", "+OK"),
        ("debug set-active-expire 1", "+OK"),
        ("debug stringmatch-len h?llo hello", ":1"),
        ("debug stringmatch-len h[^e]llo hello", ":0"),
        ("debug error FOO", "-FOO"),
        ("debug reload merge", "-ERR DEBUG RELOAD always replaces the data set here: only NOSAVE is an option"),
        ("debug quicklist-packed-threshold 100b", "+OK"),
    ]);
}

#[test]
fn debug_is_for_those_whom_the_setting_allows() {
    let mut peer = Peer::connect(serve(&[("enable-debug-command", "no")]));
    assert!(peer.ask("debug sleep 0").starts_with("-ERR DEBUG command not allowed."));
    assert!(peer.ask("debug digest-value a").starts_with("-ERR DEBUG command not allowed."));
}
