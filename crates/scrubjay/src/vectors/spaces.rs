//! The namespaces of a store, and the catalogue that remembers how many dimensions each of them has.
//!
//! The catalogue is a namespace of its own, whose records are pinned: they are never evicted. A cleared namespace keeps its
//! record, with 0 dimensions, so that a name without a record means that the record was lost, and only then somebody looks.
//!
//! **Invariants**
//! - A namespace's record stands in the log before its first vector: whatever a crash leaves of the vectors, it leaves the record.
//! - A namespace without dimensions has no vectors: none is shown, and before it gets dimensions again after a restart it is cleared
//!   once more, since a power failure may have taken the clear and left the record of it.
//! - Dimensions change under the namespace's gate, held for writing; vectors are put with the gate held for reading. So all
//!   vectors of a namespace have the same dimensions, however puts and clears meet. Reads do not know the gate.

use super::error_of;
use super::format::{decode, decode_dimensions, encode_dimensions};
use super::name::check_name;
use crate::disk::is_damage;
use crate::error::{Error, ErrorKind};
use parking_lot::{RwLock, RwLockReadGuard};
use scrubjay_disk::{Namespace, Put, PutOptions, Store};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// The name of the catalogue, which no namespace can have.
const CATALOGUE: &str = "\0vectors";
/// How many vectors are looked at for the dimensions of a namespace whose record was lost.
const LOOKS_MAX: usize = 16;

/// A namespace.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) entries: Namespace,
    /// 0 as long as nothing was put since it was cleared.
    dimensions: AtomicUsize,
    /// Whether vectors may be there from before the store was opened, though it has no dimensions.
    is_suspect: AtomicBool,
    gate: RwLock<()>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Spaces {
    catalogue: Namespace,
    /// How often a record was written.
    records_put: AtomicU64,
    known: RwLock<HashMap<Box<str>, Arc<Space>>>,
}

impl Space {
    fn new(entries: Namespace, dimensions: usize, is_suspect: bool) -> Arc<Space> {
        let (dimensions, is_suspect) = (AtomicUsize::new(dimensions), AtomicBool::new(is_suspect));
        Arc::new(Space { entries, dimensions, is_suspect, gate: RwLock::new(()) })
    }

    /// Those of its vectors, if it has had any since it was cleared.
    pub(super) fn dimensions(&self) -> Option<usize> {
        Some(self.dimensions.load(Ordering::Acquire)).filter(|dimensions| *dimensions > 0)
    }
}

impl Spaces {
    /// Those of a store that was just opened.
    ///
    /// # Errors
    /// `Invalid` if the store was made by something else, and as the store says.
    pub(super) fn open(store: &Store) -> Result<Spaces, Error> {
        let names = store.namespaces();
        if !names.is_empty() && !names.iter().any(|name| name == CATALOGUE) {
            let message = "the folder holds a store of something else, must be empty or a VectorStore's";
            return Err(Error::invalid(message));
        }
        let catalogue = store.namespace(CATALOGUE).map_err(error_of)?;
        let spaces = Spaces { catalogue, records_put: AtomicU64::new(0), known: RwLock::default() };
        for name in names.iter().filter(|name| *name != CATALOGUE) {
            let entries = store.namespace(name).map_err(error_of)?;
            let record = spaces.catalogue.peek(name.as_bytes()).map_err(error_of)?;
            let dimensions = match record.and_then(|record| decode_dimensions(&record)) {
                Some(dimensions) => dimensions,
                None => spaces.look_for_dimensions(&entries)?,
            };
            let space = Space::new(entries, dimensions, dimensions == 0);
            spaces.known.write().insert(name.as_str().into(), space);
        }
        Ok(spaces)
    }

    /// The namespace of that name, and its dimensions, if it was put to since it was cleared.
    pub(super) fn find(&self, name: &str) -> Option<(Arc<Space>, usize)> {
        let known = self.known.read();
        let space = known.get(name)?;
        Some((Arc::clone(space), space.dimensions()?))
    }

    /// The same, made if it is not there.
    ///
    /// # Errors
    /// `Invalid` for a name out of its limits or too many of them, `Unavailable`, `Closed`.
    pub(super) fn find_or_declare(&self, store: &Store, name: &str) -> Result<Arc<Space>, Error> {
        if let Some(space) = self.known.read().get(name) {
            return Ok(Arc::clone(space));
        }
        check_name(name)?;
        let entries = store.namespace(name).map_err(error_of)?;
        let mut known = self.known.write();
        Ok(Arc::clone(known.entry(name.into()).or_insert_with(|| Space::new(entries, 0, false))))
    }

    /// The names of those that have had vectors since they were cleared, in alphabetical order.
    pub(super) fn names(&self) -> Vec<String> {
        let known = self.known.read();
        let in_use = known.iter().filter(|(_, space)| space.dimensions().is_some());
        let mut names: Vec<String> = in_use.map(|(name, _)| name.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// Lets vectors of so many dimensions in, as long as the guard is held. The first fixes them.
    ///
    /// # Errors
    /// `Invalid` if the namespace has others, `Unavailable`, `Closed`.
    pub(super) fn enter<'a>(&self, space: &'a Space, dimensions: usize) -> Result<RwLockReadGuard<'a, ()>, Error> {
        loop {
            let gate = space.gate.read();
            match space.dimensions() {
                Some(fixed) if fixed == dimensions => return Ok(gate),
                Some(fixed) => {
                    let name = space.entries.name();
                    return Err(Error::invalid(format!(
                        "vector has {dimensions} dimensions, must have {fixed} as the others in namespace {name:?}: \
                         another model or version belongs into a namespace of its own"
                    )));
                }
                None => drop(gate),
            }
            let _gate = space.gate.write();
            if space.dimensions().is_none() {
                if space.is_suspect.load(Ordering::Relaxed) {
                    space.entries.clear().map_err(error_of)?;
                    space.is_suspect.store(false, Ordering::Relaxed);
                }
                self.record(space, dimensions)?;
            }
        }
    }

    /// Takes everything out of a namespace, its dimensions too.
    ///
    /// # Errors
    /// `Unavailable`: it is empty as long as the store is open, and may not be after a restart. `Closed`.
    pub(super) fn clear(&self, space: &Space) -> Result<(), Error> {
        let _gate = space.gate.write();
        space.entries.clear().map_err(error_of)?;
        self.record(space, 0)
    }

    /// How many there are, those included that were cleared; and how many records were written for them.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.known.read().len() as u64, self.records_put.load(Ordering::Relaxed))
    }

    /// Sets the dimensions. The gate is held for writing, or nobody else knows the namespace.
    fn record(&self, space: &Space, dimensions: usize) -> Result<(), Error> {
        let options = PutOptions { is_pinned: true, ..PutOptions::default() };
        let key = space.entries.name().as_bytes();
        match self.catalogue.put_with(key, &encode_dimensions(dimensions), options).map_err(error_of)? {
            Put::Stored => {}
            Put::Dropped(why) => {
                let message = format!("the namespace's dimensions could not be stored: {why:?}");
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
        }
        self.records_put.fetch_add(1, Ordering::Relaxed);
        space.dimensions.store(dimensions, Ordering::Release);
        Ok(())
    }

    /// What the first vectors of a namespace say, whose record was lost with a damaged segment; 0 if there are none.
    fn look_for_dimensions(&self, entries: &Namespace) -> Result<usize, Error> {
        let legible = entries.keys().filter(|key| !matches!(key, Err(error) if is_damage(error)));
        for key in legible.take(LOOKS_MAX) {
            let value = entries.peek(&key.map_err(error_of)?).map_err(error_of)?;
            if let Some(vector) = value.and_then(|value| decode(&value).ok()) {
                tracing::warn!(
                    namespace = entries.name(),
                    "the dimensions of a namespace were lost, and are learnt anew"
                );
                let space = Space::new(entries.clone(), 0, false);
                self.record(&space, vector.floats.len())?;
                return Ok(vector.floats.len());
            }
        }
        Ok(0)
    }
}
