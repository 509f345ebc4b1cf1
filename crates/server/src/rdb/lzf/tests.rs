//! Round trips, hostile input and one stream made by Redis.

use super::{Compressor, decompress};

fn check(input: &[u8]) -> Option<usize> {
    let mut compressor = Compressor::new();
    // The second time the table is full of stale places.
    compressor.compress(input);
    let packed = compressor.compress(input)?.to_vec();
    assert!(packed.len() + 5 <= input.len());
    let mut out = b"before".to_vec();
    decompress(&packed, input.len(), &mut out).expect("what was packed unpacks");
    assert_eq!(&out[6..], input);
    Some(packed.len())
}

#[test]
fn repetitive_input_shrinks_and_comes_back() {
    assert!(check(&[b'x'; 100_000]).expect("shrinks") < 1_200);
    assert!(check(&b"the quick brown fox ".repeat(500)).expect("shrinks") < 300);
    let records: String = (0..2_000).map(|n| format!("user:{n}:name=jay;")).collect();
    assert!(check(records.as_bytes()).expect("shrinks") < records.len() * 6 / 10);
}

#[test]
fn input_that_does_not_shrink_is_left_alone() {
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..5_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    assert_eq!(check(&noise), None);
    for len in 0..8 {
        assert_eq!(check(&vec![b'a'; len]), None, "{len}");
    }
}

#[test]
fn every_length_around_the_format_s_limits_comes_back() {
    for run in (3..20).chain(255..275).chain(525..535) {
        let input = [b"0123456789abcdefghijklmnopqrstuvwxyz".to_vec(), vec![b'q'; run], b"end".to_vec()].concat();
        check(&input);
    }
    for distance in [1, 31, 32, 33, 255, 256, 8_190, 8_191, 8_192, 8_193] {
        let mut input: Vec<u8> = b"needle in the haystack, needle".to_vec();
        input.extend((0_u32..distance).map(|n| (n * 7 % 251).to_le_bytes()[0]));
        input.extend_from_slice(b"needle in the haystack, needle");
        check(&input);
    }
}

#[test]
fn hostile_input_is_an_error_of_bounded_cost() {
    let mut compressor = Compressor::new();
    let packed = compressor.compress(&b"hello hello hello hello ".repeat(20)).expect("shrinks").to_vec();
    for cut in 0..packed.len() {
        assert_eq!(decompress(&packed[..cut], 480, &mut Vec::new()), None);
    }
    for at in 0..packed.len() {
        for bit in 0..8 {
            let mut flipped = packed.clone();
            flipped[at] ^= 1 << bit;
            let mut out = Vec::new();
            let _ = decompress(&flipped, 480, &mut out);
            assert!(out.len() <= 480 + 264);
        }
    }
    assert_eq!(decompress(&[0x20, 0x00], 3, &mut Vec::new()), None, "a copy from before the start");
    assert_eq!(decompress(&[], 0, &mut Vec::new()), Some(()));
}
