//! Files that were changed from outside, by a corpus and by chance. The fuzz target `segment` goes on where this ends.

#[path = "mutations/play.rs"]
mod play;

/// What the fuzzer found, and what it should not have to find.
const CORPUS: &[&[u8]] = &[
    b"",
    // Each file cut off at nothing, and gone.
    &[2, 0, 0, 0],
    &[2, 1, 0, 0],
    &[2, 2, 0, 0, 2, 3, 0, 0],
    &[4, 0, 0, 0],
    &[4, 1, 0, 0],
    &[4, 2, 0, 0],
    &[4, 3, 0, 0, 4, 2, 0, 0, 4, 1, 0, 0],
    // A segment under the name of another, and of one that is far away.
    &[5, 1, 0, 0, 2],
    &[5, 3, 0, 0, 7],
    // A trailer that announces more items than fit, and one that is newer.
    &[6, 1, 0, 1, 36, 4, 0xff, 0xff, 0xff, 0xff],
    &[6, 1, 0, 1, 8, 1, 2],
    // A manifest that announces segments of no length, and one that is newer.
    &[6, 0, 0, 0, 32, 8, 0, 0, 0, 0, 0, 0, 0, 0],
    &[6, 0, 0, 0, 8, 1, 2],
    // A header that says that everything was durable.
    &[6, 3, 0, 0, 40, 8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    // The middle of a segment over its beginning, and zeros behind its end.
    &[7, 3, 0, 64, 40, 0, 255],
    &[3, 2, 0, 0, 0xff],
];

#[test]
fn the_corpus_is_played() {
    CORPUS.iter().for_each(|input| play::play(input));
}

#[test]
fn files_changed_by_chance_are_a_store_or_an_error() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    for _ in 0..400 {
        let len = random() % 48;
        let input: Vec<u8> = (0..len).map(|_| random()).collect();
        play::play(&input);
    }
}
