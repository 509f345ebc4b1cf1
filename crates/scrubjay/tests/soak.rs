//! A full cache under churn: what the process takes stays near the budget, with keys and values of mixed size.
//!
//! By default a short run. `SCRUBJAY_SOAK=1` is the long one, some five minutes on two cores:
//! `SCRUBJAY_SOAK=1 cargo test --release -p scrubjay --test soak -- --nocapture`; a larger number is that many times longer.
//! Alone in its process, since it looks at the memory of the whole process.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use scrubjay::{Memory, MemoryCache};
use std::sync::Barrier;
use std::thread;

const THREADS: usize = 2;
/// Of the budget that the entries weigh at least, once the cache is full.
const FULL_PERCENT: u64 = 95;
/// How far beyond the budget the process may grow.
const EXCESS_PERCENT: u64 = 10;

struct Scale {
    budget: u64,
    rounds: u64,
    operations_per_round: u64,
}

fn scale() -> Scale {
    match std::env::var("SCRUBJAY_SOAK").ok().and_then(|factor| factor.parse::<u64>().ok()) {
        Some(factor) => Scale { budget: 512 << 20, rounds: 20 * factor.max(1), operations_per_round: 2_000_000 },
        None => Scale { budget: 64 << 20, rounds: 4, operations_per_round: 30_000 },
    }
}

/// Bytes of this process that lie in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// A small generator (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Keys of 10 to 90 bytes: their number says how long they are.
fn key(number: u64) -> String {
    let width = 10 + usize::try_from(number.wrapping_mul(0x9e37_79b9) >> 16 & 0xffff).unwrap() % 80;
    let mut key = format!("{number:0width$}");
    // Spare capacity is what the weigher cannot see.
    key.shrink_to_fit();
    key
}

/// Values from nothing to 16 KiB, every power of two as often.
fn value(random: &mut Random) -> Vec<u8> {
    let end = 1_u64 << random.below(14);
    let len = end + random.below(end);
    vec![u8::try_from(len % 251).unwrap(); usize::try_from(len).unwrap()]
}

fn churn(cache: &MemoryCache<String, Vec<u8>>, random: &mut Random, operations: u64, keys: u64) {
    for _ in 0..operations {
        // Some keys are asked for far more often than others.
        let span = 1 + random.below(keys);
        let number = random.below(span);
        let key = key(number);
        match random.below(20) {
            0 => drop(cache.remove(&key)),
            1..=2 => cache.insert(key, value(random)).unwrap(),
            3 => _ = cache.update(&key, |bytes| *bytes = bytes[bytes.len() / 2..].to_vec()).unwrap(),
            // Short, since a reader holds back what leaves.
            _ => match cache.get_with(&key, |bytes| bytes.first() == bytes.last()) {
                Some(is_whole) => assert!(is_whole),
                None => cache.insert(key, value(random)).unwrap(),
            },
        }
    }
}

/// What a round ended with.
struct Figures {
    weight: u64,
    resident: u64,
}

/// The same threads all the time, as in a server: glibc gives new ones new arenas, and the old ones' free memory to nobody.
fn soak(cache: &MemoryCache<String, Vec<u8>>, scale: &Scale) -> Vec<Figures> {
    let before = resident();
    // The mean entry weighs about 2 KiB: some ten times as many keys as there is room for.
    let keys = scale.budget / 256;
    let barrier = Barrier::new(THREADS + 1);
    thread::scope(|scope| {
        for number in 0..THREADS {
            let barrier = &barrier;
            scope.spawn(move || {
                let mut random = Random(number as u64);
                for _ in 0..scale.rounds {
                    churn(cache, &mut random, scale.operations_per_round, keys);
                    barrier.wait();
                    barrier.wait();
                }
            });
        }
        let round = |round| {
            barrier.wait();
            let figures = Figures { weight: cache.weight(), resident: resident().saturating_sub(before) };
            let (weight, resident) = (percent(figures.weight, scale.budget), percent(figures.resident, scale.budget));
            println!("round {round}: {} entries, weight {weight:.1} %, resident {resident:.1} %", cache.len());
            barrier.wait();
            figures
        };
        (0..scale.rounds).map(round).collect()
    })
}

#[test]
fn a_full_cache_takes_no_more_than_its_budget() {
    let scale = scale();
    let budget = scale.budget;
    let cache = MemoryCache::builder().memory(Memory::bytes(budget)).build().unwrap();
    let rounds = soak(&cache, &scale);
    let full = rounds.iter().filter(|round| round.weight >= budget * FULL_PERCENT / 100).count();
    // A reader that the system put to sleep holds memory back, and the cache gives room for that.
    assert!(full * 4 >= rounds.len() * 3, "full in {full} of {} rounds", rounds.len());
    for round in rounds {
        assert!(round.weight <= budget);
        let taken = percent(round.resident, budget);
        assert!(round.resident <= budget * (100 + EXCESS_PERCENT) / 100, "{taken:.1} % of the budget");
    }
}

#[allow(clippy::cast_precision_loss, reason = "for a reader")]
fn percent(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64 * 100.0
}
