//! The keyspace-wide gate: ordinary commands pass for a store to their own line, one caller can close it.

use crate::{Held, KeyHash, Keyspace};
use parking_lot::{RwLockReadGuard, RwLockWriteGuard};

/// Permission to latch stripes, held for one batch. While any pass lives, nobody is exclusive.
pub struct Pass<'a> {
    pub(crate) keyspace: &'a Keyspace,
    pub(crate) _shared: RwLockReadGuard<'a, ()>,
}

/// The whole keyspace for one caller: made by [`Keyspace::exclusive`], which waits until every pass is given back.
pub struct Exclusive<'a> {
    pub(crate) keyspace: &'a Keyspace,
    pub(crate) _alone: RwLockWriteGuard<'a, ()>,
}

impl<'a> Pass<'a> {
    /// Latches the stripe of one key.
    pub fn latch_one(&self, hash: KeyHash, now_ms: u64) -> Held<'_> {
        self.latch(&[hash], now_ms)
    }

    /// Latches the stripes of all `hashes` in the one global order, so that two callers never wait for each other.
    /// An empty list holds nothing: good for what latches stripe by stripe itself (`scan`, `random_key`, `len`).
    pub fn latch(&self, hashes: &[KeyHash], now_ms: u64) -> Held<'_> {
        Held::keys(self.keyspace, hashes, now_ms)
    }
}

impl<'a> Exclusive<'a> {
    /// Holds every stripe.
    pub fn hold_all(&self, now_ms: u64) -> Held<'_> {
        Held::all(self.keyspace, now_ms)
    }
}
