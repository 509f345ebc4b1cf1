//! [`Object`]: where the object tier lies, and what it may cost.

use super::place::{Place, Secrets};
use crate::entry::{Compression, Packing};
use crate::error::Error;
use crate::limits::milliseconds;
use crate::remote::Removals;
use object_store::ObjectStore;
use std::sync::Arc;
use std::time::Duration;

/// The smallest and the largest pack that can be asked for.
const PACK_BYTES_MIN: u64 = 64 << 10;
const PACK_BYTES_MAX: u64 = 256 << 20;
/// The least that may wait to be written, beside one pack.
const INDEX_BYTES_MIN: u64 = 64 << 10;
/// The largest value that an entry may hold.
const VALUE_BYTES_MAX: u64 = crate::entry::ORIGINAL_LEN_MAX as u64;
const REQUESTS_MAX: usize = 4096;

/// The tier in an object store: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage, or a folder.
///
/// It is the cheapest place for what takes long to compute and is read by many processes, now and next month. A read
/// takes what the store takes, 20 to 100 ms in a cloud; a miss costs nothing, since each process knows what is there.
///
/// ```
/// use scrubjay::Object;
/// use std::time::Duration;
///
/// // Credentials, region and endpoint come from the environment (AWS_ACCESS_KEY_ID ...), unless they are said.
/// let object = Object::url("s3://my-bucket/embeddings").time_to_live_max(Duration::from_secs(90 * 86_400));
/// # let _ = object;
/// ```
///
/// # What it costs
///
/// Stores ask for money per request. An object for each small entry would cost more than it saves, so entries below
/// [`large_bytes`](Object::large_bytes) are gathered into packs of [`pack_bytes`](Object::pack_bytes), and read by range. For a million
/// entries of 6 KB, at prices that are an example (S3 Standard: 0.005 $ per 1,000 PUT or LIST, 0.0004 $ per 1,000 GET, 0.023 $ per
/// GB and month):
///
/// | | an object each | packs of 8 MiB |
/// |---|---|---|
/// | write a million | 5.00 $ (1,000,000 PUT) | 0.0036 $ (716 PUT) |
/// | keep them, per month | 0.14 $ | 0.14 $ |
/// | read a million | 0.40 $ | 0.40 $ |
/// | a process starts | nothing | 0.0003 $ (1 LIST, 716 GET) |
/// | a million misses | 0.40 $ | nothing |
/// | look for news every minute, per process and month | nothing | 0.22 $ |
///
/// docs/object-format.md has the formulas. What is not full is written all the same after the [`flush_interval`](Object::flush_interval): a process
/// that writes little and often pays up to 0.43 $ a month for that. A confirmed removal is a PUT, shared by those that come with it.
///
/// # What is promised
///
/// - Never wrong data: an entry is checked against its key, cache, schema version and checksum, and its times.
/// - In a process, reads see its own writes and removals at once.
/// - Another process' writes and removals are seen after [`refresh_interval`](Object::refresh_interval) at the latest, or at once where a
///   [remote tier](crate::Remote) tells of them. If the store could not be listed for ten of these intervals, it is not read until it can.
/// - A process that is killed loses what it had not written yet, [`flush_interval`](Object::flush_interval) of it at most: of a key that was
///   written over in that time the next process may find the older value. What was removed stays removed, see
///   [`removals`](Object::removals).
/// - Without a remote tier there are no leases: a load that began before a removal in *another* process does not store over it, as
///   far as the clocks of both agree.
#[derive(Clone, Debug)]
#[must_use]
pub struct Object {
    pub(crate) place: Place,
    pub(crate) secrets: Secrets,
    pub(crate) packing: Packing,
    pub(crate) time_to_live_max: Option<Duration>,
    pub(crate) value_bytes_max: u64,
    pub(crate) large_bytes: u64,
    pub(crate) pack_bytes: u64,
    pub(crate) queue_bytes: u64,
    pub(crate) index_bytes: u64,
    pub(crate) flush_interval: Duration,
    pub(crate) refresh_interval: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) write_timeout: Duration,
    pub(crate) requests_max: usize,
    pub(crate) removals: Removals,
    pub(crate) is_tended: bool,
}

/// # Where
impl Object {
    /// At a URL: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, or `file:///folder`. Caches may share it:
    /// each has a folder of its own name and schema version below. The clouds are the features `s3`, `gcs` and `azure` of this crate,
    /// on unless you turn them off. A URL that cannot be used is an error of the cache's `build`.
    pub fn url(url: impl Into<String>) -> Object {
        Object::at(Place::Url(url.into()))
    }

    /// In a store that the caller has made, below `prefix`.
    ///
    /// ```
    /// use object_store::memory::InMemory;
    /// use std::sync::Arc;
    ///
    /// let object = scrubjay::Object::on(Arc::new(InMemory::new()), "tests");
    /// # let _ = object;
    /// ```
    pub fn on(store: Arc<dyn ObjectStore>, prefix: impl Into<String>) -> Object {
        Object::at(Place::Store(store, prefix.into()))
    }

    fn at(place: Place) -> Object {
        Object {
            place,
            secrets: Secrets::default(),
            packing: Packing { compression: Compression::Lz4, len_min: 1024 },
            time_to_live_max: None,
            value_bytes_max: 8 << 20,
            large_bytes: 256 << 10,
            pack_bytes: 8 << 20,
            queue_bytes: 64 << 20,
            index_bytes: 128 << 20,
            flush_interval: Duration::from_secs(30),
            refresh_interval: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(2),
            write_timeout: Duration::from_secs(30),
            requests_max: 64,
            removals: Removals::default(),
            is_tended: true,
        }
    }

    /// Where the service answers, for stores that speak S3's protocol, emulators and private endpoints.
    pub fn endpoint(self, url: impl Into<String>) -> Object {
        self.option("endpoint", url)
    }

    /// The region of an S3 bucket.
    pub fn region(self, region: impl Into<String>) -> Object {
        self.option("region", region)
    }

    /// S3: access key id and secret access key. Azure: account name and access key. Otherwise those of the environment, of the
    /// instance or of the pod are used, as each cloud has it. For Google Cloud see [`option`](Object::option),
    /// `service_account_path`.
    pub fn credentials(mut self, id: impl Into<String>, secret: impl Into<String>) -> Object {
        self.secrets.credentials = Some((id.into(), secret.into()));
        self
    }

    /// Any other setting by the name that the crate `object_store` has for it, such as `aws_session_token`,
    /// `virtual_hosted_style_request` or `service_account_path`. It comes before what the environment says.
    pub fn option(mut self, name: impl Into<String>, value: impl Into<String>) -> Object {
        self.secrets.options.push((name.into(), value.into()));
        self
    }

    /// Whether the store may be spoken to without TLS. Unless said, it may not.
    pub fn allow_http(mut self, is_allowed: bool) -> Object {
        self.secrets.is_http_allowed = is_allowed;
        self
    }
}

/// # What is kept, and for how long
impl Object {
    /// How long an entry lies here at most, whatever its time to live is. Give the bucket a lifecycle rule that deletes below the
    /// prefix what is a few days older than that: it takes care of what no process is left to delete.
    pub fn time_to_live_max(mut self, time: Duration) -> Object {
        self.time_to_live_max = Some(time);
        self
    }

    /// Entries longer than this, packed, are not written: 8 MiB unless said, 64 MiB at most.
    pub fn value_bytes_max(mut self, bytes: u64) -> Object {
        self.value_bytes_max = bytes;
        self
    }

    /// Entries of this many bytes or more become objects of their own: 256 KiB unless said.
    pub fn large_bytes(mut self, bytes: u64) -> Object {
        self.large_bytes = bytes;
        self
    }

    /// What [`remove`](crate::Cache::remove) and the like wait for. Confirmed, unless said: they return when the store has it, which
    /// takes a small write that calls at the same time share. Deferred: at once, and a process that is killed within the
    /// [`flush_interval`](Object::flush_interval) leaves the old value to the next one.
    pub fn removals(mut self, removals: Removals) -> Object {
        self.removals = removals;
        self
    }
}

/// # Packs and the index
impl Object {
    /// How large a pack gets: 8 MiB unless said, 64 KiB to 256 MiB.
    pub fn pack_bytes(mut self, bytes: u64) -> Object {
        self.pack_bytes = bytes;
        self
    }

    /// How long an entry waits for a pack to fill up: 30 seconds unless said. What a killed process loses.
    pub fn flush_interval(mut self, time: Duration) -> Object {
        self.flush_interval = time;
        self
    }

    /// How often this process asks what others have written: every minute unless said. Costs a LIST per thousand packs.
    pub fn refresh_interval(mut self, time: Duration) -> Object {
        self.refresh_interval = time;
        self
    }

    /// Bytes of memory that may wait to be written: 64 MiB unless said. What does not find room is dropped, and counted.
    pub fn queue_bytes(mut self, bytes: u64) -> Object {
        self.queue_bytes = bytes;
        self
    }

    /// Bytes of memory for knowing where each entry lies, about 30 each: 128 MiB unless said. Beyond, the oldest entries are misses
    /// for this process, and counted.
    pub fn index_bytes(mut self, bytes: u64) -> Object {
        self.index_bytes = bytes;
        self
    }

    /// Whether this process takes part in rewriting packs that are mostly dead and in deleting what is. One process does that at
    /// a time. Unless said, it does.
    pub fn tend(mut self, is_tended: bool) -> Object {
        self.is_tended = is_tended;
        self
    }
}

/// # How entries are packed
impl Object {
    /// LZ4: fastest to unpack. The default.
    pub fn lz4(mut self) -> Object {
        self.packing.compression = Compression::Lz4;
        self
    }

    /// zstd, level 1: smaller, slower.
    pub fn zstd(mut self) -> Object {
        self.packing.compression = Compression::Zstd;
        self
    }

    /// Serialised only. For values that do not shrink, such as float vectors or images.
    pub fn uncompressed(mut self) -> Object {
        self.packing.compression = Compression::None;
        self
    }

    /// Payloads shorter than this are not packed. 1 KiB by default: shorter ones hardly shrink.
    pub fn compress_min_bytes(mut self, bytes: usize) -> Object {
        self.packing.len_min = bytes;
        self
    }
}

/// # The store
impl Object {
    /// How long a connection may take: 5 seconds unless said.
    pub fn connect_timeout(mut self, time: Duration) -> Object {
        self.connect_timeout = time;
        self
    }

    /// How long a read is waited for before it counts as a miss: 2 seconds unless said, retries in it. After some of these in a
    /// row the store is left alone for a while.
    pub fn read_timeout(mut self, time: Duration) -> Object {
        self.read_timeout = time;
        self
    }

    /// How long a write may take, and how long a removal waits: 30 seconds unless said.
    pub fn write_timeout(mut self, time: Duration) -> Object {
        self.write_timeout = time;
        self
    }

    /// Requests under way at once: 64 unless said. A read that finds no place in its time is a miss.
    pub fn requests_max(mut self, requests: usize) -> Object {
        self.requests_max = requests;
        self
    }

    /// Whether the tier can be made. The URL is looked at when the store is made.
    ///
    /// # Errors
    /// `Invalid`: names the field and the limit.
    pub(crate) fn validate(&self, name: &str) -> Result<(), Error> {
        if name.is_empty() || name.len() > crate::entry::NAMESPACE_LEN_MAX {
            let len = name.len();
            return Err(Error::invalid(format!("name is {len} bytes, must be 1..=255 with an object tier")));
        }
        let sizes = [
            ("pack_bytes", self.pack_bytes, PACK_BYTES_MIN, PACK_BYTES_MAX),
            ("value_bytes_max", self.value_bytes_max, 1, VALUE_BYTES_MAX),
            ("large_bytes", self.large_bytes, 1, VALUE_BYTES_MAX),
            ("queue_bytes", self.queue_bytes, self.pack_bytes.max(self.value_bytes_max), u64::MAX),
            ("index_bytes", self.index_bytes, INDEX_BYTES_MIN, u64::MAX),
        ];
        for (field, value, min, max) in sizes {
            if !(min..=max).contains(&value) {
                let limit = if max == u64::MAX { format!("at least {min}") } else { format!("{min}..={max}") };
                return Err(Error::invalid(format!("object.{field} is {value}, must be {limit}")));
            }
        }
        if !(1..=REQUESTS_MAX).contains(&self.requests_max) {
            let requests = self.requests_max;
            return Err(Error::invalid(format!("object.requests_max is {requests}, must be 1..={REQUESTS_MAX}")));
        }
        let times = [
            ("flush_interval", self.flush_interval),
            ("refresh_interval", self.refresh_interval),
            ("connect_timeout", self.connect_timeout),
            ("read_timeout", self.read_timeout),
            ("write_timeout", self.write_timeout),
        ];
        for (field, time) in times {
            milliseconds(&format!("object.{field}"), time)?;
        }
        self.time_to_live_max.map_or(Ok(0), |time| milliseconds("object.time_to_live_max", time))?;
        Ok(())
    }
}
