//! What a hit in memory costs, with the shared server behind it that may change the entry at any time, and without.

use super::store::Store;
use super::turn::Turn;
use crate::clock;
use crate::library::Random;
use crate::turns::row;
use std::hint::black_box;
use std::time::Duration;

/// Few enough for the caches of the processor: what is compared is the way to the entry.
const KEYS: u64 = 1000;

/// Lookups between two looks at the clock.
const BLOCK: usize = 1000;
const DURATION: Duration = Duration::from_millis(400);

pub(super) async fn run<S: Store>(turn: &Turn, tracking: &str) -> anyhow::Result<()> {
    let mut setting = turn.setting(KEYS * 4);
    setting.is_alone = tracking == "tracking-off";
    let store = S::connect(&setting).await?;
    let keys: Vec<String> = (0..KEYS).map(|number| format!("{}:hot:{number:06}", turn.subject.name)).collect();
    for key in &keys {
        store.insert(key, &[7; 100]).await?;
    }
    let mut random = Random::new(0x407);
    let sequence: Vec<&String> =
        (0..64 * BLOCK).map(|_| &keys[usize::try_from(random.next() % KEYS).unwrap_or(0)]).collect();
    // Some take an entry into memory only when it is asked for again and again.
    measure(&store, &sequence, turn.lasting(DURATION)).await?;
    let (wall, cpu) = measure(&store, &sequence, turn.lasting(DURATION * 2)).await?;
    row(&format!("memory-hit/{tracking}"), wall, "ns/op");
    row(&format!("memory-hit/{tracking}/cpu"), cpu, "ns/op");
    Ok(())
}

/// Wall and CPU time of a lookup, in nanoseconds.
async fn measure<S: Store>(store: &S, sequence: &[&String], duration: Duration) -> anyhow::Result<(f64, f64)> {
    let (began, cpu) = (clock::now(), clock::process_cpu_ns());
    let mut operations = 0;
    for block in sequence.chunks(BLOCK).cycle() {
        for key in block {
            let value = store.get(key).await?;
            anyhow::ensure!(black_box(value).is_some(), "{key} is not there");
        }
        operations += block.len();
        if began.elapsed() >= duration {
            break;
        }
    }
    let cpu = clock::process_cpu_ns() - cpu;
    Ok((began.elapsed().as_nanos() as f64 / operations as f64, cpu as f64 / operations as f64))
}
