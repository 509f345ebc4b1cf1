//! A client that asks for a million values and reads none of them: what it costs, and what the others notice.

use super::load::{self, Act, Load};
use super::subject::{Running, Subject};
use super::{Scale, wire};
use crate::clock;
use crate::report::{Report, median};
use anyhow::Context;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const VALUE_LEN: usize = 4096;
const KEYS: u64 = 1000;

/// Measures what the process grows by, and the median latency of others before and meanwhile.
pub(crate) fn run(subjects: &[Subject], scale: &Scale, report: &mut Report) -> anyhow::Result<()> {
    if !scale.wants("slow-reader/rss") {
        return Ok(());
    }
    for subject in subjects.iter().filter(|subject| subject.name != "memcached") {
        let measured = measure(subject, scale).with_context(|| subject.name.clone())?;
        report.add("slow-reader/rss", &subject.name, "MiB", measured.grown_bytes as f64 / f64::from(1 << 20));
        report.add("slow-reader/latency-before", &subject.name, "us", measured.before_us);
        report.add("slow-reader/latency-meanwhile", &subject.name, "us", measured.meanwhile_us);
    }
    Ok(())
}

struct Measured {
    grown_bytes: u64,
    before_us: f64,
    meanwhile_us: f64,
}

fn measure(subject: &Subject, scale: &Scale) -> anyhow::Result<Measured> {
    let server = subject.start()?;
    let act = Act::Fill { keys: KEYS, value_len: VALUE_LEN, has_ttl: false };
    load::run(&server, &Load { act, connections: 4, depth: 10, duration: Duration::ZERO, seed: 1 })?;
    let others = Load { act: Act::Get { keys: KEYS }, connections: 4, depth: 1, duration: scale.duration, seed: 2 };
    let before_us = median_us(&server, &others)?;
    let rss_before = server.settled_rss()?;
    let (is_over, port) = (AtomicBool::new(false), server.port);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| never_read(port, scale.keys, &is_over));
        let watcher = scope.spawn(|| peak_rss(&server, &is_over));
        let meanwhile = median_us(&server, &Load { duration: scale.duration * 3, ..others });
        is_over.store(true, Ordering::Relaxed);
        reader.join().map_err(|_| anyhow::anyhow!("the slow reader panicked"))??;
        let peak = watcher.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))??;
        Ok(Measured { grown_bytes: peak.saturating_sub(rss_before), before_us, meanwhile_us: meanwhile? })
    })
}

fn median_us(server: &Running, load: &Load) -> anyhow::Result<f64> {
    let times = load::run(server, load)?.batch_times;
    Ok(median(times.iter().map(|time| time.as_secs_f64() * 1e6).collect()))
}

/// Sends reads for as long as the server takes them and stays connected; reads nothing.
fn never_read(port: u16, requests: u64, is_over: &AtomicBool) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_write_timeout(Some(Duration::from_millis(50)))?;
    let mut out = Vec::new();
    for number in 0..requests {
        wire::append_get(wire::Protocol::Redis, &mut out, &wire::key(number % KEYS));
    }
    let mut sent = 0;
    while !is_over.load(Ordering::Relaxed) {
        if sent == out.len() {
            clock::pause(Duration::from_millis(10));
            continue;
        }
        match stream.write(&out[sent..(sent + (64 << 10)).min(out.len())]) {
            Ok(count) => sent += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            // Disconnected at the output limit: that is an answer too.
            Err(_) => break,
        }
    }
    Ok(())
}

fn peak_rss(server: &Running, is_over: &AtomicBool) -> anyhow::Result<u64> {
    let mut peak = 0;
    while !is_over.load(Ordering::Relaxed) {
        peak = peak.max(server.rss()?);
        clock::pause(Duration::from_millis(10));
    }
    Ok(peak)
}
