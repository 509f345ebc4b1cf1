//! Changes that the server has not had: it was away, or nobody knows whether it had them.
//!
//! For each key the latest counts. Until it is done, the key is not read from the server by this process. Of what was written the
//! bytes are kept as long as there is room; beyond, the key is only removed there. If even the keys are too many, the
//! whole cache is cleared there.
//!
//! A write of which nobody knows whether it was done may be done yet: the server refuses it after its **fence**, a time of the
//! server's own clock, and what replaces it is not done before; or a minute later, if the server's clock has gone back meanwhile.
//!
//! **Invariant:** keys, bytes and marks are bounded.

use crate::tags::{FLOORS, Mark};
use ahash::RandomState;
use bytes::Bytes;
use std::collections::HashMap;

/// Keys, at most.
const KEYS_MAX: usize = 64 << 10;
/// How long a fence lasts here at most, if the server's clock does not come to its end: it was set back, say. What the network has
/// held back for so long may be done after all then.
const FENCE_MS_MAX: u64 = 60_000;
/// What a key takes beside itself and its bytes.
const CHANGE_BYTES: usize = 160;

/// What is to be done about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Removed,
    Insert {
        bytes: Bytes,
        /// In Unix milliseconds.
        stored_at_ms: u64,
        /// By the cache's clock; 0 for never.
        expires_ms: u64,
    },
}

/// A change, and when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) op: Op,
    /// By the tier's own count of milliseconds.
    pub(super) made_ms: u64,
    /// By the server's clock; 0 for none.
    pub(super) fence_ms: u64,
    /// When the fence is over in any case, by the tier's own count.
    fence_own_ms: u64,
    /// Tells this change from a later one of the same key.
    pub(super) number: u64,
}

impl Change {
    /// The fence that the server has still to look at, by its clock; 0 for none.
    pub(super) fn fence_at(&self, now_ms: u64) -> u64 {
        if self.fence_own_ms <= now_ms { 0 } else { self.fence_ms }
    }

    fn raise_fence(&mut self, fence_ms: u64, now_ms: u64, patience_ms: u64) {
        if fence_ms > 0 {
            self.fence_ms = self.fence_at(now_ms).max(fence_ms);
            self.fence_own_ms = now_ms.saturating_add(patience_ms).saturating_add(FENCE_MS_MAX);
        }
    }
}

/// What became of a change that was noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    Kept,
    /// More keys than are kept: all of the cache goes.
    Overflowed,
}

/// Changes that are still to be done.
#[derive(Debug)]
pub(super) struct Missed {
    changes: HashMap<Vec<u8>, Change, RandomState>,
    /// Clears and tags, and the number of the latest of each.
    marks: HashMap<Mark, u64, RandomState>,
    bytes: usize,
    bytes_max: usize,
    keys_max: usize,
    /// Whether all may be cleared, if it is too much.
    may_clear: bool,
    numbers: u64,
    /// How far ahead of the time at which it is set a fence lies.
    pub(super) patience_ms: u64,
}

impl Missed {
    pub(super) fn new(bytes_max: usize, may_clear: bool) -> Missed {
        let (changes, marks) = (HashMap::default(), HashMap::default());
        Missed { changes, marks, bytes: 0, bytes_max, keys_max: KEYS_MAX, may_clear, numbers: 0, patience_ms: 0 }
    }

    /// Notes a change; it takes the place of an earlier one.
    pub(super) fn note(&mut self, key: &[u8], op: Op, made_ms: u64, fence_ms: u64) -> Noted {
        if self.is_full(key) {
            if self.may_clear {
                // It will have a higher number than whatever was written until it is done: that covers all keys.
                self.changes = HashMap::default();
                self.bytes = 0;
                self.note_mark(Mark::Cleared);
            }
            return Noted::Overflowed;
        }
        let before = self.take(key);
        let (mut change, number) = (Change { op, made_ms, fence_ms: 0, fence_own_ms: 0, number: 0 }, self.number());
        change.number = number;
        if let Some(before) = before {
            (change.fence_ms, change.fence_own_ms) = (before.fence_ms, before.fence_own_ms);
        }
        change.raise_fence(fence_ms, made_ms, self.patience_ms);
        if self.bytes + size(key, &change) > self.bytes_max {
            change.op = Op::Removed;
        }
        self.bytes += size(key, &change);
        self.changes.insert(key.to_vec(), change);
        Noted::Kept
    }

    /// Notes a clear or a tag, and says its number.
    pub(super) fn note_mark(&mut self, mark: Mark) -> u64 {
        let number = self.number();
        if self.marks.len() <= usize::from(FLOORS) {
            self.marks.insert(mark, number);
        }
        number
    }

    /// Whether something is still to be done about the key.
    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.marks.contains_key(&Mark::Cleared) || self.changes.contains_key(key)
    }

    /// Whether that mark is still to be raised.
    pub(super) fn has_mark(&self, mark: Mark) -> bool {
        self.marks.contains_key(&mark)
    }

    /// Nobody knows whether that change was done, and may be yet until `fence_ms`: it becomes a removal.
    pub(super) fn doubt(&mut self, key: &[u8], number: u64, fence_ms: u64, now_ms: u64) {
        let patience_ms = self.patience_ms;
        if self.changes.get(key).is_some_and(|change| change.number == number)
            && let Some(change) = self.take(key)
        {
            let mut change = Change { op: Op::Removed, ..change };
            change.raise_fence(fence_ms, now_ms, patience_ms);
            self.bytes += size(key, &change);
            self.changes.insert(key.to_vec(), change);
        } else if let Some(change) = self.changes.get_mut(key) {
            change.raise_fence(fence_ms, now_ms, patience_ms);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.marks.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len() + self.marks.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// So many changes at most whose fence is over, by the clock of the server that has the key or by the tier's own count: those with
    /// the smallest numbers beyond `after`, in their order. O(changes).
    pub(super) fn due(
        &self,
        now_ms: u64,
        server_ms: impl Fn(&[u8]) -> u64,
        after: u64,
        count: usize,
    ) -> Vec<(Vec<u8>, Change)> {
        let is_over = |key: &[u8], change: &Change| change.fence_at(now_ms) == 0 || change.fence_ms < server_ms(key);
        let due = self.changes.iter().filter(|(key, change)| change.number > after && is_over(key, change));
        let mut due: Vec<(&Vec<u8>, &Change)> = due.collect();
        if due.len() > count {
            due.select_nth_unstable_by_key(count, |(_, change)| change.number);
            due.truncate(count);
        }
        due.sort_unstable_by_key(|(_, change)| change.number);
        due.into_iter().map(|(key, change)| (key.clone(), change.clone())).collect()
    }

    /// The keys that are wanted, of those of which something is still to be done.
    pub(super) fn keys(&self, mut is_wanted: impl FnMut(&[u8]) -> bool) -> Vec<Vec<u8>> {
        self.changes.keys().filter(|key| is_wanted(key)).cloned().collect()
    }

    /// The marks that are to be raised, with their numbers.
    pub(super) fn marks(&self) -> Vec<(Mark, u64)> {
        self.marks.iter().map(|(mark, number)| (*mark, *number)).collect()
    }

    /// That change is done; a later one of the key stays.
    pub(super) fn done(&mut self, key: &[u8], number: u64) {
        if self.changes.get(key).is_some_and(|change| change.number == number) {
            self.take(key);
        }
    }

    /// The same for a mark.
    pub(super) fn mark_done(&mut self, mark: Mark, number: u64) {
        if self.marks.get(&mark) == Some(&number) {
            self.marks.remove(&mark);
        }
    }

    fn is_full(&self, key: &[u8]) -> bool {
        let is_too_much = self.bytes + CHANGE_BYTES + key.len() > 2 * self.bytes_max;
        (self.changes.len() >= self.keys_max || is_too_much) && !self.changes.contains_key(key)
    }

    fn take(&mut self, key: &[u8]) -> Option<Change> {
        let change = self.changes.remove(key)?;
        self.bytes -= size(key, &change);
        Some(change)
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

fn size(key: &[u8], change: &Change) -> usize {
    let bytes = match &change.op {
        Op::Removed => 0,
        Op::Insert { bytes, .. } => bytes.len(),
    };
    CHANGE_BYTES + key.len() + bytes
}

#[cfg(test)]
mod tests;
