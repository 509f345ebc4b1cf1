//! The threads behind a store: the log's writer, and the one that makes room.

use super::Core;
use crate::clock;
use crate::error::{Error, ErrorKind};
use crate::heat;
use crate::index::Entry;
use crate::log::{Source, Step, Unwritten, Writer};
use crate::options::Sync;
use crate::place::Position;
use crate::record::{Kind, Record};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// How often entries past their time are taken out of the index.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// A sweep takes this part of a core's time at most: one hundredth.
const SWEEP_PART: u32 = 100;
/// How often the thread that makes room looks around, if nobody calls it.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// For how long it rests where there is no room, and none can be made.
const REST_INTERVAL: Duration = Duration::from_millis(20);

/// The threads of a store.
pub(super) struct Threads {
    writer: JoinHandle<()>,
    room_maker: JoinHandle<()>,
}

impl Threads {
    pub(super) fn start(core: &Arc<Core>) -> Result<Threads, Error> {
        let (for_writer, for_room_maker) = (Arc::clone(core), Arc::clone(core));
        let writer = spawn("scrubjay-disk-writer", move || for_writer.write())?;
        match spawn("scrubjay-disk-reclaim", move || for_room_maker.make_room()) {
            Ok(room_maker) => Ok(Threads { writer, room_maker }),
            Err(error) => {
                core.log.close();
                let _ = writer.join();
                Err(error)
            }
        }
    }

    /// Ends them when everything is written, and lets the folder go.
    pub(super) fn end(self, core: &Core) -> Result<(), Error> {
        core.log.saw(core.now_ms());
        core.log.close();
        let writer = self.writer.join();
        core.log.space.close();
        let room_maker = self.room_maker.join();
        let heat = heat::save(core);
        // A segment in which nothing is got no footer.
        let is_noted = !core.log.has_segment();
        let noted = if is_noted { Ok(()) } else { core.namespaces.saw(core.now_ms(), core.options.sync != Sync::None) };
        core.log.troubles.close();
        core.device.unlock();
        if writer.is_err() || room_maker.is_err() {
            return Err(Error::new(ErrorKind::Unavailable, "a thread of the store panicked: what waited is lost"));
        }
        if core.log.queued_bytes() > 0 {
            let bytes = core.log.queued_bytes();
            return Err(Error::new(ErrorKind::Unavailable, format!("the device fails: {bytes} bytes are lost")));
        }
        // Where nothing was promised to be durable, a sync that failed was an error for who had asked for it.
        if core.options.sync != Sync::None && core.log.troubles.is_failing() {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the device fails: what was written last may not be durable",
            ));
        }
        noted?;
        heat.map_err(|error| Error::device("the heat of entries cannot be written", error))
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|error| Error::device(format!("the thread {name} cannot be started"), error))
}

impl Core {
    fn write(self: Arc<Core>) {
        let mut writer =
            Writer::new(Arc::clone(&self.log), Arc::clone(&self.device), &self.options, Arc::clone(&self.counts));
        while writer.run() == Step::GiveUp {
            self.counts.given_up_segments.fetch_add(1, Ordering::Relaxed);
            self.move_on(&self.log.give_up());
            self.log.moved();
        }
        writer.over();
        self.counts.lost.fetch_add(self.log.unwritten_values(), Ordering::Relaxed);
    }

    /// Appends anew what still counts of the records that were not written.
    fn move_on(&self, unwritten: &Unwritten) {
        unwritten.each(|at, record| {
            let moved = match record.kind {
                Kind::Value => self.move_value(at, record),
                Kind::Tombstone => self.move_tombstone(record),
                Kind::Padding => true,
            };
            if !moved {
                self.counts.lost.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    /// Whether nothing is lost by it.
    pub(crate) fn move_value(&self, at: Position, record: &Record<'_>) -> bool {
        let signed = record.draft().sign();
        let _held = self.reclaim.hold_moves();
        let mut shard = self.index.shard(record.hash);
        let entry = match shard.get(record.hash) {
            Some(entry) if entry.place == at.place() => entry,
            // Its time was over, and it was taken out. What it had replaced must not come back for that.
            None if record.expires_ms != 0 => {
                return self.append_tombstone(record.namespace, record.hash, Source::Moved).is_ok();
            }
            _ => return true,
        };
        if !self.namespaces.counts(entry.namespace, at) {
            return true;
        }
        match self.log.append(signed, Source::Moved) {
            Ok(moved) => {
                shard.insert(record.hash, Entry { place: moved.place(), ..entry });
                true
            }
            Err(_) => {
                shard.remove(record.hash);
                false
            }
        }
    }

    fn move_tombstone(&self, record: &Record<'_>) -> bool {
        let shard = self.index.shard(record.hash);
        // A value that came after it says the same: nothing before counts.
        shard.get(record.hash).is_some() || self.append_tombstone(record.namespace, record.hash, Source::Moved).is_ok()
    }

    fn make_room(self: Arc<Core>) {
        let mut swept_at = clock::monotonic();
        let mut saved_at = swept_at;
        let mut sweep_took = Duration::ZERO;
        loop {
            self.reclaim.rescue_pins(&self);
            let is_short = self.log.space.is_short();
            let was_made = is_short && self.reclaim.oldest(&self, false);
            let is_open = match (is_short, was_made) {
                (true, true) => true,
                (true, false) => self.log.space.rest(REST_INTERVAL),
                (false, _) => self.log.space.wait_until_short(LOOK_INTERVAL),
            };
            if !is_open {
                return;
            }
            let now = clock::monotonic();
            let is_cleared = self.reclaim.take_sweep();
            if is_cleared || now.saturating_sub(swept_at) >= SWEEP_INTERVAL.max(SWEEP_PART * sweep_took) {
                self.sweep(is_cleared);
                swept_at = clock::monotonic();
                sweep_took = swept_at.saturating_sub(now);
            }
            if now.saturating_sub(saved_at) >= self.options.heat_interval {
                saved_at = now;
                if let Err(error) = heat::save(&self) {
                    tracing::warn!(%error, "the heat of entries cannot be written");
                }
            }
        }
    }

    /// Takes out of the index what has expired, and, where one was cleared, what namespaces left behind.
    fn sweep(&self, is_cleared: bool) {
        let now_ms = self.now_ms();
        let head_seq = self.log.head_seq();
        let cleared = if is_cleared { self.namespaces.cleared() } else { HashMap::new() };
        let counts = |entry: &Entry| {
            let at = || entry.place.position(head_seq);
            cleared.get(&entry.namespace).is_none_or(|cleared| at() >= *cleared)
        };
        let mut expired = 0;
        self.index.retain(|_, entry| {
            let is_expired = entry.expires_ms != 0 && entry.expires_ms <= now_ms;
            expired += u64::from(is_expired);
            !is_expired && counts(entry)
        });
        self.counts.swept_expired.fetch_add(expired, Ordering::Relaxed);
    }

    /// Writes everything live anew, segment by segment.
    pub(super) fn compact(&self, mut progress: impl FnMut(u64, u64)) -> Result<(), Error> {
        self.flush(false)?;
        let (first, end) = {
            let table = self.log.files.load();
            let first = table.oldest().map_or(0, |segment| segment.seq);
            (first, self.log.end_segment())
        };
        self.flush(false)?;
        let total = end - first;
        progress(0, total);
        loop {
            let oldest_now = || self.log.files.load().oldest().map_or(end, |segment| segment.seq);
            let oldest = oldest_now();
            progress(oldest.min(end).saturating_sub(first), total);
            if oldest >= end {
                return Ok(());
            }
            self.check_open()?;
            // The thread that makes room may have come first.
            if !self.reclaim.oldest(self, true) && oldest_now() == oldest {
                return Err(Error::new(ErrorKind::Unavailable, "a segment cannot be dropped: see the log"));
            }
        }
    }
}
