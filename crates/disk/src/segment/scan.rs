//! Reading a segment that has no footer: record by record, until there is none.
//!
//! Where a record does not verify, the rest of the file is searched in steps of a unit. If nothing verifies there, what
//! came before is all, and the rest is a torn tail (or the zeros that were allotted). If something does, there is a gap. Two
//! things make gaps: a power failure, after which pages that were written but not synced are there or not, in any order; and
//! damage to what was durable. In the first case nothing was promised, in the second a tombstone or a newer version may
//! be lost. The marks in the log tell them apart, so a scan reports gaps and marks, and [`crate::open`] judges.
//!
//! The mask of the checksums keeps user data from posing as records during the search. The search is bounded: bytes made
//! to look like ever new headers of long records cost a few passes over the file, and then the rest of it is one gap.

use std::io;
use std::ops::Range;

use super::footer::Item;
use super::{Identity, RECORDS_START, SEGMENT_LEN_MAX};
use crate::device::DeviceFile;
use crate::place::{Position, UNIT};
use crate::record::{self, Announced, HEADER_LEN, Record};

/// What is read at a time.
const CHUNK_LEN: usize = 1 << 20;
/// How often a search may take checksums of the whole file before it gives up.
const PASSES_MAX: u64 = 8;
const UNIT_LEN: usize = 16;

/// What a segment without a footer holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Values and tombstones, in the order of the log.
    pub(crate) items: Vec<Item>,
    /// Where the last record ends.
    pub(crate) end: u64,
    /// Bytes behind the end up to the last one that is not zero.
    pub(crate) torn_bytes: u64,
    /// What does not verify, and is followed by what does.
    pub(crate) gaps: Vec<Range<u64>>,
    /// The greatest position that a mark names: what stands before was durable once.
    pub(crate) synced: Position,
}

/// Reads all of a segment.
///
/// # Errors
/// What the device says.
pub(crate) fn scan(file: &dyn DeviceFile, identity: Identity) -> io::Result<Scan> {
    let mut window = Window::over(file, identity)?;
    let mut scan = Scan { end: RECORDS_START, ..Scan::default() };
    loop {
        while let Some(record) = window.record(scan.end)? {
            scan.items.extend(Item::of(&record, scan.end));
            scan.synced = scan.synced.max(record.synced());
            scan.end += u64::try_from(record.len).map_err(io::Error::other)?;
        }
        match window.search(scan.end)? {
            Found::Nothing { torn_bytes } => {
                scan.torn_bytes = torn_bytes;
                return Ok(scan);
            }
            Found::Record { offset } => {
                scan.gaps.push(scan.end..offset);
                scan.end = offset;
            }
            Found::TooMuch => {
                scan.gaps.push(scan.end..window.len);
                scan.torn_bytes = window.len.saturating_sub(scan.end);
                return Ok(scan);
            }
        }
    }
}

/// What reading records of a sealed segment came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Values and tombstones that are intact.
    pub(crate) records: u64,
    /// What does not verify, or is not what the footer says.
    pub(crate) damaged: Vec<Range<u64>>,
}

/// Reads the records of a sealed segment that stand in a part of it, which its footer names, and the padding between them.
/// `progress` is told up to where that is done.
///
/// # Errors
/// What the device says.
pub(crate) fn check_records(
    file: &dyn DeviceFile,
    identity: Identity,
    part: Range<u64>,
    items: &[Item],
    progress: &mut dyn FnMut(u64),
) -> io::Result<Checked> {
    let mut window = Window::over(file, identity)?;
    let mut checked = Checked::default();
    let mut items = items[items.partition_point(|item| item.offset < part.start)..].iter().peekable();
    let mut at = part.start;
    let mut told = at;
    while at < part.end {
        // The item of this place, or else where the next one stands.
        let item = items.next_if(|item| item.offset == at);
        let next = items.peek().map_or(part.end, |item| item.offset);
        let record = window.record(at)?;
        let found = record.as_ref().map(|record| (Item::of(record, at), record.len));
        let end = match found {
            Some((found, len)) if found == item.copied() => {
                checked.records += u64::from(item.is_some());
                at.saturating_add(u64::try_from(len).map_err(io::Error::other)?)
            }
            _ => u64::MAX,
        };
        if end > next {
            checked.damaged.push(at..next);
        }
        at = end.min(next);
        if at - told >= CHUNK_LEN as u64 {
            told = at;
            progress(at);
        }
    }
    Ok(checked)
}

/// What a search came to.
enum Found {
    Nothing { torn_bytes: u64 },
    Record { offset: u64 },
    TooMuch,
}

/// A part of the file in memory.
struct Window<'a> {
    file: &'a dyn DeviceFile,
    identity: Identity,
    /// Of the file.
    len: u64,
    /// Where `bytes` begin.
    start: u64,
    bytes: Vec<u8>,
    /// Bytes that searches may still take checksums of.
    budget: u64,
}

impl<'a> Window<'a> {
    fn over(file: &'a dyn DeviceFile, identity: Identity) -> io::Result<Window<'a>> {
        let len = file.len()?.min(SEGMENT_LEN_MAX);
        let budget = len.saturating_mul(PASSES_MAX);
        Ok(Window { file, identity, len, start: 0, bytes: Vec::new(), budget })
    }

    /// What is in memory from `offset` on: at least so many bytes, unless the file ends before.
    fn at(&mut self, offset: u64, len: usize) -> io::Result<&[u8]> {
        let rest = usize::try_from(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let len = len.min(rest);
        if len == 0 {
            return Ok(&[]);
        }
        let held = offset.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        let skip = match held {
            Some(skip) if skip.checked_add(len).is_some_and(|end| end <= self.bytes.len()) => skip,
            _ => {
                self.bytes.resize(len.max(CHUNK_LEN).min(rest), 0);
                self.start = offset;
                self.file.read_at(&mut self.bytes, offset)?;
                0
            }
        };
        Ok(&self.bytes[skip..])
    }

    /// The record at `offset`, if one that belongs there is.
    fn record(&mut self, offset: u64) -> io::Result<Option<Record<'_>>> {
        let Ok(announced) = Announced::read(self.at(offset, HEADER_LEN)?) else { return Ok(None) };
        if u64::try_from(announced.len).is_ok_and(|len| len > self.len.saturating_sub(offset)) {
            return Ok(None);
        }
        let Identity { store_id, seq } = self.identity;
        let mask = record::mask(store_id, Position { seq, offset });
        Ok(Record::decode(self.at(offset, announced.len)?, mask).ok())
    }

    /// Looks for a record from `from` on.
    fn search(&mut self, from: u64) -> io::Result<Found> {
        let mut offset = from;
        let mut torn_end = from;
        while offset < self.len {
            let chunk = Chunk::look(self.at(offset, HEADER_LEN)?);
            if let Some(end) = chunk.nonzero_end {
                torn_end = offset + end;
            }
            let is_last = offset + chunk.len >= self.len;
            offset = match chunk.candidate {
                Some((skip, record_len)) => {
                    let found = offset + skip;
                    let Some(budget) = self.budget.checked_sub(record_len.min(self.len - found)) else {
                        return Ok(Found::TooMuch);
                    };
                    self.budget = budget;
                    if self.record(found)?.is_some() {
                        return Ok(Found::Record { offset: found });
                    }
                    found + UNIT
                }
                None if is_last => self.len,
                // The last unit may be the first half of a header.
                None => offset + chunk.len - UNIT,
            };
        }
        Ok(Found::Nothing { torn_bytes: torn_end - from })
    }
}

/// What a search sees in the part of the file that is in memory.
struct Chunk {
    len: u64,
    /// Where the last unit ends that is not all zeros, up to the candidate.
    nonzero_end: Option<u64>,
    /// Where something begins as a record does, and how long that would be.
    candidate: Option<(u64, u64)>,
}

impl Chunk {
    fn look(bytes: &[u8]) -> Chunk {
        let as_u64 = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        let mut chunk = Chunk { len: as_u64(bytes.len()), nonzero_end: None, candidate: None };
        for (index, unit) in bytes.chunks(UNIT_LEN).enumerate() {
            if unit.iter().all(|&byte| byte == 0) {
                continue;
            }
            let skip = index * UNIT_LEN;
            chunk.nonzero_end = Some(as_u64(skip + unit.len()));
            if let Ok(announced) = Announced::read(&bytes[skip..]) {
                chunk.candidate = Some((as_u64(skip), as_u64(announced.len)));
                break;
            }
        }
        chunk
    }
}
