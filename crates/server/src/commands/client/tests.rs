//! CLIENT on the wire, as Redis answers it.

use crate::transcript::Served;

#[test]
fn subcommands_are_checked_by_name_and_number() {
    Served::new().peer().check(&[
        ("CLIENT", "-ERR wrong number of arguments for 'client' command"),
        ("CLIENT FOO", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
        ("CLIENT FOO bar", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
        ("CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command"),
        ("CLIENT KILL", "-ERR wrong number of arguments for 'client|kill' command"),
        (
            "CLIENT PAUSE 0 write x",
            "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.",
        ),
        (
            "CLIENT UNBLOCK 1 error x",
            "-ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.",
        ),
    ]);
}

#[test]
fn names_and_attributes_are_printable_words() {
    let served = Served::new();
    let mut peer = served.peer();
    peer.check(&[
        ("CLIENT GETNAME", "$-1"),
        ("CLIENT SETNAME a\u{2}", "-ERR Client names cannot contain spaces, newlines or special characters."),
        ("CLIENT SETNAME me", "+OK"),
        ("CLIENT GETNAME", "$2 me"),
        ("CLIENT SETINFO lib-name redis-py", "+OK"),
        ("CLIENT SETINFO LIB-VER 5.0.1", "+OK"),
        ("CLIENT SETINFO lib-ver a\n", "-ERR lib-ver cannot contain spaces, newlines or special characters."),
        ("CLIENT SETINFO foo bar", "-ERR Unrecognized option 'foo'"),
    ]);
    let info = peer.ask("CLIENT INFO");
    assert!(info.contains(" name=me ") && info.ends_with(" resp=2 lib-name=redis-py lib-ver=5.0.1\n"), "{info}");
    peer.check(&[("CLIENT SETNAME \"\"", "+OK"), ("CLIENT GETNAME", "$-1")]);
    assert!(peer.ask("CLIENT INFO").contains(" lib-name=redis-py "));
}

#[test]
fn info_has_every_field_of_redis_in_its_order() {
    let info = Served::new().peer().ask("CLIENT INFO");
    let fields: Vec<&str> =
        info.split_whitespace().skip(1).filter_map(|field| Some(field.split_once('=')?.0)).collect();
    let expected = "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll \
                    omem tot-mem events cmd user redir resp lib-name lib-ver";
    assert_eq!(fields.join(" "), expected);
    assert!(info.contains(" qbuf=26 ") && info.contains(" argv-mem=10 "), "{info}");
    assert!(
        info.contains(" flags=N db=0 ")
            && info.contains(" multi=-1 ")
            && info.contains(" cmd=client|info user=default redir=-1 ")
    );
}

#[test]
fn list_selects_by_type_and_id() {
    let served = Served::new();
    let (mut peer, mut other) = (served.peer(), served.peer());
    let (id, other_id) = (peer.ask("CLIENT ID"), other.ask("CLIENT ID"));
    other.check(&[("SELECT 3", "+OK"), ("MULTI", "+OK"), ("PING", "+QUEUED")]);
    let count = |text: &str| text.matches("id=").count();
    assert_eq!(count(&peer.ask("CLIENT LIST")), 2);
    assert_eq!(count(&peer.ask("CLIENT LIST TYPE normal")), 2);
    for kind in ["replica", "slave", "master", "pubsub"] {
        assert_eq!(peer.ask(&format!("CLIENT LIST TYPE {kind}")), "$0 ");
    }
    let both = peer.ask(&format!("CLIENT LIST ID {} {} 999", &other_id[1..], &id[1..]));
    assert_eq!(count(&both), 2);
    let one = peer.ask(&format!("CLIENT LIST ID {}", &other_id[1..]));
    assert!(one.contains(" flags=x db=3 ") && one.contains(" multi=1 ") && one.contains(" cmd=ping "), "{one}");
    peer.check(&[
        ("CLIENT LIST TYPE", "-ERR syntax error"),
        ("CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'"),
        ("CLIENT LIST ID", "-ERR syntax error"),
        ("CLIENT LIST ID x", "-ERR Invalid client ID"),
        ("CLIENT LIST ID 9999", "$0 "),
        ("CLIENT LIST FOO BAR", "-ERR syntax error"),
    ]);
    peer.ask("HELLO 3");
    assert!(peer.ask("CLIENT LIST").starts_with('='));
}

#[test]
fn kill_refuses_what_it_does_not_know() {
    Served::new().peer().check(&[
        ("CLIENT KILL 1.2.3.4:5", "-ERR No such client"),
        ("CLIENT KILL ID x", "-ERR client-id should be greater than 0"),
        ("CLIENT KILL ID 0", "-ERR client-id should be greater than 0"),
        ("CLIENT KILL ID 999", ":0"),
        ("CLIENT KILL TYPE x", "-ERR Unknown client type 'x'"),
        ("CLIENT KILL FOO x", "-ERR syntax error"),
        ("CLIENT KILL ADDR 1:1", ":0"),
        ("CLIENT KILL LADDR 1:1", ":0"),
        ("CLIENT KILL USER nobody", "-ERR No such user 'nobody'"),
        ("CLIENT KILL USER default", ":0"),
        ("CLIENT KILL SKIPME foo", "-ERR syntax error"),
        ("CLIENT KILL ID 1 SKIPME", "-ERR syntax error"),
        ("CLIENT KILL ID 999 TYPE normal SKIPME no", ":0"),
    ]);
}

#[test]
fn kill_closes_others_and_answers_oneself_first() {
    let served = Served::new();
    let (mut peer, mut other, mut third) = (served.peer(), served.peer(), served.peer());
    let other_id = other.ask("CLIENT ID");
    assert_eq!(peer.ask(&format!("CLIENT KILL ID {}", &other_id[1..])), ":1");
    assert_eq!(other.receive(), "closed");
    assert_eq!(third.ask("CLIENT KILL TYPE normal"), ":1");
    assert_eq!(peer.receive(), "closed");
    let address = third.address();
    assert_eq!(third.ask(&format!("CLIENT KILL {address}")), "+OK");
    assert_eq!(third.receive(), "closed");
    let mut last = served.peer();
    assert_eq!(last.ask("CLIENT KILL SKIPME no"), ":1");
    assert_eq!(last.receive(), "closed");
}

#[test]
fn replies_are_left_out_as_asked() {
    let served = Served::new();
    let mut peer = served.peer();
    peer.send("CLIENT REPLY SKIP");
    peer.send("PING skipped");
    assert_eq!(peer.ask("PING one"), "$3 one");
    peer.send("CLIENT REPLY OFF");
    peer.send("PING unheard");
    peer.send("CLIENT REPLY SKIP");
    peer.send("CLIENT REPLY foo");
    assert_eq!(peer.ask("CLIENT REPLY ON"), "+OK");
    assert_eq!(peer.ask("CLIENT REPLY foo"), "-ERR syntax error");
}

#[test]
fn pause_holds_back_writes_or_everything() {
    let served = Served::new();
    let (mut peer, mut other) = (served.peer(), served.peer());
    peer.check(&[
        ("CLIENT PAUSE x", "-ERR timeout is not an integer or out of range"),
        ("CLIENT PAUSE -1", "-ERR timeout is negative"),
        ("CLIENT PAUSE 9223372036854775807", "-ERR timeout is out of range"),
        ("CLIENT PAUSE 1 foo", "-ERR CLIENT PAUSE mode must be WRITE or ALL"),
        ("CLIENT PAUSE 100000 WRITE", "+OK"),
    ]);
    assert_eq!(other.ask("GET key"), "$-1");
    other.send("SET key 1");
    assert_eq!(peer.ask("GET key"), "$-1");
    assert_eq!(peer.ask("CLIENT UNPAUSE"), "+OK");
    assert_eq!(other.receive(), "+OK");
    assert_eq!(peer.ask("GET key"), "$1 1");
}

#[test]
fn wait_ends_by_timeout_or_unblock() {
    let served = Served::new();
    let (mut peer, mut other) = (served.peer(), served.peer());
    peer.check(&[
        ("WAIT x 1", "-ERR value is not an integer or out of range"),
        ("WAIT 1 x", "-ERR timeout is not an integer or out of range"),
        ("WAIT 1 -1", "-ERR timeout is negative"),
        ("WAIT 0 0", ":0"),
        ("WAIT -1 10", ":0"),
        ("WAIT 1 10", ":0"),
        ("WAITAOF 2 0 0", "-ERR value is out of range, value must between 0 and 1"),
        ("WAITAOF 0 -1 0", "-ERR value is out of range, must be positive"),
        ("WAITAOF 1 0 0", "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."),
        ("WAITAOF 0 0 0", "*2 :0 :0"),
        ("MULTI", "+OK"),
        ("WAIT 1 0", "+QUEUED"),
        ("EXEC", "*1 :0"),
        ("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range"),
        ("CLIENT UNBLOCK 1 foo", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        ("CLIENT UNBLOCK 999", ":0"),
    ]);
    let id = other.ask("CLIENT ID");
    assert_eq!(peer.ask(&format!("CLIENT UNBLOCK {}", &id[1..])), ":0");
    for (how, reply) in [("TIMEOUT", ":0"), ("ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK")] {
        other.send("WAIT 1 0");
        while peer.ask(&format!("CLIENT UNBLOCK {} {how}", &id[1..])) == ":0" {}
        // A wait ends once: were this one answered 1 too, it would be lost or end the next wait.
        assert_eq!(peer.ask(&format!("CLIENT UNBLOCK {} {how}", &id[1..])), ":0");
        assert_eq!(other.receive(), reply);
    }
}

#[test]
fn switches_show_in_the_flags() {
    let served = Served::new();
    let mut peer = served.peer();
    peer.check(&[
        ("CLIENT NO-EVICT foo", "-ERR syntax error"),
        ("CLIENT NO-TOUCH foo", "-ERR syntax error"),
        ("CLIENT NO-EVICT on", "+OK"),
        ("CLIENT NO-TOUCH on", "+OK"),
    ]);
    assert!(peer.ask("CLIENT INFO").contains(" flags=eT "));
    peer.ask("RESET");
    assert!(peer.ask("CLIENT INFO").contains(" flags=N "));
}

#[test]
fn a_client_that_is_reset_shows_no_flag_of_its_past() {
    let mut peer = Served::new().peer();
    for before in
        ["CLIENT TRACKING ON", "CLIENT TRACKING ON BCAST", "CLIENT NO-EVICT ON", "CLIENT NO-TOUCH ON", "MULTI"]
    {
        peer.ask(before);
        peer.ask("RESET");
        let info = peer.ask("CLIENT INFO");
        assert!(info.contains(" flags=N "), "{before}: {info}");
    }
}
