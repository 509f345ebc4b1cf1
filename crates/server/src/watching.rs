//! The keys that one client watches, and whether its next EXEC may run.
//!
//! **Invariant:** the flag stands in the keyspace for exactly the keys listed here; whoever drops the list takes it out there
//! first ([`Watching::forget`]), with the stripes of all of them latched.

use scrubjay_keyspace::{Db, Held, KeyHash, Keyspace, WatchFlag};
use std::collections::HashSet;
use std::sync::Arc;

/// The keys that one client watches.
#[derive(Default)]
pub(crate) struct Watching {
    keys: HashSet<(Db, Box<[u8]>)>,
    flag: Arc<WatchFlag>,
}

impl Watching {
    /// Whether any key is watched.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether EXEC is known to fail.
    #[inline]
    pub(crate) fn is_dirty(&self) -> bool {
        self.flag.is_raised()
    }

    /// Adds a key, whose stripe is held.
    pub(crate) fn add(&mut self, held: &mut Held<'_>, db: Db, key: &[u8]) {
        if self.keys.insert((db, key.into())) {
            let key = held.key(key);
            // A key whose time was over before WATCH is absent from the start: its removal must not count as a change.
            held.peek(db, &key);
            held.watch(db, &key, &self.flag);
        }
    }

    /// What must be latched to ask whether a key changed, and to forget.
    pub(crate) fn hashes<'a>(&'a self, keyspace: &'a Keyspace) -> impl Iterator<Item = KeyHash> + 'a {
        self.keys.iter().map(|(_, key)| keyspace.key(key).hash)
    }

    /// Whether a watched key changed or ran out of time. Every stripe of [`Watching::hashes`] is held.
    pub(crate) fn has_changed(&self, held: &mut Held<'_>) -> bool {
        // Meeting a key whose time is over removes it, which raises the flag.
        for (db, key) in &self.keys {
            let key = held.key(key);
            held.peek(*db, &key);
        }
        self.flag.is_raised()
    }

    /// Watches nothing from here on. Every stripe of [`Watching::hashes`] is held.
    pub(crate) fn forget(&mut self, held: &mut Held<'_>) {
        for (db, key) in self.keys.drain() {
            held.unwatch(db, &held.key(&key), &self.flag);
        }
        self.flag = Arc::default();
    }
}
