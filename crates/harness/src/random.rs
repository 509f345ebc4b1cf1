//! Numbers that look random and are the same for the same seed.

/// Numbers from a seed (SplitMix64): the same seed, the same numbers.
///
/// ```
/// use scrubjay_harness::Random;
/// assert_eq!(Random(7).below(1000), Random(7).below(1000));
/// ```
#[derive(Clone, Debug)]
pub struct Random(
    /// Where the sequence stands; at first the seed.
    pub u64,
);

impl Random {
    /// The next 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to, and without, `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.number() % limit
    }

    /// True in one case of `count`.
    pub fn is_one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}
