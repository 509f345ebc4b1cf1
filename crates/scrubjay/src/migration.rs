//! From one shared store to another, with the cache in use.
//!
//! Two caches stand side by side, each with a store of its own; this is in front of both. `phase.rs` says which of them is
//! read, `write.rs` how a change reaches both, `read.rs` and `load.rs` the way of a lookup, `many.rs` calls for many keys, `compare.rs` the sample of reads in
//! which both are asked. It knows no more of a cache than everybody does.
//!
//! **Invariant:** in every phase but `Old`, what changes in the one changes in the other, and a key's changes reach both in the
//! same order. What the new store missed during `Old` is the reason why it is emptied when that phase ends.

mod compare;
mod load;
mod many;
mod phase;
mod read;
mod stats;
#[cfg(test)]
mod tests;
mod write;

pub use phase::Phase;
pub use stats::{MigrationHealth, MigrationStats};

use crate::cache::Cache;
use crate::error::Error;
use crate::key::Key;
use compare::Sampling;
use phase::Phases;
use stats::Counters;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Changes of keys that share a stripe wait for each other.
const STRIPES: usize = 64;

/// Two caches, an old and a new one, as one: every change goes to both, and reads are moved from the old one to the new one as
/// far and as fast as you like, and back.
///
/// Meant for a change of the shared store under a service that goes on: build the service's cache twice, once for each
/// [`Remote`](crate::Remote), and put this in the place of the one.
///
/// 1. [`Phase::DualWrite`] in every process. From here on the new store misses no change. `scrubjay migrate --keep-existing` may
///    now copy what the old one has.
/// 2. [`Phase::Reading`], with a percentage that grows: the same keys in every process. [`compare_reads`](Migration::compare_reads)
///    tells in [`stats`](Migration::stats) whether the two differ.
/// 3. [`cut_over`](Migration::cut_over). Changes still go to both, so that [`roll_back`](Migration::roll_back) finds the old
///    store as it should be. When nobody wants that any more, use the new cache alone.
///
/// A clone is another handle on the same migration.
///
/// ```
/// use scrubjay::{Cache, Memory, Migration, Phase};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let (redis, valkey) = (|builder| builder, |builder| builder);
/// let old: Cache<u64, String> = redis(Cache::builder("users").memory(Memory::bytes(1 << 20))).build().await?;
/// let new: Cache<u64, String> = valkey(Cache::builder("users").memory(Memory::bytes(1 << 20))).build().await?;
/// let users = Migration::new(old, new)?.compare_reads(0.01);
///
/// users.set_phase(Phase::DualWrite).await?;
/// users.insert(42, "Ada".into()).await?;
/// assert_eq!(users.new_cache().get(&42).await.as_deref(), Some("Ada"));
///
/// for percent in [1, 10, 50] {
///     users.set_phase(Phase::Reading { percent }).await?;
///     assert_eq!(users.get(&42).await.as_deref(), Some("Ada"));
/// }
/// users.cut_over().await?;
/// let stats = users.stats();
/// if stats.differs > 0 || !users.health().is_serving() {
///     users.roll_back().await?;
/// }
/// # assert_eq!(users.phase(), Phase::New);
/// # Ok::<(), scrubjay::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Migration<K, V> {
    inner: Arc<Inner<K, V>>,
}

/// What all handles share.
struct Inner<K, V> {
    old: Cache<K, V>,
    new: Cache<K, V>,
    phases: Phases,
    stripes: [Mutex<()>; STRIPES],
    sampling: Sampling<V>,
    counters: Counters,
}

/// One of the two caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Old,
    New,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Old => Side::New,
            Side::New => Side::Old,
        }
    }
}

impl<K, V> Inner<K, V> {
    fn cache(&self, side: Side) -> &Cache<K, V> {
        match side {
            Side::Old => &self.old,
            Side::New => &self.new,
        }
    }
}

impl<K, V> Clone for Migration<K, V> {
    fn clone(&self) -> Migration<K, V> {
        Migration { inner: Arc::clone(&self.inner) }
    }
}

impl<K, V> fmt::Debug for Migration<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        let mut shown = f.debug_struct("Migration");
        shown.field("old", &inner.old).field("new", &inner.new).field("phase", &inner.phases.now());
        shown.finish_non_exhaustive()
    }
}

/// # The migration
impl<K: Key, V: Clone + Send + Sync + 'static> Migration<K, V> {
    /// Both caches are the caller's, and stay so: this closes neither. Begins with [`Phase::Old`].
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) if both are handles on the same cache.
    pub fn new(old: Cache<K, V>, new: Cache<K, V>) -> Result<Migration<K, V>, Error> {
        if Arc::ptr_eq(&old.shared, &new.shared) {
            return Err(Error::invalid("a migration is from one cache to another, and these are the same"));
        }
        let inner = Inner {
            old,
            new,
            phases: Phases::new(),
            stripes: std::array::from_fn(|_| Mutex::new(())),
            sampling: Sampling::off(),
            counters: Counters::default(),
        };
        Ok(Migration { inner: Arc::new(inner) })
    }

    /// The cache that everything comes from.
    pub fn old_cache(&self) -> &Cache<K, V> {
        &self.inner.old
    }

    /// The cache that everything goes to.
    pub fn new_cache(&self) -> &Cache<K, V> {
        &self.inner.new
    }

    /// What is read and written now.
    pub fn phase(&self) -> Phase {
        self.inner.phases.now()
    }

    /// Changes the phase for whoever calls from now on. To any phase from any other.
    ///
    /// At once, but when [`Phase::Old`] ends: then what is being written is waited for, and if something was changed during that
    /// phase, the new cache is [cleared](Cache::clear), since it missed it. So have every process in [`Phase::DualWrite`] before
    /// anybody fills the new store by other means.
    ///
    /// # Errors
    /// [`Invalid`](crate::ErrorKind::Invalid) for more than 100 percent, and what the new cache's `clear` says: the phase stays.
    pub async fn set_phase(&self, phase: Phase) -> Result<(), Error> {
        let inner = &*self.inner;
        let before = inner.phases.change(phase, || inner.new.clear()).await?;
        if before != phase {
            tracing::info!(cache = inner.old.name(), from = ?before, to = ?phase, "a migration enters another phase");
        }
        Ok(())
    }

    /// From now on the new cache is read alone: [`Phase::New`].
    ///
    /// # Errors
    /// Those of [`set_phase`](Migration::set_phase).
    pub async fn cut_over(&self) -> Result<(), Error> {
        self.set_phase(Phase::New).await
    }

    /// From now on the old cache is read alone, and both are written: [`Phase::DualWrite`]. The new one is let go for good with
    /// [`Phase::Old`].
    ///
    /// # Errors
    /// Those of [`set_phase`](Migration::set_phase).
    pub async fn roll_back(&self) -> Result<(), Error> {
        self.set_phase(Phase::DualWrite).await
    }

    /// What has happened so far. The two caches count for themselves, too.
    pub fn stats(&self) -> MigrationStats {
        self.inner.counters.read(self.phase())
    }

    /// How both caches are doing.
    pub fn health(&self) -> MigrationHealth {
        MigrationHealth { phase: self.phase(), old: self.inner.old.health(), new: self.inner.new.health() }
    }
}
