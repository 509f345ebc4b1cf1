//! Several threads on a cache too small for its keys, so that entries move between memory, the compressed tier and the disk all
//! the time, with the cache closed and opened again now and then. Each key has one owner, who knows what it may be; everybody
//! reads all keys, which moves them. Absence is always allowed. A value that is older than what its owner has made of the key
//! is not: it came back from somewhere.

use super::*;
use scrubjay::{Compressed, EntryOptions, Loaded};
use std::thread;

const THREADS: u64 = 3;
const ROUNDS: u64 = 700;
const LIVES: u64 = 3;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// The version of each of an owner's keys, and whether it may be there.
type Mine = Vec<(u64, bool)>;

fn name(owner: u64, n: u64) -> String {
    format!("{owner}:{n}")
}

fn own(cache: &Cache<String, u64>, owner: u64, seed: u64, mine: &mut Mine) {
    let cache = cache.blocking();
    let mut random = Random(seed * 104_729 + owner * 7919 + 1);
    let keys_max = u64::try_from(mine.len()).unwrap();
    if seed == 0 {
        let tagged = EntryOptions::new().tag(format!("tag {owner}"));
        (0..keys_max).for_each(|n| cache.insert_with(name(owner, n), 0, tagged.clone()).unwrap());
        mine.fill((0, true));
    }
    for round in 1..=ROUNDS {
        let version = seed * ROUNDS + round;
        let n = random.below(keys_max);
        let key = name(owner, n);
        let index = usize::try_from(n).unwrap();
        match random.below(400) {
            0..140 => {
                cache.insert_with(key, version, EntryOptions::new().tag(format!("tag {owner}"))).unwrap();
                mine[index] = (version, true);
            }
            140..210 => {
                cache.remove(&key).unwrap();
                mine[index].1 = false;
            }
            210 => {
                cache.remove_by_tag(&format!("tag {owner}")).unwrap();
                mine.iter_mut().for_each(|state| state.1 = false);
            }
            211 => {
                cache.remove_by_prefix(&format!("{owner}:")).unwrap();
                mine.iter_mut().for_each(|state| state.1 = false);
            }
            212..260 => {
                let loaded = cache.get_or_load(&key, move |_| {
                    Ok::<_, std::io::Error>(Loaded::value(version).tag(format!("tag {owner}")))
                });
                let loaded = loaded.unwrap();
                let (expected, is_there) = mine[index];
                assert!(loaded == version || is_there && loaded == expected, "{key} is {loaded}, was {expected}");
                mine[index] = (loaded, true);
            }
            _ => drop(cache.get(&name(random.below(THREADS), random.below(keys_max)))),
        }
        let n = random.below(keys_max);
        let (expected, is_there) = mine[usize::try_from(n).unwrap()];
        if let Some(found) = cache.get(&name(owner, n)) {
            let was = format!("seed {seed}, round {round}: {} is {found}, was {expected}, {is_there}", name(owner, n));
            assert!(is_there && found == expected, "{was}");
        }
    }
}

fn live(keys_max: u64, make: impl Fn() -> CacheBuilder<String, u64>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut keys: Vec<Mine> = (0..THREADS).map(|_| (0..keys_max).map(|_| (0, false)).collect()).collect();
    let (mut hits, mut written) = (0, 0);
    for seed in 0..LIVES {
        let cache = runtime.block_on(make().build()).unwrap();
        thread::scope(|scope| {
            for (owner, mine) in (0..).zip(&mut keys) {
                let cache = &cache;
                scope.spawn(move || own(cache, owner, seed, mine));
            }
        });
        let stats = cache.stats();
        let below = stats.disk.unwrap();
        (hits, written) = (hits + below.hits, written + below.inserts);
        runtime.block_on(cache.close());
    }
    assert!(hits > 50 && written > 50, "entries moved: {hits} up, {written} down");
}

#[test]
fn nothing_comes_back_that_its_owner_removed_or_replaced() {
    for entries in [8, 40] {
        let (folder, clock) = (folder(), Clock::held());
        live(60, || builder(entries, disk(folder.path()), &clock));
    }
}

#[test]
fn nor_through_three_tiers_or_when_everything_is_written_through() {
    let (first, second, clock) = (folder(), folder(), Clock::held());
    live(400, || builder(8, disk(first.path()).bytes(1 << 20), &clock).compressed(Compressed::bytes(65_536).shards(1)));
    live(60, || builder(8, disk(second.path()).write_through(true), &clock));
}
