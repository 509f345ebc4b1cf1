//! Code of others that panics inside the tier: the tier stays usable, and keeps nobody's lock.

use super::*;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static PANICS: Cell<bool> = const { Cell::new(false) };
}

fn panics(f: impl FnOnce()) -> bool {
    PANICS.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(f));
    PANICS.set(false);
    outcome.is_err()
}

/// A key whose comparison panics while `PANICS`.
#[derive(Clone)]
struct Touchy(u64);

impl Hash for Touchy {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialEq for Touchy {
    fn eq(&self, other: &Touchy) -> bool {
        assert!(!PANICS.get(), "from eq");
        self.0 == other.0
    }
}

impl Eq for Touchy {}

fn tier<K: Hash + Eq, V>(is_watched: bool) -> Tier<K, V> {
    let (memory, clock) = (Memory::entries(100), Clock::held());
    Tier::new(TierOptions { memory, clock, epochs: None, is_watched })
}

fn entry<K, V>(key: K, value: V) -> NewEntry<K, V> {
    NewEntry { key, value, weight: 1, deadline_ms: 0, cost: 0, partition: 0 }
}

#[test]
fn a_panic_in_eq_leaves_the_tier_as_it_was() {
    let ledger = Arc::<Ledger>::default();
    let tier = tier::<Touchy, Counted>(true);
    let key = Touchy(1);
    let hash = tier.hash(&key);
    drop(tier.insert(hash, entry(key.clone(), Counted::new(1, 1, &ledger))));
    let other = || entry(key.clone(), Counted::new(1, 2, &ledger));
    assert!(panics(|| _ = tier.get(hash, &key, |_, _| ())));
    assert!(panics(|| drop(tier.insert(hash, other()))));
    assert!(panics(|| drop(tier.upsert(hash, &key, |_| Some(other())))));
    assert!(panics(|| drop(tier.remove_if(hash, &key, Reason::Removed, |_| true))));
    assert!(panics(|| tier.get_many(std::slice::from_ref(&key), |_, _, _| ())));
    assert_eq!(tier.peek(hash, &key, |_, value| value.version), Some(1));
    assert_eq!((tier.len(), tier.weight()), (1, 1));
    drop(tier.insert(hash, other()));
    assert_eq!(tier.peek(hash, &key, |_, value| value.version), Some(2));
    drop(tier);
    assert_eq!(ledger.live(), 0);
}

#[test]
fn a_panic_in_a_closure_leaves_the_tier_as_it_was() {
    let ledger = Arc::<Ledger>::default();
    let tier = tier::<u64, Counted>(true);
    let hash = tier.hash(&1);
    drop(tier.insert(hash, entry(1, Counted::new(1, 1, &ledger))));
    let panic = || panic!("from a closure");
    assert!(panics(|| tier.get(hash, &1, |_, _| panic()).unwrap()));
    assert!(panics(|| tier.peek(hash, &1, |_, _| panic()).unwrap()));
    assert!(panics(|| tier.get_many(&[1], |_, _, _| panic())));
    assert!(panics(|| tier.for_each(|_, _| panic())));
    assert!(panics(|| drop(tier.upsert(hash, &1, |_| panic!("from a closure")))));
    assert!(panics(|| drop(tier.remove_if(hash, &1, Reason::Removed, |_| panic!("from a closure")))));
    assert!(panics(|| tier.insert(hash, entry(1, Counted::new(1, 2, &ledger))).each(|_| panic())));
    assert_eq!(tier.peek(hash, &1, |_, value| value.version), Some(2));
    for round in 0..10_000 {
        drop(tier.insert(hash, entry(1, Counted::new(1, round, &ledger))));
    }
    assert!(ledger.live() < 5_000, "{} values wait for readers that have gone", ledger.live());
    drop(tier);
    assert_eq!(ledger.live(), 0);
}

/// A value whose drop panics.
struct Mine {
    is_armed: bool,
    _counted: Counted,
}

impl Drop for Mine {
    fn drop(&mut self) {
        assert!(!self.is_armed, "from drop");
    }
}

#[test]
fn a_panic_in_drop_harms_its_own_value_only() {
    for is_watched in [false, true] {
        let ledger = Arc::<Ledger>::default();
        let tier = tier::<u64, Mine>(is_watched);
        for number in 0..5_000 {
            let key = number % 500;
            let mine = Mine { is_armed: number % 7 == 0, _counted: Counted::new(key, number, &ledger) };
            let _ = catch_unwind(AssertUnwindSafe(|| drop(tier.insert(tier.hash(&key), entry(key, mine)))));
            let seen = tier.peek(tier.hash(&key), &key, |_, value| value._counted.version);
            assert!(seen.is_none_or(|version| version == number));
            assert!(tier.len() <= 100);
        }
        let _ = catch_unwind(AssertUnwindSafe(|| drop(tier)));
        assert_eq!(ledger.live(), 0, "of {}", ledger.opened());
    }
}
