//! Namespaces: names for what belongs together and is cleared together.

use crate::error::Error;
use crate::manifest::Manifest;
use crate::place::Position;
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A namespace's name has at least one byte and at most this many.
pub(crate) const NAME_LEN_MAX: usize = 255;

/// What is known of a namespace.
#[derive(Debug)]
pub(crate) struct NamespaceState {
    pub(crate) id: u32,
    pub(crate) name: Box<str>,
    /// Packed: nothing of it counts that stands before.
    cleared: AtomicU64,
}

impl NamespaceState {
    /// Whether a record at `at` was written since the namespace was last cleared.
    pub(crate) fn counts(&self, at: Position) -> bool {
        at.packed() >= self.cleared.load(Ordering::Acquire)
    }

    pub(crate) fn cleared(&self) -> Position {
        Position::unpacked(self.cleared.load(Ordering::Acquire))
    }
}

/// All namespaces of a store, and the manifest that remembers them.
#[derive(Debug)]
pub(crate) struct Namespaces {
    known: RwLock<Known>,
    manifest: Mutex<Manifest>,
}

#[derive(Debug, Default)]
struct Known {
    by_name: HashMap<Box<str>, Arc<NamespaceState>>,
    by_id: HashMap<u32, Arc<NamespaceState>>,
}

impl Known {
    fn add(&mut self, id: u32, name: &str, cleared: Position) -> Arc<NamespaceState> {
        let state = NamespaceState { id, name: name.into(), cleared: AtomicU64::new(cleared.packed()) };
        let state = Arc::new(state);
        self.by_name.insert(name.into(), Arc::clone(&state));
        self.by_id.insert(id, Arc::clone(&state));
        state
    }
}

impl Namespaces {
    pub(crate) fn new(manifest: Manifest) -> Namespaces {
        let mut known = Known::default();
        for (id, name, cleared) in manifest.namespaces() {
            known.add(id, name, cleared);
        }
        Namespaces { known: RwLock::new(known), manifest: Mutex::new(manifest) }
    }

    /// The namespace of that name, declared if it is new, and whether it is.
    ///
    /// # Errors
    /// `Invalid` if the name is empty or too long or there are too many, `Unavailable` if the device fails.
    pub(crate) fn open(&self, name: &str) -> Result<(Arc<NamespaceState>, bool), Error> {
        if let Some(state) = self.known.read().by_name.get(name) {
            return Ok((Arc::clone(state), false));
        }
        if !(1..=NAME_LEN_MAX).contains(&name.len()) {
            let len = name.len();
            return Err(Error::invalid(format!("namespace is {len} bytes, must be 1..={NAME_LEN_MAX}")));
        }
        let mut manifest = self.manifest.lock();
        if let Some(state) = self.known.read().by_name.get(name) {
            return Ok((Arc::clone(state), false));
        }
        let id = manifest.declare(name)?;
        Ok((self.known.write().add(id, name, Position::default()), true))
    }

    /// From now on nothing of the namespace counts that stands before `at`.
    ///
    /// # Errors
    /// `Unavailable`: it is cleared as long as the store is open, and may not be afterwards.
    pub(crate) fn clear(
        &self,
        state: &NamespaceState,
        at: Position,
        now_ms: u64,
        is_synced: bool,
    ) -> Result<(), Error> {
        state.cleared.fetch_max(at.packed(), Ordering::AcqRel);
        self.manifest.lock().clear(state.id, at, now_ms, is_synced)
    }

    /// It was that late: whoever opens the store again is not to fall behind.
    ///
    /// # Errors
    /// `Unavailable`: nothing but the clock says so the next time.
    pub(crate) fn saw(&self, now_ms: u64, is_synced: bool) -> Result<(), Error> {
        self.manifest.lock().saw(now_ms, is_synced)
    }

    /// Makes every clear so far durable.
    ///
    /// # Errors
    /// `Unavailable` if the device fails.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        self.manifest.lock().sync()
    }

    /// Bytes that the manifest takes at most.
    pub(crate) fn manifest_len_max(&self) -> u64 {
        self.manifest.lock().len_max()
    }

    pub(crate) fn by_id(&self, id: u32) -> Option<Arc<NamespaceState>> {
        self.known.read().by_id.get(&id).cloned()
    }

    /// Whether a record of the namespace `id` at `at` counts.
    pub(crate) fn counts(&self, id: u32, at: Position) -> bool {
        self.known.read().by_id.get(&id).is_some_and(|state| state.counts(at))
    }

    /// Where each namespace was last cleared, by its id.
    pub(crate) fn cleared(&self) -> HashMap<u32, Position> {
        let known = self.known.read();
        known
            .by_id
            .iter()
            .map(|(id, state)| (*id, state.cleared()))
            .filter(|(_, at)| *at != Position::default())
            .collect()
    }

    /// All names, in alphabetical order.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.known.read().by_name.keys().map(|name| name.to_string()).collect();
        names.sort_unstable();
        names
    }
}
