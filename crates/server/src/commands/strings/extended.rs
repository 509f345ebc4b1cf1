//! The number that INCRBYFLOAT counts in: x87's 80-bit extended float, in software.
//!
//! Redis adds in C's `long double` and prints with `%.17Lf`, trailing zeros cut. On x86-64 that is a float of 64 bits
//! of mantissa: enough that 10.5 + 0.1 prints as 10.6, where a double would print 10.59999999999999964. To answer what
//! Redis answers, digit for digit, in any build, we do the same in integers: decimal to binary and back through a big
//! integer, each step rounded once, to nearest, ties to even.
//!
//! **Invariant:** a value is `mantissa * 2^exponent`; the top bit of the mantissa is set unless the value is zero or
//! below 2^-16382, whose exponent is [`EXPONENT_MIN`].

use smallvec::SmallVec;
use std::fmt;

#[cfg(test)]
mod tests;

/// Exponent of the last mantissa bit of the smallest number.
const EXPONENT_MIN: i32 = -16_445;
/// Exponent of the last mantissa bit of the largest number.
const EXPONENT_MAX: i32 = 16_320;
/// Longest text that Redis takes for a number.
const TEXT_LEN_MAX: usize = 5 * 1024 - 1;
/// Beyond this a decimal exponent means infinity or nothing, whatever digits stand before it.
const DECIMAL_EXPONENT_MAX: i64 = 20_000;
const FRACTION_DIGITS: u32 = 17;

/// A number of 64 bits of mantissa, or infinity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extended {
    is_negative: bool,
    is_infinite: bool,
    exponent: i32,
    mantissa: u64,
}

impl Extended {
    pub(super) const ZERO: Extended =
        Extended { is_negative: false, is_infinite: false, exponent: EXPONENT_MIN, mantissa: 0 };

    /// The number that `text` is, as `strtold` reads it: decimal, hexadecimal or `inf`. `None` for `nan`, for spaces
    /// around it, and for what is finite but too large or too small to hold.
    pub(super) fn parse(text: &[u8]) -> Option<Extended> {
        if text.len() > TEXT_LEN_MAX {
            return None;
        }
        let (is_negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
            return Some(Extended { is_negative, is_infinite: true, ..Extended::ZERO });
        }
        let number = match rest {
            [b'0', b'x' | b'X', rest @ ..] => parse_hexadecimal(rest)?,
            rest => parse_decimal(rest)?,
        };
        Some(Extended { is_negative, ..number })
    }

    /// The sum, unless it is infinite or not a number.
    pub(super) fn plus(self, other: Extended) -> Option<Extended> {
        if self.is_infinite || other.is_infinite {
            return None;
        }
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        if high.mantissa == 0 {
            return Some(low);
        }
        // 62 bits of room below and two above: one for the carry, none for a sign.
        let distance = high.exponent.abs_diff(low.exponent);
        let left = u128::from(high.mantissa) << 62;
        let shifted = u128::from(low.mantissa) << 62;
        let right = shifted.checked_shr(distance).unwrap_or_default();
        let is_cut = right.checked_shl(distance).unwrap_or_default() != shifted;
        let exponent = high.exponent - 62;
        if high.is_negative == low.is_negative {
            return Extended::rounded(high.is_negative, left + right, exponent, is_cut);
        }
        if right > left {
            // Only for equal exponents or a subnormal high, so nothing was cut.
            return Extended::rounded(low.is_negative, right - left, exponent, false);
        }
        Extended::rounded(high.is_negative, left - right - u128::from(is_cut), exponent, is_cut)
    }

    /// The nearest number to `(wide + sticky) * 2^exponent`, where `sticky` is something between 0 and 1, both left out.
    /// `None` when it is too large.
    fn rounded(is_negative: bool, wide: u128, exponent: i32, is_sticky: bool) -> Option<Extended> {
        if wide == 0 {
            return Some(Extended { is_negative: false, ..Extended::ZERO });
        }
        let width = 128 - wide.leading_zeros().cast_signed();
        let cut = (width - 64).max(EXPONENT_MIN - exponent);
        let mut exponent = exponent + cut;
        let mut mantissa = if cut <= 0 {
            wide << cut.unsigned_abs()
        } else {
            let cut = cut.unsigned_abs();
            let kept = wide.checked_shr(cut).unwrap_or_default();
            let lost = wide - kept.checked_shl(cut).unwrap_or_default();
            let half = 1_u128.checked_shl(cut - 1).unwrap_or(u128::MAX);
            let is_up = lost > half || (lost == half && (is_sticky || kept & 1 == 1));
            kept + u128::from(is_up)
        };
        if mantissa >> 64 != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
        let mantissa = u64::try_from(mantissa).ok()?;
        (exponent <= EXPONENT_MAX).then_some(Extended { is_negative, is_infinite: false, exponent, mantissa })
    }
}

impl fmt::Display for Extended {
    /// Fixed notation with up to 17 digits after the point; a fraction that rounds to zero leaves no sign behind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.is_negative { "-" } else { "" };
        if self.is_infinite {
            return write!(f, "{sign}inf");
        }
        if let Ok(exponent) = u32::try_from(self.exponent) {
            let mut whole = Big::from(self.mantissa);
            whole.shift_left(exponent);
            return write!(f, "{sign}{whole}");
        }
        let scaled = u128::from(self.mantissa) * 10_u128.pow(FRACTION_DIGITS);
        let cut = self.exponent.unsigned_abs();
        let kept = scaled.checked_shr(cut).unwrap_or_default();
        let lost = scaled - kept.checked_shl(cut).unwrap_or_default();
        let half = 1_u128.checked_shl(cut - 1).unwrap_or(u128::MAX);
        let kept = kept + u128::from(lost > half || (lost == half && kept & 1 == 1));
        let (whole, fraction) = (kept / 10_u128.pow(FRACTION_DIGITS), kept % 10_u128.pow(FRACTION_DIGITS));
        if fraction == 0 {
            return write!(f, "{}{whole}", if whole == 0 { "" } else { sign });
        }
        let digits = format!("{fraction:017}");
        write!(f, "{sign}{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// Digits with at most one point, at least one digit, then `marker`, sign and exponent if there is one. Returns the digits
/// as one integer, how many of them stood behind the point, and the exponent.
fn parse_digits(text: &[u8], radix: u32, marker: u8) -> Option<(Big, i64, i64)> {
    let end = text.iter().position(|byte| byte.to_ascii_lowercase() == marker).unwrap_or(text.len());
    let (body, tail) = text.split_at_checked(end)?;
    let exponent = if tail.is_empty() { 0 } else { parse_exponent(&tail[1..])? };
    let mut whole = Big::default();
    let (mut chunk, mut scale) = (0_u64, 1_u64);
    let (mut digit_count, mut fraction_count, mut is_fraction) = (0_u32, 0_i64, false);
    for byte in body {
        if *byte == b'.' && !is_fraction {
            is_fraction = true;
            continue;
        }
        let digit = char::from(*byte).to_digit(radix)?;
        digit_count += 1;
        fraction_count += i64::from(is_fraction);
        chunk = chunk * u64::from(radix) + u64::from(digit);
        scale *= u64::from(radix);
        // A whole chunk fits 64 bits: 10^18 and 16^15 do, with a digit to spare.
        if scale > u64::MAX / 256 {
            whole.multiply_add(scale, chunk);
            (chunk, scale) = (0, 1);
        }
    }
    whole.multiply_add(scale, chunk);
    (digit_count > 0).then_some((whole, fraction_count, exponent))
}

/// A decimal exponent with its sign; one of too many digits is as good as a very large one.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude =
        digits.iter().fold(0_i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    let magnitude = magnitude.min(i64::MAX / 4);
    Some(if is_negative { -magnitude } else { magnitude })
}

fn parse_decimal(text: &[u8]) -> Option<Extended> {
    let (mut whole, fraction_count, exponent) = parse_digits(text, 10, b'e')?;
    if whole.is_zero() {
        return Some(Extended::ZERO);
    }
    let exponent = exponent - fraction_count;
    if exponent.abs() > DECIMAL_EXPONENT_MAX {
        return None;
    }
    let power = u32::try_from(exponent.unsigned_abs()).ok()?;
    if exponent >= 0 {
        whole.multiply_power(5, power);
        return nonzero(whole.to_extended(i32::try_from(power).ok()?, false)?);
    }
    // A quotient of 66 bits and whether anything is left decide the rounding. 5^27 is what fits 64 bits; 3 bits a power
    // are more than its 2.33.
    let widen = (66 + 3 * power).saturating_sub(whole.width());
    whole.shift_left(widen);
    let is_sticky = whole.divide_power(5, power);
    nonzero(whole.to_extended(-i32::try_from(power + widen).ok()?, is_sticky)?)
}

fn parse_hexadecimal(text: &[u8]) -> Option<Extended> {
    let (whole, fraction_count, exponent) = parse_digits(text, 16, b'p')?;
    if whole.is_zero() {
        return Some(Extended::ZERO);
    }
    let exponent = exponent - 4 * fraction_count;
    let exponent = i32::try_from(exponent.clamp(-100_000, 100_000)).ok()?;
    nonzero(whole.to_extended(exponent, false)?)
}

/// Underflow to nothing is no number, as Redis sees it.
fn nonzero(number: Extended) -> Option<Extended> {
    (number.mantissa != 0).then_some(number)
}

/// A natural number of any size: limbs of 64 bits, the least first, the last one not zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Big {
    limbs: SmallVec<[u64; 8]>,
}

impl From<u64> for Big {
    fn from(number: u64) -> Big {
        let mut big = Big::default();
        big.multiply_add(1, number);
        big
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "halves of 128-bit products are taken apart on purpose; limbs are some hundreds"
)]
impl Big {
    fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// Number of bits without leading zeros.
    fn width(&self) -> u32 {
        self.limbs.last().map_or(0, |top| self.limbs.len() as u32 * 64 - top.leading_zeros())
    }

    fn multiply_add(&mut self, factor: u64, addend: u64) {
        let mut carry = u128::from(addend);
        for limb in &mut self.limbs {
            carry += u128::from(*limb) * u128::from(factor);
            *limb = carry as u64;
            carry >>= 64;
        }
        if carry != 0 {
            self.limbs.push(carry as u64);
        }
    }

    /// Divides and returns the remainder.
    fn divide(&mut self, divisor: u64) -> u64 {
        let mut remainder = 0_u128;
        for limb in self.limbs.iter_mut().rev() {
            let part = remainder << 64 | u128::from(*limb);
            *limb = (part / u128::from(divisor)) as u64;
            remainder = part % u128::from(divisor);
        }
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
        remainder as u64
    }

    fn multiply_power(&mut self, base: u64, power: u32) {
        for step in steps_of_27(power) {
            self.multiply_add(base.pow(step), 0);
        }
    }

    /// Divides by `base^power` and returns whether anything was left.
    fn divide_power(&mut self, base: u64, power: u32) -> bool {
        let mut is_sticky = false;
        for step in steps_of_27(power) {
            is_sticky |= self.divide(base.pow(step)) != 0;
        }
        is_sticky
    }

    fn shift_left(&mut self, bits: u32) {
        self.multiply_add(1 << (bits % 64), 0);
        if !self.is_zero() {
            self.limbs.insert_many(0, std::iter::repeat_n(0, (bits / 64) as usize));
        }
    }

    /// The nearest extended float to `self * 2^exponent`; `is_sticky` says that a little more was cut off before.
    fn to_extended(&self, exponent: i32, is_sticky: bool) -> Option<Extended> {
        let mut top = self.limbs.iter().rev();
        let mut next = || u128::from(top.next().copied().unwrap_or_default());
        let wide = next() << 64 | next();
        let is_sticky = is_sticky || top.any(|limb| *limb != 0);
        let exponent = exponent + (self.limbs.len() as i32 - 2) * 64;
        Extended::rounded(false, wide, exponent, is_sticky)
    }
}

/// `power` in parts of at most 27, whose powers of five fit 64 bits.
fn steps_of_27(power: u32) -> impl Iterator<Item = u32> {
    (0..power).step_by(27).map(move |done| (power - done).min(27))
}

impl fmt::Display for Big {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CHUNK: u64 = 10_u64.pow(19);
        let mut rest = self.clone();
        let mut chunks: SmallVec<[u64; 8]> = SmallVec::new();
        while !rest.is_zero() {
            chunks.push(rest.divide(CHUNK));
        }
        write!(f, "{}", chunks.pop().unwrap_or_default())?;
        chunks.iter().rev().try_for_each(|chunk| write!(f, "{chunk:019}"))
    }
}
