//! Looking at a store without opening it: what it holds ([`inspect`]), and whether every byte is what was written
//! ([`verify()`]).
//!
//! Nothing is written but the lock file, which keeps the store from being opened meanwhile. What an opening would make of the
//! folder is told as it would make it: the same code reads the segments, fills an index and judges gaps.

#[cfg(test)]
mod tests;
mod verify;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use crate::clock;
use crate::device::file::FileDevice;
use crate::device::{Device, Io};
use crate::error::{Error, ErrorKind};
use crate::heat;
use crate::index::Index;
use crate::manifest::{self, Contents};
use crate::open::{Chain, Fill, Found, list, read_in_order};
use crate::place::{Position, UNIT};
use crate::record::Kind;
use crate::segment::{self, RECORDS_START};

pub use verify::{Damage, Verified, verify, verify_on};

/// What a store holds.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The random number by which its files know it.
    pub store_id: u64,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
    /// How long its segments are at most, as it was made.
    pub segment_len: u64,
    /// Its segments, oldest first.
    pub segments: Vec<SegmentReport>,
    /// Its namespaces by name.
    pub namespaces: Vec<NamespaceReport>,
    /// Entries by heat: 0 to 6, and the pinned ones last.
    pub entries_by_heat: [u64; 8],
    /// Bytes of all files in the folder that are its own.
    pub file_bytes: u64,
    /// Entries that opening it will drop: something that came after them and was durable is lost, or nobody knows their
    /// namespace.
    pub distrusted_entries: u64,
    /// Bytes that opening it will cut off: a write that did not come to its end.
    pub torn_bytes: u64,
}

/// A segment of a store.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// Its number: later ones are newer.
    pub number: u64,
    /// The length of its file.
    pub file_bytes: u64,
    /// How it was left.
    pub state: SegmentState,
    /// When it was begun, in Unix milliseconds; 0 if it does not say.
    pub created_ms: u64,
    /// Entries of the store that stand in it.
    pub entries: u64,
    /// Bytes of their records.
    pub live_bytes: u64,
    /// Bytes of records that no longer count: overwritten, removed, expired, tombstones, padding.
    pub dead_bytes: u64,
    /// Removals that it holds.
    pub tombstones: u64,
}

/// How a segment was left.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentState {
    /// It has its footer.
    Sealed,
    /// It was being written to.
    Unsealed,
    /// It was being written to, and there is damage that records follow on.
    Damaged,
    /// It is of another store, and opening will remove it.
    Foreign,
}

/// A namespace of a store.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceReport {
    /// Its name.
    pub name: String,
    /// Its entries.
    pub entries: u64,
    /// Bytes of their records.
    pub bytes: u64,
    /// Whether it was ever cleared.
    pub was_cleared: bool,
}

impl Report {
    /// Entries of the store.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.segments.iter().map(|segment| segment.entries).sum()
    }

    /// Bytes of the records that count.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.live_bytes).sum()
    }

    /// Bytes of the records that do not count any more.
    #[must_use]
    pub fn dead_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.dead_bytes).sum()
    }
}

/// Says what the store in a folder holds. Reads all footers, as opening does, and writes nothing.
///
/// # Errors
/// `Invalid` if there is no such folder, `Corrupt` if there is no store in it, `InUse`, `Newer`, `Unavailable` if the device
/// fails.
pub fn inspect(path: impl AsRef<Path>) -> Result<Report, Error> {
    let path = path.as_ref();
    inspect_on(&folder(path)?).map_err(|error| error.at(path))
}

/// The same on a device of one's own.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_on(device: &dyn Device) -> Result<Report, Error> {
    let files = enter(device)?;
    let contents = read_manifest(device)?;
    let index = Index::new(64);
    let namespaces = contents.namespaces.iter().map(|(&id, known)| {
        let end_of_time = Position { seq: u64::MAX, offset: 0 };
        (id, &known.name[..], if known.is_distrusted { end_of_time } else { known.cleared })
    });
    let mut fill = Fill::new(&index, namespaces, contents.latest_ms.max(clock::unix_ms()));
    let mut chain = Chain::default();
    let mut segments = Vec::new();
    read_in_order(device, contents.identity.store_id, &list(device)?, |found| {
        segments.push(SegmentReport::of(&found));
        if !found.is_foreign() {
            fill.saw(found.latest_ms);
            fill.add(found.seq, &found.items);
            chain.push(found);
        }
    })?;
    fill.put();
    let mut report = Report {
        store_id: contents.identity.store_id,
        created_ms: contents.identity.created_ms,
        segment_len: contents.identity.segment_len,
        file_bytes: files.iter().filter(|(name, _)| is_ours(name)).map(|(_, len)| len).sum(),
        distrusted_entries: fill.unknown(),
        torn_bytes: chain.torn_bytes() + contents.torn_bytes,
        ..Report::default()
    };
    if let Some(floor) = chain.floor() {
        let dropped = index.retain(|_, entry| entry.place.position(chain.head_seq()) >= floor);
        report.distrusted_entries += u64::try_from(dropped).unwrap_or(u64::MAX);
    }
    heat::load(device, report.store_id, &index);
    report.count(&index, chain.head_seq(), segments, &contents);
    Ok(report)
}

impl Report {
    fn count(&mut self, index: &Index, head_seq: u64, mut segments: Vec<SegmentReport>, contents: &Contents) {
        let numbers: HashMap<u64, usize> = (0..).zip(&segments).map(|(at, segment)| (segment.number, at)).collect();
        let mut by_id: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
        index.for_each(|_, entry| {
            let bytes = u64::from(entry.len_units) * UNIT;
            if let Some(&at) = numbers.get(&entry.place.position(head_seq).seq) {
                segments[at].entries += 1;
                segments[at].live_bytes += bytes;
                segments[at].dead_bytes = segments[at].dead_bytes.saturating_sub(bytes);
            }
            self.entries_by_heat[usize::from(entry.heat.min(7))] += 1;
            let (entries, total) = by_id.entry(entry.namespace).or_default();
            *entries += 1;
            *total += bytes;
        });
        self.segments = segments;
        self.namespaces = contents
            .namespaces
            .iter()
            .map(|(id, known)| {
                let (entries, bytes) = by_id.get(id).copied().unwrap_or_default();
                let was_cleared = known.is_distrusted || known.cleared > Position::default();
                NamespaceReport { name: known.name.clone(), entries, bytes, was_cleared }
            })
            .collect();
        self.namespaces.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

impl SegmentReport {
    /// As if nothing in it counted.
    fn of(found: &Found) -> SegmentReport {
        let is_foreign = found.is_foreign();
        let state = match &found.scan {
            _ if is_foreign => SegmentState::Foreign,
            None => SegmentState::Sealed,
            Some(scan) if scan.gaps.is_empty() => SegmentState::Unsealed,
            Some(_) => SegmentState::Damaged,
        };
        let tombstones = found.items.iter().filter(|item| item.kind == Kind::Tombstone).count();
        SegmentReport {
            number: found.seq,
            file_bytes: found.len,
            state,
            created_ms: found.header.map_or(0, |header| header.created_ms),
            entries: 0,
            live_bytes: 0,
            dead_bytes: if is_foreign { found.len } else { found.end - RECORDS_START },
            tombstones: u64::try_from(tombstones).unwrap_or(u64::MAX),
        }
    }
}

/// The folder at `path`, which is not made.
fn folder(path: &Path) -> Result<FileDevice, Error> {
    FileDevice::open_existing(path, Io::Buffered).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Error::new(ErrorKind::Invalid, format!("{}: there is no such folder", path.display()))
        }
        io::ErrorKind::NotADirectory => Error::new(ErrorKind::Invalid, error.to_string()),
        _ => Error::device("the folder", error).at(path),
    })
}

/// Takes the lock of a folder in which there is a store, and says what is in it.
fn enter(device: &dyn Device) -> Result<Vec<(String, u64)>, Error> {
    let failed = |error| Error::device("the folder cannot be listed", error);
    let files = device.list().map_err(failed)?;
    // Where there is no store, no lock file is left behind.
    if !files.iter().any(|(name, _)| name == manifest::FILE) {
        return Err(Error::new(ErrorKind::Corrupt, "there is no store in this folder: it has no manifest"));
    }
    crate::open::lock(device)?;
    device.list().map_err(failed)
}

fn is_ours(name: &str) -> bool {
    name == manifest::FILE || heat::is_name(name) || segment::seq_of_name(name).is_some()
}

fn read_manifest(device: &dyn Device) -> Result<Contents, Error> {
    let file = device.open(manifest::FILE).map_err(|error| Error::device("the manifest cannot be opened", error))?;
    let bytes = manifest::read_all(&*file).map_err(|error| Error::device("the manifest cannot be read", error))?;
    manifest::read(&bytes).map_err(manifest::refused)
}
