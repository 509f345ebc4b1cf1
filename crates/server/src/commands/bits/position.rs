//! BITPOS, and the ranges that it shares with BITCOUNT.

use crate::arguments::{integer, is};
use crate::call::Call;
use crate::error::{self, Error};

/// What the ends of a range count in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Byte,
    Bit,
}

impl Unit {
    pub(super) fn parse(word: &[u8]) -> Result<Unit, Error> {
        match word {
            _ if is(word, "byte") => Ok(Unit::Byte),
            _ if is(word, "bit") => Ok(Unit::Bit),
            _ => Err(error::SYNTAX),
        }
    }

    /// The first and the last bit of a range over `len` bytes; negative ends count from the end. `None` when it is empty.
    pub(super) fn range(self, len: usize, start: i64, end: i64) -> Option<(usize, usize)> {
        let width = if self == Unit::Byte { 8 } else { 1 };
        let total = i64::try_from(len * 8 / width).ok()?;
        let from_end = |offset: i64| if offset < 0 { (total + offset).max(0) } else { offset };
        let (start, end) = (from_end(start), from_end(end).min(total - 1));
        if start > end {
            return None;
        }
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
        Some((start * width, end * width + width - 1))
    }
}

pub(super) fn bit_pos(call: &mut Call<'_>) -> Result<(), Error> {
    let bit = match integer(call.args[2])? {
        0 => false,
        1 => true,
        _ => return Err(error::BIT_ARGUMENT),
    };
    let (key, args) = (call.key(1), call.args);
    let (entry, reply) = call.read(&key);
    // An absent key hides bad arguments, as in Redis, and is clear without end.
    let Some(entry) = entry else {
        reply.integer(if bit { -1 } else { 0 });
        return Ok(());
    };
    let value = entry.value;
    let (start, end, unit) = match &args[3..] {
        [] => (0, None, Unit::Byte),
        [start] => (integer(start)?, None, Unit::Byte),
        [start, end] => (integer(start)?, Some(integer(end)?), Unit::Byte),
        [start, end, unit] => {
            let start = integer(start)?;
            let unit = Unit::parse(unit)?;
            (start, Some(integer(end)?), unit)
        }
        _ => return Err(error::SYNTAX),
    };
    let position = match unit.range(value.len(), start, end.unwrap_or(-1)) {
        None => None,
        Some((first, last)) => match position_in(value, bit, first, last) {
            // Without an end the string goes on with zeros.
            None if !bit && end.is_none() => Some(last + 1),
            found => found,
        },
    };
    match position {
        Some(position) => reply.count(position),
        None => reply.integer(-1),
    }
    Ok(())
}

/// The first bit that is `bit`, from bit `first` to bit `last`, both included and inside `value`.
pub(super) fn position_in(value: &[u8], bit: bool, first: usize, last: usize) -> Option<usize> {
    let flip = if bit { 0 } else { 0xff };
    let bytes = &value[first / 8..=last / 8];
    let head = (bytes[0] ^ flip) & (0xff >> (first % 8));
    let at = if head != 0 {
        head.leading_zeros() as usize
    } else {
        let skipped = 1 + clean_len(&bytes[1..], flip);
        let byte = *bytes.get(skipped)? ^ flip;
        skipped * 8 + byte.leading_zeros() as usize
    };
    Some(first / 8 * 8 + at).filter(|at| *at <= last)
}

/// How many bytes from the start are `clean`, in steps of blocks whose differences compile to vector instructions.
fn clean_len(bytes: &[u8], clean: u8) -> usize {
    const BLOCK: usize = 64;
    let is_clean = |block: &&[u8; BLOCK]| block.iter().fold(0, |sum, byte| sum | (byte ^ clean)) == 0;
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let skipped = blocks.iter().take_while(is_clean).count() * BLOCK;
    let rest = bytes.get(skipped..).unwrap_or_default();
    skipped + rest.iter().take_while(|byte| **byte == clean).count()
}
