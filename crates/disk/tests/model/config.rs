//! What a store under test is like, and where it stands.

#![allow(dead_code, reason = "each of the tests takes its part of it")]

use super::reference::{Lengths, Random};
use scrubjay_disk::{Admission, Error, Io, Options, Overload, SimulatedDevice, Store, Sync};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// The shortest segments that there are.
pub(crate) const SEGMENT_LEN: u64 = 64 << 10;

/// What a store is like.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) seed: u64,
    pub(crate) lengths: Lengths,
    pub(crate) segments: u64,
    pub(crate) sync: Sync,
    pub(crate) overload: Overload,
    pub(crate) admission: Admission,
    pub(crate) reinsert: f64,
    pub(crate) io: Io,
    pub(crate) reads_wait: bool,
}

impl Config {
    /// Any configuration, by its seed.
    pub(crate) fn random(seed: u64) -> Config {
        let mut random = Random(seed ^ 0x5eed);
        Config {
            seed,
            lengths: [Lengths::Same, Lengths::Short, Lengths::Mixed, Lengths::Mixed][random.index(4)],
            segments: [4, 6, 12, 24][random.index(4)],
            sync: [Sync::None, Sync::None, Sync::Periodic(Duration::from_millis(1)), Sync::Each][random.index(4)],
            overload: [Overload::Wait, Overload::Wait, Overload::Drop][random.index(3)],
            admission: [Admission::All, Admission::All, Admission::All, Admission::SecondHit, Admission::Heat]
                [random.index(5)],
            reinsert: [0.0, 0.25, 0.25, 1.0][random.index(4)],
            io: [Io::Buffered, Io::Buffered, Io::Direct][random.index(3)],
            reads_wait: random.is_one_in(8),
        }
    }

    pub(crate) fn options(&self, clock: &Arc<AtomicU64>) -> Options {
        let clock = Arc::clone(clock);
        Options::bytes(self.segments * SEGMENT_LEN)
            .segment_len(SEGMENT_LEN)
            .io(self.io)
            .sync(self.sync)
            .queue_bytes(256 << 10)
            .overload(self.overload)
            .admission(self.admission)
            .reinsert(self.reinsert)
            .clock(move || clock.load(Ordering::Relaxed))
    }

    pub(crate) fn alignment(&self) -> u64 {
        if self.io == Io::Direct { 4096 } else { 1 }
    }
}

/// Where a store stands.
#[derive(Debug)]
pub(crate) enum Ground {
    Simulated(SimulatedDevice),
    Folder(TempDir),
}

impl Ground {
    pub(crate) fn simulated(config: &Config) -> Ground {
        let device = SimulatedDevice::new(config.seed).with_alignment(config.alignment());
        device.set_reads_wait(config.reads_wait);
        Ground::Simulated(device)
    }

    /// A folder beside the test's binary: /tmp may be a file system in memory that takes no direct I/O.
    pub(crate) fn folder() -> Ground {
        Ground::Folder(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap())
    }

    pub(crate) fn open(&self, options: Options) -> Result<Store, Error> {
        match self {
            Ground::Simulated(device) => Store::open_on(Arc::new(device.clone()), options),
            Ground::Folder(folder) => Store::open(folder.path(), options),
        }
    }
}
