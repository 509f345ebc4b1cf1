//! What a link counts.
//!
//! What every command counts is one word, so that it costs one write: commands on their way in the lower half, commands that were sent in
//! the upper.

use std::sync::atomic::{AtomicU64, Ordering};

/// What a link has counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkStats {
    /// Commands that were not answered in time.
    pub(crate) timed_out: u64,
    /// Commands tried again.
    pub(crate) retried: u64,
    /// Commands that were not sent, since too many were on their way.
    pub(crate) shed: u64,
    /// Commands that were not sent, since the server was away.
    pub(crate) refused: u64,
    /// How often a connection was made.
    pub(crate) connected: u64,
    /// How often making one has failed.
    pub(crate) connect_failed: u64,
    /// How often the breaker opened.
    pub(crate) opened: u64,
    /// Commands on their way now; some that are sent together count as one.
    pub(crate) in_flight: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    traffic: AtomicU64,
    pub(super) timed_out: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) shed: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) connected: AtomicU64,
    pub(super) connect_failed: AtomicU64,
    pub(super) opened: AtomicU64,
}

/// Commands that were sent are counted from this bit on.
const SENT_SHIFT: u32 = 32;
const IN_FLIGHT: u64 = (1 << SENT_SHIFT) - 1;

/// A command on its way.
#[derive(Debug)]
pub(super) struct Seat<'a>(&'a Counters);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.traffic.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) fn one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Counters {
    /// Nothing if as many as `max` are on their way.
    pub(super) fn seat(&self, max: usize) -> Option<Seat<'_>> {
        let before = self.traffic.fetch_add((1 << SENT_SHIFT) + 1, Ordering::Relaxed);
        let seat = Seat(self);
        if before & IN_FLIGHT >= max as u64 {
            one(&self.shed);
            return None;
        }
        Some(seat)
    }

    /// Commands that were sent, from 0 on again after 2^32.
    pub(super) fn sent(&self) -> u64 {
        self.traffic.load(Ordering::Relaxed) >> SENT_SHIFT
    }

    pub(super) fn read(&self) -> LinkStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LinkStats {
            timed_out: read(&self.timed_out),
            retried: read(&self.retried),
            shed: read(&self.shed),
            refused: read(&self.refused),
            connected: read(&self.connected),
            connect_failed: read(&self.connect_failed),
            opened: read(&self.opened),
            in_flight: read(&self.traffic) & IN_FLIGHT,
        }
    }
}
