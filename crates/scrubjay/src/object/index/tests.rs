//! The index against maps that need no care.

use super::super::pack::Draft;
use super::*;
use proptest::prelude::*;

fn pack(stamp: u64, writer: u64, rows: &[(u64, u64, bool)]) -> (PackName, Footer) {
    let mut draft = Draft::default();
    for &(hash, stamp, is_value) in rows {
        if is_value {
            draft.value(hash, stamp, 0, b"key", b"entry");
        } else {
            draft.gone(hash, stamp);
        }
    }
    let sealed = draft.seal(stamp, writer);
    (sealed.name, sealed.footer)
}

fn offer(index: &mut Index, (name, footer): &(PackName, Footer)) {
    index.offer(*name, footer, 0, 0, |_| false);
}

fn holds(index: &Index, hash: u64) -> bool {
    index.find(hash, 0).is_some_and(|known| known.located.is_some())
}

/// A hash with all of its bits in use.
fn hash(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[test]
fn an_entry_takes_at_most_32_bytes() {
    let mut index = Index::default();
    let (mut worst, mut at) = (0, 0);
    for number in 0..200_u64 {
        let rows: Vec<_> = (0..1_400).map(|row| (hash(number * 1_400 + row), number + 1, true)).collect();
        offer(&mut index, &pack(number + 1, 1, &rows));
        if number > 10 && index.bytes() * 1000 / index.len() > worst {
            (worst, at) = (index.bytes() * 1000 / index.len(), index.len());
        }
    }
    assert_eq!(index.len(), 280_000);
    assert!(worst <= 32_000, "{worst} bytes per 1,000 entries at {at} entries");
}

#[test]
fn a_removal_wins_over_older_values_that_turn_up_later_and_over_a_tie() {
    let mut index = Index::default();
    offer(&mut index, &pack(20, 1, &[(7, 20, false)]));
    offer(&mut index, &pack(30, 1, &[(7, 19, true)]));
    offer(&mut index, &pack(31, 1, &[(7, 20, true)]));
    assert!(!holds(&index, 7));
    offer(&mut index, &pack(32, 1, &[(7, 21, true)]));
    assert!(holds(&index, 7));
}

#[test]
fn of_a_rewritten_entry_the_later_pack_counts() {
    let mut index = Index::default();
    let (old, new) = (pack(10, 1, &[(7, 10, true)]), pack(50, 2, &[(7, 10, true)]));
    offer(&mut index, &old);
    offer(&mut index, &new);
    assert_eq!(index.living(old.0), [false]);
    assert_eq!(index.living(new.0), [true]);
    index.remove_pack(old.0);
    assert!(holds(&index, 7));
}

#[test]
fn what_was_left_out_cannot_hide_behind_what_stays() {
    let mut index = Index::default();
    let many: Vec<_> = (100..3_000).map(|number| (hash(number), 60, true)).collect();
    // The removal of 7 is in an older pack than the one that a process rewrote without knowing of it.
    offer(&mut index, &pack(50, 1, &[(7, 40, false)]));
    offer(&mut index, &pack(55, 1, &[(7, 30, true), (8, 54, true)]));
    offer(&mut index, &pack(60, 1, &many));
    let limit = index.bytes() - 1;
    let mut fitted = index.bytes();
    index.fit(limit);
    assert!(!holds(&index, 7) && index.floor >= 50);
    offer(&mut index, &pack(61, 1, &[(7, 30, true), (9, 61, true)]));
    assert!(!holds(&index, 7) && holds(&index, 9));
    fitted -= index.bytes();
    assert!(fitted > 0);
}

#[test]
fn what_has_expired_leaves_and_its_pack_is_dead() {
    let mut index = Index::default();
    let mut draft = Draft::default();
    draft.value(1, 5, 1_500, b"a", b"short");
    draft.large(2, 5, 9_000, b"b", 3);
    let sealed = draft.seal(5, 1);
    index.offer(sealed.name, &sealed.footer, 0, 0, |_| false);
    assert!(index.find(1, 1_999).unwrap().located.is_some() && index.find(1, 2_000).unwrap().located.is_none());
    assert_eq!(index.drop_expired(2_000), 1);
    assert_eq!(index.packs().map(|pack| (pack.live, pack.live_bytes)).collect::<Vec<_>>(), [(1, 0)]);
    assert_eq!(index.drop_expired(9_000), 1);
    assert_eq!(index.packs().map(|pack| pack.live).sum::<u32>(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Offer(Vec<(u64, u64, bool)>),
    Remove(usize),
    Forget(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let rows = proptest::collection::vec((0_u64..40, 1_u64..500, any::<bool>()), 1..30);
    prop_oneof![
        6 => rows.prop_map(Step::Offer),
        1 => any::<usize>().prop_map(Step::Remove),
        1 => (0_u64..40).prop_map(Step::Forget),
    ]
}

proptest! {
    /// Rows that leave take what they hid with them: that is a miss. So the index may hold less than the map, never another.
    #[test]
    fn it_has_what_a_map_has(steps in proptest::collection::vec(step(), 1..60)) {
        let (mut index, mut packs) = (Index::default(), Vec::new());
        let mut newest: HashMap<u64, (u64, bool)> = HashMap::new();
        for (number, step) in (0_u64..).zip(steps) {
            match step {
                Step::Offer(mut rows) => {
                    rows.iter_mut().for_each(|row| row.0 = hash(row.0));
                    rows.sort_by_key(|row| row.0);
                    rows.dedup_by_key(|row| row.0);
                    for &(hash, stamp, is_value) in &rows {
                        let entry = newest.entry(hash).or_insert((stamp, is_value));
                        if stamp > entry.0 || (stamp == entry.0 && !is_value) {
                            *entry = (stamp, is_value);
                        }
                    }
                    packs.push(pack(1_000 + number, 1, &rows));
                    offer(&mut index, packs.last().unwrap());
                }
                Step::Remove(at) if !packs.is_empty() => {
                    let (name, _) = packs.swap_remove(at % packs.len());
                    let living = index.living(name);
                    let removed = index.remove_pack(name).unwrap();
                    prop_assert_eq!(living.iter().filter(|is| **is).count(), (removed.live + removed.gone) as usize);
                    newest.retain(|hash, _| index.find(*hash, 0).is_some());
                }
                Step::Remove(_) => {}
                Step::Forget(number) => {
                    index.forget(hash(number), 0);
                    newest.remove(&hash(number));
                }
            }
            let live: u32 = index.packs().map(|pack| pack.live + pack.gone).sum();
            prop_assert_eq!(live as usize, index.len());
            for (hash, (stamp, is_value)) in &newest {
                let known = index.find(*hash, 0).unwrap();
                prop_assert_eq!((known.stamp, known.located.is_some()), (*stamp, *is_value));
            }
        }
    }
}
