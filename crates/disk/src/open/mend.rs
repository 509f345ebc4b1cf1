//! Mending what opening found, so that the next opening finds nothing to judge.
//!
//! The order is what makes it safe to be killed in between: what is not trusted goes before what makes the log look whole again.

use super::judge::Chain;
use super::{Found, tail};
use crate::device::{Device, DeviceFile};
use crate::error::Error;
use crate::place::Position;
use crate::record::{self, HEADER_LEN};
use crate::segment::{self, Footer, Identity, Previous, RECORDS_START, SegmentHeader};
use crate::stats::OpenCounts;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Gaps are filled by pieces of at most so many bytes.
const PADDING_LEN_MAX: u64 = 1 << 20;

/// Who mends, and what he must know.
pub(super) struct Mender<'a> {
    pub(super) device: &'a dyn Device,
    pub(super) store_id: u64,
    pub(super) latest_ms: u64,
}

/// Removes files of segments that are no part of the store.
pub(super) fn discard(device: &dyn Device, seqs: &[u64], why: &str, counts: &mut OpenCounts) -> Result<(), Error> {
    for &seq in seqs {
        let name = segment::file_name(seq);
        tracing::warn!(segment = seq, why, "a segment is removed");
        device.remove(&name).map_err(|error| Error::device(format!("{name} cannot be removed ({why})"), error))?;
        counts.discarded_segments += 1;
    }
    if seqs.is_empty() { Ok(()) } else { sync_folder(device) }
}

fn sync_folder(device: &dyn Device) -> Result<(), Error> {
    device.sync_folder().map_err(|error| Error::device("the folder cannot be synced", error))
}

impl Mender<'_> {
    /// Drops everything older than `floor`: the files, and in the segment of the floor the items.
    ///
    /// The newest of the older files goes first and for good, since its absence is what the next opening would judge by.
    pub(super) fn drop_older(&self, chain: &mut Chain, floor: Position, counts: &mut OpenCounts) -> Result<(), Error> {
        let kept = chain.segments.partition_point(|found| found.seq < floor.seq);
        let older: Vec<u64> = chain.segments.drain(..kept).map(|found| found.seq).rev().collect();
        let why = "something behind it is lost that was durable";
        if let Some((newest, rest)) = older.split_first() {
            discard(self.device, &[*newest], why, counts)?;
            discard(self.device, rest, why, counts)?;
        }
        if let Some(found) = chain.segments.first_mut().filter(|found| found.seq == floor.seq) {
            found.items.retain(|item| item.offset >= floor.offset);
        }
        Ok(())
    }

    /// Prepares the last segment for more records, and returns the bytes that the first write begins with.
    ///
    /// What its footer knew of what is durable must stay known: a mark takes the footer's place, and is written before the rest of
    /// the footer goes.
    pub(super) fn reopen(&self, last: &mut Found, synced: Position, segment_len: u64) -> Result<Vec<u8>, Error> {
        let reopened = |last: &mut Found| -> io::Result<Vec<u8>> {
            if last.scan.is_none() && synced > Position::default() {
                let mut mark = Vec::new();
                record::encode_mark(record::MARK_LEN, synced, &mut mark);
                let position = Position { seq: last.seq, offset: last.end };
                record::place(&mut mark, record::mask(self.store_id, position));
                last.file.write_at(&mark, last.end)?;
                last.end += u64::try_from(mark.len()).map_err(io::Error::other)?;
            }
            let tail = tail(&*last.file, last.end, self.device.alignment())?;
            let is_clean = last.scan.as_ref().is_some_and(|scan| scan.torn_bytes == 0);
            if !is_clean || last.len != segment_len {
                // Cuts off the footer or the torn tail. The space comes back as it is written to.
                last.file.set_len(last.end)?;
                last.file.set_len(segment_len)?;
            }
            Ok(tail)
        };
        let tail = reopened(last).map_err(|error| self.failed(last.seq, error))?;
        last.len = segment_len;
        // It has no footer, and needs none.
        last.scan = None;
        Ok(tail)
    }

    /// Gives every segment before `next` a footer, and every number a segment.
    pub(super) fn seal_all(&self, chain: &mut Chain, next: Position) -> Result<(), Error> {
        let mut is_changed = false;
        for found in &mut chain.segments {
            if found.scan.is_some() {
                self.seal(found).map_err(|error| self.failed(found.seq, error))?;
                is_changed = true;
            }
        }
        let Some(first) = chain.segments.first().map(|first| first.seq) else { return Ok(()) };
        let last = if next.offset == 0 { next.seq } else { next.seq + 1 };
        let mut whole = Vec::with_capacity(chain.segments.len());
        let mut rest = chain.segments.drain(..).peekable();
        for seq in first..last {
            match rest.next_if(|found| found.seq == seq) {
                Some(found) => whole.push(found),
                None => {
                    whole.push(self.make_empty(seq).map_err(|error| self.failed(seq, error))?);
                    is_changed = true;
                }
            }
        }
        drop(rest);
        chain.segments = whole;
        if is_changed { sync_folder(self.device) } else { Ok(()) }
    }

    /// Writes the footer that the segment should have had, and padding over its gaps: the segment may be written to again, and
    /// when it loses its footer after that, what is judged to be harmless now would look like loss.
    fn seal(&self, found: &mut Found) -> io::Result<()> {
        for gap in found.scan.iter().flat_map(|scan| &scan.gaps).filter(|gap| gap.start < found.end) {
            self.fill(found, gap.clone())?;
        }
        if found.header.is_err() {
            let header = self.header(found.seq);
            found.file.write_at(&header.encode(), 0)?;
            found.header = Ok(header);
        }
        let footer = Footer {
            identity: self.identity(found.seq),
            records_end: found.end,
            latest_ms: found.latest_ms.max(self.latest_ms),
            synced: found.synced,
            items: &found.items,
        };
        found.len = self.write_footer(&*found.file, &footer)?;
        found.items = Vec::new();
        found.scan = None;
        Ok(())
    }

    /// Writes padding over a gap.
    fn fill(&self, found: &Found, gap: Range<u64>) -> io::Result<()> {
        let mut offset = gap.start;
        while offset < gap.end {
            let rest = gap.end - offset;
            // None is shorter than a header.
            let len = if rest < PADDING_LEN_MAX + HEADER_LEN as u64 { rest } else { PADDING_LEN_MAX };
            let mut padding = Vec::new();
            record::encode_padding(usize::try_from(len).map_err(io::Error::other)?, &mut padding);
            record::place(&mut padding, record::mask(self.store_id, Position { seq: found.seq, offset }));
            found.file.write_at(&padding, offset)?;
            offset += len;
        }
        Ok(())
    }

    /// Makes a segment in which nothing is.
    fn make_empty(&self, seq: u64) -> io::Result<Found> {
        let file: Arc<dyn DeviceFile> = self.device.create(&segment::file_name(seq), RECORDS_START)?;
        let header = self.header(seq);
        file.write_at(&header.encode(), 0)?;
        let (records_end, latest_ms, synced) = (RECORDS_START, self.latest_ms, Position::default());
        let footer = Footer { identity: self.identity(seq), records_end, latest_ms, synced, items: &[] };
        let len = self.write_footer(&*file, &footer)?;
        let (header, items) = (Ok(header), Vec::new());
        Ok(Found { seq, file, len, header, end: records_end, latest_ms, synced, items, scan: None })
    }

    fn header(&self, seq: u64) -> SegmentHeader {
        let (store_id, created_ms) = (self.store_id, self.latest_ms);
        SegmentHeader { store_id, seq, created_ms, synced: Position::default(), previous: Previous::default() }
    }

    fn identity(&self, seq: u64) -> Identity {
        Identity { store_id: self.store_id, seq }
    }

    /// Writes a footer for good, and returns where the file ends.
    fn write_footer(&self, file: &dyn DeviceFile, footer: &Footer<'_>) -> io::Result<u64> {
        let mut bytes = Vec::new();
        footer.encode(self.device.alignment(), &mut bytes);
        let end = footer.records_end + u64::try_from(bytes.len()).map_err(io::Error::other)?;
        file.write_at(&bytes, footer.records_end)?;
        file.set_len(end)?;
        file.sync()?;
        Ok(end)
    }

    fn failed(&self, seq: u64, error: io::Error) -> Error {
        Error::device(format!("{} cannot be mended", segment::file_name(seq)), error)
    }
}
