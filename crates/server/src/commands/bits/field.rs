//! BITFIELD and BITFIELD_RO: integers of 1 to 64 bits at any bit of a string.
//!
//! Arguments are read twice, first to know that all are good and how long the string must be, then to do what they
//! say: nothing is changed when one of them is bad.

#![allow(clippy::cast_possible_truncation, reason = "offsets inside a byte, and fields of at most 64 bits")]

use super::offset;
use crate::arguments::{integer, is, parse_integer};
use crate::call::Call;
use crate::error::{self, Error};
use scrubjay_resp::Reply;
use smallvec::SmallVec;

/// The type of a field: `u8`, `i64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Encoding {
    pub(super) is_signed: bool,
    /// 1 to 64; at most 63 when unsigned, so that every value fits a reply.
    pub(super) width: u32,
}

/// What to do with a number that does not fit its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Get,
    Set(i64),
    Increment(i64),
}

#[derive(Clone, Copy, Debug)]
struct Step {
    action: Action,
    encoding: Encoding,
    overflow: Overflow,
    /// Bit offset of the field.
    at: usize,
}

type Steps = SmallVec<[Step; 4]>;

pub(super) fn bit_field(call: &mut Call<'_>) -> Result<(), Error> {
    let steps = parse_steps(call)?;
    let written = steps.iter().filter(|step| step.action != Action::Get);
    let Some(bits) = written.map(|step| step.at + step.encoding.width as usize).max() else {
        answer_reads(call, &steps);
        return Ok(());
    };
    let (key, db) = (call.key(1), call.client.db);
    let value = call.held.get(db, &key).map_or(&[][..], |entry| entry.value);
    let (len, len_min) = (value.len(), bits.div_ceil(8));
    call.reply.array(steps.len());
    // What changes nothing must not wake those who watch the key: a counter that is full and fails, say.
    if len >= len_min && !steps.iter().any(|step| step.outcome(value).changed.is_some()) {
        steps.iter().for_each(|step| step.outcome(value).answer(&mut call.reply));
        return Ok(());
    }
    let value = call.held.resize(db, &key, len.max(len_min))?;
    for step in &steps {
        let outcome = step.outcome(value);
        if let Some(after) = outcome.changed {
            step.encoding.write(value, step.at, after);
        }
        outcome.answer(&mut call.reply);
    }
    Ok(())
}

pub(super) fn bit_field_read_only(call: &mut Call<'_>) -> Result<(), Error> {
    let steps = parse_steps(call)?;
    if steps.iter().any(|step| step.action != Action::Get) {
        return Err(error::BITFIELD_READ_ONLY);
    }
    answer_reads(call, &steps);
    Ok(())
}

fn answer_reads(call: &mut Call<'_>, steps: &[Step]) {
    let key = call.key(1);
    let (entry, reply) = call.read(&key);
    let value = entry.map_or(&[][..], |entry| entry.value);
    reply.array(steps.len());
    for step in steps {
        reply.integer(step.encoding.read(value, step.at));
    }
}

fn parse_steps(call: &Call<'_>) -> Result<Steps, Error> {
    let mut steps = Steps::new();
    let mut overflow = Overflow::Wrap;
    let mut rest = &call.args[2..];
    while let [word, after @ ..] = rest {
        let (action, after) = match after {
            [kind, after @ ..] if is(word, "overflow") => {
                overflow = Overflow::parse(kind)?;
                rest = after;
                continue;
            }
            [_, _, ..] if is(word, "get") => (None, after),
            [_, _, _, ..] if is(word, "set") => (Some(Action::Set as fn(i64) -> Action), after),
            [_, _, _, ..] if is(word, "incrby") => (Some(Action::Increment as fn(i64) -> Action), after),
            _ => return Err(error::SYNTAX),
        };
        let encoding = Encoding::parse(after[0])?;
        let at = offset(call, after[1], Some(encoding.width))?;
        let (action, used) = match action {
            None => (Action::Get, 2),
            Some(action) => (action(integer(after[2])?), 3),
        };
        steps.push(Step { action, encoding, overflow, at });
        rest = &after[used..];
    }
    Ok(steps)
}

impl Overflow {
    fn parse(word: &[u8]) -> Result<Overflow, Error> {
        [("wrap", Overflow::Wrap), ("sat", Overflow::Saturate), ("fail", Overflow::Fail)]
            .into_iter()
            .find_map(|(name, overflow)| is(word, name).then_some(overflow))
            .ok_or(error::BITFIELD_OVERFLOW)
    }
}

/// What a step comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome {
    /// What to answer, null when the number must not be bent to its field.
    shown: Option<i64>,
    /// The new content of the field, when it is another one.
    changed: Option<i64>,
}

impl Outcome {
    fn answer(self, reply: &mut Reply<'_>) {
        match self.shown {
            Some(number) => reply.integer(number),
            None => reply.null(),
        }
    }
}

impl Step {
    fn outcome(&self, value: &[u8]) -> Outcome {
        let encoding = self.encoding;
        let before = encoding.read(value, self.at);
        let (wanted, is_set) = match self.action {
            Action::Get => return Outcome { shown: Some(before), changed: None },
            // A negative number set into an unsigned field is a very large one: it saturates upwards.
            Action::Set(number) if encoding.is_signed => (i128::from(number), true),
            Action::Set(number) => (i128::from(number.cast_unsigned()), true),
            Action::Increment(number) => (i128::from(before) + i128::from(number), false),
        };
        let after = encoding.fit(wanted, self.overflow);
        match is_set {
            true => Outcome { shown: after.and(Some(before)), changed: after.filter(|after| *after != before) },
            // As in Redis, INCRBY is a change whatever comes out.
            false => Outcome { shown: after, changed: after },
        }
    }
}

impl Encoding {
    fn parse(word: &[u8]) -> Result<Encoding, Error> {
        let (is_signed, digits, width_max) = match word {
            [b'i', digits @ ..] => (true, digits, 64),
            [b'u', digits @ ..] => (false, digits, 63),
            _ => return Err(error::BITFIELD_TYPE),
        };
        parse_integer(digits)
            .and_then(|width| u32::try_from(width).ok())
            .filter(|width| (1..=width_max).contains(width))
            .map(|width| Encoding { is_signed, width })
            .ok_or(error::BITFIELD_TYPE)
    }

    fn limits(self) -> (i128, i128) {
        let half = 1_i128 << (self.width - 1);
        if self.is_signed { (-half, half - 1) } else { (0, half * 2 - 1) }
    }

    /// `number` as this field can hold it, or `None` when it cannot and must not be bent.
    pub(super) fn fit(self, number: i128, overflow: Overflow) -> Option<i64> {
        let (least, most) = self.limits();
        let fitted = match overflow {
            _ if (least..=most).contains(&number) => number,
            Overflow::Fail => return None,
            Overflow::Saturate => number.clamp(least, most),
            Overflow::Wrap => (number - least).rem_euclid(1 << self.width) + least,
        };
        i64::try_from(fitted).ok()
    }

    /// The field at bit `at`; beyond the end of `value` all bits are 0.
    pub(super) fn read(self, value: &[u8], at: usize) -> i64 {
        let bits = window(value, at) >> (128 - at as u32 % 8 - self.width);
        let unused = 64 - self.width;
        let bits = (bits as u64) << unused;
        if self.is_signed { bits.cast_signed() >> unused } else { (bits >> unused).cast_signed() }
    }

    /// Writes `number`, which fits, to the field at bit `at`, which lies inside `value`.
    pub(super) fn write(self, value: &mut [u8], at: usize, number: i64) {
        let shift = 128 - at as u32 % 8 - self.width;
        let mask = (u128::MAX >> (128 - self.width)) << shift;
        let bits = (number.cast_unsigned() as u128) << shift & mask;
        let patched = window(value, at) & !mask | bits;
        let end = (at + self.width as usize).div_ceil(8);
        for (byte, patch) in value[at / 8..end].iter_mut().zip(patched.to_be_bytes()) {
            *byte = patch;
        }
    }
}

/// The sixteen bytes from the byte of bit `at` on, as one number; zeros beyond the end.
fn window(value: &[u8], at: usize) -> u128 {
    let mut bytes = [0; 16];
    let found = value.get(at / 8..).unwrap_or_default();
    for (byte, found) in bytes.iter_mut().zip(found) {
        *byte = *found;
    }
    u128::from_be_bytes(bytes)
}
