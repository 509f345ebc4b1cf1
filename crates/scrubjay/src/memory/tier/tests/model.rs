//! Random operations of one thread. Whoever watches is told of everything that leaves, so the model knows what is there to the
//! last entry; without that it allows absence, and nothing else.

use super::*;
use std::collections::HashMap;
use std::time::Duration;

const KEYS: u64 = 300;
const QUOTAS: [u64; 2] = [150, 80];

struct Config {
    capacity: u64,
    shards: usize,
    is_watched: bool,
    has_partitions: bool,
    weight_max: u64,
    counts_bytes: bool,
}

const PLAIN: Config =
    Config { capacity: 200, shards: 1, is_watched: true, has_partitions: false, weight_max: 1, counts_bytes: false };

#[derive(Clone, Copy, Debug)]
struct Known {
    version: u64,
    deadline_ms: u64,
    weight: u64,
    partition: u16,
}

struct Model<K, V> {
    tier: Tier<K, V>,
    clock: Clock,
    epochs: Arc<Epochs>,
    ledger: Arc<Ledger>,
    config: Config,
    random: Random,
    /// By key: the newest that was stored and has not been told to have left.
    known: HashMap<u64, Known>,
    version: u64,
    counts: HashMap<Reason, u64>,
}

/// A write or a removal of one key, against which what left is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Insert { key: u64 },
    Remove { key: u64 },
    Clear,
    Expire,
    Resize,
}

impl<K: TestKey, V: TestValue> Model<K, V> {
    fn new(config: Config, seed: u64) -> Model<K, V> {
        let mut memory =
            if config.counts_bytes { Memory::bytes(config.capacity) } else { Memory::entries(config.capacity) };
        memory = memory.shards(config.shards);
        if config.has_partitions {
            memory = memory.partition("first", QUOTAS[0]).partition("second", QUOTAS[1]);
        }
        let (clock, epochs) = (Clock::held(), Arc::new(Epochs::new(16)));
        let tier = Tier::new(TierOptions {
            memory,
            clock: clock.clone(),
            epochs: Some(Arc::clone(&epochs)),
            is_watched: config.is_watched,
        });
        let random = Random(seed);
        let known = HashMap::new();
        Model { tier, clock, epochs, ledger: Arc::default(), config, random, known, version: 0, counts: HashMap::new() }
    }

    fn run(mut self, steps: u64) {
        for step in 0..steps {
            self.step();
            self.check_sums();
            if step % 1024 == 0 {
                self.check_all();
            }
        }
        self.check_all();
        let Model { tier, ledger, known, config, .. } = self;
        drop(tier);
        assert_eq!(ledger.live(), 0, "values that nobody dropped, of {}", ledger.opened());
        assert!(config.is_watched || known.len() <= usize::try_from(KEYS).unwrap());
    }

    fn step(&mut self) {
        let key = self.random.below(KEYS);
        match self.random.below(100) {
            0..=34 => self.insert(key),
            35..=54 => self.get(key),
            55..=59 => self.get_many(),
            60..=69 => self.remove(key),
            70..=72 => self.refuse_to_remove(key),
            73..=84 => self.upsert(key),
            85..=93 => self.clock.advance(Duration::from_millis(self.random.below(60))),
            94..=96 => self.expire(),
            97 => self.resize(),
            98 => self.check_all(),
            _ if self.random.is_one_in(10) => self.clear(),
            _ => self.clock.advance(Duration::from_secs(3600)),
        }
    }

    fn new_entry(&mut self, key: u64) -> NewEntry<K, V> {
        self.version += 1;
        let deadline_ms = match self.random.below(3) {
            0 => 0,
            1 => self.clock.now_ms() + 1 + self.random.below(200),
            _ => self.clock.now_ms() + 1 + self.random.below(10_000_000),
        };
        let weight_max = if self.random.is_one_in(500) { self.tier.capacity() } else { self.config.weight_max };
        let weight = u32::try_from(1 + self.random.below(weight_max)).unwrap();
        let partition = if self.config.has_partitions { u16::try_from(key % 3).unwrap() } else { 0 };
        let limit = partition.checked_sub(1).map_or(u64::MAX, |index| QUOTAS[usize::from(index)]);
        let weight = weight.min(u32::try_from(limit).unwrap_or(u32::MAX));
        let value = V::new(key, self.version, &self.ledger);
        let cost = u8::try_from(self.random.below(4)).unwrap();
        NewEntry { key: K::of(key), value, weight, deadline_ms, cost, partition }
    }

    /// What `new` will be known as.
    fn note(&self, new: &NewEntry<K, V>) -> Known {
        let NewEntry { weight, deadline_ms, partition, .. } = *new;
        Known { version: self.version, deadline_ms, weight: u64::from(weight), partition }
    }

    fn insert(&mut self, key: u64) {
        let new = self.new_entry(key);
        let note = self.note(&new);
        let hash = self.tier.hash(&new.key);
        let left = told(&self.tier.insert(hash, new), &self.epochs, &self.tier);
        self.written(key, note, left);
    }

    fn upsert(&mut self, key: u64) {
        let new = self.new_entry(key);
        let note = self.note(&new);
        let is_refused = self.random.is_one_in(3);
        let expected = self.known.get(&key).copied();
        let (now_ms, is_watched) = (self.clock.now_ms(), self.config.is_watched);
        let hash = self.tier.hash(&new.key);
        let own = K::of(key);
        let departed = self.tier.upsert(hash, &own, |old| {
            let seen = old.map(|old| (old.key.number(), old.value.read(), old.deadline_ms, u64::from(old.weight)));
            match (seen, expected) {
                (Some((of, read, deadline_ms, weight)), Some(known)) => {
                    assert!(deadline_ms == 0 || deadline_ms > now_ms, "an expired entry was shown");
                    assert_eq!((of, deadline_ms, weight), (key, known.deadline_ms, known.weight));
                    assert!(read.is_none_or(|read| read == (key, known.version)));
                }
                (Some(seen), None) => panic!("{seen:?} was shown and is not there"),
                (None, Some(known)) => {
                    assert!(!is_watched || is_past(known.deadline_ms, now_ms), "{known:?} was not shown")
                }
                (None, None) => {}
            }
            (!is_refused).then_some(new)
        });
        assert_eq!(departed.is_some(), !is_refused);
        let left = departed.map(|departed| told(&departed, &self.epochs, &self.tier));
        if let Some(left) = left {
            self.written(key, note, left);
        }
    }

    /// After a write: the old entry of the key has left, and then perhaps others, the new one among them.
    fn written(&mut self, key: u64, note: Known, mut left: Vec<Left>) {
        let before = self.known.get(&key).copied();
        let old = before.and_then(|_| left.iter().position(|left| left.key == key)).map(|index| left.remove(index));
        assert!(!self.config.is_watched || old.is_some() == before.is_some(), "{key}: {before:?} {old:?}");
        self.left(Act::Insert { key }, old.into_iter().collect());
        self.known.insert(key, note);
        self.left(Act::Insert { key }, left);
    }

    fn remove(&mut self, key: u64) {
        let own = K::of(key);
        let hash = self.tier.hash(&own);
        let expected = self.known.get(&key).filter(|known| !is_past(known.deadline_ms, self.clock.now_ms())).copied();
        let departed = self.tier.remove_if(hash, &own, Reason::Removed, |value| {
            assert!(expected.is_some(), "{key} is not there");
            value.read().is_none_or(|read| Some(read.1) == expected.map(|known| known.version))
        });
        let is_removed = departed.is_some();
        assert!(!self.config.is_watched || is_removed == expected.is_some());
        let left = departed.map(|departed| told(&departed, &self.epochs, &self.tier)).unwrap_or_default();
        self.epochs.raise(self.epochs.stripe(hash));
        self.left(Act::Remove { key }, left);
        if !self.config.is_watched && (is_removed || expected.is_some()) {
            self.known.remove(&key);
        }
        assert!(self.tier.peek(hash, &own, |_, _| ()).is_none());
    }

    fn refuse_to_remove(&mut self, key: u64) {
        let own = K::of(key);
        assert!(self.tier.remove_if(self.tier.hash(&own), &own, Reason::Removed, |_| false).is_none());
    }

    fn get(&mut self, key: u64) {
        let own = K::of(key);
        let hash = self.tier.hash(&own);
        let show = |key: &K, value: &V| (key.number(), value.read());
        let is_touch = self.random.is_one_in(2);
        let seen = if is_touch { self.tier.get(hash, &own, show) } else { self.tier.peek(hash, &own, show) };
        self.check_seen(key, seen);
    }

    fn get_many(&mut self) {
        let count = self.random.below(40);
        let keys: Vec<K> = (0..count).map(|_| K::of(self.random.below(KEYS))).collect();
        let mut seen = vec![None; keys.len()];
        self.tier.get_many(&keys, |index, key, value| {
            assert!(seen[index].replace((key.number(), value.read())).is_none());
        });
        for (key, seen) in keys.iter().zip(seen) {
            self.check_seen(key.number(), seen);
        }
    }

    fn check_seen(&self, key: u64, seen: Option<(u64, Option<(u64, u64)>)>) {
        let now_ms = self.clock.now_ms();
        let expected = self.known.get(&key).filter(|known| !is_past(known.deadline_ms, now_ms));
        if let Some((of, read)) = seen {
            let known = expected.unwrap_or_else(|| panic!("{key} is not there, and is seen"));
            assert_eq!(of, key);
            assert!(read.is_none_or(|read| read == (key, known.version)), "{read:?} {known:?}");
        } else {
            assert!(!self.config.is_watched || expected.is_none(), "{key} is there, and is not seen");
        }
    }

    fn expire(&mut self) {
        let entries_max = 1 + usize::try_from(self.random.below(2000)).unwrap();
        let left = told(&self.tier.expire(entries_max), &self.epochs, &self.tier);
        self.left(Act::Expire, left);
        if entries_max > 300 && self.config.is_watched {
            let now_ms = self.clock.now_ms();
            let late =
                self.known.values().find(|known| is_past(known.deadline_ms + 64, now_ms) && known.deadline_ms != 0);
            assert!(late.is_none(), "{late:?} at {now_ms}");
        }
    }

    fn clear(&mut self) {
        let left = told(&self.tier.clear(), &self.epochs, &self.tier);
        self.left(Act::Clear, left);
        self.known.clear();
        assert_eq!((self.tier.len(), self.tier.weight()), (0, 0));
    }

    fn resize(&mut self) {
        let capacity = 1 + self.config.capacity / 4 + self.random.below(self.config.capacity * 2);
        let left = told(&self.tier.resize(capacity), &self.epochs, &self.tier);
        self.left(Act::Resize, left);
        assert_eq!(self.tier.capacity(), capacity);
    }

    /// Each of those who left was there, and its reason fits the act.
    fn left(&mut self, act: Act, left: Vec<Left>) {
        let now_ms = self.clock.now_ms();
        for Left { key, version, reason, deadline_ms, weight } in left {
            *self.counts.entry(reason).or_default() += 1;
            let Some(known) = self.known.remove(&key) else {
                panic!("{key} left and was not there: {act:?}, {reason:?}")
            };
            assert!(version.is_none_or(|version| version == known.version), "{act:?} {known:?} {version:?}");
            assert_eq!((deadline_ms, weight), (known.deadline_ms, known.weight));
            let is_past = is_past(deadline_ms, now_ms);
            let (is_insert, is_own) = match act {
                Act::Insert { key: own } => (true, own == key),
                Act::Remove { key: own } => (false, own == key),
                _ => (false, false),
            };
            let fits = match reason {
                Reason::Removed => act == Act::Clear || !is_insert && is_own && !is_past,
                Reason::Replaced => is_insert && is_own,
                Reason::Expired => is_past,
                Reason::Evicted => is_insert || act == Act::Resize,
                Reason::OverQuota => is_insert && known.partition > 0,
            };
            assert!(fits, "{key} left by {act:?} for {reason:?}: {known:?} at {now_ms}");
        }
    }

    /// Sums that are the same whatever was evicted.
    fn check_sums(&self) {
        assert!(self.tier.weight() <= self.tier.capacity(), "{} of {}", self.tier.weight(), self.tier.capacity());
        if !self.config.is_watched {
            return;
        }
        assert_eq!(self.tier.len(), self.known.len());
        assert_eq!(self.tier.weight(), self.known.values().map(|known| known.weight).sum::<u64>());
        for (index, quota) in (1..).zip(QUOTAS) {
            let of_partition = self.known.values().filter(|known| known.partition == index);
            let weight: u64 = of_partition.map(|known| known.weight).sum();
            assert!(weight <= quota, "partition {index} takes {weight} of {quota}");
        }
        for reason in [Reason::Removed, Reason::Replaced, Reason::Expired, Reason::Evicted, Reason::OverQuota] {
            assert_eq!(self.tier.departed_count(reason), self.counts.get(&reason).copied().unwrap_or(0), "{reason:?}");
        }
    }

    /// Every entry is shown once, and every one that is shown is there.
    fn check_all(&mut self) {
        let mut shown = HashMap::new();
        self.tier.for_each(|key, value| assert!(shown.insert(key.number(), value.read()).is_none()));
        for (key, read) in &shown {
            self.check_seen(*key, Some((*key, *read)));
        }
        if self.config.is_watched {
            let now_ms = self.clock.now_ms();
            let live = self.known.values().filter(|known| !is_past(known.deadline_ms, now_ms)).count();
            assert_eq!(shown.len(), live);
        }
    }
}

/// One that left, as it was told.
#[derive(Clone, Debug)]
struct Left {
    key: u64,
    version: Option<u64>,
    reason: Reason,
    deadline_ms: u64,
    weight: u64,
}

fn told<K: TestKey, V: TestValue>(departed: &Departed<'_, K, V>, epochs: &Epochs, tier: &Tier<K, V>) -> Vec<Left> {
    let mut left = Vec::new();
    departed.each(|leaver| {
        assert_eq!(leaver.epoch, epochs.get(epochs.stripe(tier.hash(leaver.key))));
        let read = leaver.value.read();
        let key = leaver.key.number();
        assert!(read.is_none_or(|read| read.0 == key));
        let version = read.map(|read| read.1);
        let (reason, deadline_ms, weight) = (leaver.reason, leaver.deadline_ms, u64::from(leaver.weight));
        left.push(Left { key, version, reason, deadline_ms, weight });
    });
    left
}

fn is_past(deadline_ms: u64, now_ms: u64) -> bool {
    deadline_ms != 0 && now_ms >= deadline_ms
}

fn check<K: TestKey, V: TestValue>(config: Config) {
    let seed = Seed::new();
    Model::<K, V>::new(config, seed.0).run(steps(8000));
}

#[test]
fn small_values_are_what_the_model_says() {
    check::<u64, Counted>(PLAIN);
}

#[test]
fn keys_and_values_on_the_heap_are_what_the_model_says() {
    check::<String, Heap>(PLAIN);
}

#[test]
fn large_values_are_what_the_model_says() {
    check::<u64, Large>(Config { capacity: 100, ..PLAIN });
}

#[test]
fn colliding_keys_are_what_the_model_says() {
    check::<Clash, Counted>(PLAIN);
}

#[test]
fn values_without_a_size_are_what_the_model_says() {
    check::<u64, ()>(PLAIN);
}

#[test]
fn weighed_values_are_what_the_model_says() {
    check::<u64, Counted>(Config { capacity: 1000, weight_max: 20, ..PLAIN });
    check::<u64, Counted>(Config { capacity: 5000, weight_max: 50, counts_bytes: true, ..PLAIN });
}

#[test]
fn several_shards_are_what_the_model_says() {
    let capacity = 4 * SHARD_ENTRIES_MIN;
    check::<u64, Counted>(Config { capacity, shards: 4, weight_max: 60, ..PLAIN });
    check::<String, Heap>(Config { capacity, shards: 4, weight_max: 60, is_watched: false, ..PLAIN });
}

#[test]
fn partitions_are_what_the_model_says() {
    check::<u64, Counted>(Config { has_partitions: true, weight_max: 10, capacity: 300, ..PLAIN });
    let capacity = 4 * SHARD_ENTRIES_MIN;
    check::<u64, Counted>(Config { has_partitions: true, weight_max: 10, capacity, shards: 4, ..PLAIN });
}

#[test]
fn unwatched_entries_are_never_wrong() {
    check::<u64, Counted>(Config { is_watched: false, ..PLAIN });
    check::<Clash, Heap>(Config { is_watched: false, weight_max: 5, ..PLAIN });
}

#[test]
fn one_entry_is_room_for_one() {
    check::<u64, Counted>(Config { capacity: 1, weight_max: 1, ..PLAIN });
    check::<u64, Counted>(Config { capacity: 4, weight_max: 4, ..PLAIN });
}
