//! Which cache is read, and the one change of phases that takes more than writing down a number.

use super::Side;
use crate::error::Error;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use tokio::sync::{RwLock, RwLockReadGuard};

/// How far a [`Migration`](super::Migration) is.
///
/// ```
/// # use scrubjay::{Cache, Memory, Migration, Phase};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let old: Cache<u64, u64> = Cache::builder("old").memory(Memory::bytes(1 << 20)).build().await?;
/// # let new: Cache<u64, u64> = Cache::builder("new").memory(Memory::bytes(1 << 20)).build().await?;
/// let migration = Migration::new(old, new)?;
/// assert_eq!(migration.phase(), Phase::Old);
/// migration.set_phase(Phase::Reading { percent: 25 }).await?;
/// assert_eq!(migration.phase(), Phase::Reading { percent: 25 });
/// assert!(migration.set_phase(Phase::Reading { percent: 101 }).await.is_err());
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The old cache alone is read and written. The new one is left alone.
    Old,
    /// The old one is read, both are written. The new one is the shadow: its errors are counted, and nobody gets them.
    DualWrite,
    /// Both are written, and this part of the keys is read from the new one: the same keys at every call and in every process,
    /// and each key that is among the first 10 percent is among the first 20. Errors of both are given.
    Reading {
        /// Of all keys, 0 to 100.
        percent: u8,
    },
    /// The new one is read, both are written. The old one is the shadow now.
    New,
}

const OLD: u8 = 0;
const DUAL_WRITE: u8 = 1;
/// 0 percent; 100 more are taken.
const READING: u8 = 2;
const NEW: u8 = READING + 101;

impl Phase {
    fn number(self) -> u8 {
        match self {
            Phase::Old => OLD,
            Phase::DualWrite => DUAL_WRITE,
            Phase::Reading { percent } => READING.saturating_add(percent.min(100)),
            Phase::New => NEW,
        }
    }

    fn of(number: u8) -> Phase {
        match number {
            OLD => Phase::Old,
            DUAL_WRITE => Phase::DualWrite,
            NEW => Phase::New,
            number => Phase::Reading { percent: number - READING },
        }
    }

    /// The cache that a key is read from. Whether the key is among the first `percent` is asked only where it matters.
    pub(super) fn side(self, is_among: impl FnOnce(u8) -> bool) -> Side {
        match self {
            Phase::Old | Phase::DualWrite => Side::Old,
            Phase::New => Side::New,
            Phase::Reading { percent } if is_among(percent) => Side::New,
            Phase::Reading { .. } => Side::Old,
        }
    }

    /// The cache whose errors nobody gets.
    pub(super) fn shadow(self) -> Option<Side> {
        match self {
            Phase::Old | Phase::DualWrite => Some(Side::New),
            Phase::Reading { .. } => None,
            Phase::New => Some(Side::Old),
        }
    }
}

/// The phase of a migration.
pub(super) struct Phases {
    now: AtomicU8,
    /// Whoever changes a cache holds it, and so does who ends [`Phase::Old`]: no change that began before reaches the new
    /// cache after it was emptied.
    changing: RwLock<()>,
    /// Something changed in the old cache that the new one was not told.
    has_missed: AtomicBool,
}

impl Phases {
    pub(super) fn new() -> Phases {
        Phases { now: AtomicU8::new(OLD), changing: RwLock::new(()), has_missed: AtomicBool::new(false) }
    }

    pub(super) fn now(&self) -> Phase {
        Phase::of(self.now.load(Ordering::Acquire))
    }

    /// Before a change: the phase by which it goes. While the guard lives, [`Phase::Old`] does not end.
    pub(super) async fn begin_change(&self) -> (RwLockReadGuard<'_, ()>, Phase) {
        let guard = self.changing.read().await;
        let phase = self.now();
        if phase == Phase::Old {
            self.has_missed.store(true, Ordering::Release);
        }
        (guard, phase)
    }

    /// Says which phase was before.
    pub(super) async fn change<F>(&self, to: Phase, empty_new: impl FnOnce() -> F) -> Result<Phase, Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        if let Phase::Reading { percent } = to
            && percent > 100
        {
            return Err(Error::invalid(format!("percent: {percent} is more than 100")));
        }
        if self.now() != Phase::Old || to == Phase::Old {
            return Ok(Phase::of(self.now.swap(to.number(), Ordering::AcqRel)));
        }
        let _all = self.changing.write().await;
        if self.has_missed.load(Ordering::Acquire) {
            empty_new().await?;
            self.has_missed.store(false, Ordering::Release);
        }
        Ok(Phase::of(self.now.swap(to.number(), Ordering::AcqRel)))
    }
}
