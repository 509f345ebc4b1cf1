//! Transactions on the wire, as Redis answers them.

use crate::transcript::Served;
use std::sync::atomic::Ordering;

const ABORTED: &str = "-EXECABORT Transaction discarded because of previous errors.";

#[test]
fn a_queue_runs_in_order_and_an_error_inside_stops_nothing() {
    Served::new().peer().check(&[
        ("MULTI", "+OK"),
        ("SET a 1", "+QUEUED"),
        ("INCR a", "+QUEUED"),
        ("SELECT 99", "+QUEUED"),
        ("GET a", "+QUEUED"),
        ("EXEC", "*4 +OK :2 -ERR DB index is out of range $1 2"),
        ("EXEC", "-ERR EXEC without MULTI"),
        ("DISCARD", "-ERR DISCARD without MULTI"),
        ("MULTI", "+OK"),
        ("EXEC", "*0"),
    ]);
}

#[test]
fn what_cannot_be_queued_aborts_and_what_runs_at_once_does_not() {
    Served::new().peer().check(&[
        ("MULTI", "+OK"),
        ("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: "),
        ("EXEC", ABORTED),
        ("MULTI", "+OK"),
        ("GET", "-ERR wrong number of arguments for 'get' command"),
        ("PING", "+QUEUED"),
        ("EXEC", ABORTED),
        ("MULTI", "+OK"),
        ("MULTI", "-ERR MULTI calls can not be nested"),
        ("WATCH a", "-ERR WATCH inside MULTI is not allowed"),
        ("PING", "+QUEUED"),
        ("EXEC", "*1 +PONG"),
        ("MULTI x", "-ERR wrong number of arguments for 'multi' command"),
        ("MULTI", "+OK"),
        ("SET a 1", "+QUEUED"),
        ("DISCARD", "+OK"),
        ("EXISTS a", ":0"),
    ]);
}

#[test]
fn a_queue_may_change_database_and_protocol_on_the_way() {
    let served = Served::new();
    let mut peer = served.peer();
    peer.check(&[
        ("MULTI", "+OK"),
        ("SELECT 1", "+QUEUED"),
        ("SET there 1", "+QUEUED"),
        ("HELLO 3", "+QUEUED"),
        ("GET nothing", "+QUEUED"),
    ]);
    let replies = peer.ask("EXEC");
    assert!(replies.starts_with("*4 +OK +OK %7 $6 server"), "{replies}");
    assert!(replies.ends_with(" _"), "{replies}");
    peer.check(&[("GET there", "$1 1"), ("SELECT 0", "+OK"), ("GET there", "_")]);
}

#[test]
fn reset_and_quit_end_a_transaction_at_once() {
    let served = Served::new();
    served.peer().check(&[
        ("MULTI", "+OK"),
        ("SET a 1", "+QUEUED"),
        ("RESET", "+RESET"),
        ("EXEC", "-ERR EXEC without MULTI"),
    ]);
    served.peer().check(&[("MULTI", "+OK"), ("QUIT", "+OK"), ("EXEC", "closed")]);
}

/// Watches `key`, lets another client do `change`, and shows what EXEC says.
fn exec_after(setup: &[&str], change: &[&str]) -> String {
    let served = Served::new();
    let (mut peer, mut other) = (served.peer(), served.peer());
    for line in setup {
        peer.ask(line);
    }
    assert_eq!(peer.ask("WATCH key second"), "+OK");
    for line in change {
        other.ask(line);
    }
    assert_eq!(peer.ask("MULTI"), "+OK");
    assert_eq!(peer.ask("PING"), "+QUEUED");
    peer.ask("EXEC")
}

#[test]
fn a_watched_key_that_changed_in_any_way_stops_exec() {
    let stopping: &[(&[&str], &[&str])] = &[
        (&[], &["SET key 1"]),
        (&["SET key 1"], &["SET key 1"]),
        (&["SET key 1"], &["APPEND key 2"]),
        (&["SET key 1"], &["DEL key"]),
        (&["SET key 1"], &["EXPIRE key 100"]),
        (&["SET second 1"], &["RENAME second third"]),
        (&["SET key 1"], &["FLUSHALL"]),
        (&["SET key 1"], &["FLUSHDB"]),
        (&["SET key 1"], &["SWAPDB 0 1"]),
        (&[], &["SELECT 1", "SET key 1", "SWAPDB 0 1"]),
        (&["SET key 1"], &["MULTI", "SET key 2", "EXEC"]),
        (&["SET key 1"], &["PEXPIREAT key 1"]),
    ];
    for (setup, change) in stopping {
        assert_eq!(exec_after(setup, change), "*-1", "{setup:?} {change:?}");
    }
}

#[test]
fn what_leaves_watched_keys_alone_lets_exec_run() {
    let passing: &[(&[&str], &[&str])] = &[
        (&["SET key 1"], &["GET key", "SET other 1", "DEL nothing"]),
        (&["SET key 1"], &["SELECT 1", "SET key 2"]),
        (&["SET key 1"], &["SET key 2 NX", "EXPIRE nothing 10"]),
        (&[], &["DEL key", "FLUSHALL", "SWAPDB 0 1"]),
    ];
    for (setup, change) in passing {
        assert_eq!(exec_after(setup, change), "*1 +PONG", "{setup:?} {change:?}");
    }
}

#[test]
fn a_key_that_runs_out_of_time_after_watch_stops_exec_and_one_that_had_before_does_not() {
    let served = Served::new();
    let clock = &served.shared().clock;
    let (mut peer, now_ms) = (served.peer(), clock.now_ms());
    clock.hold(now_ms);
    peer.check(&[("SET key 1 PX 1000", "+OK"), ("WATCH key", "+OK"), ("MULTI", "+OK"), ("PING", "+QUEUED")]);
    clock.hold(now_ms + 2000);
    assert_eq!(peer.ask("EXEC"), "*-1");

    served.shared().is_active_expire_on.store(false, Ordering::Relaxed);
    assert_eq!(peer.ask("SET key 1 PX 1000"), "+OK");
    clock.hold(now_ms + 4000);
    peer.check(&[("WATCH key", "+OK"), ("MULTI", "+OK"), ("GET key", "+QUEUED"), ("EXEC", "*1 $-1")]);
}

#[test]
fn unwatch_discard_reset_and_exec_forget_what_was_watched() {
    for forget in
        [&["UNWATCH"][..], &["MULTI", "DISCARD"], &["RESET"], &["MULTI", "EXEC"], &["MULTI", "UNWATCH", "EXEC"]]
    {
        let served = Served::new();
        let (mut peer, mut other) = (served.peer(), served.peer());
        peer.ask("WATCH key");
        forget.iter().for_each(|line| drop(peer.ask(line)));
        other.ask("SET key 1");
        peer.check(&[("MULTI", "+OK"), ("GET key", "+QUEUED"), ("EXEC", "*1 $1 1")]);
    }
}

#[test]
fn an_aborted_transaction_forgets_its_watched_keys_too() {
    let served = Served::new();
    let (mut peer, mut other) = (served.peer(), served.peer());
    peer.check(&[("WATCH key", "+OK"), ("MULTI", "+OK")]);
    other.ask("SET key 1");
    peer.ask("NOSUCH");
    peer.check(&[("EXEC", ABORTED), ("MULTI", "+OK"), ("EXEC", "*0")]);
}

#[test]
fn a_null_of_exec_is_resp3s_in_resp3() {
    let served = Served::new();
    let mut peer = served.peer();
    peer.ask("HELLO 3");
    peer.check(&[("WATCH key", "+OK"), ("SET key 1", "+OK"), ("MULTI", "+OK"), ("EXEC", "_")]);
}
