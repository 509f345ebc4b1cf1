use super::*;
use crate::clock::TIME_MS_MAX;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const TICK_MS: u64 = 1 << TICK_MS_BITS;
const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;

/// A wheel beside a map that does the same the plain way.
struct Checked {
    wheel: Wheel,
    deadlines: BTreeMap<u32, u64>,
    now_ms: u64,
}

impl Checked {
    fn new(now_ms: u64) -> Checked {
        Checked { wheel: Wheel::new(now_ms), deadlines: BTreeMap::new(), now_ms }
    }

    fn insert(&mut self, slot: u32, deadline_ms: u64) {
        self.remove(slot);
        self.wheel.insert(slot, deadline_ms);
        self.deadlines.insert(slot, deadline_ms);
    }

    fn remove(&mut self, slot: u32) {
        self.wheel.remove(slot);
        self.deadlines.remove(&slot);
    }

    /// Advances in steps of `slots_max`, until the wheel has caught up; answers with the number of steps.
    fn advance(&mut self, by_ms: u64, slots_max: usize) -> usize {
        self.now_ms = (self.now_ms + by_ms).min(TIME_MS_MAX);
        for step in 1.. {
            let mut expired = BTreeSet::new();
            let deadline_of = |slot| self.deadlines[&slot];
            let is_done = self.wheel.advance(self.now_ms, slots_max, deadline_of, |slot| {
                assert!(expired.insert(slot), "{slot} fired twice");
            });
            assert!(expired.len() <= slots_max);
            for slot in expired {
                let deadline_ms = self.deadlines.remove(&slot).expect("it was in the wheel");
                assert!(deadline_ms <= self.now_ms, "{slot} fired {} ms too early", deadline_ms - self.now_ms);
            }
            self.validate();
            if is_done {
                let late = self.deadlines.values().find(|deadline_ms| **deadline_ms + TICK_MS <= self.now_ms);
                assert_eq!(late, None, "at {}", self.now_ms);
                return step;
            }
        }
        unreachable!()
    }

    /// The lists and the bits say the same, and hold what the map holds.
    fn validate(&self) {
        let wheel = &self.wheel;
        let mut seen = BTreeSet::new();
        for (bucket, first) in wheel.first.iter().enumerate() {
            let (mut slot, mut prev) = (*first, FIRST | number(bucket));
            assert_eq!(slot != NONE, wheel.occupied[bucket / BUCKETS] >> (bucket % BUCKETS) & 1 == 1);
            while slot != NONE {
                let link = wheel.link(slot);
                assert_eq!(link.prev, prev);
                assert!(seen.insert(slot));
                (prev, slot) = (slot, link.next);
            }
        }
        assert!(seen.iter().eq(self.deadlines.keys()));
    }
}

#[test]
fn a_slot_fires_at_its_deadline_or_up_to_a_tick_later() {
    for deadline_ms in (1..3000).chain([YEAR_MS - 1, YEAR_MS, YEAR_MS + 1, TIME_MS_MAX - TICK_MS]) {
        let mut wheel = Wheel::new(1);
        wheel.insert(7, deadline_ms);
        let mut fires_at = |now_ms| {
            let mut count = 0;
            assert!(wheel.advance(now_ms, 9, |_| deadline_ms, |_| count += 1));
            count == 1
        };
        assert!(!fires_at(deadline_ms - 1), "{deadline_ms}");
        let is_first = fires_at(deadline_ms);
        assert!(is_first || fires_at(deadline_ms + TICK_MS - 1), "{deadline_ms}");
    }
}

#[test]
fn a_deadline_that_is_past_fires_at_the_next_advance() {
    let mut checked = Checked::new(1_000_000);
    checked.insert(1, 1);
    checked.insert(2, 999_999);
    checked.insert(3, 1_000_000);
    checked.advance(TICK_MS, 9);
    assert!(checked.deadlines.is_empty());
}

#[test]
fn a_slot_that_fired_or_never_was_there_is_removed_in_vain() {
    let mut checked = Checked::new(1);
    checked.wheel.remove(5);
    checked.insert(5, 10);
    checked.advance(1000, 9);
    checked.wheel.remove(5);
    checked.wheel.remove(6);
    checked.wheel.remove(5_000_000);
    checked.insert(5, 2000);
    checked.advance(1100, 9);
    assert!(checked.deadlines.is_empty());
}

#[test]
fn time_jumps_over_years_in_one_step() {
    let mut checked = Checked::new(1);
    for slot in 0..100 {
        checked.insert(slot, YEAR_MS * u64::from(slot + 1));
    }
    for year in 1..=100 {
        assert_eq!(checked.advance(YEAR_MS, 9), 1);
        assert_eq!(checked.deadlines.len(), 100 - year);
    }
    assert_eq!(checked.advance(TIME_MS_MAX, 9), 1);
}

#[test]
fn a_bucket_is_dealt_out_in_steps() {
    let mut checked = Checked::new(1);
    let count = 10_000;
    for slot in 0..count {
        checked.insert(slot, 3_600_000 + u64::from(slot));
    }
    let steps = checked.advance(3_600_000, 4);
    let dealt_per_step = 4 * DEALT_PER_WANTED;
    assert!(steps >= 10_000 / dealt_per_step, "{steps}");
    assert!(checked.deadlines.len() >= 10_000 - 10, "{}", checked.deadlines.len());
    let steps = checked.advance(10_000, 100);
    assert!((100..1000).contains(&steps), "{steps}");
    checked.advance(TICK_MS, 100);
    assert!(checked.deadlines.is_empty());
}

#[test]
fn links_come_with_the_first_deadline_of_their_block() {
    let mut wheel = Wheel::new(1);
    assert!(wheel.links.is_empty());
    wheel.insert(number(BLOCK * 9), 5);
    assert_eq!(wheel.links.iter().flatten().count(), 1);
    assert_eq!(size_of::<Link>(), 8);
}

#[derive(Clone, Debug)]
enum Step {
    Insert {
        slot: u32,
        after_ms: u64,
    },
    Remove {
        slot: u32,
    },
    Advance {
        by_ms: u64,
        slots_max: usize,
    },
    /// Goes on by so little work that it may stop anywhere, and is not finished.
    Begin {
        by_ms: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let span_ms = || prop_oneof![0..200_u64, 0..100_000_u64, 0..YEAR_MS, 0..TIME_MS_MAX];
    let short_ms = || prop_oneof![10 => 0..100_u64, 10 => 0..10_000_u64, 3 => 0..10_000_000_u64, 1 => 0..YEAR_MS];
    let step = prop_oneof![
        8 => (0..200_u32, span_ms()).prop_map(|(slot, after_ms)| Step::Insert { slot, after_ms }),
        2 => (0..200_u32).prop_map(|slot| Step::Remove { slot }),
        3 => (short_ms(), 1..50_usize).prop_map(|(by_ms, slots_max)| Step::Advance { by_ms, slots_max }),
        2 => short_ms().prop_map(|by_ms| Step::Begin { by_ms }),
    ];
    prop::collection::vec(step, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn it_does_what_a_map_does(start_ms in prop_oneof![1..100_u64, 0..TIME_MS_MAX / 2], steps in steps()) {
        let mut checked = Checked::new(start_ms);
        for step in steps {
            match step {
                Step::Insert { slot, after_ms } => checked.insert(slot, (checked.now_ms + after_ms).min(TIME_MS_MAX)),
                Step::Remove { slot } => checked.remove(slot),
                Step::Advance { by_ms, slots_max } => _ = checked.advance(by_ms, slots_max),
                Step::Begin { by_ms } => {
                    checked.now_ms = (checked.now_ms + by_ms).min(TIME_MS_MAX);
                    let (now_ms, deadlines) = (checked.now_ms, &mut checked.deadlines);
                    let mut expired = Vec::new();
                    checked.wheel.advance(now_ms, 1, |slot| deadlines[&slot], |slot| expired.push(slot));
                    for slot in expired {
                        prop_assert!(deadlines.remove(&slot).is_some_and(|deadline_ms| deadline_ms <= now_ms));
                    }
                    checked.validate();
                }
            }
        }
    }
}
