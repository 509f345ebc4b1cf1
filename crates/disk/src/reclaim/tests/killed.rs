//! The process killed, or the power gone, at any operation of the device while reclaim goes round and round: what is there
//! afterwards was promised or came later, what was removed stays away, and what was pinned is there.

use crate::simulated::{Fault, Injection, SimulatedDevice};
use crate::{Device, Namespace, Options, PutOptions, Store, Sync};
use std::sync::Arc;
use std::time::Duration;

const KEYS: u32 = 400;
const PINS: u32 = 10;
const SEGMENT_LEN: u64 = 64 << 10;

/// Draws that are the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(bound)).unwrap()
    }
}

/// What became of a key: versions in their order, `None` where it was removed. The first one is what was promised last.
#[derive(Clone, Debug)]
struct History(Vec<Option<u32>>);

/// What must be, and what may be.
struct Model {
    keys: Vec<History>,
    pins: Vec<History>,
    version: u32,
}

impl Model {
    fn new() -> Model {
        let empty = |count| vec![History(vec![None]); count as usize];
        Model { keys: empty(KEYS), pins: empty(PINS), version: 0 }
    }

    fn next(&mut self) -> u32 {
        self.version += 1;
        self.version
    }

    fn promise(&mut self) {
        for history in self.keys.iter_mut().chain(&mut self.pins) {
            history.0.drain(..history.0.len() - 1);
        }
    }
}

fn value(number: u32, version: u32) -> Vec<u8> {
    let mut value = vec![version.to_le_bytes()[0]; 300 + (number as usize * 37) % 1500];
    value[..4].copy_from_slice(&number.to_le_bytes());
    value[4..8].copy_from_slice(&version.to_le_bytes());
    value
}

fn version(number: u32, found: &[u8]) -> u32 {
    let version = u32::from_le_bytes(found[4..8].try_into().unwrap());
    assert_eq!(found, value(number, version), "the value of another key, or a damaged one");
    version
}

struct Subject {
    device: Arc<SimulatedDevice>,
    store: Store,
    keys: Namespace,
    pins: Namespace,
    /// A power failure may damage the last version of a pin that was not synced.
    has_pins_whole: bool,
}

impl Subject {
    fn open(device: SimulatedDevice, sync: Sync, fault: Fault) -> Subject {
        let device = Arc::new(device);
        let options = Options::bytes(10 * SEGMENT_LEN).segment_len(SEGMENT_LEN).queue_bytes(64 << 10).sync(sync);
        let store = Store::open_on(Arc::clone(&device) as Arc<dyn Device>, options).unwrap();
        let (keys, pins) = (store.namespace("keys").unwrap(), store.namespace("pins").unwrap());
        Subject { device, store, keys, pins, has_pins_whole: fault == Fault::Kill }
    }

    /// Does this and that until the image is taken, at most so often.
    fn live(&self, model: &mut Model, draw: &mut Draw, steps: u32, is_synced: bool) {
        for _ in 0..steps {
            let number = draw.below(KEYS);
            let mut is_promise = false;
            match draw.below(100) {
                0..45 => {
                    let next = model.next();
                    // First the model: the image may be taken before the call returns.
                    model.keys[number as usize].0.push(Some(next));
                    self.keys.put(number.to_le_bytes().as_slice(), &value(number, next)).unwrap();
                }
                45..60 => {
                    model.keys[number as usize].0.push(None);
                    self.keys.remove(number.to_le_bytes().as_slice()).unwrap();
                }
                60..95 => _ = self.keys.get((number % 50).to_le_bytes().as_slice()).unwrap(),
                95..97 => {
                    let (number, next) = (number % PINS, model.next());
                    model.pins[number as usize].0.push(Some(next));
                    let options = PutOptions { is_pinned: true, ..PutOptions::default() };
                    self.pins.put_with(number.to_le_bytes().as_slice(), &value(number, next), options).unwrap();
                }
                97 if draw.below(10) == 0 => {
                    model.keys.iter_mut().for_each(|history| history.0.push(None));
                    self.keys.clear().unwrap();
                }
                _ => {
                    if is_synced {
                        self.store.sync().unwrap()
                    } else {
                        self.store.flush().unwrap()
                    };
                    is_promise = true;
                }
            }
            if self.device.has_image() {
                return;
            }
            if is_promise {
                model.promise();
            }
        }
    }

    /// Compares, and goes on from what is there.
    fn check(&self, model: &mut Model, what: &str) {
        for (number, history) in (0..).zip(&mut model.keys) {
            let found = self.keys.peek(number_key(number).as_slice()).unwrap();
            let found = found.map(|found| version(number, &found));
            let may_be = found.is_none() || history.0.contains(&found);
            assert!(may_be, "{what}: key {number} is {found:?}, and was {history:?}");
            *history = History(vec![found]);
        }
        for (number, history) in (0..).zip(&mut model.pins) {
            let found = self.pins.peek(number_key(number).as_slice()).unwrap();
            let found = found.map(|found| version(number, &found));
            let may_be = history.0.contains(&found) || (found.is_none() && !self.has_pins_whole);
            assert!(may_be, "{what}: pin {number} is {found:?}, and was {history:?}");
            *history = History(vec![found]);
        }
    }
}

fn number_key(number: u32) -> [u8; 4] {
    number.to_le_bytes()
}

/// A store that lives, ends at some operation, lives on, and ends again.
fn check(seed: u64, fault: Fault, sync: Sync) {
    let mut draw = Draw(seed);
    let mut model = Model::new();
    let mut device = SimulatedDevice::new(seed);
    let is_synced = fault == Fault::Crash;
    for life in 0..3 {
        let subject = Subject::open(device, sync, fault);
        let what = format!("seed {seed}, {fault:?}, {sync:?}, life {life}");
        if life == 0 {
            subject.live(&mut model, &mut draw, 1_500, is_synced);
        } else {
            subject.check(&mut model, &what);
        }
        let spared = u64::from(draw.below(400));
        subject.device.inject(Injection::after(spared, fault));
        subject.live(&mut model, &mut draw, 5_000, is_synced);
        let image = subject.device.take_image();
        device = image.unwrap_or_else(|| panic!("{what}: {spared} operations were not reached"));
    }
    Subject::open(device, sync, fault).check(&mut model, &format!("seed {seed}, {fault:?}, {sync:?}, at last"));
}

#[test]
fn a_process_killed_anywhere_leaves_what_was_flushed_and_nothing_that_was_removed() {
    for seed in 0..60 {
        check(seed, Fault::Kill, Sync::None);
    }
}

#[test]
fn a_power_failure_anywhere_leaves_what_was_synced_and_nothing_that_was_removed() {
    for seed in 0..60 {
        let sync = if seed % 2 == 0 { Sync::None } else { Sync::Periodic(Duration::from_millis(1)) };
        check(1_000 + seed, Fault::Crash, sync);
    }
}
