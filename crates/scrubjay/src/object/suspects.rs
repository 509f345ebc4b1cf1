//! News of keys, until it is known what they mean.
//!
//! The remote tier tells of each entry that goes there: one that was replaced or removed, but also one whose time was over or that the
//! server needed the room of. The first kind makes what lies here old; the second is just what this tier is for. So a key that there
//! are news of is **suspected**: it is not served until somebody has looked what is there, and then it is either
//! [changed](ObjectTier::judge) or as good as before.
//!
//! Each suspicion is judged, so there are no more than the cache asks about at once.
//!
//! Who finds an entry here and gives it to the remote tier again is told of by that as by any other change. So it [says here
//! again](ObjectTier::put_again) what it has found, in a pack of later, with the stamp that it had.
//!
//! **Invariant:** what is put after the news is touched by no judgement on them.

use super::hash::hash_of;
use super::index::{Known, Located};
use super::tier::{Encoded, Found, ObjectBorn, ObjectTier, State};
use std::time::Duration;

/// Keys that others have changed lately, at most. Beyond, nothing is served until the store was listed again.
const MASKS_MAX: usize = 1 << 16;

/// How long a lookup waits for a judgement.
const JUDGED_WITHIN: Duration = Duration::from_millis(500);

/// That there were news of a key, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspicion {
    hash: u64,
    stamp: u64,
}

impl ObjectTier {
    /// There are news of the key: it is not served until [`judge`](ObjectTier::judge) is called. Of several suspicions the last counts.
    pub(crate) fn suspect(&self, key: &[u8]) -> Suspicion {
        let suspicion = Suspicion { hash: hash_of(key), stamp: self.next_stamp() };
        self.state.lock().suspects.insert(suspicion.hash, suspicion.stamp);
        suspicion
    }

    /// What the news meant. If another process wrote or removed the key (`is_changed`; whoever does not know says so, too), what was
    /// known of it does not count, until it is seen in a pack of later.
    pub(crate) fn judge(&self, suspicion: Suspicion, is_changed: bool) {
        let Suspicion { hash, stamp } = suspicion;
        let mut state = self.state.lock();
        if state.suspects.get(&hash) == Some(&stamp) {
            state.suspects.remove(&hash);
        }
        let has_room = state.masks.len() < MASKS_MAX;
        if is_changed && has_room {
            state.forget_until(hash, stamp);
        }
        if is_changed && !has_room {
            state.masks.clear();
            drop(state);
            self.distrust();
        } else {
            drop(state);
        }
        // Who waits looks into the state, so it is not locked here.
        self.wakes.judged.send_modify(|judgements| *judgements += 1);
    }

    /// Waits until none of these is suspected: whoever asks for an entry whose time on the server has just ended is the first to
    /// cause the news of that. For a moment at most.
    pub(super) async fn judged(&self, hashes: &[u64]) {
        let is_suspected = || {
            let state = self.state.lock();
            !state.suspects.is_empty() && hashes.iter().any(|hash| state.suspects.contains_key(hash))
        };
        if !is_suspected() {
            return;
        }
        let mut judged = self.wakes.judged.subscribe();
        // What is suspected still is not served.
        let _ = self.timers.limit(JUDGED_WITHIN, judged.wait_for(|_| !is_suspected())).await;
    }
}

impl ObjectTier {
    /// The entry that was found was given to the remote tier: others hear of that, and for them it counts no more until it is seen in
    /// a pack of later. So it goes into the next one, unless something newer is known or waits. Large entries do not: they would be
    /// written once more for each.
    pub(crate) fn put_again(&self, key: &[u8], found: &Found) {
        let hash = hash_of(key);
        let mut state = self.state.lock();
        let Some(Known { stamp, located: Some(Located::Value { .. }), expires_ms }) =
            state.index.find(hash, self.unix_ms())
        else {
            return;
        };
        if state.is_closed || stamp != found.stamp || state.pending.find(hash).is_some() {
            return;
        }
        let entry = Encoded { bytes: found.bytes.clone(), expires_ms, born: ObjectBorn { stamp } };
        // Where there is no room, others load it.
        let _ = state.pending.put(hash, key, &entry, self.object.queue_bytes);
        if state.pending.gathered_bytes() >= self.object.pack_bytes {
            self.wakes.entries.notify_one();
        }
    }
}

impl State {
    /// What is known of the key up to this stamp does not count.
    fn forget_until(&mut self, hash: u64, stamp: u64) {
        if self.index.find(hash, 0).is_some_and(|known| known.stamp <= stamp) {
            self.index.forget(hash, 0);
        }
        if self.pending.find(hash).is_some_and(|waiting| waiting.entry.is_some() && waiting.stamp <= stamp) {
            self.pending.forget_entry(hash);
        }
        let heard = self.masks.entry(hash).or_insert(0);
        *heard = stamp.max(*heard);
    }
}
