//! What a store is to be: plain data, validated once.

use crate::admission::Admission;
use crate::device::Io;
use crate::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A segment is at least this long.
pub(crate) const SEGMENT_LEN_MIN: u64 = 64 << 10;
/// A place names 2^24 units of 16 bytes.
pub(crate) const SEGMENT_LEN_MAX: u64 = 256 << 20;
/// What segments are multiples of: no device has longer blocks.
const SEGMENT_STEP: u64 = 4096;
/// The oldest, the newest, one that is made, and one to spare.
const SEGMENTS_MIN: u64 = 4;
/// A place names the low 16 bits of a segment's number, and half of them must suffice to tell old from new.
const SEGMENTS_MAX: u64 = 32_768;
/// The length of segments, as a part of the capacity, where nobody says it.
const SEGMENTS_WANTED: u64 = 64;

/// When what was written is made durable.
///
/// Whatever this says, [`Store::sync`](crate::Store::sync) makes everything before it durable, and what reached the
/// operating system survives the end of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sync {
    /// When the operating system sees fit: what a power failure takes is absent afterwards, and what it takes of removals
    /// is there again.
    #[default]
    None,
    /// At least so often.
    Periodic(Duration),
    /// Before the call returns; calls that come together share one.
    Each,
}

/// What a put does when the device is slower than the writers, and the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overload {
    /// Waits for room, while the device works at all.
    #[default]
    Wait,
    /// Drops the value, and counts it.
    Drop,
}

/// Where the store takes Unix time from, in milliseconds.
pub(crate) type UnixClock = Arc<dyn Fn() -> u64 + Send + std::marker::Sync>;

/// How a store works. Made by [`Options::bytes`].
#[derive(Clone)]
#[must_use]
pub struct Options {
    pub(crate) capacity: u64,
    pub(crate) segment_len: Option<u64>,
    pub(crate) io: Io,
    pub(crate) sync: Sync,
    pub(crate) queue_bytes: u64,
    pub(crate) overload: Overload,
    pub(crate) admission: Admission,
    pub(crate) reinsert: f64,
    pub(crate) bandwidth: Option<u64>,
    pub(crate) flush_interval: Duration,
    pub(crate) heat_interval: Duration,
    pub(crate) stall_after: Duration,
    pub(crate) clock: UnixClock,
}

impl Options {
    /// A store of `capacity` bytes at most, all its files together. At least 256 KiB.
    pub fn bytes(capacity: u64) -> Options {
        Options {
            capacity,
            segment_len: None,
            io: Io::default(),
            sync: Sync::default(),
            queue_bytes: 16 << 20,
            overload: Overload::default(),
            admission: Admission::default(),
            reinsert: 0.25,
            bandwidth: None,
            flush_interval: Duration::from_secs(1),
            heat_interval: Duration::from_secs(60),
            stall_after: Duration::from_secs(5),
            clock: Arc::new(crate::clock::unix_ms),
        }
    }

    /// The length of a segment in bytes: 64 KiB to 256 MiB, and a quarter of the capacity at most. No entry is longer. A
    /// 64th of the capacity if this is not called, but 1 MiB to 64 MiB where that fits.
    pub fn segment_len(mut self, bytes: u64) -> Options {
        self.segment_len = Some(bytes);
        self
    }

    /// Through the operating system's cache or past it.
    pub fn io(mut self, io: Io) -> Options {
        self.io = io;
        self
    }

    /// When what was written is made durable.
    pub fn sync(mut self, sync: Sync) -> Options {
        self.sync = sync;
        self
    }

    /// Bytes that may wait in memory to be written, 16 MiB unless said. Removals may go beyond, and under load half as many
    /// bytes lie ready for what comes next.
    pub fn queue_bytes(mut self, bytes: u64) -> Options {
        self.queue_bytes = bytes;
        self
    }

    /// What a put does when that many bytes wait.
    pub fn overload(mut self, overload: Overload) -> Options {
        self.overload = overload;
        self
    }

    /// Which puts are worth a write.
    pub fn admission(mut self, admission: Admission) -> Options {
        self.admission = admission;
        self
    }

    /// How many bytes of hot entries may be written again for each byte that callers write, when their segment is
    /// reclaimed: 0 to 4. Bounds write amplification to that and one.
    pub fn reinsert(mut self, ratio: f64) -> Options {
        self.reinsert = ratio;
        self
    }

    /// Bytes per second that are written at most.
    pub fn bandwidth(mut self, bytes_per_second: u64) -> Options {
        self.bandwidth = Some(bytes_per_second);
        self
    }

    /// After how long, at the latest, what waits is handed to the operating system: one second unless said.
    pub fn flush_interval(mut self, interval: Duration) -> Options {
        self.flush_interval = interval;
        self
    }

    /// How often the heat of entries is written down, so that it survives a kill: each minute unless said.
    pub fn heat_interval(mut self, interval: Duration) -> Options {
        self.heat_interval = interval;
        self
    }

    /// After how long without an answer of the device it counts as stalled: 5 seconds unless said.
    pub fn stall_after(mut self, time: Duration) -> Options {
        self.stall_after = time;
        self
    }

    /// Where Unix time comes from, in milliseconds: the system unless said. It may jump; what has expired stays expired.
    pub fn clock(mut self, unix_ms: impl Fn() -> u64 + Send + std::marker::Sync + 'static) -> Options {
        self.clock = Arc::new(unix_ms);
        self
    }

    /// The length of a segment, given or chosen.
    pub(crate) fn segment_len_or_default(&self) -> u64 {
        self.segment_len.unwrap_or_else(|| {
            let wanted = (self.capacity / SEGMENTS_WANTED).clamp(1 << 20, 64 << 20);
            // A store beyond 2 TiB needs longer ones to name them all.
            let enough = (self.capacity / (SEGMENTS_MAX / 2)).max(wanted);
            let len = enough.min(self.capacity / SEGMENTS_MIN).min(SEGMENT_LEN_MAX);
            len / SEGMENT_STEP * SEGMENT_STEP
        })
    }

    /// Whether a store can be made of them.
    ///
    /// # Errors
    /// `Invalid` names the field, the value and the limit.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        check_capacity(self.capacity, self.segment_len_or_default())?;
        let len = self.segment_len_or_default();
        if !len.is_multiple_of(SEGMENT_STEP) {
            return Err(Error::invalid(format!("segment_len is {len}, must be a multiple of {SEGMENT_STEP}")));
        }
        if !(SEGMENT_LEN_MIN..=SEGMENT_LEN_MAX).contains(&len) {
            let limits = format!("{SEGMENT_LEN_MIN}..={SEGMENT_LEN_MAX}");
            return Err(Error::invalid(format!("segment_len is {len}, must be {limits}")));
        }
        if self.queue_bytes < SEGMENT_LEN_MIN {
            let queue_bytes = self.queue_bytes;
            return Err(Error::invalid(format!("queue_bytes is {queue_bytes}, must be at least {SEGMENT_LEN_MIN}")));
        }
        if !(0.0..=4.0).contains(&self.reinsert) {
            return Err(Error::invalid(format!("reinsert is {}, must be 0..=4", self.reinsert)));
        }
        if self.bandwidth == Some(0) {
            return Err(Error::invalid("bandwidth is 0, must be at least 1 byte per second"));
        }
        let intervals = [("flush_interval", self.flush_interval), ("heat_interval", self.heat_interval)];
        for (field, time) in intervals.into_iter().chain([("stall_after", self.stall_after)]) {
            if time.is_zero() {
                return Err(Error::invalid(format!("{field} is 0, must be at least 1 ms")));
            }
        }
        match self.sync {
            Sync::Periodic(time) if time.is_zero() => Err(Error::invalid("sync interval is 0, must be at least 1 ms")),
            _ => Ok(()),
        }
    }
}

/// Whether so many bytes hold segments of that length.
pub(crate) fn check_capacity(capacity: u64, segment_len: u64) -> Result<(), Error> {
    let (min, max) = (SEGMENTS_MIN * segment_len.max(SEGMENT_LEN_MIN), SEGMENTS_MAX / 2 * segment_len);
    if capacity < min || capacity > max {
        return Err(Error::invalid(format!(
            "bytes is {capacity}, must be {min}..={max} with segments of {segment_len} bytes"
        )));
    }
    Ok(())
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("capacity", &self.capacity)
            .field("segment_len", &self.segment_len_or_default())
            .field("io", &self.io)
            .field("sync", &self.sync)
            .field("queue_bytes", &self.queue_bytes)
            .field("overload", &self.overload)
            .field("admission", &self.admission)
            .field("reinsert", &self.reinsert)
            .field("bandwidth", &self.bandwidth)
            .finish_non_exhaustive()
    }
}
