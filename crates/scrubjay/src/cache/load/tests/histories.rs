//! Histories of many tasks on many threads, checked for promises 1 and 2.
//!
//! Each key has one writer. It makes a new version true, invalidates the old one in one of the ways there are, and then writes
//! the version down as the key's floor. A read that begins afterwards returns a version that is no older, and of that key.

use super::*;
use crate::FailSafe;

const KEYS: usize = 8;
const TASKS: usize = 4;
const OPERATIONS: usize = 4_000;

type Value = (u64, u64);

struct World {
    cache: Cache<String, Value>,
    clock: Clock,
    truth: [AtomicU64; KEYS],
    floor: [AtomicU64; KEYS],
}

/// A small generator of numbers, for each task its own.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

fn name(key: usize) -> String {
    format!("{}/{key}", key % 2)
}

impl World {
    fn key(name: &str) -> usize {
        name[2..].parse().unwrap()
    }

    async fn fetch(&self, key: usize, yields: usize, fails: bool) -> Result<Loaded<Value>, Down> {
        let version = self.truth[key].load(Ordering::SeqCst);
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        let value = (u64::try_from(key).unwrap(), version);
        if fails { Err(Down(0)) } else { Ok(Loaded::value(value).tag("all").tag(name(key))) }
    }

    async fn write(&self, key: usize, dice: &mut Dice) {
        let version = self.truth[key].fetch_add(1, Ordering::SeqCst) + 1;
        let value = (u64::try_from(key).unwrap(), version);
        match dice.roll(12) {
            0..3 => drop(self.cache.remove(&name(key)).await.unwrap()),
            3..6 => {
                let options = EntryOptions::new().tag("all").tag(name(key));
                self.cache.insert_with(name(key), value, options).await.unwrap();
            }
            6..9 => self.cache.remove_by_tag(&name(key)).await.unwrap(),
            9 => self.cache.remove_by_tag("all").await.unwrap(),
            10 => drop(self.cache.remove_by_prefix(&name(key)).await.unwrap()),
            _ => self.cache.clear().await.unwrap(),
        }
        self.floor[key].fetch_max(version, Ordering::SeqCst);
    }

    async fn read(self: &Arc<World>, key: usize, dice: &mut Dice) {
        let floor = self.floor[key].load(Ordering::SeqCst);
        let (yields, fails) = (dice.roll(4), dice.roll(8) == 0);
        let world = Arc::clone(self);
        let name = name(key);
        let read = match dice.roll(8) {
            0 => self.cache.get(&name).await,
            1 => self.cache.peek(&name).await,
            2 => self.cache.get_many(std::slice::from_ref(&name)).await.remove(0),
            3 => {
                let loader = move |keys: Vec<String>| async move {
                    let mut loaded = Vec::new();
                    for name in &keys {
                        loaded.push(world.fetch(World::key(name), yields, fails).await?);
                    }
                    Ok::<_, Down>(loaded)
                };
                let other = super::histories::name((key + 1) % KEYS);
                self.cache.get_or_load_many(&[name, other], loader).await.remove(0).ok().flatten()
            }
            _ => {
                self.cache.get_or_load(&name, move |_| async move { world.fetch(key, yields, fails).await }).await.ok()
            }
        };
        if let Some((of, version)) = read {
            assert_eq!(of, u64::try_from(key).unwrap(), "a value of its own key");
            assert!(version >= floor, "key {key}: version {version} came back after {floor} was invalidated");
        }
    }
}

async fn run(seed: u64, change: impl FnOnce(CacheBuilder<String, Value>) -> CacheBuilder<String, Value>) {
    let clock = Clock::held();
    let builder = Cache::builder("histories").memory(Memory::entries(1_000)).clock(clock.clone()).time_to_live(s(10));
    let cache = change(builder).build().await.unwrap();
    let numbers = || std::array::from_fn(|_| AtomicU64::new(0));
    let world = Arc::new(World { cache, clock, truth: numbers(), floor: numbers() });
    let mut tasks = Vec::new();
    for task in 0..TASKS {
        let writer = Arc::clone(&world);
        let mut dice = Dice((seed << 8) + u64::try_from(2 * task).unwrap() + 1);
        tasks.push(tokio::spawn(async move {
            for _ in 0..OPERATIONS {
                writer.write(task + TASKS * dice.roll(KEYS / TASKS), &mut dice).await;
                if dice.roll(10) == 0 {
                    writer.clock.advance(s(3));
                }
                tokio::task::yield_now().await;
            }
        }));
        let reader = Arc::clone(&world);
        let mut dice = Dice((seed << 8) + u64::try_from(2 * task).unwrap() + 2);
        tasks.push(tokio::spawn(async move {
            for _ in 0..OPERATIONS {
                reader.read(dice.roll(KEYS), &mut dice).await;
            }
        }));
    }
    for task in tasks {
        task.await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    let stats = world.cache.stats();
    assert!(stats.loads > 0 && stats.memory.hits > 0, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_invalidated_is_read_again() {
    for seed in 1..=3 {
        run(seed, |builder| builder).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_invalidated_is_read_again_where_stale_values_serve() {
    let fail_safe = FailSafe { max_stale: s(30), throttle: s(3) };
    for seed in 4..=6 {
        run(seed, |builder| builder.stale_while_revalidate(s(5)).refresh_ahead(0.5).fail_safe(fail_safe)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_invalidated_is_read_again_where_memory_is_scarce() {
    for seed in 7..=9 {
        run(seed, |builder| builder.memory(Memory::entries(4)).compressed(crate::Compressed::bytes(1 << 20))).await;
    }
}
