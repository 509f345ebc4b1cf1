//! A tiered cache: typed objects in memory, compressed bytes behind them, a folder on disk that survives restarts, a server that
//! processes share, an object store, and one `get_or_load`.
//!
//! ```
//! use scrubjay::{Cache, Compressed, Memory};
//! use std::time::Duration;
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
//! # struct User { name: String }
//! # #[derive(Clone)]
//! # struct Database;
//! # impl Database {
//! #     async fn fetch(&self, id: u64) -> Result<User, std::io::Error> { Ok(User { name: format!("user {id}") }) }
//! # }
//! # let db = Database;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let users: Cache<u64, User> = Cache::builder("users")
//!     .memory(Memory::bytes(64 << 20))
//!     .compressed(Compressed::bytes(256 << 20))
//!     .time_to_live(Duration::from_secs(300))
//!     .stale_while_revalidate(Duration::from_secs(60))
//!     .build()
//!     .await?;
//!
//! // However many ask for user 42 at once, the database is asked once.
//! let user = users.get_or_load(&42, async move |id| db.fetch(id).await).await?;
//! # assert_eq!(users.get(&42).await, Some(user));
//! # Ok::<(), scrubjay::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | type | for |
//! |---|---|
//! | [`Cache`] | programs on tokio: every tier, loading, tags |
//! | [`BlockingCache`] | the same without a runtime, beside it or instead of it |
//! | [`MemoryCache`] | the memory tier alone, synchronous, for any type |
//! | [`VectorStore`] | embeddings by namespace and key, on disk |
//! | [`ExistenceFilter`] | "certainly not here" before whatever is slow to ask |
//! | [`Migration`] | two caches as one, while their shared store is changed for another |
//!
//! # The way of a lookup
//!
//! ```text
//!  get_or_load(key, loader)
//!        |
//!        v
//!   memory        typed values, no decoding: a fresh hit ends here
//!        |        past its time: served, and refreshed behind
//!        v
//!   flight        one load per key: the others wait and share
//!        |
//!        v
//!   compressed    encoded values, LZ4 or zstd: a hit goes up into memory,
//!        |        what memory evicts comes down
//!        v
//!   disk          a folder: a hit goes up and stays, what the tiers above
//!        |        have no room for comes down, and all is there again
//!        |        after a restart
//!        v
//!   remote        a server that processes share: a hit goes up, a load
//!        |        holds a lease there, so that one process loads for all
//!        v
//!   object        S3, GCS, Azure or a folder: asked under the lease
//!        |
//!        v
//!   loader        the source of truth: fills remote and memory, unless the
//!                 key was removed, written or cleared since it began
//! ```
//!
//! # What is promised
//!
//! - **Never wrong data.** What a read returns was stored for that very key, is intact, and is not expired. It may be gone at
//!   any time: the cache makes room as it sees fit.
//! - **An invalidation wins** against every load that began before it: by [`remove`](Cache::remove), [`insert`](Cache::insert),
//!   [tag](Cache::remove_by_tag), [prefix](Cache::remove_by_prefix) or [`clear`](Cache::clear). The load's result goes to who
//!   asked before, and is not stored. On disk it wins over a restart, too, [as far as you ask](Durability).
//! - **With a [remote tier](CacheBuilder::remote) it wins in every process.** Loads hold a lease there; a removal, an insert, a tag or a `clear`
//!   anywhere ends it. What another process changed leaves memory here within milliseconds while the server is heard, and
//!   within heartbeat, [command timeout](Remote::command_timeout) and the time of [`OnDisconnect`] when it is not. A process reads what it wrote itself. A removal that
//!   has not reached the server is an error unless [`Removals::Deferred`] is said; it is made up for later in any case.
//! - **A device or server that fails fails no read.** What cannot be read in time is a miss, [`health`](Cache::health) says so, and no thread of
//!   a runtime waits for a device.
//! - **Nobody hangs.** A caller that is cancelled takes nothing from the others, a loader that panics is an error for those who
//!   wait, a runtime that shuts down is one, too.
//! - **Memory is bounded**, in bytes if you like, and nothing is dropped in silence: every [departure](Departures) and every
//!   [drop](Drops) has a counter.
//! - **Times hold in every tier.** What is past its time is neither returned nor moved up, but where you said that it may be:
//!   [stale while revalidating](CacheBuilder::stale_while_revalidate), [fail-safe](CacheBuilder::fail_safe).
//!
//! # When the source is slow, or gone
//!
//! | setting of the [builder](CacheBuilder) | effect |
//! |---|---|
//! | [`stale_while_revalidate`](CacheBuilder::stale_while_revalidate) | past its time, a value is served at once; one load runs behind |
//! | [`refresh_ahead`](CacheBuilder::refresh_ahead) | a hit late in a value's time starts that load: a hot key is never waited for |
//! | [`ttl_jitter`](CacheBuilder::ttl_jitter) | what came together does not expire together |
//! | [`negative_ttl`](CacheBuilder::negative_ttl) | that there is no value is remembered |
//! | [`fail_safe`](CacheBuilder::fail_safe) | the loader fails: the old value is served, and the source left alone for a while |
//! | [`soft_timeout`](CacheBuilder::soft_timeout) | the loader is slow: the old value is served, and the load goes on |
//! | [`hard_timeout`](CacheBuilder::hard_timeout) | the load is given up |
//! | [`error_backoff`](CacheBuilder::error_backoff) | an error is given again without a load |
//!
//! # What it costs
//!
//! On one core of a small cloud machine, in round figures; `cargo xtask bench memory` measures yours, peers beside it.
//!
//! | what | cost |
//! |---|---|
//! | a hit, 1,000 keys | 20 to 30 ns, through [`get`](Cache::get) and [`get_or_load`](Cache::get_or_load) alike |
//! | a hit among 100,000 keys by Zipf's law | 40 ns, most of it waiting for memory |
//! | a lock, an allocation, a write that another thread reads, on a hit | none |
//! | a reading of the clock, on a hit | none without times, 30 ns with them |
//! | a load | a task of the runtime, and an entry in a table while it runs |
//! | [`remove_by_tag`](Cache::remove_by_tag), [`clear`](Cache::clear) | the same whatever the number of entries; memory comes back later |
//! | [`remove_by_prefix`](Cache::remove_by_prefix), [`keys`](Cache::keys) | a walk through all entries |
//! | a hit on disk, in the system's page cache | some microseconds, and no other thread |
//! | a hit on the device | a blocking thread of the runtime, for as long as the device takes |
//! | a miss on disk | 0.1 us: the index knows every key |
//! | a [`remove`](Cache::remove) of what lies on disk | a write to the system before it returns, unless [`Disk::removals`] says otherwise |
//! | an entry of [`Memory::bytes`] | a walk through the value by serde, once, to estimate its bytes |
//!
//! A hit clones the value: hold large ones in an `Arc`. A hit in memory costs the same with a remote tier as without; a miss costs a
//! round trip, a load two or three. The cargo features `tls`, `s3`, `gcs` and `azure` are on by default; without them the servers and
//! clouds that need them cannot be named.
//!
//! # Examples
//!
//! `cargo run --release --example tour` shows every feature at work, with counts; `web` is a service that survives its
//! database, `batch` a job with progress.
//!
//! # Watching a cache
//!
//! - [`Cache::stats`] reads the counters, [`Cache::health`] says how each tier is doing.
//! - [`Cache::record_metrics`] publishes the counters through the `metrics` facade, [`Stats::to_prometheus`] and
//!   [`prometheus_text`] write them as Prometheus' text, under the same names (`scrubjay_hits_total{cache="users",tier="memory"}`).
//! - `tracing`, on the load path alone, never on a hit, and above trace level without keys or values, which may be secret:
//!
//! | | Level | Name or message | Fields |
//! |---|---|---|---|
//! | span | debug | `cache_load`, around each call of a loader; the loader's own spans are inside | `cache`, `keys` (how many) |
//! | event | debug | `a load ended`, in that span, once per call of the loader | `cache`, `keys`, `outcome` (`loaded`), `stored`, `revoked` (not stored: invalidated meanwhile), `took_ms` |
//! | event | warn | `a load ended`, however many wait | `cache`, `keys`, `outcome` (`failed`, `panicked`, `timed out`, `invalid`, `aborted`), `took_ms`, `error`, which says what the loader's error says |
//! | event | warn | `a loaded value is not stored`: its weight or an option is out of its limits | `cache`; at trace level once more, with the `error`, which names the key |

mod blocking;
mod breaker;
mod cache;
mod clock;
mod codec;
mod compressed;
pub mod coordination;
mod disk;
mod entry;
mod error;
mod filter;
mod flight;
mod health;
mod kept;
mod key;
mod limits;
mod memory;
mod memory_cache;
mod metrics;
mod migration;
mod object;
mod options;
#[allow(dead_code, reason = "what uses all of it lands next")]
mod remote;
mod stats;
mod stored;
mod tags;
mod threads;
mod timer;
mod vectors;
mod weigh;

pub use crate::metrics::{PROMETHEUS_CONTENT_TYPE, prometheus_text};
pub use blocking::BlockingCache;
pub use cache::{Cache, CacheBuilder, Keys, WarmUp, WarmUpState};
pub use clock::Clock;
pub use codec::{Codec, Floats, Json, Postcard, Raw};
pub use compressed::Compressed;
pub use disk::{Admission, Disk, Durability};
pub use error::{BoxError, Error, ErrorKind};
pub use filter::{ExistenceFilter, FilterStats};
pub use health::{Health, TierHealth, TierState};
pub use key::Key;
pub use memory::{Memory, Reason};
pub use memory_cache::{MemoryCache, MemoryCacheBuilder};
pub use migration::{Migration, MigrationHealth, MigrationStats, Phase};
pub use object::{Object, ObjectStats};
pub use options::{EntryOptions, FailSafe, Loaded};
pub use remote::{Coherence, OnDisconnect, Remote, RemoteStats, Removals};
pub use stats::{Departures, DiskStats, Drops, LoadTime, Stats, TierStats, Unit};
pub use vectors::{NewVector, Vector, VectorNamespace, VectorOptions, VectorStats, VectorStore, Vectors};

/// The programs in README.md compile and run: they are tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
