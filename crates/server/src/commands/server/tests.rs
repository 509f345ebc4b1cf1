//! INFO, TIME and LOLWUT over the wire.

use crate::transcript::{self, Peer};

fn field(peer: &mut Peer, section: &str, name: &str) -> Option<String> {
    let info = peer.ask(&format!("INFO {section}"));
    info.split(' ').find_map(|word| word.strip_prefix(&format!("{name}:")).map(str::to_owned))
}

#[test]
fn info_counts_what_happened() {
    let mut peer = Peer::connect(transcript::serve(&[("threads", "2")]));
    for line in ["SET k v EX 100", "SET other v", "GET k", "GET missing", "INCR k", "NOPE", "GET"] {
        peer.ask(line);
    }
    let cases = [
        ("keyspace", "db0", "keys=2,expires=1,avg_ttl=0"),
        ("stats", "keyspace_hits", "1"),
        ("stats", "keyspace_misses", "1"),
        ("stats", "total_connections_received", "1"),
        ("clients", "connected_clients", "1"),
        ("errorstats", "errorstat_ERR", "count=3"),
        ("server", "redis_version", "7.2.4"),
        ("cluster", "cluster_enabled", "0"),
        ("persistence", "loading", "0"),
    ];
    for (section, name, value) in cases {
        assert_eq!(field(&mut peer, section, name).as_deref(), Some(value), "{name}");
    }
    let get = field(&mut peer, "commandstats", "cmdstat_get").unwrap();
    assert!(get.starts_with("calls=2,usec=") && get.ends_with(",rejected_calls=1,failed_calls=0"), "{get}");
    let number = |text: Option<String>| text.unwrap().parse::<u64>().unwrap();
    assert!(number(field(&mut peer, "memory", "used_memory")) > 0);
    assert!(
        number(field(&mut peer, "memory", "used_memory_peak")) >= number(field(&mut peer, "memory", "used_memory"))
    );
}

#[test]
fn resetstat_clears_counters_and_keeps_gauges() {
    let mut peer = Peer::connect(transcript::serve(&[]));
    peer.check(&[("SET k v", "+OK"), ("GET k", "$1 v"), ("CONFIG RESETSTAT", "+OK")]);
    assert_eq!(field(&mut peer, "stats", "keyspace_hits").as_deref(), Some("0"));
    assert_eq!(field(&mut peer, "commandstats", "cmdstat_get"), None);
    assert_eq!(field(&mut peer, "clients", "connected_clients").as_deref(), Some("1"));
    assert_eq!(field(&mut peer, "keyspace", "db0").as_deref(), Some("keys=1,expires=0,avg_ttl=0"));
}

#[test]
fn info_is_verbatim_text_in_resp3_and_empty_for_unknown_sections() {
    let mut peer = Peer::connect(transcript::serve(&[]));
    assert_eq!(peer.ask("INFO nonsense"), "$0 ");
    peer.ask("HELLO 3");
    assert!(peer.ask("INFO cluster").starts_with("=34 txt:# Cluster cluster_enabled:0"));
}

#[test]
fn time_is_seconds_and_microseconds() {
    let mut peer = Peer::connect(transcript::serve(&[]));
    let time = peer.ask("TIME");
    let words: Vec<&str> = time.split(' ').collect();
    assert!(
        matches!(words[..], ["*2", _, seconds, _, micros]
        if seconds.parse::<u64>().unwrap() > 1_700_000_000 && micros.parse::<u64>().unwrap() < 1_000_000),
        "{time}"
    );
}

#[test]
fn lolwut_draws_and_tells_versions() {
    let mut peer = Peer::connect(transcript::serve(&[]));
    for line in ["LOLWUT", "LOLWUT VERSION 5", "LOLWUT whatever"] {
        assert!(peer.ask(line).contains("Redis ver. 7.2.4"), "{line}");
    }
    assert_eq!(peer.ask("LOLWUT VERSION x"), "-ERR value is not an integer or out of range");
}
