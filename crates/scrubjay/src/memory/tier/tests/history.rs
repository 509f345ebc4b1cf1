//! Several threads at once. Each key has one writer, which says after each finished write how old a value may still be
//! seen; readers hold the tier to it.

use super::*;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const WRITERS: u64 = 2;
const READERS: u64 = 2;

/// What is promised about one key.
#[derive(Default)]
struct Promise {
    /// No read that begins now sees an older version.
    floor: AtomicU64,
    /// No read that has ended saw a newer version.
    ceiling: AtomicU64,
}

struct History<K, V> {
    tier: Tier<K, V>,
    clock: Clock,
    promises: Vec<Promise>,
    ledger: Arc<Ledger>,
    is_over: AtomicBool,
}

fn tier<K: TestKey, V: TestValue>(capacity: u64, is_watched: bool) -> (Tier<K, V>, Clock) {
    let clock = Clock::held();
    let memory = Memory::entries(capacity).shards(4);
    (Tier::new(TierOptions { memory, clock: clock.clone(), epochs: None, is_watched }), clock)
}

impl<K: TestKey, V: TestValue> History<K, V> {
    fn write(&self, writer: u64, steps: u64, mut random: Random) {
        let keys_each = self.promises.len() as u64 / WRITERS;
        for _ in 0..steps {
            let key = random.below(keys_each) * WRITERS + writer;
            let promise = &self.promises[usize::try_from(key).unwrap()];
            let own = K::of(key);
            let hash = self.tier.hash(&own);
            let version = promise.ceiling.load(Ordering::Relaxed) + 1;
            let deadline_ms = if random.is_one_in(3) { self.clock.now_ms() + 1 + random.below(500) } else { 0 };
            let new = |version| {
                let value = V::new(key, version, &self.ledger);
                NewEntry { key: own.clone(), value, weight: 1, deadline_ms, cost: 0, partition: 0 }
            };
            match random.below(10) {
                0..=5 => {
                    promise.ceiling.store(version, Ordering::SeqCst);
                    drop(self.tier.insert(hash, new(version)));
                    promise.floor.store(version, Ordering::SeqCst);
                }
                6 | 7 => {
                    drop(self.tier.remove_if(hash, &own, Reason::Removed, |_| true));
                    promise.floor.store(version, Ordering::SeqCst);
                }
                _ => {
                    promise.ceiling.store(version, Ordering::SeqCst);
                    let departed = self.tier.upsert(hash, &own, |old| {
                        if let Some((of, seen)) = old.and_then(|old| old.value.read()) {
                            assert!(of == key && seen >= promise.floor.load(Ordering::SeqCst) && seen < version);
                        }
                        Some(new(version))
                    });
                    assert!(departed.is_some());
                    drop(departed);
                    promise.floor.store(version, Ordering::SeqCst);
                }
            }
            self.read(key, &mut 0);
        }
    }

    /// Reads a key, and moves on the version that this reader has seen of it.
    fn read(&self, key: u64, seen_last: &mut u64) {
        let promise = &self.promises[usize::try_from(key).unwrap()];
        let own = K::of(key);
        let floor = promise.floor.load(Ordering::SeqCst).max(*seen_last);
        let found = self.tier.get(self.tier.hash(&own), &own, |found, value| (found.number(), value.read()));
        let Some((found, read)) = found else { return };
        assert_eq!(found, key);
        let Some((of, version)) = read else { return };
        let ceiling = promise.ceiling.load(Ordering::SeqCst);
        assert_eq!(of, key);
        assert!((floor..=ceiling).contains(&version), "{key}: {version} is not in {floor}..={ceiling}");
        *seen_last = version;
    }

    fn read_on(&self, mut random: Random) {
        let mut seen_last = vec![0; self.promises.len()];
        while !self.is_over.load(Ordering::Relaxed) {
            let key = random.below(self.promises.len() as u64);
            self.read(key, &mut seen_last[usize::try_from(key).unwrap()]);
            if random.is_one_in(50) {
                self.read_many(&mut random);
            }
            if random.is_one_in(2000) {
                self.tier.for_each(|key, value| {
                    assert!(value.read().is_none_or(|(of, _)| of == key.number()));
                });
            }
        }
    }

    fn read_many(&self, random: &mut Random) {
        let keys: Vec<K> = (0..20).map(|_| K::of(random.below(self.promises.len() as u64))).collect();
        let floors: Vec<u64> = keys.iter().map(|key| self.promise(key).floor.load(Ordering::SeqCst)).collect();
        self.tier.get_many(&keys, |index, key, value| {
            assert!(*key == keys[index]);
            if let Some((of, version)) = value.read() {
                assert!(of == key.number() && version >= floors[index]);
                assert!(version <= self.promise(key).ceiling.load(Ordering::SeqCst));
            }
        });
    }

    fn promise(&self, key: &K) -> &Promise {
        &self.promises[usize::try_from(key.number()).unwrap()]
    }

    /// What may happen at any time and takes entries away.
    fn upset(&self, capacity: u64, mut random: Random) {
        while !self.is_over.load(Ordering::Relaxed) {
            match random.below(100) {
                0 => drop(self.tier.clear()),
                1..=10 => drop(self.tier.resize(capacity / 4 + random.below(capacity))),
                11..=40 => drop(self.tier.expire(100)),
                _ => self.clock.advance(Duration::from_millis(random.below(20))),
            }
            std::thread::yield_now();
        }
    }
}

fn check<K: TestKey, V: TestValue>(capacity: u64, keys: u64, is_watched: bool) {
    let seed = Seed::new();
    let (tier, clock) = tier::<K, V>(capacity, is_watched);
    let promises = (0..keys).map(|_| Promise::default()).collect();
    let history = History { tier, clock, promises, ledger: Arc::default(), is_over: AtomicBool::new(false) };
    std::thread::scope(|scope| {
        let history = &history;
        let random = |number| Random(seed.0 ^ number);
        let ends = |result: std::thread::Result<()>| {
            history.is_over.store(true, Ordering::Relaxed);
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        };
        for reader in 0..READERS {
            scope.spawn(move || history.read_on(random(reader)));
        }
        scope.spawn(move || history.upset(capacity, random(98)));
        let writers: Vec<_> =
            (0..WRITERS).map(|w| scope.spawn(move || history.write(w, steps(20_000), random(10 + w)))).collect();
        let results: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        results.into_iter().for_each(ends);
    });
    let History { tier, ledger, .. } = history;
    drop(tier);
    assert_eq!(ledger.live(), 0, "values that nobody dropped, of {}", ledger.opened());
}

#[test]
fn versions_never_go_back_and_what_was_removed_stays_away() {
    check::<u64, Counted>(4096, 64, false);
    check::<u64, Counted>(4096, 6000, true);
}

#[test]
fn heap_values_are_read_whole_while_they_are_replaced_and_evicted() {
    check::<String, Heap>(4096, 20, true);
    check::<String, Heap>(4096, 6000, false);
}

#[test]
fn large_values_are_never_torn() {
    check::<u64, Large>(512, 16, false);
    check::<u64, Large>(512, 1000, true);
}

#[test]
fn colliding_keys_are_kept_apart() {
    check::<Clash, Counted>(64, 40, false);
}

#[test]
fn no_upsert_is_lost() {
    let (tier, _) = tier::<u64, Tally>(4096, false);
    let rounds = steps(5_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..rounds {
                    let key = round % 3;
                    let departed = tier.upsert(tier.hash(&key), &key, |old| {
                        let value = Tally(old.map_or(0, |old| old.value.0) + 1);
                        Some(NewEntry { key, value, weight: 1, deadline_ms: 0, cost: 0, partition: 0 })
                    });
                    assert!(departed.is_some());
                }
            });
        }
    });
    let counts = [0, 1, 2].map(|key| tier.peek(tier.hash(&key), &key, |_, value| value.0).unwrap());
    assert_eq!(counts.iter().sum::<u64>(), 4 * rounds);
}

/// A count, replaced as a whole.
struct Tally(u64);

impl TestValue for Tally {
    fn new(_: u64, version: u64, _: &Arc<Ledger>) -> Tally {
        Tally(version)
    }

    fn read(&self) -> Option<(u64, u64)> {
        None
    }
}
