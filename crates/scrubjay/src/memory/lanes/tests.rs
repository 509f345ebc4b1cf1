//! Every processor's way comes to the same.

#![allow(clippy::cast_possible_truncation, reason = "random numbers are cut to size")]

use super::{LANES, Lanes, equal, equal_bytes, narrow, oldest};

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(0xd129_42f0_4bd5_8f35).wrapping_add(1);
    *state ^ *state >> 29
}

#[test]
fn bytes_are_compared_alike() {
    let mut state = 1;
    for _ in 0..20_000 {
        // Bytes of a small range, so that they are often equal, and next to each other.
        let first = random(&mut state) & 0x8181_8181_0101_0101;
        let more = (random(&mut state) >> 20) as u32 & 0x0181_0101;
        for byte in [0, 1, 0x80, 0x81, 0xff] {
            let bytes = first.to_le_bytes().into_iter().chain(more.to_le_bytes());
            let expected = (0..).zip(bytes).map(|(place, found)| u32::from(found == byte) << place).sum::<u32>();
            assert_eq!(equal_bytes(first, more, byte), expected, "{first:x} {more:x} {byte:x}");
            assert_eq!(narrow::equal_bytes(first, more, byte) & 0xfff, expected, "{first:x} {more:x} {byte:x}");
        }
    }
}

#[test]
fn numbers_are_compared_alike() {
    let mut state = 2;
    for _ in 0..20_000 {
        let masks = [u16::MAX, 0x8003, 0x0103, 0xff00];
        let mask = masks[random(&mut state) as usize % masks.len()];
        let lanes: Lanes = std::array::from_fn(|_| random(&mut state) as u16 & mask);
        let number = lanes[random(&mut state) as usize % LANES];
        let now = random(&mut state) as u16 & !3;
        assert_eq!(equal(&lanes, number), narrow::equal(&lanes, number), "{lanes:x?} {number:x}");
        assert_eq!(equal(&lanes, now), narrow::equal(&lanes, now), "{lanes:x?} {now:x}");
        assert_eq!(oldest(&lanes, now), narrow::oldest(&lanes, now), "{lanes:x?} {now:x}");
    }
}

#[test]
fn the_oldest_is_the_one_that_is_furthest_behind_and_an_empty_one_before_it() {
    let mut stamps: Lanes = std::array::from_fn(|lane| (400 + 40 * lane as u16) | 1);
    assert_eq!(oldest(&stamps, 2000), 0);
    // Later than now, by a turn of the clock: nearly a turn ago.
    stamps[9] = 2004 | 3;
    assert_eq!(oldest(&stamps, 2000), 9);
    stamps[12] = 0;
    assert_eq!(oldest(&stamps, 2000), 12);
}
