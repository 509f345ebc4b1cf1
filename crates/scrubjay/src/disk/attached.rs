//! A folder as the tier has it: open, opened and not in use yet, or away, with what has changed meanwhile.

use super::Disk;
use super::folder::{Seat, error_of};
use super::stamps::{Ledger, Loaded, SUFFIX};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use parking_lot::{Condvar, Mutex};
use scrubjay_disk::Namespace;
use std::collections::HashSet;
use std::sync::Arc;

/// Changes that are remembered while the folder is away: so many keys and bytes of them. With more, all that lies there is
/// given up when it comes.
const MISSED_KEYS_MAX: usize = 1 << 16;
const MISSED_BYTES_MAX: usize = 4 << 20;

/// A folder that is open. Whoever holds one keeps others from opening it: no longer than it takes.
pub(crate) struct Attached {
    pub(crate) entries: Namespace,
    pub(super) stamps: Namespace,
    pub(super) seat: Seat,
    /// The last to be dropped.
    pub(super) gone: Gone,
}

/// Tells when a folder has been let go.
#[derive(Default)]
pub(super) struct Gone {
    pub(super) told: Arc<(Mutex<bool>, Condvar)>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        *self.told.0.lock() = true;
        self.told.1.notify_all();
    }
}

/// A folder that was opened and not taken into use yet.
pub(crate) struct Opened {
    pub(super) attached: Attached,
    pub(super) loaded: Loaded,
}

/// What changed while the folder was away.
#[derive(Debug, Default)]
pub(super) struct Missed {
    pub(super) keys: HashSet<Box<[u8]>, ahash::RandomState>,
    bytes: usize,
    /// More than is remembered, or everything.
    pub(super) is_all: bool,
}

impl Opened {
    /// Opens the folder for a cache. Blocks.
    ///
    /// # Errors
    /// As [`Seat::take`]; `Unavailable` if what is there cannot be read.
    pub(crate) fn folder(disk: &Disk, name: &str, clock: &Clock) -> Result<Opened, Error> {
        let seat = Seat::take(disk, name, clock)?;
        let Some(store) = seat.store() else {
            return Err(Error::new(ErrorKind::Unavailable, "disk: the folder was let go"));
        };
        let namespace = |name: &str| store.namespace(name).map_err(|error| error_of(&error));
        let (entries, stamps) = (namespace(name)?, namespace(&format!("{name}{SUFFIX}"))?);
        let loaded = match Ledger::load(&stamps)? {
            // Entries without a head: there was one.
            Loaded::Nothing if !entries.is_empty() => Loaded::Torn(Ledger::new(0)),
            loaded => loaded,
        };
        Ok(Opened { attached: Attached { entries, stamps, seat, gone: Gone::default() }, loaded })
    }

    /// The latest Unix time that the processes before have seen; 0 if there was none.
    pub(super) fn latest_ms(&self) -> u64 {
        match &self.loaded {
            Loaded::Nothing => 0,
            Loaded::Whole(ledger) | Loaded::Torn(ledger) => ledger.latest_ms(),
        }
    }
}

impl Missed {
    pub(super) fn note(&mut self, key: &[u8]) {
        if self.is_all || self.keys.contains(key) {
            return;
        }
        self.bytes += key.len();
        if self.keys.len() >= MISSED_KEYS_MAX || self.bytes > MISSED_BYTES_MAX {
            *self = Missed { is_all: true, ..Missed::default() };
            return;
        }
        self.keys.insert(key.into());
    }
}
