//! What the object tier says of itself: its state, and its numbers.

use super::counters::{Count, ObjectStats};
use super::tier::ObjectTier;
use crate::health::TierState;
use crate::stats::{Departures, Drops, TierStats, Unit};

impl ObjectTier {
    /// How it is doing.
    pub(crate) fn health(&self) -> (TierState, Option<String>) {
        let state = self.state.lock();
        if state.is_closed {
            return (TierState::Closed, None);
        }
        if !state.is_trusted(self.clock.now_ms()) {
            let why = match &state.look_trouble {
                Some(trouble) => format!("what is in the store is not known: {trouble}"),
                None => "what is in the store is being looked for".to_owned(),
            };
            return (TierState::Unavailable, Some(why));
        }
        if self.reach.reads.is_open() {
            let why = "reads failed or took too long: the store is left alone for a while".to_owned();
            return (TierState::Unavailable, Some(why));
        }
        if let Some(trouble) = &state.write_trouble {
            return (TierState::Degraded, Some(format!("the store cannot be written to: {trouble}")));
        }
        if let Some(trouble) = &state.look_trouble {
            return (TierState::Degraded, Some(format!("it is not known what other processes wrote: {trouble}")));
        }
        (TierState::Serving, None)
    }

    /// What the tier knows of itself: its entries, and not what a lookup was worth to its caller.
    pub(crate) fn stats(&self) -> (TierStats, ObjectStats) {
        let of = |count: Count| self.counters.read(count);
        let state = self.state.lock();
        let (mut entries, mut bytes) = (0_u64, 0_u64);
        for pack in state.index.packs() {
            entries += u64::from(pack.live);
            bytes += u64::from(pack.data_len);
        }
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let tier = TierStats {
            inserts: of(Count::Inserted),
            departures: Departures {
                removed: of(Count::Removed),
                replaced: of(Count::Replaced),
                expired: of(Count::Expired),
                ..Departures::default()
            },
            drops: Drops {
                too_large: of(Count::TooLarge),
                not_encoded: of(Count::NotEncoded),
                invalidated: of(Count::Invalidated),
                corrupt: of(Count::Corrupt),
                not_decoded: of(Count::Undecodable),
                foreign: of(Count::Foreign),
                queue_full: of(Count::QueueFull),
                failed: of(Count::Failed),
                timed_out: of(Count::TimedOut),
                skipped: of(Count::Skipped),
                ..Drops::default()
            },
            entries,
            weight: bytes,
            unit: Unit::Bytes,
            ..TierStats::default()
        };
        let object = ObjectStats {
            is_open: state.is_trusted(self.clock.now_ms()),
            reads: of(Count::Reads),
            writes: of(Count::Writes),
            lists: of(Count::Lists),
            deletes: of(Count::Deletes),
            read_bytes: of(Count::ReadBytes),
            written_bytes: of(Count::WrittenBytes),
            failures: of(Count::Failures),
            packs: number(state.index.pack_count()),
            packs_written: of(Count::PacksWritten),
            large_written: of(Count::LargeWritten),
            foreign_objects: state.foreign + number(state.bad.len()),
            vanished: of(Count::Vanished),
            left_out: of(Count::LeftOut),
            index_bytes: number(state.index.bytes()),
            queued_bytes: state.pending.bytes(),
            removals_waiting: number(state.pending.removal_count()),
            removals_deferred: of(Count::RemovalsDeferred),
            forgotten: of(Count::Forgotten),
            refreshes: of(Count::Refreshes),
            rewritten: of(Count::Rewritten),
            deleted: of(Count::Deleted),
        };
        (tier, object)
    }
}
