use super::*;
use crate::reclaim::allowance::Allowance;
use proptest::prelude::*;

/// The heats of what is taken.
fn taken(entries: &[(u8, u64)], allowance: u64) -> Vec<(u8, u64)> {
    let mut histogram = Histogram::default();
    entries.iter().for_each(|(heat, bytes)| histogram.add(*heat, *bytes));
    let mut cut = histogram.cut(allowance);
    entries.iter().copied().filter(|(heat, bytes)| cut.takes(*heat, *bytes)).collect()
}

#[test]
fn the_hottest_are_taken_and_of_the_last_degree_those_that_come_first() {
    let entries = [(1, 10), (3, 10), (2, 10), (6, 10), (2, 10), (0, 10)];
    assert_eq!(taken(&entries, 0), []);
    assert_eq!(taken(&entries, 9), []);
    assert_eq!(taken(&entries, 10), [(6, 10)]);
    assert_eq!(taken(&entries, 35), [(3, 10), (2, 10), (6, 10)]);
    assert_eq!(taken(&entries, 49), [(3, 10), (2, 10), (6, 10), (2, 10)]);
    assert_eq!(taken(&entries, 1_000), [(1, 10), (3, 10), (2, 10), (6, 10), (2, 10)]);
}

#[test]
fn what_was_never_read_is_not_written_again() {
    assert_eq!(taken(&[(0, 1), (0, 100)], u64::MAX), []);
}

#[test]
fn what_is_pinned_is_taken_without_an_allowance_and_before_all_else() {
    assert_eq!(taken(&[(6, 10), (PINNED, 50), (0, 1)], 0), [(PINNED, 50)]);
    assert_eq!(taken(&[(6, 10), (PINNED, 50), (6, 10)], 65), [(6, 10), (PINNED, 50)]);
}

#[test]
fn a_small_one_is_taken_where_a_great_one_has_no_room() {
    assert_eq!(taken(&[(2, 100), (2, 30), (2, 30), (1, 5)], 70), [(2, 30), (2, 30)]);
}

#[test]
fn heat_is_halved_and_pins_hold() {
    let cooled: Vec<u8> = (0..=PINNED).map(cooled).collect();
    assert_eq!(cooled, [0, 0, 1, 1, 2, 2, 3, PINNED]);
}

#[test]
fn an_allowance_earns_saves_and_is_spent() {
    let mut allowance = Allowance::new(0.25, 1_000, 10_000);
    assert_eq!(allowance.available(10_000), 0);
    assert_eq!(allowance.available(10_400), 100);
    allowance.spend(60);
    assert_eq!(allowance.available(10_400), 40);
    assert_eq!(allowance.available(1_000_000), 1_000);
    allowance.spend(5_000);
    assert_eq!(allowance.available(1_000_000), 0);
    assert_eq!(allowance.available(1_000_040), 10);
}

proptest! {
    #[test]
    fn no_entry_is_taken_that_is_colder_than_one_that_would_fit(
        entries in proptest::collection::vec((0..=PINNED, 1..100_u64), 0..100),
        allowance in 0..5_000_u64,
    ) {
        let mut histogram = Histogram::default();
        entries.iter().for_each(|(heat, bytes)| histogram.add(*heat, *bytes));
        let mut cut = histogram.cut(allowance);
        let (mut spent, mut coldest_taken, mut left_out) = (0, u8::MAX, Vec::new());
        for (heat, bytes) in &entries {
            if cut.takes(*heat, *bytes) {
                spent += if *heat == PINNED { 0 } else { *bytes };
                coldest_taken = coldest_taken.min(*heat);
            } else {
                prop_assert!(*heat < PINNED);
                left_out.push((*heat, *bytes));
            }
        }
        let room = allowance.saturating_sub(histogram.pinned_bytes());
        prop_assert!(spent <= room);
        for (heat, bytes) in left_out {
            prop_assert!(heat <= coldest_taken, "{heat} left out, {coldest_taken} taken");
            prop_assert!(heat == 0 || bytes > room - spent || heat < coldest_taken || coldest_taken == u8::MAX);
        }
    }
}
