//! SLOWLOG on the wire.

use crate::transcript::{Peer, serve};

#[test]
fn slow_calls_are_listed_with_who_called() {
    let mut peer = Peer::connect(serve(&[("slowlog-log-slower-than", "0"), ("slowlog-max-len", "2")]));
    peer.check(&[("ping", "+PONG"), ("echo hi", "$2 hi")]);
    let newest = peer.ask("slowlog get 1");
    assert!(newest.starts_with("*1 *6 :1 :"), "{newest}");
    assert!(newest.contains(" *2 $4 echo $2 hi ") && newest.contains(" 127.0.0.1:"), "{newest}");
    peer.check(&[
        ("slowlog len", ":2"),
        ("slowlog reset", "+OK"),
        ("slowlog len", ":1"),
        ("slowlog get -2", "-ERR count should be greater than or equal to -1"),
        ("slowlog get x", "-ERR count should be greater than or equal to -1"),
        ("slowlog get 1 2", "-ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP."),
        ("slowlog nope", "-ERR unknown subcommand 'nope'. Try SLOWLOG HELP."),
        ("slowlog len x", "-ERR wrong number of arguments for 'slowlog|len' command"),
    ]);
}

#[test]
fn nothing_is_logged_when_it_is_switched_off() {
    let mut peer = Peer::connect(serve(&[("slowlog-log-slower-than", "-1")]));
    peer.check(&[("debug sleep 0.02", "+OK"), ("slowlog get", "*0")]);
}
