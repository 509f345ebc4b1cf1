//! Writing entries again: read in the order of the log, several at a time, verified, and appended where they still count.

use super::Reclaim;
use super::choice::cooled;
use crate::index::Entry;
use crate::log::{NotAppended, SegmentFile, Source};
use crate::place::{Position, UNIT};
use crate::record::{self, Record};
use crate::segment::Item;
use crate::store::Core;
use std::sync::atomic::Ordering;

/// Bytes that are read at a time, unless a single record is longer.
const SPAN_LEN: u64 = 256 << 10;
/// Two records that are further apart are read each by itself.
const GAP_MAX: u64 = 16 << 10;

/// What became of entries that were to be carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Carried {
    pub(super) bytes: u64,
    /// The log takes no more: not all that should were carried.
    pub(super) is_closed: bool,
}

impl Reclaim {
    /// Appends those of the items that still count.
    pub(super) fn carry(&self, core: &Core, segment: &SegmentFile, items: &[Item]) -> Carried {
        let mut carried = Carried::default();
        let mut buffer = Vec::new();
        for span in items.chunk_by(follows()) {
            let (Some(first), Some(last)) = (span.first(), span.last()) else { continue };
            let len = usize::try_from(last.offset + last.len - first.offset).unwrap_or(usize::MAX);
            buffer.resize(len, 0);
            if let Err(error) = segment.file.read_at(&mut buffer, first.offset) {
                core.counts.errors.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(segment = segment.seq, %error, "live entries cannot be read, and go with their segment");
                continue;
            }
            for item in span {
                let start = usize::try_from(item.offset - first.offset).unwrap_or(usize::MAX);
                let at = Position { seq: segment.seq, offset: item.offset };
                match self.carry_one(core, at, buffer.get(start..).unwrap_or_default()) {
                    Ok(bytes) => carried.bytes += bytes,
                    Err(_) => return Carried { is_closed: true, ..carried },
                }
            }
        }
        carried
    }

    fn carry_one(&self, core: &Core, at: Position, bytes: &[u8]) -> Result<u64, NotAppended> {
        let record = match Record::decode(bytes, record::mask(core.store_id, at)) {
            Ok(record) => record,
            Err(damaged) => {
                tracing::warn!(segment = at.seq, offset = at.offset, %damaged, "a live entry goes with its segment");
                return Ok(0);
            }
        };
        let hash = record.hash;
        let signed = record.draft().sign();
        let _held = self.hold_moves();
        let mut shard = core.index.shard(hash);
        let Some(entry) = shard.get(hash).filter(|entry| entry.place == at.place()) else { return Ok(0) };
        if !core.namespaces.counts(entry.namespace, at) {
            return Ok(0);
        }
        // Beyond the queue's bound: the writer may be waiting for this very segment.
        let moved = core.log.append(signed, Source::Moved)?;
        shard.insert(hash, Entry { place: moved.place(), heat: cooled(entry.heat), ..entry });
        let bytes = u64::from(entry.len_units) * UNIT;
        let tally = shard.tally();
        tally.reinserted += 1;
        tally.reinserted_bytes += bytes;
        Ok(bytes)
    }
}

/// Whether an item is read together with the one before, asked in their order.
fn follows() -> impl FnMut(&Item, &Item) -> bool {
    let mut start = None;
    move |before, item| {
        let from = *start.get_or_insert(before.offset);
        let end = before.offset + before.len;
        let is_near = item.offset.saturating_sub(end) <= GAP_MAX && item.offset + item.len - from <= SPAN_LEN;
        if !is_near {
            start = Some(item.offset);
        }
        is_near
    }
}
