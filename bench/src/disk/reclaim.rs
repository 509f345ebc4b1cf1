//! Latencies of hits while a writer puts at a steady rate: into a full store, where each segment written has another one
//! reclaimed, and into one with room, where nothing is reclaimed.

use super::child::Turn;
use super::engine::Engine;
use super::load::{entry_len, key};
use crate::clock;
use crate::latency::Latencies;
use crate::library::Random;
use crate::turns::row;
use crate::values::Values;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const VALUE_LEN: usize = 4096;
const CAPACITY: u64 = 256 << 20;

/// Puts per millisecond: 40 MB a second.
const PUTS_PER_MS: u64 = 10;
const DURATION: Duration = Duration::from_secs(6);

pub(super) fn run(turn: &Turn) -> anyhow::Result<()> {
    anyhow::ensure!(turn.subject.is_bounded, "{} does not reclaim", turn.subject.name);
    for (name, room) in [("off", 8), ("on", 1)] {
        let capacity = turn.capacity(CAPACITY);
        let mut setting = turn.setting(capacity * room);
        setting.folder = setting.folder.join(name);
        let engine = (turn.subject.open)(&setting)?;
        let duration = if turn.is_quick { DURATION / 32 } else { DURATION };
        let latencies = measure(engine.as_ref(), capacity, duration)?;
        let case = format!("reclaim-p999/4096/{name}");
        row(&case, latencies.at(0.999), "us");
        for (name, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.99", 0.9999)] {
            row(&format!("{case}/{name}"), latencies.at(quantile), "us");
        }
        row(&format!("{case}/longest"), latencies.longest(), "us");
        eprintln!("{case} {}: {} gets", turn.subject.name, latencies.count());
        latencies.lines().iter().for_each(|line| eprintln!("  {line}"));
        engine.close()?;
    }
    Ok(())
}

/// Fills the store beyond `capacity`, then reads what was put lately while puts go on.
fn measure(engine: &dyn Engine, capacity: u64, duration: Duration) -> anyhow::Result<Latencies> {
    let values = Values::of_len(VALUE_LEN);
    // A quarter: some take two pages for an entry, and something is re-inserted.
    let window = capacity / 4 / entry_len(values.value_len());
    let first = window * 6;
    let next = AtomicU64::new(first);
    for number in 0..first {
        engine.put(&key(number), values.get(number))?;
    }
    engine.settle()?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| -> anyhow::Result<()> {
            let began = clock::now();
            while !is_over.load(Ordering::Relaxed) {
                let due = first + u64::try_from(began.elapsed().as_micros())? * PUTS_PER_MS / 1000;
                for number in next.load(Ordering::Relaxed)..due {
                    engine.put(&key(number), values.get(number))?;
                    next.store(number + 1, Ordering::Relaxed);
                }
                clock::pause(Duration::from_millis(1));
            }
            Ok(())
        });
        let latencies = read(engine, &values, window, &next, duration);
        is_over.store(true, Ordering::Relaxed);
        writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))??;
        latencies
    })
}

fn read(
    engine: &dyn Engine,
    values: &Values,
    window: u64,
    next: &AtomicU64,
    duration: Duration,
) -> anyhow::Result<Latencies> {
    let (mut random, mut latencies, mut hits) = (Random::new(0x4ec), Latencies::new(), 0);
    let began = clock::now();
    while began.elapsed() < duration {
        let number = next.load(Ordering::Relaxed) - 1 - random.next() % window;
        let wanted = key(number);
        let mut is_right = true;
        let before = clock::now();
        let is_hit = engine.get(&wanted, &mut |value| is_right = values.is(number, value))?;
        latencies.add(before.elapsed());
        anyhow::ensure!(is_right, "the value of another key, or a damaged one");
        hits += u64::from(is_hit);
    }
    let share = hits as f64 / latencies.count() as f64;
    anyhow::ensure!(share > 0.95, "only {:.1} % were hits", share * 100.0);
    Ok(latencies)
}
