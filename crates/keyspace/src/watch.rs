//! How changes are told: to WATCH by a flag per client that the first change to a watched key raises, to client-side caching by
//! a list of every change, kept while somebody observes.

use crate::Db;
use std::sync::atomic::{AtomicBool, Ordering};

/// Raised once a key that its owner watches was changed, removed, expired or flushed.
#[derive(Debug, Default)]
pub struct WatchFlag(AtomicBool);

impl WatchFlag {
    /// Whether a watched key changed since the flag was made.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// What happened to the keyspace since an observer last asked: see [`crate::Keyspace::observe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key was made, changed, removed or expired.
    Key(Db, Box<[u8]>),
    /// Every key of a database was removed.
    Flush(Db),
}

impl Change {
    /// The key that changed; `None` for a flush.
    pub fn key(&self) -> Option<&[u8]> {
        match self {
            Change::Key(_, key) => Some(key),
            Change::Flush(_) => None,
        }
    }
}
