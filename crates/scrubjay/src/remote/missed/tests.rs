use super::*;

fn insert(len: usize, stored_at_ms: u64) -> Op {
    Op::Insert { bytes: Bytes::from(vec![1; len]), stored_at_ms, expires_ms: 0 }
}

fn ops(missed: &Missed) -> Vec<(Vec<u8>, Op)> {
    let mut due: Vec<_> =
        missed.due(1, |_| u64::MAX, 0, 100).into_iter().map(|(key, change)| (key, change.op)).collect();
    due.sort_by(|a, b| a.0.cmp(&b.0));
    due
}

#[test]
fn the_latest_change_of_a_key_counts() {
    let mut missed = Missed::new(10_000, true);
    missed.note(b"a", insert(10, 1), 1, 0);
    missed.note(b"a", Op::Removed, 2, 0);
    missed.note(b"b", Op::Removed, 3, 0);
    missed.note(b"b", insert(10, 4), 4, 0);
    assert_eq!(ops(&missed), [(b"a".to_vec(), Op::Removed), (b"b".to_vec(), insert(10, 4))]);
    assert!(missed.has(b"a") && !missed.has(b"c"));
}

#[test]
fn what_is_done_goes_and_what_came_meanwhile_stays() {
    let mut missed = Missed::new(10_000, true);
    missed.note(b"a", insert(10, 1), 1, 0);
    let (key, change) = missed.due(1, |_| 1, 0, 1).remove(0);
    missed.note(b"a", Op::Removed, 2, 0);
    missed.done(&key, change.number);
    assert_eq!(ops(&missed), [(b"a".to_vec(), Op::Removed)]);
    let (key, change) = missed.due(1, |_| 1, 0, 1).remove(0);
    missed.done(&key, change.number);
    assert!(missed.is_empty());
    assert_eq!(missed.bytes(), 0);
}

#[test]
fn a_change_waits_for_the_fence_of_any_before_it() {
    let mut missed = Missed::new(10_000, true);
    missed.note(b"a", Op::Removed, 1, 500);
    missed.note(b"a", insert(10, 2), 2, 0);
    assert_eq!(missed.due(1, |_| 500, 0, 10), []);
    assert_eq!(missed.due(1, |_| 501, 0, 10)[0].1.fence_ms, 500);
}

#[test]
fn beyond_the_bytes_what_was_written_is_only_removed() {
    let mut missed = Missed::new(1_000, true);
    missed.note(b"a", insert(700, 1), 1, 0);
    missed.note(b"b", insert(700, 2), 2, 0);
    assert_eq!(ops(&missed), [(b"a".to_vec(), insert(700, 1)), (b"b".to_vec(), Op::Removed)]);
    assert!(missed.bytes() <= 2_000);
}

#[test]
fn beyond_the_keys_all_of_the_cache_is_cleared() {
    let mut missed = Missed::new(1 << 20, true);
    missed.keys_max = 3;
    for key in 0..3_u8 {
        assert_eq!(missed.note(&[key], Op::Removed, 1, 0), Noted::Kept);
    }
    assert_eq!(missed.note(&[0], insert(1, 1), 2, 0), Noted::Kept);
    assert_eq!(missed.note(&[3], Op::Removed, 3, 0), Noted::Overflowed);
    assert!(missed.has(b"anything"));
    let [(mark, number)] = missed.marks()[..] else { panic!("{missed:?}") };
    assert_eq!((mark, missed.bytes()), (Mark::Cleared, 0));
    // More comes while the clear is on its way: another one must follow.
    for key in 0..4_u8 {
        missed.note(&[key], Op::Removed, 4, 0);
    }
    missed.mark_done(mark, number);
    assert!(missed.has(b"anything"));
}

#[test]
fn long_keys_are_bounded_in_bytes() {
    let mut missed = Missed::new(100_000, true);
    let mut noted = Vec::new();
    for key in 0..10_u8 {
        noted.push(missed.note(&vec![key; 60_000], Op::Removed, 1, 0));
        assert!(missed.bytes() <= 200_000);
    }
    assert!(noted.contains(&Noted::Overflowed));
}

#[test]
fn where_nothing_can_be_cleared_the_key_is_lost_and_said_to_be() {
    let mut missed = Missed::new(1 << 20, false);
    missed.keys_max = 1;
    missed.note(b"a", Op::Removed, 1, 0);
    assert_eq!(missed.note(b"b", Op::Removed, 1, 0), Noted::Overflowed);
    assert!(missed.has(b"a") && !missed.has(b"b") && missed.marks().is_empty());
}

#[test]
fn a_doubtful_write_becomes_a_removal_behind_its_fence() {
    let mut missed = Missed::new(10_000, true);
    missed.note(b"a", insert(100, 1), 1, 0);
    let (key, change) = missed.due(1, |_| 1, 0, 1).remove(0);
    missed.doubt(&key, change.number, 900, 1);
    assert_eq!(missed.due(1, |_| 900, 0, 1), []);
    assert_eq!(ops(&missed), [(b"a".to_vec(), Op::Removed)]);
    missed.note(b"a", insert(5, 3), 3, 0);
    missed.doubt(&key, change.number, 1_000, 1);
    assert_eq!(missed.due(1, |_| 1_000, 0, 1), []);
    assert_eq!(ops(&missed), [(b"a".to_vec(), insert(5, 3))]);
}

#[test]
fn a_fence_is_over_some_time_later_by_the_own_clock_wherever_the_servers_stands() {
    let mut missed = Missed::new(10_000, true);
    missed.patience_ms = 1_000;
    let over_ms = 1 + 1_000 + FENCE_MS_MAX;
    missed.note(b"a", Op::Removed, 1, 500);
    // Another change of the key does not make it longer.
    missed.note(b"a", insert(10, 2), 30_000, 0);
    let an_hour_ago = |_: &[u8]| 0;
    assert_eq!(missed.due(over_ms - 1, an_hour_ago, 0, 1), []);
    let (key, change) = missed.due(over_ms, an_hour_ago, 0, 1).remove(0);
    assert_eq!((change.fence_at(over_ms - 1), change.fence_at(over_ms)), (500, 0));
    // One of the clock as it is now counts, though it lies before.
    missed.doubt(&key, change.number, 300, over_ms);
    assert_eq!(missed.due(over_ms, an_hour_ago, 0, 1), []);
    assert_eq!(missed.due(over_ms, |_| 301, 0, 1)[0].1.fence_at(over_ms), 300);
}

#[test]
fn what_is_due_comes_by_its_number_and_beyond_what_was_tried() {
    let mut missed = Missed::new(1 << 20, true);
    for key in 0..10_u8 {
        missed.note(&[key], Op::Removed, 1, if key == 3 { 1_000 } else { 0 });
    }
    // The first once more: it is the last now.
    missed.note(&[0], Op::Removed, 1, 0);
    let keys = |after, count| -> Vec<(u8, u64)> {
        missed.due(1, |_| 500, after, count).iter().map(|(key, change)| (key[0], change.number)).collect()
    };
    let first = keys(0, 4);
    assert_eq!(first.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [1, 2, 4, 5]);
    let rest = keys(first[3].1, 100);
    assert_eq!(rest.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [6, 7, 8, 9, 0]);
    assert!(keys(rest[4].1, 100).is_empty());
}
