//! The parts that need no server.

use crate::remote::link::Trouble;
use crate::remote::link::backoff::{Backoff, WHILE_MAX_MS, WHILE_MIN_MS};
use crate::remote::link::breaker::{Breaker, FAILURES_MAX};
use crate::remote::link::budget::Budget;
use crate::remote::link::connect::{Greeting, read_hello, read_info};
use crate::remote::link::signals::{Signals, WAITING_MAX};
use crate::remote::link::slots::{Redirect, Slots, read_redirect, read_topology, slot_of, slot_of_key};
use crate::remote::link::tests::{Ears, Heard, bulk, cmd};
use crate::remote::link::trouble::sound;
use redis::{PushInfo, PushKind, Value};

#[test]
fn a_breaker_opens_after_failures_in_a_row_and_says_so_once() {
    let breaker = Breaker::default();
    for _ in 0..3 {
        (1..FAILURES_MAX).for_each(|_| assert!(!breaker.failed()));
        breaker.succeeded();
    }
    (1..FAILURES_MAX).for_each(|_| assert!(!breaker.failed()));
    assert!(breaker.failed());
    (0..10).for_each(|_| assert!(!breaker.failed()));
}

#[test]
fn pauses_double_up_to_a_limit_and_begin_anew_after_a_good_time() {
    let mut backoff = Backoff::default();
    let mut while_ms = WHILE_MIN_MS;
    for _ in 0..20 {
        let pause_ms = backoff.next_ms();
        assert!((while_ms / 2..=while_ms).contains(&pause_ms), "{pause_ms} of {while_ms}");
        while_ms = (2 * while_ms).min(WHILE_MAX_MS);
    }
    backoff.served(WHILE_MAX_MS - 1);
    assert!(backoff.next_ms() >= WHILE_MAX_MS / 2);
    backoff.served(WHILE_MAX_MS);
    assert!(backoff.next_ms() <= WHILE_MIN_MS);
    // Not the same for all who wait.
    let pauses: std::collections::HashSet<u64> = (0..100).map(|_| Backoff::default().next_ms()).collect();
    assert!(pauses.len() > 10, "{pauses:?}");
}

#[test]
fn a_tenth_of_the_commands_may_be_tried_again() {
    let budget = Budget::new();
    let allowed = |range: std::ops::Range<u64>| range.filter(|sent| budget.allows(*sent)).count();
    assert_eq!((0..100).filter(|_| budget.allows(0)).count(), 20);
    assert_eq!(allowed(1..1_001), 100);
    // One who comes late with an older count earns nothing by it, and whose count has begun anew does.
    assert!(!budget.allows(500));
    assert!(budget.allows(1_020));
    assert_eq!((0..5).filter(|_| budget.allows((1 << 32) + 1_050)).count(), 4);
}

#[test]
fn errors_are_told_apart_by_what_can_be_done() {
    let of = |line: &str| {
        let (code, detail) = line.split_once(' ').unwrap_or((line, ""));
        sound(Err(redis::make_extension_error(code.to_owned(), Some(detail.to_owned())))).expect_err("an error")
    };
    assert_eq!(of("OOM command not allowed when used memory > 'maxmemory'."), Trouble::Oom);
    assert_eq!(of("READONLY You can't write against a read only replica."), Trouble::ReadOnly);
    assert_eq!(of("WRONGTYPE Operation against a key"), Trouble::WrongType);
    for line in ["NOPERM this user has no permissions", "NOAUTH Authentication required.", "WRONGPASS invalid"] {
        assert_eq!(of(line), Trouble::Denied(line.into()));
        assert!(!of(line).concerns_the_tier());
    }
    for code in ["LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "MISCONF", "NOREPLICAS"] {
        let trouble = of(code);
        assert!(trouble.is_retryable() && trouble.concerns_the_tier() && !trouble.may_be_done(), "{trouble:?}");
    }
    assert_eq!(of("ERR syntax error"), Trouble::Server("ERR syntax error".into()));
    assert!(
        Trouble::TimedOut.may_be_done() && Trouble::TimedOut.concerns_the_tier() && !Trouble::TimedOut.is_retryable()
    );
    assert!(!Trouble::Full.concerns_the_tier() && !Trouble::Oom.concerns_the_tier());
}

#[test]
fn errors_within_scripts_of_redis_6_2_are_told_apart_as_well() {
    let of = |line: &str| {
        let (code, detail) = line.split_once(' ').unwrap_or((line, ""));
        sound(Err(redis::make_extension_error(code.to_owned(), Some(detail.to_owned())))).expect_err("an error")
    };
    let uncaught = "ERR Error running script (call to f_d8f2fad9f8e86a53d2a6ebd960b33c4972cacc37): @user_script:1: ";
    let caught = "@user_script: 1: ";
    for before in [format!("{uncaught}{caught}"), caught.to_owned()] {
        let of = |error: &str| of(&format!("{before}{error}"));
        assert_eq!(of("-READONLY You can't write against a read only replica."), Trouble::ReadOnly);
        assert_eq!(of("-OOM command not allowed when used memory > 'maxmemory'."), Trouble::Oom);
        for error in [
            "-LOADING Redis is loading the dataset in memory",
            "-MASTERDOWN Link with MASTER is down",
            "-NOREPLICAS Not enough good replicas to write.",
            "-CLUSTERDOWN The cluster is down",
        ] {
            assert!(matches!(of(error), Trouble::Away(_)), "{error}");
        }
        let denied = "The user executing the script can't run this command or subcommand";
        assert!(matches!(of(denied), Trouble::Denied(_)));
        assert!(matches!(of("Unknown Redis command called from script"), Trouble::Server(_)));
    }
    assert_eq!(of(&format!("{uncaught}WRONGTYPE Operation against a key")), Trouble::WrongType);
    // Elsewhere such words are only words.
    assert!(matches!(of("ERR unknown command '@user_script: 1: -READONLY'"), Trouble::Server(_)));
}

#[test]
fn keys_and_commands_have_the_slots_that_the_specification_says() {
    assert_eq!(slot_of_key(b"123456789"), 0x31c3);
    assert_eq!(slot_of_key(b"foo{bar}{zap}"), slot_of_key(b"bar"));
    assert_eq!(slot_of_key(b"{user1000}.following"), slot_of_key(b"user1000"));
    assert_ne!(slot_of_key(b"foo{}{bar}"), slot_of_key(b"bar"));
    assert_eq!(slot_of_key(b"foo{{bar}}zap"), slot_of_key(b"{bar"));
    let slot = Some(slot_of_key(b"jay"));
    assert_eq!(slot_of(&cmd(&["GET", "jay"])), slot);
    assert_eq!(slot_of(&cmd(&["evalsha", "0123", "2", "jay", "{jay}2", "x"])), slot);
    assert_eq!(slot_of(&cmd(&["EVAL", "return 1", "0", "jay"])), None);
    assert_eq!(slot_of(&cmd(&["PUBLISH", "jay", "x"])), None);
    assert_eq!(slot_of(&cmd(&["PING"])), None);
    assert_eq!(slot_of(&redis::Cmd::new()), None);
}

#[test]
fn what_nodes_say_of_the_cluster_is_read_and_nonsense_is_an_error() {
    let range = |first, last, host: Value, port| {
        let master = Value::Array(vec![host, Value::Int(port), bulk("id")]);
        Value::Array(vec![Value::Int(first), Value::Int(last), master])
    };
    let answer = Value::Array(vec![
        range(8_000, 16_383, bulk("10.0.0.9"), 7_000),
        range(0, 99, Value::Nil, 7_001),
        range(100, 7_999, bulk("10.0.0.9"), 7_000),
    ]);
    let topology = read_topology(&answer).expect("a topology");
    assert_eq!(topology.masters, [(String::new(), 7_001), ("10.0.0.9".to_owned(), 7_000)]);
    assert!(topology.is_whole());
    let slots = Slots::new(&topology);
    assert_eq!((slots.master(99), slots.master(100), slots.master(16_383)), (Some(0), Some(1), Some(1)));
    slots.set(99, 1);
    assert_eq!(slots.master(99), Some(1));
    let part = read_topology(&Value::Array(vec![range(0, 5, bulk("a"), 1)])).expect("a topology");
    assert!(!part.is_whole());
    assert_eq!(Slots::new(&part).master(6), None);
    for nonsense in [Value::Nil, Value::Array(vec![]), Value::Array(vec![range(0, 5, bulk("a"), 99_999)])] {
        assert!(read_topology(&nonsense).is_err(), "{nonsense:?}");
    }
    let moved = Redirect::Moved { slot: 3_999, host: "::1".into(), port: 6_381 };
    assert_eq!(read_redirect("MOVED", "3999 ::1:6381"), Some(moved));
    assert_eq!(read_redirect("ASK", "1 :6381"), Some(Redirect::Ask { host: String::new(), port: 6_381 }));
    for (code, detail) in [("ERR", "1 a:1"), ("MOVED", ""), ("MOVED", "99999999 a:1"), ("ASK", "1 a:b")] {
        assert_eq!(read_redirect(code, detail), None);
    }
}

#[test]
fn servers_that_are_of_no_use_are_told_why() {
    let pairs = |version: &str, mode: &str, role: &str| {
        let pair = |name: &str, value: &str| (bulk(name), bulk(value));
        Value::Map(vec![
            pair("version", version),
            pair("mode", mode),
            pair("role", role),
            (bulk("proto"), Value::Int(3)),
        ])
    };
    let judge = |answer: &Value, is_cluster| read_hello(answer).judge(is_cluster).err().unwrap_or_default();
    assert_eq!(judge(&pairs("7.0.15", "standalone", "master"), false), "");
    assert_eq!(judge(&pairs("6.2.0", "cluster", "replica"), true), "");
    assert!(judge(&pairs("6.0.16", "standalone", "master"), false).contains("6.0.16, must be 6.2"));
    assert!(judge(&pairs("7.0.15", "sentinel", ""), false).contains("Sentinel"));
    assert!(judge(&pairs("7.0.15", "standalone", "replica"), false).contains("replica"));
    assert!(judge(&pairs("7.0.15", "standalone", "master"), true).contains("no node of a cluster"));
    assert_eq!(judge(&Value::Nil, false), "");
    let info = bulk("# Server\r\nredis_version:5.0.7\r\nredis_mode:standalone\r\n# Replication\r\nrole:slave\r\n");
    let expected = Greeting { version: "5.0.7".into(), mode: "standalone".into(), role: "slave".into() };
    assert_eq!(read_info(&info), expected);
}

#[test]
fn more_news_than_can_be_kept_are_news_of_everything() {
    let (signals, ears) = (Signals::new(), Ears::default());
    let push = |count: usize| PushInfo {
        kind: PushKind::Invalidate,
        data: vec![Value::Array((0..count).map(|index| bulk(&format!("jay:a:{index}"))).collect())],
    };
    signals.pushed(push(3));
    signals.pushed(push(1));
    signals.pass_on(&ears);
    assert_eq!(ears.heard.lock().len(), 4);
    ears.forget();
    (0..3).for_each(|_| signals.pushed(push(WAITING_MAX / 2)));
    signals.pass_on(&ears);
    assert_eq!(*ears.heard.lock(), [Heard::Flushed]);
    ears.forget();
    signals.pass_on(&ears);
    assert!(ears.heard.lock().is_empty());
    signals.pushed(PushInfo { kind: PushKind::Invalidate, data: vec![Value::Nil] });
    signals.pass_on(&ears);
    assert_eq!(*ears.heard.lock(), [Heard::Flushed]);
}
