//! The tier held against a model that knows what may be there, through the interface that everybody else uses.
//!
//! `SCRUBJAY_TEST_FACTOR=50` makes the runs 50 times as long; `SCRUBJAY_TEST_SEED` repeats the one that a failure names.

mod history;
mod ledger;
mod model;
mod panics;

use super::*;
use crate::memory::Epochs;
use ledger::Ledger;
use std::hash::BuildHasher;

/// A small generator, so that a seed says everything (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn is_one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// Says the seed if the test fails.
struct Seed(u64);

impl Seed {
    fn new() -> Seed {
        let given = std::env::var("SCRUBJAY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        Seed(given.unwrap_or_else(|| std::hash::RandomState::new().hash_one(0)))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("again with SCRUBJAY_TEST_SEED={}", self.0);
        }
    }
}

/// How many steps a run of `count` steps takes: more on demand, and few under Miri, which is a thousand times slower.
fn steps(count: u64) -> u64 {
    let factor: Option<u64> = std::env::var("SCRUBJAY_TEST_FACTOR").ok().and_then(|factor| factor.parse().ok());
    count * factor.unwrap_or(1) / if cfg!(miri) { 100 } else { 1 }
}

/// A key whose hash says little: they collide in heaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clash(u64);

impl Hash for Clash {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 % 3);
    }
}

/// A key as the tests number them.
trait TestKey: Hash + Eq + Clone + Send + Sync + 'static {
    fn of(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl TestKey for u64 {
    fn of(number: u64) -> u64 {
        number
    }

    fn number(&self) -> u64 {
        *self
    }
}

impl TestKey for Clash {
    fn of(number: u64) -> Clash {
        Clash(number)
    }

    fn number(&self) -> u64 {
        self.0
    }
}

impl TestKey for String {
    fn of(number: u64) -> String {
        format!("a key that lies on the heap: {number}")
    }

    fn number(&self) -> u64 {
        self.rsplit(' ').next().and_then(|digits| digits.parse().ok()).expect("written by `of`")
    }
}

/// A value that says for which key it was made, and which of that key's versions it is.
trait TestValue: Send + Sync + 'static {
    fn new(key: u64, version: u64, ledger: &Arc<Ledger>) -> Self;

    /// `None` if the value says nothing. Panics if it is torn.
    fn read(&self) -> Option<(u64, u64)>;
}

/// Small, and dropped exactly once.
struct Counted {
    key: u64,
    version: u64,
    entry: ledger::Line,
}

impl TestValue for Counted {
    fn new(key: u64, version: u64, ledger: &Arc<Ledger>) -> Counted {
        Counted { key, version, entry: ledger.open() }
    }

    fn read(&self) -> Option<(u64, u64)> {
        self.entry.check();
        Some((self.key, self.version))
    }
}

/// On the heap, so that a read after its drop is seen by tools, and by its contents.
struct Heap(Box<(Counted, [u64; 8])>);

impl TestValue for Heap {
    fn new(key: u64, version: u64, ledger: &Arc<Ledger>) -> Heap {
        Heap(Box::new((Counted::new(key, version, ledger), [key ^ version; 8])))
    }

    fn read(&self) -> Option<(u64, u64)> {
        let (counted, filling) = &*self.0;
        let (key, version) = counted.read()?;
        assert_eq!(*filling, [key ^ version; 8]);
        Some((key, version))
    }
}

/// 4 KiB inline.
struct Large([u64; 512]);

impl TestValue for Large {
    fn new(key: u64, version: u64, _: &Arc<Ledger>) -> Large {
        let mut words = [key.wrapping_mul(31) ^ version; 512];
        (words[0], words[511]) = (key, version);
        Large(words)
    }

    fn read(&self) -> Option<(u64, u64)> {
        let (key, version) = (self.0[0], self.0[511]);
        assert!(self.0[1..511].iter().all(|word| *word == key.wrapping_mul(31) ^ version), "torn");
        Some((key, version))
    }
}

impl TestValue for () {
    fn new(_: u64, _: u64, _: &Arc<Ledger>) {}

    fn read(&self) -> Option<(u64, u64)> {
        None
    }
}
