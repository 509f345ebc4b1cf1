//! What this process has changed and the store does not have yet.
//!
//! Entries gather until they make a pack; removals go out at once, in small packs of their own, if somebody waits for them. What
//! is sealed is on its way (a [`Batch`]) until the store has it, and answers lookups until then. Bytes are bounded; so are
//! removals, beyond which the whole cache is given up in the store.
//!
//! **Invariant:** of a key at most one entry gathers, and a removal stays until the store has it, whatever is put after it: or
//! the value from before could be there again once the process is killed. Which of several counts is a matter of stamps.

use super::pack::{Draft, Sealed};
use super::tier::Encoded;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// What an entry costs beside its bytes.
const ENTRY_BYTES: u64 = 128;
/// Removals and marks that may wait.
pub(super) const REMOVALS_MAX: usize = 1 << 16;

/// A change of one key.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) stamp: u64,
    pub(super) key: Box<[u8]>,
    /// None if it was removed.
    pub(super) entry: Option<Bytes>,
    pub(super) expires_ms: u64,
}

type ByHash<T> = HashMap<u64, T, ahash::RandomState>;

/// Changes under way to the store.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) number: u64,
    pub(super) changes: ByHash<Change>,
    pub(super) marks: Vec<(u16, u64)>,
    bytes: u64,
    /// When it was sealed.
    pub(super) since_ms: u64,
}

#[derive(Debug, Default)]
pub(super) struct Pending {
    entries: ByHash<Change>,
    /// Of the entries that gather, with what they cost.
    gathered_bytes: u64,
    removals: ByHash<u64>,
    marks: HashMap<u16, u64, ahash::RandomState>,
    flying: Vec<Arc<Batch>>,
    flying_bytes: u64,
    next_number: u64,
}

/// What waits for a key.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) stamp: u64,
    pub(super) entry: Option<Bytes>,
    pub(super) expires_ms: u64,
}

impl Change {
    fn cost(&self) -> u64 {
        let bytes = self.key.len() + self.entry.as_ref().map_or(0, Bytes::len);
        u64::try_from(bytes).unwrap_or(u64::MAX / 4) + ENTRY_BYTES
    }
}

impl Pending {
    /// The change of `hash` that counts.
    pub(super) fn find(&self, hash: u64) -> Option<Waiting> {
        let of = |change: &Change| Waiting {
            stamp: change.stamp,
            entry: change.entry.clone(),
            expires_ms: change.expires_ms,
        };
        let gone = |stamp: &u64| Waiting { stamp: *stamp, entry: None, expires_ms: 0 };
        let flying = self.flying.iter().filter_map(|batch| batch.changes.get(&hash)).map(of);
        let gathers = self.entries.get(&hash).map(of).into_iter();
        flying.chain(gathers).chain(self.removals.get(&hash).map(gone)).max_by_key(|waiting| waiting.stamp)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.gathered_bytes + self.flying_bytes
    }

    pub(super) fn gathered_bytes(&self) -> u64 {
        self.gathered_bytes
    }

    /// Removals that gather, and those on their way.
    pub(super) fn removal_count(&self) -> usize {
        let flying = self
            .flying
            .iter()
            .map(|batch| batch.marks.len() + batch.changes.values().filter(|change| change.entry.is_none()).count());
        self.removals.len() + self.marks.len() + flying.sum::<usize>()
    }

    /// An entry gathers, if all that waits stays within `bytes_max`; whether it does. What gathered of its key does not any more.
    pub(super) fn put(&mut self, hash: u64, key: &[u8], entry: &Encoded, bytes_max: u64) -> bool {
        self.forget_entry(hash);
        let change = Change {
            stamp: entry.born.stamp,
            key: key.into(),
            entry: Some(entry.bytes.clone()),
            expires_ms: entry.expires_ms,
        };
        let cost = change.cost();
        if self.bytes().saturating_add(cost) > bytes_max {
            return false;
        }
        self.gathered_bytes += cost;
        self.entries.insert(hash, change);
        true
    }

    /// A removal gathers; whether there was room.
    pub(super) fn remove(&mut self, hash: u64, stamp: u64) -> bool {
        self.forget_entry(hash);
        if self.removals.len() >= REMOVALS_MAX && !self.removals.contains_key(&hash) {
            return false;
        }
        self.removals.insert(hash, stamp);
        true
    }

    pub(super) fn mark(&mut self, place: u16, stamp: u64) {
        self.marks.insert(place, stamp);
    }

    /// No entry of this key gathers.
    pub(super) fn forget_entry(&mut self, hash: u64) {
        if let Some(before) = self.entries.remove(&hash) {
            self.gathered_bytes -= before.cost();
        }
    }

    /// Keys of entries that gather or are on their way.
    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        let flying = self.flying.iter().flat_map(|batch| batch.changes.values());
        let entries = self.entries.values().chain(flying).filter(|change| change.entry.is_some());
        entries.map(|change| change.key.to_vec()).collect()
    }

    /// Nothing up to this stamp gathers, nor is on its way as far as lookups go.
    pub(super) fn void(&mut self, stamp: u64) {
        let old: Vec<u64> = self.entries.iter().filter(|(_, one)| one.stamp <= stamp).map(|(hash, _)| *hash).collect();
        old.into_iter().for_each(|hash| self.forget_entry(hash));
        self.removals.retain(|_, removed| *removed > stamp);
        self.marks.retain(|_, marked| *marked > stamp);
        for batch in std::mem::take(&mut self.flying) {
            let is_later = batch.changes.values().any(|change| change.stamp > stamp)
                || batch.marks.iter().any(|(_, marked)| *marked > stamp);
            if is_later {
                self.flying.push(batch);
            } else {
                self.flying_bytes -= batch.bytes;
            }
        }
    }

    /// Entries for one pack set out. None if nothing waits.
    pub(super) fn seal_entries(&mut self, pack_bytes: u64, now_ms: u64) -> Option<Arc<Batch>> {
        let mut changes = ByHash::default();
        let mut bytes = 0_u64;
        if self.gathered_bytes <= pack_bytes + pack_bytes / 2 {
            changes = std::mem::take(&mut self.entries);
            bytes = std::mem::take(&mut self.gathered_bytes);
        } else {
            // The oldest first, so that no entry waits for ever.
            let mut order: Vec<(u64, u64)> = self.entries.iter().map(|(hash, change)| (change.stamp, *hash)).collect();
            order.sort_unstable();
            for (_, hash) in order {
                let Some(change) = self.entries.remove(&hash) else { continue };
                bytes += change.cost();
                changes.insert(hash, change);
                if bytes >= pack_bytes {
                    break;
                }
            }
            self.gathered_bytes -= bytes;
        }
        self.fly(changes, Vec::new(), bytes, now_ms)
    }

    /// What was removed sets out.
    pub(super) fn seal_removals(&mut self, now_ms: u64) -> Option<Arc<Batch>> {
        let gone = |(hash, stamp)| (hash, Change { stamp, key: Box::default(), entry: None, expires_ms: 0 });
        let changes = self.removals.drain().map(gone).collect();
        let marks = self.marks.drain().collect();
        self.fly(changes, marks, 0, now_ms)
    }

    fn fly(&mut self, changes: ByHash<Change>, marks: Vec<(u16, u64)>, bytes: u64, now_ms: u64) -> Option<Arc<Batch>> {
        if changes.is_empty() && marks.is_empty() {
            return None;
        }
        self.next_number += 1;
        let batch = Arc::new(Batch { number: self.next_number, changes, marks, bytes, since_ms: now_ms });
        self.flying_bytes += bytes;
        self.flying.push(Arc::clone(&batch));
        Some(batch)
    }

    /// Whether the batch still counts: everything may have been cleared meanwhile.
    pub(super) fn is_flying(&self, number: u64) -> bool {
        self.flying.iter().any(|batch| batch.number == number)
    }

    /// The store has it, or it is given up. Whether it still counted.
    pub(super) fn land(&mut self, number: u64) -> bool {
        let Some(at) = self.flying.iter().position(|batch| batch.number == number) else { return false };
        self.flying_bytes -= self.flying.remove(at).bytes;
        true
    }
}

impl Batch {
    /// The pack of it: entries of `large_bytes` and more are objects of their own, shown to `large`.
    pub(super) fn pack(
        &self,
        stamp: u64,
        writer: u64,
        large_bytes: u64,
        mut large: impl FnMut(u64, &Change, &Bytes, u32),
    ) -> Sealed {
        let mut draft = Draft::default();
        for (hash, change) in &self.changes {
            let Some(entry) = &change.entry else {
                draft.gone(*hash, change.stamp);
                continue;
            };
            if u64::try_from(entry.len()).unwrap_or(u64::MAX) < large_bytes {
                draft.value(*hash, change.stamp, change.expires_ms, &change.key, entry);
            } else {
                let crc = crc32fast::hash(entry);
                large(*hash, change, entry, crc);
                draft.large(*hash, change.stamp, change.expires_ms, &change.key, crc);
            }
        }
        self.marks.iter().for_each(|(place, stamp)| draft.mark(*place, *stamp));
        draft.seal(stamp, writer)
    }

    /// When the last of its entries is of no use any more; 0 for never.
    pub(super) fn expires_ms(&self) -> u64 {
        let mut latest = 0;
        for change in self.changes.values() {
            match change.expires_ms {
                0 => return 0,
                expires_ms => latest = latest.max(expires_ms),
            }
        }
        latest
    }
}
