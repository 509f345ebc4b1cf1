//! The admin listener over HTTP, and the form of `/metrics`.

use crate::{Config, Server};
use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

struct Running {
    server: Server,
    _folder: tempfile::TempDir,
}

fn start() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("bind", "127.0.0.1:0"),
        ("admin-bind", "127.0.0.1:0"),
        ("dir", folder.path().to_str().unwrap()),
        ("save", ""),
        ("threads", "2"),
    ];
    Running { server: Server::start(Config::with(settings).unwrap()).unwrap(), _folder: folder }
}

/// Status and body of a GET.
fn fetch(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

fn command(server: &Server, words: &[&str]) -> String {
    let mut stream = TcpStream::connect(server.address().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(format!("{}\r\nQUIT\r\n", words.join(" ")).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Checks the text format line by line; returns the samples by name and labels.
fn check_format(text: &str) -> HashMap<String, f64> {
    let (mut samples, mut families) = (HashMap::new(), HashSet::new());
    let (mut family, mut kind) = (String::new(), String::new());
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["#", "HELP", name, help @ ..] => {
                assert!(families.insert((*name).to_owned()), "{name} has two families");
                assert!(!help.is_empty(), "{name} has no help");
                family = (*name).to_owned();
                kind.clear();
            }
            ["#", "TYPE", name, type_name] => {
                assert_eq!(*name, family);
                assert!(["counter", "gauge"].contains(type_name), "{line}");
                kind = (*type_name).to_owned();
            }
            _ => {
                let (sample, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = sample.split_once('{').unwrap_or((sample, "}"));
                assert_eq!(name, family, "{line} stands in another family");
                assert!(!kind.is_empty() && is_name(name), "{line}");
                let labels = labels.strip_suffix('}').unwrap();
                for label in labels.split("\",").filter(|label| !label.is_empty()) {
                    let (label, text) = label.split_once("=\"").unwrap();
                    assert!(is_name(label) && !text.trim_end_matches('"').contains('"'), "{line}");
                }
                let value: f64 = value.parse().unwrap();
                assert!(kind != "counter" || value >= 0.0, "{line}");
                assert!(samples.insert(sample.to_owned(), value).is_none(), "{sample} stands twice");
            }
        }
    }
    assert!(text.ends_with('\n'));
    samples
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.as_bytes()[0].is_ascii_digit()
}

#[test]
fn health_and_readiness_answer() {
    let running = start();
    let admin = running.server.admin_address().unwrap();
    assert_eq!(fetch(admin, "/healthz"), (200, "ok\n".to_owned()));
    assert_eq!(fetch(admin, "/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(fetch(admin, "/nothing").0, 404);
    running.server.shared().is_ready.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(fetch(admin, "/readyz"), (503, "loading\n".to_owned()));
    assert_eq!(fetch(admin, "/healthz").0, 200);
}

#[test]
fn metrics_are_well_formed_and_count_what_happened() {
    let running = start();
    let admin = running.server.admin_address().unwrap();
    for words in [["SET", "k", "v", "EX", "100"].as_slice(), &["GET", "k"], &["GET", "missing"], &["INCR", "k"]] {
        command(&running.server, words);
    }
    let (status, text) = fetch(admin, "/metrics");
    assert_eq!(status, 200);
    let samples = check_format(&text);
    let expected = [
        ("redis_up", 1.0),
        ("redis_commands_total{cmd=\"get\"}", 2.0),
        ("redis_commands_failed_calls_total{cmd=\"incr\"}", 1.0),
        ("redis_keyspace_hits_total", 1.0),
        ("redis_keyspace_misses_total", 1.0),
        ("redis_db_keys{db=\"db0\"}", 1.0),
        ("redis_db_keys_expiring{db=\"db0\"}", 1.0),
        ("redis_connections_received_total", 4.0),
        ("redis_errors_total{err=\"ERR\"}", 1.0),
        ("scrubjay_threads", 2.0),
    ];
    for (sample, value) in expected {
        assert_eq!(samples.get(sample), Some(&value), "{sample}");
    }
    assert!(samples["redis_memory_used_rss_bytes"] > 0.0);
    let later = check_format(&fetch(admin, "/metrics").1);
    for (sample, value) in samples.iter().filter(|(sample, _)| sample.contains("_total")) {
        assert!(later[sample] >= *value, "{sample} fell");
    }
}

#[test]
fn info_is_json() {
    let running = start();
    command(&running.server, &["SET", "k", "v"]);
    let (status, text) = fetch(running.server.admin_address().unwrap(), "/info");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status, 200);
    assert_eq!(json["server"]["redis_version"], "7.2.4");
    assert_eq!(json["keyspace"]["db0"]["keys"], 1);
    assert_eq!(json["commandstats"]["cmdstat_set"]["calls"], 1);
}

#[test]
fn port_zero_turns_the_listener_off_and_a_taken_port_is_an_error_when_it_was_asked_for() {
    let running = start();
    let taken = running.server.admin_address().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let base = [("bind", "127.0.0.1:0"), ("dir", folder.path().to_str().unwrap()), ("save", "")];
    let off = Server::start(Config::with(base.into_iter().chain([("admin-port", "0")])).unwrap()).unwrap();
    assert_eq!(off.admin_address(), None);
    let refused = Server::start(Config::with(base.into_iter().chain([("admin-port", taken.as_str())])).unwrap());
    let error = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.starts_with("admin-bind, admin-port: cannot listen on 127.0.0.1:"), "{error}");
}
