//! Reclaim: how the oldest segment makes room, and what of it is written again.
//!
//! **Idea.** The log is a queue of segments. When less than a segment of space is left, the oldest file goes, whole: what
//! in it has been overwritten, removed or has expired costs nothing, not even a look at its bytes. What is still live is
//! mostly cold, since whoever wanted it had the length of the log to ask, and leaves the cache with the file. What was
//! asked for is appended once more at the head, with half its heat, as far as an allowance reaches
//! ([`choice`], [`allowance`]). So reclaim is eviction: first in, first out, with a second chance for the hot.
//!
//! **Why nothing comes back.** Only the oldest segment is ever dropped. A version of a key that was superseded, and the
//! tombstone of one that was removed, always stand in front of what made them so: in the same or an older segment, which
//! is gone no later. So when a tombstone goes there is nothing left that it would have to hold down, and whatever files
//! a crash leaves behind, the latest record of a key among them is the truth, or all are gone. What is written again is
//! the latest version, under its shard's lock, and stands last from then on.
//!
//! **The order of one turn**, with the reason why it is this one:
//! 1. [`survey`]: the footer lists what was written; the index says which of it still counts.
//! 2. The chosen are read in the order of the log, verified, and appended ([`carry`]). The old record stays where it is.
//! 3. They are brought to the device, or a kill would take both copies: of the old file, which goes, and of the new one,
//!    which was in memory.
//! 4. The file is removed, and that made durable before the next one goes.
//! 5. Only now the index lets go of what stayed behind: as long as the file is there, a `remove` must find the entry, so
//!    that it writes a tombstone. Else a kill between the two would bring the value back.
//! 6. The space is given back.
//!
//! **Awkward cases**
//! - *A put or a remove of a key that is being carried.* Both take the shard's lock, as the carrier does: the carrier finds
//!   the entry at the old place, or leaves it alone. Heat that rose meanwhile counts.
//! - *A clear meanwhile.* Nothing of a namespace counts that stands before its position; a copy that is appended just
//!   behind that position would. So a clear holds [`Reclaim::hold_moves`] from reading the end of the log to saying that it is
//!   the end, and the carrier asks whether the namespace counts under the same lock.
//! - *A writer that waits for space* waits for this very turn, so nothing here may wait for the writer then: what is carried
//!   goes beyond the queue's bound (by the allowance, a segment at most), and step 3 is left out. A kill at that moment
//!   takes what the queue held, as ever.
//! - *Pinned entries* must not be missing after that either. They are carried long before: of the segment so far ahead of
//!   the oldest that all that may wait in the queue is written by the time it is its turn ([`Reclaim::rescue_pins`]). Whatever
//!   the store's options say, none goes before its copy, or the version that replaced it, is durable.
//! - *Pinned entries beyond three quarters of the space* would make reclaim write for ever: then they are as good as hot.
//! - *A footer that is not there or damaged*: the segment is read through; what then still is in the index goes by number.
//! - *A record that does not verify, a read that fails*: the entry goes with the file, and is counted.
//! - *A store that closes* takes no more copies once its writer has ended, which needs no space either: the turn ends without
//!   effect.
//! - *A file that cannot be removed* stays, and its entries with it; the next turn tries again. Nothing behind it is dropped
//!   before, so the chain has no gap.
//! - *A device that fails while the writer has space*: nothing is dropped until the copies are written.
//!
//! **Limits.** One turn at a time; it takes no lock for longer than an append, reads 256 KiB at a time, and holds 48 bytes
//! per entry of one segment. Write amplification is at most one and the allowance's ratio, pinned entries and footers
//! aside. Heat has seven degrees: among entries that are read more than six times a round reclaim sees no difference.
//! `simulation.rs` has the figures.

mod allowance;
mod carry;
mod choice;
#[cfg(test)]
mod simulation;
mod survey;
#[cfg(test)]
mod tests;

use crate::log::SegmentFile;
use crate::options::Sync;
use crate::place::Position;
use crate::segment;
use crate::store::Core;
use allowance::Allowance;
use parking_lot::{Mutex, MutexGuard};
use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use survey::Survey;

/// Quarters of the space beyond which pinned entries are no longer safe.
const PINNED_QUARTERS_MAX: u64 = 3;
/// What the allowance saves at most, for segments that are hotter than others: a part of the space.
const SAVED_SHARE: u64 = 16;

/// What reclaim remembers between two segments.
#[derive(Debug)]
pub(crate) struct Reclaim {
    /// A namespace was cleared: the index is to be swept.
    is_sweep_due: AtomicBool,
    turn: Mutex<Turn>,
    /// Held while an entry is given another place by someone who is not its caller.
    moving: Mutex<()>,
}

/// Held for as long as a segment is dealt with.
#[derive(Debug)]
struct Turn {
    allowance: Allowance,
    /// Of the last half to whole round: bytes that went, and bytes of pinned entries that were carried.
    dropped_bytes: u64,
    pinned_bytes: u64,
    /// Segments of which entries were carried in an earlier turn.
    carried: VecDeque<u64>,
    /// The pinned entries of all segments before were carried ahead of their turn.
    rescued_to: u64,
    /// A file could not be removed.
    is_stuck: bool,
}

impl Reclaim {
    /// At `ratio` bytes for each that callers write, in a store of so many bytes.
    pub(crate) fn new(ratio: f64, capacity: u64) -> Reclaim {
        let allowance = Allowance::new(ratio, capacity / SAVED_SHARE, 0);
        let turn = Turn {
            allowance,
            dropped_bytes: 0,
            pinned_bytes: 0,
            carried: VecDeque::new(),
            rescued_to: 0,
            is_stuck: false,
        };
        Reclaim { is_sweep_due: AtomicBool::new(false), turn: Mutex::new(turn), moving: Mutex::new(()) }
    }

    /// The index holds entries that no longer count.
    pub(crate) fn sweep_soon(&self) {
        self.is_sweep_due.store(true, Ordering::Release);
    }

    /// Whether it does; once.
    pub(crate) fn take_sweep(&self) -> bool {
        self.is_sweep_due.swap(false, Ordering::AcqRel)
    }

    /// As long as it is held, no entry gets another place but by a put. Comes before a shard's lock.
    pub(crate) fn hold_moves(&self) -> MutexGuard<'_, ()> {
        self.moving.lock()
    }

    /// Drops the oldest segment; `all` writes again whatever is live in it. `false` if none can be dropped now.
    pub(crate) fn oldest(&self, core: &Core, all: bool) -> bool {
        let mut turn = self.turn.lock();
        self.rescue(core, &mut turn);
        let Some(oldest) = droppable(core, 0) else { return false };
        let survey = Survey::of(core, &oldest);
        let chosen = if all { survey.all() } else { turn.chosen(core, &survey) };
        let carried = self.carry(core, &oldest, &chosen);
        turn.note_carried(oldest.seq, carried.bytes);
        if carried.is_closed {
            return false;
        }
        let is_owed = turn.owes(oldest.seq);
        if !is_settled(core, oldest.seq, is_owed, &survey.pins_elsewhere(core)) {
            return false;
        }
        if let Err(error) = remove(core, &oldest) {
            core.counts.errors.fetch_add(1, Ordering::Relaxed);
            core.log.troubles.degrade(Some(format!("segment {} cannot be removed: {error}", oldest.seq)));
            turn.is_stuck = true;
            return false;
        }
        if std::mem::take(&mut turn.is_stuck) {
            core.log.troubles.degrade(None);
        }
        survey.let_go(core);
        core.log.files.pop(oldest.seq);
        core.counts.reclaimed_segments.fetch_add(1, Ordering::Relaxed);
        turn.carried.retain(|seq| *seq > oldest.seq);
        turn.count_dropped(oldest.len(), core.log.space.capacity());
        core.log.space.give(oldest.len());
        true
    }

    /// Carries the pinned entries of all segments whose turn comes soon. Costs nothing where that was done.
    pub(crate) fn rescue_pins(&self, core: &Core) {
        self.rescue(core, &mut self.turn.lock());
    }

    /// Of the segments up to the one so far ahead that by its own turn all that waits in the queue is written.
    fn rescue(&self, core: &Core, turn: &mut Turn) {
        let settings = core.log.settings();
        let ahead = settings.queue_bytes.div_ceil(settings.segment_len) + 2;
        let space = &core.log.space;
        if space.used() + (ahead + 2) * settings.segment_len <= space.capacity() {
            return;
        }
        let most = core.log.files.load().len() as u64 / 2;
        for ahead in 0..=ahead.min(most) {
            let Some(segment) = droppable(core, ahead) else { return };
            if segment.seq < turn.rescued_to || !turn.pins_are_safe(core) {
                continue;
            }
            let carried = self.carry(core, &segment, &Survey::pinned(core, &segment));
            if carried.is_closed {
                return;
            }
            turn.rescued_to = segment.seq + 1;
            turn.note_carried(segment.seq, carried.bytes);
            turn.pinned_bytes += carried.bytes;
        }
    }
}

impl Turn {
    fn chosen(&mut self, core: &Core, survey: &Survey) -> Vec<segment::Item> {
        let available = self.allowance.available(core.log.callers_bytes());
        let chosen = survey.chosen(available, self.pins_are_safe(core));
        self.pinned_bytes += survey.pinned_bytes();
        self.allowance.spend(chosen.iter().map(|item| item.len).sum());
        chosen
    }

    fn pins_are_safe(&self, core: &Core) -> bool {
        self.pinned_bytes <= core.log.space.capacity() / 4 * PINNED_QUARTERS_MAX
    }

    fn note_carried(&mut self, seq: u64, bytes: u64) {
        if bytes > 0 && !self.owes(seq) {
            self.carried.push_back(seq);
        }
    }

    /// Whether entries of that segment were carried, and may not be written yet.
    fn owes(&self, seq: u64) -> bool {
        self.carried.contains(&seq)
    }

    fn count_dropped(&mut self, bytes: u64, round: u64) {
        self.dropped_bytes += bytes;
        if self.dropped_bytes > round {
            self.dropped_bytes /= 2;
            self.pinned_bytes /= 2;
        }
    }
}

/// The segment so far ahead of the oldest one, if everything of it is written and sealed.
fn droppable(core: &Core, ahead: u64) -> Option<Arc<SegmentFile>> {
    let written = core.log.written();
    let table = core.log.files.load();
    let seq = table.oldest()?.seq + ahead;
    table.get(seq).filter(|segment| segment.seq < written.seq).cloned()
}

/// Sees to it that what was carried out of a segment is on the device, durable if it was that before, and pinned entries durable.
/// `false` if the old copies must stay.
fn is_settled(core: &Core, seq: u64, is_owed: bool, pins: &[Position]) -> bool {
    let written = core.log.written();
    let is_pin_owed = pins.iter().any(|pin| *pin >= written);
    if is_owed || is_pin_owed {
        let is_synced = core.options.sync != Sync::None || core.log.may_be_durable(seq);
        match flush(core, is_synced) {
            Flushed::Done => {}
            Flushed::Failed => return false,
            Flushed::Starved if is_pin_owed => {
                tracing::warn!("no space is left to write pinned entries before their old copies go");
            }
            Flushed::Starved => {}
        }
    }
    match sync_pins(core, pins) {
        Ok(()) => true,
        Err(error) => {
            core.counts.errors.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, "pinned entries cannot be made durable, and their old copies stay");
            false
        }
    }
}

/// How waiting for the writer ended.
enum Flushed {
    Done,
    Failed,
    /// The writer waits for space, and so for who waits for it.
    Starved,
}

fn flush(core: &Core, is_synced: bool) -> Flushed {
    loop {
        let was_starved = Cell::new(false);
        let is_vain = || {
            was_starved.set(core.log.space.is_starved());
            was_starved.get()
        };
        if core.log.flush_unless(is_synced, core.options.stall_after, is_vain).is_ok() {
            return Flushed::Done;
        }
        if core.log.space.is_starved() {
            return Flushed::Starved;
        }
        // Space that came back meanwhile, as a segment ended: the writer goes on, and is worth waiting for again.
        if !was_starved.get() {
            return Flushed::Failed;
        }
    }
}

/// The writer may be waiting for space, and a store that promises nothing else promises this: so it is done here.
fn sync_pins(core: &Core, pins: &[Position]) -> io::Result<()> {
    let durable = core.log.durable();
    let mut seqs: Vec<u64> = pins.iter().filter(|pin| **pin >= durable).map(|pin| pin.seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    let table = core.log.files.load();
    for segment in seqs.iter().filter_map(|seq| table.get(*seq)) {
        segment.file.sync()?;
    }
    if seqs.is_empty() { Ok(()) } else { core.device.sync_folder() }
}

fn remove(core: &Core, segment: &SegmentFile) -> io::Result<()> {
    match core.device.remove(&segment::file_name(segment.seq)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Whatever the store promises: of several removals that are not durable, a power failure may take back the first alone, and
    // bring back what a tombstone in the second had taken out.
    if let Err(error) = core.device.sync_folder() {
        core.counts.errors.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(segment = segment.seq, %error, "the removal of a segment is not durable");
    }
    Ok(())
}
