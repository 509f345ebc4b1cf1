//! A folder is opened once, for all caches of the process that share it, and let go with the last of them.
//!
//! **Invariants:** a name is seated once in a folder: two caches of one name would not know of each other's removals. Opening and
//! closing a folder wait for each other, so that who closes a cache and builds it anew finds the folder free.

use super::{Disk, Place};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};
use parking_lot::{Condvar, Mutex};
use scrubjay_disk::{Device, Io, Options, Overload, Store};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long who takes a place waits for who gives it back.
const LEAVE_MAX: Duration = Duration::from_secs(10);

/// The folders that caches of this process have.
static FOLDERS: Mutex<Option<HashMap<PathBuf, Arc<Folder>>>> = Mutex::new(None);

/// What a cache asks of its folder, and caches that share one must ask alike.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Demand {
    bytes: u64,
    io: Io,
    admission: scrubjay_disk::Admission,
    reinsert: f64,
    bandwidth: Option<u64>,
    queue_bytes: u64,
}

/// A folder, open or not.
#[derive(Debug, Default)]
struct Folder {
    /// Locked for as long as opening and closing take.
    open: Mutex<Option<Open>>,
    /// Who has a place, and whether it is being given back. Locked for a moment only, and after `open` where both are.
    names: Mutex<HashMap<String, bool>>,
    /// Told when a place was given back.
    freed: Condvar,
}

#[derive(Debug)]
struct Open {
    store: Store,
    demand: Demand,
}

/// A cache's right to a part of a folder's store. Dropped, it is given back, which may block: see [`leave`](Seat::leave).
#[derive(Debug)]
pub(super) struct Seat {
    folder: Arc<Folder>,
    /// Until the place is given back.
    store: Mutex<Option<Store>>,
    name: String,
}

impl Demand {
    fn of(disk: &Disk) -> Demand {
        Demand {
            bytes: disk.bytes,
            io: disk.io,
            admission: disk.admission,
            reinsert: disk.reinsert,
            bandwidth: disk.bandwidth,
            queue_bytes: disk.queue_bytes,
        }
    }

    fn options(self, clock: &Clock) -> Options {
        let clock = clock.clone();
        let options = Options::bytes(self.bytes)
            .io(self.io)
            .overload(Overload::Drop)
            .admission(self.admission)
            .reinsert(self.reinsert)
            .queue_bytes(self.queue_bytes)
            .clock(move || clock.unix_ms_at_zero() + clock.now_ms());
        match self.bandwidth {
            Some(bandwidth) => options.bandwidth(bandwidth),
            None => options,
        }
    }
}

impl Seat {
    /// Opens the folder, unless it is open, and takes the place of that name. Blocks.
    ///
    /// # Errors
    /// `Invalid`: the name is taken, the demand is another than that of who opened it, or what lies there is no store that this
    /// version can read. `Unavailable`: another process has it, or the device fails.
    pub(super) fn take(disk: &Disk, name: &str, clock: &Clock) -> Result<Seat, Error> {
        let demand = Demand::of(disk);
        let (folder, shown) = match &disk.place {
            Place::Folder(path) => (Folder::at(path), path.display().to_string()),
            Place::Device(_) => (Arc::default(), "the device".to_owned()),
        };
        folder.reserve(name, &shown)?;
        match folder.store(disk, demand, clock, &shown) {
            Ok(store) => Ok(Seat { folder, store: Mutex::new(Some(store)), name: name.to_owned() }),
            Err(error) => {
                // What it might have to close here, nobody has written to.
                let _ = folder.release(name, None);
                Err(error)
            }
        }
    }

    /// The store, until the place is given back.
    pub(super) fn store(&self) -> Option<Store> {
        self.store.lock().clone()
    }

    /// Gives the place back; the last one closes the folder. Blocks for as long as the device takes. Whoever still has a handle
    /// of the store finds it closed, but keeps the folder from being opened again.
    ///
    /// # Errors
    /// `Unavailable`: something could not be written.
    pub(super) fn leave(&self) -> Result<(), Error> {
        let Some(store) = self.store.lock().take() else { return Ok(()) };
        self.folder.release(&self.name, Some(store))
    }

    /// Says that the place is about to be given back: who asks for it from now on waits. Does not block.
    pub(super) fn about_to_leave(&self) {
        if let Some(is_leaving) = self.folder.names.lock().get_mut(&self.name) {
            *is_leaving = true;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!(cache = self.name, %error, "what waited to be written to disk is lost");
        }
    }
}

impl Folder {
    /// Takes the place of that name, having waited for who is about to give it back.
    fn reserve(&self, name: &str, shown: &str) -> Result<(), Error> {
        let mut names = self.names.lock();
        loop {
            match names.get(name).copied() {
                None => {
                    names.insert(name.to_owned(), false);
                    return Ok(());
                }
                Some(true) if !self.freed.wait_for(&mut names, LEAVE_MAX).timed_out() => {}
                Some(true) => {
                    let text = format!("disk: the cache that had the name {name:?} in {shown} is still being closed");
                    return Err(Error::new(ErrorKind::Unavailable, text));
                }
                Some(false) => {
                    let text = format!("name {name:?} is that of another cache in {shown}, must be its own");
                    return Err(Error::invalid(text));
                }
            }
        }
    }

    /// The store, opened if it was not.
    fn store(&self, disk: &Disk, demand: Demand, clock: &Clock, shown: &str) -> Result<Store, Error> {
        let mut open = self.open.lock();
        if let Some(there) = &*open {
            let other = there.demand;
            if other != demand {
                return Err(Error::invalid(format!(
                    "disk: another cache has opened {shown} with {other:?}, must be the same, is {demand:?}"
                )));
            }
            return Ok(there.store.clone());
        }
        let options = demand.options(clock);
        let store = match &disk.place {
            Place::Folder(path) => Store::open(path, options),
            Place::Device(device) => Store::open_on(Arc::<dyn Device>::clone(device), options),
        };
        let store = store.map_err(unopened)?;
        *open = Some(Open { store: store.clone(), demand });
        Ok(store)
    }

    /// Gives a place back; with the last one the store is closed.
    fn release(self: &Arc<Self>, name: &str, store: Option<Store>) -> Result<(), Error> {
        let mut open = self.open.lock();
        let is_last = {
            let mut names = self.names.lock();
            names.remove(name);
            names.is_empty()
        };
        let done = match (&*open, is_last) {
            (Some(there), true) => there.store.close(),
            (Some(there), false) if store.is_some() => there.store.flush(),
            _ => Ok(()),
        };
        drop(store);
        if is_last {
            *open = None;
        }
        drop(open);
        self.freed.notify_all();
        forget(self);
        done.map_err(|error| error_of(&error))
    }

    /// The folder at `path`, the same for all who mean the same.
    fn at(path: &Path) -> Arc<Folder> {
        // Where that fails, opening says why.
        let _ = std::fs::create_dir_all(path);
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut folders = FOLDERS.lock();
        Arc::clone(folders.get_or_insert_default().entry(path).or_default())
    }
}

/// Takes the folder out of the table, unless somebody has it or is about to.
fn forget(folder: &Arc<Folder>) {
    if let Some(folders) = FOLDERS.lock().as_mut() {
        // Whoever has a seat, or comes for one, has another beside the table's and the caller's.
        folders.retain(|_, other| !Arc::ptr_eq(other, folder) || Arc::strong_count(other) > 2);
    }
}

fn unopened(error: scrubjay_disk::Error) -> Error {
    use scrubjay_disk::ErrorKind as Kind;
    let kind = match error.kind() {
        Kind::Invalid | Kind::Newer | Kind::Corrupt => ErrorKind::Invalid,
        _ => ErrorKind::Unavailable,
    };
    Error::with_source(kind, "the disk tier cannot be opened", error)
}

/// Whether an entry is lost, and nothing else.
pub(crate) fn is_damage(error: &scrubjay_disk::Error) -> bool {
    error.kind() == scrubjay_disk::ErrorKind::Corrupt
}

/// An error of a store that is open.
pub(super) fn error_of(error: &scrubjay_disk::Error) -> Error {
    let kind = match error.kind() {
        scrubjay_disk::ErrorKind::Invalid => ErrorKind::Invalid,
        scrubjay_disk::ErrorKind::Closed => ErrorKind::Closed,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("disk: {error}"))
}
