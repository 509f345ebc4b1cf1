use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

/// Draws that are the same in every run.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }
}

fn entry(number: u32) -> Entry {
    Entry {
        place: Place { seq16: (number & 0xFFFF) as u16, offset_units: 4 + number % 1_000_000 },
        len_units: 2 + number % 500,
        expires_ms: u64::from(number) * 1_000,
        heat: (number % 8) as u8,
        namespace: 1 + number % 10_000,
    }
}

#[test]
fn an_entry_is_read_as_it_was_written() {
    let index = Index::new(4);
    let greatest = Entry {
        place: Place { seq16: u16::MAX, offset_units: (1 << 24) - 1 },
        len_units: (1 << 24) - 1,
        expires_ms: (1 << 42) - 1,
        heat: PINNED,
        namespace: (1 << 19) - 1,
    };
    let least = Entry { len_units: 1, ..Entry::default() };
    for (hash, entry) in [(0, greatest), (u64::MAX, least), (1 << 63, entry(7))] {
        assert_eq!(index.get(hash), None);
        assert_eq!(index.shard(hash).insert(hash, entry), None);
        assert_eq!(index.get(hash), Some(entry));
    }
    assert_eq!(index.len(), 3);
    index.validate();
}

#[test]
fn what_would_expire_after_the_year_2109_expires_then() {
    let index = Index::new(1);
    index.shard(5).insert(5, Entry { expires_ms: u64::MAX, ..entry(1) });
    assert_eq!(index.get(5).unwrap().expires_ms, (1 << 42) - 1);
}

#[test]
fn touching_warms_up_to_six_and_leaves_the_pinned_as_they_are() {
    let index = Index::new(1);
    index.shard(1).insert(1, Entry { heat: 0, ..entry(1) });
    index.shard(1).insert(2, Entry { heat: PINNED, ..entry(2) });
    for before in [0, 1, 2, 3, 4, 5, 6, 6, 6] {
        assert_eq!(index.get_touched(1).unwrap().heat, before);
        assert_eq!(index.get_touched(2).unwrap().heat, PINNED);
    }
    assert_eq!(index.get_touched(3), None);
}

#[test]
fn warming_never_cools_and_never_pins() {
    let index = Index::new(1);
    index.shard(1).insert(1, Entry { heat: 3, ..entry(1) });
    for (told, after) in [(2, 3), (5, 5), (200, HEAT_MAX)] {
        assert!(index.shard(1).warm(1, told));
        assert_eq!(index.get(1).unwrap().heat, after);
    }
    index.shard(1).insert(1, Entry { heat: PINNED, ..entry(1) });
    assert!(index.shard(1).warm(1, 3));
    assert_eq!(index.get(1).unwrap().heat, PINNED);
    assert!(!index.shard(1).warm(2, 3));
}

#[test]
fn an_entry_that_has_moved_is_not_taken_from_its_old_place() {
    let index = Index::new(1);
    let (old, new) = (entry(1), entry(2));
    index.shard(9).insert(9, old);
    assert_eq!(index.shard(9).insert(9, new), Some(old));
    assert_eq!(index.shard(9).remove_at(9, old.place), None);
    assert_eq!(index.shard(9).remove_at(9, new.place), Some(new));
    assert_eq!(index.len(), 0);
}

#[test]
fn the_index_may_be_used_while_it_is_walked() {
    let index = Index::new(8);
    let mut draw = Draw(1);
    let hashes: Vec<u64> = (0..5_000).map(|_| draw.next()).collect();
    for (number, hash) in (0..).zip(&hashes) {
        index.shard(*hash).insert(*hash, entry(number));
    }
    let mut seen = 0;
    index.for_each(|hash, entry| {
        seen += 1;
        assert_eq!(index.shard(hash).remove_at(hash, entry.place), Some(*entry));
    });
    assert_eq!((seen, index.len()), (5_000, 0));
    index.validate();
}

#[test]
fn counters_of_all_shards_are_added_up() {
    let index = Index::new(64);
    for hash in 0..1_000 {
        let mut shard = index.shard(hash);
        shard.tally().hits += 1;
        shard.tally().put_bytes += hash;
    }
    let tally = index.tally();
    assert_eq!((tally.hits, tally.put_bytes, tally.misses), (1_000, 499_500, 0));
}

#[test]
fn a_store_has_shards_for_its_threads_and_for_its_length() {
    assert_eq!(Index::shards_for(1, 1 << 20), 64);
    assert_eq!(Index::shards_for(16, 1 << 30), 256);
    assert_eq!(Index::shards_for(2, 64 << 30), 4096);
    assert_eq!(Index::shards_for(2, u64::MAX), 4096);
    assert_eq!(Index::shards_for(usize::MAX, 0), 65_536);
}

#[test]
fn an_entry_takes_34_bytes_at_most_while_the_index_grows_and_40_while_it_shrinks() {
    let index = Index::new(64);
    let mut draw = Draw(3);
    let hashes: Vec<u64> = (0..1_000_000).map(|_| draw.next()).collect();
    let bytes_per_entry = |index: &Index| index.bytes() as f64 / index.len() as f64;
    let mut worst: f64 = 0.0;
    for (number, hash) in (0..).zip(&hashes) {
        index.shard(*hash).insert(*hash, entry(number));
        if number >= 100_000 && number % 5_000 == 0 {
            worst = worst.max(bytes_per_entry(&index));
        }
    }
    println!("growing: {worst:.1} bytes per entry at the worst");
    assert!(worst <= 34.0, "{worst}");
    let mut worst: f64 = 0.0;
    for (number, hash) in hashes.iter().enumerate().take(950_000) {
        assert!(index.shard(*hash).remove(*hash).is_some());
        if number % 5_000 == 0 {
            worst = worst.max(bytes_per_entry(&index));
        }
    }
    println!("shrinking: {worst:.1} bytes per entry at the worst");
    assert!(worst <= 40.0, "{worst}");
    index.validate();
}

#[test]
fn retain_asks_once_for_each_and_gives_memory_back() {
    let index = Index::new(16);
    let mut draw = Draw(4);
    for number in 0..100_000 {
        let hash = draw.next();
        index.shard(hash).insert(hash, entry(number));
    }
    let before = index.bytes();
    let mut asked = 0;
    let gone = index.retain(|_, entry| {
        asked += 1;
        entry.place.offset_units % 10 == 0
    });
    assert_eq!((asked, gone, index.len()), (100_000, 90_000, 10_000));
    assert!(index.bytes() * 8 < before, "{} of {before}", index.bytes());
    index.validate();
    assert_eq!(index.retain(|_, _| true), 0);
    assert_eq!(index.retain(|_, _| false), 10_000);
    index.validate();
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64, u32),
    Remove(u64),
    RemoveAt(u64, u32),
    Touch(u64),
    Retain(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Hashes of few upper bits: long runs, ends that meet the beginning, and the same hash again and again.
    let hash = (0..64_u64, 0..4_u64).prop_map(|(upper, lower)| upper.wrapping_mul(0x0600_0000_0000_0000) | lower);
    let step = prop_oneof![
        6 => (hash.clone(), 1..50_u32).prop_map(|(hash, number)| Step::Insert(hash, number)),
        3 => hash.clone().prop_map(Step::Remove),
        1 => (hash.clone(), 1..50_u32).prop_map(|(hash, number)| Step::RemoveAt(hash, number)),
        1 => hash.prop_map(Step::Touch),
        1 => (2..9_u32).prop_map(Step::Retain),
    ];
    proptest::collection::vec(step, 1..300)
}

proptest! {
    #[test]
    fn it_does_what_a_hash_map_does(steps in steps(), shards in 1..5_usize) {
        let index = Index::new(shards);
        let mut model: HashMap<u64, Entry> = HashMap::new();
        for step in steps {
            match step {
                Step::Insert(hash, number) => {
                    prop_assert_eq!(index.shard(hash).insert(hash, entry(number)), model.insert(hash, entry(number)));
                }
                Step::Remove(hash) => prop_assert_eq!(index.shard(hash).remove(hash), model.remove(&hash)),
                Step::RemoveAt(hash, number) => {
                    let place = entry(number).place;
                    let expected = model.get(&hash).copied().filter(|entry| entry.place == place);
                    prop_assert_eq!(index.shard(hash).remove_at(hash, place), expected);
                    if expected.is_some() {
                        model.remove(&hash);
                    }
                }
                Step::Touch(hash) => {
                    prop_assert_eq!(index.get_touched(hash), model.get(&hash).copied());
                    if let Some(entry) = model.get_mut(&hash) && entry.heat < HEAT_MAX {
                        entry.heat += 1;
                    }
                }
                Step::Retain(divisor) => {
                    let gone = index.retain(|_, entry| entry.len_units % divisor != 0);
                    let before = model.len();
                    model.retain(|_, entry| entry.len_units % divisor != 0);
                    prop_assert_eq!(gone, before - model.len());
                }
            }
            index.validate();
            prop_assert_eq!(index.len(), model.len());
        }
        for (hash, entry) in &model {
            prop_assert_eq!(index.get(*hash), Some(*entry));
        }
    }
}
