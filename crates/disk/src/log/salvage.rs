//! What becomes of records that are not written when their segment fails for good.
//!
//! They leave the queue, the head goes on in a new segment, and whoever knows which of them still count (the store: it has
//! the index) appends those again. Between the two, a read of one of them finds nothing: a miss, as a cache may have.
//! No position comes twice, though the log may have run ahead of the segment that failed: it goes on behind all that was ever
//! appended, or a clear, a sync that somebody waits for, and an entry that is still to be moved would be about other records
//! than they mean. And the chain of files must have no gap, so numbers that never got a file get an empty segment. Opening must
//! not take the end of the one that was given up for one that is lost, so the next header says where it is.

use super::Log;
use super::head::Block;
use crate::place::Position;
use crate::record::{self, Kind, Record};
use crate::segment::{Previous, SegmentHeader};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Records that were not written.
pub(crate) struct Unwritten {
    blocks: Vec<Arc<Block>>,
    store_id: u64,
}

impl Log {
    /// Ends the segment that is written to as it is, and begins another one with nothing in it. Until [`moved`](Log::moved) is
    /// called, nobody is told that something is written.
    pub(crate) fn give_up(&self) -> Unwritten {
        let mut head = self.head.lock();
        // What stands before this is in the file; what stands behind it is moved, and nobody will miss it there.
        let unwritten_from = if head.has_segment { head.active.start } else { head.next };
        let failed_at = head.queue.front().map_or(unwritten_from, |block| block.start);
        let (failed, newest) = (failed_at.seq, head.next.seq);
        let mut blocks: Vec<Arc<Block>> = head.queue.drain(..).collect();
        blocks.push(Arc::new(std::mem::take(&mut head.active)));
        let said =
            blocks.first().and_then(|block| block.header()).map_or_else(Previous::default, |header| header.previous);
        head.items.clear();
        head.queued_bytes = 0;
        head.given_up += 1;
        head.is_moving = true;
        let (first, previous) = match self.files.load().get(failed) {
            Some(_) if failed_at.offset > 0 => {
                let old_len = blocks.first().map_or(0, |block| block.old_len());
                (failed + 1, Previous { end: failed_at.offset + old_len, skipped: 0 })
            }
            // Its header is not in the file: the next one says what it would have said.
            Some(_) => (failed + 1, Previous { skipped: said.skipped.saturating_add(1), ..said }),
            // It has its turn now.
            None => (failed, said),
        };
        head.begin_segment(&self.settings, first, previous);
        while head.next.seq <= newest {
            head.end_segment(&self.settings);
        }
        self.head_seq.store(head.next.seq, Ordering::Release);
        self.written.store(head.written_to().packed(), Ordering::Release);
        drop(head);
        self.progress.notify_all();
        Unwritten { blocks, store_id: self.settings.store_id }
    }

    /// What was given up has been appended again, as far as it counts.
    pub(crate) fn moved(&self) {
        self.head.lock().is_moving = false;
        self.progress.notify_all();
    }

    /// How many values wait to be written: when the writer has ended, they are lost.
    pub(crate) fn unwritten_values(&self) -> u64 {
        let head = self.head.lock();
        let mut count = 0;
        for block in head.queue.iter().map(|block| &**block).chain([&head.active]) {
            block.each(self.settings.store_id, |_, record| count += u64::from(record.kind == Kind::Value));
        }
        count
    }
}

impl Unwritten {
    /// Shows each record with the place that it had, in the order in which they were appended.
    pub(crate) fn each(&self, mut show: impl FnMut(Position, &Record<'_>)) {
        self.blocks.iter().for_each(|block| block.each(self.store_id, &mut show));
    }
}

impl Block {
    /// The header of its segment, if it begins with that.
    fn header(&self) -> Option<SegmentHeader> {
        let bytes = self.bytes.as_slice().first_chunk().filter(|_| self.start.offset == 0)?;
        SegmentHeader::decode(*bytes).ok()
    }

    fn each(&self, store_id: u64, mut show: impl FnMut(Position, &Record<'_>)) {
        let mut at = self.prefix_len;
        while let Some(bytes) = self.bytes.as_slice().get(at..).filter(|bytes| !bytes.is_empty()) {
            let position = Position { seq: self.start.seq, offset: self.start.offset + at as u64 };
            let Ok(record) = Record::decode(bytes, record::mask(store_id, position)) else { break };
            show(position, &record);
            at += record.len;
        }
    }
}
