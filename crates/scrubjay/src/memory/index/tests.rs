use super::{Parts, Place, Table};
use std::collections::HashMap;

fn parts(hash: u64) -> Parts {
    Parts::of(hash)
}

fn find(table: &Table, hash: u64, slot: u32) -> Option<(Place, u32)> {
    table.find(parts(hash), |found| (found == slot).then_some(found))
}

/// Slots by a hash that the test chooses, and the table beside it.
#[derive(Default)]
struct Model {
    hashes: HashMap<u32, u64>,
}

impl Model {
    fn check(&self, table: &Table) {
        for (slot, hash) in &self.hashes {
            assert_eq!(find(table, *hash, *slot).map(|found| found.1), Some(*slot));
            assert!(table.place_of(parts(*hash).home, *slot).is_some());
        }
        let mut seen = Vec::new();
        table.for_each(|slot| seen.push(slot));
        seen.sort_unstable();
        let mut expected: Vec<u32> = self.hashes.keys().copied().collect();
        expected.sort_unstable();
        assert_eq!(seen, expected);
    }
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn table_agrees_with_a_map_through_inserts_removes_and_growth() {
    // Miri is a thousand times slower.
    let (seeds, slots) = if cfg!(miri) { (1_u64, 200_u32) } else { (20, 2_000) };
    for seed in 1..=seeds {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut model = Model::default();
        let mut table = Table::new(1);
        for slot in 0..slots {
            // Few distinct homes, so that searches pass many full buckets.
            let hash = random(&mut state) & if seed % 2 == 0 { u64::MAX } else { 0xf800_00ff };
            if model.hashes.len() == table.capacity() {
                let larger = Table::new(table.bucket_count() + table.bucket_count() / 3 + 1);
                table.copy_to(&larger, |slot| parts(model.hashes[&slot]).home, |_| ());
                table = larger;
            }
            table.insert(parts(hash), slot);
            model.hashes.insert(slot, hash);
            if random(&mut state).is_multiple_of(3) {
                let victim = *model.hashes.keys().min().unwrap();
                let hash = model.hashes.remove(&victim).unwrap();
                let (place, found) = find(&table, hash, victim).unwrap();
                assert_eq!(found, victim);
                table.remove(parts(hash).home, place);
                assert_eq!(find(&table, hash, victim), None);
            }
            if slot % 100 == 0 {
                model.check(&table);
            }
        }
        model.check(&table);
    }
}

#[test]
fn a_removed_entry_shortens_the_search_again() {
    let table = Table::new(4);
    // 13 entries of one home: the last one lies in the next bucket.
    let slots: Vec<u32> = (0..13).collect();
    for slot in &slots {
        table.insert(parts(5), *slot);
    }
    let (place, _) = find(&table, 5, 12).unwrap();
    assert_eq!(table.find(parts(6), Some), None);
    let mut looked_at = 0;
    let _ = table.find(parts(5), |_| {
        looked_at += 1;
        None::<()>
    });
    assert_eq!(looked_at, 13);
    table.remove(0, place);
    assert_eq!(table.bucket(parts(0)).passed.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn replaced_slot_is_found_in_the_same_place() {
    let table = Table::new(1);
    table.insert(parts(77), 1);
    let (place, _) = find(&table, 77, 1).unwrap();
    table.replace(place, 2);
    assert_eq!(find(&table, 77, 1), None);
    assert_eq!(find(&table, 77, 2), Some((place, 2)));
}

#[test]
fn a_search_ends_though_every_bucket_was_passed() {
    let table = Table::new(2);
    let (first, second) = (0, 0x8000_0000_u64);
    // The first bucket is full and passes one on; then it empties.
    (0..13).for_each(|slot| table.insert(parts(first), slot));
    for slot in 0..12 {
        let (place, _) = find(&table, first, slot).unwrap();
        table.remove(parts(first).home, place);
    }
    // So does the second. Fourteen places of 24 are taken at most.
    (20..32).for_each(|slot| table.insert(parts(second), slot));
    let (sender, done) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send((find(&table, first, 99), find(&table, second, 99))));
    let found = done.recv_timeout(std::time::Duration::from_secs(20)).expect("the search goes round for ever");
    assert_eq!(found, (None, None));
}
