//! CPU time, wall time and latencies of puts, hits and misses, one after the other in one process.
//!
//! CPU time is that of the whole process, from before the first operation until the background is idle again. Every
//! eighth operation's latency is measured: looking at the clock twice costs as much as a miss.

use super::child::{THREADS, Turn};
use super::engine::Engine;
use super::load::{entry_len, key};
use crate::clock;
use crate::latency::Latencies;
use crate::library::Random;
use crate::turns::row;
use crate::values::Values;
use std::panic::resume_unwind;
use std::sync::Barrier;
use std::time::Duration;

/// How many operations on values of which length.
struct Size {
    value_len: usize,
    entries: u64,
    hits: u64,
    misses: u64,
}

/// More than anybody's own caches hold.
const SIZES: &[Size] = &[
    Size { value_len: 4096, entries: 128 << 10, hits: 256 << 10, misses: 1 << 20 },
    Size { value_len: 128, entries: 512 << 10, hits: 512 << 10, misses: 1 << 20 },
    Size { value_len: 102_400, entries: 5 << 10, hits: 10 << 10, misses: 0 },
];

/// One in so many operations is timed.
const TIMED: u64 = 8;

/// Hits that a subject must have where all keys were put; less is a loss that nobody told of.
const HITS_LEAST: f64 = 0.99;

pub(super) fn run(turn: &Turn, value_len: &str) -> anyhow::Result<()> {
    let size = SIZES.iter().find(|size| size.value_len.to_string() == value_len);
    let size = size.ok_or_else(|| anyhow::anyhow!("{value_len}: no such case"))?;
    let values = Values::of_len(size.value_len);
    let (entries, hits, misses) = (turn.scaled(size.entries), turn.scaled(size.hits), turn.scaled(size.misses));
    let engine = (turn.subject.open)(&turn.roomy(entries, entry_len(values.value_len())))?;
    let engine = engine.as_ref();

    let case = format!("put/{value_len}");
    measure(&case, engine, entries, |number, _| {
        engine.put(&key(number), values.get(number))?;
        Ok(true)
    })?;
    let found = measure(&format!("hit/{value_len}"), engine, hits, |_, random| {
        let number = random.next() % entries;
        let mut is_right = true;
        let is_hit = engine.get(&key(number), &mut |value| is_right = values.is(number, value))?;
        anyhow::ensure!(is_right, "the value of another key, or a damaged one");
        Ok(is_hit)
    })?;
    let share = found as f64 / hits as f64;
    anyhow::ensure!(share >= HITS_LEAST, "only {:.2} % of what was put is there", share * 100.0);
    if misses > 0 {
        let found = measure(&format!("miss/{value_len}"), engine, misses, |_, random| {
            engine.get(&key(entries + random.next() % (1 << 40)), &mut |_| ())
        })?;
        anyhow::ensure!(found == 0, "{found} keys are there that never were put");
    }
    Ok(())
}

/// Runs `operation` so many times on all threads, which number them between themselves, and prints what it took. Returns how
/// often it said yes.
fn measure(
    case: &str,
    engine: &dyn Engine,
    operations: u64,
    operation: impl Fn(u64, &mut Random) -> anyhow::Result<bool> + Sync,
) -> anyhow::Result<u64> {
    let start = Barrier::new(THREADS);
    let each = operations / THREADS as u64;
    let work = |thread: u64| -> anyhow::Result<(Duration, Latencies, u64)> {
        let (mut random, mut latencies, mut found) = (Random::new(0xd15c + thread), Latencies::new(), 0);
        start.wait();
        let began = clock::now();
        for turn in 0..each {
            let number = turn * THREADS as u64 + thread;
            if turn % TIMED == 0 {
                let before = clock::now();
                found += u64::from(operation(number, &mut random)?);
                latencies.add(before.elapsed());
            } else {
                found += u64::from(operation(number, &mut random)?);
            }
        }
        Ok((began.elapsed(), latencies, found))
    };
    let before = clock::process_cpu_ns();
    let work = &work;
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS as u64).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    engine.settle()?;
    let cpu_ns = clock::process_cpu_ns() - before;
    let (mut wall, mut latencies, mut found) = (Duration::ZERO, Latencies::new(), 0);
    for result in results {
        let (thread_wall, thread_latencies, thread_found) = result?;
        wall += thread_wall;
        latencies.merge(&thread_latencies);
        found += thread_found;
    }
    let done = (each * THREADS as u64) as f64;
    row(case, cpu_ns as f64 / 1000.0 / done, "us CPU/op");
    row(&format!("{case}/wall"), wall.as_nanos() as f64 / done, "ns/op");
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        row(&format!("{case}/{name}"), latencies.at(quantile), "us");
    }
    Ok(found)
}
