//! The benchmark's only clock: wall time of a run, CPU time, and waiting for other processes.

use std::time::{Duration, Instant};

/// Monotonic time.
#[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Lets `duration` pass: other processes settle, nothing here has a condition to wait on.
#[allow(clippy::disallowed_methods, reason = "the clock is the place that may")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// CPU time of the calling thread in nanoseconds, the kernel's share included.
pub(crate) fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// CPU time of every thread of this process, those that ended included, user and system, in nanoseconds.
pub(crate) fn process_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Nanoseconds of a clock that every process of this machine reads alike.
pub(crate) fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Asks every 5 ms whether `condition` holds, until it does or `limit` is over. Returns whether it does.
pub(crate) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = now() + limit;
    while !condition() {
        if now() >= deadline {
            return false;
        }
        pause(Duration::from_millis(5));
    }
    true
}
