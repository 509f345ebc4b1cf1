//! The connection commands on the wire, as Redis answers them.

use super::*;
use crate::transcript::Served;

#[test]
fn without_a_password_the_default_user_takes_any() {
    Served::new().peer().check(&[
        ("AUTH", "-ERR wrong number of arguments for 'auth' command"),
        (
            "AUTH a",
            "-ERR AUTH <password> called without any password configured for the default user. \
             Are you sure your configuration is correct?",
        ),
        ("AUTH default x", "+OK"),
        ("AUTH nobody x", "-WRONGPASS invalid username-password pair or user is disabled."),
        ("AUTH a b c", "-ERR syntax error"),
    ]);
}

#[test]
fn a_password_is_compared_whole() {
    for (given, same) in [("secret", true), ("secre", false), ("secrets", false), ("secreT", false), ("", false)] {
        assert_eq!(is_same(b"secret", given.as_bytes()), same, "{given}");
    }
    assert!(!is_same(b"secret\0", b"secret"));
    assert!(!is_same(b"secret", b"secret\0"));
}

#[test]
fn hello_refuses_what_it_does_not_know_before_it_changes_anything() {
    let served = Served::new();
    let mut peer = served.peer();
    peer.check(&[
        ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
        ("HELLO 1", "-NOPROTO unsupported protocol version"),
        ("HELLO 4", "-NOPROTO unsupported protocol version"),
        ("HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'"),
        ("HELLO 3 AUTH default", "-ERR Syntax error in HELLO option 'AUTH'"),
        ("HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'"),
        ("HELLO 3 SETNAME a\u{1}", "-ERR Client names cannot contain spaces, newlines or special characters."),
        ("HELLO 3 AUTH nobody p", "-WRONGPASS invalid username-password pair or user is disabled."),
        ("GET nothing", "$-1"),
    ]);
}

#[test]
fn hello_answers_in_the_protocol_that_it_sets() {
    let served = Served::new();
    let mut peer = served.peer();
    let id = peer.ask("HELLO 2");
    assert!(id.starts_with("*14 $6 server $5 redis $7 version $5 7.2.4 $5 proto :2 $2 id :"), "{id}");
    assert!(id.ends_with(" $4 mode $10 standalone $4 role $6 master $7 modules *0"), "{id}");
    assert!(peer.ask("hello 3 setname me auth default x").starts_with("%7 $6 server"));
    assert!(peer.ask("HELLO").starts_with("%7 $6 server"));
    peer.check(&[("GET nothing", "_"), ("RESET", "+RESET"), ("GET nothing", "$-1")]);
}

#[test]
fn ping_echo_and_quit_answer() {
    Served::new().peer().check(&[
        ("PING", "+PONG"),
        ("PING a", "$1 a"),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command"),
        ("ECHO", "-ERR wrong number of arguments for 'echo' command"),
        ("ECHO a", "$1 a"),
        ("QUIT x", "+OK"),
        ("PING", "closed"),
    ]);
}

#[test]
fn select_changes_the_database_within_bounds() {
    Served::new().peer().check(&[
        ("SELECT x", "-ERR value is not an integer or out of range"),
        ("SELECT 999999999999999999999999", "-ERR value is not an integer or out of range"),
        ("SELECT 99999999999", "-ERR value is out of range, value must between -2147483648 and 2147483647"),
        ("SELECT -1", "-ERR DB index is out of range"),
        ("SELECT 16", "-ERR DB index is out of range"),
        ("SELECT 15", "+OK"),
        ("SET key there", "+OK"),
        ("RESET", "+RESET"),
        ("GET key", "$-1"),
    ]);
}

#[test]
fn a_password_is_asked_for_until_it_was_given_and_again_after_reset() {
    let served = Served::with(&[("requirepass", "secret")]);
    let no_auth = "-NOAUTH Authentication required.";
    let hello_no_auth = "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
                         <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
                         the same time";
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.";
    let mut peer = served.peer();
    peer.check(&[
        ("PING", no_auth),
        ("CLIENT ID", no_auth),
        ("MULTI", no_auth),
        ("HELLO 3", hello_no_auth),
        ("HELLO 3 SETNAME me", hello_no_auth),
        ("AUTH wrong", wrong),
        ("AUTH default wrong", wrong),
        ("AUTH other secret", wrong),
        ("HELLO 3 AUTH default wrong", wrong),
        ("PING", no_auth),
        ("AUTH secret", "+OK"),
        ("CLIENT GETNAME", "$-1"),
        ("AUTH wrong", wrong),
        ("PING", "+PONG"),
        ("RESET", "+RESET"),
        ("PING", no_auth),
        ("EXEC", "-EXECABORT Transaction discarded because of: NOAUTH Authentication required."),
    ]);
    assert!(peer.ask("HELLO 3 AUTH default secret SETNAME me").starts_with("%7 "));
    peer.check(&[("CLIENT GETNAME", "$2 me"), ("QUIT", "+OK")]);
    served.peer().check(&[("QUIT", "+OK")]);
}
