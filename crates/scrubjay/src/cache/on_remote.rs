//! The cache's way to the remote tier: what lies there, decoded, and what is to lie there, encoded.

use super::beneath::{Descent, Raised};
use super::far::FoundFar;
use super::{Found, OnRemote, Shared, Start};
use crate::entry::Times;
use crate::kept::{Kept, NewKept};
use crate::key::Key;
use crate::remote::{Encoded, RemoteStats, SharedBorn};
use crate::stats::{Came, Departures, Drops, Place, TierStats, Unit};
use crate::stored::Stored;
use bytes::Bytes;

/// Whose bytes were asked for, and when by the cache's own stamps.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) key_bytes: &'a [u8],
    pub(super) born: u64,
}

impl<V> OnRemote<V> {
    /// What the tier says of itself. What it holds is the server's to know, and is not asked for.
    pub(super) fn stats(&self) -> (TierStats, RemoteStats) {
        let store = self.tier.stats();
        let tier = TierStats {
            inserts: store.stored,
            departures: Departures { removed: store.removed, ..Departures::default() },
            drops: Drops {
                too_large: store.too_large,
                not_encoded: store.not_encoded,
                invalidated: store.invalidated + store.revoked,
                corrupt: store.corrupt,
                not_decoded: store.undecodable,
                foreign: store.foreign,
                failed: store.failed + store.out_of_memory,
                timed_out: store.timed_out,
                skipped: store.skipped + store.shed,
                ..Drops::default()
            },
            unit: Unit::Bytes,
            ..TierStats::default()
        };
        (tier, store)
    }
}

impl<K: Key, V: Clone + Send + Sync + 'static> Shared<K, V> {
    /// The entry that was read, decoded, if it counts.
    pub(super) fn raise_remote(&self, remote: &OnRemote<V>, given: Given<'_>, bytes: &Bytes) -> Option<Raised<V>> {
        remote.tier.read(given.key_bytes, bytes, |kept: &Kept<'_>, payload| {
            let mut raised = self.decode(&*remote.codec, kept, payload)?;
            raised.born = given.born;
            Ok(raised)
        })
    }

    /// What the remote tier has of the key is worth to the caller, which is counted.
    pub(super) fn found_remote(
        &self,
        remote: &OnRemote<V>,
        (hash, descent): (u64, Descent<K>),
        bytes: Option<Bytes>,
        start: Start,
    ) -> FoundFar<V> {
        let Some(bytes) = bytes else {
            self.counters.lookup(Place::Remote, Came::Miss);
            return Found::Miss.into();
        };
        let given = Given { key_bytes: &descent.key_bytes, born: descent.born };
        let Some(raised) = self.raise_remote(remote, given, &bytes) else {
            self.counters.lookup(Place::Remote, Came::Miss);
            return FoundFar { seen: Some(bytes), ..Found::Miss.into() };
        };
        match self.found_far(Place::Remote, (hash, descent), raised, start) {
            far if matches!(far.found, Found::Fresh(_)) => far,
            far => FoundFar { seen: Some(bytes), ..far },
        }
    }

    /// What was found in the tier below this one, as this one keeps it. It is not newer than the load that found it.
    pub(super) fn encode_raised(
        &self,
        remote: &OnRemote<V>,
        key_bytes: &[u8],
        raised: &Raised<V>,
        (born, began_ms): (SharedBorn, u64),
    ) -> Option<Encoded> {
        let Raised { value, times, cost, weight, tags, .. } = raised;
        let known_ms = if times.stored_at_ms == 0 { began_ms } else { times.stored_at_ms };
        let times = Times { stored_at_ms: known_ms.min(began_ms), ..*times };
        let tags: Vec<&str> = tags.iter().flat_map(|tags| tags.names()).collect();
        let new = NewKept { key: key_bytes, times, cost: *cost, born: raised.born, weight: *weight, tags: &tags };
        let write = value.as_ref().map(|value| |out: &mut Vec<u8>| remote.codec.encode(value, out));
        remote.tier.encode(&new, born, write)
    }

    /// An entry as the remote tier keeps it. `None` if it cannot be kept there, which the tier counts.
    pub(super) fn encode_remote(
        &self,
        remote: &OnRemote<V>,
        new: &NewKept<'_>,
        stored: &Stored<V>,
        born: SharedBorn,
    ) -> Option<Encoded> {
        let write = stored.value.as_ref().map(|value| |out: &mut Vec<u8>| remote.codec.encode(value, out));
        remote.tier.encode(new, born, write)
    }
}
