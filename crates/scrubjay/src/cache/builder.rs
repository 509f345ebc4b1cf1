//! What a [`Cache`] is made of, validated once.

use super::settings::Settings;
use super::tasks::Tasks;
use super::times::Jitter;
use super::warm::Warming;
use super::write::{Listener, Partitions, Weigher};
use super::{Cache, Compressing, OnDisk, Shared};
use crate::clock::Clock;
use crate::codec::{Codec, Postcard};
use crate::compressed::{Compressed, CompressedTier, TierSetup};
use crate::disk::{self, Disk, DiskTier, Opened};
use crate::entry::{Anchor, NAMESPACE_LEN_MAX};
use crate::error::{Error, ErrorKind};
use crate::flight::Leases;
use crate::health::HealthBook;
use crate::kept::Keeping;
use crate::key::Key;
use crate::limits::{Partitioner, milliseconds};
use crate::memory::{Budget, Epochs, Memory, Reason, Tier, TierOptions};
use crate::options::FailSafe;
use crate::stats::Counters;
use crate::tags::Stamps;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;
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
    schema_version: u32,
    partitioner: Option<Partitioner<K>>,
    listener: Option<Listener<K, V>>,
    clock: Clock,
    runtime: Option<Handle>,
    times: Times,
}

/// The times as they were given.
#[derive(Debug, Default)]
struct Times {
    time_to_live: Option<Duration>,
    negative_ttl: Option<Duration>,
    stale_while_revalidate: Option<Duration>,
    refresh_ahead: Option<f64>,
    ttl_jitter: Option<f64>,
    fail_safe: Option<FailSafe>,
    error_backoff: Option<Duration>,
    soft_timeout: Option<Duration>,
    hard_timeout: Option<Duration>,
    is_cost_measured: bool,
}

impl<K: Key, V: Clone + Send + Sync + 'static> Cache<K, V> {
    /// Begins a cache of that name: 1 to 255 bytes, by which metrics and lower tiers know it.
    pub fn builder(name: impl Into<String>) -> CacheBuilder<K, V> {
        CacheBuilder {
            name: name.into(),
            memory: None,
            compressed: None,
            disk: None,
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

    /// Where loads and maintenance run: the current runtime, if this is not called. Its timers must be enabled.
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
        let below = [("compressed", self.compressed.is_some()), ("disk", self.disk.is_some())];
        let below = below.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name);
        let tiers: Vec<&'static str> = std::iter::once("memory").chain(below).collect();
        let health = HealthBook::new(self.clock.clone(), &tiers);
        let is_watched = tiers.len() > 1 || self.listener.is_some();
        let disk = match self.disk {
            Some((disk, codec)) => {
                let setup = disk_setup(&self.name, self.schema_version, codec.id(), &self.clock, &runtime);
                Some(OnDisk { tier: Arc::new(open_disk(disk, setup).await?), codec })
            }
            None => None,
        };
        let epochs = Arc::new(Epochs::new(stripe_count()));
        let kept = (self.name.as_str(), self.schema_version, self.clock.clone());
        let compressed = self.compressed.map(|compressed| compressing(compressed, kept, disk.as_ref(), &epochs));
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
        let shared = Arc::new(shared);
        super::maintain::start(&shared)?;
        super::tend::start(&shared)?;
        super::warm::start(&shared);
        Ok(Cache { shared })
    }
}

impl Times {
    fn validate(&self) -> Result<Settings, Error> {
        let ms = |field, time: Option<Duration>| time.map_or(Ok(0), |time| milliseconds(field, time));
        ms("error_backoff", self.error_backoff)?;
        ms("hard_timeout", self.hard_timeout)?;
        ms("soft_timeout", self.soft_timeout)?;
        ms("fail_safe.max_stale", self.fail_safe.map(|fail_safe| fail_safe.max_stale))?;
        if let Some(soft) = self.soft_timeout {
            if self.fail_safe.is_none() {
                return Err(Error::invalid(format!("soft_timeout is {soft:?}, must not be set without fail_safe")));
            }
            if let Some(hard) = self.hard_timeout
                && soft >= hard
            {
                return Err(Error::invalid(format!("soft_timeout is {soft:?}, must be below hard_timeout, {hard:?}")));
            }
        }
        let refresh_ahead = self.refresh_ahead.unwrap_or(0.0);
        if self.refresh_ahead.is_some() && !(refresh_ahead > 0.0 && refresh_ahead < 1.0) {
            return Err(Error::invalid(format!("refresh_ahead is {refresh_ahead}, must be above 0 and below 1")));
        }
        let ttl_jitter = self.ttl_jitter.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&ttl_jitter) {
            return Err(Error::invalid(format!("ttl_jitter is {ttl_jitter}, must be 0..=1")));
        }
        Ok(Settings {
            time_to_live_ms: ms("time_to_live", self.time_to_live)?,
            negative_ttl_ms: ms("negative_ttl", self.negative_ttl)?,
            stale_while_revalidate_ms: ms("stale_while_revalidate", self.stale_while_revalidate)?,
            refresh_ahead,
            ttl_jitter,
            fail_safe: self.fail_safe,
            error_backoff: self.error_backoff,
            soft_timeout: self.soft_timeout,
            hard_timeout: self.hard_timeout,
            is_cost_measured: self.is_cost_measured,
        })
    }
}

/// The compressed tier of a cache of that name, schema version and clock.
fn compressing<V: 'static>(
    (config, codec): (Compressed, Box<dyn Codec<V>>),
    (name, schema, clock): (&str, u32, Clock),
    disk: Option<&OnDisk<V>>,
    epochs: &Arc<Epochs>,
) -> Compressing<V> {
    // With a disk below, entries are written as they will lie there.
    let anchor = disk.map_or(Anchor::PROCESS, |disk| disk.tier.anchor());
    let keeping = Keeping { namespace: name.into(), schema, codec: codec.id(), packing: config.packing, anchor };
    let setup = TierSetup { keeping, clock, epochs: Arc::clone(epochs) };
    Compressing { tier: CompressedTier::new(&config, setup), codec }
}

/// What the compressed tier evicts lies on disk as it is.
fn check_codecs<V: 'static>(disk: &dyn Codec<V>, compressed: Option<&dyn Codec<V>>) -> Result<(), Error> {
    match compressed {
        Some(compressed) if compressed.id() != disk.id() => Err(Error::invalid(format!(
            "codec of the disk tier is number {}, must be that of the compressed tier, {}",
            disk.id(),
            compressed.id()
        ))),
        _ => Ok(()),
    }
}

fn disk_setup(name: &str, schema: u32, codec: u8, clock: &Clock, runtime: &Handle) -> disk::TierSetup {
    disk::TierSetup { name: name.into(), schema, codec, clock: clock.clone(), runtime: runtime.clone() }
}

/// Opens the folder, where that may block. A tier that is optional goes without it for now.
async fn open_disk(disk: Disk, setup: disk::TierSetup) -> Result<DiskTier, Error> {
    let runtime = setup.runtime.clone();
    let opening = runtime.spawn_blocking(move || {
        let opened = Opened::folder(&disk, &setup.name, &setup.clock);
        DiskTier::new(disk, setup, opened)
    });
    let gone = |_| Error::new(ErrorKind::Unavailable, "the runtime of the cache has shut down");
    opening.await.map_err(gone)?
}

/// With a disk tier, stamps are those of the processes before, and are written down.
fn stamps_of<V>(disk: Option<&OnDisk<V>>) -> Stamps {
    let Some(disk) = disk else { return Stamps::new() };
    let tier = Arc::clone(&disk.tier);
    let stamps = Stamps::written_down(Box::new(move |mark, to| tier.write_down(mark, to)));
    stamps.load(&disk.tier.stamped());
    stamps
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
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}
