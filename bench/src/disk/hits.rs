//! Hit ratios of engines that evict by themselves: get, and put on a miss, on keys drawn by Zipf's law, twice as many as
//! fit. Beside exact LRU, whose entries cost their keys and values and not a byte more.

use super::child::{Turn, capacity_of};
use super::load::{entry_len, key};
use crate::hitratio::lru_hits;
use crate::library::{Random, Zipf, mixed};
use crate::turns::row;
use crate::values::Values;

/// An entry takes less than 4 KiB with its header, so that whole pages, which some take, waste nothing.
const VALUE_LEN: usize = 3900;
const CAPACITY: u64 = 256 << 20;

/// Requests per key; the first half is not counted.
const REQUESTS_PER_KEY: usize = 8;

pub(super) fn run(turn: &Turn, exponent: &str) -> anyhow::Result<()> {
    anyhow::ensure!(turn.subject.is_bounded, "{} does not evict", turn.subject.name);
    let values = Values::of_len(VALUE_LEN);
    let capacity = turn.capacity(CAPACITY);
    let requests = requests(capacity, exponent)?;
    let engine = (turn.subject.open)(&turn.setting(capacity))?;
    let mut hits = 0;
    for (index, object) in requests.iter().enumerate() {
        let number = u64::from(*object);
        let mut is_right = true;
        if engine.get(&key(number), &mut |value| is_right = values.is(number, value))? {
            hits += u64::from(index >= requests.len() / 2);
        } else {
            engine.put(&key(number), values.get(number))?;
        }
        anyhow::ensure!(is_right, "the value of another key, or a damaged one");
    }
    row(&format!("hitratio/zipf{exponent}"), percent(hits, requests.len()), "%");
    Ok(())
}

/// What LRU over as many entries as have room for their keys and values would reach.
pub(super) fn lru(is_quick: bool, exponent: &str) -> anyhow::Result<f64> {
    let capacity = capacity_of(CAPACITY, is_quick);
    let requests = requests(capacity, exponent)?;
    let entries = entries(capacity)?;
    let hits = |requests: &[u32]| lru_hits(requests, entries * 2, entries);
    Ok(percent(hits(&requests) - hits(&requests[..requests.len() / 2]), requests.len()))
}

/// Of the half that counts.
fn percent(hits: u64, requests: usize) -> f64 {
    hits as f64 * 100.0 / (requests - requests / 2) as f64
}

/// How many entries fit.
fn entries(capacity: u64) -> anyhow::Result<usize> {
    Ok(usize::try_from(capacity / entry_len(VALUE_LEN))?)
}

fn requests(capacity: u64, exponent: &str) -> anyhow::Result<Vec<u32>> {
    let keys = entries(capacity)? * 2;
    let zipf = Zipf::new(keys, exponent.parse()?);
    let mut random = Random::new(mixed(0x21));
    Ok((0..keys * REQUESTS_PER_KEY).map(|_| u32::try_from(zipf.draw(&mut random)).unwrap_or(u32::MAX)).collect())
}
