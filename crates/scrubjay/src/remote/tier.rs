//! The tier that processes share: entries of a cache on a Redis-compatible server.
//!
//! Keys are the cache's key bytes here. Reads never fail: what cannot be had in time is a miss, and counted.

use super::Remote;
use super::lease::RemoteLease;
use super::report::RemoteStats;
use crate::clock::Clock;
use crate::error::{BoxError, Error};
use crate::health::TierState;
use crate::kept::{Kept, NewKept};
use crate::tags::Mark;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// What the tier must know of the cache that it belongs to.
pub(crate) struct RemoteSetup {
    /// The cache's name.
    pub(crate) name: Box<str>,
    /// The cache's schema version.
    pub(crate) schema: u32,
    /// [`Codec::id`](crate::Codec::id) of the cache's codec.
    pub(crate) codec_id: u8,
    pub(crate) clock: Clock,
    /// Where connections are tended and leases renewed.
    pub(crate) runtime: Handle,
    pub(crate) remote: Remote,
}

/// The tiers above, as this one knows them. Called from tasks of the runtime: it may lock, it may not wait.
pub(crate) trait Above: Send + Sync {
    /// Another process wrote or removed the key: nothing above may have it, and no lookup or load that began before may store it.
    fn changed(&self, key: &[u8]);

    /// The whole cache was cleared, or a tag invalidated whose floor lies at that place. Also called for this process' own
    /// [`RemoteTier::raise`], once, at its beginning.
    fn marked(&self, mark: Mark);

    /// Nothing above may serve any more that is there now.
    fn distrusted(&self);
}

/// Where the shared stamps stood when a load or an insert began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SharedBorn {
    /// Which life of the stamps; 0 if none is known.
    pub(crate) generation: u64,
    pub(crate) sequence: u64,
}

/// An entry ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    pub(super) bytes: Bytes,
}

/// What asking for a lease came to.
#[derive(Debug)]
pub(crate) enum Begun {
    /// This process loads, and nobody else.
    Granted(RemoteLease),
    /// Another has loaded it meanwhile: to be given to [`RemoteTier::read`].
    Filled(Bytes),
    /// Nothing is known of others: load, and store above as far as [`RemoteTier::trust`] goes, not here.
    Alone,
}

/// What became of a load's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// It is there; above it may be stored, too.
    Stored,
    /// The lease was gone: the key was removed or written meanwhile. Nothing may be stored anywhere.
    Revoked,
    /// Nobody knows, and it will be removed there: above it may be stored as far as [`RemoteTier::trust`] goes.
    Unknown,
}

/// What became of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// It is gone for everybody.
    Gone { was_there: bool },
    /// The server is away, or nobody knows: it is done as soon as may be.
    Deferred,
}

/// Whether a change is known to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Confirmed {
    Yes,
    /// The server is away, or nobody knows: it is done as soon as may be.
    Deferred,
}

/// How many keys a sweep took out, and whether it went through all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) removed: u64,
    /// `Deferred`: the rest goes when the server is back, and the whole cache with it.
    pub(crate) confirmed: Confirmed,
}

/// What may be stored above just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Whole,
    /// What is stored is fresh for so many milliseconds at most.
    Capped(u64),
    Nothing,
}

/// Keys that are being changed: as long as it lives, this process does not read them from the server.
#[must_use]
pub(crate) struct Changing {}

/// Entries on a server that processes share.
pub(crate) struct RemoteTier {
    remote: Remote,
}

impl RemoteTier {
    /// A tier that connects behind.
    ///
    /// # Errors
    /// `Invalid`: the configuration is wrong.
    pub(crate) fn start(setup: RemoteSetup) -> Result<RemoteTier, Error> {
        Ok(RemoteTier { remote: setup.remote })
    }

    /// From now on `above` is told of changes.
    pub(crate) fn attach(&self, above: Arc<dyn Above>) {
        drop(above);
    }

    /// To be taken when a load or an insert begins.
    pub(crate) fn born(&self) -> SharedBorn {
        SharedBorn::default()
    }

    /// To be taken **before** an insert or a removal of these keys is done above, and kept until
    /// [`insert`](RemoteTier::insert) or [`remove`](RemoteTier::remove) has returned: a lookup in between would fetch from the
    /// server what the tiers above have just let go.
    pub(crate) fn changing(&self, keys: &[Vec<u8>]) -> Changing {
        let _ = keys;
        Changing {}
    }

    /// What the server has of the key, for [`read`](RemoteTier::read). `None`: nothing, or nothing in time.
    pub(crate) async fn get(&self, key: &[u8]) -> Option<Bytes> {
        let _ = key;
        None
    }

    /// The same for many keys at once.
    pub(crate) async fn get_many(&self, keys: &[Vec<u8>]) -> Vec<Option<Bytes>> {
        vec![None; keys.len()]
    }

    /// Reads the entry of `key` in what was found, if it is intact, of this cache, and not invalidated. `read` gets the payload,
    /// `None` standing for a key that has no value. `born` and `weight` of what it gets mean nothing: an entry that
    /// goes up is born when its lookup began, and is weighed anew. What is of no use is counted by reason.
    pub(crate) fn read<R>(
        &self,
        key: &[u8],
        bytes: &Bytes,
        read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Option<R> {
        let _ = (key, bytes, read);
        None
    }

    /// Writes and packs an entry with the payload that `write` appends, or one of a key that has no value. `None` if it cannot be
    /// kept, which is counted by reason.
    pub(crate) fn encode(
        &self,
        new: &NewKept<'_>,
        born: SharedBorn,
        write: Option<impl FnOnce(&mut Vec<u8>) -> Result<(), BoxError>>,
    ) -> Option<Encoded> {
        let _ = (new, born, write);
        None
    }

    /// Asks for the right to load the key, having found nothing of use there; `seen` is what was of no use. Waits for another
    /// that loads it, `until` so much time has passed at most.
    pub(crate) async fn begin(&self, key: &[u8], seen: Option<&Bytes>, until: Duration) -> Begun {
        let _ = (key, seen, until);
        Begun::Alone
    }

    /// The same for many keys, without waiting: `None` where it is not granted.
    pub(crate) async fn begin_many(&self, keys: &[Vec<u8>]) -> Vec<Option<RemoteLease>> {
        keys.iter().map(|_| None).collect()
    }

    /// Ends a load that succeeded: stores its result, if the lease holds. `None`: the result is not to be kept, or cannot be; then
    /// what is there goes, being older. For a load that failed drop the lease, or [`release`](RemoteTier::release) it: what is
    /// there stays.
    pub(crate) async fn fill(&self, lease: RemoteLease, entry: Option<&Encoded>) -> Filled {
        let _ = (lease, entry);
        Filled::Unknown
    }

    /// The same for many.
    pub(crate) async fn fill_many(&self, fills: Vec<(RemoteLease, Option<Encoded>)>) -> Vec<Filled> {
        fills.iter().map(|_| Filled::Unknown).collect()
    }

    /// Ends a load that failed: who waits elsewhere may load now. Dropping the lease does the same behind.
    pub(crate) async fn release(&self, lease: RemoteLease) {
        drop(lease);
    }

    /// Stores a value that its caller has brought: every load that is running loses its lease. `None`: it is not to be kept, or
    /// cannot be, and what is there goes, being older. What the server does not take now it gets later.
    pub(crate) async fn insert(&self, key: &[u8], entry: Option<&Encoded>) {
        let _ = (key, entry);
    }

    /// The same for many keys.
    pub(crate) async fn insert_many(&self, entries: Vec<(Vec<u8>, Option<Encoded>)>) {
        drop(entries);
    }

    /// Removes the key for everybody.
    pub(crate) async fn remove(&self, key: &[u8]) -> Removal {
        let _ = key;
        Removal::Deferred
    }

    /// The same for many keys.
    pub(crate) async fn remove_many(&self, keys: &[Vec<u8>]) -> Vec<Removal> {
        vec![Removal::Deferred; keys.len()]
    }

    /// Clears the cache, or invalidates a tag, for everybody.
    pub(crate) async fn raise(&self, mark: Mark) -> Confirmed {
        let _ = mark;
        Confirmed::Deferred
    }

    /// Removes every key that begins so. O(keys on the server).
    pub(crate) async fn remove_by_prefix(&self, prefix: &[u8]) -> Swept {
        let _ = prefix;
        Swept { removed: 0, confirmed: Confirmed::Deferred }
    }

    /// The keys that are there, in batches, until `take` says that it has enough. A key may come twice. O(keys on the server).
    ///
    /// # Errors
    /// `Unavailable`: not all could be listed.
    pub(crate) async fn keys(&self, take: impl FnMut(Vec<Vec<u8>>) -> bool) -> Result<(), Error> {
        drop(take);
        Ok(())
    }

    /// What may be stored above just now.
    pub(crate) fn trust(&self) -> Trust {
        Trust::Nothing
    }

    pub(crate) fn config(&self) -> &Remote {
        &self.remote
    }

    /// What was counted so far.
    pub(crate) fn stats(&self) -> RemoteStats {
        RemoteStats::default()
    }

    /// How it is doing, and why.
    pub(crate) fn health(&self) -> (TierState, Option<String>) {
        (TierState::Unavailable, None)
    }

    /// Lets the server go. What is still to be done there is lost, and counted.
    pub(crate) async fn close(&self) {}
}

impl fmt::Debug for RemoteTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteTier").field("remote", &self.remote).finish_non_exhaustive()
    }
}
