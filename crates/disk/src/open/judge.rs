//! What is missing from a log, and what that means.
//!
//! A **gap** is a range of positions of which nothing is known: bytes that do not verify within a segment that has no footer,
//! what may have stood behind the last record of such a segment, or a segment whose file is not there. Two things make
//! gaps, and they ask for the opposite:
//!
//! - A power failure keeps, of all that was written but not synced, any part. Nobody was promised any of it; but what lies
//!   *before* the gap was perhaps promised, so it must be kept. What lies behind it is intact and as good as before it.
//! - Something that was durable is lost: a flipped bit, a file that somebody removed. What stood there may have been the
//!   removal of something older, which must not come back. So everything older than the gap is dropped.
//!
//! What was durable is known from the marks that the log carries ([`crate::record::encode_mark`] and the headers of segments): if
//! one says that the log was durable beyond where a gap begins, the gap is loss. What was made durable last may have no mark
//! behind it yet; damage there is taken for a torn write, as damage to the very last record always is.
//!
//! One thing more is known: a segment's header says where the segment before it ended, and how many before it were given up
//! with nothing in them. A segment that lost its footer alone has no gap.

use std::cmp::Ordering;
use std::sync::Arc;

use super::found::Found;
use crate::log::SegmentFile;
use crate::place::Position;
use crate::segment::RECORDS_START;

/// More numbers than this are not missing by a power failure: files of segments are not made so far ahead.
const MISSING_MAX: u64 = 256;

/// The segments of a store, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(super) segments: Vec<Found>,
}

/// A range of positions of which nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) start: Position,
    pub(crate) end: Position,
}

impl Chain {
    /// Adds the next segment. Of the one before, if it is sealed, nobody needs the items any more.
    pub(crate) fn push(&mut self, found: Found) {
        if let Some(last) = self.segments.last_mut().filter(|last| last.scan.is_none()) {
            last.items = Vec::new();
        }
        self.segments.push(found);
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut Found> {
        self.segments.last_mut()
    }

    /// The number of the newest segment; 0 if there is none.
    pub(crate) fn head_seq(&self) -> u64 {
        self.segments.last().map_or(0, |last| last.seq)
    }

    /// The greatest position that a mark names: what stands before was durable once.
    pub(crate) fn synced(&self) -> Position {
        self.segments.iter().map(|found| found.synced).max().unwrap_or_default()
    }

    /// Everything older is to be dropped: something that was durable is lost before it.
    pub(crate) fn floor(&self) -> Option<Position> {
        let synced = self.synced();
        let is_loss = |gap: &Gap| gap.start < synced || gap.end.seq - gap.start.seq > MISSING_MAX;
        self.gaps().into_iter().filter(is_loss).map(|gap| gap.end).max()
    }

    /// All gaps, the one behind the last record among them.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
        let mut gaps = Vec::new();
        for (number, found) in self.segments.iter().enumerate() {
            let next = self.segments.get(number + 1);
            let at = |offset| Position { seq: found.seq, offset };
            let said = Said::by(&self.segments[number + 1..]);
            let known_end = said.map_or(0, |said| said.end_of(found.seq));
            if let Some(scan) = &found.scan {
                let inner = scan.gaps.iter().filter(|gap| known_end == 0 || gap.start < known_end);
                gaps.extend(inner.map(|gap| Gap { start: at(gap.start), end: at(gap.end) }));
            }
            let is_whole = found.scan.is_none() || (known_end > 0 && found.end >= known_end);
            match next {
                Some(next) if !is_whole => {
                    gaps.push(Gap { start: at(found.end), end: Position { seq: next.seq, offset: 0 } });
                }
                // Numbers between that were skipped may as well be missing: if the first was, all were.
                Some(next) if next.seq > found.seq + 1 && !said.is_some_and(|said| said.is_skipped(found.seq + 1)) => {
                    let start = Position { seq: found.seq + 1, offset: 0 };
                    gaps.push(Gap { start, end: Position { seq: next.seq, offset: 0 } });
                }
                Some(_) => {}
                None => gaps.push(Gap { start: at(found.end), end: at(found.end) }),
            }
        }
        gaps
    }

    /// Bytes that are cut off.
    pub(crate) fn torn_bytes(&self) -> u64 {
        let scans = self.segments.iter().filter_map(|found| found.scan.as_ref());
        scans.map(|scan| scan.torn_bytes + scan.gaps.iter().map(|gap| gap.end - gap.start).sum::<u64>()).sum()
    }

    /// Bytes of all files.
    pub(crate) fn used(&self) -> u64 {
        self.segments.iter().map(|found| found.len).sum()
    }

    /// What the log goes on with, and how many bytes that takes.
    pub(crate) fn into_files(self) -> (Vec<Arc<SegmentFile>>, u64) {
        let used = self.used();
        let files = self.segments.into_iter();
        (files.map(|found| Arc::new(SegmentFile::new(found.seq, found.file, found.len))).collect(), used)
    }
}

/// What the first header among later segments says of an earlier one.
#[derive(Clone, Copy, Debug)]
struct Said {
    /// Of that one it says where it ended; those behind it were skipped.
    about: u64,
    end: u64,
}

impl Said {
    fn by(later: &[Found]) -> Option<Said> {
        let (by, previous) = later.iter().find_map(|next| Some((next.seq, next.header.ok()?.previous)))?;
        Some(Said { about: by.saturating_sub(1 + u64::from(previous.skipped)), end: previous.end })
    }

    /// Whether nothing was ever written to the segment `seq`.
    fn is_skipped(self, seq: u64) -> bool {
        seq > self.about
    }

    /// Where the records of the segment `seq` end; 0 if it does not say.
    fn end_of(self, seq: u64) -> u64 {
        match seq.cmp(&self.about) {
            Ordering::Less => 0,
            Ordering::Equal => self.end,
            Ordering::Greater => RECORDS_START,
        }
    }
}
