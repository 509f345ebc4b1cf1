//! What the remote tier says of itself: its state, and its numbers.

use super::counters::Count;
use super::link::{Link, LinkState, News};
use super::tier::Inner;
use crate::health::TierState;
use serde::Serialize;

/// More of the remote tier, beside its [`TierStats`](crate::TierStats): what it has to do with other processes, and with a
/// server that may be away.
///
/// ```
/// let remote = scrubjay::RemoteStats::default();
/// if remote.missed_pending > 0 {
///     println!("{} changes wait until the server is back", remote.missed_pending);
/// }
/// # assert!(!remote.is_serving);
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RemoteStats {
    /// Whether the server is there, and all that was missed is caught up with.
    pub is_serving: bool,
    /// Milliseconds since it was last known that every change is heard of: the age of what is above, where it was not heard
    /// of. 0 where that is so now.
    pub trust_age_ms: u64,
    /// Entries that were stored there, by loads and by inserts.
    pub stored: u64,
    /// Entries that were removed there by this process.
    pub removed: u64,
    /// Lookups that passed the server by: it was away, or the key is being changed.
    pub skipped: u64,
    /// Commands that failed: no answer in time, or an error.
    pub failed: u64,
    /// Entries found there that a tag, `clear`, or a new generation of the stamps had invalidated.
    pub invalidated: u64,
    /// Entries found damaged.
    pub corrupt: u64,
    /// Entries that the codec could not decode.
    pub undecodable: u64,
    /// What was found and is not this cache's: of another schema version, codec, format, or no entry at all.
    pub foreign: u64,
    /// Values that were too large to be shared.
    pub too_large: u64,
    /// Values that did not serialise.
    pub not_encoded: u64,
    /// Values that the server had no memory for.
    pub out_of_memory: u64,
    /// Keys that cannot be shared safely: in the raw form, braces that no lease can share a slot with.
    pub unprotected: u64,
    /// Loads that were this process' to do for all.
    pub leases: u64,
    /// Times that another process' load was waited for.
    pub waits: u64,
    /// Values that another process loaded while this one asked or waited.
    pub shared_loads: u64,
    /// Loads that went on without a lease: the server was away, or another took too long.
    pub alone: u64,
    /// Results of loads that were not stored, since the key was removed or written meanwhile.
    pub revoked: u64,
    /// Keys that others changed, as told by the server.
    pub invalidations: u64,
    /// Keys that this process itself changed, as told by the server: nothing was let go for it.
    pub echoes: u64,
    /// Tags and clears of others.
    pub marks: u64,
    /// Entries that this process had fresh, and let go since others had changed their keys: what it would have served otherwise. At
    /// most one for each of `invalidations`.
    pub stale_by_key: u64,
    /// Lookups that met an entry in this process which would be fresh, but for a tag or `clear` of others, or since news may have been
    /// missed.
    pub stale_by_mark: u64,
    /// Times that everything above was let go, since news may have been missed, or the server was flushed.
    pub distrusted: u64,
    /// Times that the stamps were found gone, and begun anew: every older entry is a miss.
    pub generations: u64,
    /// Changes that were kept for later.
    pub deferred: u64,
    /// Of these, done since.
    pub replayed: u64,
    /// Of these, given up since something newer was there.
    pub outdated: u64,
    /// Changes that wait until the server is back.
    pub missed_pending: u64,
    /// The bytes that they take.
    pub missed_bytes: u64,
    /// Times that more was missed than is kept: the whole cache is cleared then, once the server is back.
    pub missed_overflows: u64,
    /// Commands that were not answered in time.
    pub timed_out: u64,
    /// Commands that were tried again.
    pub retried: u64,
    /// Commands that were not sent, since too many were on their way.
    pub shed: u64,
    /// Commands on their way now.
    pub in_flight: u64,
    /// How often a connection was made.
    pub connects: u64,
    /// How often the server was left alone for a while, since it kept failing.
    pub breaker_opened: u64,
}

impl RemoteStats {
    /// Old values that nobody has read, since the remote tier said that they are outdated: by news of their key, by a mark of
    /// others, or where they lie, in the remote tier itself (`invalidated`).
    pub fn stale_reads_avoided(&self) -> u64 {
        self.stale_by_key + self.stale_by_mark + self.invalidated
    }
}

impl Inner {
    /// What was counted so far.
    pub(super) fn stats(&self, link: &Link) -> RemoteStats {
        let of = |count: Count| self.counters.read(count);
        let link_stats = link.stats();
        let (missed_pending, missed_bytes) = self.missed_now();
        RemoteStats {
            is_serving: matches!(link.state(), LinkState::Serving { .. }),
            trust_age_ms: self.trust_age_ms(),
            stored: of(Count::Stored),
            removed: of(Count::Removed),
            skipped: of(Count::Skipped),
            failed: of(Count::Failed),
            invalidated: of(Count::Invalidated),
            corrupt: of(Count::Corrupt),
            undecodable: of(Count::Undecodable),
            foreign: of(Count::Foreign),
            too_large: of(Count::TooLarge),
            not_encoded: of(Count::NotEncoded),
            out_of_memory: of(Count::OutOfMemory),
            unprotected: of(Count::Unprotected),
            leases: of(Count::Lease),
            waits: of(Count::Wait),
            shared_loads: of(Count::SharedLoad),
            alone: of(Count::Alone),
            revoked: of(Count::Revoked),
            invalidations: of(Count::Invalidation),
            echoes: of(Count::Echo),
            marks: of(Count::Mark),
            distrusted: of(Count::Distrusted),
            generations: of(Count::Generation),
            deferred: of(Count::Deferred),
            replayed: of(Count::Replayed),
            outdated: of(Count::Outdated),
            missed_pending,
            missed_bytes,
            missed_overflows: of(Count::Overflow),
            // The cache's to know.
            stale_by_key: 0,
            stale_by_mark: 0,
            timed_out: link_stats.timed_out,
            retried: link_stats.retried,
            shed: link_stats.shed,
            in_flight: link_stats.in_flight,
            connects: link_stats.connected,
            breaker_opened: link_stats.opened,
        }
    }

    /// How it is doing, and why.
    pub(super) fn health(&self, link: &Link) -> (TierState, Option<String>) {
        let coherence = match link.state() {
            LinkState::Closed => return (TierState::Closed, None),
            LinkState::Connecting { why } => {
                let why = why.map_or_else(|| "the server is not connected yet".to_owned(), |why| why.to_string());
                return (TierState::Unavailable, Some(why));
            }
            LinkState::Away { why, .. } => return (TierState::Unavailable, Some(why.to_string())),
            LinkState::Serving { coherence } => coherence,
        };
        if let News::PubSub(Some(why)) = coherence {
            let message = format!("what other programs write is not heard of, since the server does not track: {why}");
            return (TierState::Degraded, Some(message));
        }
        match self.missed_now() {
            (0, _) => (TierState::Serving, None),
            (missed, _) => (TierState::Degraded, Some(format!("{missed} changes wait to be done on the server"))),
        }
    }
}
