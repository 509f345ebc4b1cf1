//! What a caller may do while it holds latches: every operation on keys.
//!
//! **Invariant:** an operation on a key whose stripe is not held panics; it is a bug of the caller, never of its input.

use crate::stripe::{Latched, StripeCursor};
use crate::{Change, Cursor, Db, Key, KeyHash, Keyspace, WatchFlag};
use smallvec::SmallVec;
use std::sync::Arc;

/// What a write does with the expiry of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The key lives until it is removed.
    Clear,
    /// Whatever the key had before stays.
    Keep,
    /// The key expires at this Unix time in milliseconds.
    At(u64),
}

/// A write that found no room: the stripe's address space (32 GiB of small entries) or the system's memory is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A key's value as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The bytes of the value.
    pub value: &'a [u8],
    /// Unix time in milliseconds at which the key expires.
    pub expires_at_ms: Option<u64>,
    /// Whether the value was changed in place (APPEND, SETRANGE, SETBIT): OBJECT ENCODING says `raw` for ever after.
    pub is_raw: bool,
    /// Seconds since the key was last read or written, before this access.
    pub idle_seconds: u32,
}

/// A value taken out of the keyspace, to be put back under another key or into another database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The bytes of the value.
    pub value: Vec<u8>,
    /// Unix time in milliseconds at which the key expires.
    pub expires_at_ms: Option<u64>,
    /// See [`Entry::is_raw`].
    pub is_raw: bool,
    /// Seconds since the key was last read or written.
    pub idle_seconds: u32,
}

/// A set of latched stripes, and every operation on the keys in them. A key whose time is over is removed by whichever
/// operation meets it first, and answered as absent.
pub struct Held<'a> {
    keyspace: &'a Keyspace,
    /// The stripe of the lowest number, apart from the others: nearly every command has one key, and moving a vector costs
    /// such a command a tenth of its time.
    first: Option<Latched<'a>>,
    first_index: u32,
    /// See [`Held::take_change_count`].
    change_count: u32,
    /// The others by rising number.
    others: Vec<(u32, Latched<'a>)>,
    now_ms: u64,
}

impl<'a> Held<'a> {
    /// Holds nothing: what a caller is left with that lent its own to somebody else.
    pub fn none(keyspace: &'a Keyspace, now_ms: u64) -> Held<'a> {
        Held { keyspace, first: None, first_index: 0, change_count: 0, others: Vec::new(), now_ms }
    }

    #[inline]
    pub(crate) fn one(keyspace: &'a Keyspace, hash: KeyHash, now_ms: u64) -> Held<'a> {
        let first_index = keyspace.stripe_of(hash);
        let first = Some(keyspace.stripes[first_index as usize].latch());
        Held { keyspace, first, first_index, change_count: 0, others: Vec::new(), now_ms }
    }

    pub(crate) fn keys(keyspace: &'a Keyspace, hashes: &[KeyHash], now_ms: u64) -> Held<'a> {
        let mut stripes: SmallVec<[u32; 8]> = hashes.iter().map(|hash| keyspace.stripe_of(*hash)).collect();
        stripes.sort_unstable();
        stripes.dedup();
        Held::in_order(keyspace, stripes.into_iter(), now_ms)
    }

    pub(crate) fn all(keyspace: &'a Keyspace, now_ms: u64) -> Held<'a> {
        Held::in_order(keyspace, (0_u32..).take(keyspace.stripes.len()), now_ms)
    }

    /// Latches stripes in the order given, which must rise.
    fn in_order(keyspace: &'a Keyspace, mut stripes: impl Iterator<Item = u32>, now_ms: u64) -> Held<'a> {
        let latch = |index: u32| keyspace.stripes[index as usize].latch();
        let Some(first_index) = stripes.next() else { return Held::none(keyspace, now_ms) };
        let first = Some(latch(first_index));
        let others = stripes.map(|index| (index, latch(index))).collect();
        Held { keyspace, first, first_index, change_count: 0, others, now_ms }
    }

    /// The time that expiry is measured against, Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Hashes `bytes`: [`Keyspace::key`] for those who have only a `Held` at hand.
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        self.keyspace.key(bytes)
    }

    /// The keyspace that this is a part of.
    pub fn keyspace(&self) -> &'a Keyspace {
        self.keyspace
    }

    #[inline]
    fn stripe(&mut self, hash: KeyHash) -> &mut Latched<'a> {
        let index = self.keyspace.stripe_of(hash);
        match &mut self.first {
            Some(first) if self.first_index == index => first,
            _ => match self.others.binary_search_by_key(&index, |(held, _)| *held) {
                Ok(at) => &mut self.others[at].1,
                Err(_) => panic!("stripe {index} is not latched"),
            },
        }
    }

    /// Every stripe that is held.
    fn stripes(&mut self) -> impl Iterator<Item = &mut Latched<'a>> {
        self.first.iter_mut().chain(self.others.iter_mut().map(|(_, stripe)| stripe))
    }

    /// Runs `act` on one stripe: the one that is held, or, while nothing is held, latched for the time being.
    fn with_stripe<R>(&mut self, index: usize, act: impl FnOnce(&mut Latched<'a>) -> R) -> R {
        let Some(first) = &mut self.first else { return act(&mut self.keyspace.stripes[index].latch()) };
        assert!(self.others.len() + 1 == self.keyspace.stripes.len(), "a sweep needs all stripes or none");
        act(match index {
            0 => first,
            _ => &mut self.others[index - 1].1,
        })
    }

    /// Reads a key and notes the access.
    #[inline]
    pub fn get(&mut self, db: Db, key: &Key<'_>) -> Option<Entry<'_>> {
        let now_ms = self.now_ms;
        self.stripe(key.hash).get(db, key, now_ms, true)
    }

    /// Reads a key and leaves no trace.
    pub fn peek(&mut self, db: Db, key: &Key<'_>) -> Option<Entry<'_>> {
        let now_ms = self.now_ms;
        self.stripe(key.hash).get(db, key, now_ms, false)
    }

    /// Stores `value` under `key`, in place of whatever was there. An [`Expiry::At`] in the past stores a key that is
    /// already over: callers that must not, check first.
    pub fn set(&mut self, db: Db, key: &Key<'_>, value: &[u8], expiry: Expiry) -> Result<(), Full> {
        let now_ms = self.now_ms;
        self.change_count = self.change_count.saturating_add(1);
        self.stripe(key.hash).set(db, key, value, expiry, now_ms)
    }

    /// Makes the value of `key` `len` bytes long and hands it out to be changed in place: cut at the end or filled with
    /// zeros, made when absent. Expiry stays, the value counts as raw from here on. Cost: amortised by the bytes added.
    pub fn resize(&mut self, db: Db, key: &Key<'_>, len: usize) -> Result<&mut [u8], Full> {
        let now_ms = self.now_ms;
        self.change_count = self.change_count.saturating_add(1);
        self.stripe(key.hash).resize(db, key, len, now_ms)
    }

    /// Removes a key. Returns whether it was there.
    pub fn remove(&mut self, db: Db, key: &Key<'_>) -> bool {
        let now_ms = self.now_ms;
        let was_there = self.stripe(key.hash).remove(db, key, now_ms);
        self.change_count = self.change_count.saturating_add(u32::from(was_there));
        was_there
    }

    /// Removes a key and hands out what it held. A large value moves without a copy.
    pub fn take(&mut self, db: Db, key: &Key<'_>) -> Option<Owned> {
        let now_ms = self.now_ms;
        self.stripe(key.hash).take(db, key, now_ms)
    }

    /// Stores what [`Held::take`] took, in place of whatever was there.
    pub fn insert(&mut self, db: Db, key: &Key<'_>, owned: Owned) -> Result<(), Full> {
        let now_ms = self.now_ms;
        self.change_count = self.change_count.saturating_add(1);
        self.stripe(key.hash).insert(db, key, owned, now_ms)
    }

    /// Sets or clears the expiry of a key. Returns whether the key was there.
    pub fn set_expiry(&mut self, db: Db, key: &Key<'_>, expires_at_ms: Option<u64>) -> Result<bool, Full> {
        let now_ms = self.now_ms;
        let was_there = self.stripe(key.hash).set_expiry(db, key, expires_at_ms, now_ms)?;
        self.change_count = self.change_count.saturating_add(u32::from(was_there));
        Ok(was_there)
    }

    /// Bytes that a key takes: entry, large value and its share of the index. `None` when absent.
    pub fn memory_usage(&mut self, db: Db, key: &Key<'_>) -> Option<usize> {
        let now_ms = self.now_ms;
        self.stripe(key.hash).memory_usage(db, key, now_ms)
    }

    /// Raises `flag` at the next change of `key`. A key that is over but was not removed yet counts as absent.
    pub fn watch(&mut self, db: Db, key: &Key<'_>, flag: &Arc<WatchFlag>) {
        self.stripe(key.hash).watch(db, key, flag);
    }

    /// Ends [`Held::watch`] of this flag on this key.
    pub fn unwatch(&mut self, db: Db, key: &Key<'_>, flag: &Arc<WatchFlag>) {
        self.stripe(key.hash).unwatch(db, key, flag);
    }

    /// How many keys were changed through this since the last call; a key that moves ([`Held::take`], [`Held::insert`])
    /// counts once. Keys whose time is over do not count.
    pub fn take_change_count(&mut self) -> u64 {
        u64::from(std::mem::take(&mut self.change_count))
    }

    /// What changed in the held stripes since the last call, each stripe's changes in their order; always empty unless the
    /// keyspace is observed.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.stripes().flat_map(|stripe| stripe.take_changes()).collect()
    }

    /// Visits keys of `db` from `cursor` on until at least `count` were seen, and returns where to go on. Every key that is
    /// there from the start of a walk to its end is visited at least once, whatever grows, shrinks or splits meanwhile.
    /// Latches stripe by stripe when nothing is held; otherwise everything must be held.
    pub fn scan(&mut self, db: Db, cursor: Cursor, count: usize, mut visit: impl FnMut(&[u8], Entry<'_>)) -> Cursor {
        let now_ms = self.now_ms;
        let (start, mut at) = cursor.unpack();
        let mut left = count.max(1);
        for stripe in start..self.keyspace.stripes.len() {
            if self.keyspace.stripes[stripe].len(db) > 0 {
                if left == 0 {
                    return Cursor::pack(stripe, at);
                }
                if let Some(next) = self.with_stripe(stripe, |held| held.scan(db, at, &mut left, now_ms, &mut visit)) {
                    return Cursor::pack(stripe, next);
                }
            }
            at = StripeCursor::default();
        }
        Cursor::START
    }

    /// Visits every key of `db` that is not over. Latches stripe by stripe when nothing is held; otherwise everything must
    /// be held.
    pub fn for_each(&mut self, db: Db, mut visit: impl FnMut(&[u8], Entry<'_>)) {
        let now_ms = self.now_ms;
        for stripe in 0..self.keyspace.stripes.len() {
            if self.keyspace.stripes[stripe].len(db) > 0 {
                self.with_stripe(stripe, |held| held.for_each(db, now_ms, &mut visit));
            }
        }
    }

    /// A key of `db` picked at random (`random` is the caller's randomness), copied out. `None` when the database is empty.
    /// Latches as [`Held::scan`] does.
    pub fn random_key(&mut self, db: Db, random: u64) -> Option<Vec<u8>> {
        let now_ms = self.now_ms;
        let len = self.keyspace.len(db);
        if len == 0 {
            return None;
        }
        // Stripes are picked by their share of the keys; one whose keys are all over passes the turn to the next.
        let mut skip = random % len;
        let stripes = self.keyspace.stripes.len();
        let first = (0..stripes)
            .find(|index| {
                let here = self.keyspace.stripes[*index].len(db);
                let is_here = skip < here;
                skip = skip.saturating_sub(here);
                is_here
            })
            .unwrap_or(0);
        let spread = random.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ random >> 29;
        (0..stripes)
            .map(|step| (first + step) % stripes)
            .find_map(|index| self.with_stripe(index, |held| held.random_key(db, spread, now_ms)))
    }

    /// Removes every key of `db`. Everything must be held.
    pub fn flush(&mut self, db: Db) {
        let removed = u32::try_from(self.keyspace.len(db)).unwrap_or(u32::MAX);
        self.change_count = self.change_count.saturating_add(removed);
        for stripe in self.stripes() {
            stripe.flush(db);
        }
        if let Some(stripe) = &mut self.first {
            stripe.note_flush(db);
        }
    }

    /// Exchanges two databases. Everything must be held.
    pub fn swap(&mut self, a: Db, b: Db) {
        self.change_count = self.change_count.saturating_add(1);
        let now_ms = self.now_ms;
        for stripe in self.stripes() {
            stripe.swap(a, b, now_ms);
        }
    }
}
