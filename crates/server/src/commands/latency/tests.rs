//! LATENCY on the wire.

use crate::transcript::{Peer, serve};

#[test]
fn slow_commands_become_samples() {
    let mut peer = Peer::connect(serve(&[("latency-monitor-threshold", "5")]));
    peer.check(&[("latency latest", "*0"), ("latency history command", "*0"), ("debug sleep 0.02", "+OK")]);
    let latest = peer.ask("latency latest");
    assert!(latest.starts_with("*1 *4 $7 command :"), "{latest}");
    assert!(peer.ask("latency history command").starts_with("*1 *2 :"));
    assert!(peer.ask("latency graph command").contains("command - high "));
    assert!(peer.ask("latency doctor").contains("1. command: 1 latency spikes (average "));
    peer.check(&[
        ("latency reset nope", ":0"),
        ("latency reset command", ":1"),
        ("latency graph command", "-ERR No samples available for event 'command'"),
        ("latency nope", "-ERR unknown subcommand 'nope'. Try LATENCY HELP."),
    ]);
}

#[test]
fn without_a_threshold_the_doctor_says_so() {
    let mut peer = Peer::connect(serve(&[]));
    assert!(peer.ask("latency doctor").contains("CONFIG SET latency-monitor-threshold"));
}

#[test]
fn histograms_count_calls() {
    let mut peer = Peer::connect(serve(&[]));
    peer.check(&[("set a b", "+OK"), ("set a c", "+OK"), ("latency histogram nope", "*0")]);
    let histogram = peer.ask("latency histogram set");
    assert!(histogram.starts_with("*2 $3 set *4 $5 calls :2 $14 histogram_usec *"), "{histogram}");
    assert!(histogram.ends_with(" :2"), "the last bucket counts all calls: {histogram}");
    assert!(peer.ask("latency histogram latency").contains("$17 latency|histogram"));
}
