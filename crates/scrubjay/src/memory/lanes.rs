//! Sixteen numbers of 16 bits, or twelve bytes, compared at once: what the index and the ghosts do on every call.
//!
//! By SSE2, which every x86_64 has; left to itself the compiler makes three times as many instructions of the loops. Elsewhere
//! by the loops.

#![allow(unsafe_code, reason = "the processor's wide instructions; listed in xtask/src/tidy/unsafety.rs")]

/// So many numbers lie beside each other.
pub(super) const LANES: usize = 16;

/// As many numbers as a pair of wide registers holds.
pub(super) type Lanes = [u16; LANES];

/// Which of twelve bytes are `byte`, a bit each.
#[inline]
pub(super) fn equal_bytes(first: u64, more: u32, byte: u8) -> u32 {
    wide::equal_bytes(first, more, byte) & 0xfff
}

/// Which of the numbers are `number`, a bit each.
#[inline]
pub(super) fn equal(lanes: &Lanes, number: u16) -> u32 {
    wide::equal(lanes, number)
}

/// The place of the number that is the furthest behind `now`, modulo 2^16 and without their lowest two bits; one whose
/// lowest two bits are 0 is behind all others.
#[inline]
pub(super) fn oldest(stamps: &Lanes, now: u16) -> usize {
    wide::oldest(stamps, now)
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::Lanes;
    use std::arch::x86_64::*;

    #[inline]
    pub(super) fn equal_bytes(first: u64, more: u32, byte: u8) -> u32 {
        // SAFETY: every x86_64 has SSE2.
        unsafe { equal_bytes_sse2(first, more, byte) }
    }

    #[inline]
    pub(super) fn equal(lanes: &Lanes, number: u16) -> u32 {
        // SAFETY: every x86_64 has SSE2.
        unsafe { equal_sse2(lanes, number) }
    }

    #[inline]
    pub(super) fn oldest(stamps: &Lanes, now: u16) -> usize {
        // SAFETY: every x86_64 has SSE2.
        unsafe { oldest_sse2(stamps, now) }
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    #[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "registers have no sign")]
    fn equal_bytes_sse2(first: u64, more: u32, byte: u8) -> u32 {
        let bytes = _mm_set_epi64x(i64::from(more), first as i64);
        _mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8(byte as i8))) as u32
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    #[allow(clippy::cast_possible_wrap, reason = "registers have no sign")]
    fn equal_sse2(lanes: &Lanes, number: u16) -> u32 {
        let (low, high) = load(lanes);
        let number = _mm_set1_epi16(number as i16);
        mask(_mm_cmpeq_epi16(low, number), _mm_cmpeq_epi16(high, number))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    #[allow(clippy::cast_possible_wrap, reason = "registers have no sign")]
    fn oldest_sse2(stamps: &Lanes, now: u16) -> usize {
        let (low, high) = load(stamps);
        let (low, high) = (ages(low, now as i16), ages(high, now as i16));
        let mut most = _mm_max_epi16(low, high);
        most = _mm_max_epi16(most, _mm_shuffle_epi32::<0b01_00_11_10>(most));
        most = _mm_max_epi16(most, _mm_shuffle_epi32::<0b10_11_00_01>(most));
        most = _mm_max_epi16(most, _mm_shufflelo_epi16::<0b10_11_00_01>(most));
        most = _mm_shuffle_epi32::<0>(_mm_shufflelo_epi16::<0>(most));
        mask(_mm_cmpeq_epi16(low, most), _mm_cmpeq_epi16(high, most)).trailing_zeros() as usize
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    fn load(lanes: &Lanes) -> (__m128i, __m128i) {
        let (low, high) = lanes.split_at(8);
        // SAFETY: eight lanes, at any alignment.
        let low = unsafe { _mm_loadu_si128(low.as_ptr().cast()) };
        // SAFETY: the other eight.
        let high = unsafe { _mm_loadu_si128(high.as_ptr().cast()) };
        (low, high)
    }

    /// Ages less 2^15, since this processor compares numbers with a sign.
    #[inline]
    #[target_feature(enable = "sse2")]
    fn ages(stamps: __m128i, now: i16) -> __m128i {
        let low_bits = _mm_set1_epi16(3);
        let is_empty = _mm_cmpeq_epi16(_mm_and_si128(stamps, low_bits), _mm_setzero_si128());
        let ages = _mm_andnot_si128(low_bits, _mm_sub_epi16(_mm_set1_epi16(now), stamps));
        _mm_xor_si128(_mm_or_si128(ages, is_empty), _mm_set1_epi16(i16::MIN))
    }

    #[inline]
    #[target_feature(enable = "sse2")]
    #[allow(clippy::cast_sign_loss, reason = "registers have no sign")]
    fn mask(low: __m128i, high: __m128i) -> u32 {
        _mm_movemask_epi8(_mm_packs_epi16(low, high)) as u32
    }
}

#[cfg(not(target_arch = "x86_64"))]
use narrow as wide;

#[cfg(any(not(target_arch = "x86_64"), test))]
mod narrow {
    use super::{LANES, Lanes};

    pub(super) fn equal_bytes(first: u64, more: u32, byte: u8) -> u32 {
        const LOW: u64 = 0x0101_0101_0101_0101;
        const LOW_7: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        // Multiplied by this, the lowest bits of eight bytes come together in the highest byte.
        const GATHER: u64 = 0x0102_0408_1020_4080;
        let zero_bytes = |word: u64| {
            // No carry passes from byte to byte.
            let nonzero = ((word & LOW_7) + LOW_7) | word | LOW_7;
            (!nonzero >> 7).wrapping_mul(GATHER) >> 56
        };
        let pattern = LOW * u64::from(byte);
        let mask = zero_bytes(first ^ pattern) | zero_bytes(u64::from(more) ^ pattern) << 8;
        (mask & 0xffff) as u32
    }

    pub(super) fn equal(lanes: &Lanes, number: u16) -> u32 {
        (0..LANES).fold(0, |mask, lane| mask | u32::from(lanes[lane] == number) << lane)
    }

    pub(super) fn oldest(stamps: &Lanes, now: u16) -> usize {
        let age = |stamp: u16| if stamp & 3 == 0 { u16::MAX } else { now.wrapping_sub(stamp) & !3 };
        let ages = stamps.map(age);
        let oldest = ages.iter().copied().fold(0, u16::max);
        ages.iter().position(|age| *age == oldest).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
