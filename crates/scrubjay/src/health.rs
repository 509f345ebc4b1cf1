//! How each tier of a cache is doing, in words that an operator and a readiness probe understand.
//!
//! A tier that fails never fails a read, so nobody would notice: this is where it shows. Memory and the compressed tier
//! are part of the process and serve until the cache is closed, unless the runtime that does their upkeep goes away first;
//! the disk tier, the remote and the object tier are asked whenever somebody reads the book.
//! Invariant: a tier changes its state under the book's lock, and `since` is the time of the last change, not of the last
//! report of the same.

use crate::clock::Clock;
use parking_lot::Mutex;
use serde::Serialize;
use std::time::Duration;

/// What a tier can do for its callers now.
///
/// ```
/// # use scrubjay::{Cache, Memory, TierState};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let users: Cache<u64, u64> =
///     Cache::builder("users").memory(Memory::bytes(1 << 20)).build().await?;
/// assert_eq!(users.health().tiers[0].state, TierState::Serving);
/// users.close().await;
/// assert_eq!(users.health().tiers[0].state, TierState::Closed);
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TierState {
    /// Everything that it is for.
    Serving,
    /// Some of it: the message says what it does not do.
    Degraded,
    /// Nothing, for now: reads pass it by, and it is tried again.
    Unavailable,
    /// Nothing any more: the cache was closed.
    Closed,
}

/// One tier's part of [`Health`].
///
/// ```
/// # use scrubjay::{Cache, Compressed, Memory};
/// # let builder = Cache::<u64, u64>::builder("users").memory(Memory::bytes(1 << 20));
/// # let users = builder.compressed(Compressed::bytes(1 << 20)).build_blocking()?;
/// let health = users.health();
/// let compressed = health.tier("compressed").unwrap();
/// let why = compressed.message.as_deref().unwrap_or("all is well");
/// println!("{:?} for {:?}: {why}", compressed.state, compressed.since);
/// # assert!(compressed.message.is_none());
/// # Ok::<(), scrubjay::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TierHealth {
    /// `memory`, `compressed`, `disk`, `remote`, `object`: the names that the metrics have.
    pub name: &'static str,
    /// What it can do.
    pub state: TierState,
    /// For how long that has been so.
    pub since: Duration,
    /// Why, if there is more to say.
    pub message: Option<String>,
}

/// How a cache is doing, tier by tier in the order of the read path.
///
/// ```
/// # use scrubjay::{Cache, Memory};
/// # let users = Cache::<u64, u64>::builder("users").memory(Memory::bytes(1 << 20)).build_blocking()?;
/// // What a readiness probe asks.
/// let health = users.health();
/// let status = if health.is_serving() { 200 } else { 503 };
/// for tier in &health.tiers {
///     println!("{}: {:?} for {:?}, {:?}", tier.name, tier.state, tier.since, tier.message);
/// }
/// # assert_eq!(status, 200);
/// # Ok::<(), scrubjay::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Every tier that the cache has.
    pub tiers: Vec<TierHealth>,
}

impl Health {
    /// Whether every tier does everything that it is for.
    pub fn is_serving(&self) -> bool {
        self.tiers.iter().all(|tier| tier.state == TierState::Serving)
    }

    /// The tier of that name, if the cache has it.
    pub fn tier(&self, name: &str) -> Option<&TierHealth> {
        self.tiers.iter().find(|tier| tier.name == name)
    }
}

/// Where the tiers of one cache write down how they are.
#[derive(Debug)]
pub(crate) struct HealthBook {
    clock: Clock,
    tiers: Mutex<Vec<Record>>,
}

#[derive(Debug)]
struct Record {
    name: &'static str,
    state: TierState,
    since_ms: u64,
    message: Option<String>,
}

impl HealthBook {
    /// All of them serve from now on.
    pub(crate) fn new(clock: Clock, names: &[&'static str]) -> HealthBook {
        let since_ms = clock.now_ms();
        let serving = |name: &&'static str| Record { name, state: TierState::Serving, since_ms, message: None };
        HealthBook { tiers: Mutex::new(names.iter().map(serving).collect()), clock }
    }

    /// The tier of that name reports. A closed tier stays closed.
    pub(crate) fn report(&self, name: &str, state: TierState, message: Option<String>) {
        let now_ms = self.clock.now_ms();
        let mut tiers = self.tiers.lock();
        if let Some(tier) = tiers.iter_mut().find(|tier| tier.name == name) {
            tier.change(state, message, now_ms);
        }
    }

    /// The cache is closed, and so are all its tiers.
    pub(crate) fn close(&self) {
        let now_ms = self.clock.now_ms();
        self.tiers.lock().iter_mut().for_each(|tier| tier.change(TierState::Closed, None, now_ms));
    }

    /// What is in it now.
    pub(crate) fn read(&self) -> Health {
        let now_ms = self.clock.now_ms();
        let health = |tier: &Record| TierHealth {
            name: tier.name,
            state: tier.state,
            since: Duration::from_millis(now_ms.saturating_sub(tier.since_ms)),
            message: tier.message.clone(),
        };
        Health { tiers: self.tiers.lock().iter().map(health).collect() }
    }
}

impl Record {
    fn change(&mut self, state: TierState, message: Option<String>, now_ms: u64) {
        if self.state == TierState::Closed {
            return;
        }
        if self.state != state {
            self.since_ms = now_ms;
        }
        self.state = state;
        self.message = message;
    }
}

#[cfg(test)]
mod tests;
