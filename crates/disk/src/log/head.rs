//! What the log's lock holds: where the next record goes, what waits to be written, and up to where all is written, and durable.
//!
//! **Invariant:** the queue and the active block follow one upon the other without a gap; a segment ends with a block that says so.

use super::{LogSettings, Resumed};
use crate::block::AlignedBuffer;
use crate::place::{Position, UNIT};
use crate::record::{self, Draft, HEADER_LEN, MARK_LEN, Signed};
use crate::segment::{FRAME_LEN, Footer, Item, Previous, RECORDS_START, SegmentHeader};
use std::collections::VecDeque;
use std::sync::Arc;

/// A block goes to the writer when the next record would make it longer than this. A longer record has a block of its own.
const BLOCK_LEN: usize = 256 << 10;
/// What a block allocates: room for padding, too.
const BLOCK_CAPACITY: usize = BLOCK_LEN + (8 << 10);
/// Blocks that are kept for further use when nothing was written for a while. Under load more are kept, half as many
/// bytes as the queue may hold: fresh memory costs as much as all the rest of a put.
pub(super) const SPARE_AT_REST: usize = 2;

/// The head of the log, under its lock.
pub(super) struct Head {
    pub(super) next: Position,
    /// Of the segment in which `next` lies.
    pub(super) items: Vec<Item>,
    pub(super) active: Block,
    /// Sealed blocks, not written yet, in order.
    pub(super) queue: VecDeque<Arc<Block>>,
    /// Bytes of the queue and the active block.
    pub(super) queued_bytes: u64,
    /// Of callers' records so far.
    pub(super) callers_bytes: u64,
    pub(super) synced: Position,
    pub(super) sync_wanted: Position,
    /// As `synced`, but for what nobody waits for any more: what stands before is durable for certain.
    pub(super) durable: Position,
    /// What stands before was left by an earlier process.
    pub(super) inherited: Position,
    /// The greatest position that a mark names.
    pub(super) marked: Position,
    /// Raised when a segment is given up: positions that somebody waits for may never come.
    pub(super) given_up: u64,
    /// What was given up is being appended again: it stands nowhere for the moment.
    pub(super) is_moving: bool,
    /// The latest time that was seen, for the segment's footer.
    pub(super) latest_ms: u64,
    pub(super) is_closing: bool,
    /// A segment is open for records: always, until the log closes and the writer has ended the last one.
    pub(super) has_segment: bool,
    /// The writer has ended.
    pub(super) is_over: bool,
    pub(super) spare: Vec<AlignedBuffer>,
}

/// Bytes that are written in one piece.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) start: Position,
    pub(super) bytes: AlignedBuffer,
    /// Of these, how many stand before the first record that is new: a header, or what was there before.
    pub(super) prefix_len: usize,
    /// The segment ends with this block.
    pub(super) end: Option<SegmentEnd>,
}

/// What a segment is sealed with.
#[derive(Debug)]
pub(super) struct SegmentEnd {
    pub(super) items: Vec<Item>,
    pub(super) records_end: u64,
    pub(super) latest_ms: u64,
    pub(super) durable: Position,
}

impl Block {
    pub(super) fn has_records(&self) -> bool {
        self.bytes.len() > self.prefix_len
    }

    /// Whether something is to be written: records, or the segment's footer.
    pub(super) fn is_owed(&self) -> bool {
        self.has_records() || self.end.is_some()
    }

    /// The bytes at `at`, if all of them are here.
    pub(super) fn get(&self, at: Position, len: usize) -> Option<&[u8]> {
        if at.seq != self.start.seq {
            return None;
        }
        let start = usize::try_from(at.offset.checked_sub(self.start.offset)?).ok()?;
        self.bytes.as_slice().get(start..start.checked_add(len)?)
    }

    /// Bytes that were on the device before: the tail of a segment that was opened again.
    pub(super) fn old_len(&self) -> u64 {
        if self.start.offset == 0 { 0 } else { self.prefix_len as u64 }
    }
}

impl Head {
    /// The head of a log that goes on at `resumed`.
    pub(super) fn new(settings: &LogSettings, resumed: Resumed, latest_ms: u64) -> Head {
        let Resumed { next, items, tail } = resumed;
        let mut head = Head {
            next,
            items,
            active: Block::default(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            callers_bytes: 0,
            // What an earlier process has left may not be durable.
            synced: Position::default(),
            sync_wanted: Position::default(),
            durable: Position::default(),
            inherited: next,
            marked: Position::default(),
            given_up: 0,
            is_moving: false,
            latest_ms,
            is_closing: false,
            has_segment: true,
            is_over: false,
            spare: Vec::new(),
        };
        if next.offset == 0 {
            head.begin_segment(settings, next.seq, Previous::default());
        } else {
            head.active.bytes.extend_from_slice(&tail);
            head.active.prefix_len = tail.len();
            head.active.start = Position { offset: next.offset - tail.len() as u64, ..next };
        }
        head
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.active.has_records()
    }

    /// Whether the queue takes a record of so many bytes. Where nothing waits it takes any: one may be longer than the bound.
    pub(super) fn has_room(&self, bound: u64, len: u64) -> bool {
        self.queued_bytes + len <= bound || self.is_idle()
    }

    /// Where the record went, and whether a block is ready for the writer.
    pub(super) fn append(&mut self, settings: &LogSettings, record: &mut Signed<'_>) -> (Position, bool) {
        let len = record.len() as u64;
        let mut is_sealed = false;
        if !self.has_segment {
            self.begin_segment(settings, self.next.seq + 1, Previous { end: self.next.offset, skipped: 0 });
        }
        if self.next.offset + len + Footer::room(self.items.len() + 1, settings.alignment) > settings.segment_len {
            self.end_segment(settings);
            is_sealed = true;
        } else if self.active.bytes.len() + record.len() > BLOCK_LEN {
            self.seal(settings);
            is_sealed = true;
        }
        let at = self.next;
        self.active.bytes.reserve(record.len());
        for part in record.placed(record::mask(settings.store_id, at)) {
            self.active.bytes.extend_from_slice(part);
        }
        let Draft { hash, expires_ms, kind, is_pinned, namespace, .. } = *record.draft();
        self.items.push(Item { hash, expires_ms, kind, is_pinned, offset: at.offset, len, namespace });
        self.queued_bytes += len;
        self.next.offset += len;
        (at, is_sealed)
    }

    /// Hands the active block to the writer, if anything is in it.
    pub(super) fn seal(&mut self, settings: &LogSettings) {
        if !self.active.has_records() {
            return;
        }
        self.pad(settings);
        let bytes = self.spare.pop().unwrap_or_else(|| AlignedBuffer::with_capacity(BLOCK_CAPACITY));
        let fresh = Block { start: self.next, bytes, prefix_len: 0, end: None };
        let sealed = std::mem::replace(&mut self.active, fresh);
        self.queue.push_back(Arc::new(sealed));
    }

    /// Hands over what the segment still has, to be followed by its footer, and begins the next one.
    pub(super) fn end_segment(&mut self, settings: &LogSettings) {
        self.finish_segment(settings);
        self.begin_segment(settings, self.next.seq + 1, Previous { end: self.next.offset, skipped: 0 });
    }

    /// The segment takes no more records. The writer learns it by the last block, which may be empty.
    pub(super) fn finish_segment(&mut self, settings: &LogSettings) {
        if self.active.has_records() {
            self.pad(settings);
        }
        let items = std::mem::take(&mut self.items);
        let (records_end, latest_ms, durable) = (self.next.offset, self.latest_ms, self.durable);
        let end = SegmentEnd { items, records_end, latest_ms, durable };
        let mut sealed = std::mem::take(&mut self.active);
        self.has_segment = false;
        sealed.end = Some(end);
        self.queue.push_back(Arc::new(sealed));
    }

    pub(super) fn begin_segment(&mut self, settings: &LogSettings, seq: u64, previous: Previous) {
        let (store_id, created_ms) = (settings.store_id, self.latest_ms);
        let header = SegmentHeader { store_id, seq, created_ms, synced: self.durable, previous };
        self.marked = self.durable;
        self.has_segment = true;
        let mut bytes = self.spare.pop().unwrap_or_else(|| AlignedBuffer::with_capacity(BLOCK_CAPACITY));
        bytes.extend_from_slice(&header.encode());
        self.queued_bytes += RECORDS_START;
        self.active = Block { start: Position { seq, offset: 0 }, bytes, prefix_len: FRAME_LEN, end: None };
        self.next = Position { seq, offset: RECORDS_START };
    }

    /// Fills the active block up to where the device lets the next one begin, with a mark if there is something to say.
    fn pad(&mut self, settings: &LogSettings) {
        let is_mark_due = self.durable > self.marked;
        let mut gap = (settings.alignment - self.next.offset % settings.alignment) % settings.alignment;
        if gap == 0 && !is_mark_due {
            return;
        }
        let len_min = if is_mark_due { MARK_LEN } else { HEADER_LEN };
        while gap < len_min as u64 {
            gap += settings.alignment.max(UNIT);
        }
        let mut padding = Vec::new();
        record::encode_mark(usize::try_from(gap).unwrap_or(MARK_LEN), self.durable, &mut padding);
        record::place(&mut padding, record::mask(settings.store_id, self.next));
        self.active.bytes.extend_from_slice(&padding);
        self.queued_bytes += gap;
        self.next.offset += gap;
        if is_mark_due {
            self.marked = self.durable;
        }
    }

    /// Whether a record before `target` is not in a file yet, or a segment that ends before it has no footer.
    pub(super) fn owes_before(&self, target: Position) -> bool {
        let owed = |block: &Block| block.is_owed() && block.start < target;
        self.queue.iter().any(|block| owed(block)) || owed(&self.active)
    }

    /// Everything before is in files, and the segments before are sealed.
    pub(super) fn written_to(&self) -> Position {
        let mut owed = self.queue.iter().map(|block| &**block).chain([&self.active]).filter(|block| block.is_owed());
        owed.next().map_or(self.next, |block| block.start)
    }

    /// Takes a block that is written out of the queue.
    pub(super) fn written(&mut self, block: &Arc<Block>) {
        let is_first = self.queue.front().is_some_and(|first| Arc::ptr_eq(first, block));
        debug_assert!(is_first, "blocks are written in order");
        if is_first {
            self.queue.pop_front();
            self.queued_bytes = self.queued_bytes.saturating_sub(block.bytes.len() as u64 - block.old_len());
        }
    }

    /// Keeps a buffer for a later block.
    pub(super) fn spare(&mut self, settings: &LogSettings, mut bytes: AlignedBuffer) {
        let kept = ((self.spare.len() + 1) * BLOCK_CAPACITY) as u64;
        if kept <= settings.queue_bytes / 2 && bytes.capacity() <= BLOCK_CAPACITY {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}
