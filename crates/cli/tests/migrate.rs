//! `scrubjay migrate` as it is started, between real servers.

use scrubjay_harness::{Console, RedisCluster, RedisServer, Reply, ScrubjayServer, wait_for};
use serde_json::Value;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

fn command(from: &str, to: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_scrubjay"));
    command.args(["migrate", "--from", from, "--to", to]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs it with `--json`: the status and what it says.
#[track_caller]
fn migrate(from: &str, to: &str, arguments: &[&str]) -> (i32, Value) {
    let Output { status, stdout, stderr } = command(from, to, arguments).arg("--json").output().expect("it starts");
    let said = serde_json::from_slice(&stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&stderr)));
    (status.code().expect("a status"), said)
}

/// Runs it where it cannot go: what it says on standard error.
#[track_caller]
fn refusal(from: &str, to: &str, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = command(from, to, arguments).output().expect("it starts");
    let said = text(&stderr);
    assert_eq!(status.code(), Some(2), "{said}");
    said
}

/// One key of each type, some with times to live, and a stream with a group; `count` strings besides.
fn fill(console: &mut Console, count: usize) {
    let lines = [
        "SET string hello",
        "SET leaves soon PX 3600000",
        "SETRANGE empty 0 x",
        "SET number 42",
        "RPUSH list a b c b",
        "SADD set 1 2 three",
        "SADD ints 1 2 3",
        "HSET hash a 1 b 2",
        "PEXPIRE hash 7200000",
        "ZADD zset 1.5 a -inf b 1e300 c 0.1 d",
        "PFADD hll a b c",
        "GEOADD geo 13.361389 38.115556 Palermo",
        "XADD stream 1-1 f v g w",
        "XADD stream 2-1 f v",
        "XADD stream 3-1 f v",
        "XDEL stream 3-1",
        "XGROUP CREATE stream readers 0",
        "XREADGROUP GROUP readers ann COUNT 1 STREAMS stream >",
        "XGROUP CREATECONSUMER stream readers bob",
        "XGROUP CREATE nothing only $ MKSTREAM",
        "XADD emptied MAXLEN 0 5-5 f v",
    ];
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let reply = console.call(&words);
        assert!(!matches!(reply, Reply::Error(_)), "{line}: {reply:?}");
    }
    for number in 0..1_000 {
        console.call(&["RPUSH", "long", &format!("item {number}")]);
    }
    console.call(&[b"SET".as_slice(), b"bytes\xff\x00\r\n", b"\x00\xff\r\n"]);
    for number in 0..count {
        console.call(&["SET", &format!("key:{number}"), &format!("value {number}")]);
    }
}

/// Keys that [`fill`] makes, without the strings.
const KEYS: u64 = 16;

#[track_caller]
fn is_whole(outcome: &(i32, Value)) {
    let (status, said) = outcome;
    assert_eq!(*status, 0, "{said:#}");
    assert_eq!(said["outcome"], "complete", "{said:#}");
    if let Some(verify) = said["verify"].as_object() {
        assert_eq!(verify["same"], verify["compared"], "{said:#}");
        assert_eq!(verify["extra"]["count"], 0, "{said:#}");
    }
}

#[test]
fn every_type_and_time_arrives_in_every_database() {
    let (from, to) = (RedisServer::start(), RedisServer::start());
    let mut console = from.console();
    fill(&mut console, 500);
    console.ok(&["SELECT", "7"]);
    console.ok(&["SET", "elsewhere", "1"]);
    let outcome = migrate(&from.url(), &to.url(), &["--verify", "--batch", "50"]);
    is_whole(&outcome);
    let copy = &outcome.1["copy"];
    assert_eq!(copy["copied"], KEYS + 500 + 1, "{copy:#}");
    assert_eq!(copy["by_content"], 0, "{copy:#}");
    assert_eq!(copy["failed"]["count"], 0);
    let mut there = to.console();
    assert_eq!(there.call(&["PEXPIRETIME", "hash"]).number(), from.call(&["PEXPIRETIME", "hash"]).number());
    assert_eq!(there.call(&["XPENDING", "stream", "readers"]), from.call(&["XPENDING", "stream", "readers"]));
    there.ok(&["SELECT", "7"]);
    assert_eq!(there.call(&["GET", "elsewhere"]).text(), "1");
}

#[test]
fn without_dump_values_go_as_what_they_are() {
    for (source, target) in
        [(&["--rename-command", "DUMP", ""][..], &[][..]), (&[], &["--rename-command", "RESTORE", ""])]
    {
        let (from, to) = (RedisServer::start_with(source), RedisServer::start_with(target));
        fill(&mut from.console(), 20);
        let outcome = migrate(&from.url(), &to.url(), &["--verify"]);
        is_whole(&outcome);
        assert_eq!(outcome.1["copy"]["by_content"], KEYS + 20, "{:#}", outcome.1);
        for key in ["hash", "leaves", "string"] {
            assert_eq!(to.call(&["PEXPIRETIME", key]), from.call(&["PEXPIRETIME", key]));
        }
        let consumers = |server: &RedisServer| {
            let Reply::List(rows) = server.call(&["XINFO", "CONSUMERS", "stream", "readers"]) else { panic!("a list") };
            rows.iter().map(|row| row.texts()[1].clone()).collect::<Vec<_>>()
        };
        assert_eq!(consumers(&to), ["ann", "bob"]);
        let again = ["XADD", "emptied", "5-5", "f", "v"];
        assert_eq!(to.call(&again), from.call(&again));
        assert!(matches!(to.call(&again), Reply::Error(_)));
    }
}

#[test]
fn what_the_target_has_stays_unless_it_may_be_replaced() {
    let (from, to) = (RedisServer::start(), RedisServer::start());
    fill(&mut from.console(), 10);
    to.console().ok(&["SET", "string", "older"]);
    to.console().ok(&["SET", "extra", "1"]);
    let (status, said) = migrate(&from.url(), &to.url(), &[]);
    assert_eq!((status, &said["outcome"]), (1, &"incomplete".into()), "{said:#}");
    assert_eq!(said["copy"]["failed"]["count"], 1, "{said:#}");
    assert_eq!(said["copy"]["failed"]["keys"][0]["key"], "string");
    assert_eq!(to.call(&["GET", "string"]).text(), "older");
    let (status, said) = migrate(&from.url(), &to.url(), &["--keep-existing"]);
    assert_eq!((status, &said["copy"]["kept"]), (0, &(KEYS + 10).into()), "{said:#}");
    let (status, said) = migrate(&from.url(), &to.url(), &["--verify-only"]);
    assert_eq!(status, 1);
    assert_eq!(said["verify"]["differs"]["keys"][0]["key"], "string", "{said:#}");
    assert_eq!(said["verify"]["extra"]["keys"][0]["key"], "extra", "{said:#}");
    let (status, said) = migrate(&from.url(), &to.url(), &["--replace", "--verify"]);
    assert_eq!((status, &said["verify"]["same"]), (0, &(KEYS + 10).into()), "{said:#}");
    assert_eq!(to.call(&["GET", "string"]).text(), "hello");
    assert_eq!(to.call(&["GET", "extra"]).text(), "1");
}

#[test]
fn verify_names_what_is_missing_and_what_differs_in_type_value_or_time() {
    let (from, to) = (RedisServer::start(), RedisServer::start());
    fill(&mut from.console(), 0);
    is_whole(&migrate(&from.url(), &to.url(), &[]));
    let mut there = to.console();
    there.call(&["DEL", "list"]);
    there.call(&["SADD", "set", "four"]);
    there.call(&["PERSIST", "hash"]);
    there.call(&["SET", "ints", "1"]);
    // The same members in another order: no difference.
    there.call(&["DEL", "zset"]);
    there.call(&["ZADD", "zset", "0.1", "d", "1e300", "c", "-inf", "b", "1.50", "a"]);
    let (status, said) = migrate(&from.url(), &to.url(), &["--verify-only"]);
    assert_eq!(status, 1);
    let verify = &said["verify"];
    assert_eq!(verify["missing"]["keys"][0]["key"], "list", "{verify:#}");
    let mut differs: Vec<(&str, &str)> = Vec::new();
    for row in verify["differs"]["keys"].as_array().unwrap() {
        differs.push((row["key"].as_str().unwrap(), row["reason"].as_str().unwrap()));
    }
    differs.sort_unstable();
    assert_eq!(differs.iter().map(|(key, _)| *key).collect::<Vec<_>>(), ["hash", "ints", "set"], "{verify:#}");
    assert!(differs[0].1.starts_with("it expires never there and at "), "{}", differs[0].1);
    assert_eq!(differs[1].1, "it is a string there and a set here");
    assert_eq!(differs[2].1, "it has 4 members there and 3 here");
}

#[test]
fn a_run_that_is_killed_goes_on_where_it_was() {
    let (from, to, folder) = (RedisServer::start(), RedisServer::start(), tempfile::tempdir().unwrap());
    fill(&mut from.console(), 1_000);
    let path = folder.path().join("state.json");
    let file = path.to_str().unwrap();
    let state = || serde_json::from_slice::<Value>(&std::fs::read(&path).ok()?).ok();
    let mut slow: Child =
        command(&from.url(), &to.url(), &["--resume", file, "--rate", "200", "--batch", "10"]).spawn().unwrap();
    wait_for("the copy to begin", || state().filter(|state| state["report"]["copied"].as_u64() > Some(50)).map(|_| ()));
    slow.kill().unwrap();
    slow.wait().unwrap();
    let before = state().unwrap();
    assert_eq!(before["walks"][0]["is_done"], false, "{before:#}");
    let (status, said) = migrate(&from.url(), &to.url(), &["--resume", file, "--verify"]);
    assert_eq!(status, 0, "{said:#}");
    let copy = &said["copy"];
    assert_eq!(copy["runs"], 2, "{copy:#}");
    // What was done before was not done again, but for the batch that was under way.
    let seen = copy["seen"].as_u64().unwrap();
    assert!((KEYS + 1_000..KEYS + 1_000 + 60).contains(&seen), "{copy:#}");
    assert_eq!(said["verify"]["same"], KEYS + 1_000, "{said:#}");
    // It is complete: nothing more to do.
    let (status, said) = migrate(&from.url(), &to.url(), &["--resume", file]);
    assert_eq!((status, said["copy"]["seen"].as_u64()), (0, Some(seen)));
    let other = RedisServer::start();
    let said = refusal(&from.url(), &other.url(), &["--resume", file]);
    assert!(said.contains("is of another copy: its --to is"), "{said}");
}

#[test]
fn a_signal_leaves_a_state_from_which_it_goes_on() {
    let (from, to, folder) = (RedisServer::start(), RedisServer::start(), tempfile::tempdir().unwrap());
    fill(&mut from.console(), 1_000);
    let path = folder.path().join("state.json");
    let file = path.to_str().unwrap();
    let slow = command(&from.url(), &to.url(), &["--resume", file, "--rate", "100"]).spawn().unwrap();
    wait_for("the copy to begin", || path.exists().then_some(()));
    assert!(Command::new("kill").args(["-INT", &slow.id().to_string()]).status().unwrap().success());
    let Output { status, stdout, .. } = slow.wait_with_output().unwrap();
    assert_eq!(status.code(), Some(3));
    assert!(text(&stdout).contains("The same command goes on from"), "{}", text(&stdout));
    is_whole(&migrate(&from.url(), &to.url(), &["--resume", file, "--verify"]));
}

#[test]
fn a_source_that_was_started_anew_is_walked_from_the_beginning() {
    let (mut from, to) =
        (RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]), RedisServer::start());
    let folder = tempfile::tempdir().unwrap();
    fill(&mut from.console(), 1_000);
    let path = folder.path().join("state.json");
    let file = path.to_str().unwrap();
    let mut slow =
        command(&from.url(), &to.url(), &["--resume", file, "--rate", "200", "--batch", "10"]).spawn().unwrap();
    wait_for("the copy to begin", || path.exists().then_some(()));
    slow.kill().unwrap();
    slow.wait().unwrap();
    from.restart();
    let outcome = migrate(&from.url(), &to.url(), &["--resume", file, "--verify"]);
    is_whole(&outcome);
    assert_eq!(outcome.1["verify"]["same"], KEYS + 1_000, "{:#}", outcome.1);
}

#[test]
fn a_store_that_is_written_to_meanwhile_is_copied_without_an_error() {
    let (from, to) = (RedisServer::start(), RedisServer::start());
    fill(&mut from.console(), 2_000);
    let (stop, mut writer) = (AtomicBool::new(false), from.console());
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if stop.load(Ordering::Acquire) {
                    break;
                }
                let key = format!("key:{}", number % 3_000);
                match number % 4 {
                    0 => writer.call(&["DEL", &key]),
                    1 => writer.call(&["SET", &key, "short", "PX", "1"]),
                    2 => writer.call(&["LPUSH", &format!("list:{}", number % 50), "x"]),
                    _ => writer.call(&["SET", &key, "new"]),
                };
            }
        });
        let outcome = migrate(&from.url(), &to.url(), &["--batch", "20", "--replace"]);
        stop.store(true, Ordering::Release);
        outcome
    });
    is_whole(&outcome);
    // Once nobody writes, a second run makes both the same but for what is in the target alone.
    let (status, said) = migrate(&from.url(), &to.url(), &["--replace", "--verify"]);
    assert_eq!(status, 0, "{said:#}");
    assert_eq!(said["verify"]["differs"]["count"], 0, "{said:#}");
}

#[test]
fn to_and_from_a_cluster_every_master_has_its_part() {
    let (from, to, back) = (RedisServer::start(), RedisCluster::start(), RedisServer::start());
    fill(&mut from.console(), 1_000);
    let seed = &to.urls()[1];
    is_whole(&migrate(&from.url(), seed, &["--verify"]));
    let sizes: Vec<i64> = to.nodes().iter().map(|node| node.call(&["DBSIZE"]).number()).collect();
    assert_eq!(sizes.iter().sum::<i64>(), i64::try_from(KEYS).unwrap() + 1_000);
    assert!(sizes.iter().all(|size| *size > 200), "{sizes:?}");
    // Half of a slot is elsewhere, and another slot was moved: both are found.
    let (half, whole) = (RedisCluster::slot_of("string"), RedisCluster::slot_of("hash"));
    let other = |slot| (to.owner_of(slot) + 1) % 3;
    to.move_slot(whole, other(whole));
    let target = other(half);
    to.begin_move(half, target);
    is_whole(&migrate(seed, &back.url(), &["--verify"]));
    to.finish_move(half, target);
    from.console().ok(&["SELECT", "1"]);
    let mut one = from.console();
    one.ok(&["SELECT", "1"]);
    one.ok(&["SET", "a", "1"]);
    let said = refusal(&from.url(), seed, &[]);
    assert!(said.contains("the target is a cluster, which has no database 1: choose one with --db 0"), "{said}");
}

#[test]
fn our_own_server_takes_strings_and_the_rest_is_named() {
    let (from, to) = (RedisServer::start(), ScrubjayServer::start());
    fill(&mut from.console(), 300);
    let (status, said) = migrate(&from.url(), &to.url(), &["--verify"]);
    assert_eq!(status, 1);
    let failed = &said["copy"]["failed"];
    let strings = said["verify"]["same"].as_u64().unwrap();
    assert_eq!(strings + failed["count"].as_u64().unwrap(), KEYS + 300, "{said:#}");
    assert!(strings >= 306, "{said:#}");
    let hash = failed["keys"].as_array().unwrap().iter().find(|row| row["key"] == "hash");
    if let Some(hash) = hash {
        let reason = hash["reason"].as_str().unwrap();
        assert!(reason.contains("it has no HSET"), "{reason}");
    }
    assert_eq!(to.call(&["PEXPIRETIME", "leaves"]).number(), from.call(&["PEXPIRETIME", "leaves"]).number());
    let back = RedisServer::start();
    is_whole(&migrate(&to.url(), &back.url(), &["--verify"]));
}

#[test]
fn a_choice_of_keys_a_limit_of_bytes_and_a_dry_run() {
    let (from, to) = (RedisServer::start(), RedisServer::start());
    fill(&mut from.console(), 30);
    from.console().call(&["SETRANGE", "large", "100000", "x"]);
    let (status, said) = migrate(&from.url(), &to.url(), &["--dry-run", "--value-bytes-max", "64kb"]);
    assert_eq!(status, 1);
    assert_eq!(said["copy"]["copied"], KEYS + 30, "{said:#}");
    assert_eq!(said["copy"]["failed"]["keys"][0]["key"], "large");
    assert_eq!(to.call(&["DBSIZE"]).number(), 0);
    let (status, said) = migrate(&from.url(), &to.url(), &["--match", "key:1*"]);
    assert_eq!((status, &said["copy"]["copied"]), (0, &11.into()), "{said:#}");
    let (status, said) = migrate(&from.url(), &to.url(), &["--type", "list"]);
    assert_eq!((status, &said["copy"]["copied"]), (0, &2.into()), "{said:#}");
    let (status, said) = migrate(&from.url(), &to.url(), &["--value-bytes-max", "64kb"]);
    assert_eq!(status, 1);
    let reason = said["copy"]["failed"]["keys"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("more than --value-bytes-max 65536"), "{reason}");
}

#[test]
fn a_rate_is_kept_by_small_batches_that_are_held_back() {
    let (from, to) = (RedisServer::start(), RedisServer::start());
    for number in 0..100 {
        from.console().call(&["SET", &format!("key:{number}"), "x"]);
    }
    let (status, said) = migrate(&from.url(), &to.url(), &["--rate", "200"]);
    assert_eq!(status, 0, "{said:#}");
    let copy = &said["copy"];
    // A tenth of a second's worth of 200 keys is 20, of which SCAN may make a few more.
    assert!(copy["batches"].as_u64().unwrap() >= 3, "{copy:#}");
    assert!(copy["held_back_ms"].as_u64() > Some(0), "{copy:#}");
}

#[test]
fn what_is_wrong_with_a_server_is_said_without_its_password() {
    let (from, to) = (RedisServer::start(), RedisServer::start_with(&["--requirepass", "hunter2"]));
    from.console().ok(&["SET", "a", "1"]);
    let (host, mut gone) = (format!("127.0.0.1:{}", to.port()), RedisServer::start());
    gone.kill();
    let cases = [
        (from.url(), "redis//x:sesame@h".to_owned(), "--to: not a URL"),
        (from.url(), "http://x:sesame@h".to_owned(), "'http' is no scheme"),
        (from.url(), format!("redis://:sesame@{host}"), "does not take this user and password"),
        (from.url(), format!("redis://{host}"), "wants a password"),
        (from.url(), gone.url(), "cannot be reached: connection refused"),
        (gone.url(), from.url(), "the source 127.0.0.1"),
        (from.url(), from.url(), "--from and --to are the same server"),
    ];
    for (from, to, part) in &cases {
        let said = refusal(from, to, &[]);
        assert!(said.contains(part) && said.lines().count() == 1, "{to}: {said}");
        assert!(!said.contains("sesame"), "{said}");
    }
    let said = refusal("redis://u:sesame@h redis://x", "redis://:sesame@h", &["--form", "redis://u:sesame@h"]);
    assert!(!said.contains("sesame"), "{said}");
    let good = command(&from.url(), &to.url(), &["--json"]).env("SCRUBJAY_TO_PASSWORD", "hunter2").output().unwrap();
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stderr));
    let shown = text(&good.stdout) + &text(&good.stderr);
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn a_target_that_takes_no_writes_or_no_more_ends_it_and_nothing_is_lost() {
    let from = RedisServer::start();
    fill(&mut from.console(), 3_000);
    let (full, replica) = (RedisServer::start_with(&["--maxmemory", "1200kb"]), RedisServer::start());
    replica.call(&["REPLICAOF", "127.0.0.1", &from.port().to_string()]);
    let said = refusal(&from.url(), &replica.url(), &[]);
    assert!(said.contains("is a replica, and takes no writes: name its master"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let file = path.to_str().unwrap();
    let said = refusal(&from.url(), &full.url(), &["--resume", file]);
    assert!(said.contains("the target is out of memory, and takes nothing more"), "{said}");
    full.console().ok(&["CONFIG", "SET", "maxmemory", "0"]);
    is_whole(&migrate(&from.url(), &full.url(), &["--resume", file, "--verify"]));
}
