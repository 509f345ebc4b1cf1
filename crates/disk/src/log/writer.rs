//! The writer: one thread that brings blocks to the device in order, ends segments, and makes things durable.
//!
//! It waits for space (which reclaim makes), for the bandwidth that it may use, and for a device that fails: it tries again
//! for as long as the store is open, with growing pauses, while what is put waits in the queue or is dropped as the caller
//! wishes. A segment that fails again and again is given up, and what was not written goes to the next one
//! ([`salvage`](super::salvage)).

use super::head::{Block, SPARE_AT_REST, SegmentEnd};
use super::{Log, SegmentFile};
use crate::bandwidth::Bandwidth;
use crate::block::AlignedBuffer;
use crate::clock;
use crate::device::Device;
use crate::options::Sync;
use crate::segment::{self, Footer, Identity, RECORDS_START};
use crate::stats::WriterCounts;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Pauses between attempts.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How often the writer looks for space, if reclaim does not say that there is some.
const SPACE_LOOK: Duration = Duration::from_millis(100);
/// Attempts after which a segment is given up, and those after which a store that closes gives up everything.
const ATTEMPTS_MAX: u32 = 3;
/// Attempts on a device that is full after which that is a failure: it is somebody else who fills it.
const FULL_ATTEMPTS: u32 = 20;

/// What the writer has to do next.
enum Task {
    Write(Arc<Block>),
    /// Make durable what is written.
    Sync,
    End,
}

/// What became of a block.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Done,
    /// Everything not written is to be moved to a new segment.
    GiveUp,
    /// The store is closed, or closes and the device fails.
    End,
}

/// The writer's own state.
pub(crate) struct Writer {
    log: Arc<Log>,
    device: Arc<dyn Device>,
    sync: Sync,
    flush_interval: Duration,
    stall_after: Duration,
    counts: Arc<WriterCounts>,
    bandwidth: Option<Bandwidth>,
    /// The segment that is written to.
    current: Option<Arc<SegmentFile>>,
    /// Written to since the last sync.
    unsynced: Vec<Arc<SegmentFile>>,
    is_folder_unsynced: bool,
    flushed_at: Duration,
    synced_at: Duration,
    failures: u32,
    /// The device was full when it was last asked for a segment.
    is_full: bool,
    /// Segments given up since the last block that was written.
    losses: u32,
    /// The sync of a store that closes was tried.
    is_last_synced: bool,
}

impl Writer {
    pub(crate) fn new(
        log: Arc<Log>,
        device: Arc<dyn Device>,
        options: &crate::Options,
        counts: Arc<WriterCounts>,
    ) -> Writer {
        let now = clock::monotonic();
        // What an earlier process has written may not be durable yet: the first sync is of everything.
        let unsynced = log.files.load().iter().cloned().collect();
        Writer {
            log,
            device,
            sync: options.sync,
            flush_interval: options.flush_interval,
            stall_after: options.stall_after,
            counts,
            bandwidth: options.bandwidth.map(Bandwidth::new),
            current: None,
            unsynced,
            is_folder_unsynced: true,
            flushed_at: now,
            synced_at: now,
            failures: 0,
            is_full: false,
            losses: 0,
            is_last_synced: false,
        }
    }

    /// Works until there is something that only the store can do, or nothing any more.
    pub(crate) fn run(&mut self) -> Step {
        loop {
            let step = match self.next() {
                Task::Write(block) => {
                    let step = self.write(&block);
                    self.reuse(block);
                    step
                }
                Task::Sync => self.make_durable(),
                Task::End => Step::End,
            };
            if step != Step::Done {
                return step;
            }
        }
    }

    /// The writer has ended: nobody is to wait for it.
    pub(crate) fn over(&self) {
        let mut head = self.log.head.lock();
        head.is_over = true;
        head.is_closing = true;
        drop(head);
        self.log.progress.notify_all();
    }

    fn next(&mut self) -> Task {
        let log = Arc::clone(&self.log);
        let mut head = log.head.lock();
        loop {
            if let Some(block) = head.queue.front() {
                return Task::Write(Arc::clone(block));
            }
            if head.sync_wanted > head.synced && !head.owes_before(head.sync_wanted) {
                return Task::Sync;
            }
            let now = clock::monotonic();
            if head.is_closing {
                if head.active.has_records() || !head.items.is_empty() {
                    head.finish_segment(&log.settings);
                    continue;
                }
                if self.owes_last_sync() {
                    head.sync_wanted = head.next;
                    return Task::Sync;
                }
                head.is_over = true;
                return Task::End;
            }
            if now.saturating_sub(self.flushed_at) >= self.flush_interval {
                self.flushed_at = now;
                head.seal(&log.settings);
                if !head.queue.is_empty() {
                    continue;
                }
                head.spare.truncate(SPARE_AT_REST);
            }
            if self.is_sync_due(now) {
                self.synced_at = now;
                if !self.unsynced.is_empty() || head.active.has_records() {
                    head.seal(&log.settings);
                    head.sync_wanted = head.next;
                    continue;
                }
            }
            log.work.wait_for(&mut head, self.until_due(now));
        }
    }

    /// Whether a store that closes is to be made durable; once.
    fn owes_last_sync(&mut self) -> bool {
        let is_owed = self.sync != Sync::None && (!self.unsynced.is_empty() || self.is_folder_unsynced);
        is_owed && !std::mem::replace(&mut self.is_last_synced, true)
    }

    fn is_sync_due(&self, now: Duration) -> bool {
        matches!(self.sync, Sync::Periodic(period) if now.saturating_sub(self.synced_at) >= period)
    }

    fn until_due(&self, now: Duration) -> Duration {
        let flush = (self.flushed_at + self.flush_interval).saturating_sub(now);
        let sync = match self.sync {
            Sync::Periodic(period) => (self.synced_at + period).saturating_sub(now),
            Sync::None | Sync::Each => flush,
        };
        flush.min(sync).max(Duration::from_millis(1))
    }

    /// Writes a block, however long it takes.
    fn write(&mut self, block: &Arc<Block>) -> Step {
        let began = clock::monotonic();
        loop {
            let error = match self.try_write(block) {
                Ok(true) => break,
                Ok(false) => {
                    // No space yet: reclaim knows, and says when there is. It may wait for this thread just now.
                    drop(self.log.head.lock());
                    self.log.progress.notify_all();
                    self.log.space.wait(SPACE_LOOK);
                    let waited = clock::monotonic().saturating_sub(began);
                    if waited >= self.stall_after && self.is_closing() { return Step::End } else { continue }
                }
                Err(error) => error,
            };
            self.failures += 1;
            self.counts.errors.fetch_add(1, Ordering::Relaxed);
            if error.kind() == io::ErrorKind::StorageFull && self.failures <= FULL_ATTEMPTS && !self.is_closing() {
                // The device is full before the bound is reached. Reclaim makes room all the same, and nothing fails for it.
                self.log.troubles.degrade(Some(format!("segment {}: {error}", block.start.seq)));
                self.is_full = true;
                self.log.space.press();
                self.log.space.wait(SPACE_LOOK);
                continue;
            }
            self.log.troubles.fail(format!("segment {}: {error}", block.start.seq));
            self.log.progress.notify_all();
            if self.is_closing() && self.failures >= ATTEMPTS_MAX {
                return Step::End;
            }
            if error.kind() == io::ErrorKind::StorageFull {
                self.log.space.press();
            } else if self.failures >= ATTEMPTS_MAX
                && let Some(current) = self.current.take_if(|current| current.seq == block.start.seq)
            {
                self.failures = 0;
                self.losses = self.losses.saturating_add(1);
                self.cut_off(&current, block.start.offset + block.old_len());
                return Step::GiveUp;
            }
            self.pause();
        }
        if self.failures == 0 && self.is_full && block.start.offset == 0 {
            // A segment was made as before.
            self.is_full = false;
            self.log.troubles.degrade(None);
        }
        (self.failures, self.losses) = (0, 0);
        self.log.troubles.recover();
        self.finish(block);
        Step::Done
    }

    /// `false` if there is no space for the block's segment yet.
    fn try_write(&mut self, block: &Arc<Block>) -> io::Result<bool> {
        let seq = block.start.seq;
        let segment = match &self.current {
            Some(current) if current.seq == seq => Arc::clone(current),
            _ => {
                // The segment in which an earlier process stopped has a file already.
                let existing = self.log.files.load().get(seq).cloned();
                match existing {
                    Some(segment) => self.current.insert(segment).clone(),
                    None => match self.begin(seq)? {
                        Some(segment) => segment,
                        None => return Ok(false),
                    },
                }
            }
        };
        if !block.bytes.is_empty() {
            self.write_at(&segment, block.bytes.as_slice(), block.start.offset)?;
        }
        if let Some(end) = &block.end {
            self.end(&segment, end)?;
        }
        Ok(true)
    }

    /// Makes the file of a segment. `None` if there is no space.
    fn begin(&mut self, seq: u64) -> io::Result<Option<Arc<SegmentFile>>> {
        let len = self.log.settings.segment_len;
        if !self.log.space.take(len) {
            return Ok(None);
        }
        let name = segment::file_name(seq);
        let file = match self.log.troubles.ask_device(|| self.device.create(&name, len)) {
            Ok(file) => file,
            Err(error) => {
                if error.kind() == io::ErrorKind::AlreadyExists {
                    // Left by an attempt that failed half-way: nothing of it counts.
                    let _ = self.device.remove(&name);
                }
                self.log.space.give(len);
                return Err(error);
            }
        };
        self.is_folder_unsynced = true;
        let segment = Arc::new(SegmentFile::new(seq, file, len));
        self.log.files.push(&segment);
        self.current = Some(Arc::clone(&segment));
        Ok(Some(segment))
    }

    fn write_at(&mut self, segment: &Arc<SegmentFile>, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.throttle(bytes.len() as u64);
        self.log.troubles.ask_device(|| segment.file.write_at(bytes, offset))?;
        self.counts.written_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        if self.unsynced.last().is_none_or(|last| last.seq != segment.seq) {
            self.unsynced.push(Arc::clone(segment));
        }
        Ok(())
    }

    /// Writes a segment's footer and cuts the file off behind it.
    fn end(&mut self, segment: &Arc<SegmentFile>, end: &SegmentEnd) -> io::Result<()> {
        let identity = Identity { store_id: self.log.settings.store_id, seq: segment.seq };
        let SegmentEnd { items, records_end, latest_ms, durable } = end;
        let (latest_ms, synced) = (*latest_ms, *durable);
        let footer = Footer { identity, records_end: *records_end, latest_ms, synced, items };
        let mut bytes = Vec::new();
        footer.encode(self.log.settings.alignment, &mut bytes);
        let mut buffer = AlignedBuffer::with_capacity(bytes.len());
        buffer.extend_from_slice(&bytes);
        self.write_at(segment, buffer.as_slice(), *records_end)?;
        let len = records_end + bytes.len() as u64;
        self.log.troubles.ask_device(|| segment.file.set_len(len))?;
        self.log.space.give(segment.len().saturating_sub(len));
        segment.set_len(len);
        Ok(())
    }

    /// Gives back the room of a segment that is given up, but for what was written. Else a device that fails for some seconds
    /// would fill the store with empty segments, and what is live would be dropped for them.
    fn cut_off(&self, segment: &SegmentFile, end: u64) {
        let len = end.max(RECORDS_START).next_multiple_of(self.log.settings.alignment.max(1));
        if len < segment.len() && self.log.troubles.ask_device(|| segment.file.set_len(len)).is_ok() {
            self.log.space.give(segment.len() - len);
            segment.set_len(len);
        }
    }

    /// Says that a block is on the device.
    fn finish(&mut self, block: &Arc<Block>) {
        {
            let mut head = self.log.head.lock();
            head.written(block);
            self.log.written.store(head.written_to().packed(), Ordering::Release);
        }
        self.log.progress.notify_all();
        self.flushed_at = clock::monotonic();
    }

    /// Keeps a buffer that nobody reads any more.
    fn reuse(&self, block: Arc<Block>) {
        if let Some(block) = Arc::into_inner(block) {
            self.log.head.lock().spare(&self.log.settings, block.bytes);
        }
    }

    fn make_durable(&mut self) -> Step {
        let target = self.log.head.lock().written_to();
        if let Err(error) = self.sync_files() {
            self.counts.errors.fetch_add(1, Ordering::Relaxed);
            self.failures += 1;
            self.log.troubles.fail(format!("making what is written durable: {error}"));
            self.log.troubles.degrade(Some(format!(
                "the device failed to make segments up to {} durable ({error}): they may not survive a power failure",
                target.seq
            )));
            let is_closing = {
                let mut head = self.log.head.lock();
                // Nobody knows what became of what was not durable: those who wait are told, and later writes go elsewhere.
                head.given_up += 1;
                head.sync_wanted = head.synced;
                head.is_closing
            };
            self.log.progress.notify_all();
            self.unsynced.clear();
            if let Some(current) = self.current.take_if(|current| current.seq == target.seq) {
                self.cut_off(&current, target.offset);
            }
            if is_closing && self.failures >= ATTEMPTS_MAX {
                return Step::End;
            }
            self.pause();
            return Step::GiveUp;
        }
        self.failures = 0;
        self.log.troubles.recover();
        self.synced_at = clock::monotonic();
        let mut head = self.log.head.lock();
        head.synced = head.synced.max(target);
        head.durable = head.durable.max(target);
        drop(head);
        self.log.progress.notify_all();
        Step::Done
    }

    fn sync_files(&mut self) -> io::Result<()> {
        if self.is_folder_unsynced {
            self.log.troubles.ask_device(|| self.device.sync_folder())?;
            self.is_folder_unsynced = false;
        }
        for segment in &self.unsynced {
            self.log.troubles.ask_device(|| segment.file.sync())?;
        }
        self.unsynced.clear();
        Ok(())
    }

    /// Waits until so many bytes may be written.
    fn throttle(&mut self, bytes: u64) {
        let Some(bandwidth) = &mut self.bandwidth else { return };
        loop {
            let wait = bandwidth.wait(clock::monotonic());
            let mut head = self.log.head.lock();
            if wait.is_zero() || head.is_closing {
                break;
            }
            self.log.work.wait_for(&mut head, wait);
        }
        bandwidth.spend(bytes, clock::monotonic());
    }

    fn pause(&self) {
        // Segments that fail one after the other are one trouble: the pauses go on growing.
        let attempts = self.failures.saturating_add(self.losses.saturating_mul(ATTEMPTS_MAX));
        let doubled = PAUSE_MIN.saturating_mul(1 << attempts.min(10));
        let until = clock::monotonic() + doubled.min(PAUSE_MAX);
        loop {
            let left = until.saturating_sub(clock::monotonic());
            let mut head = self.log.head.lock();
            if left.is_zero() || head.is_closing {
                return;
            }
            self.log.work.wait_for(&mut head, left);
        }
    }

    fn is_closing(&self) -> bool {
        self.log.head.lock().is_closing
    }
}
