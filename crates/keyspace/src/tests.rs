//! Tests of the keyspace through its public interface, and of its invariants.
#![allow(clippy::cast_possible_truncation, reason = "test data is cut to size")]

mod changes;
mod concurrency;
mod limits;
mod memory;
mod model;
mod walks;

use crate::{Db, Held, Keyspace, Options};

pub(crate) const NOW_MS: u64 = 1_800_000_000_000;

/// A keyspace with a fixed hash, so that a failure repeats.
fn keyspace(stripes: u32) -> Keyspace {
    let options = Options { stripes, hash_seed: Some(7), databases: 4, slots: 8 };
    Keyspace::new(options).expect("the options are in range")
}

impl Keyspace {
    /// Panics where an invariant does not hold.
    fn validate(&self) {
        let charged: usize = self.stripes.iter().map(|stripe| stripe.latch().validate()).sum();
        assert_eq!(charged, self.memory_used(), "what is charged is what is there");
    }

    fn with<R>(&self, key: &[u8], act: impl FnOnce(&mut Held<'_>) -> R) -> R {
        let pass = self.pass(0);
        let mut held = pass.latch_one(self.key(key).hash, NOW_MS);
        act(&mut held)
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        let key = self.key(key);
        self.with(key.bytes, |held| held.set(Db(0), &key, value, crate::Expiry::Clear)).expect("there is room");
    }

    fn read(&self, key: &[u8]) -> Option<Vec<u8>> {
        let key = self.key(key);
        self.with(key.bytes, |held| held.get(Db(0), &key).map(|entry| entry.value.to_vec()))
    }

    fn delete(&self, key: &[u8]) -> bool {
        let key = self.key(key);
        self.with(key.bytes, |held| held.remove(Db(0), &key))
    }
}

/// Random numbers from a seed (SplitMix64): the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// The seed of this run: `SCRUBJAY_SEED`, or a fixed one.
fn seed() -> u64 {
    std::env::var("SCRUBJAY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1)
}
