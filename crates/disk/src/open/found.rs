//! Segments as they are found: what each file says of itself, read by several threads and handed on in the order of the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::device::{Device, DeviceFile};
use crate::error::{Error, ErrorKind};
use crate::place::Position;
use crate::segment::{
    self, Identity, Item, NoFooter, RECORDS_START, Refused, Scan, SegmentHeader, check_records, read_footer, scan,
};

/// Fewer segments than this are read by the caller alone.
const SEGMENTS_WORTH_THREADS: usize = 16;
/// Reading more than so many footers at once gains nothing: filling the index takes longer.
pub(super) const THREADS_MAX: usize = 4;

/// A segment as it was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) seq: u64,
    pub(crate) file: Arc<dyn DeviceFile>,
    /// Of the file.
    pub(crate) len: u64,
    pub(crate) header: Result<SegmentHeader, Refused>,
    /// Where the last record ends.
    pub(crate) end: u64,
    /// The greatest time that it names.
    pub(crate) latest_ms: u64,
    /// Up to where it says that the log was durable.
    pub(crate) synced: Position,
    /// In the order of the log.
    pub(crate) items: Vec<Item>,
    /// What was found beside the items; `None` if the segment was sealed.
    pub(crate) scan: Option<Scan>,
}

impl Found {
    /// Reads a segment's footer, or all of it.
    pub(crate) fn read(device: &dyn Device, identity: Identity) -> Result<Found, Error> {
        let name = segment::file_name(identity.seq);
        let failed = |error| Error::device(format!("{name} cannot be read"), error);
        let newer = |version| Error::new(ErrorKind::Newer, format!("{name}: {}", Refused::Newer(version)));
        let file = device.open(&name).map_err(failed)?;
        let len = file.len().map_err(failed)?;
        let header = SegmentHeader::read(&*file, identity).map_err(failed)?;
        if let Err(Refused::Newer(version)) = header {
            return Err(newer(version));
        }
        let (created_ms, begun_at) = header.map_or_else(|_| Default::default(), |h| (h.created_ms, h.synced));
        let Identity { seq, .. } = identity;
        match read_footer(&*file, identity) {
            Ok(footer) => {
                let latest_ms = footer.latest_ms.max(created_ms);
                let (end, items) = (footer.records_end, footer.items);
                let synced = footer.synced.max(begun_at).min(Position { seq, offset: end });
                return Ok(Found { seq, file, len, header, end, latest_ms, synced, items, scan: None });
            }
            Err(NoFooter::Newer(version)) => return Err(newer(version)),
            Err(NoFooter::Io(error)) => return Err(failed(error)),
            Err(NoFooter::Missing | NoFooter::Refused(_)) => {}
        }
        let mut scan = scan(&*file, identity).map_err(failed)?;
        let items = std::mem::take(&mut scan.items);
        // Nobody can know more of the log than there was.
        let synced = scan.synced.max(begun_at).min(Position { seq, offset: scan.end });
        Ok(Found { seq, file, len, header, end: scan.end, latest_ms: created_ms, synced, items, scan: Some(scan) })
    }

    /// Whether nothing in it is of this store.
    pub(crate) fn is_foreign(&self) -> bool {
        let is_named_so =
            matches!(self.header, Err(Refused::Foreign | Refused::OtherStore(_) | Refused::OtherSegment(_)));
        is_named_so && self.scan.is_some() && self.items.is_empty()
    }

    /// Whether records can be appended behind its last one: everything before is as it was written.
    ///
    /// A footer does not say that. A power failure may leave it and not the records that it names; without it they would be a gap,
    /// and what is durable later would make that gap a loss. So they are read, but for what stands before `durable`.
    pub(crate) fn can_go_on(&self, store_id: u64, durable: Position) -> bool {
        let is_whole = || match &self.scan {
            Some(scan) => scan.gaps.is_empty(),
            None => self.are_records_whole(store_id, durable),
        };
        self.header.is_ok() && is_whole()
    }

    fn are_records_whole(&self, store_id: u64, durable: Position) -> bool {
        let identity = Identity { store_id, seq: self.seq };
        let start = if durable.seq == self.seq { durable.offset.max(RECORDS_START) } else { RECORDS_START };
        match check_records(&*self.file, identity, start..self.end, &self.items, &mut |_| ()) {
            Ok(checked) if checked.damaged.is_empty() => true,
            Ok(checked) => {
                let damaged = checked.damaged.len();
                tracing::warn!(
                    segment = self.seq,
                    damaged,
                    "records that the footer names are not there: the log goes on in the next"
                );
                false
            }
            Err(error) => {
                tracing::warn!(segment = self.seq, %error, "records cannot be read: the log goes on in the next segment");
                false
            }
        }
    }
}

/// The numbers of all files that have a segment's name, in their order.
pub(crate) fn list(device: &dyn Device) -> Result<Vec<u64>, Error> {
    let files = device.list().map_err(|error| Error::device("the folder cannot be listed", error))?;
    let mut seqs: Vec<u64> = files.iter().filter_map(|(name, _)| segment::seq_of_name(name)).collect();
    seqs.sort_unstable();
    Ok(seqs)
}

/// Reads these segments and shows them in their order.
pub(crate) fn read_in_order(
    device: &dyn Device,
    store_id: u64,
    seqs: &[u64],
    mut show: impl FnMut(Found),
) -> Result<(), Error> {
    let read = |seq| Found::read(device, Identity { store_id, seq });
    if seqs.len() < SEGMENTS_WORTH_THREADS {
        return seqs.iter().try_for_each(|&seq| {
            show(read(seq)?);
            Ok(())
        });
    }
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::sync_channel(threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                // Ends when all are read, or when nobody listens any more since one of them failed.
                while let Some((number, &seq)) = nth(seqs, next.fetch_add(1, Ordering::Relaxed)) {
                    if sender.send((number, read(seq))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut due = 0;
        for (number, found) in receiver {
            early.insert(number, found);
            while let Some(found) = early.remove(&due) {
                show(found?);
                due += 1;
            }
        }
        Ok(())
    })
}

fn nth(seqs: &[u64], number: usize) -> Option<(usize, &u64)> {
    Some((number, seqs.get(number)?))
}
