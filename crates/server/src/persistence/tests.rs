//! Snapshots on a real disk, and between us and Redis.

use super::schedule::is_due;
use super::{Background, Persistence, SaveError, load_at_start, save, save_on_shutdown};
use crate::oracle::{Redis, Wire};
use crate::server::Shared;
use crate::{Config, Server};
use scrubjay_keyspace::{Db, Expiry};
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// What a server shares, without threads that serve it.
fn shared(dir: &Path, save_points: &str) -> Shared {
    let dir = dir.to_str().unwrap();
    Shared::new(Config::with([("dir", dir), ("save", save_points)]).unwrap(), 2).unwrap()
}

fn set(shared: &Shared, db: u16, key: &str, value: &[u8], expiry: Expiry) {
    let exclusive = shared.keyspace.exclusive();
    let mut held = exclusive.hold_all(shared.clock.now_ms());
    let key = held.key(key.as_bytes());
    held.set(Db(db), &key, value, expiry).unwrap();
    shared.persistence.note_changes(0, 1);
}

fn get(shared: &Shared, db: u16, key: &str) -> Option<(Vec<u8>, Option<u64>)> {
    let exclusive = shared.keyspace.exclusive();
    let mut held = exclusive.hold_all(shared.clock.now_ms());
    let key = held.key(key.as_bytes());
    held.peek(Db(db), &key).map(|entry| (entry.value.to_vec(), entry.expires_at_ms))
}

fn save_now(shared: &Shared) -> Result<(), SaveError> {
    save(shared, &mut shared.keyspace.exclusive().hold_all(shared.clock.now_ms()))
}

fn names(dir: &Path) -> Vec<String> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn what_was_saved_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let before = shared(dir.path(), "");
    before.clock.hold(1_000_000);
    set(&before, 0, "plain", b"value", Expiry::Clear);
    set(&before, 9, "mortal", b"12", Expiry::At(2_000_000));
    set(&before, 9, "short-lived", b"13", Expiry::At(1_000_500));
    save_now(&before).unwrap();
    assert_eq!(names(dir.path()), ["dump.rdb"]);
    let status = before.persistence.status(before.clock.instant());
    assert_eq!((status.changes_since_save, status.last_save_seconds, status.saves), (0, 1_000, 1));

    let after = shared(dir.path(), "");
    after.clock.hold(1_000_600);
    load_at_start(&after).unwrap();
    assert_eq!(get(&after, 0, "plain"), Some((b"value".to_vec(), None)));
    assert_eq!(get(&after, 9, "mortal"), Some((b"12".to_vec(), Some(2_000_000))));
    assert_eq!(get(&after, 9, "short-lived"), None);
    let status = after.persistence.status(after.clock.instant());
    assert_eq!((status.loaded_keys, status.expired_keys_in_file), (2, 1));
}

#[test]
fn a_failed_save_leaves_the_last_snapshot_and_no_litter() {
    let dir = TempDir::new().unwrap();
    let shared = shared(dir.path(), "");
    set(&shared, 0, "key", b"value", Expiry::Clear);
    save_now(&shared).unwrap();
    // A directory in the place of the file cannot be renamed over.
    shared.config.set_at_start("dbfilename", "taken").unwrap();
    std::fs::create_dir_all(dir.path().join("taken/full")).unwrap();
    assert!(matches!(save_now(&shared), Err(SaveError::Io(_))));
    let mut left = names(dir.path());
    left.sort();
    assert_eq!(left, ["dump.rdb", "taken"]);
}

#[test]
fn save_points_ask_for_time_and_changes() {
    let dir = TempDir::new().unwrap();
    let shared = shared(dir.path(), "10 2 1 100");
    shared.clock.hold(1_000_000);
    shared.persistence.state.lock().last_save_ms = 1_000_000;
    let due_at = |now_ms: u64| {
        shared.clock.hold(now_ms);
        is_due(&shared, &shared.persistence.state.lock())
    };
    assert!(!due_at(9_000_000), "nothing changed");
    shared.persistence.note_changes(0, 1);
    assert!(!due_at(9_000_000), "one change is too few");
    shared.persistence.note_changes(1, 1);
    assert!(!due_at(1_010_000));
    assert!(due_at(1_011_000));
    shared.persistence.note_changes(1, 98);
    assert!(due_at(1_002_000));
    shared.persistence.state.lock().failed_at_ms = Some(1_002_000);
    assert!(!due_at(1_007_000), "a failure is not tried again at once");
    assert!(due_at(1_007_001));
}

#[test]
fn a_server_that_stops_saves_what_changed_if_it_saves_by_itself() {
    for (save_points, expected) in [("", None), ("3600 1", Some((b"value".to_vec(), None)))] {
        let dir = TempDir::new().unwrap();
        let before = shared(dir.path(), save_points);
        set(&before, 0, "key", b"value", Expiry::Clear);
        save_on_shutdown(&before).unwrap();
        let after = shared(dir.path(), save_points);
        load_at_start(&after).unwrap();
        assert_eq!(get(&after, 0, "key"), expected);
    }
}

#[test]
fn a_server_that_stops_saves_again_only_what_its_file_does_not_hold() {
    let dir = TempDir::new().unwrap();
    let shared = shared(dir.path(), "3600 1");
    save_on_shutdown(&shared).unwrap();
    assert!(names(dir.path()).is_empty(), "there is nothing to save");
    set(&shared, 0, "key", b"value", Expiry::Clear);
    save_on_shutdown(&shared).unwrap();
    let saves = || shared.persistence.status(shared.clock.instant()).saves;
    save_on_shutdown(&shared).unwrap();
    assert_eq!(saves(), 1, "nothing changed since");
    shared.config.set_at_start("dbfilename", "other.rdb").unwrap();
    save_on_shutdown(&shared).unwrap();
    assert!(dir.path().join("other.rdb").exists(), "the next start looks there");
    std::fs::remove_file(dir.path().join("other.rdb")).unwrap();
    save_on_shutdown(&shared).unwrap();
    assert!(dir.path().join("other.rdb").exists(), "somebody took it away");
}

fn start(dir: &Path, save_points: &str) -> (Server, Wire) {
    let settings =
        [("bind", "127.0.0.1:0"), ("dir", dir.to_str().unwrap()), ("save", save_points), ("admin-port", "0")];
    let server = Server::start(Config::with(settings).unwrap()).unwrap();
    let wire = Wire::connect(server.address().unwrap());
    (server, wire)
}

#[test]
fn shutdown_saves_as_it_is_told_or_as_the_save_points_say() {
    for (save_points, command, expected) in [
        ("", "SHUTDOWN", false),
        ("", "SHUTDOWN SAVE NOW", true),
        ("3600 1", "shutdown", true),
        ("3600 1", "SHUTDOWN NOSAVE FORCE", false),
    ] {
        let dir = TempDir::new().unwrap();
        let (server, mut wire) = start(dir.path(), save_points);
        wire.line("SET key value");
        assert_eq!(wire.line(command), b"", "the connection is closed without a reply");
        server.wait().unwrap();
        assert_eq!(dir.path().join("dump.rdb").exists(), expected, "{command} with {save_points:?}");
    }
}

#[test]
fn a_shutdown_that_cannot_save_is_refused_unless_forced() {
    let dir = TempDir::new().unwrap();
    let (server, mut wire) = start(dir.path(), "");
    std::fs::create_dir_all(dir.path().join("dump.rdb/in-the-way")).unwrap();
    assert_eq!(wire.line("SHUTDOWN SAVE"), b"-ERR Errors trying to SHUTDOWN. Check logs.\r\n");
    assert_eq!(wire.line("SAVE"), b"-ERR\r\n");
    assert_eq!(wire.line("PING"), b"+PONG\r\n");
    assert_eq!(wire.line("SHUTDOWN SAVE FORCE"), b"");
    server.wait().unwrap();
}

#[test]
fn a_background_save_is_like_any_other_and_its_failure_stops_writes() {
    let dir = TempDir::new().unwrap();
    let (server, mut wire) = start(dir.path(), "3600 1000000");
    let shared = Arc::clone(server.shared());
    wire.line("SET key value");
    assert_eq!(wire.line("BGSAVE"), b"+Background saving started\r\n");
    wait_until_idle(&shared);
    let status = shared.persistence.status(shared.clock.instant());
    assert!(status.saves == 1 && status.changes_since_save == 0 && !status.is_background_save_running, "{status:?}");

    std::fs::remove_file(dir.path().join("dump.rdb")).unwrap();
    std::fs::create_dir_all(dir.path().join("dump.rdb/in-the-way")).unwrap();
    assert_eq!(wire.line("BGSAVE SCHEDULE"), b"+Background saving started\r\n");
    wait_until_idle(&shared);
    assert!(wire.line("SET key value").starts_with(b"-MISCONF Redis is configured to save RDB snapshots"));
    assert_eq!(wire.line("GET key"), b"$5\r\nvalue\r\n");
    std::fs::remove_dir_all(dir.path().join("dump.rdb")).unwrap();
    assert_eq!(wire.line("SAVE"), b"+OK\r\n");
    assert_eq!(wire.line("SET key value"), b"+OK\r\n");
    assert_eq!(wire.line("SHUTDOWN NOSAVE"), b"");
}

#[test]
fn a_background_save_inside_a_transaction_waits_for_its_end() {
    let dir = TempDir::new().unwrap();
    let (server, mut wire) = start(dir.path(), "");
    for line in ["MULTI", "SET key before", "BGSAVE", "SET key after"] {
        wire.line(line);
    }
    assert_eq!(wire.line("EXEC"), b"*3\r\n+OK\r\n+Background saving scheduled\r\n+OK\r\n");
    wait_until_idle(server.shared());
    let after = shared(dir.path(), "");
    load_at_start(&after).unwrap();
    assert_eq!(get(&after, 0, "key"), Some((b"after".to_vec(), None)));
}

#[test]
fn a_reload_brings_everything_back_and_a_damaged_file_takes_nothing_away() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(
        Config::with([
            ("bind", "127.0.0.1:0"),
            ("dir", dir.path().to_str().unwrap()),
            ("save", ""),
            ("admin-port", "0"),
            ("enable-debug-command", "yes"),
        ])
        .unwrap(),
    )
    .unwrap();
    let mut wire = Wire::connect(server.address().unwrap());
    fill(&mut wire);
    let before = shown(&mut wire);
    assert_eq!(wire.line("DEBUG RELOAD"), b"+OK\r\n");
    assert_eq!(shown(&mut wire), before);
    let file = dir.path().join("dump.rdb");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    assert!(wire.line("DEBUG RELOAD NOSAVE").starts_with(b"-ERR Error trying to load the RDB dump"));
    assert_eq!(shown(&mut wire), before);
}

/// Waits for what BGSAVE asked for, without taking it back as [`save_on_shutdown`] does.
fn wait_until_idle(shared: &Shared) {
    let mut state = shared.persistence.state.lock();
    while state.background != Background::Idle {
        shared.persistence.wake.wait(&mut state);
    }
}

#[test]
fn counts_of_slots_that_nobody_has_are_let_go() {
    let persistence = Persistence::new(2, 0);
    persistence.note_changes(7, 1);
    persistence.note_changes(1, 3);
    assert_eq!(persistence.changes(), 3);
}

/// Commands that fill a server with every kind of string, in several databases.
fn samples() -> Vec<Vec<Vec<u8>>> {
    let values: Vec<Vec<u8>> = ["", "0", "-1", "127", "-128", "128", "32767", "-32769", "2147483647", "-2147483648"]
        .into_iter()
        .chain(["2147483648", "9223372036854775807", "007", "1.5", "+1", "-0", "hello"])
        .map(|text| text.as_bytes().to_vec())
        .chain([vec![0, 255, 13, 10], vec![b'a'; 20], vec![b'a'; 21], vec![b'b'; 63], vec![b'c'; 64]])
        .chain([vec![b'd'; 16_383], b"some words, ".repeat(2_000), (0..=255).collect(), vec![7; 300_000]])
        .collect();
    let mut commands = Vec::new();
    for (number, value) in values.into_iter().enumerate() {
        let key = format!("key:{number}").into_bytes();
        if number % 9 == 0 {
            commands.push(vec![b"SELECT".to_vec(), (number / 9 * 5).to_string().into_bytes()]);
        }
        commands.push(vec![b"SET".to_vec(), key.clone(), value]);
        if number % 2 == 0 {
            commands.push(vec![b"PEXPIREAT".to_vec(), key, format!("40000000{number:05}").into_bytes()]);
        }
    }
    commands
}

fn fill(wire: &mut Wire) {
    for command in samples() {
        let words: Vec<&[u8]> = command.iter().map(Vec::as_slice).collect();
        let reply = wire.ask(&words);
        assert!(reply == b"+OK\r\n" || reply == b":1\r\n", "{}", String::from_utf8_lossy(&reply));
    }
}

/// Everything that [`fill`] stored, as the server answers it now.
fn shown(wire: &mut Wire) -> Vec<(String, Vec<u8>)> {
    let mut shown = Vec::new();
    for database in 0..16 {
        wire.line(&format!("SELECT {database}"));
        shown.push((format!("DBSIZE {database}"), wire.line("DBSIZE")));
        for number in 0..samples().len() {
            for command in ["GET", "PEXPIRETIME", "TYPE"] {
                let line = format!("{command} key:{number}");
                shown.push((format!("{database}: {line}"), wire.line(&line)));
            }
        }
    }
    shown
}

fn serve(dir: &Path) -> std::io::Result<(Server, Wire)> {
    let settings = [("bind", "127.0.0.1:0"), ("dir", dir.to_str().unwrap()), ("admin-port", "0"), ("save", "")];
    let server = Server::start(Config::with(settings).unwrap())?;
    let wire = Wire::connect(server.address().unwrap());
    Ok((server, wire))
}

#[test]
fn redis_reads_our_snapshot() {
    for (compression, checksum) in [("yes", "yes"), ("no", "yes"), ("yes", "no")] {
        let dir = TempDir::new().unwrap();
        let settings = [
            ("bind", "127.0.0.1:0"),
            ("admin-port", "0"),
            ("dir", dir.path().to_str().unwrap()),
            ("save", ""),
            ("rdbcompression", compression),
            ("rdbchecksum", checksum),
        ];
        let server = Server::start(Config::with(settings).unwrap()).unwrap();
        let mut ours = Wire::connect(server.address().unwrap());
        fill(&mut ours);
        assert_eq!(ours.line("SAVE"), b"+OK\r\n");
        let redis = Redis::start(dir.path());
        assert_eq!(shown(&mut redis.connect()), shown(&mut ours));
    }
}

#[test]
fn we_read_a_snapshot_of_redis() {
    for compression in ["yes", "no"] {
        let dir = TempDir::new().unwrap();
        let redis = Redis::start(dir.path());
        let mut theirs = redis.connect();
        theirs.line(&format!("CONFIG SET rdbcompression {compression}"));
        fill(&mut theirs);
        assert_eq!(theirs.line("SAVE"), b"+OK\r\n");
        let (_server, mut ours) = serve(dir.path()).unwrap();
        assert_eq!(shown(&mut ours), shown(&mut theirs));
    }
}

#[test]
fn a_snapshot_with_other_types_refuses_the_start_and_names_the_key() {
    let dir = TempDir::new().unwrap();
    let redis = Redis::start(dir.path());
    let mut theirs = redis.connect();
    for (fill, name) in [
        ("RPUSH k a b c", "a list"),
        ("SADD k a b c", "a set"),
        ("SADD k 1 2 3", "a set"),
        ("HSET k a b", "a hash"),
        ("ZADD k 1 a", "a sorted set"),
        ("XADD k * a b", "a stream"),
    ] {
        theirs.line("FLUSHALL");
        theirs.line(fill);
        theirs.line("SAVE");
        let error = serve(dir.path()).err().expect("refused").to_string();
        assert!(error.contains(name) && error.contains("key \"k\" of database 0"), "{error}");
    }
    theirs.line("FLUSHALL");
    theirs.ask(&[b"FUNCTION", b"LOAD", b"#!lua name=lib\nredis.register_function('f', function() return 1 end)"]);
    theirs.line("SAVE");
    let error = serve(dir.path()).err().expect("refused").to_string();
    assert!(error.contains("a library of functions"), "{error}");
}

#[test]
fn dump_and_restore_carry_values_both_ways() {
    let dir = TempDir::new().unwrap();
    let redis = Redis::start(dir.path());
    let (_server, mut ours) = serve(dir.path()).unwrap();
    let mut theirs = redis.connect();
    for command in samples().iter().filter(|command| command[0] == b"SET") {
        let (key, value) = (&command[1], &command[2]);
        theirs.ask(&[b"SET", key, value]);
        let payload = theirs.bulk(&[b"DUMP", key]);
        assert_eq!(ours.ask(&[b"RESTORE", key, b"0", &payload]), b"+OK\r\n");
        assert_eq!(ours.bulk(&[b"GET", key]), *value);
        let payload = ours.bulk(&[b"DUMP", key]);
        assert_eq!(theirs.ask(&[b"RESTORE", key, b"0", &payload, b"REPLACE"]), b"+OK\r\n");
        assert_eq!(theirs.bulk(&[b"GET", key]), *value);
    }
}
