//! What a [`Cache`] is made of, validated once.

mod tiers;
mod times;

use super::avoided::Avoided;
use super::coherence::{Hearing, Underway};
use super::suspects::Suspects;
use super::tasks::Tasks;
use super::times::Jitter;
use super::warm::Warming;
use super::write::{Listener, Partitions, Weigher};
use super::{Cache, Shared};
use crate::clock::Clock;
use crate::codec::{Codec, Postcard};
use crate::compressed::Compressed;
use crate::disk::Disk;
use crate::entry::NAMESPACE_LEN_MAX;
use crate::error::Error;
use crate::flight::Leases;
use crate::health::HealthBook;
use crate::key::Key;
use crate::limits::Partitioner;
use crate::memory::{Budget, Epochs, Memory, Reason, Tier, TierOptions};
use crate::object::Object;
use crate::options::FailSafe;
use crate::remote::Remote;
use crate::stats::Counters;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use tiers::{Of, check_codecs, stamps_of};
use times::Times;
use tokio::runtime::Handle;

/// Stripes of keys per core.
const STRIPES_PER_CORE: usize = 16;

/// Configures a [`Cache`]; made by [`Cache::builder`].
///
/// ```
/// use scrubjay::{Cache, Compressed, FailSafe, Memory};
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let pages: Cache<String, String> = Cache::builder("pages")
///     .memory(Memory::bytes(64 << 20).partition("drafts", 8 << 20))
///     .partition_by(|key: &String| key.starts_with("draft:").then_some("drafts"))
///     .compressed(Compressed::bytes(256 << 20))
///     .time_to_live(Duration::from_secs(300))
///     .stale_while_revalidate(Duration::from_secs(60))
///     .fail_safe(FailSafe {
///         max_stale: Duration::from_secs(3600),
///         throttle: Duration::from_secs(5),
///     })
///     .build()
///     .await?;
/// # assert!(pages.health().is_serving());
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub struct CacheBuilder<K, V> {
    name: String,
    memory: Option<(Memory, Weigher<K, V>)>,
    compressed: Option<(Compressed, Box<dyn Codec<V>>)>,
    disk: Option<(Disk, Box<dyn Codec<V>>)>,
    remote: Option<(Remote, Box<dyn Codec<V>>)>,
    object: Option<(Object, Box<dyn Codec<V>>)>,
    schema_version: u32,
    partitioner: Option<Partitioner<K>>,
    listener: Option<Listener<K, V>>,
    clock: Clock,
    runtime: Option<Handle>,
    times: Times,
}

impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// Begins a cache of that name: 1 to 255 bytes, by which metrics and lower tiers know it.
    pub fn builder(name: impl Into<String>) -> CacheBuilder<K, V> {
        CacheBuilder {
            name: name.into(),
            memory: None,
            compressed: None,
            disk: None,
            remote: None,
            object: None,
            schema_version: 0,
            partitioner: None,
            listener: None,
            clock: Clock::default(),
            runtime: None,
            times: Times::default(),
        }
    }
}

/// # Tiers
impl<K: Key, V: Clone + Send + Sync + 'static> CacheBuilder<K, V> {
    /// The memory tier, which every cache has. In bytes, an entry weighs what the tier takes for it and what key and value
    /// hold on the heap, as serde shows it: an estimate without spare capacity, which costs a walk through the value on
    /// every insert. For types that do not serialise there is [`memory_with`](CacheBuilder::memory_with).
    pub fn memory(mut self, memory: Memory) -> CacheBuilder<K, V>
    where
        V: Serialize,
    {
        let weigher = Weigher::estimate(memory.budget);
        self.memory = Some((memory, weigher));
        self
    }

    /// The memory tier, and who says what an entry weighs, in the units of the budget: at least 1. What the weigher says is
    /// taken as it is, so for bytes it should count what the entry itself takes too: the sizes of key and value, what they
    /// hold on the heap, and 64 bytes.
    pub fn memory_with(
        mut self,
        memory: Memory,
        weigher: impl Fn(&K, &V) -> u32 + Send + Sync + 'static,
    ) -> CacheBuilder<K, V> {
        let weigher = Weigher::given(memory.budget, Box::new(weigher));
        self.memory = Some((memory, weigher));
        self
    }

    /// A tier of compressed bytes behind memory, which takes what memory evicts; values are encoded by
    /// [`Postcard`].
    pub fn compressed(self, compressed: Compressed) -> CacheBuilder<K, V>
    where
        V: Serialize + DeserializeOwned,
    {
        self.compressed_with(compressed, Postcard)
    }

    /// The same with a codec of choice.
    pub fn compressed_with(mut self, compressed: Compressed, codec: impl Codec<V>) -> CacheBuilder<K, V> {
        self.compressed = Some((compressed, Box::new(codec)));
        self
    }

    /// A tier on disk, which is there again after a restart: it takes what the tiers in memory have no room for, or everything
    /// ([`Disk::write_through`]); values are encoded by [`Postcard`].
    ///
    /// ```
    /// # use scrubjay::{Cache, Disk, Memory};
    /// # let folder = tempfile::tempdir()?;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let pages: Cache<String, String> = Cache::builder("pages")
    ///     .memory(Memory::bytes(1 << 20))
    ///     .disk(Disk::at(folder.path()).bytes(64 << 20).optional(true))
    ///     .build()
    ///     .await?;
    /// # assert!(pages.health().is_serving());
    /// # pages.close().await;
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn disk(self, disk: Disk) -> CacheBuilder<K, V>
    where
        V: Serialize + DeserializeOwned,
    {
        self.disk_with(disk, Postcard)
    }

    /// The same with a codec of choice; the compressed tier, if there is one, must have the same.
    pub fn disk_with(mut self, disk: Disk, codec: impl Codec<V>) -> CacheBuilder<K, V> {
        self.disk = Some((disk, Box::new(codec)));
        self
    }

    /// A tier that processes share: a Redis-compatible server. What one of them loads, writes or removes concerns all of them; values are
    /// encoded by [`Postcard`]. Caches share entries that have the same name, the same schema version and the same codec, under the
    /// same [prefix](Remote::prefix).
    ///
    /// ```no_run
    /// # use scrubjay::{Cache, Memory, Remote};
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let pages: Cache<String, String> = Cache::builder("pages")
    ///     .memory(Memory::bytes(64 << 20))
    ///     .remote(Remote::url("redis://localhost:6379"))
    ///     .build()
    ///     .await?;
    /// pages.insert("/about".into(), "<h1>about</h1>".into()).await?;
    /// // Every process that had the old page in memory has let it go by now.
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remote(self, remote: Remote) -> CacheBuilder<K, V>
    where
        V: Serialize + DeserializeOwned,
    {
        self.remote_with(remote, Postcard)
    }

    /// The same with a codec of choice: [`Json`](crate::Json) for processes in other languages, [`Raw`](crate::Raw) or
    /// [`Floats`](crate::Floats) for what has a form of its own. The other tiers may have another.
    pub fn remote_with(mut self, remote: Remote, codec: impl Codec<V>) -> CacheBuilder<K, V> {
        self.remote = Some((remote, Box::new(codec)));
        self
    }

    /// The last tier: an object store, or a folder that stands for one. What is loaded or inserted goes there too, behind; it is cheap,
    /// slow, and there again after everything else is gone. Values are encoded by [`Postcard`].
    ///
    /// ```
    /// # use scrubjay::{Cache, Memory, Object};
    /// # let folder = tempfile::tempdir()?;
    /// # let url = format!("file://{}", folder.path().display());
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let pages: Cache<String, String> = Cache::builder("pages")
    ///     .memory(Memory::bytes(64 << 20))
    ///     .object(Object::url(url))
    ///     .build()
    ///     .await?;
    /// # pages.close().await;
    /// # Ok::<(), scrubjay::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn object(self, object: Object) -> CacheBuilder<K, V>
    where
        V: Serialize + DeserializeOwned,
    {
        self.object_with(object, Postcard)
    }

    /// The same with a codec of choice. The other tiers may have another.
    pub fn object_with(mut self, object: Object, codec: impl Codec<V>) -> CacheBuilder<K, V> {
        self.object = Some((object, Box::new(codec)));
        self
    }

    /// The version of the value's type, 0 unless said: bytes of another version are a miss, not a wrong value.
    pub fn schema_version(mut self, version: u32) -> CacheBuilder<K, V> {
        self.schema_version = version;
        self
    }

    /// To which of the [partitions](Memory::partition) a key belongs; `None` is to none of them.
    pub fn partition_by(
        mut self,
        name_of: impl for<'a> Fn(&'a K) -> Option<&'a str> + Send + Sync + 'static,
    ) -> CacheBuilder<K, V> {
        self.partitioner = Some(Box::new(name_of));
        self
    }

    /// Lets the time that a load took weigh in eviction: what took 1, 10 or 100 ms stays longer. An entry may say otherwise.
    pub fn measured_cost(mut self) -> CacheBuilder<K, V> {
        self.times.is_cost_measured = true;
        self
    }

    /// Told of every value that left memory, with the reason, also if it went to a tier below; what leaves
    /// such a tier is not told. It runs in the thread whose call made the value leave, under no lock, so it may use the cache; keep it short.
    /// If it panics, that is counted and goes no further. What a tag or `clear` invalidated is told when it is found.
    pub fn on_departure(mut self, listener: impl Fn(&K, &V, Reason) + Send + Sync + 'static) -> CacheBuilder<K, V> {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Where time comes from: the system, if this is not called.
    pub fn clock(mut self, clock: Clock) -> CacheBuilder<K, V> {
        self.clock = clock;
        self
    }

    /// Where loads and maintenance run: the current runtime, if this is not called. Its timers must be enabled, and its I/O, too,
    /// if there is a remote tier.
    pub fn runtime(mut self, runtime: Handle) -> CacheBuilder<K, V> {
        self.runtime = Some(runtime);
        self
    }

    /// Whether [`runtime`](CacheBuilder::runtime) was called.
    pub(crate) fn has_runtime(&self) -> bool {
        self.runtime.is_some()
    }
}

/// # Times
impl<K: Key, V: Clone + Send + Sync + 'static> CacheBuilder<K, V> {
    /// How long entries are fresh that do not say it themselves. Without it, for ever.
    pub fn time_to_live(mut self, ttl: Duration) -> CacheBuilder<K, V> {
        self.times.time_to_live = Some(ttl);
        self
    }

    /// How long it is remembered that a loader found no value. Without it, not at all.
    pub fn negative_ttl(mut self, ttl: Duration) -> CacheBuilder<K, V> {
        self.times.negative_ttl = Some(ttl);
        self
    }

    /// For how long past its time an entry is still served at once to who has a loader, while one refresh runs behind.
    pub fn stale_while_revalidate(mut self, grace: Duration) -> CacheBuilder<K, V> {
        self.times.stale_while_revalidate = Some(grace);
        self
    }

    /// The part of the time to live, above 0 and below 1, after which a hit starts a refresh behind: an entry that is hot is
    /// never loaded while somebody waits.
    pub fn refresh_ahead(mut self, part: f64) -> CacheBuilder<K, V> {
        self.times.refresh_ahead = Some(part);
        self
    }

    /// By which part of it, 0 to 1, a time to live is shortened at most, at random: what came together need not go together.
    pub fn ttl_jitter(mut self, part: f64) -> CacheBuilder<K, V> {
        self.times.ttl_jitter = Some(part);
        self
    }

    /// What to do when a loader fails or takes too long. Without it, the callers get the error.
    pub fn fail_safe(mut self, fail_safe: FailSafe) -> CacheBuilder<K, V> {
        self.times.fail_safe = Some(fail_safe);
        self
    }

    /// For how long a loader's error is given again to whoever asks, without asking the loader. Without it, not at all.
    pub fn error_backoff(mut self, time: Duration) -> CacheBuilder<K, V> {
        self.times.error_backoff = Some(time);
        self
    }

    /// After how long a load is answered with what [`fail_safe`](CacheBuilder::fail_safe) keeps, if there is something, while
    /// it goes on.
    pub fn soft_timeout(mut self, time: Duration) -> CacheBuilder<K, V> {
        self.times.soft_timeout = Some(time);
        self
    }

    /// After how long a load is given up.
    pub fn hard_timeout(mut self, time: Duration) -> CacheBuilder<K, V> {
        self.times.hard_timeout = Some(time);
        self
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> CacheBuilder<K, V> {
    /// The cache.
    ///
    /// # Errors
    /// `Invalid`: a setting is missing or beyond its limit; the message names the field, the value and the limit. Of a disk tier
    /// also: another cache of this name has the folder, or what lies there is damaged, foreign or of a newer version.
    /// `Unavailable`: the folder of the disk tier cannot be made, read or written, or another process has it. Both only if the
    /// tier is not [optional](Disk::optional).
    pub async fn build(self) -> Result<Cache<K, V>, Error> {
        check_name(&self.name)?;
        let tiers = self.tier_names();
        let (memory, weigher) =
            self.memory.ok_or_else(|| Error::invalid("memory is not set, must be Memory::bytes or Memory::entries"))?;
        memory.validate(self.partitioner.is_some())?;
        if let Some((compressed, _)) = &self.compressed {
            compressed.validate()?;
        }
        if let Some((disk, codec)) = &self.disk {
            disk.validate(&self.name)?;
            check_codecs(&**codec, self.compressed.as_ref().map(|(_, codec)| &**codec))?;
        }
        let settings = self.times.validate()?;
        let runtime = self.runtime.or_else(|| Handle::try_current().ok()).ok_or_else(|| {
            Error::invalid("runtime is not set, must be given to the builder or be there when build is called")
        })?;
        check_timers(&runtime)?;
        let health = HealthBook::new(self.clock.clone(), &tiers);
        let is_watched = tiers.len() > 1 || self.listener.is_some();
        let of = Of { name: &self.name, schema: self.schema_version, clock: &self.clock, runtime: &runtime };
        let disk = match self.disk {
            Some((disk, codec)) => Some(of.on_disk(disk, codec).await?),
            None => None,
        };
        let remote = self.remote.map(|(remote, codec)| of.on_remote(remote, codec)).transpose()?;
        let object = self.object.map(|(object, codec)| of.on_object(object, codec)).transpose()?;
        let epochs = Arc::new(Epochs::new(stripe_count()));
        let compressed = self.compressed.map(|compressed| of.compressing(compressed, disk.as_ref(), &epochs));
        let (counts_bytes, capacity_min) = (matches!(memory.budget, Budget::Bytes(_)), memory.capacity_min());
        let partitions = self.partitioner.map(|name_of| Partitions { with_quotas: memory.partitions.clone(), name_of });
        let watch = (self.clock.clone(), Some(Arc::clone(&epochs)));
        let options = TierOptions { memory, clock: watch.0, epochs: watch.1, is_watched };
        let shared = Shared {
            name: self.name.into_boxed_str(),
            clock: self.clock,
            settings,
            memory: Tier::new(options),
            compressed,
            stamps: stamps_of(disk.as_ref()),
            disk,
            underway: (remote.is_some() || object.is_some()).then(|| Underway::new(&epochs)),
            avoided: Avoided::default(),
            suspects: Suspects::default(),
            remote,
            object,
            leases: Leases::new(Arc::clone(&epochs)),
            epochs,
            counters: Counters::new(),
            tasks: Tasks::new(runtime),
            weigher,
            partitions,
            listener: self.listener,
            health,
            counts_bytes,
            capacity_min,
            jitter: Jitter::new(),
            warming: Warming::default(),
            moves_held: AtomicUsize::new(0),
            rises_held: AtomicUsize::new(0),
        };
        begin(Arc::new(shared))
    }

    /// In the order of the read path.
    fn tier_names(&self) -> Vec<&'static str> {
        let below = [
            ("compressed", self.compressed.is_some()),
            ("disk", self.disk.is_some()),
            ("remote", self.remote.is_some()),
            ("object", self.object.is_some()),
        ];
        let below = below.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name);
        std::iter::once("memory").chain(below).collect()
    }
}

/// What goes on behind a cache begins.
fn begin<K: Key, V: Clone + Send + Sync + 'static>(shared: Arc<Shared<K, V>>) -> Result<Cache<K, V>, Error> {
    if let Some(remote) = &shared.remote {
        shared.stamps.share();
        remote.tier.attach(Hearing::of(&shared));
    }
    super::maintain::start(&shared)?;
    super::tend::start(&shared)?;
    super::warm::start(&shared);
    Ok(Cache { shared })
}

fn check_name(name: &str) -> Result<(), Error> {
    match name.len() {
        1..=NAMESPACE_LEN_MAX => Ok(()),
        len => Err(Error::invalid(format!("name is {len} bytes, must be 1..={NAMESPACE_LEN_MAX}"))),
    }
}

/// Upkeep and timeouts need the runtime's timers. Whether it has any is not to be asked, only to be tried: making a timer
/// where there are none panics (and says so, as panics do).
fn check_timers(runtime: &Handle) -> Result<(), Error> {
    let tried = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let _inside = runtime.enter();
        drop(tokio::time::sleep(Duration::ZERO));
    }));
    tried.map_err(|_| Error::invalid("runtime has its timers off, must be built with enable_time or enable_all"))
}

fn stripe_count() -> usize {
    STRIPES_PER_CORE * std::thread::available_parallelism().map_or(1, usize::from)
}

impl<K, V> fmt::Debug for CacheBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory.as_ref().map(|(memory, _)| memory);
        let compressed = self.compressed.as_ref().map(|(compressed, _)| compressed);
        f.debug_struct("CacheBuilder")
            .field("name", &self.name)
            .field("memory", &memory)
            .field("compressed", &compressed)
            .field("disk", &self.disk.as_ref().map(|(disk, _)| disk))
            .field("remote", &self.remote.as_ref().map(|(remote, _)| remote))
            .field("object", &self.object.as_ref().map(|(object, _)| object))
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}
