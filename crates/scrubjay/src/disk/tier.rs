//! The tier itself: entries go to the folder as bytes and come back as bytes.
//!
//! It locks no stripe and checks no stamp: the order of calls that keeps a removed entry from coming back is the cache's. What
//! it adds to the engine is what a cache needs of a folder that may be missing, slow or shared: it remembers what changes
//! while the folder is away, and it is deaf once its cache is closed, whoever else has the folder open.
//!
//! **Lock order:** `is_closed`, then `missed`, then `ledger`. The engine's own locks come last.

mod whole;

use super::attached::{Attached, Missed, Opened};
use super::counters::{Count, Counters};
use super::folder::error_of;
use super::stamps::{Ledger, Loaded};
use super::{Disk, Durability};
use crate::breaker::Breaker;
use crate::clock::Clock;
use crate::entry::{Anchor, Times};
use crate::error::{BoxError, Error};
use crate::kept::{Keeping, Kept, NewKept, NotKept, Unusable};
use crate::tags::{Stamped, Stamps};
use crate::timer::Timers;
use arc_swap::ArcSwapOption;
use parking_lot::{Mutex, RwLock};
use scrubjay_disk::{Lookup, Put, PutOptions, Value, Why};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Handle;

/// What the tier must know of the cache that it belongs to.
pub(crate) struct TierSetup {
    /// The cache's name.
    pub(crate) name: Box<str>,
    /// The cache's schema version.
    pub(crate) schema: u32,
    /// [`Codec::id`](crate::Codec::id) of the cache's codec.
    pub(crate) codec: u8,
    pub(crate) clock: Clock,
    /// Where what may wait for the device is done.
    pub(crate) runtime: Handle,
}

/// Encoded entries in a folder, bounded in bytes.
pub(crate) struct DiskTier {
    pub(super) disk: Disk,
    pub(super) clock: Clock,
    pub(super) runtime: Handle,
    pub(super) timers: Timers,
    pub(super) breaker: Breaker,
    pub(super) waiting: super::wait::Waiting,
    pub(super) counters: Counters,
    name: Box<str>,
    keeping: Keeping,
    attached: ArcSwapOption<Attached>,
    /// Held for reading while something is changed.
    is_closed: RwLock<bool>,
    missed: Mutex<Missed>,
    /// The sequence with which this cache began: all that it stamps is higher.
    begun: u64,
    pub(super) ledger: Mutex<Ledger>,
    /// A stamp is in the ledger and not in the store, which did not take it.
    owes_stamps: AtomicBool,
    /// Whether the last read of which anybody knows failed.
    pub(super) are_reads_failing: AtomicBool,
    /// Why the folder is away.
    pub(super) away: Mutex<Option<String>>,
}

/// An entry ready to be put.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    /// In Unix milliseconds; 0 for never.
    expires_ms: u64,
}

/// What a look that waits for nothing came to.
#[derive(Debug)]
pub(crate) enum Looked {
    Hit(Value),
    Miss,
    /// It is there, and the device must be waited for.
    Waits,
}

impl DiskTier {
    /// A tier as configured, the configuration being validated; with its folder, or without it for now, if it is optional.
    ///
    /// # Errors
    /// That of opening it; the device fails.
    pub(crate) fn new(disk: Disk, setup: TierSetup, opened: Result<Opened, Error>) -> Result<DiskTier, Error> {
        let TierSetup { name, schema, codec, clock, runtime } = setup;
        let now_ms = clock.now_ms();
        let unix_ms = clock.unix_ms_at_zero().saturating_add(now_ms);
        // A clock that has gone back since the last process does not make what it left younger.
        let seen_ms = opened.as_ref().map_or(0, Opened::latest_ms);
        let unix_ms = unix_ms.max(seen_ms);
        let anchor = Anchor::new(now_ms, unix_ms);
        let keeping = Keeping { namespace: name.clone(), schema, codec, packing: disk.packing, anchor };
        let tier = DiskTier {
            breaker: Breaker::default(),
            waiting: super::wait::Waiting::new(disk.reads_max),
            disk,
            clock,
            timers: Timers::of(&runtime),
            runtime,
            name,
            keeping,
            counters: Counters::default(),
            attached: ArcSwapOption::empty(),
            is_closed: RwLock::new(false),
            missed: Mutex::default(),
            begun: Ledger::new(unix_ms).stamped().sequence,
            ledger: Mutex::new(Ledger::new(unix_ms)),
            owes_stamps: AtomicBool::new(false),
            are_reads_failing: AtomicBool::new(false),
            away: Mutex::new(None),
        };
        match opened.and_then(|opened| tier.take_in(opened, false)) {
            Err(error) if tier.disk.is_optional => tier.still_away(&error),
            taken => _ = taken?,
        }
        Ok(tier)
    }

    /// Takes a folder into use that could not be opened when the cache was built: replays what has changed since.
    ///
    /// # Errors
    /// The device fails; the folder is away as before.
    pub(crate) fn attach(&self, opened: Opened, stamps: &Stamps) -> Result<(), Error> {
        let stamped = match &opened.loaded {
            Loaded::Nothing => Stamped::default(),
            Loaded::Whole(ledger) | Loaded::Torn(ledger) => ledger.stamped(),
        };
        stamps.load(&stamped);
        // Another process that began later than this cache has had the folder meanwhile: what was stamped here in that time is
        // lower than what its entries were born with, and would not reach them.
        let is_behind = opened.latest_ms() > self.unix_ms() || stamped.sequence > self.begun;
        if self.take_in(opened, is_behind)? {
            *self.away.lock() = None;
        }
        Ok(())
    }

    /// Whether it is in use now; not if the cache was closed meanwhile.
    fn take_in(&self, opened: Opened, is_behind: bool) -> Result<bool, Error> {
        let Opened { attached, loaded } = opened;
        let is_closed = self.is_closed.read();
        if *is_closed {
            return Ok(false);
        }
        let mut missed = self.missed.lock();
        let mut ledger = self.ledger.lock();
        let is_torn = match &loaded {
            Loaded::Nothing => false,
            Loaded::Whole(before) => {
                ledger.merge(before);
                false
            }
            Loaded::Torn(before) => {
                ledger.merge(before);
                true
            }
        };
        if is_torn || is_behind {
            tracing::warn!(
                cache = &*self.name,
                "what is on disk is given up: it is not known wholly what of it was invalidated"
            );
            self.counters.one(Count::Forgotten);
        }
        if is_torn || is_behind || missed.is_all {
            attached.entries.clear().map_err(|error| error_of(&error))?;
        }
        for key in &missed.keys {
            attached.entries.remove(key).map_err(|error| error_of(&error))?;
        }
        *missed = Missed::default();
        ledger.saw(self.unix_ms());
        ledger.write_all(&attached.stamps)?;
        self.owes_stamps.store(false, Ordering::Release);
        self.attached.store(Some(Arc::new(attached)));
        Ok(true)
    }

    /// What was stamped so far, for the cache's own stamps.
    pub(crate) fn stamped(&self) -> Stamped {
        self.ledger.lock().stamped()
    }

    /// How times of the cache's clock are written.
    pub(crate) fn anchor(&self) -> Anchor {
        self.keeping.anchor
    }

    /// Whether the folder is there.
    pub(crate) fn is_attached(&self) -> bool {
        self.attached.load().is_some()
    }

    /// The folder, if it is there.
    pub(crate) fn attached(&self) -> Option<Arc<Attached>> {
        self.attached.load_full()
    }

    pub(crate) fn config(&self) -> &Disk {
        &self.disk
    }

    /// Counts one more.
    pub(crate) fn count(&self, count: Count) {
        self.counters.one(count);
    }

    fn unix_ms(&self) -> u64 {
        self.keeping.anchor.unix_ms(self.clock.now_ms())
    }
}

/// # Entries
impl DiskTier {
    /// Writes and packs an entry with the payload that `write` appends, or one of a key that has no value. Not a moment for
    /// locks. `None` if it cannot be kept, which is counted by reason.
    pub(crate) fn encode(
        &self,
        new: &NewKept<'_>,
        write: Option<impl FnOnce(&mut Vec<u8>) -> Result<(), BoxError>>,
    ) -> Option<Encoded> {
        let expires_ms = self.expires_ms(new.times);
        let bytes = match write {
            Some(write) => self.keeping.write(new, write, |written| written.bytes.to_vec()),
            None => self.keeping.write_absent(new, |written| written.bytes.to_vec()),
        };
        let why = match bytes {
            Ok(bytes) => return Some(Encoded { bytes, expires_ms }),
            Err(NotKept::TooLarge) => Count::TooLarge,
            Err(NotKept::NotEncoded) => Count::NotEncoded,
        };
        self.counters.one(why);
        None
    }

    /// What bytes of the tier above say of their entry.
    pub(crate) fn glance<'a>(&self, bytes: &'a [u8]) -> Option<Kept<'a>> {
        self.keeping.glance(bytes)
    }

    /// Puts an entry in place of the one that was there. Waits for nothing; what is not stored is counted by reason, and the one
    /// that was there is gone.
    pub(crate) fn put(&self, key: &[u8], bytes: &[u8], times: Times, heat: u8) {
        let expires_ms = self.expires_ms(times);
        self.put_until(key, bytes, expires_ms, heat);
    }

    fn put_until(&self, key: &[u8], bytes: &[u8], expires_ms: u64, heat: u8) {
        let is_closed = self.is_closed.read();
        let Some(attached) = self.attached().filter(|_| !*is_closed) else {
            return self.counters.one(Count::Skipped);
        };
        let options = PutOptions { expires_ms, heat, ..PutOptions::default() };
        let count = match attached.entries.put_with(key, bytes, options) {
            Ok(Put::Stored) => Count::Inserted,
            Ok(Put::Dropped(Why::QueueFull)) => Count::QueueFull,
            Ok(Put::Dropped(Why::NotAdmitted)) => Count::NotAdmitted,
            Ok(Put::Dropped(Why::TooLarge)) => Count::TooLarge,
            Ok(Put::Dropped(Why::Expired)) => Count::Expired,
            Ok(Put::Dropped(_)) | Err(_) => Count::Failed,
        };
        self.counters.one(count);
    }

    /// A newer value of the key takes the place of the one above: `new` is put if there is one, and what was there goes. Whether
    /// something was there. Waits for nothing.
    pub(crate) fn replace(&self, key: &[u8], new: Option<&Encoded>) -> bool {
        let Some(new) = new else { return self.take(key, Count::Replaced) };
        let was_there = self.holds(key);
        if self.is_attached() {
            self.put_until(key, &new.bytes, new.expires_ms, 0);
        } else {
            self.take(key, Count::Replaced);
            self.counters.one(Count::Skipped);
        }
        if was_there {
            self.counters.one(Count::Replaced);
        }
        was_there
    }

    /// Takes the key's entry out; whether there was one. Waits for nothing.
    pub(crate) fn remove(&self, key: &[u8]) -> bool {
        self.take(key, Count::Removed)
    }

    fn take(&self, key: &[u8], count: Count) -> bool {
        let is_closed = self.is_closed.read();
        if *is_closed {
            return false;
        }
        let Some(attached) = self.attached() else {
            let mut missed = self.missed.lock();
            // It may have come while the lock was waited for.
            let Some(attached) = self.attached() else {
                missed.note(key);
                return false;
            };
            drop(missed);
            return self.take_from(&attached, key, count);
        };
        self.take_from(&attached, key, count)
    }

    fn take_from(&self, attached: &Attached, key: &[u8], count: Count) -> bool {
        // Asked first, since that takes a tenth of the time, and mostly there is nothing.
        let was_there = attached.entries.contains(key) && attached.entries.remove(key).unwrap_or(false);
        if was_there {
            self.counters.one(count);
        }
        was_there
    }

    /// Whether the key is there. Asks the index alone.
    pub(crate) fn holds(&self, key: &[u8]) -> bool {
        self.attached().is_some_and(|attached| attached.entries.contains(key))
    }

    /// Lets the key's entry count as at least so hot, 0 to 6. Whether it is there.
    pub(crate) fn warm(&self, key: &[u8], heat: u8) -> bool {
        self.attached().is_some_and(|attached| attached.entries.contains(key) && attached.entries.touch(key, heat))
    }

    /// Looks the key up, if that needs no waiting.
    pub(crate) fn look(&self, key: &[u8]) -> Looked {
        let Some(attached) = self.attached() else {
            self.counters.one(Count::Skipped);
            return Looked::Miss;
        };
        match attached.entries.try_get(key) {
            Ok(Lookup::Hit(value)) => {
                self.read_went(true);
                Looked::Hit(value)
            }
            Ok(Lookup::WouldBlock) => Looked::Waits,
            Ok(Lookup::Miss) => {
                // The engine keeps what it could not read.
                if attached.entries.contains(key) {
                    self.read_went(false);
                }
                Looked::Miss
            }
            Err(_) => Looked::Miss,
        }
    }

    /// Failures are quick, so they do not keep anybody from the device.
    pub(super) fn read_went(&self, is_well: bool) {
        if !is_well {
            self.counters.one(Count::Failed);
        }
        if self.are_reads_failing.load(Ordering::Relaxed) == is_well {
            self.are_reads_failing.store(!is_well, Ordering::Relaxed);
        }
    }

    /// Reads the entry of `key` in what was found. `is_valid` is asked first, before anything is unpacked; then `read` gets the
    /// payload, `None` standing for a key that has no value. What is of no use is taken out, and counted.
    pub(crate) fn read<R>(
        &self,
        key: &[u8],
        bytes: &[u8],
        is_valid: impl FnOnce(&Kept<'_>) -> bool,
        read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Option<R> {
        self.keeping.read(key, bytes, is_valid, read).map_err(|why| self.drop_unusable(key, why)).ok()
    }

    /// A newer entry that came meanwhile may go with it: a miss more, nothing else.
    fn drop_unusable(&self, key: &[u8], why: Unusable) {
        self.counters.one(match why {
            Unusable::Corrupt => Count::Corrupt,
            Unusable::Undecodable => Count::Undecodable,
            Unusable::Foreign => Count::Foreign,
            Unusable::Invalidated => Count::Invalidated,
        });
        self.take(key, Count::Removed);
    }

    /// When an entry with these times leaves, in Unix milliseconds; 0 for never.
    fn expires_ms(&self, times: Times) -> u64 {
        let own = self.keeping.anchor.to_unix(times.ordered()).stale_until_ms;
        let Some(longest) = self.disk.time_to_live_max else { return own };
        let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX).max(1);
        let latest_ms = self.unix_ms().saturating_add(longest_ms);
        if own == 0 { latest_ms } else { own.min(latest_ms) }
    }
}

impl fmt::Debug for DiskTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskTier").field("name", &self.name).field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl From<Durability> for Option<bool> {
    /// Whether a removal is waited for, and whether until it is durable.
    fn from(durability: Durability) -> Option<bool> {
        match durability {
            Durability::Buffered => None,
            Durability::Written => Some(false),
            Durability::Synced => Some(true),
        }
    }
}
