//! The keyspace against a plain map: the same operations on both, every answer compared.

use super::{NOW_MS, Random, keyspace, seed};
use crate::{Cursor, Db, Expiry, Keyspace, Owned};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    bytes: Vec<u8>,
    expires_at_ms: Option<u64>,
    is_raw: bool,
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
#[derive(Clone, Copy)]
struct Shape {
    keys: u64,
    value_len_max: u64,
    removals: u64,
    steps: u64,
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

fn run(seed: u64, stripes: u32, shape: Shape) {
    let space = keyspace(stripes);
    let mut model = Model { dbs: vec![BTreeMap::new(); 4], now_ms: NOW_MS };
    let mut random = Random(seed);
    for step in 0..shape.steps {
        let operation = pick(&mut random, shape);
        let db = Db(if random.below(10) == 0 { random.below(4) as u16 } else { 0 });
        let key = key_of(&mut random, shape);
        apply(&space, &mut model, &mut random, shape, operation, db, &key);
        if step % (shape.steps / 20).max(1) == 0 {
            space.validate();
            compare(&space, &model);
        }
    }
    space.validate();
    compare(&space, &model);
}

fn apply(
    space: &Keyspace,
    model: &mut Model,
    random: &mut Random,
    shape: Shape,
    operation: Operation,
    db: Db,
    bytes: &[u8],
) {
    let key = space.key(bytes);
    let now_ms = model.now_ms;
    let pass = space.pass(0);
    match operation {
        Operation::Get => {
            let mut held = pass.latch_one(key.hash, now_ms);
            let found = held.get(db, &key).map(|entry| Value {
                bytes: entry.value.to_vec(),
                expires_at_ms: entry.expires_at_ms,
                is_raw: entry.is_raw,
            });
            assert_eq!(found, model.get(db, bytes), "{key:?}");
        }
        Operation::Set => {
            let value = value_of(random, shape);
            let before = model.get(db, bytes);
            let (expiry, expires_at_ms) = match random.below(4) {
                0 => (Expiry::Keep, before.and_then(|before| before.expires_at_ms)),
                1 => {
                    let at = expiry_of(random, now_ms);
                    (Expiry::At(at), Some(at))
                }
                _ => (Expiry::Clear, None),
            };
            pass.latch_one(key.hash, now_ms).set(db, &key, &value, expiry).expect("there is room");
            model.put(db, bytes, Value { bytes: value, expires_at_ms, is_raw: false });
        }
        Operation::Resize => {
            let before = model.get(db, bytes).unwrap_or(Value { bytes: Vec::new(), expires_at_ms: None, is_raw: true });
            let len = match random.below(3) {
                0 => before.bytes.len() + random.below(40) as usize,
                1 => random.below(before.bytes.len() as u64 + 1) as usize,
                _ => random.below(12_000) as usize,
            };
            let mut expected = before.bytes;
            expected.resize(len, 0);
            let mut held = pass.latch_one(key.hash, now_ms);
            let value = held.resize(db, &key, len).expect("there is room");
            assert_eq!(value, expected);
            if len > 0 {
                let at = random.below(len as u64) as usize;
                value[at] ^= 0x5A;
                expected[at] ^= 0x5A;
            }
            model.put(db, bytes, Value { bytes: expected, expires_at_ms: before.expires_at_ms, is_raw: true });
        }
        Operation::Remove => {
            let was_there = model.get(db, bytes).is_some();
            model.dbs[usize::from(db.0)].remove(bytes);
            assert_eq!(pass.latch_one(key.hash, now_ms).remove(db, &key), was_there);
        }
        Operation::Move => {
            let target_bytes = key_of(random, shape);
            let target = space.key(&target_bytes);
            let mut held = pass.latch(&[key.hash, target.hash], now_ms);
            let expected = model.get(db, bytes);
            let taken = held.take(db, &key);
            model.dbs[usize::from(db.0)].remove(bytes);
            let shown = taken.as_ref().map(|taken| Value {
                bytes: taken.value.clone(),
                expires_at_ms: taken.expires_at_ms,
                is_raw: taken.is_raw,
            });
            assert_eq!(shown, expected);
            if let (Some(taken), Some(value)) = (taken, expected) {
                held.insert(db, &target, Owned { idle_seconds: 3, ..taken }).expect("there is room");
                assert_eq!(held.peek(db, &target).expect("just stored").idle_seconds, 3);
                model.put(db, &target_bytes, value);
            }
        }
        Operation::SetExpiry => {
            let at = (random.below(4) > 0).then(|| expiry_of(random, now_ms));
            let before = model.get(db, bytes);
            let done = pass.latch_one(key.hash, now_ms).set_expiry(db, &key, at).expect("there is room");
            assert_eq!(done, before.is_some());
            if let Some(value) = before {
                model.put(db, bytes, Value { expires_at_ms: at, ..value });
            }
        }
        Operation::Scan => {
            let mut seen = BTreeSet::new();
            let mut cursor = Cursor::START;
            let mut held = pass.latch(&[], now_ms);
            // A whole walk, in steps, over a keyspace that stands still: every key, each once.
            for _ in 0..if random.below(10) == 0 { usize::MAX } else { 3 } {
                cursor = held.scan(db, cursor, 1 + random.below(300) as usize, |key, _| {
                    assert!(seen.insert(key.to_vec()), "a key came twice though nothing changed");
                });
                if cursor.is_end() {
                    assert_eq!(seen, model.live(db).into_keys().collect());
                    break;
                }
            }
        }
        Operation::Later => model.now_ms += random.below(200),
        Operation::Expire => {
            drop(pass);
            space.expire_some(0, 1, now_ms, random.below(5_000) as usize);
        }
        Operation::Flush | Operation::Swap => {
            drop(pass);
            let exclusive = space.exclusive();
            let mut held = exclusive.hold_all(now_ms);
            let other = Db(random.below(4) as u16);
            if matches!(operation, Operation::Flush) {
                held.flush(db);
                model.dbs[usize::from(db.0)].clear();
            } else {
                held.swap(db, other);
                model.dbs.swap(usize::from(db.0), usize::from(other.0));
            }
        }
    }
}

fn compare(space: &Keyspace, model: &Model) {
    let pass = space.pass(0);
    for db in (0..4).map(Db) {
        let mut found = BTreeMap::new();
        pass.latch(&[], model.now_ms).for_each(db, |key, entry| {
            let value = Value { bytes: entry.value.to_vec(), expires_at_ms: entry.expires_at_ms, is_raw: entry.is_raw };
            assert!(found.insert(key.to_vec(), value).is_none(), "a key stands twice");
        });
        assert_eq!(found, model.live(db));
    }
}

#[test]
fn agrees_with_a_map_while_it_grows() {
    for stripes in [1, 4] {
        run(seed(), stripes, Shape { keys: 20_000, value_len_max: 40, removals: 0, steps: 60_000 });
    }
}

#[test]
fn agrees_with_a_map_while_keys_come_and_go() {
    run(seed() + 1, 1, Shape { keys: 3_000, value_len_max: 200, removals: 600, steps: 60_000 });
}

#[test]
fn agrees_with_a_map_on_few_keys_of_any_size() {
    run(seed() + 2, 2, Shape { keys: 60, value_len_max: 9_000, removals: 100, steps: 20_000 });
}
