use super::*;

#[test]
fn a_packed_sequence_gives_back_the_keys_that_it_was_made_of() {
    let ranks = [0, 1, 99_999, 3, 1 << 40];
    let (numbers, texts) = (u64::pack(ranks.into_iter()), String::pack(ranks.into_iter()));
    for (step, rank) in ranks.into_iter().enumerate() {
        assert_eq!(*u64::at(&numbers, step), u64::of(rank));
        assert_eq!(String::at(&texts, step), String::of(rank));
    }
}

#[test]
fn ranks_have_keys_of_their_own() {
    let mut texts: Vec<String> = (0..100_000).map(String::of).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), 100_000);
}

#[test]
fn threads_draw_apart() {
    let sequences = sequences::<u64>(1000, 2);
    assert_eq!(sequences[0].len(), STEPS);
    let equal = sequences[0].iter().zip(&sequences[1]).filter(|(left, right)| left == right).count();
    assert!(equal < STEPS / 10, "{equal} steps are equal");
}
