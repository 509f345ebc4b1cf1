//! Stale reads avoided: what this process had, would have served, and did not, since the remote tier had said that it is outdated.
//!
//! Such an entry is met in one of two ways, and counted once, where it is taken from its readers. On **news of its key** it is taken
//! out: counted if it was valid and fresh then. By a **mark**, a tag or a `clear` of another process or a distrust, it is not touched
//! when the mark arrives: counted by the lookup that meets it, if it would have been fresh. What is swept or evicted before anybody
//! asked was no read and does not count. The third kind, an entry that lies in the shared tier itself and is invalidated there, that tier
//! counts. A hit pays nothing for any of it.
//!
//! To tell the marks of others from our own, [`Avoided`] keeps the stamp of the last one of each: 8,193 at most.

use super::Shared;
use crate::key::Key;
use crate::remote::RemoteStats;
use crate::stored::Stored;
use crate::tags::{Mark, TagSet, place};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters of it, and which marks were heard of.
#[derive(Default)]
pub(super) struct Avoided {
    by_key: AtomicU64,
    by_mark: AtomicU64,
    /// By mark: no entry counts for it that was born with this number or a later one. Its lock is a leaf.
    heard: Mutex<HashMap<Mark, u64, ahash::RandomState>>,
}

impl Avoided {
    /// An entry was taken out on news of its key.
    pub(super) fn by_key(&self) {
        self.by_key.fetch_add(1, Ordering::Relaxed);
    }

    fn by_mark(&self) {
        self.by_mark.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether a mark of others concerns an entry that was born then and has these tags.
    fn is_outdated<'a>(&self, born: u64, mut tags: impl Iterator<Item = &'a str>) -> bool {
        let heard = self.heard.lock();
        let is_after = |mark: Mark| heard.get(&mark).is_some_and(|stamp| born < *stamp);
        !heard.is_empty() && (is_after(Mark::Cleared) || tags.any(|tag| is_after(Mark::Floor(place(tag)))))
    }

    /// What was counted so far.
    pub(super) fn add_to(&self, stats: &mut RemoteStats) {
        stats.stale_by_key = self.by_key.load(Ordering::Relaxed);
        stats.stale_by_mark = self.by_mark.load(Ordering::Relaxed);
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// Others have set this mark, and the cache's own stamps are about to be raised for it.
    pub(super) fn hear_of(&self, mark: Mark) {
        self.avoided.heard.lock().insert(mark, self.stamps.born() + 1);
    }

    /// Whether an entry in memory would be served now.
    pub(super) fn would_serve(&self, stored: &Stored<V>) -> bool {
        self.stamps.is_valid(stored.born, stored.tags.as_deref()) && !self.clock.is_past(stored.fresh_until_ms)
    }

    /// A lookup has met an entry in memory that some stamp has overtaken.
    pub(super) fn met_outdated(&self, stored: &Stored<V>) {
        let names = stored.tags.as_deref().into_iter().flat_map(TagSet::names);
        self.met_outdated_named(stored.born, stored.fresh_until_ms, names);
    }

    /// The same below memory, where an entry has its tags by name.
    pub(super) fn met_outdated_named<'a>(&self, born: u64, fresh_until_ms: u64, tags: impl Iterator<Item = &'a str>) {
        if self.remote.is_some() && !self.clock.is_past(fresh_until_ms) && self.avoided.is_outdated(born, tags) {
            self.avoided.by_mark();
        }
    }
}
