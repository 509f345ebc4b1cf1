//! Arguments as Redis reads them: option words, integers, moments in time.
//!
//! **Invariant:** what is accepted here is what Redis accepts, to the byte: `+1`, `01`, `-0` and ` 1` are no integers.
//! Nothing here allocates unless it fails. It knows nothing of keys or replies.

use crate::error::{self, Error};

#[cfg(test)]
mod tests;

/// Whether `argument` is the option `word`, in any case.
#[inline]
pub(crate) fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}

/// An integer argument, or the error that Redis gives.
#[inline]
pub(crate) fn integer(argument: &[u8]) -> Result<i64, Error> {
    parse_integer(argument).ok_or(error::NOT_AN_INTEGER)
}

/// The integer whose one canonical decimal form `text` is: no sign but `-`, no leading zeros, no spaces, 64 bits.
#[inline]
pub(crate) fn parse_integer(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !is_negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude = 0_u64;
    for byte in digits {
        // Nineteen digits fit 64 bits without a check.
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if is_negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// How an argument names a moment: in which unit, counted from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    unit_ms: i64,
    is_from_now: bool,
}

impl Moment {
    /// Seconds from now.
    pub(crate) const EX: Moment = Moment { unit_ms: 1000, is_from_now: true };
    /// Milliseconds from now.
    pub(crate) const PX: Moment = Moment { unit_ms: 1, is_from_now: true };
    /// Unix seconds.
    pub(crate) const EXAT: Moment = Moment { unit_ms: 1000, is_from_now: false };
    /// Unix milliseconds.
    pub(crate) const PXAT: Moment = Moment { unit_ms: 1, is_from_now: false };

    /// The moment that an option of SET and GETEX names.
    pub(crate) fn from_option(argument: &[u8]) -> Option<Moment> {
        [("ex", Moment::EX), ("px", Moment::PX), ("exat", Moment::EXAT), ("pxat", Moment::PXAT)]
            .into_iter()
            .find_map(|(word, moment)| is(argument, word).then_some(moment))
    }

    /// Unix milliseconds for an amount that must be positive (SET, SETEX, GETEX). The error names `command`.
    pub(crate) fn expiry(self, amount: &[u8], now_ms: u64, command: &str) -> Result<u64, Error> {
        let amount = integer(amount)?;
        let at_ms = if amount > 0 { self.at_ms(amount, now_ms) } else { None };
        at_ms.and_then(|at_ms| u64::try_from(at_ms).ok()).ok_or_else(|| error::invalid_expire(command))
    }

    /// Unix milliseconds for an amount that may lie in the past and below zero (EXPIRE and its kin).
    pub(crate) fn any(self, amount: &[u8], now_ms: u64, command: &str) -> Result<i64, Error> {
        self.at_ms(integer(amount)?, now_ms).ok_or_else(|| error::invalid_expire(command))
    }

    fn at_ms(self, amount: i64, now_ms: u64) -> Option<i64> {
        let base_ms = if self.is_from_now { i64::try_from(now_ms).ok()? } else { 0 };
        amount.checked_mul(self.unit_ms)?.checked_add(base_ms)
    }
}
