//! What the latency monitor keeps and how it draws it.

use super::{LatencyMonitor, Summary};

#[test]
fn a_second_keeps_its_worst_and_old_samples_go() {
    let monitor = LatencyMonitor::default();
    monitor.note("command", 100, 20);
    monitor.note("command", 100, 10);
    monitor.note("command", 101, 5);
    let (_, history) = monitor.history(b"COMMAND").unwrap();
    let samples: Vec<_> = history.samples.iter().map(|sample| (sample.at_seconds, sample.latency_ms)).collect();
    assert_eq!((samples, history.worst_ms), (vec![(100, 20), (101, 5)], 20));

    for second in 200..400 {
        monitor.note("command", second, 1);
    }
    let (_, history) = monitor.history(b"command").unwrap();
    assert_eq!((history.samples.len(), history.samples[0].at_seconds, history.worst_ms), (160, 240, 20));
}

#[test]
fn reset_counts_what_it_forgets() {
    let monitor = LatencyMonitor::default();
    monitor.note("command", 1, 1);
    monitor.note("expire-cycle", 1, 1);
    assert_eq!(monitor.reset(&[b"nope".as_slice()]), 0);
    assert_eq!(monitor.reset(&[b"Command".as_slice()]), 1);
    assert_eq!(monitor.reset(&[]), 1);
    assert!(monitor.history(b"expire-cycle").is_none());
}

#[test]
fn a_summary_has_average_deviation_and_period() {
    let monitor = LatencyMonitor::default();
    monitor.note("command", 100, 10);
    monitor.note("command", 104, 30);
    let (_, history) = monitor.history(b"command").unwrap();
    assert_eq!(history.summary(110), Some(Summary { average_ms: 20, deviation_ms: 10, period_seconds: 5.0 }));
}

#[test]
fn a_graph_draws_high_columns_and_ages() {
    let monitor = LatencyMonitor::default();
    for (second, latency_ms) in [(100, 1), (110, 13), (150, 4)] {
        monitor.note("command", second, latency_ms);
    }
    let graph = monitor.history(b"command").unwrap().1.graph("command", 165);
    let lines: Vec<&str> = graph.lines().collect();
    assert_eq!(lines[0], "command - high 13 ms, low 1 ms (all time high 13 ms)");
    assert_eq!(&lines[2..], [" # ", " | ", " |_", "_||", "", "151", "m55", " ss"]);
}
