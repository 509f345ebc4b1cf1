//! A tiered cache: typed objects in memory, compressed bytes behind them, and one `get_or_load`.

#![allow(dead_code, unused_imports, reason = "the parts arrive one by one; goes away with the last")]

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
