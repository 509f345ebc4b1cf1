//! A tiered cache: typed objects in memory, compressed bytes behind them, and one `get_or_load`.
//!
//! # Watching a cache
//!
//! - [`Cache::stats`] reads the counters, [`Cache::health`] says how each tier is doing.
//! - [`Cache::record_metrics`] publishes the counters through the `metrics` facade, [`Stats::to_prometheus`] and
//!   [`prometheus_text`] write them as Prometheus' text, under the same names (`scrubjay_hits_total{cache="users",tier="memory"}`).
//! - `tracing`, on the load path alone, never on a hit, and never with keys or values, which may be secret:
//!
//! | | Level | Name or message | Fields |
//! |---|---|---|---|
//! | span | debug | `cache_load`, around each call of a loader; the loader's own spans are inside | `cache`, `keys` (how many) |
//! | event | debug | `loaded`, in that span, for each key | `took_ms`, `is_revoked` (the result was not stored: the key was invalidated meanwhile) |
//! | event | warn | `a load failed`, once per call of the loader, however many wait | `cache`, `keys`, `took_ms`, `error` |
//! | event | warn | `a loaded value is returned and not stored`: the options it came with are out of their limits | `cache`, `error` |

mod blocking;
mod cache;
mod clock;
mod codec;
mod compressed;
mod entry;
mod error;
mod filter;
mod flight;
mod health;
mod key;
mod limits;
mod memory;
mod memory_cache;
mod metrics;
mod options;
mod stats;
mod stored;
mod tags;
mod threads;
mod weigh;

pub use crate::metrics::{PROMETHEUS_CONTENT_TYPE, prometheus_text};
pub use blocking::BlockingCache;
pub use cache::{Cache, CacheBuilder, Keys};
pub use clock::Clock;
pub use codec::{Codec, Floats, Json, Postcard, Raw};
pub use compressed::Compressed;
pub use error::{BoxError, Error, ErrorKind};
pub use filter::{ExistenceFilter, FilterStats};
pub use health::{Health, TierHealth, TierState};
pub use key::Key;
pub use memory::{Memory, Reason};
pub use memory_cache::{MemoryCache, MemoryCacheBuilder};
pub use options::{EntryOptions, FailSafe, Loaded};
pub use stats::{Departures, Drops, LoadTime, Stats, TierStats, Unit};
