//! The files of segments, oldest first: a table that readers take without a lock.
//!
//! **Invariants:** the numbers are contiguous; files come at the new end and go at the old one, and only there.

use crate::device::DeviceFile;
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A segment that has a file.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    pub(crate) seq: u64,
    pub(crate) file: Arc<dyn DeviceFile>,
    /// Of the file.
    len: AtomicU64,
}

impl SegmentFile {
    pub(crate) fn new(seq: u64, file: Arc<dyn DeviceFile>, len: u64) -> SegmentFile {
        SegmentFile { seq, file, len: AtomicU64::new(len) }
    }

    /// The file's length in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    pub(crate) fn set_len(&self, len: u64) {
        self.len.store(len, Ordering::Relaxed);
    }
}

/// All segments with files.
#[derive(Debug, Default)]
pub(crate) struct Table {
    segments: Vec<Arc<SegmentFile>>,
}

impl Table {
    /// The segment of that number.
    pub(crate) fn get(&self, seq: u64) -> Option<&Arc<SegmentFile>> {
        let first = self.segments.first()?.seq;
        self.segments.get(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    pub(crate) fn oldest(&self) -> Option<&Arc<SegmentFile>> {
        self.segments.first()
    }

    pub(crate) fn len(&self) -> usize {
        self.segments.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<SegmentFile>> {
        self.segments.iter()
    }
}

/// The table, and how it changes.
#[derive(Debug)]
pub(crate) struct Files {
    table: ArcSwap<Table>,
}

impl Files {
    /// In order of their numbers.
    pub(crate) fn new(segments: Vec<Arc<SegmentFile>>) -> Files {
        Files { table: ArcSwap::from_pointee(Table { segments }) }
    }

    /// The table as it is now. What is in it stays readable as long as it is held.
    pub(crate) fn load(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    /// A new segment, numbered one above the newest.
    pub(crate) fn push(&self, segment: &Arc<SegmentFile>) {
        self.table.rcu(|table| {
            let mut segments = Vec::with_capacity(table.segments.len() + 1);
            segments.extend(table.segments.iter().cloned());
            segments.push(Arc::clone(segment));
            Table { segments }
        });
    }

    /// Takes the oldest segment out, if it is that one.
    pub(crate) fn pop(&self, seq: u64) {
        self.table.rcu(|table| {
            let skipped = usize::from(table.oldest().is_some_and(|oldest| oldest.seq == seq));
            Table { segments: table.segments[skipped..].to_vec() }
        });
    }
}
