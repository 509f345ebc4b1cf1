//! The keyspace against a plain map: the same operations on both, every answer compared. With every n-th request for room
//! refused, too: a write that fails has changed nothing.

use super::{NOW_MS, Random, keyspace, seed};
use crate::{Cursor, Db, Entry, Expiry, Full, Held, Keyspace, Owned};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, PartialEq, Eq)]
struct Value {
    bytes: Vec<u8>,
    expires_at_ms: Option<u64>,
    is_raw: bool,
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (len, first) = (self.bytes.len(), self.bytes.first());
        write!(f, "{len} bytes from {first:?}, expires {:?}, raw {}", self.expires_at_ms, self.is_raw)
    }
}

struct Model {
    dbs: Vec<BTreeMap<Vec<u8>, Value>>,
    now_ms: u64,
}

impl Model {
    fn get(&mut self, db: Db, key: &[u8]) -> Option<Value> {
        let now_ms = self.now_ms;
        let map = &mut self.dbs[usize::from(db.0)];
        if map.get(key).is_some_and(|value| value.expires_at_ms.is_some_and(|at| at <= now_ms)) {
            map.remove(key);
        }
        map.get(key).cloned()
    }

    fn put(&mut self, db: Db, key: &[u8], value: Value) {
        self.dbs[usize::from(db.0)].insert(key.to_vec(), value);
    }

    fn live(&self, db: Db) -> BTreeMap<Vec<u8>, Value> {
        let is_live = |value: &Value| value.expires_at_ms.is_none_or(|at| at > self.now_ms);
        self.dbs[usize::from(db.0)]
            .iter()
            .filter(|(_, value)| is_live(value))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    }
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Get,
    Set,
    Resize,
    Remove,
    Move,
    SetExpiry,
    Scan,
    Later,
    Expire,
    Flush,
    Swap,
}

/// What a run looks like: how many keys it draws from, how large values are, how often keys go.
#[derive(Clone, Copy, Debug)]
struct Shape {
    keys: u64,
    value_len_max: u64,
    removals: u64,
    steps: u64,
    /// Every n-th request for room is refused, unless 0.
    refuse_every: usize,
}

fn pick(random: &mut Random, shape: Shape) -> Operation {
    match random.below(1000 + shape.removals) {
        0..=249 => Operation::Get,
        250..=599 => Operation::Set,
        600..=699 => Operation::Resize,
        700..=779 => Operation::Move,
        780..=899 => Operation::SetExpiry,
        900..=959 => Operation::Scan,
        960..=989 => Operation::Later,
        990..=998 => Operation::Expire,
        999 if random.below(20) == 0 => Operation::Flush,
        999 => Operation::Swap,
        _ => Operation::Remove,
    }
}

fn key_of(random: &mut Random, shape: Shape) -> Vec<u8> {
    let number = random.below(shape.keys);
    match number % 50 {
        // Keys of more than 255 bytes, and a few that are too large for a slot.
        0 => format!("{number:0>300}").into_bytes(),
        1 if number < 1000 => format!("{number:0>9000}").into_bytes(),
        _ => format!("key:{number}").into_bytes(),
    }
}

fn value_of(random: &mut Random, shape: Shape) -> Vec<u8> {
    let len = match random.below(20) {
        0 => random.below(20_000),
        1 => random.below(300),
        _ => random.below(shape.value_len_max),
    };
    let fill = random.next() as u8;
    (0..len).map(|at| fill.wrapping_add(at as u8)).collect()
}

fn expiry_of(random: &mut Random, now_ms: u64) -> u64 {
    match random.below(10) {
        // Before 2020 and after 2054: the wide form.
        0 => 4_000_000_000_000,
        1 => 1_000,
        _ => now_ms + random.below(10_000),
    }
}

struct Run {
    space: Keyspace,
    model: Model,
    random: Random,
    shape: Shape,
}

/// Says how to repeat a run that fails.
struct Story(u64, u32, Shape);

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}, {} stripes, {:?}", self.0, self.1, self.2);
        }
    }
}

fn run(seed: u64, stripes: u32, shape: Shape) {
    let _story = Story(seed, stripes, shape);
    let model = Model { dbs: vec![BTreeMap::new(); 4], now_ms: NOW_MS };
    let mut run = Run { space: keyspace(stripes), model, random: Random(seed), shape };
    run.space.usage.refuse_every(shape.refuse_every);
    for step in 0..shape.steps {
        let operation = pick(&mut run.random, shape);
        let db = Db(if run.random.below(10) == 0 { run.random.below(4) as u16 } else { 0 });
        let key = key_of(&mut run.random, shape);
        run.apply(operation, db, &key);
        if step % (shape.steps / 20).max(1) == 0 {
            run.compare();
        }
    }
    run.compare();
    // Whatever was refused: what is there can be removed, and then nothing is left that is charged.
    run.space.usage.refuse_every(0);
    let is_empty = run.random.below(2) == 0;
    for db in (0..4).map(Db) {
        if is_empty {
            run.space.exclusive().hold_all(run.model.now_ms).flush(db);
        } else {
            for key in run.model.dbs[usize::from(db.0)].clone().into_keys() {
                run.remove(db, &key);
            }
        }
    }
    run.space.validate();
    assert!(!is_empty || run.space.memory_used() == 0, "a keyspace without keys is charged with nothing");
}

fn seen(entry: &Entry<'_>) -> Value {
    Value { bytes: entry.value.to_vec(), expires_at_ms: entry.expires_at_ms, is_raw: entry.is_raw }
}

impl Run {
    fn apply(&mut self, operation: Operation, db: Db, bytes: &[u8]) {
        let now_ms = self.model.now_ms;
        match operation {
            Operation::Get => self.get(db, bytes),
            Operation::Set => self.set(db, bytes),
            Operation::Resize => self.resize(db, bytes),
            Operation::Remove => self.remove(db, bytes),
            Operation::Move => self.move_key(db, bytes),
            Operation::SetExpiry => self.set_expiry(db, bytes),
            Operation::Scan => self.scan(db),
            Operation::Later => self.model.now_ms += self.random.below(200),
            Operation::Expire => {
                self.space.expire_some(0, 1, now_ms, self.random.below(5_000) as usize);
            }
            Operation::Flush => {
                self.space.exclusive().hold_all(now_ms).flush(db);
                self.model.dbs[usize::from(db.0)].clear();
            }
            Operation::Swap => {
                let other = Db(self.random.below(4) as u16);
                self.space.exclusive().hold_all(now_ms).swap(db, other);
                self.model.dbs.swap(usize::from(db.0), usize::from(other.0));
            }
        }
    }

    /// Runs `act` with the latches of `keys` held, at the model's time.
    fn held<R>(&self, keys: &[&[u8]], act: impl FnOnce(&mut Held<'_>) -> R) -> R {
        let hashes: Vec<_> = keys.iter().map(|key| self.space.key(key).hash).collect();
        let pass = self.space.pass(0);
        act(&mut pass.latch(&hashes, self.model.now_ms))
    }

    /// Whether a write was done; it may fail only where room is refused.
    fn is_done<T>(&self, outcome: Result<T, Full>) -> bool {
        assert!(outcome.is_ok() || self.shape.refuse_every > 0, "there is room");
        outcome.is_ok()
    }

    fn get(&mut self, db: Db, bytes: &[u8]) {
        let found = self.held(&[bytes], |held| held.get(db, &held.key(bytes)).as_ref().map(seen));
        assert_eq!(found, self.model.get(db, bytes));
    }

    fn set(&mut self, db: Db, bytes: &[u8]) {
        let value = value_of(&mut self.random, self.shape);
        let before = self.model.get(db, bytes);
        let (expiry, expires_at_ms) = match self.random.below(4) {
            0 => (Expiry::Keep, before.and_then(|before| before.expires_at_ms)),
            1 => {
                let at = expiry_of(&mut self.random, self.model.now_ms);
                (Expiry::At(at), Some(at))
            }
            _ => (Expiry::Clear, None),
        };
        let stored = self.held(&[bytes], |held| held.set(db, &held.key(bytes), &value, expiry));
        if self.is_done(stored) {
            self.model.put(db, bytes, Value { bytes: value, expires_at_ms, is_raw: false });
        }
    }

    fn resize(&mut self, db: Db, bytes: &[u8]) {
        let absent = Value { bytes: Vec::new(), expires_at_ms: None, is_raw: true };
        let before = self.model.get(db, bytes).unwrap_or(absent);
        let len = match self.random.below(3) {
            0 => before.bytes.len() + self.random.below(40) as usize,
            1 => self.random.below(before.bytes.len() as u64 + 1) as usize,
            _ => self.random.below(12_000) as usize,
        };
        let mut expected = before.bytes;
        expected.resize(len, 0);
        let at = self.random.below(len.max(1) as u64) as usize;
        let resized = self.held(&[bytes], |held| {
            let value = held.resize(db, &held.key(bytes), len)?;
            assert_eq!(value, expected);
            if let Some(byte) = value.get_mut(at) {
                *byte ^= 0x5A;
            }
            Ok(())
        });
        if !self.is_done(resized) {
            return;
        }
        if let Some(byte) = expected.get_mut(at) {
            *byte ^= 0x5A;
        }
        self.model.put(db, bytes, Value { bytes: expected, expires_at_ms: before.expires_at_ms, is_raw: true });
    }

    fn remove(&mut self, db: Db, bytes: &[u8]) {
        let was_there = self.model.get(db, bytes).is_some();
        self.model.dbs[usize::from(db.0)].remove(bytes);
        assert_eq!(self.held(&[bytes], |held| held.remove(db, &held.key(bytes))), was_there);
    }

    fn move_key(&mut self, db: Db, bytes: &[u8]) {
        let target = key_of(&mut self.random, self.shape);
        let expected = self.model.get(db, bytes);
        let moved = self.held(&[bytes, &target], |held| {
            let taken = held.take(db, &held.key(bytes));
            let shown = taken.as_ref().map(|taken| Value {
                bytes: taken.value.clone(),
                expires_at_ms: taken.expires_at_ms,
                is_raw: taken.is_raw,
            });
            assert_eq!(shown, expected);
            if let Some(taken) = taken {
                let key = held.key(&target);
                held.insert(db, &key, Owned { idle_seconds: 3, ..taken })?;
                let entry = held.peek(db, &key);
                assert!(entry.is_none_or(|entry| entry.idle_seconds == 3));
            }
            Ok(())
        });
        let is_done = self.is_done(moved);
        self.model.get(db, &target);
        if let Some(value) = expected {
            self.model.dbs[usize::from(db.0)].remove(bytes);
            if is_done {
                self.model.put(db, &target, value);
            }
        }
    }

    fn set_expiry(&mut self, db: Db, bytes: &[u8]) {
        let now_ms = self.model.now_ms;
        let at = (self.random.below(4) > 0).then(|| expiry_of(&mut self.random, now_ms));
        let before = self.model.get(db, bytes);
        let done = self.held(&[bytes], |held| held.set_expiry(db, &held.key(bytes), at));
        if !self.is_done(done) {
            return;
        }
        assert_eq!(done, Ok(before.is_some()));
        if let Some(value) = before {
            self.model.put(db, bytes, Value { expires_at_ms: at, ..value });
        }
    }

    /// A few steps of a walk, or all of it, over a keyspace that stands still: every key, each once.
    fn scan(&mut self, db: Db) {
        let mut seen = BTreeSet::new();
        let mut cursor = Cursor::START;
        for _ in 0..if self.random.below(10) == 0 { usize::MAX } else { 3 } {
            let count = 1 + self.random.below(300) as usize;
            cursor = self.held(&[], |held| {
                held.scan(db, cursor, count, |key, _| {
                    assert!(seen.insert(key.to_vec()), "a key came twice though nothing changed");
                })
            });
            if cursor.is_end() {
                assert_eq!(seen, self.model.live(db).into_keys().collect());
                break;
            }
        }
    }

    fn compare(&self) {
        self.space.validate();
        for db in (0..4).map(Db) {
            let mut found = BTreeMap::new();
            self.held(&[], |held| {
                held.for_each(db, |key, entry| {
                    assert!(found.insert(key.to_vec(), seen(&entry)).is_none(), "a key stands twice");
                });
            });
            assert_eq!(found, self.model.live(db));
        }
    }
}

#[test]
fn agrees_with_a_map_while_it_grows() {
    for stripes in [1, 4] {
        run(seed(), stripes, Shape { keys: 20_000, value_len_max: 40, removals: 0, steps: 60_000, refuse_every: 0 });
    }
}

#[test]
fn agrees_with_a_map_while_keys_come_and_go() {
    run(seed() + 1, 1, Shape { keys: 3_000, value_len_max: 200, removals: 600, steps: 60_000, refuse_every: 0 });
}

#[test]
fn agrees_with_a_map_on_few_keys_of_any_size() {
    run(seed() + 2, 2, Shape { keys: 60, value_len_max: 9_000, removals: 100, steps: 20_000, refuse_every: 0 });
}

#[test]
fn agrees_with_a_map_when_room_is_refused() {
    for (at, refuse_every) in (3..).zip([3, 4, 7, 23, 101, 1_009]) {
        let keys = if refuse_every > 20 { 8_000 } else { 800 };
        let shape = Shape { keys, value_len_max: 60, removals: 200, steps: 20_000, refuse_every };
        run(seed() + at, 1 + refuse_every as u32 % 2, shape);
    }
}

#[test]
fn agrees_with_a_map_in_many_short_lives_of_any_shape() {
    let mut random = Random(seed());
    for _ in 0..150 {
        let sizes = [random.below(14), random.below(14)].map(|bits| 1 + random.below(1 << bits));
        let shape = Shape {
            keys: sizes[0],
            value_len_max: sizes[1],
            removals: random.below(1_000),
            steps: random.below(1_500),
            refuse_every: if random.below(2) == 0 { 0 } else { 3 + random.below(60) as usize },
        };
        run(random.next(), 1 << random.below(3), shape);
    }
}
