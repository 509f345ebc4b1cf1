//! The manifest: which store a folder holds, its namespaces, and up to where each of them was cleared.
//!
//! ```text
//!  file:    | header, a frame: store 16, hash seed 24, segment length 32, created 40 | record | record | ...
//!  record:  0     4      6  7  8           12         16     24    32       40
//!           | crc | "MJ" | 1 |0/1| namespace | name len | time | seq | offset | name | zeros up to a multiple of 16 |
//! ```
//!
//! A record says all there is to know of one namespace: its name, and that nothing of it counts that was written before
//! (`seq`, `offset`). The last record of a namespace counts. Each record is written twice, one behind the other (0, then 1), so
//! that a flipped bit takes nothing. Records are appended; when most of the file is superseded it is
//! written anew beside the old one, and takes its place by a rename. The checksum is masked with the record's place, as
//! that of [`crate::record`] is.
//!
//! What damage means, since a store must lose entries rather than return what was cleared or what is another's:
//!
//! - **A torn tail** (bytes that do not verify, and nothing behind them that does) is a write that nobody was promised. It is
//!   cut off.
//! - **Damage in the middle** that hit a record and its copy: the lost record may have cleared any namespace. One whose last record lies behind the damage is
//!   known; every other one is *distrusted*: everything in it is dropped. One that only the lost record named is gone, and its
//!   entries with it: they belong to an id that nobody has, and [`Manifest::seen`] keeps that id from being given again.
//! - **A header that does not verify**: without the hash seed nothing in the store can be found. A new store begins in
//!   its place, and its random id makes every segment of the old one a foreign one.
//! - A file that never was a manifest, or is of a newer format, is an error and stays as it is.
//!
//! It knows nothing of segments and of the index.

mod bytes;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;

use crate::device::{Device, DeviceFile};
use crate::error::{Error, ErrorKind};
use crate::place::Position;
use crate::segment::Refused;

#[cfg(test)]
pub(crate) use bytes::encode;
pub(crate) use bytes::{Contents, read};

/// Its file.
pub(crate) const FILE: &str = "manifest";
const FILE_NEW: &str = "manifest.new";
/// The greatest id of a namespace: the index has 19 bits for it.
pub(crate) const NAMESPACE_ID_MAX: u32 = (1 << 19) - 1;
/// A file that is shorter is not written anew, however much of it is superseded.
const REWRITE_LEN_MIN: usize = 16 << 10;

/// What a store is, from its making to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoreIdentity {
    /// Random: what another store wrote does not verify here.
    pub(crate) store_id: u64,
    /// Random: of the hash of keys.
    pub(crate) hash_seed: u64,
    pub(crate) segment_len: u64,
    /// Unix milliseconds.
    pub(crate) created_ms: u64,
}

/// What a store is made with, where there is none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewStore {
    pub(crate) segment_len: u64,
    pub(crate) now_ms: u64,
}

/// What is known of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: String,
    /// Nothing of it counts that was written before.
    pub(crate) cleared: Position,
    /// Whether a later clear of it may have been lost: then nothing of it counts.
    pub(crate) is_distrusted: bool,
}

/// How the manifest was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// There was none.
    Nothing,
    /// All of it is intact, but for so many bytes of a torn tail.
    Intact { torn_bytes: u64 },
    /// Something in its middle is damaged.
    Damaged,
    /// There was one whose header does not verify. This is a new store.
    Unreadable,
}

/// The manifest of an open store.
#[derive(Debug)]
pub(crate) struct Manifest {
    device: Arc<dyn Device>,
    file: Arc<dyn DeviceFile>,
    identity: StoreIdentity,
    namespaces: BTreeMap<u32, Known>,
    latest_ms: u64,
    /// The greatest id that anything has.
    seen: u32,
    found: Found,
    /// All of the file as it is to be.
    image: Vec<u8>,
    /// The file has so much of the image.
    written: usize,
    /// And so much of it for good.
    synced: usize,
    /// Whether the file has its name for good.
    is_named: bool,
}

impl Manifest {
    /// Reads the manifest of a folder, or makes one.
    ///
    /// # Errors
    /// `Newer` if a newer program wrote it, `Corrupt` if it is something else, `Unavailable` if the device fails.
    pub(crate) fn open(device: Arc<dyn Device>, new: NewStore) -> Result<Manifest, Error> {
        let opened = match device.open(FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Manifest::create(device, new, Found::Nothing);
            }
            opened => opened,
        };
        let file = opened.map_err(|error| Error::device("the manifest cannot be opened", error))?;
        let bytes = read_all(&*file).map_err(|error| Error::device("the manifest cannot be read", error))?;
        let contents = match bytes::read(&bytes) {
            Ok(contents) => contents,
            Err(Refused::Blank | Refused::Damaged) => return Manifest::create(device, new, Found::Unreadable),
            Err(other) => return Err(refused(other)),
        };
        let Contents { identity, namespaces, latest_ms, end, torn_bytes, is_damaged, .. } = contents;
        let found = if is_damaged { Found::Damaged } else { Found::Intact { torn_bytes } };
        let seen = namespaces.last_key_value().map_or(0, |(&id, _)| id);
        let mut image = bytes;
        image.truncate(end);
        // What a kill left in the page cache is not durable yet: the next sync counts from the beginning.
        let mut manifest = Manifest {
            device,
            file,
            identity,
            namespaces,
            latest_ms,
            seen,
            found,
            written: image.len(),
            synced: 0,
            image,
            is_named: false,
        };
        if torn_bytes > 0 {
            let end = u64::try_from(end).unwrap_or(u64::MAX);
            let cut = manifest.file.set_len(end);
            cut.map_err(|error| Error::device("the torn tail of the manifest cannot be cut off", error))?;
        }
        if !is_damaged && manifest.is_mostly_superseded() {
            manifest.rewrite()?;
        }
        Ok(manifest)
    }

    fn create(device: Arc<dyn Device>, new: NewStore, found: Found) -> Result<Manifest, Error> {
        let NewStore { segment_len, now_ms } = new;
        let identity = StoreIdentity { store_id: random(), hash_seed: random(), segment_len, created_ms: now_ms };
        let image = bytes::encode(&identity, &BTreeMap::new(), now_ms);
        let file = write_beside(&*device, &image)?;
        let mut manifest = Manifest {
            device,
            file,
            identity,
            namespaces: BTreeMap::new(),
            latest_ms: now_ms,
            seen: 0,
            found,
            written: image.len(),
            synced: image.len(),
            image,
            is_named: false,
        };
        manifest.sync()?;
        Ok(manifest)
    }

    /// What the store is.
    pub(crate) fn identity(&self) -> StoreIdentity {
        self.identity
    }

    /// How it was found.
    pub(crate) fn found(&self) -> Found {
        self.found
    }

    /// Id, name, and up to where it was cleared, of every namespace.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = (u32, &str, Position)> {
        self.namespaces.iter().map(|(&id, known)| (id, &known.name[..], known.cleared))
    }

    /// Bytes that its file and its successor take at most, as long as no namespace is added.
    pub(crate) fn len_max(&self) -> u64 {
        let len = bytes::encoded_len(self.namespaces.values().map(|known| &known.name[..]));
        let longest = (2 * len).max(REWRITE_LEN_MIN) + 2 * 304;
        u64::try_from(longest + len).unwrap_or(u64::MAX)
    }

    /// The latest time that it was told, in Unix milliseconds.
    pub(crate) fn latest_ms(&self) -> u64 {
        self.latest_ms
    }

    /// Something in the log has this id: it is not given to anybody else.
    pub(crate) fn seen(&mut self, id: u32) {
        self.seen = self.seen.max(id);
    }

    /// Whether there is a namespace that may have been cleared without a trace.
    pub(crate) fn is_distrusting(&self) -> bool {
        self.found == Found::Damaged
    }

    /// Ends the distrust: where it is needed, nothing counts any more that was written before `end`, the end of the log.
    ///
    /// # Errors
    /// `Unavailable` if the device fails.
    pub(crate) fn settle(&mut self, end: Position) -> Result<(), Error> {
        if !self.is_distrusting() {
            return Ok(());
        }
        for known in self.namespaces.values_mut().filter(|known| known.is_distrusted) {
            known.cleared = known.cleared.max(end);
            known.is_distrusted = false;
        }
        self.rewrite()
    }

    /// The id of a namespace, which is made if there is none of that name. It is durable when this returns, since records
    /// that are synced need it.
    ///
    /// # Errors
    /// `Invalid` if there are as many as there can be, `Unavailable` if the device fails; then it is not declared.
    pub(crate) fn declare(&mut self, name: &str) -> Result<u32, Error> {
        if let Some((&id, _)) = self.namespaces.iter().find(|(_, known)| known.name == name) {
            return Ok(id);
        }
        let id = self.seen + 1;
        if id > NAMESPACE_ID_MAX {
            return Err(Error::invalid(format!("a store has at most {NAMESPACE_ID_MAX} namespaces, ever")));
        }
        let known = Known { name: name.to_owned(), cleared: Position::default(), is_distrusted: false };
        let before = self.image.len();
        self.append(id, &known);
        if let Err(error) = self.write().and_then(|()| self.sync()) {
            // What came before it may be a clear that is not written yet.
            self.image.truncate(before);
            self.written = self.written.min(before);
            self.synced = self.synced.min(before);
            return Err(error);
        }
        self.namespaces.insert(id, known);
        self.seen = id;
        Ok(id)
    }

    /// Nothing of the namespace counts any more that was written before `position`. Of two clears the later position
    /// wins, in whichever order they come.
    ///
    /// # Errors
    /// `Unavailable` if the device fails. It is written with the next change that works, or the next [`sync`](Self::sync).
    pub(crate) fn clear(&mut self, id: u32, position: Position, now_ms: u64, is_synced: bool) -> Result<(), Error> {
        self.latest_ms = self.latest_ms.max(now_ms);
        let Some(known) = self.namespaces.get_mut(&id) else { return Ok(()) };
        known.cleared = known.cleared.max(position);
        let known = known.clone();
        self.append(id, &known);
        self.change(is_synced)
    }

    /// It was that late: a later opening is not to fall behind. With nothing declared, nothing can expire.
    ///
    /// # Errors
    /// As [`clear`](Self::clear).
    pub(crate) fn saw(&mut self, now_ms: u64, is_synced: bool) -> Result<(), Error> {
        let Some((&id, known)) = self.namespaces.last_key_value() else { return Ok(()) };
        if now_ms <= self.latest_ms {
            return Ok(());
        }
        let known = known.clone();
        self.latest_ms = now_ms;
        self.append(id, &known);
        self.change(is_synced)
    }

    /// Writes what was appended.
    fn change(&mut self, is_synced: bool) -> Result<(), Error> {
        // Of two changes that are not durable a power failure may keep the second alone. That looks like damage, and costs
        // far more than this sync.
        self.sync_written()?;
        if self.is_mostly_superseded()
            && let Err(error) = self.rewrite()
        {
            tracing::warn!(%error, "the manifest grows, since it cannot be written anew");
        }
        self.write()?;
        if is_synced { self.sync() } else { Ok(()) }
    }

    /// Makes every change so far durable.
    ///
    /// # Errors
    /// `Unavailable` if the device fails. Then nobody knows what it has kept, and all of it is written again.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        self.write()?;
        self.sync_written()?;
        if !self.is_named {
            self.device.sync_folder().map_err(|error| Error::device("the folder cannot be synced", error))?;
            self.is_named = true;
        }
        Ok(())
    }

    /// Makes durable what is in the file.
    fn sync_written(&mut self) -> Result<(), Error> {
        if self.synced < self.written {
            self.file.sync().map_err(|error| {
                self.written = self.synced;
                Error::device("the manifest cannot be synced", error)
            })?;
            self.synced = self.written;
        }
        Ok(())
    }

    fn append(&mut self, id: u32, known: &Known) {
        bytes::encode_namespace(&self.identity, id, known, self.latest_ms, &mut self.image);
    }

    /// Brings the file to where the image is.
    fn write(&mut self) -> Result<(), Error> {
        if self.written < self.image.len() {
            let start = u64::try_from(self.written).unwrap_or(u64::MAX);
            let written = self.file.write_at(&self.image[self.written..], start);
            written.map_err(|error| Error::device("the manifest cannot be written", error))?;
            self.written = self.image.len();
        }
        Ok(())
    }

    fn is_mostly_superseded(&self) -> bool {
        self.image.len() > REWRITE_LEN_MIN
            && self.image.len() > 2 * bytes::encoded_len(self.namespaces.values().map(|known| &known.name[..]))
    }

    /// Writes a new file with what counts, durable when this returns.
    fn rewrite(&mut self) -> Result<(), Error> {
        let image = bytes::encode(&self.identity, &self.namespaces, self.latest_ms);
        // From the rename on the new file is the manifest, whether or not that is durable yet.
        self.file = write_beside(&*self.device, &image)?;
        (self.written, self.synced, self.is_named) = (image.len(), image.len(), false);
        self.image = image;
        self.found = Found::Intact { torn_bytes: 0 };
        self.sync()
    }
}

/// Why bytes are not the manifest of a store.
pub(crate) fn refused(refused: Refused) -> Error {
    let kind = if matches!(refused, Refused::Newer(_)) { ErrorKind::Newer } else { ErrorKind::Corrupt };
    Error::new(kind, format!("the manifest: {refused}"))
}

/// Writes a file beside the manifest and lets it take its place; the name is not durable yet.
fn write_beside(device: &dyn Device, image: &[u8]) -> Result<Arc<dyn DeviceFile>, Error> {
    let written = || -> io::Result<Arc<dyn DeviceFile>> {
        match device.remove(FILE_NEW) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = device.create(FILE_NEW, u64::try_from(image.len()).map_err(io::Error::other)?)?;
        file.write_at(image, 0)?;
        file.sync()?;
        let file = device.open(FILE_NEW)?;
        device.rename(FILE_NEW, FILE)?;
        Ok(file)
    };
    written().map_err(|error| Error::device("the manifest cannot be written", error))
}

/// All bytes of a file: it is as long as the device says that it is.
pub(crate) fn read_all(file: &dyn DeviceFile) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.len()?).map_err(io::Error::other)?];
    file.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// A number that nobody can foretell; never 0.
fn random() -> u64 {
    RandomState::new().hash_one(0).max(1)
}
