//! The tier that processes share: entries of a cache on a Redis-compatible server.
//!
//! Keys are the cache's key bytes here. Reads never fail: what cannot be had in time is a miss, and counted. `tier/read.rs` looks
//! keys up, `tier/load.rs` asks for leases and ends them, `tier/write.rs` inserts and removes, `tier/raise.rs` keeps
//! the shared stamps, `tier/watch.rs` hears what others change, `tier/clocks.rs` knows what time it is there, `tier/replay.rs` does what was missed, `tier/sweep.rs` walks.
//!
//! **Invariants**
//! 1. *Whose load may store.* A load's result is stored on the server only while its token lies in the lease, checked and stored as
//!    one. Every removal and every insert deletes the lease. So what began before a removal is never stored after it.
//! 2. *What this process changes it does not read.* From before a change is done above until the server's answer is in the
//!    books, and for as long as there is no certain answer, the key is not read from the server ([`Changing`], then
//!    [`Missed`]). So no lookup carries back up what the tiers above have let go.
//! 3. *Nothing is assumed of what is not known.* A command without a certain answer makes its key a missed removal. A write that may
//!    still be on its way is refused by the server after its deadline, and what replaces it waits for that (the fence).
//! 4. *News are acted upon in this order*: the mirror of the stamps first, then the tiers above. A lookup judged by the old mirror
//!    began before the tiers above were told, and what it stores does not count.
//! 5. *A raise of this process is pending before the tiers above are told of it*, and until the mirror has it.
//! 6. *Own changes are checked, not ignored* ([`Echo`]): the news of a key that this process wrote lets go what is above unless the
//!    very value that it wrote is there. That nothing is there proves nothing.
//! 7. *What was not heard of is not trusted.* After a lost connection: news first, then the stamps, then everything above is let go,
//!    then what was missed is done, and only then does the tier serve.
//! 8. *Deleting is always safe*, storing never by itself: wherever two orders of events cannot be told apart, the key goes.

use super::Remote;
use super::counters::{Count, Counters};
use super::echo::Echo;
use super::gather::Gather;
use super::lease::RemoteLease;
use super::link::{Link, LinkSetup, LinkState, News};
use super::missed::{Missed, Noted, Op};
use super::names::{KeyNames, Names};
use super::options::OnDisconnect;
use super::report::RemoteStats;
use super::scripts::Terms;
use super::stamps::Mirror;
use super::waiters::Waiters;
use crate::clock::Clock;
use crate::entry::Anchor;
use crate::error::Error;
use crate::health::TierState;
use crate::kept::Keeping;
use crate::tags::Mark;
use ahash::RandomState;
use arc_swap::ArcSwapOption;
use beats::Beats;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

mod beats;
mod clocks;
mod load;
mod raise;
mod read;
mod replay;
mod sweep;
#[cfg(test)]
mod tests;
mod watch;
mod write;

pub(crate) use crate::entry::SharedBorn;

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

/// An entry ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Encoded {
    bytes: Bytes,
    /// By the cache's clock; 0 for never.
    expires_ms: u64,
    /// In Unix milliseconds.
    stored_at_ms: u64,
    /// Whether it can be stored later: it says which stamps it was born with, and when.
    may_wait: bool,
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
pub(crate) struct Changing {
    inner: Arc<Inner>,
    keys: Vec<Vec<u8>>,
}

impl Drop for Changing {
    fn drop(&mut self) {
        let mut changing = self.inner.changing.lock();
        for key in &self.keys {
            if let Some(count) = changing.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    changing.remove(key);
                }
            }
        }
        drop(changing);
        self.inner.changing_count.fetch_sub(self.keys.len(), Ordering::SeqCst);
    }
}

/// Entries on a server that processes share.
pub(crate) struct RemoteTier {
    inner: Arc<Inner>,
    link: Link,
    /// Single reads that meet on their way.
    gather: Gather<Link>,
}

/// How long closing waits for changes that are still to be done, beside the time of a command.
const CLOSING_MAX: Duration = if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(5) };
/// A place for lookups to notice that a key was changed meanwhile.
const CHANGES: usize = 256;

/// What the tier is when nobody calls it: the link tells it what it hears.
pub(super) struct Inner {
    pub(super) remote: Remote,
    pub(super) names: Names,
    keeping: Keeping,
    pub(super) clock: Clock,
    pub(super) runtime: Handle,
    pub(super) counters: Counters,
    /// Who this is among those who publish.
    origin: [u8; 16],
    random: RandomState,
    drawn: AtomicU64,
    begun: Instant,
    clocks: clocks::Clocks,
    mirror: Mutex<Mirror>,
    echo: Mutex<Echo>,
    checks: Mutex<watch::Checks>,
    missed: Mutex<Missed>,
    is_anything_missed: AtomicBool,
    changing: Mutex<HashMap<Vec<u8>, u32, RandomState>>,
    /// How many are in it: raised before they are, and lowered after.
    changing_count: AtomicUsize,
    changes: Box<[AtomicU64]>,
    pub(super) waiters: Waiters,
    above: OnceLock<Arc<dyn Above>>,
    /// Cleared when the tier goes: the link has this as its watcher.
    link: ArcSwapOption<Link>,
    /// Odd while connected: raised when the connection is lost, and when all is caught up with.
    outage: AtomicUsize,
    /// The last moment at which every change was known to have been heard of, by the cache's clock.
    trusted_ms: AtomicU64,
    beats: Beats,
    /// Whether news of the stamps wait to be read.
    are_stamps_due: AtomicBool,
    catching_up: tokio::sync::Mutex<()>,
    draining: Arc<tokio::sync::Mutex<()>>,
}

impl RemoteTier {
    /// A tier that connects behind.
    ///
    /// # Errors
    /// `Invalid`: the configuration is wrong.
    pub(crate) fn start(setup: RemoteSetup) -> Result<RemoteTier, Error> {
        let RemoteSetup { name, schema, codec_id, clock, runtime, remote } = setup;
        let names = Names::new(&remote.prefix, &name, schema, remote.is_raw);
        let link = LinkSetup {
            remote: remote.clone(),
            cache: Arc::from(&*name),
            clock: clock.clone(),
            runtime: runtime.clone(),
            prefixes: names.tracked(),
            channel: names.channel(),
        };
        let now_ms = clock.now_ms();
        let anchor = Anchor::new(now_ms, clock.unix_ms_at_zero().saturating_add(now_ms));
        let keeping = Keeping { namespace: name, schema, codec: codec_id, packing: remote.packing, anchor };
        let random = RandomState::new();
        let mut origin = [0; 16];
        origin.copy_from_slice(format!("{:016x}", random.hash_one(u64::MAX)).as_bytes());
        let inner = Arc::new(Inner {
            names: names.of_origin(&origin),
            keeping,
            runtime,
            counters: Counters::default(),
            origin,
            random,
            drawn: AtomicU64::new(0),
            begun: clock.instant(),
            clock,
            clocks: clocks::Clocks::default(),
            mirror: Mutex::default(),
            echo: Mutex::default(),
            checks: Mutex::default(),
            missed: Mutex::new(Missed::new(remote.missed_bytes_max, !remote.is_raw)),
            is_anything_missed: AtomicBool::new(false),
            changing: Mutex::default(),
            changing_count: AtomicUsize::new(0),
            changes: (0..CHANGES).map(|_| AtomicU64::new(0)).collect(),
            waiters: Waiters::default(),
            above: OnceLock::new(),
            link: ArcSwapOption::empty(),
            outage: AtomicUsize::new(0),
            trusted_ms: AtomicU64::new(now_ms),
            beats: Beats::default(),
            are_stamps_due: AtomicBool::new(false),
            catching_up: tokio::sync::Mutex::const_new(()),
            draining: Arc::default(),
            remote,
        });
        inner.missed.lock().patience_ms = inner.patience_ms();
        let link = Link::start(link, Arc::new(watch::Ear(Arc::clone(&inner))))?;
        inner.link.store(Some(Arc::new(link.clone())));
        let gather = Gather::new(link.clone(), inner.runtime.clone(), inner.remote.in_flight_max);
        Ok(RemoteTier { inner, link, gather })
    }

    /// From now on `above` is told of changes. What is there already is treated as after a lost connection.
    pub(crate) fn attach(&self, above: Arc<dyn Above>) {
        let _ = self.inner.above.set(above);
        if self.inner.is_connected() {
            if self.inner.remote.on_disconnect != OnDisconnect::ServeStale {
                self.inner.distrust();
            }
        } else {
            self.inner.on_lost();
        }
    }

    /// To be taken when a load or an insert begins.
    pub(crate) fn born(&self) -> SharedBorn {
        self.inner.mirror.lock().born()
    }

    /// To be taken **before** an insert or a removal of these keys is done above, and kept until
    /// [`insert`](RemoteTier::insert) or [`remove`](RemoteTier::remove) has returned: a lookup in between would fetch from the
    /// server what the tiers above have just let go.
    pub(crate) fn changing(&self, keys: &[Vec<u8>]) -> Changing {
        self.inner.changing(keys)
    }

    /// What may be stored above just now.
    pub(crate) fn trust(&self) -> Trust {
        match self.inner.remote.on_disconnect {
            _ if self.inner.is_connected() => Trust::Whole,
            OnDisconnect::CapAge(time) => Trust::Capped(millis(time)),
            OnDisconnect::Drop => Trust::Nothing,
            OnDisconnect::ServeStale => Trust::Whole,
        }
    }

    /// Whether removals were more than are kept, of a tier that cannot be cleared instead: then some of them are never done.
    pub(crate) fn has_lost_removals(&self) -> bool {
        self.inner.remote.is_raw && self.inner.counters.read(Count::Overflow) > 0
    }

    pub(crate) fn config(&self) -> &Remote {
        &self.inner.remote
    }

    /// What was counted so far.
    pub(crate) fn stats(&self) -> RemoteStats {
        self.inner.stats(&self.link)
    }

    /// How it is doing, and why.
    pub(crate) fn health(&self) -> (TierState, Option<String>) {
        self.inner.health(&self.link)
    }

    /// Lets the server go. What is still to be done there is tried once more, for [`CLOSING_MAX`] and the time of a command
    /// in all; the rest is lost, and said in the log.
    pub(crate) async fn close(&self) {
        if self.inner.is_serving(&self.link) {
            let limit = CLOSING_MAX.saturating_add(self.inner.remote.command_timeout);
            let _ = self.link.limit(limit, self.inner.drain(&self.link)).await;
        }
        let lost = self.inner.missed.lock().len();
        if lost > 0 {
            let cache = &*self.inner.keeping.namespace;
            tracing::warn!(cache, changes = lost, "the remote tier has not had changes of this process");
        }
        self.inner.link.store(None);
        self.link.close().await;
        self.inner.waiters.wake_all();
    }
}

impl Drop for RemoteTier {
    fn drop(&mut self) {
        // The link has the inside as its watcher, and the inside the link.
        self.inner.link.store(None);
        let link = self.link.clone();
        drop(self.inner.runtime.spawn(async move { link.close().await }));
    }
}

impl Inner {
    fn changing(self: &Arc<Self>, keys: &[Vec<u8>]) -> Changing {
        self.changing_count.fetch_add(keys.len(), Ordering::SeqCst);
        let mut changing = self.changing.lock();
        for key in keys {
            *changing.entry(key.clone()).or_default() += 1;
        }
        drop(changing);
        for key in keys {
            self.changes[self.change_of(key)].fetch_add(1, Ordering::AcqRel);
        }
        Changing { inner: Arc::clone(self), keys: keys.to_vec() }
    }

    fn change_of(&self, key: &[u8]) -> usize {
        usize::try_from(self.random.hash_one(key) % CHANGES as u64).unwrap_or(0)
    }

    pub(super) fn count(&self, count: Count) {
        self.counters.one(count);
    }

    /// The names of the key; without them it is not shared.
    fn names(&self, key: &[u8]) -> Option<KeyNames> {
        let names = self.names.of(key);
        if names.is_none() {
            self.count(Count::Unprotected);
        }
        names
    }

    fn is_connected(&self) -> bool {
        self.outage.load(Ordering::Acquire) % 2 == 1
    }

    fn is_serving(&self, link: &Link) -> bool {
        matches!(link.state(), LinkState::Serving { .. })
    }

    /// Whether something is still to be done there about the key.
    fn is_missed(&self, key: &[u8]) -> bool {
        self.is_anything_missed.load(Ordering::Acquire) && self.missed.lock().has(key)
    }

    /// Whether the key may be read from the server.
    fn may_read(&self, key: &[u8]) -> bool {
        let is_changing = || self.changing_count.load(Ordering::SeqCst) > 0 && self.changing.lock().contains_key(key);
        !is_changing() && !self.is_missed(key)
    }

    /// A change is to be done later.
    fn defer(&self, key: &[u8], op: Op, fence_ms: u64) {
        let op = match op {
            Op::Insert { .. } if self.remote.is_raw => Op::Removed,
            op => op,
        };
        let made_ms = self.elapsed_ms();
        let mut missed = self.missed.lock();
        self.is_anything_missed.store(true, Ordering::Release);
        let noted = missed.note(key, op, made_ms, fence_ms);
        drop(missed);
        self.count(Count::Deferred);
        if noted == Noted::Overflowed {
            self.count(Count::Overflow);
        }
    }

    /// Milliseconds since the tier was made, however the cache's clock goes.
    fn elapsed_ms(&self) -> u64 {
        millis(self.clock.instant().saturating_duration_since(self.begun))
    }

    /// Without a deadline: that is the key's.
    fn terms(&self, link: &Link) -> Terms {
        let is_published = matches!(link.state(), LinkState::Serving { coherence: News::PubSub(_) });
        let publish = is_published.then(|| (self.names.channel(), self.origin));
        Terms { deadline_ms: 0, publish }
    }

    /// A number that nobody else draws.
    fn draw(&self) -> u64 {
        self.random.hash_one(self.drawn.fetch_add(1, Ordering::Relaxed)).max(1)
    }

    fn token(&self) -> [u8; 16] {
        let mut token = [0; 16];
        token.copy_from_slice(format!("{:016x}", self.draw()).as_bytes());
        token
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for RemoteTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteTier").field("remote", &self.inner.remote).finish_non_exhaustive()
    }
}
