//! The head of the log: where records are appended, and from where they are read until they are on the device.
//!
//! Idea: appending is a copy into a block in memory under one lock, 50 to 200 ns for what the device takes microseconds
//! for, so one head suffices for any device. Blocks that are full wait in a queue for the writer
//! ([`writer`]), which is one thread and writes them in order. The head may be several segments ahead of the device: the
//! queue's bound is in bytes, and whoever appends never waits in here.
//!
//! ```text
//!   segment 41 (on the device)   segment 42                      segment 43
//!  | records ... footer |       | written | block | block | end | header, active block
//!                                         ^ written             ^ a footer is due    ^ next
//! ```
//!
//! **Invariants**
//! - Positions only grow: of two records of a key the later one counts. Where a failing segment is given up
//!   ([`salvage`]), what was not written is appended anew, later.
//! - What lies at or behind `written` is in a block here; what lies before it is in the file of its segment, and that file
//!   is in the table of segments before `written` says so.
//! - Lock order: a shard of the index, then the head. Nobody waits for the device while holding either.
//!
//! It knows records as bytes with a footer item, and nothing of the index, of namespaces, or of who may be admitted.

mod files;
mod salvage;
mod space;
mod wait;
mod writer;

pub(crate) use files::{Files, SegmentFile};
pub(crate) use salvage::Unwritten;
pub(crate) use space::Space;
pub(crate) use wait::NotDone;
pub(crate) use writer::{Step, Writer};

use crate::block::AlignedBuffer;
use crate::place::{Position, UNIT};
use crate::record::{self, Draft, HEADER_LEN, MARK_LEN, Signed};
use crate::segment::{FRAME_LEN, Footer, Item, Previous, RECORDS_START, SegmentHeader};
use crate::state::Troubles;
use crossbeam_utils::CachePadded;
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A block goes to the writer when the next record would make it longer than this. A longer record has a block of its own.
const BLOCK_LEN: usize = 256 << 10;
/// What a block allocates: room for padding, too.
const BLOCK_CAPACITY: usize = BLOCK_LEN + (8 << 10);
/// Blocks that are kept for further use when nothing was written for a while. Under load more are kept, half as many
/// bytes as the queue may hold: fresh memory costs as much as all the rest of a put.
const SPARE_AT_REST: usize = 2;

/// Pinned entries are small and few, and worth more than what else waits: so many bytes of them fit beyond the queue's bound.
const PINNED_BEYOND: u64 = 2 << 20;

/// What the head must know of its store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSettings {
    pub(crate) store_id: u64,
    pub(crate) segment_len: u64,
    /// What writes must be aligned to.
    pub(crate) alignment: u64,
    pub(crate) queue_bytes: u64,
}

/// Where the log goes on after opening.
#[derive(Debug)]
pub(crate) struct Resumed {
    /// Behind the last record; a new segment if the offset is 0.
    pub(crate) next: Position,
    /// What the segment has.
    pub(crate) items: Vec<Item>,
    /// The bytes between the last multiple of the alignment and `next`.
    pub(crate) tail: Vec<u8>,
}

/// Why a record was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotAppended {
    /// So much waits already.
    Full,
    Closed,
}

/// Who appends a record: whether the queue's bound holds for it, and whether it is a caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Put,
    /// A pinned entry by a caller: it goes beyond the bound, but no further than [`PINNED_BEYOND`].
    Pinned,
    /// A removal by a caller. It goes beyond the bound, since it must not fail: there are no more than entries.
    Removal,
    /// What must be moved, beyond the bound: pinned entries, and records whose segment failed.
    Moved,
}

impl Source {
    /// What may wait when such a record comes, if the queue is bound to `queue_bytes`.
    fn bound(self, queue_bytes: u64) -> u64 {
        match self {
            Source::Put => queue_bytes,
            Source::Pinned => queue_bytes.saturating_add(PINNED_BEYOND),
            Source::Removal | Source::Moved => u64::MAX,
        }
    }

    fn is_callers(self) -> bool {
        self != Source::Moved
    }
}

/// The head of the log.
pub(crate) struct Log {
    settings: LogSettings,
    head: Mutex<Head>,
    /// For the writer: something is to be done.
    work: Condvar,
    /// For those who wait for the writer: something was done, or will not be.
    progress: Condvar,
    /// Packed. What lies before it is on the device.
    written: CachePadded<AtomicU64>,
    head_seq: AtomicU64,
    pub(crate) files: Files,
    pub(crate) space: Space,
    pub(crate) troubles: Troubles,
}

struct Head {
    next: Position,
    /// Of the segment in which `next` lies.
    items: Vec<Item>,
    active: Block,
    /// Sealed blocks, not written yet, in order.
    queue: VecDeque<Arc<Block>>,
    /// Bytes of the queue and the active block.
    queued_bytes: u64,
    /// Of callers' records so far.
    callers_bytes: u64,
    synced: Position,
    sync_wanted: Position,
    /// As `synced`, but for what nobody waits for any more: what stands before is durable for certain.
    durable: Position,
    /// What stands before was left by an earlier process.
    inherited: Position,
    /// The greatest position that a mark names.
    marked: Position,
    /// Raised when a segment is given up: positions that somebody waits for may never come.
    given_up: u64,
    /// What was given up is being appended again: it stands nowhere for the moment.
    is_moving: bool,
    /// The latest time that was seen, for the segment's footer.
    latest_ms: u64,
    is_closing: bool,
    /// A segment is open for records: always, until the log closes and the writer has ended the last one.
    has_segment: bool,
    /// The writer has ended.
    is_over: bool,
    spare: Vec<AlignedBuffer>,
}

/// Bytes that are written in one piece.
#[derive(Debug, Default)]
struct Block {
    start: Position,
    bytes: AlignedBuffer,
    /// Of these, how many stand before the first record that is new: a header, or what was there before.
    prefix_len: usize,
    /// The segment ends with this block.
    end: Option<SegmentEnd>,
}

/// What a segment is sealed with.
#[derive(Debug)]
struct SegmentEnd {
    items: Vec<Item>,
    records_end: u64,
    latest_ms: u64,
    durable: Position,
}

impl Block {
    fn has_records(&self) -> bool {
        self.bytes.len() > self.prefix_len
    }

    /// Whether something is to be written: records, or the segment's footer.
    fn is_owed(&self) -> bool {
        self.has_records() || self.end.is_some()
    }

    /// The bytes at `at`, if all of them are here.
    fn get(&self, at: Position, len: usize) -> Option<&[u8]> {
        if at.seq != self.start.seq {
            return None;
        }
        let start = usize::try_from(at.offset.checked_sub(self.start.offset)?).ok()?;
        self.bytes.as_slice().get(start..start.checked_add(len)?)
    }
}

impl Log {
    /// A log that goes on at `resumed`.
    pub(crate) fn new(settings: LogSettings, resumed: Resumed, files: Files, space: Space, latest_ms: u64) -> Log {
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
            head.begin_segment(&settings, next.seq, Previous::default());
        } else {
            head.active.bytes.extend_from_slice(&tail);
            head.active.prefix_len = tail.len();
            head.active.start = Position { offset: next.offset - tail.len() as u64, ..next };
        }
        let (written, head_seq) = (AtomicU64::new(head.next.packed()), AtomicU64::new(head.next.seq));
        Log {
            settings,
            head: Mutex::new(head),
            work: Condvar::new(),
            progress: Condvar::new(),
            written: CachePadded::new(written),
            head_seq,
            files,
            space,
            troubles: Troubles::new(),
        }
    }

    pub(crate) fn settings(&self) -> &LogSettings {
        &self.settings
    }

    /// The longest record that a segment takes.
    pub(crate) fn record_len_max(&self) -> u64 {
        self.settings.segment_len - RECORDS_START - Footer::room(1, self.settings.alignment)
    }

    /// Appends a record and says where it stands. Never waits. The caller holds the shard of the index in which the record
    /// is to be found.
    ///
    /// # Errors
    /// The record was not appended.
    pub(crate) fn append(&self, mut record: Signed<'_>, source: Source) -> Result<Position, NotAppended> {
        let len = record.len() as u64;
        let mut head = self.head.lock();
        // What must be moved is moved as long as somebody is there to write it.
        if head.is_over || head.is_closing && source != Source::Moved {
            return Err(NotAppended::Closed);
        }
        if !head.has_room(source.bound(self.settings.queue_bytes), len) {
            return Err(NotAppended::Full);
        }
        if source.is_callers() {
            head.callers_bytes += len;
        }
        let (at, is_sealed) = head.append(&self.settings, &mut record);
        if at.seq != self.head_seq.load(Ordering::Relaxed) {
            self.head_seq.store(at.seq, Ordering::Release);
        }
        drop(head);
        if is_sealed {
            self.work.notify_one();
        }
        Ok(at)
    }

    /// Bytes of callers' records so far: what reclaim's allowance grows by.
    pub(crate) fn callers_bytes(&self) -> u64 {
        self.head.lock().callers_bytes
    }

    /// The time that a store must not fall behind when it is opened again.
    pub(crate) fn saw(&self, now_ms: u64) {
        let mut head = self.head.lock();
        head.latest_ms = head.latest_ms.max(now_ms);
    }

    /// Where the next record will stand, and nothing before this call's begin.
    pub(crate) fn next(&self) -> Position {
        self.head.lock().next
    }

    /// An earlier process said so of what it wrote.
    pub(crate) fn was_durable(&self, durable: Position) {
        let mut head = self.head.lock();
        head.durable = head.durable.max(durable);
    }

    /// The segment of the newest record.
    pub(crate) fn head_seq(&self) -> u64 {
        self.head_seq.load(Ordering::Acquire)
    }

    /// What lies before is in the files.
    pub(crate) fn written(&self) -> Position {
        Position::unpacked(self.written.load(Ordering::Acquire))
    }

    /// What lies before is durable.
    pub(crate) fn durable(&self) -> Position {
        self.head.lock().durable
    }

    /// Whether something of a segment may be durable. Of what an earlier process has left nobody knows: its last sync may have come
    /// behind its last mark, and what a power failure has left is durable without any.
    pub(crate) fn may_be_durable(&self, seq: u64) -> bool {
        let head = self.head.lock();
        head.durable.max(head.inherited) > Position { seq, offset: 0 }
    }

    /// Whether the segment that records are appended to has no footer yet, which tells the time.
    pub(crate) fn has_segment(&self) -> bool {
        self.head.lock().has_segment
    }

    /// Whether records that were not written are on their way to another segment: they may not be found where they were.
    pub(crate) fn is_moving(&self) -> bool {
        self.head.lock().is_moving
    }

    /// Bytes that wait to be written.
    pub(crate) fn queued_bytes(&self) -> u64 {
        let head = self.head.lock();
        // The header of a segment without records waits for nobody.
        if head.is_idle() { 0 } else { head.queued_bytes }
    }

    /// Begins a new segment, whose number this says. What was appended before lies in segments before it.
    pub(crate) fn end_segment(&self) -> u64 {
        let mut head = self.head.lock();
        if !head.items.is_empty() {
            head.end_segment(&self.settings);
            self.head_seq.store(head.next.seq, Ordering::Release);
        }
        let seq = head.next.seq;
        drop(head);
        self.work.notify_one();
        seq
    }

    /// No more is appended. What waits is written, the segment is ended, and the writer with it.
    pub(crate) fn close(&self) {
        self.head.lock().is_closing = true;
        self.work.notify_all();
        self.progress.notify_all();
    }

    /// Copies what is not in a file yet; `None` if it is.
    pub(crate) fn read_pending(&self, at: Position, len: usize) -> Option<Vec<u8>> {
        let block = {
            let head = self.head.lock();
            if let Some(bytes) = head.active.get(at, len) {
                return Some(bytes.to_vec());
            }
            let index = head.queue.partition_point(|block| block.start <= at).checked_sub(1)?;
            Arc::clone(&head.queue[index])
        };
        block.get(at, len).map(<[u8]>::to_vec)
    }
}

impl Head {
    /// Whether nothing waits to be written.
    fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.active.has_records()
    }

    /// Whether the queue takes a record of so many bytes. Where nothing waits it takes any: one may be longer than the bound.
    fn has_room(&self, bound: u64, len: u64) -> bool {
        self.queued_bytes + len <= bound || self.is_idle()
    }

    /// Where the record went, and whether a block is ready for the writer.
    fn append(&mut self, settings: &LogSettings, record: &mut Signed<'_>) -> (Position, bool) {
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
    fn seal(&mut self, settings: &LogSettings) {
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
    fn end_segment(&mut self, settings: &LogSettings) {
        self.finish_segment(settings);
        self.begin_segment(settings, self.next.seq + 1, Previous { end: self.next.offset, skipped: 0 });
    }

    /// The segment takes no more records. The writer learns it by the last block, which may be empty.
    fn finish_segment(&mut self, settings: &LogSettings) {
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

    fn begin_segment(&mut self, settings: &LogSettings, seq: u64, previous: Previous) {
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
    fn owes_before(&self, target: Position) -> bool {
        let owed = |block: &Block| block.is_owed() && block.start < target;
        self.queue.iter().any(|block| owed(block)) || owed(&self.active)
    }

    /// Everything before is in files, and the segments before are sealed.
    fn written_to(&self) -> Position {
        let mut owed = self.queue.iter().map(|block| &**block).chain([&self.active]).filter(|block| block.is_owed());
        owed.next().map_or(self.next, |block| block.start)
    }

    /// Takes a block that is written out of the queue.
    fn written(&mut self, block: &Arc<Block>) {
        let is_first = self.queue.front().is_some_and(|first| Arc::ptr_eq(first, block));
        debug_assert!(is_first, "blocks are written in order");
        if is_first {
            self.queue.pop_front();
            self.queued_bytes = self.queued_bytes.saturating_sub(block.bytes.len() as u64 - block.old_len());
        }
    }

    /// Keeps a buffer for a later block.
    fn spare(&mut self, settings: &LogSettings, mut bytes: AlignedBuffer) {
        let kept = ((self.spare.len() + 1) * BLOCK_CAPACITY) as u64;
        if kept <= settings.queue_bytes / 2 && bytes.capacity() <= BLOCK_CAPACITY {
            bytes.clear();
            self.spare.push(bytes);
        }
    }
}

impl Block {
    /// Bytes that were on the device before: the tail of a segment that was opened again.
    fn old_len(&self) -> u64 {
        if self.start.offset == 0 { 0 } else { self.prefix_len as u64 }
    }
}
