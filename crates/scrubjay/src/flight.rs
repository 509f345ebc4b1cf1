//! Leases: one load per key at a time, and none that stores what an invalidation has overtaken.
//!
//! The bug that this is here for: a load reads the old value, a `remove` comes, the load stores what it read, and the
//! revoked value is back for a whole time to live. So whoever loads holds a **lease**, and a result is stored only by who
//! still holds it.
//!
//! - Keys fall into stripes by their hash, as in [`Epochs`](crate::memory::Epochs). A stripe is a lock around the **flights** of
//!   its keys: loads that are under way, one per key at most. The first who misses leads: it gets the [`Lease`]. Who comes
//!   later joins: everybody has a [`Waiter`], the one who leads too.
//! - `remove` and `insert` lock the stripe, take the key's flight out of it (that revokes the lease), change the tiers, raise
//!   the stripe's epoch, unlock. Those who wait in a revoked flight asked before: they get its result. Who asks later finds
//!   no flight and leads another.
//! - A load that ends locks the stripe and stores only if its own flight is still there. So the two orders are: stored, then
//!   removed; or revoked, and never stored.
//! - `clear` and tags do not look for flights. Every flight carries the cache's sequence at its begin (`born`), and the load
//!   path compares: whoever asks after a stamp does not take what began before it.
//!
//! **Invariant:** a flight that is in the map has exactly one lease, and a lease that is dropped, wherever and however, takes
//! its flight out and tells everyone who waits. So nobody waits for a load that does not run.
//!
//! **Lock order:** stripe, then the tier's shard. The lock inside a flight is a leaf. Nothing of the user's runs under any of
//! them, but `Hash`, `Eq` and `Clone` of keys.
//!
//! A stripe also remembers **troubles**: keys whose loader failed lately and is not to be asked again yet. That memory is
//! bounded and may forget; forgetting costs a call of the loader.

mod landing;
mod leases;
#[cfg(test)]
mod tests;
mod troubles;

pub(crate) use landing::{Begun, Landing, WAITERS_MAX, Waiter};
pub(crate) use leases::{Joined, Lease, Leases, Stripe};
pub(crate) use troubles::Trouble;

use crate::error::Error;
use crate::tags::TagSet;

/// What a load of the cache ends with, for everyone who waits.
pub(crate) struct Answer<V> {
    /// `Ok(None)`: the key has no value.
    pub(crate) result: Result<Option<V>, Error>,
    pub(crate) scope: Scope,
}

/// Which stamps concern an answer: who has asked after one of those must not take it.
pub(crate) enum Scope {
    /// That of a `clear`, and those of these tags.
    Tags(Option<Box<TagSet>>),
    /// Any might.
    Unknown,
}

mod sync {
    pub(super) use parking_lot::{Mutex, MutexGuard};
}
