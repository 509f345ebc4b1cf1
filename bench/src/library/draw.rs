//! Random draws that are the same in every run: numbers from a seed, and ranks by Zipf's law.

/// Splitmix64: a generator of one word, good enough to draw keys.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// Uniform in 0..1, with 53 bits.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Spreads `number` over all 64 bits; no two numbers come out the same.
pub(crate) fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// Ranks from 0 on, rank `r` with a probability proportional to `1 / (r + 1)^exponent`. Exact: a search in the
/// distribution's sums, not an approximation of its inverse.
#[derive(Clone, Debug)]
pub(crate) struct Zipf {
    /// The probability of this rank or a lower one.
    sums: Vec<f64>,
}

impl Zipf {
    pub(crate) fn new(ranks: usize, exponent: f64) -> Zipf {
        let mut sum = 0.0;
        let mut sums: Vec<f64> = (1..=ranks)
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        sums.iter_mut().for_each(|part| *part /= sum);
        Zipf { sums }
    }

    pub(crate) fn draw(&self, random: &mut Random) -> u64 {
        let fraction = random.fraction();
        self.sums.partition_point(|sum| *sum <= fraction).min(self.sums.len() - 1) as u64
    }
}

#[cfg(test)]
mod tests;
