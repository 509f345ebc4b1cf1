//! The front door: one cache over all its tiers.
//!
//! [`Cache`] is a handle; what it is a handle of is [`Shared`]. `builder.rs` makes it, `read.rs` shows the way of a lookup
//! through the tiers, `beneath.rs` and `on_disk.rs` what is found below memory, `write.rs` the way of an entry into the tiers,
//! `demote.rs` the way down from one to the next, `many.rs` and `keys.rs` what concerns several keys or all, `load.rs` and
//! `refresh.rs` what a loader has to do with it, `far.rs`, `on_remote.rs` and `on_object.rs` what other processes share,
//! `coherence.rs` why nothing old is left when they or we change it, `write_far.rs` how a change gets there, `maintain.rs` what happens with nobody calling, `tend.rs`
//! what is done behind for the disk, `write_down.rs` and `warm.rs` how what is in memory comes back after a restart.
//!
//! **Invariants**
//! - Whatever changes a key in a tier holds the key's stripe of `leases`, and raises the stripe's epoch before it lets go.
//!   An entry that is on its way between two tiers arrives only if the epoch is what it was when the entry set out.
//! - Lock order: stripe, then a shard of a tier. What leaves the memory tier is handled (demoted, told to the listener,
//!   dropped) when no lock is held. Nothing of the user's runs under a lock, but `Hash`, `Eq` and `Clone` of keys.
//! - Every read asks the stamps ([`Stamps`]): an entry that is found need not count any more.

use crate::clock::Clock;
use crate::codec::Codec;
use crate::compressed::CompressedTier;
use crate::disk::DiskTier;
use crate::error::Error;
use crate::flight::{Answer, Leases};
use crate::health::HealthBook;
use crate::memory::{Epochs, Tier};
use crate::object::ObjectTier;
use crate::remote::RemoteTier;
use crate::stats::Counters;
use crate::stored::Stored;
use crate::tags::Stamps;
use avoided::Avoided;
use coherence::Underway;
use settings::Settings;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use suspects::Suspects;
use tasks::Tasks;
use times::Jitter;
use tokio::runtime::Handle;
use write::{Listener, Partitions, Weigher};

mod avoided;
mod beneath;
mod builder;
mod coherence;
mod demote;
mod far;
mod keys;
mod load;
mod load_many;
mod maintain;
mod many;
mod on_disk;
mod on_object;
mod on_remote;
mod read;
mod refresh;
mod settings;
mod suspects;
mod tasks;
mod tend;
mod times;
mod warm;
mod write;
mod write_down;
mod write_far;

pub use builder::CacheBuilder;
pub use keys::Keys;
pub(crate) use read::{Found, Stale, Start};
pub use warm::{WarmUp, WarmUpState};
pub(crate) use write::Left;

/// What a caller with a loader gets: `Ok(None)` is a key without a value.
pub(crate) type Outcome<V> = Result<Option<V>, Error>;

/// A cache of values by key, in tiers.
///
/// A clone is another handle on the same cache, and costs as much as that of an `Arc`. When the last one goes, so does the
/// cache; [`close`](Cache::close) ends it earlier and waits. `K` is whatever is a [`Key`](crate::Key); `V` is cloned for each hit, so a
/// large one is best held in an `Arc`.
///
/// ```
/// use scrubjay::{Cache, Loaded, Memory};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let pages: Cache<String, Arc<str>> = Cache::builder("pages")
///     .memory(Memory::bytes(64 << 20))
///     .time_to_live(Duration::from_secs(300))
///     .build()
///     .await?;
///
/// // However many ask at once, the page is rendered once. The loader says how to keep it.
/// let render = async |path: String| {
///     let page: Arc<str> = format!("<h1>{path}</h1>").into();
///     Ok::<_, std::io::Error>(Loaded::value(page).tag("rendered"))
/// };
/// let page = pages.get_or_load("/about", render).await?;
/// assert_eq!(&*page, "<h1>/about</h1>");
/// assert_eq!(pages.get("/about").await, Some(page));
///
/// // The template has changed: every page goes, and what is being rendered is not stored.
/// pages.remove_by_tag("rendered").await?;
/// assert_eq!(pages.get("/about").await, None);
/// assert_eq!(pages.stats().loads, 1);
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Cache<K, V> {
    pub(crate) shared: Arc<Shared<K, V>>,
}

/// What all handles of a cache share.
pub(crate) struct Shared<K, V> {
    pub(crate) name: Box<str>,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    pub(crate) memory: Tier<K, Stored<V>>,
    pub(crate) compressed: Option<Compressing<V>>,
    pub(crate) disk: Option<OnDisk<V>>,
    pub(crate) remote: Option<OnRemote<V>>,
    pub(crate) object: Option<OnObject<V>>,
    pub(crate) leases: Leases<K, Answer<V>>,
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) stamps: Stamps,
    pub(crate) counters: Counters,
    pub(crate) tasks: Tasks,
    weigher: Weigher<K, V>,
    partitions: Option<Partitions<K>>,
    listener: Option<Listener<K, V>>,
    health: HealthBook,
    counts_bytes: bool,
    capacity_min: u64,
    jitter: Jitter,
    warming: warm::Warming,
    /// How many calls look through the tiers in memory just now. While it is not zero, no entry moves between tiers.
    moves_held: AtomicUsize,
    /// How many look through the folder. While it is not zero, nothing goes up from there.
    rises_held: AtomicUsize,
    /// The own changes that are on their way to tiers which others share, if there is such a tier.
    underway: Option<Underway>,
    avoided: Avoided,
    suspects: Suspects,
}

/// The compressed tier, and how values become its bytes.
pub(crate) struct Compressing<V> {
    pub(crate) tier: CompressedTier,
    pub(crate) codec: Box<dyn Codec<V>>,
}

/// The disk tier, and how values become its bytes.
pub(crate) struct OnDisk<V> {
    pub(crate) tier: Arc<DiskTier>,
    pub(crate) codec: Box<dyn Codec<V>>,
}

/// The remote tier, and how values become its bytes.
pub(crate) struct OnRemote<V> {
    pub(crate) tier: Arc<RemoteTier>,
    pub(crate) codec: Box<dyn Codec<V>>,
}

/// The object tier, and how values become its bytes.
pub(crate) struct OnObject<V> {
    pub(crate) tier: Arc<ObjectTier>,
    pub(crate) codec: Box<dyn Codec<V>>,
}

impl<K, V> Cache<K, V> {
    /// Where loads and upkeep run.
    pub(crate) fn runtime(&self) -> &Handle {
        self.shared.tasks.runtime()
    }

    /// What hears the servers of the remote and the object tier, if there is such a tier.
    pub(crate) fn runtime_of_servers(&self) -> Option<&Handle> {
        let has_servers = self.shared.remote.is_some() || self.shared.object.is_some();
        has_servers.then(|| self.runtime())
    }
}

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Cache<K, V> {
        Cache { shared: Arc::clone(&self.shared) }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl<K, V> Drop for Shared<K, V> {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}
