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
mod head;
mod salvage;
mod space;
mod wait;
mod writer;

pub(crate) use files::{Files, SegmentFile};
pub(crate) use salvage::Unwritten;
pub(crate) use space::Space;
pub(crate) use wait::NotDone;
pub(crate) use writer::{Step, Writer};

use crate::place::Position;
use crate::record::Signed;
use crate::segment::{Footer, Item, RECORDS_START};
use crate::state::Troubles;
use crossbeam_utils::CachePadded;
use head::Head;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

impl Log {
    /// A log that goes on at `resumed`.
    pub(crate) fn new(settings: LogSettings, resumed: Resumed, files: Files, space: Space, latest_ms: u64) -> Log {
        let head = Head::new(&settings, resumed, latest_ms);
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
