//! INFO: which sections are shown, the form of the fields, numbers for people and for JSON.

use super::facts::{CommandFacts, DbFacts, Facts};
use super::{json, process, sections, text};
use std::collections::BTreeMap;
use std::time::Duration;

fn facts() -> Facts {
    let latency = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 98, 1, 0, 1];
    Facts {
        clients: 3,
        memory_used: 1 << 20,
        memory_peak: 2 << 20,
        memory_resident: 3 << 20,
        run_id: "0".repeat(40),
        has_latencies: true,
        percentiles: vec![50.0, 99.0, 99.9],
        commands: vec![
            CommandFacts { name: "get".into(), calls: 100, nanos: 250_000, rejected: 1, failed: 2, latency },
            CommandFacts { name: "set".into(), ..CommandFacts::default() },
        ],
        errors: BTreeMap::from([("ERR".to_owned(), 5)]),
        databases: vec![DbFacts { db: 0, keys: 10, expires: 4 }],
        ..Facts::default()
    }
}

fn titles(asked: &[&[u8]]) -> Vec<String> {
    let text = text(&facts(), asked);
    text.lines().filter_map(|line| line.strip_prefix("# ")).map(str::to_owned).collect()
}

#[test]
fn sections_are_those_that_are_asked_for_in_redis_order() {
    let default = [
        "Server",
        "Clients",
        "Memory",
        "Persistence",
        "Stats",
        "Replication",
        "CPU",
        "Modules",
        "Errorstats",
        "Cluster",
        "Keyspace",
    ];
    assert_eq!(titles(&[]), default);
    assert_eq!(titles(&[b"default"]), default);
    assert_eq!(titles(&[b"Keyspace", b"CPU", b"cpu"]), ["CPU", "Keyspace"]);
    assert_eq!(titles(&[b"all"]).len(), 13);
    assert_eq!(titles(&[b"EVERYTHING"]).len(), 13);
    assert_eq!(titles(&[b"default", b"commandstats"]).len(), 12);
    assert_eq!(text(&facts(), &[b"nonsense"]), "");
}

#[test]
fn fields_are_in_the_form_that_tools_read() {
    let shown = text(&facts(), &[b"clients", b"commandstats", b"errorstats", b"latencystats", b"keyspace"]);
    for line in [
        "# Clients\r\nconnected_clients:3\r\n",
        "\r\n\r\n# Commandstats\r\n",
        "cmdstat_get:calls=100,usec=250,usec_per_call=2.50,rejected_calls=1,failed_calls=2\r\n",
        "errorstat_ERR:count=5\r\n",
        "latency_percentiles_usec_get:p50=1.024,p99=2.048,p99.9=8.192\r\n",
        "db0:keys=10,expires=4,avg_ttl=0\r\n",
    ] {
        assert!(shown.contains(line), "{line:?} is not in {shown}");
    }
    assert!(!shown.contains("set:"));
}

#[test]
fn bytes_for_people_are_written_as_redis_writes_them() {
    let cases = [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.00K"),
        (1536, "1.50K"),
        ((1 << 20) - 1, "1024.00K"),
        (1 << 20, "1.00M"),
        (5 << 30, "5.00G"),
        (3 << 40, "3.00T"),
    ];
    for (bytes, shown) in cases {
        assert_eq!(sections::human(bytes), shown);
    }
    assert!(sections::human(u64::MAX).ends_with('P'));
}

#[test]
fn json_has_numbers_as_numbers_and_groups_as_objects() {
    let json = json(&facts());
    assert_eq!(json["clients"]["connected_clients"], 3);
    assert_eq!(json["server"]["redis_version"], "7.2.4");
    assert_eq!(json["replication"]["master_replid2"], "0".repeat(40));
    assert_eq!(json["commandstats"]["cmdstat_get"]["usec_per_call"], 2.5);
    assert_eq!(json["keyspace"]["db0"]["keys"], 10);
    assert_eq!(json["stats"]["instantaneous_input_kbps"], 0.0);
}

#[test]
fn cpu_time_is_read_behind_a_name_with_blanks_and_parentheses() {
    let stat = "12 (a ) b) R 1 2 3 4 5 6 7 8 9 10 250 50 0 0";
    let time = process::parse_stat(stat, 100);
    assert_eq!((time.user, time.system), (Duration::from_millis(2500), Duration::from_millis(500)));
    assert_eq!(process::parse_stat("", 100).user, Duration::ZERO);
    assert!(process::resident_bytes() > 0);
}
