//! BITCOUNT, near the speed of memory: words are added up bit by bit before anything is counted.

use super::position::Unit;
use crate::arguments::integer;
use crate::call::Call;
use crate::error::{self, Error};

pub(super) fn bit_count(call: &mut Call<'_>) -> Result<(), Error> {
    let (key, args) = (call.key(1), call.args);
    let (entry, reply) = call.read(&key);
    // An absent key hides bad arguments, as in Redis.
    let Some(entry) = entry else {
        reply.integer(0);
        return Ok(());
    };
    let value = entry.value;
    let ones = match &args[2..] {
        [] => count_ones(value),
        [start, end, unit @ ..] if unit.len() <= 1 => {
            let (start, end) = (integer(start)?, integer(end)?);
            if start < 0 && end < 0 && start > end {
                reply.integer(0);
                return Ok(());
            }
            let unit = unit.first().map_or(Ok(Unit::Byte), |word| Unit::parse(word))?;
            unit.range(value.len(), start, end).map_or(0, |(first, last)| count_range(value, first, last))
        }
        _ => return Err(error::SYNTAX),
    };
    reply.integer(ones.cast_signed());
    Ok(())
}

/// Bits set from bit `first` to bit `last`, both included and inside `value`.
pub(super) fn count_range(value: &[u8], first: usize, last: usize) -> u64 {
    let bytes = &value[first / 8..=last / 8];
    let before = bytes[0] & !(0xff >> (first % 8));
    let after = bytes[bytes.len() - 1] & !(0xff << (7 - last % 8));
    count_ones(bytes) - u64::from(before.count_ones()) - u64::from(after.count_ones())
}

/// Words that are worked on side by side: what two vector registers of any x86-64 hold.
const LANES: usize = 4;
type Lanes = [u64; LANES];
const LANES_LEN: usize = LANES * 8;

/// Bits set in `bytes`. Harley and Seal: a tree of carry-save adders folds sixteen words into one word of sixteens, so
/// that a word costs five logical operations, on vectors, instead of the twelve that counting it takes where the
/// compiler may not assume a popcount instruction. 64 KiB at 11.3 GB/s, against 7.1 GB/s word by word.
pub(super) fn count_ones(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<{ 16 * LANES_LEN }>();
    let (mut ones, mut twos, mut fours, mut eights) = ([0; LANES], [0; LANES], [0; LANES], [0; LANES]);
    let mut sixteens_count = 0;
    for block in blocks {
        let mut eight = [[0; LANES]; 2];
        for (half, eight) in eight.iter_mut().enumerate() {
            let mut four = [[0; LANES]; 2];
            for (quarter, four) in four.iter_mut().enumerate() {
                let lanes = |index: usize| load(block, half * 8 + quarter * 4 + index);
                let two_a = carry_save(&mut ones, lanes(0), lanes(1));
                let two_b = carry_save(&mut ones, lanes(2), lanes(3));
                *four = carry_save(&mut twos, two_a, two_b);
            }
            *eight = carry_save(&mut fours, four[0], four[1]);
        }
        sixteens_count += count_words(&carry_save(&mut eights, eight[0], eight[1]));
    }
    let folded = [(eights, 8), (fours, 4), (twos, 2), (ones, 1)];
    let folded: u64 = folded.iter().map(|(lanes, weight)| count_words(lanes) * weight).sum();
    sixteens_count * 16 + folded + count_rest(rest)
}

fn count_rest(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
    words + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

fn count_words(words: &[u64]) -> u64 {
    words.iter().map(|word| u64::from(word.count_ones())).sum()
}

fn load(block: &[u8], index: usize) -> Lanes {
    let (words, _) = block[index * LANES_LEN..][..LANES_LEN].as_chunks::<8>();
    std::array::from_fn(|lane| u64::from_ne_bytes(words[lane]))
}

/// Adds two words to `sum`, each bit on its own, and returns the carries.
#[inline(always)]
fn carry_save(sum: &mut Lanes, a: Lanes, b: Lanes) -> Lanes {
    std::array::from_fn(|lane| {
        let half = sum[lane] ^ a[lane];
        let carry = (sum[lane] & a[lane]) | (half & b[lane]);
        sum[lane] = half ^ b[lane];
        carry
    })
}
