//! The disk tier: encoded entries in a folder, which are there again after a restart.
//!
//! [`Disk`] configures it; the engine is the crate `scrubjay-disk`. `folder.rs` opens a folder once for all caches of the
//! process that share it, `attached.rs` is what one of them has of it, `tier.rs` puts entries there, takes them out and finds them, `stamps.rs` makes invalidations by
//! tag and by `clear` outlive the process, `report.rs` how all of that is going. What decides between this tier
//! and the others (epochs, stamps, who goes where) is the cache's, in `cache/`.
//!
//! **Invariants**
//! - A key that the store has is of the version that memory has, if memory has the key: whatever changes a key takes it off the
//!   disk, or puts the new version there, under the key's stripe. So what goes up stays below too, and what memory evicts is
//!   not written again.
//! - No thread of a runtime waits for the device: what cannot be had at once is done on the runtime's blocking threads, so
//!   many at a time, and for so long.
//! - The index is the existence filter: it knows every key, and a miss costs 30 to 100 ns without the device. A Bloom filter
//!   before it would cost a hit 20 ns and save a miss less than that.

mod attached;
mod counters;
mod folder;
mod report;
mod stamps;
#[cfg(test)]
mod tests;
mod tier;
mod wait;

use crate::entry::{Compression, Packing};
use crate::error::Error;
use crate::limits::milliseconds;
use scrubjay_disk::{Device, Io};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use attached::Opened;
pub(crate) use counters::Count;
pub(crate) use folder::is_damage;
pub use scrubjay_disk::Admission;
pub(crate) use tier::{DiskTier, Encoded, Looked, TierSetup};

/// The smallest budget: four of the engine's smallest segments.
const BYTES_MIN: u64 = 256 << 10;
/// The least that may wait to be written.
const QUEUE_BYTES_MIN: u64 = 64 << 10;
/// What the names of a cache's namespaces have beyond its own, and what such a name may have in all.
pub(crate) const NAME_LEN_MAX: usize = 255 - stamps::SUFFIX.len();

/// Where the disk tier lies, how much it may hold, and how it works.
///
/// ```
/// use scrubjay::{Cache, Disk, Memory};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("users");
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let open = || Cache::<u64, String>::builder("users")
///     .memory(Memory::bytes(1 << 20))
///     .disk(Disk::at(&path).bytes(64 << 20))
///     .build();
/// let users = open().await?;
/// users.insert(1, "Ada".into()).await?;
/// users.close().await;
///
/// // The next process.
/// let users = open().await?;
/// assert_eq!(users.get(&1).await, Some("Ada".into()));
/// # users.close().await;
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Disk {
    pub(crate) place: Place,
    pub(crate) bytes: u64,
    pub(crate) packing: Packing,
    pub(crate) time_to_live_max: Option<Duration>,
    pub(crate) is_written_through: bool,
    pub(crate) is_written_at_close: bool,
    pub(crate) is_warmed: bool,
    pub(crate) is_optional: bool,
    pub(crate) removals: Durability,
    pub(crate) io: Io,
    pub(crate) admission: Admission,
    pub(crate) reinsert: f64,
    pub(crate) bandwidth: Option<u64>,
    pub(crate) queue_bytes: u64,
    pub(crate) read_timeout: Duration,
    pub(crate) reads_max: usize,
}

/// Where the files are.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Folder(PathBuf),
    Device(Arc<dyn Device>),
}

/// What a removal has survived when the call that made it returns.
///
/// A value on disk is never wrong in the process that wrote it. The question is what the next one finds, if this one does
/// not end in order. What a load or an eviction wrote is never waited for.
///
/// A device that fails or takes longer than two seconds is not waited for: [`unsettled`](crate::DiskStats::unsettled) counts it, and
/// with `Synced` the call is an error of kind [`Unavailable`](crate::ErrorKind::Unavailable): what it removed is gone in this process,
/// and may be there again in the next one. What is removed while an [optional](Disk::optional) folder is away is remembered and
/// removed when it comes; nobody waits for that.
///
/// ```
/// use scrubjay::{Disk, Durability};
///
/// // Sessions that were ended may not come back, not even after a power failure.
/// let disk = Disk::at("/var/cache/sessions").bytes(1 << 30).removals(Durability::Synced);
/// # let _ = disk;
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Nothing: it is on its way. If the process is killed within about a second, the old value may be there again.
    Buffered,
    /// The end of this process, however sudden. If the power fails, the old value may be there again.
    #[default]
    Written,
    /// A power failure. Costs what the device takes to make things durable, some milliseconds; calls that come together share it.
    Synced,
}

/// # Where and how much
impl Disk {
    /// In the folder `path`, which is made if it is not there. Caches of one process may share a folder, if they ask the same of it;
    /// a second process finds it in use. Say [`bytes`](Disk::bytes) too.
    pub fn at(path: impl Into<PathBuf>) -> Disk {
        Disk::on_place(Place::Folder(path.into()))
    }

    /// On a device of one's own: for tests, with the one that fails as it is told.
    ///
    /// ```
    /// use scrubjay_disk::SimulatedDevice;
    /// use std::sync::Arc;
    ///
    /// let device = SimulatedDevice::new(7);
    /// let disk = scrubjay::Disk::on(Arc::new(device.clone())).bytes(1 << 20);
    /// # let _ = disk;
    /// ```
    pub fn on(device: Arc<dyn Device>) -> Disk {
        Disk::on_place(Place::Device(device))
    }

    fn on_place(place: Place) -> Disk {
        Disk {
            place,
            bytes: 0,
            packing: Packing { compression: Compression::Lz4, len_min: 1024 },
            time_to_live_max: None,
            is_written_through: false,
            is_written_at_close: true,
            is_warmed: true,
            is_optional: false,
            removals: Durability::default(),
            io: Io::default(),
            admission: Admission::default(),
            reinsert: 0.25,
            bandwidth: None,
            queue_bytes: 16 << 20,
            read_timeout: Duration::from_millis(500),
            reads_max: 64,
        }
    }

    /// A budget in bytes, which all files together never exceed: 256 KiB at least. An entry takes a 64th of it at most, but 1 MiB
    /// where a quarter of the budget is more than that.
    pub fn bytes(mut self, bytes: u64) -> Disk {
        self.bytes = bytes;
        self
    }

    /// How long an entry lies on disk at most, whatever its time to live is.
    pub fn time_to_live_max(mut self, time: Duration) -> Disk {
        self.time_to_live_max = Some(time);
        self
    }

    /// Whether the cache goes without this tier if it cannot be opened: [`health`](crate::Cache::health) says so, and it is tried
    /// again, every 1 to 60 seconds. Otherwise, and unless this is called, the cache is not built. What changes while the
    /// folder is away is remembered in memory, and taken out of the folder when it comes: not if the process ends before.
    pub fn optional(mut self, is_optional: bool) -> Disk {
        self.is_optional = is_optional;
        self
    }
}

/// # What is written, and when
impl Disk {
    /// Whether everything that is stored is written at once, and not only when memory has no room for it any more. Costs a write
    /// per insert; a process that is killed leaves more behind.
    pub fn write_through(mut self, is_written_through: bool) -> Disk {
        self.is_written_through = is_written_through;
        self
    }

    /// Whether [`close`](crate::Cache::close) writes down what only memory has, the hottest first. Unless said, it does.
    pub fn write_on_close(mut self, is_written: bool) -> Disk {
        self.is_written_at_close = is_written;
        self
    }

    /// Whether memory is filled from here when the cache is built, behind, the hottest first: see
    /// [`warm_up`](crate::Cache::warm_up). Unless said, it is.
    pub fn warm_restart(mut self, is_warmed: bool) -> Disk {
        self.is_warmed = is_warmed;
        self
    }

    /// What a removal, and an insert over an older value, has survived when its call returns.
    pub fn removals(mut self, durability: Durability) -> Disk {
        self.removals = durability;
        self
    }

    /// Which entries are worth a write once the tier is full. Unless said, all.
    pub fn admission(mut self, admission: Admission) -> Disk {
        self.admission = admission;
        self
    }

    /// How many bytes of hot entries may be written again for each byte written, when their part of the log is reclaimed: 0 to 4,
    /// a quarter unless said. Bounds write amplification to that and one.
    pub fn reinsert(mut self, ratio: f64) -> Disk {
        self.reinsert = ratio;
        self
    }
}

/// # How entries are packed
///
/// With a compressed tier above, what comes down from it is packed as that one packs.
impl Disk {
    /// LZ4: fastest to unpack. The default.
    pub fn lz4(mut self) -> Disk {
        self.packing.compression = Compression::Lz4;
        self
    }

    /// zstd, level 1: smaller, slower.
    pub fn zstd(mut self) -> Disk {
        self.packing.compression = Compression::Zstd;
        self
    }

    /// Serialised only. For values that do not shrink, such as float vectors or images.
    pub fn uncompressed(mut self) -> Disk {
        self.packing.compression = Compression::None;
        self
    }

    /// Payloads shorter than this are not packed. 1 KiB by default: shorter ones hardly shrink.
    pub fn compress_min_bytes(mut self, bytes: usize) -> Disk {
        self.packing.len_min = bytes;
        self
    }
}

/// # The device
impl Disk {
    /// Past the operating system's cache, where the file system can. For folders much larger than memory.
    pub fn direct_io(mut self, is_direct: bool) -> Disk {
        self.io = if is_direct { Io::Direct } else { Io::Buffered };
        self
    }

    /// Bytes per second that are written at most.
    pub fn bandwidth(mut self, bytes_per_second: u64) -> Disk {
        self.bandwidth = Some(bytes_per_second);
        self
    }

    /// Bytes that may wait in memory to be written: 16 MiB unless said. What does not find room is dropped, and counted.
    pub fn queue_bytes(mut self, bytes: u64) -> Disk {
        self.queue_bytes = bytes;
        self
    }

    /// How long a read is waited for before it counts as a miss: half a second unless said. After some of these in a row the
    /// device is left alone for a while.
    pub fn read_timeout(mut self, time: Duration) -> Disk {
        self.read_timeout = time;
        self
    }

    /// Reads that wait for the device at once, each on a blocking thread of the runtime: 64 unless said.
    pub fn reads_max(mut self, reads: usize) -> Disk {
        self.reads_max = reads;
        self
    }

    /// Whether the tier can be made.
    ///
    /// # Errors
    /// Names the field and the limit.
    pub(crate) fn validate(&self, name: &str) -> Result<(), Error> {
        if name.len() > NAME_LEN_MAX {
            let len = name.len();
            return Err(Error::invalid(format!("name is {len} bytes, must be 1..={NAME_LEN_MAX} with a disk tier")));
        }
        if self.bytes < BYTES_MIN {
            return Err(Error::invalid(format!("disk.bytes is {}, must be at least {BYTES_MIN}", self.bytes)));
        }
        if self.queue_bytes < QUEUE_BYTES_MIN {
            let queue_bytes = self.queue_bytes;
            return Err(Error::invalid(format!(
                "disk.queue_bytes is {queue_bytes}, must be at least {QUEUE_BYTES_MIN}"
            )));
        }
        if !(0.0..=4.0).contains(&self.reinsert) {
            return Err(Error::invalid(format!("disk.reinsert is {}, must be 0..=4", self.reinsert)));
        }
        if self.bandwidth == Some(0) {
            return Err(Error::invalid("disk.bandwidth is 0, must be at least 1 byte per second"));
        }
        if self.reads_max == 0 {
            return Err(Error::invalid("disk.reads_max is 0, must be at least 1"));
        }
        milliseconds("disk.read_timeout", self.read_timeout)?;
        self.time_to_live_max.map_or(Ok(0), |time| milliseconds("disk.time_to_live_max", time))?;
        Ok(())
    }
}
