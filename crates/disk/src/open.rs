//! Opening a store: from the files of a folder to an index and to where the log goes on.
//!
//! 1. **Lock** the folder, read the **manifest** (or make a new store).
//! 2. **Read** every segment of the store, oldest first (`open/found.rs`): its footer, or, where there is none, its records
//!    one by one. Files of another store are removed and counted.
//! 3. **Fill** the index in the order of the log (`open/fill.rs`): what comes later wins, a tombstone takes out, what has expired or
//!    belongs to a cleared or unknown namespace stays out.
//! 4. **Judge** what is missing (`open/judge.rs`). Where something that was durable is lost, a removal may be lost with it, and
//!    everything older is dropped. Where it never was durable, nothing was promised, and what is there is kept.
//! 5. **Mend** (`open/mend.rs`), durably, so that the next opening finds no gaps: segments that are not written to any more get
//!    their footer, numbers that are missing get an empty segment.
//! 6. **Resume** the last segment behind its last record, if there is room and its records are whole, or begin the next one. The
//!    heat of entries comes from a file of its own.
//!
//! **Invariant:** what a caller was promised to stay is in the index, and what he was promised to be gone is not; whatever
//! files are found, opening ends with a store or with an error that names the file. Killed anywhere in it, opening can be done
//! again and comes to the same.

mod fill;
mod found;
mod judge;
mod mend;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::device::{Device, DeviceFile};
use crate::error::{Error, ErrorKind};
use crate::heat;
use crate::index::Index;
use crate::log::{Files, Log, LogSettings, Resumed, SegmentFile, Space};
use crate::manifest::{Found as FoundManifest, Manifest, NewStore, StoreIdentity};
use crate::options::Options;
use crate::place::{Position, UNIT};
use crate::segment::{Footer, SEQ_MAX};
use crate::stats::OpenCounts;
use crate::store::{self, Core, Parts};

pub(crate) use fill::Fill;
pub(crate) use found::{Found, list, read_in_order};
pub(crate) use judge::Chain;

/// The part of a segment that must be free for writing to go on in it.
const FREE_PART: u64 = 8;
/// More segments than this are never kept: a place in the index knows the low 16 bits of their numbers.
const SEGMENTS_MAX: usize = 32_000;

/// Opens what is on the device, or begins anew.
pub(crate) fn open(device: Arc<dyn Device>, options: Options) -> Result<Core, Error> {
    lock(&*device)?;
    let new = NewStore { segment_len: options.segment_len_or_default(), now_ms: (options.clock)() };
    let mut manifest = Manifest::open(Arc::clone(&device), new)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let index = Index::new(Index::shards_for(threads, options.capacity));
    let Recovered { files, used, resumed, durable, latest_ms, counts } =
        recover(&device, &options, &mut manifest, &index)?;
    let StoreIdentity { store_id, hash_seed, .. } = manifest.identity();
    heat::load(&*device, store_id, &index);
    let settings = LogSettings {
        store_id,
        segment_len: options.segment_len_or_default(),
        alignment: device.alignment(),
        queue_bytes: options.queue_bytes,
    };
    // What the other files may come to is taken from the bound once and for all.
    let space = Space::new(options.capacity, used, settings.segment_len);
    let log = Log::new(settings, resumed, Files::new(files), space, latest_ms);
    log.was_durable(durable);
    Ok(Core::new(Parts { index, log, manifest, opened: counts, store_id, hash_seed, latest_ms, device, options }))
}

/// Takes the folder for this process.
pub(crate) fn lock(device: &dyn Device) -> Result<(), Error> {
    device.lock().map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => Error::new(ErrorKind::InUse, "another store has this folder open"),
        _ => Error::device("the folder cannot be locked", error),
    })
}

/// What the files of a store come to, but for the index.
struct Recovered {
    files: Vec<Arc<SegmentFile>>,
    used: u64,
    resumed: Resumed,
    /// What stands before was made durable by an earlier process.
    durable: Position,
    latest_ms: u64,
    counts: OpenCounts,
}

fn recover(
    device: &Arc<dyn Device>,
    options: &Options,
    manifest: &mut Manifest,
    index: &Index,
) -> Result<Recovered, Error> {
    let mut counts = OpenCounts::default();
    let StoreIdentity { store_id, .. } = manifest.identity();
    let mut seqs = list(&**device)?;
    if matches!(manifest.found(), FoundManifest::Nothing | FoundManifest::Unreadable) {
        mend::discard(&**device, &seqs, "it belongs to no store that is known", &mut counts)?;
        seqs.clear();
    }
    let too_many = seqs.len().saturating_sub(SEGMENTS_MAX);
    let oldest: Vec<u64> = seqs.drain(..too_many).collect();
    mend::discard(&**device, &oldest, "there are more segments than a store can name", &mut counts)?;
    let is_distrusting = manifest.is_distrusting();
    if is_distrusting {
        manifest.settle(Position { seq: seqs.last().map_or(1, |last| last + 1), offset: 0 })?;
    }

    let latest_ms = manifest.latest_ms().max((options.clock)());
    let mut fill = Fill::new(index, manifest.namespaces(), latest_ms);
    let mut chain = Chain::default();
    let mut foreign = Vec::new();
    read_in_order(&**device, store_id, &seqs, |found| {
        if found.is_foreign() {
            foreign.push(found.seq);
            return;
        }
        fill.saw(found.latest_ms);
        fill.add(found.seq, &found.items);
        chain.push(found);
    })?;
    mend::discard(&**device, &foreign, "it belongs to another store", &mut counts)?;
    fill.put();
    let (seen, latest_ms) = (fill.seen(), fill.latest_ms());
    counts.distrusted_entries += fill.unknown();
    manifest.seen(seen);

    let mender = mend::Mender { device: &**device, store_id, latest_ms };
    if let Some(floor) = chain.floor() {
        let dropped = index.retain(|_, entry| entry.place.position(chain.head_seq()) >= floor);
        counts.distrusted_entries += u64::try_from(dropped).unwrap_or(u64::MAX);
        tracing::warn!(dropped, segment = floor.seq, "something durable is lost, and what is older is not trusted");
        mender.drop_older(&mut chain, floor, &mut counts)?;
    }
    counts.torn_bytes += chain.torn_bytes();
    let next_min = next_min(manifest, &chain, is_distrusting);
    let room = options.capacity.saturating_sub(store::aside(options.capacity, manifest.len_max()));
    let resumed = resume(&mender, options, room, &mut chain, next_min)?;
    mender.seal_all(&mut chain, resumed.next)?;
    let durable = chain.synced();
    let (files, used) = chain.into_files();
    Ok(Recovered { files, used, resumed, durable, latest_ms, counts })
}

/// The least position that the log may go on at: records before a clear would not count, and where a mark says that something
/// was, nothing else may come.
fn next_min(manifest: &Manifest, chain: &Chain, is_distrusting: bool) -> Position {
    let cleared = manifest.namespaces().map(|(_, _, cleared)| cleared).max().unwrap_or_default();
    let distrusted = Position { seq: if is_distrusting { chain.head_seq() + 1 } else { 0 }, offset: 0 };
    cleared.max(chain.synced()).max(distrusted)
}

/// Where the log goes on: in the last segment, if it can. `room`: what segments may take.
fn resume(
    mender: &mend::Mender<'_>,
    options: &Options,
    room: u64,
    chain: &mut Chain,
    next_min: Position,
) -> Result<Resumed, Error> {
    let segment_len = options.segment_len_or_default();
    let (used, synced) = (chain.used(), chain.synced());
    if let Some(last) = chain.last_mut() {
        let end = Position { seq: last.seq, offset: last.end };
        let needed = last.end + Footer::room(last.items.len() + 1, mender.device.alignment()) + segment_len / FREE_PART;
        let fits = needed <= segment_len && used - last.len + segment_len <= room;
        if fits && end >= next_min && last.can_go_on(mender.store_id, synced) {
            let tail = mender.reopen(last, synced, segment_len)?;
            let next = Position { offset: last.end, ..end };
            return Ok(Resumed { next, items: std::mem::take(&mut last.items), tail });
        }
    }
    let after = chain.last_mut().map_or(1, |last| last.seq + 1);
    let seq = after.max(if next_min.offset > 0 { next_min.seq + 1 } else { next_min.seq });
    if seq > SEQ_MAX {
        return Err(Error::new(ErrorKind::Corrupt, format!("segment {seq}: there are no greater numbers")));
    }
    Ok(Resumed { next: Position { seq, offset: 0 }, items: Vec::new(), tail: Vec::new() })
}

/// The bytes of a segment between the last place where the device lets a write begin, and its end.
fn tail(file: &dyn DeviceFile, end: u64, alignment: u64) -> std::io::Result<Vec<u8>> {
    debug_assert!(end.is_multiple_of(UNIT), "a record ends at {end}");
    let start = end - end % alignment.max(1);
    let mut tail = vec![0; usize::try_from(end - start).map_err(std::io::Error::other)?];
    file.read_at(&mut tail, start)?;
    Ok(tail)
}
