//! CONFIG over the wire.

use crate::transcript::{self, Peer};

#[test]
fn settings_are_read_by_patterns_and_changed() {
    let mut peer = Peer::connect(transcript::serve(&[]));
    peer.check(&[
        ("CONFIG GET maxmemory", "*2 $9 maxmemory $1 0"),
        ("CONFIG GET MAXMEMORY", "*2 $9 MAXMEMORY $1 0"),
        ("CONFIG GET nothing", "*0"),
        ("CONFIG SET maxmemory 1mb timeout 7", "+OK"),
        ("CONFIG GET maxmemory time?ut", "*4 $7 timeout $1 7 $9 maxmemory $7 1048576"),
        ("CONFIG GET hash-max-zip*s", "*2 $24 hash-max-ziplist-entries $3 512"),
        ("CONFIG SET hz 0", "+OK"),
        ("CONFIG GET hz", "*2 $2 hz $1 1"),
        ("CONFIG GET rename-command", "*0"),
        ("CONFIG SET maxmemory 0", "+OK"),
        ("CONFIG RESETSTAT", "+OK"),
    ]);
}

#[test]
fn refusals_are_in_the_words_of_redis() {
    let mut peer = Peer::connect(transcript::serve(&[]));
    let failed =
        |name: &str, why: &str| format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {why}");
    let unknown = |name: &str| format!("-ERR Unknown option or number of arguments for CONFIG SET - '{name}'");
    let cases = [
        ("CONFIG", "-ERR wrong number of arguments for 'config' command".to_owned()),
        ("CONFIG NOPE", "-ERR unknown subcommand 'NOPE'. Try CONFIG HELP.".to_owned()),
        ("CONFIG GET", "-ERR wrong number of arguments for 'config|get' command".to_owned()),
        ("CONFIG SET a", "-ERR wrong number of arguments for 'config|set' command".to_owned()),
        ("CONFIG SET a b c", "-ERR syntax error".to_owned()),
        ("CONFIG SET a b", unknown("a")),
        ("CONFIG SET timeout 1 a 2", unknown("a")),
        ("CONFIG SET databases 4", failed("databases", "can't set immutable config")),
        ("CONFIG SET dir /tmp", failed("dir", "can't set protected config")),
        ("CONFIG SET timeout 1 timeout 2", failed("timeout", "duplicate parameter")),
        ("CONFIG SET slave-priority 1 replica-priority 2", failed("replica-priority", "duplicate parameter")),
        ("CONFIG SET timeout x", failed("timeout", "argument couldn't be parsed into an integer")),
        ("CONFIG SET timeout -1", failed("timeout", "argument must be between 0 and 2147483647 inclusive")),
        ("CONFIG SET maxmemory -1", failed("maxmemory", "argument must be a memory value")),
        ("CONFIG SET appendonly maybe", failed("appendonly", "argument must be 'yes' or 'no'")),
        ("CONFIG SET save x", failed("save", "Invalid save parameters")),
        ("CONFIG REWRITE", "-ERR The server is running without a config file".to_owned()),
    ];
    for (line, reply) in cases {
        assert_eq!(peer.ask(line), reply, "{line}");
    }
    assert_eq!(peer.ask("CONFIG GET timeout"), "*2 $7 timeout $1 0");
}

#[test]
fn a_map_answers_in_resp3() {
    let mut peer = Peer::connect(transcript::serve(&[]));
    peer.ask("HELLO 3");
    assert_eq!(peer.ask("CONFIG GET port maxclients"), "%2 $4 port $4 6379 $10 maxclients $5 10000");
}

#[test]
fn what_is_set_takes_effect_on_the_next_command() {
    let mut peer = Peer::connect(transcript::serve(&[]));
    peer.check(&[("SET k v", "+OK"), ("CONFIG SET maxmemory 1", "+OK")]);
    assert_eq!(peer.ask("SET k w"), "-OOM command not allowed when used memory > 'maxmemory'.");
    peer.check(&[("GET k", "$1 v"), ("CONFIG SET maxmemory 0", "+OK"), ("SET k w", "+OK")]);
}

#[test]
fn protected_settings_change_for_local_clients_when_the_settings_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().display().to_string();
    let mut peer = Peer::connect(transcript::serve(&[("enable-protected-configs", "local")]));
    assert_eq!(peer.ask(&format!("CONFIG SET dir {path}")), "+OK");
    assert_eq!(peer.ask("CONFIG GET dir"), format!("*2 $3 dir ${} {path}", path.len()));
}
