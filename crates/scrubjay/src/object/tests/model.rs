//! Random histories of processes over one store, against what may be read.
//!
//! Every value says its key and its number in the history. A process may read of a key: nothing, or a value that was put
//! there and not removed, or cleared away, or written over by what this process knows: by its own changes at once, by a settled one of
//! another after it has looked for news, and for good. A killed process' values that were not written may be gone, and
//! what they stood over may be there again; what was removed may not.

use super::faults::Faulty;
use super::*;
use std::collections::HashMap;

const KEYS: u64 = 12;
const STEPS: u64 = 250;

struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        hash::hash_of(&self.0.to_le_bytes()) % limit
    }
}

/// A process, and for each key the first number of a value that it may read.
struct Process {
    tier: Arc<ObjectTier>,
    floor: HashMap<u64, u64>,
}

struct History {
    clock: Clock,
    store: Arc<Faulty>,
    chance: Chance,
    processes: Vec<Process>,
    /// Per key: removals of this number and before are in the store.
    removed: HashMap<u64, u64>,
    step: u64,
    hits: u64,
}

fn key(number: u64) -> String {
    format!("key {number}")
}

impl History {
    async fn new(seed: u64, one_in: u64, tears: bool) -> History {
        let (clock, store) = (Clock::tokio(), Faulty::new(store(), seed, 0, tears));
        let mut history = History {
            clock,
            store,
            chance: Chance(seed),
            processes: Vec::new(),
            removed: HashMap::new(),
            step: 0,
            hits: 0,
        };
        for _ in 0..2 {
            let process = history.process().await;
            history.processes.push(process);
        }
        history.store.one_in(one_in);
        history
    }

    fn object(&self) -> Object {
        let object = on(&self.store).read_timeout(SECOND / 2).write_timeout(SECOND).tend(true);
        object.large_bytes(600).flush_interval(20 * SECOND).refresh_interval(10 * SECOND)
    }

    async fn process(&mut self) -> Process {
        let tier = ObjectTier::open(setup(self.object(), &self.clock)).unwrap();
        // It may not come to know what is there: then it reads nothing.
        let _ = tier.refresh().await;
        Process { tier, floor: self.removed.clone() }
    }

    async fn look(&mut self, at: usize) {
        let removed = self.removed.clone();
        if self.processes[at].tier.refresh().await.is_ok() {
            for (key, number) in removed {
                let floor = self.processes[at].floor.entry(key).or_insert(0);
                *floor = number.max(*floor);
            }
        }
    }

    /// Whether what was just removed is in the store.
    async fn settle(&mut self, at: usize, keys: std::ops::Range<u64>) {
        let step = self.step;
        if self.processes[at].tier.settle().await == Settled::Gone {
            keys.clone().for_each(|key| _ = self.removed.insert(key, step));
        }
        keys.for_each(|key| _ = self.processes[at].floor.insert(key, step));
    }

    async fn step(&mut self) {
        self.step += 1;
        let at = usize::try_from(self.chance.below(2)).unwrap();
        let number = self.chance.below(KEYS);
        // No two changes in the same millisecond: of those either may be the later.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let dice = self.chance.below(100);
        match dice {
            0..40 => {
                let len = usize::try_from(self.chance.below(800)).unwrap();
                let value = format!("{number} {} {}", self.step, "x".repeat(len));
                put(&self.processes[at].tier, &key(number), &value);
                self.processes[at].floor.insert(number, self.step);
            }
            40..75 => self.read(at, number).await,
            75..84 => {
                self.processes[at].tier.remove(key(number).as_bytes());
                self.settle(at, number..number + 1).await;
            }
            84..86 => {
                self.processes[at].tier.raise(Mark::Cleared);
                self.settle(at, 0..KEYS).await;
            }
            86..91 => _ = self.processes[at].tier.flush().await,
            91..95 => self.look(at).await,
            95..97 => tokio::time::sleep(Duration::from_secs(self.chance.below(400))).await,
            97..98 => {
                let tier = Arc::clone(&self.processes[at].tier);
                tier.close().await;
                self.processes[at] = self.process().await;
            }
            _ => self.processes[at] = self.process().await,
        }
    }

    async fn read(&mut self, at: usize, number: u64) {
        let process = &self.processes[at];
        let Some(value) = get(&process.tier, &key(number)).await else { return };
        let mut parts = value.split(' ');
        let (of, put_at): (u64, u64) = (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap());
        let floor = process.floor.get(&number).copied().unwrap_or(0);
        assert!(of == number && put_at >= floor, "process {at} read {value:.20} of key {number} after step {floor}");
        self.hits += 1;
    }
}

async fn play(seed: u64, one_in: u64, tears: bool) -> u64 {
    let mut history = History::new(seed, one_in, tears).await;
    for _ in 0..STEPS {
        history.step().await;
    }
    history.store.one_in(0);
    tokio::time::sleep(120 * SECOND).await;
    for at in 0..2 {
        history.settle(at, 0..0).await;
        history.processes[at].tier.refresh().await.unwrap();
        for number in 0..KEYS {
            history.read(at, number).await;
        }
    }
    history.hits
}

#[tokio::test(start_paused = true)]
async fn no_history_of_two_processes_reads_what_was_removed() {
    let mut hits = 0;
    for seed in 0..12 {
        hits += play(seed, 0, false).await;
    }
    assert!(hits > 500, "{hits} hits");
}

#[tokio::test(start_paused = true)]
async fn no_history_over_a_store_that_fails_and_hangs_reads_what_was_removed() {
    let mut hits = 0;
    for seed in 100..112 {
        hits += play(seed, 3 + seed % 20, false).await;
    }
    assert!(hits > 100, "{hits} hits");
}

#[tokio::test(start_paused = true)]
async fn no_history_over_a_store_that_tears_objects_reads_what_was_removed() {
    let mut hits = 0;
    for seed in 200..212 {
        hits += play(seed, 3 + seed % 20, true).await;
    }
    assert!(hits > 50, "{hits} hits");
}

/// Without another process and without faults, everything that was put is there.
#[tokio::test(start_paused = true)]
async fn a_process_alone_finds_what_a_map_has() {
    for seed in 0..6 {
        let (store, clock, mut chance) = (store(), Clock::tokio(), Chance(seed));
        let object = || on(&store).large_bytes(600).pack_bytes(64 << 10);
        let (mut tier, mut map) = (open(object(), &clock).await, HashMap::new());
        for step in 0..400 {
            let number = chance.below(40);
            match chance.below(20) {
                0..9 => {
                    let len = usize::try_from(chance.below(900)).unwrap();
                    let value = format!("{step} {}", "x".repeat(len));
                    put(&tier, &key(number), &value);
                    map.insert(number, value);
                }
                9..15 => {
                    assert_eq!(get(&tier, &key(number)).await.as_ref(), map.get(&number), "seed {seed}, step {step}")
                }
                15..17 => assert_eq!(tier.remove(key(number).as_bytes()), map.remove(&number).is_some()),
                17 => tier.flush().await.unwrap(),
                18 if step % 10 == 0 => {
                    tier.raise(Mark::Cleared);
                    map.clear();
                }
                18 => tokio::time::sleep(Duration::from_secs(chance.below(1000))).await,
                _ => {
                    tier.close().await;
                    tier = open(object(), &clock).await;
                }
            }
        }
        let keys: Vec<Vec<u8>> = (0..40).map(|number| key(number).into_bytes()).collect();
        let found = tier.get_many(&keys).await;
        for (number, (key, found)) in (0..40).zip(keys.iter().zip(found)) {
            assert_eq!(text(&tier, key, found).as_ref(), map.get(&number));
        }
    }
}
