//! The object tier: encoded entries in S3, Google Cloud Storage, Azure Blob Storage or a folder, shared by processes that
//! come and go.
//!
//! [`Object`] configures it. `place.rs` makes a store of a URL, `reach.rs` is the only way to it: every request there has a
//! time limit, a place among so many at once, a breaker and a counter. `pack.rs` is the form of a pack and the names of
//! objects (docs/object-format.md), `index.rs` knows where each key's newest entry lies, `pending.rs` holds what waits to be
//! written. `tier.rs` takes changes, `read.rs` answers lookups; behind them `write.rs` gathers and writes, `news.rs` learns what others
//! wrote, `upkeep.rs` rewrites and deletes. `report.rs` says how all of that is going.
//!
//! **Invariants**
//! - An object is written once under a name of its own and never changed. So there is nothing that two writers could tear,
//!   and nothing in a cache of HTTP that could be old.
//! - Of two versions of a key the one with the higher stamp counts, wherever both lie. A removal is a version.
//! - What is not in the index is a miss that costs no request.

mod counters;
mod hash;
mod index;
mod news;
mod options;
mod pack;
mod pending;
mod place;
mod reach;
mod read;
mod report;
mod suspects;
#[cfg(test)]
mod tests;
mod tier;
mod upkeep;
mod write;

pub use counters::ObjectStats;
pub use options::Object;
pub(crate) use suspects::Suspicion;
pub(crate) use tier::{Encoded, Found, ObjectBorn, ObjectSetup, ObjectTier, Settled};
