//! The keyspace as a whole: stripes, counts and the ways in.
#![allow(clippy::cast_possible_truncation, reason = "stripes and slots are few; the hash is cut to the stripe")]

use crate::gate::Gate;
use crate::memory::Usage;
use crate::stripe::Stripe;
use crate::{Change, Exclusive, Key, KeyHash, Pass};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Each stripe reserves 48 GiB of address space, of which an x86-64 process has 128 TiB.
const STRIPES_MAX: u32 = 2048;
const SLOTS_MAX: u32 = 4096;

/// A database number, below [`Options::databases`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Db(pub u16);

/// How a keyspace is laid out. Plain data: change what differs from the default.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of databases, 1 to 16,384. Default 16.
    pub databases: u16,
    /// Number of stripes: a power of two, 1 to 2,048. At least 16 per thread keeps threads apart.
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

/// Where [`Keyspace::memory_used`] goes, in bytes; the rest is large values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryParts {
    /// Segments and directories.
    pub index: usize,
    /// Of `index`: not in use, between segments.
    pub index_free: usize,
    /// Slots of entries.
    pub entries: usize,
    /// Of `entries`: not in use.
    pub entries_free: usize,
}

/// The data store: every database of one server.
pub struct Keyspace {
    pub(crate) stripes: Box<[Stripe]>,
    pub(crate) gate: Gate,
    databases: u16,
    stripe_shift: u32,
    hasher: ahash::RandomState,
    pub(crate) usage: Usage,
    is_observed: Arc<AtomicBool>,
    /// Stripe of each slot at which the search for expired keys goes on.
    expiry_turns: Box<[AtomicU32]>,
}

impl Keyspace {
    /// A keyspace without keys. Fails when an option is out of its range, or when the system gives no address space.
    pub fn new(options: Options) -> Result<Keyspace, OptionsError> {
        options.check()?;
        let seed = options.hash_seed.unwrap_or_else(|| ahash::RandomState::new().hash_one(0_u64));
        let hasher = ahash::RandomState::with_seeds(seed, !seed, seed.rotate_left(17), seed.rotate_left(43));
        let usage = Usage::default();
        let stripe_bits = options.stripes.ilog2();
        let is_observed = Arc::new(AtomicBool::new(false));
        let stripes = (0..options.stripes)
            .map(|_| Stripe::new(options.databases, stripe_bits, hasher.clone(), &usage, Arc::clone(&is_observed)))
            .collect::<Result<_, _>>()
            .map_err(|error| OptionsError(format!("no address space for {} stripes: {error}", options.stripes)))?;
        Ok(Keyspace {
            stripes,
            gate: Gate::new(options.slots),
            databases: options.databases,
            stripe_shift: 63 - stripe_bits,
            hasher,
            usage,
            is_observed,
            expiry_turns: (0..options.slots).map(|_| AtomicU32::new(0)).collect(),
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

    /// Passes the gate as thread `slot`; waits while somebody is exclusive. One pass per slot at a time: a second one
    /// panics, since the thread would wait for itself.
    #[inline]
    pub fn pass(&self, slot: u32) -> Pass<'_> {
        Pass::new(self, slot)
    }

    /// Closes the gate: waits until every pass is given back, then owns the keyspace. The caller must hold no pass.
    pub fn exclusive(&self) -> Exclusive<'_> {
        Exclusive::new(self)
    }

    /// Keys in `db`, those included that have expired and were not noticed yet. Needs no pass, latches nothing.
    pub fn len(&self, db: Db) -> u64 {
        self.stripes.iter().map(|stripe| stripe.len(db)).sum()
    }

    /// Whether `db` has no key; see [`Keyspace::len`].
    pub fn is_empty(&self, db: Db) -> bool {
        self.len(db) == 0
    }

    /// Keys in `db` that carry an expiry. Needs no pass, latches nothing.
    pub fn expires_len(&self, db: Db) -> u64 {
        self.stripes.iter().map(|stripe| stripe.expires_len(db)).sum()
    }

    /// Bytes that the data takes from the operating system: index, entries, large values, free room inside included.
    /// One relaxed load.
    #[inline]
    pub fn memory_used(&self) -> usize {
        self.usage.get()
    }

    /// Where the memory goes. Latches every stripe in turn: for reports.
    pub fn memory_parts(&self) -> MemoryParts {
        self.stripes.iter().map(|stripe| stripe.latch().memory_parts()).fold(MemoryParts::default(), |sum, part| {
            MemoryParts {
                index: sum.index + part.index,
                index_free: sum.index_free + part.index_free,
                entries: sum.entries + part.entries,
                entries_free: sum.entries_free + part.entries_free,
            }
        })
    }

    /// Keys that were removed because their time was over, since the start.
    pub fn expired_count(&self) -> u64 {
        self.stripes.iter().map(Stripe::expired_count).sum()
    }

    /// First step of a batch: fetches the index line of `hash` towards the cache. A hint, never wrong, latches nothing.
    #[inline]
    pub fn prefetch_bucket(&self, db: Db, hash: KeyHash) {
        self.stripes[self.stripe_of(hash) as usize].prefetch_bucket(db, hash);
    }

    /// Second step of a batch: fetches the entry that the index line names. A hint, latches nothing.
    #[inline]
    pub fn prefetch_entry(&self, db: Db, hash: KeyHash) {
        self.stripes[self.stripe_of(hash) as usize].prefetch_entry(db, hash);
    }

    /// Starts or ends the listing of changes. While it is on, [`Held::take_changes`](crate::Held::take_changes) hands out what
    /// the holder changed, and [`Keyspace::take_changes`] what nobody held; somebody must take them, or they pile up. A change
    /// is listed when its stripe is latched after this call. Off, it costs a change one relaxed load.
    pub fn observe(&self, is_on: bool) {
        self.is_observed.store(is_on, Ordering::Relaxed);
    }

    /// What changed and was not taken yet in the stripes that belong to `slot` of `slots`: keys that expired by themselves
    /// ([`Keyspace::expire_some`]) or under a sweep. Latches one stripe at a time, as `expire_some` does.
    pub fn take_changes(&self, slot: u32, slots: u32) -> Vec<Change> {
        let _pass = self.pass(slot);
        let mine = self.stripes.iter().skip(slot as usize).step_by(slots.max(1) as usize);
        mine.flat_map(|stripe| stripe.latch().take_changes()).collect()
    }

    /// Removes keys whose time is over, in stripes that belong to `slot` of `slots`, looking at about `entries_max` entries
    /// that have an expiry (fewer where few keys have one); goes on where the last call ended. Returns (entries looked at, keys removed). Latches one stripe
    /// at a time; the caller holds no latch, and passes the gate as `slot` for the time of the call.
    pub fn expire_some(&self, slot: u32, slots: u32, now_ms: u64, entries_max: usize) -> (usize, usize) {
        let _pass = self.pass(slot);
        let stripes = self.stripes.len() as u32;
        let (mut seen, mut removed) = (0, 0);
        let turn = &self.expiry_turns[slot as usize];
        for _ in 0..stripes.div_ceil(slots) {
            let mine = turn.load(Ordering::Relaxed);
            let index = slot + mine * slots;
            if let Some(stripe) = self.stripes.get(index as usize) {
                let (looked, over) = stripe.latch().expire_some(now_ms, entries_max - seen);
                seen += looked;
                removed += over;
            }
            if seen >= entries_max {
                break;
            }
            turn.store(if index + slots < stripes { mine + 1 } else { 0 }, Ordering::Relaxed);
        }
        (seen, removed)
    }

    /// Gathers up to `stretches_max` stretches of 2 MiB, in stripes that belong to `slot` of `slots`, into huge pages: reads
    /// miss the processor's address cache less. Only what is wholly in use, so memory does not grow. Cost: a copy of each
    /// stretch (about 0.2 ms) under the stripe's latch; call it from time to time. Returns how many were gathered.
    pub fn gather_some(&self, slot: u32, slots: u32, stretches_max: usize) -> usize {
        let _pass = self.pass(slot);
        let mut gathered = 0;
        for stripe in self.stripes.iter().skip(slot as usize).step_by(slots as usize) {
            gathered += stripe.latch().gather_some(stretches_max - gathered);
            if gathered >= stretches_max {
                break;
            }
        }
        gathered
    }

    /// Whether so many large values went that [`Keyspace::give_back`] is worth its time. Says so once for what went; ask from
    /// time to time.
    pub fn is_worth_giving_back(&self) -> bool {
        self.usage.is_worth_giving_back()
    }

    /// Gives the pages of large values that are gone back to the system, which the process's allocator would keep. Takes
    /// 0.6 ms for each MiB that went and latches nothing: for a thread that serves nobody.
    pub fn give_back(&self) {
        self.usage.give_back();
    }

    #[inline]
    pub(crate) fn stripe_of(&self, hash: KeyHash) -> u32 {
        // Two shifts, since with one stripe all 64 bits go.
        (hash.0 >> 1 >> self.stripe_shift) as u32
    }
}

impl Options {
    fn check(&self) -> Result<(), OptionsError> {
        let check = |holds: bool, text: String| if holds { Ok(()) } else { Err(OptionsError(text)) };
        check(
            (1..=16_384).contains(&self.databases),
            format!("databases is {}; it must be 1 to 16384", self.databases),
        )?;
        check(
            self.stripes.is_power_of_two() && self.stripes <= STRIPES_MAX,
            format!("stripes is {}; it must be a power of two from 1 to {STRIPES_MAX}", self.stripes),
        )?;
        check((1..=SLOTS_MAX).contains(&self.slots), format!("slots is {}; it must be 1 to {SLOTS_MAX}", self.slots))
    }
}
