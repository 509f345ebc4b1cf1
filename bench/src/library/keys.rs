//! Keys, and sequences of them, drawn before anything is timed.
//!
//! A sequence lies in memory in the order in which it is asked for, as keys of requests lie in a receive buffer, so that a
//! lookup's own misses are what is measured. Ranks are spread, so that hot keys are no neighbours.

use super::draw::{Random, Zipf, mixed};
use std::borrow::Borrow;
use std::hash::Hash;

/// Steps of a sequence, after which it begins again.
pub(crate) const STEPS: usize = 1_000_000;

/// How skewed the draws are: the usual figure of YCSB.
const EXPONENT: f64 = 0.99;

/// A type of key that is measured.
pub(crate) trait Key: scrubjay::Key + Hash + Eq + Clone + Borrow<Self::Lookup> {
    /// What a lookup takes.
    type Lookup: ?Sized + Hash + Eq + ToOwned<Owned = Self>;
    /// Many of them, one after the other.
    type Packed: Send + Sync;

    /// The key of `rank`; another rank has another key.
    fn of(rank: u64) -> Self;

    fn pack(ranks: impl Iterator<Item = u64>) -> Self::Packed;

    fn at(packed: &Self::Packed, step: usize) -> &Self::Lookup;
}

impl Key for u64 {
    type Lookup = u64;
    type Packed = Vec<u64>;

    fn of(rank: u64) -> u64 {
        mixed(rank)
    }

    fn pack(ranks: impl Iterator<Item = u64>) -> Vec<u64> {
        ranks.map(u64::of).collect()
    }

    fn at(packed: &Vec<u64>, step: usize) -> &u64 {
        &packed[step]
    }
}

/// Length of a key that is a string.
const TEXT_LEN: usize = 16;

impl Key for String {
    type Lookup = str;
    type Packed = String;

    fn of(rank: u64) -> String {
        // Coprime to 10^12: no two ranks below that have the same digits.
        format!("key:{:012}", u128::from(rank) * 999_983 % 1_000_000_000_000)
    }

    fn pack(ranks: impl Iterator<Item = u64>) -> String {
        ranks.map(String::of).collect()
    }

    fn at(packed: &String, step: usize) -> &str {
        &packed[step * TEXT_LEN..][..TEXT_LEN]
    }
}

/// A sequence over `keyspace` keys by Zipf's law for each of `threads`, apart by seed.
pub(crate) fn sequences<K: Key>(keyspace: usize, threads: usize) -> Vec<K::Packed> {
    let zipf = Zipf::new(keyspace, EXPONENT);
    let sequence = |thread: usize| {
        let mut random = Random::new(1 + thread as u64);
        K::pack((0..STEPS).map(|_| zipf.draw(&mut random)))
    };
    (0..threads).map(sequence).collect()
}

#[cfg(test)]
mod tests;
