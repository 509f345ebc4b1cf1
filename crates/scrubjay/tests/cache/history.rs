//! Several threads on a cache too small for its keys, so that entries move all the time. Each key has one owner, who writes
//! and removes it and so knows what it may be; everybody reads all keys, which moves them. Absence is always allowed. A value
//! that is older than what its owner has made of the key is not: it came back from somewhere.

use super::now;
use scrubjay::{BoxError, Cache, Codec, Compressed, EntryOptions, Memory, Postcard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::yield_now;

const THREADS: u64 = 4;
const ROUNDS: u64 = 4_000;

/// How many entries memory holds, and how many keys each owner has.
#[derive(Clone, Copy)]
struct Size {
    entries: u64,
    keys: u64,
}

/// So small that every shard is full of entries on the move, and larger.
const SIZES: [Size; 3] =
    [Size { entries: 8, keys: 100 }, Size { entries: 32, keys: 100 }, Size { entries: 128, keys: 500 }];

/// Postcard, and now and then another thread's turn: in the middle of a demotion or a promotion, when it matters.
struct Yielding;

impl Codec<u64> for Yielding {
    fn id(&self) -> u8 {
        202
    }

    fn encode(&self, value: &u64, out: &mut Vec<u8>) -> Result<(), BoxError> {
        if value.is_multiple_of(4) {
            yield_now();
        }
        Postcard.encode(value, out)
    }

    fn decode(&self, bytes: &[u8]) -> Result<u64, BoxError> {
        let value: u64 = Postcard.decode(bytes)?;
        if value.is_multiple_of(2) {
            yield_now();
        }
        Ok(value)
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn key(owner: u64, n: u64) -> String {
    format!("{owner}:{n}")
}

fn build(runtime: &tokio::runtime::Runtime, name: &str, size: Size) -> Cache<String, u64> {
    let handle = runtime.handle().clone();
    let builder = Cache::builder(name).memory(Memory::entries(size.entries));
    now(builder.compressed_with(Compressed::bytes(65_536), Yielding).runtime(handle).build()).unwrap()
}

/// One owner's life: what it removed is gone, what it wrote is there or absent.
fn own(cache: &Cache<String, u64>, owner: u64, seed: u64, keys_max: u64) {
    let mut random = Random(seed + owner * 7919 + 1);
    // The version of each of my keys, and whether it may be there.
    let mut keys: Vec<(u64, bool)> = (0..keys_max).map(|_| (0, false)).collect();
    for version in 1..=ROUNDS {
        let n = random.below(keys_max);
        let mine = key(owner, n);
        let state = &mut keys[usize::try_from(n).unwrap()];
        match random.below(400) {
            0..140 => {
                let options = EntryOptions::new().tag(format!("tag {owner}"));
                now(cache.insert_with(mine.clone(), version, options)).unwrap();
                *state = (version, true);
            }
            140..220 => {
                now(cache.remove(&mine)).unwrap();
                state.1 = false;
            }
            220 => {
                now(cache.remove_by_tag(&format!("tag {owner}"))).unwrap();
                keys.iter_mut().for_each(|state| state.1 = false);
            }
            221 => {
                now(cache.remove_by_prefix(&format!("{owner}:"))).unwrap();
                keys.iter_mut().for_each(|state| state.1 = false);
            }
            _ => drop(now(cache.get(&key(random.below(THREADS), random.below(keys_max))))),
        }
        let n = if version % 3 == 0 { random.below(keys_max) } else { n };
        let (expected, is_there) = keys[usize::try_from(n).unwrap()];
        if let Some(found) = now(cache.get(&key(owner, n))) {
            assert!(
                is_there && found == expected,
                "seed {seed}, round {version}: key {owner}:{n} is {found}, was {expected}, {is_there}"
            );
        }
    }
}

#[test]
fn nothing_comes_back_that_its_owner_removed_or_replaced() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for (number, size) in (0..).zip(SIZES) {
        // How many entries move hangs on how the threads meet: again, until enough have moved to notice.
        let (mut inserts, mut promoted) = (0, 0);
        for attempt in 0..8 {
            let (cache, seed) = (build(&runtime, "history", size), number + 100 * attempt);
            std::thread::scope(|scope| {
                for owner in 0..THREADS {
                    let cache = &cache;
                    scope.spawn(move || own(cache, owner, seed, size.keys));
                }
            });
            let below = cache.stats().compressed.unwrap();
            inserts += below.inserts;
            promoted += below.departures.promoted;
            if inserts > 1000 && promoted > 500 {
                break;
            }
        }
        assert!(inserts > 1000 && promoted > 500, "{inserts} went down, {promoted} up");
    }
}

#[test]
fn a_load_never_brings_back_what_was_removed_after_it_began() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    SIZES.into_iter().for_each(|size| load_and_remove(&runtime, size));
}

fn load_and_remove(runtime: &tokio::runtime::Runtime, size: Size) {
    let keys_max = size.keys;
    let cache = build(runtime, "loads", size);
    let truth: Arc<Vec<AtomicU64>> = Arc::new((0..THREADS * keys_max).map(|_| AtomicU64::new(0)).collect());
    let load = |owner: u64, n: u64| {
        let truth = Arc::clone(&truth);
        let index = usize::try_from(owner * keys_max + n).unwrap();
        let owned = key(owner, n);
        let cache = cache.clone();
        async move {
            let read = async move |_| {
                let value = truth[index].load(Ordering::SeqCst);
                tokio::task::yield_now().await;
                Ok::<_, std::io::Error>(value)
            };
            cache.get_or_load(&owned, read).await.unwrap()
        }
    };
    std::thread::scope(|scope| {
        for owner in 0..THREADS {
            let (cache, truth, load) = (&cache, &truth, &load);
            scope.spawn(move || {
                let mut random = Random(owner + 1);
                for _ in 0..600 {
                    let n = random.below(keys_max);
                    let index = usize::try_from(owner * keys_max + n).unwrap();
                    let version = truth[index].fetch_add(1, Ordering::SeqCst) + 1;
                    match random.below(8) {
                        0 => drop(now(cache.remove_by_prefix(&key(owner, n))).unwrap()),
                        1 => now(cache.clear()).unwrap(),
                        _ => drop(now(cache.remove(&key(owner, n))).unwrap()),
                    }
                    assert_eq!(runtime.block_on(load(owner, n)), version, "key {owner}:{n}");
                    runtime.block_on(load(random.below(THREADS), random.below(keys_max)));
                }
            });
        }
    });
}
