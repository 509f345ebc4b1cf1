use super::*;
use crate::simulated::SimulatedDevice;
use crate::{Options, PutOptions, Store};
use std::sync::Arc;

const CAPACITY: u64 = 64 << 20;
const KEYS: u64 = CAPACITY / BYTES_PER_KEY;

/// Hashes that are the same in every run.
fn hash(number: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

fn share_admitted(admitter: &Admitter, numbers: impl Iterator<Item = u64>, heat: u8) -> f64 {
    let (mut admitted, mut asked) = (0, 0);
    for number in numbers {
        asked += 1;
        admitted += u32::from(admitter.admits(hash(number), heat, || true));
    }
    f64::from(admitted) / f64::from(asked)
}

#[test]
fn everything_is_admitted_while_there_is_room() {
    for admission in [Admission::All, Admission::SecondHit, Admission::Heat] {
        let admitter = Admitter::new(admission, CAPACITY);
        for _ in 0..10_000 {
            admitter.note_evicted(HEAT_MAX);
        }
        assert!((0..1_000).all(|number| admitter.admits(hash(number), 0, || false)), "{admission:?}");
    }
}

#[test]
fn the_second_put_of_a_key_is_admitted_and_the_first_is_not() {
    let admitter = Admitter::new(Admission::SecondHit, CAPACITY);
    assert!(share_admitted(&admitter, 0..10_000, 0) < 0.02);
    assert!(share_admitted(&admitter, 0..10_000, 0) > 0.9999);
}

#[test]
fn what_was_put_while_there_was_room_is_known_later() {
    let admitter = Admitter::new(Admission::SecondHit, CAPACITY);
    assert!((0..1_000).all(|number| admitter.admits(hash(number), 0, || false)));
    assert!(share_admitted(&admitter, 0..1_000, 0) > 0.9999);
}

#[test]
fn a_put_is_forgotten_when_twice_as_many_others_have_come() {
    let admitter = Admitter::new(Admission::SecondHit, CAPACITY);
    share_admitted(&admitter, 0..1_000, 0);
    share_admitted(&admitter, 1_000_000..1_000_000 + KEYS - 1_000, 0);
    assert!(share_admitted(&admitter, 0..500, 0) > 0.9999, "within the window");
    share_admitted(&admitter, 2_000_000..2_000_000 + 3 * KEYS, 0);
    assert!(share_admitted(&admitter, 500..1_000, 0) < 0.03, "beyond it");
}

#[test]
fn the_window_turns_over_and_over() {
    let admitter = Admitter::new(Admission::SecondHit, CAPACITY);
    for round in 0..20 {
        let from = 10_000_000 + round * KEYS;
        assert!(share_admitted(&admitter, from..from + KEYS / 2, 0) < 0.03, "round {round}");
        assert!(share_admitted(&admitter, from..from + KEYS / 2, 0) > 0.9999, "round {round}");
    }
}

#[test]
fn a_value_as_hot_as_what_is_dropped_is_admitted() {
    let admitter = Admitter::new(Admission::Heat, CAPACITY);
    assert!(admitter.admits(hash(1), 0, || true), "nothing hot was dropped yet");
    for _ in 0..10_000 {
        admitter.note_evicted(3);
    }
    assert!(!admitter.admits(hash(2), 2, || true));
    assert!(admitter.admits(hash(3), 3, || true));
    assert!(admitter.admits(hash(4), 200, || true));
    for _ in 0..10_000 {
        admitter.note_evicted(1);
    }
    assert!(!admitter.admits(hash(5), 0, || true));
    assert!(admitter.admits(hash(6), 1, || true));
}

#[test]
fn a_key_that_is_put_often_is_hot_without_being_told() {
    let admitter = Admitter::new(Admission::Heat, CAPACITY);
    for _ in 0..10_000 {
        admitter.note_evicted(2);
    }
    let answers: Vec<bool> = (0..4).map(|_| admitter.admits(hash(7), 0, || true)).collect();
    assert_eq!(answers, [false, false, true, true]);
}

#[test]
fn a_bar_that_keeps_all_out_comes_down() {
    let admitter = Admitter::new(Admission::Heat, CAPACITY);
    for _ in 0..10_000 {
        admitter.note_evicted(HEAT_MAX);
    }
    let asked = (0..100_000).position(|number| admitter.admits(hash(number), 1, || true));
    assert!(asked.is_some_and(|asked| (500..5_000).contains(&asked)), "{asked:?}");
}

#[test]
fn counts_are_halved_in_time() {
    let sketch = Sketch::new(1_000);
    (0..8).for_each(|_| _ = sketch.count(hash(1)));
    assert_eq!(sketch.count(hash(1)), 8);
    for number in 0..8_000 {
        sketch.count(hash(100 + number % 1_000));
    }
    assert!(sketch.count(hash(1)) < 8);
}

#[test]
fn threads_that_meet_lose_counts_at_worst() {
    let admitter = Admitter::new(Admission::SecondHit, CAPACITY);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let admitter = &admitter;
            scope.spawn(move || share_admitted(admitter, thread * 10_000_000..thread * 10_000_000 + 2 * KEYS, 0));
        }
    });
    share_admitted(&admitter, 50_000_000..50_001_000, 0);
    assert!(share_admitted(&admitter, 50_000_000..50_001_000, 0) > 0.9999);
}

/// A store that was filled more than once, with entries of that heat.
fn full_store(admission: Admission, heat: u8) -> (Store, crate::Namespace) {
    let options = Options::bytes(2 << 20).segment_len(64 << 10).queue_bytes(64 << 10).admission(admission);
    let store = Store::open_on(Arc::new(SimulatedDevice::new(1)), options).unwrap();
    let jays = store.namespace("jays").unwrap();
    for number in 0..8_000_u32 {
        for _ in 0..2 {
            let options = PutOptions { heat, ..PutOptions::default() };
            jays.put_with(&number.to_le_bytes(), &[7; 500], options).unwrap();
        }
    }
    store.flush().unwrap();
    (store, jays)
}

#[test]
fn a_full_store_takes_what_is_put_for_the_second_time() {
    let (store, jays) = full_store(Admission::SecondHit, 0);
    let before = store.stats();
    for round in 0..2 {
        for number in 100_000..102_000_u32 {
            jays.put(&number.to_le_bytes(), &[8; 500]).unwrap();
        }
        let dropped = store.stats().dropped_not_admitted - before.dropped_not_admitted;
        assert!((1_900..=2_000).contains(&dropped), "round {round}: {dropped} of 2,000");
    }
    store.flush().unwrap();
    assert!(store.stats().reclaimed_segments > 0);
    assert!(jays.contains(&101_999_u32.to_le_bytes()));
}

#[test]
fn a_full_store_of_hot_entries_takes_what_is_as_hot() {
    let (store, jays) = full_store(Admission::Heat, 3);
    let mut stored = [0, 0];
    for (heat, stored) in [0, 4].into_iter().zip(&mut stored) {
        for number in 0..300_u32 {
            let options = PutOptions { heat, ..PutOptions::default() };
            let key = [number.to_le_bytes(), u32::from(heat).to_le_bytes()].concat();
            *stored += u32::from(jays.put_with(&key, &[8; 500], options).unwrap() == crate::Put::Stored);
        }
    }
    assert!(stored[0] < 150 && stored[1] == 300, "{stored:?}");
    assert!(store.stats().evicted > 0);
}
