//! The tier as the cache sees it: lookups, changes, and what they wait for.
//!
//! All that this process knows is behind one lock ([`State`]), which is held for microseconds and never while the store is asked:
//! the index of what is in the store, and what is not there yet. A lookup asks both and takes the higher stamp.
//!
//! Stamps come from [`StampClock`]: the time of day in milliseconds and 6 bits to count in it, never below what was seen in a
//! pack of another process. So whoever has seen a change makes changes that are later, whatever the clocks say.

use super::counters::{Count, Counters};
use super::hash::hash_of;
use super::index::{Index, Located};
use super::options::Object;
use super::pack::{Names, PackName, STAMP_LIMIT};
use super::pending::{Pending, Waiting};
use super::reach::{Reach, Trouble};
use super::write::Wakes;
use crate::clock::Clock;
use crate::entry::Anchor;
use crate::error::{BoxError, Error};
use crate::kept::{Keeping, Kept, NewKept, NotKept, Unusable};
use crate::tags::{Mark, place};
use crate::timer::Timers;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::Handle;

/// What an entry may have beside its value: key, namespace, tags, header.
const BESIDE_VALUE_MAX: u64 = 96 << 10;
/// Packs of a clock that is further ahead are not believed: a day.
const AHEAD_MS_MAX: u64 = 86_400_000;
/// Bits of a stamp that count within a millisecond.
const COUNT_BITS: u32 = 6;

/// What the tier must know of the cache that it belongs to.
pub(crate) struct ObjectSetup {
    /// The cache's name.
    pub(crate) name: Box<str>,
    /// The cache's schema version.
    pub(crate) schema: u32,
    /// [`Codec::id`](crate::Codec::id) of the cache's codec.
    pub(crate) codec: u8,
    pub(crate) clock: Clock,
    pub(crate) runtime: Handle,
    pub(crate) object: Object,
}

/// Encoded entries in an object store, shared with other processes.
///
/// What changes it ([`put`](ObjectTier::put), [`remove`](ObjectTier::remove), [`raise`](ObjectTier::raise)) takes effect in this process
/// at once and waits for nothing, so it may be called under a lock; [`settle`](ObjectTier::settle) waits until the store has it. With a
/// remote tier, removals settle here *before* they go there: a process that starts in between finds neither.
#[derive(Debug)]
pub(crate) struct ObjectTier {
    pub(super) object: Object,
    pub(super) clock: Clock,
    pub(super) runtime: Handle,
    pub(super) timers: Timers,
    pub(super) name: Box<str>,
    pub(super) names: Names,
    /// Chosen by chance: no other process has it.
    pub(super) writer: u64,
    pub(super) reach: Reach,
    pub(super) counters: Arc<Counters>,
    pub(super) stamps: StampClock,
    pub(super) wakes: Arc<Wakes>,
    pub(super) state: Mutex<State>,
    keeping: Keeping,
}

/// What this process knows.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) index: Index,
    pub(super) pending: Pending,
    /// When everything was cleared last, whoever did it.
    cleared: u64,
    /// Cleared here at this stamp, and the store does not have it yet.
    pub(super) owed_clear: Option<u64>,
    /// By the place of a tag, up to which stamp its entries are void.
    pub(super) floors: HashMap<u16, u64, ahash::RandomState>,
    /// Keys that others have changed, and when that was heard: packs up to then say nothing of them.
    pub(super) masks: HashMap<u64, u64, ahash::RandomState>,
    /// Keys that there are news of, and it is not known yet what they mean.
    pub(super) suspects: HashMap<u64, u64, ahash::RandomState>,
    /// Packs that cannot be read.
    pub(super) bad: HashSet<PackName, ahash::RandomState>,
    /// The store was listed to the end once.
    pub(super) is_open: bool,
    /// By the cache's clock: until when what is known counts.
    pub(super) trusted_until_ms: u64,
    /// Looks for news: how many have begun, which is the last that came to its end, and from which on what is known counts.
    pub(super) looks_begun: u64,
    pub(super) turn: u64,
    pub(super) trusted_from_turn: u64,
    /// What was put up to then does not count either before that.
    distrusted: u64,
    /// Removals, marks and clears so far.
    pub(super) asked: u64,
    pub(super) is_closed: bool,
    /// Why the last write, and the last look for news, failed.
    pub(super) write_trouble: Option<Trouble>,
    pub(super) look_trouble: Option<Trouble>,
    /// Objects in the store that are no concern of ours.
    pub(super) foreign: u64,
    pub(super) upkeep: super::upkeep::Upkeep,
}

/// Numbers that go up, and do not fall behind the time of day.
#[derive(Debug, Default)]
pub(super) struct StampClock {
    last: AtomicU64,
}

/// When a load or an insert began, as other processes understand it. What was removed since wins against what is put with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObjectBorn {
    pub(super) stamp: u64,
}

/// An entry ready to be put.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(super) bytes: Bytes,
    /// In Unix milliseconds; 0 for never.
    pub(super) expires_ms: u64,
    pub(super) born: ObjectBorn,
}

/// What was found for a key: for [`ObjectTier::read`].
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(super) bytes: Bytes,
    pub(super) stamp: u64,
}

/// What became of the removals so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The store has them, or nobody asked for more than that it will.
    Gone,
    /// The store fails or does not answer. They hold in this process, and are tried until it has them.
    Deferred,
}

/// Where a lookup goes on.
pub(super) enum Looked {
    Miss,
    /// The tier does not know what is in the store.
    Skipped,
    Here(Found),
    There(u64, Located),
}

impl StampClock {
    pub(super) fn next(&self, unix_ms: u64) -> u64 {
        let now = floor_of(unix_ms);
        let step = |last: u64| Some(now.max(last + 1).min(STAMP_LIMIT - 1));
        let last = self.last.fetch_update(Ordering::AcqRel, Ordering::Acquire, step).unwrap_or_else(|last| last);
        now.max(last + 1).min(STAMP_LIMIT - 1)
    }

    pub(super) fn saw(&self, stamp: u64) {
        self.last.fetch_max(stamp, Ordering::AcqRel);
    }
}

/// The first stamp of a moment.
pub(super) fn floor_of(unix_ms: u64) -> u64 {
    unix_ms.min((STAMP_LIMIT >> COUNT_BITS) - 1) << COUNT_BITS
}

impl State {
    pub(super) fn is_trusted(&self, now_ms: u64) -> bool {
        self.is_open && self.turn >= self.trusted_from_turn && now_ms < self.trusted_until_ms
    }

    /// Whether another process has changed the key since, or may have.
    fn is_suspect(&self, hash: u64, waiting: &Waiting) -> bool {
        let distrusted = if self.turn < self.trusted_from_turn { self.distrusted } else { 0 };
        let heard = self.masks.get(&hash).copied().unwrap_or(0);
        waiting.entry.is_some() && waiting.stamp <= heard.max(distrusted)
    }

    /// Whether there are packs in the store of which only this is known: that nothing up to the floor is believed.
    pub(super) fn has_left_out(&self) -> bool {
        self.index.floor > self.cleared
    }

    /// Cleared, by whomever: nothing up to this stamp counts.
    pub(super) fn void(&mut self, stamp: u64) {
        self.index.raise_floor(stamp);
        self.cleared = self.cleared.max(stamp);
        self.pending.void(stamp);
        self.masks.retain(|_, heard| *heard > stamp);
    }
}

impl ObjectTier {
    /// A tier as configured. Does not wait for the store, which may be away: what is in it is looked for in the background.
    ///
    /// # Errors
    /// `Invalid`: the configuration.
    pub(crate) fn open(setup: ObjectSetup) -> Result<Arc<ObjectTier>, Error> {
        let tier = ObjectTier::new(setup)?;
        tier.begin();
        Ok(tier)
    }

    /// The same with nothing that goes on behind.
    pub(super) fn new(setup: ObjectSetup) -> Result<Arc<ObjectTier>, Error> {
        let ObjectSetup { name, schema, codec, clock, runtime, object } = setup;
        object.validate(&name)?;
        let made = object.make()?;
        let now_ms = clock.now_ms();
        let anchor = Anchor::new(now_ms, clock.unix_ms_at_zero().saturating_add(now_ms));
        let keeping = Keeping { namespace: name.clone(), schema, codec, packing: object.packing, anchor };
        let counters = Arc::new(Counters::default());
        Ok(Arc::new(ObjectTier {
            names: Names::new(&made.prefix, &name, schema),
            reach: Reach::new(&made, &object, runtime.clone(), clock.clone(), Arc::clone(&counters)),
            writer: ahash::RandomState::new().hash_one(now_ms),
            stamps: StampClock::default(),
            wakes: Arc::new(Wakes::default()),
            state: Mutex::default(),
            object,
            clock,
            timers: Timers::of(&runtime),
            runtime,
            name,
            counters,
            keeping,
        }))
    }

    pub(super) fn unix_ms(&self) -> u64 {
        self.keeping.anchor.unix_ms(self.clock.now_ms())
    }

    pub(super) fn next_stamp(&self) -> u64 {
        self.stamps.next(self.unix_ms())
    }

    /// Stamps of other processes are below, or nobody believes them.
    pub(super) fn latest_credible(&self) -> u64 {
        floor_of(self.unix_ms() + AHEAD_MS_MAX)
    }

    /// Now: for a load or an insert that begins. Costs nanoseconds.
    pub(crate) fn born(&self) -> ObjectBorn {
        ObjectBorn { stamp: self.next_stamp() }
    }

    /// Writes and packs an entry with the payload that `write` appends, or one of a key that has no value. Not a moment for
    /// locks. `None` if it cannot be kept, which is counted by reason.
    pub(crate) fn encode(
        &self,
        new: &NewKept<'_>,
        born: ObjectBorn,
        write: Option<impl FnOnce(&mut Vec<u8>) -> Result<(), BoxError>>,
    ) -> Option<Encoded> {
        let bytes = match write {
            Some(write) => self.keeping.write(new, write, |written| Bytes::copy_from_slice(written.bytes)),
            None => self.keeping.write_absent(new, |written| Bytes::copy_from_slice(written.bytes)),
        };
        let why = match bytes {
            Ok(bytes) if self.is_too_large(bytes.len()) => Count::TooLarge,
            Ok(bytes) => return Some(Encoded { bytes, expires_ms: self.expires_ms(new), born }),
            Err(NotKept::TooLarge) => Count::TooLarge,
            Err(NotKept::NotEncoded) => Count::NotEncoded,
        };
        self.counters.one(why);
        None
    }

    fn is_too_large(&self, len: usize) -> bool {
        u64::try_from(len).is_ok_and(|len| len > self.object.value_bytes_max)
    }

    /// When an entry leaves, in Unix milliseconds; 0 for never.
    fn expires_ms(&self, new: &NewKept<'_>) -> u64 {
        let own = self.keeping.anchor.to_unix(new.times.ordered()).stale_until_ms;
        let Some(longest) = self.object.time_to_live_max else { return own };
        let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX).max(1);
        let latest_ms = self.unix_ms().saturating_add(longest_ms);
        if own == 0 { latest_ms } else { own.min(latest_ms) }
    }

    /// Puts an entry in place of the one that was there, behind: it is read from here at once, and written soon. What does not
    /// find room is dropped and counted, and the one that was there is gone all the same. `None` if there is none to put (too
    /// large, does not serialise): the older one goes. What was removed since the entry's load began stays removed.
    pub(crate) fn put(&self, key: &[u8], entry: Option<&Encoded>) {
        self.put_in(&mut self.state.lock(), key, entry);
    }

    /// The same for an insert by the caller: it is later than all that is known, whenever it began. Of two inserts the one wins
    /// that is made here last.
    pub(crate) fn insert(&self, key: &[u8], entry: Option<&Encoded>) {
        let mut state = self.state.lock();
        let born = ObjectBorn { stamp: self.next_stamp() };
        let entry = entry.map(|entry| Encoded { born, ..entry.clone() });
        self.put_in(&mut state, key, entry.as_ref());
    }

    fn put_in(&self, state: &mut State, key: &[u8], entry: Option<&Encoded>) {
        let hash = hash_of(key);
        if state.is_closed {
            return self.counters.one(Count::Skipped);
        }
        let Some(entry) = entry else {
            if self.is_known(state, hash) {
                self.counters.one(Count::Replaced);
                self.remove_in(state, hash);
            }
            return;
        };
        let unix_ms = self.unix_ms();
        let known = state.index.find(hash, unix_ms);
        let waiting = state.pending.find(hash);
        let latest = known.map_or(0, |known| known.stamp).max(waiting.as_ref().map_or(0, |waiting| waiting.stamp));
        let heard = state.masks.get(&hash).copied().unwrap_or(0);
        if entry.born.stamp <= latest.max(heard).max(state.index.floor) {
            return self.counters.one(Count::Invalidated);
        }
        let is_replaced = match waiting {
            Some(waiting) => waiting.entry.is_some(),
            None => known.is_some_and(|known| known.located.is_some()),
        };
        if is_replaced {
            self.counters.one(Count::Replaced);
        }
        if !state.pending.put(hash, key, entry, self.object.queue_bytes) {
            self.counters.one(Count::QueueFull);
            if self.is_known(state, hash) {
                self.remove_in(state, hash);
            }
            return;
        }
        self.counters.one(Count::Inserted);
        if state.pending.gathered_bytes() >= self.object.pack_bytes {
            self.wakes.entries.notify_one();
        }
    }

    /// Whether there may be an older version that would be found if nothing were done.
    fn is_known(&self, state: &State, hash: u64) -> bool {
        let is_known = state.index.find(hash, 0).is_some_and(|known| known.located.is_some());
        is_known || !state.is_open || state.pending.find(hash).is_some_and(|waiting| waiting.entry.is_some())
    }

    pub(super) fn remove_in(&self, state: &mut State, hash: u64) {
        let stamp = self.next_stamp();
        state.asked += 1;
        if !state.pending.remove(hash, stamp) {
            tracing::warn!(
                cache = &*self.name,
                "too many removals wait for the object store: all that is there is given up"
            );
            self.counters.one(Count::Forgotten);
            self.clear_in(state);
        }
        self.wakes.removals.notify_one();
    }

    fn clear_in(&self, state: &mut State) {
        let stamp = self.next_stamp();
        state.void(stamp);
        state.owed_clear = Some(stamp);
    }

    /// Whether the key is there, as far as this process knows. Asks the index alone.
    pub(crate) fn holds(&self, key: &[u8]) -> bool {
        matches!(self.look(hash_of(key)), Looked::Here(_) | Looked::There(..))
    }

    pub(super) fn look(&self, hash: u64) -> Looked {
        let unix_ms = self.unix_ms();
        let state = self.state.lock();
        if state.suspects.contains_key(&hash) {
            return Looked::Skipped;
        }
        let waiting = state.pending.find(hash).filter(|waiting| !state.is_suspect(hash, waiting));
        let is_trusted = state.is_trusted(self.clock.now_ms());
        let known = if is_trusted { state.index.find(hash, unix_ms) } else { None };
        match (waiting, known) {
            (Some(Waiting { stamp, entry, expires_ms }), known) if known.is_none_or(|known| known.stamp <= stamp) => {
                let is_expired = expires_ms != 0 && unix_ms >= expires_ms;
                match entry.filter(|_| !is_expired) {
                    Some(bytes) => Looked::Here(Found { bytes, stamp }),
                    None => Looked::Miss,
                }
            }
            (_, Some(known)) => known.located.map_or(Looked::Miss, |located| Looked::There(known.stamp, located)),
            _ if is_trusted => Looked::Miss,
            _ => Looked::Skipped,
        }
    }

    /// An entry of the store is at most so long.
    pub(super) fn entry_len_max(&self) -> u64 {
        self.object.value_bytes_max.max(self.object.large_bytes) + BESIDE_VALUE_MAX
    }

    /// Reads the entry of `key` in what was found. `is_valid` is asked first, before anything is unpacked; then `read` gets the
    /// payload, `None` standing for a key that has no value. What is of no use is a miss, counted by reason. Tags and clears are
    /// minded here: [`Kept::born`] is of the process that wrote it, and means nothing.
    pub(crate) fn read<R>(
        &self,
        key: &[u8],
        found: &Found,
        is_valid: impl FnOnce(&Kept<'_>) -> bool,
        read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Option<R> {
        let is_valid = |kept: &Kept<'_>| {
            let mut tags = kept.tags;
            let state = self.state.lock();
            let is_void = |tag: &str| state.floors.get(&place(tag)).is_some_and(|floor| found.stamp <= *floor);
            let is_any_void = !state.floors.is_empty() && tags.any(is_void);
            drop(state);
            !is_any_void && is_valid(kept)
        };
        self.keeping.read(key, &found.bytes, is_valid, read).map_err(|why| self.drop_unusable(key, found, why)).ok()
    }

    fn drop_unusable(&self, key: &[u8], found: &Found, why: Unusable) {
        self.counters.one(match why {
            Unusable::Corrupt => Count::Corrupt,
            Unusable::Undecodable => Count::Undecodable,
            Unusable::Foreign => Count::Foreign,
            Unusable::Invalidated => Count::Invalidated,
        });
        self.forget(hash_of(key), found.stamp);
    }

    /// What the index has of this stamp is of no use.
    pub(super) fn forget(&self, hash: u64, stamp: u64) {
        let mut state = self.state.lock();
        if state.index.find(hash, 0).is_some_and(|known| known.stamp == stamp) {
            state.index.forget(hash, 0);
        }
    }

    /// Takes the key's entry out, whoever wrote it. Whether this process knew of one.
    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        let hash = hash_of(key);
        let mut state = self.state.lock();
        if state.is_closed {
            return false;
        }
        let was_there = match state.pending.find(hash) {
            Some(waiting) => waiting.entry.is_some(),
            None => state.index.find(hash, self.unix_ms()).is_some_and(|known| known.located.is_some()),
        };
        if was_there {
            self.counters.one(Count::Removed);
        }
        self.remove_in(&mut state, hash);
        was_there
    }

    /// Everything (`Cleared`), or everything with a tag of that place, is void from now on. O(1).
    pub(crate) fn raise(&self, mark: Mark) {
        let mut state = self.state.lock();
        if state.is_closed {
            return;
        }
        state.asked += 1;
        match mark {
            Mark::Cleared => self.clear_in(&mut state),
            Mark::Floor(place) => {
                let stamp = self.next_stamp();
                state.floors.insert(place, stamp);
                state.pending.mark(place, stamp);
            }
        }
        self.wakes.removals.notify_one();
    }

    /// Another process has raised this mark (the remote tier says so), and writes it down: what this process knows does not count
    /// here either.
    pub(crate) fn heard(&self, mark: Mark) {
        let mut state = self.state.lock();
        let stamp = self.next_stamp();
        match mark {
            Mark::Cleared => state.void(stamp),
            Mark::Floor(place) => _ = state.floors.insert(place, stamp),
        }
    }

    /// Nobody knows what other processes changed lately: nothing is served until the store was listed again, which begins now.
    pub(crate) fn distrust(&self) {
        let mut state = self.state.lock();
        state.trusted_from_turn = state.looks_begun + 1;
        state.distrusted = self.next_stamp();
        drop(state);
        self.wakes.news.notify_one();
    }
}
