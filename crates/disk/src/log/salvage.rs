//! What becomes of records that are not written when their segment fails for good.
//!
//! They leave the queue, the head goes on in a new segment, and whoever knows which of them still count (the store: it has
//! the index) appends those again. Between the two, a read of one of them finds nothing: a miss, as a cache may have.
//! The numbers of segments that never got a file are used again, since the chain of files must have no gap.

use super::{Block, Log};
use crate::place::Position;
use crate::record::{self, Kind, Record};
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
        let failed_at = head.queue.front().map_or(head.active.start, |block| block.start);
        let failed = failed_at.seq;
        let mut blocks: Vec<Arc<Block>> = head.queue.drain(..).collect();
        blocks.push(Arc::new(std::mem::take(&mut head.active)));
        head.items.clear();
        head.queued_bytes = 0;
        head.given_up += 1;
        head.is_moving = true;
        head.begin_segment(&self.settings, failed + 1, failed_at.offset);
        // The log may have been further ahead: nobody waits for positions that may never come.
        head.synced = head.synced.min(head.next);
        head.sync_wanted = head.sync_wanted.min(head.next);
        self.head_seq.store(failed + 1, Ordering::Release);
        self.written.store(head.next.packed(), Ordering::Release);
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
