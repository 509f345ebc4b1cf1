//! What the disk tier says of itself: its state, and its numbers.

use super::counters::Count;
use super::tier::DiskTier;
use crate::health::TierState;
use crate::stats::{Departures, DiskStats, Drops, TierStats, Unit};
use scrubjay_disk::State;
use std::sync::atomic::Ordering;

impl DiskTier {
    /// How it is doing.
    pub(crate) fn state(&self) -> (TierState, Option<String>) {
        let Some(attached) = self.attached() else {
            return (TierState::Unavailable, self.away.lock().clone());
        };
        let (state, message) = match attached.seat.store().map_or(State::Closed, |store| store.state()) {
            State::Serving => (TierState::Serving, None),
            State::Degraded(message) | State::Failing(message) => (TierState::Degraded, Some(message)),
            State::Stalled(message) => (TierState::Unavailable, Some(message)),
            State::Closed => (TierState::Closed, None),
            _ => (TierState::Degraded, Some("the store is in a state that this version has no word for".to_owned())),
        };
        if self.breaker.is_open() && state != TierState::Closed {
            let message = message.unwrap_or_else(|| "reads took too long: the device is left alone for a while".into());
            return (TierState::Unavailable, Some(message));
        }
        if state == TierState::Serving && self.are_reads_failing.load(Ordering::Relaxed) {
            return (TierState::Degraded, Some("the device fails to read: what lies on it is a miss".to_owned()));
        }
        (state, message)
    }

    /// What the tier knows of itself: its entries, and not what a lookup was worth to its caller.
    pub(crate) fn stats(&self) -> (TierStats, DiskStats) {
        let of = |count: Count| self.counters.read(count);
        let store = self.attached().and_then(|attached| attached.seat.store());
        let engine = store.map(|store| store.stats()).unwrap_or_default();
        let own = self.ledger.lock().len();
        let tier = TierStats {
            inserts: of(Count::Inserted),
            departures: Departures {
                removed: of(Count::Removed),
                replaced: of(Count::Replaced),
                expired: engine.expired + engine.reclaimed_expired,
                evicted: engine.evicted,
                ..Departures::default()
            },
            drops: Drops {
                too_large: of(Count::TooLarge),
                not_encoded: of(Count::NotEncoded),
                invalidated: of(Count::Invalidated),
                expired: of(Count::Expired),
                corrupt: of(Count::Corrupt) + engine.corrupt,
                not_decoded: of(Count::Undecodable),
                foreign: of(Count::Foreign),
                queue_full: of(Count::QueueFull),
                not_admitted: of(Count::NotAdmitted),
                failed: of(Count::Failed),
                timed_out: of(Count::TimedOut),
                skipped: of(Count::Skipped),
                ..Drops::default()
            },
            entries: engine.entries.saturating_sub(u64::try_from(own).unwrap_or(0)),
            weight: engine.used_bytes,
            capacity: if engine.capacity_bytes == 0 { self.disk.bytes } else { engine.capacity_bytes },
            unit: Unit::Bytes,
            ..TierStats::default()
        };
        let disk = DiskStats {
            is_open: self.is_attached(),
            kept: of(Count::Kept),
            unsettled: of(Count::Unsettled),
            forgotten: of(Count::Forgotten),
            index_bytes: engine.index_bytes,
            queued_bytes: engine.queued_bytes,
            put_bytes: engine.put_bytes,
            written_bytes: engine.written_bytes,
            write_amplification: engine.write_amplification(),
            reinserted: engine.reinserted,
            device_errors: engine.device_errors,
            lost: engine.lost,
            torn_bytes: engine.torn_bytes,
            distrusted: engine.distrusted_entries,
        };
        (tier, disk)
    }
}
