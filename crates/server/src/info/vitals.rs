//! What INFO remembers between two questions: the run's id, the memory of the program itself, the most memory ever used.

use super::process;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// One server's vital signs.
#[derive(Debug)]
pub(crate) struct Vitals {
    pub(super) started: Instant,
    /// 40 hexadecimal digits, another one for every start.
    pub(super) run_id: String,
    baseline: AtomicU64,
    peak: AtomicU64,
}

impl Vitals {
    pub(crate) fn new(now: Instant) -> Vitals {
        // The standard library's maps are seeded by the operating system's randomness; so is this.
        let random = || RandomState::new().build_hasher().finish();
        let run_id = format!("{:016x}{:016x}{:016x}", random(), random(), random()).chars().take(40).collect();
        Vitals { started: now, run_id, baseline: AtomicU64::new(0), peak: AtomicU64::new(0) }
    }

    /// Measures what the program takes apart from `data_bytes`: once, when it is ready.
    pub(crate) fn measure_baseline(&self, data_bytes: u64) {
        self.baseline.store(process::private_bytes().saturating_sub(data_bytes), Ordering::Relaxed);
    }

    /// Bytes of the program itself: stacks, tables, what is allocated at the start. One relaxed load.
    #[inline]
    pub(crate) fn baseline_bytes(&self) -> u64 {
        self.baseline.load(Ordering::Relaxed)
    }

    /// Notes that `used_bytes` are in use; returns the most that ever were.
    pub(crate) fn note_used(&self, used_bytes: u64) -> u64 {
        self.peak.fetch_max(used_bytes, Ordering::Relaxed).max(used_bytes)
    }
}
