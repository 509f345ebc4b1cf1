//! BITCOUNT, at the speed of memory: sixteen words are added up bit by bit before anything is counted.

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

/// Bits set in `bytes`. Harley and Seal: a tree of carry-save adders folds sixteen words into one word of sixteens, so
/// that a word costs five logical operations instead of the twelve that counting it takes without a popcount instruction.
pub(super) fn count_ones(bytes: &[u8]) -> u64 {
    let mut blocks = bytes.chunks_exact(128);
    let (mut ones, mut twos, mut fours, mut eights) = (0, 0, 0, 0);
    let mut total = 0;
    for block in &mut blocks {
        let word = |index: usize| u64::from_ne_bytes(std::array::from_fn(|byte| block[index * 8 + byte]));
        let mut eight = [0; 2];
        for (half, eight) in eight.iter_mut().enumerate() {
            let mut four = [0; 2];
            for (quarter, four) in four.iter_mut().enumerate() {
                let at = half * 8 + quarter * 4;
                let two_a = carry_save(&mut ones, word(at), word(at + 1));
                let two_b = carry_save(&mut ones, word(at + 2), word(at + 3));
                *four = carry_save(&mut twos, two_a, two_b);
            }
            *eight = carry_save(&mut fours, four[0], four[1]);
        }
        let sixteens = carry_save(&mut eights, eight[0], eight[1]);
        total += count(sixteens);
    }
    let folded = [(total, 16), (count(eights), 8), (count(fours), 4), (count(twos), 2), (count(ones), 1)];
    let rest: u64 = blocks.remainder().iter().map(|byte| u64::from(byte.count_ones())).sum();
    rest + folded.iter().map(|(count, weight)| count * weight).sum::<u64>()
}

fn count(word: u64) -> u64 {
    u64::from(word.count_ones())
}

/// Adds two words to `sum`, each bit on its own, and returns the carries.
#[inline(always)]
fn carry_save(sum: &mut u64, a: u64, b: u64) -> u64 {
    let half = *sum ^ a;
    let carry = (*sum & a) | (half & b);
    *sum = half ^ b;
    carry
}
