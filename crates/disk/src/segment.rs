//! A segment: one file of the log, and how it is read.
//!
//! ```text
//!  0        64                          records end         footer            end of the file
//!  | header | record | record | ... ... | zeros, if aligned | item | item | ... | trailer |     sealed
//!  | header | record | record | ...     | zeros up to the length that was allotted        |     being written
//! ```
//!
//! A footer says of every value and tombstone of the segment where it stands, so that opening a store reads the footers
//! and not the data. A segment without one (it was being written when the process ended) is scanned record by record.
//!
//! Invariants: header, footer and each record carry the store's and the segment's identity in what their checksums cover,
//! so that a file under another name, of another store or out of a backup is named as such and never read as this one.
//! Whatever bytes a file holds, reading it does not panic, and allocates no more than the file is long.
//!
//! It knows nothing of the index, of who writes and of what a lost record means: [`crate::open`] decides that.

mod footer;
mod frame;
mod scan;
#[cfg(test)]
pub(crate) mod tests;

use std::io;

pub(crate) use footer::{Footer, Item, NoFooter, read_footer};
pub(crate) use frame::{FRAME_LEN, Frame, Refused};
pub(crate) use scan::{Scan, check_records, scan};

use crate::device::DeviceFile;
use crate::place::{Position, UNIT};

/// The version of the format that this program writes, in segments and in the manifest.
pub(crate) const VERSION: u32 = 1;
/// Where the first record of a segment stands.
pub(crate) const RECORDS_START: u64 = 64;

/// No segment has a greater number, so that a position fits into 64 bits: enough for a thousand segments a second, for a year.
pub(crate) const SEQ_MAX: u64 = 1 << 35;
/// No segment is longer: an offset in units has 24 bits.
pub(crate) const SEGMENT_LEN_MAX: u64 = 256 << 20;

const MAGIC: [u8; 8] = *b"SJ-SEGMT";
const NAME_START: &str = "segment-";
const NAME_DIGITS: usize = 16;

/// The name of a segment's file.
pub(crate) fn file_name(seq: u64) -> String {
    format!("{NAME_START}{seq:0NAME_DIGITS$}")
}

/// Whose file it is by its name; `None` if it is no segment's.
pub(crate) fn seq_of_name(name: &str) -> Option<u64> {
    let seq = name.strip_prefix(NAME_START)?.parse().ok()?;
    (seq <= SEQ_MAX && file_name(seq) == name).then_some(seq)
}

/// Which segment of which store it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) store_id: u64,
    pub(crate) seq: u64,
}

/// The first bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) store_id: u64,
    pub(crate) seq: u64,
    /// Unix milliseconds.
    pub(crate) created_ms: u64,
    /// Up to where the log was durable when the segment was begun.
    pub(crate) synced: Position,
    pub(crate) previous: Previous,
}

/// What a segment says of those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Previous {
    /// Where the records of the one before it ended, of which nothing came behind; 0 if nobody knows.
    pub(crate) end: u64,
    /// So many directly before it were given up before they had a header, and hold nothing: `end` is about the one before those.
    pub(crate) skipped: u32,
}

impl SegmentHeader {
    /// As it stands in the file.
    pub(crate) fn encode(&self) -> [u8; FRAME_LEN] {
        let mut frame = Frame::new(MAGIC);
        frame.set_u64(16, self.store_id);
        frame.set_u64(24, self.seq);
        frame.set_u64(32, self.created_ms);
        frame.set_u64(40, self.synced.seq);
        frame.set_u64(48, self.synced.offset);
        frame.set_u32(12, self.previous.skipped);
        frame.set_u32(56, u32::try_from(self.previous.end / UNIT).unwrap_or(0));
        frame.seal()
    }

    /// Reads what [`encode`](Self::encode) wrote.
    pub(crate) fn decode(bytes: [u8; FRAME_LEN]) -> Result<SegmentHeader, Refused> {
        let frame = Frame::open(bytes, MAGIC)?;
        let synced = Position { seq: frame.u64(40), offset: frame.u64(48) };
        let previous = Previous { end: u64::from(frame.u32(56)) * UNIT, skipped: frame.u32(12) };
        Ok(SegmentHeader { store_id: frame.u64(16), seq: frame.u64(24), created_ms: frame.u64(32), synced, previous })
    }

    /// The header of a segment's file, if it is the segment that its name says.
    ///
    /// # Errors
    /// What the device says. A file that is too short for a header is blank.
    pub(crate) fn read(file: &dyn DeviceFile, identity: Identity) -> io::Result<Result<SegmentHeader, Refused>> {
        if file.len()? < RECORDS_START {
            return Ok(Err(Refused::Blank));
        }
        let mut bytes = [0; FRAME_LEN];
        file.read_at(&mut bytes, 0)?;
        Ok(SegmentHeader::decode(bytes).and_then(|header| header.check(identity)))
    }

    fn check(self, identity: Identity) -> Result<SegmentHeader, Refused> {
        if self.store_id != identity.store_id {
            return Err(Refused::OtherStore(self.store_id));
        }
        if self.seq != identity.seq {
            return Err(Refused::OtherSegment(self.seq));
        }
        Ok(self)
    }
}
