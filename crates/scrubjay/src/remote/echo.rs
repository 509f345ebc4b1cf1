//! What this process wrote lately, so that the news of it is known for what it is.
//!
//! The server tells everybody of every change, its author too: asked to leave the author out, it remembers but the first writer
//! of a turn, and who wrote second would never hear of the first. So the news of a key that this process has written is not
//! believed and not ignored, but **checked**: what is there now is compared with what was written.
//!
//! Only what was **stored** is expected. That nothing is there says nothing: another's removal looks like one's own, and a tier above
//! may have a value that the server has not (it was too large, there was no memory for it, nobody knew about a load). So
//! of an own removal nothing is expected: if it found something there, the news of that are believed, which lets go what was
//! stored above in the few milliseconds since; and if not, the news bear the name of who gives them ([`names`](super::names)).
//!
//! A key is expected from before it is written. Whoever reads something else there than was written forgets the expectation: then
//! the news of it is believed, even if what was written stands there again (in raw mode two writers may write the same bytes;
//! entries differ at least in their times).
//!
//! **Invariant:** bounded: two generations of [`HALF_MAX`] keys. What is forgotten too early is only believed.

use ahash::RandomState;
use std::collections::HashMap;

/// News come within milliseconds; this leaves room for a connection that lags.
const KEPT_MS: u64 = 5_000;
/// Keys of one generation.
const HALF_MAX: usize = 32 << 10;

/// What tells one value of a key from another: the last four bytes of an entry; in raw mode the CRC-32 of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum(pub(super) u32);

#[derive(Clone, Copy, Debug)]
struct Expected {
    wrote: Sum,
    /// What was written before that, and is there as long as this is on its way.
    before: Option<Sum>,
    /// The moment at which it was last seen to be there.
    seen_at: u64,
}

/// Who has made what a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Own,
    Anothers,
    /// What was found may be what was there before the last own write, or between that and the one of which there were news: look
    /// again. (To wait for the news of the last write will not do: a load whose lease is gone writes nothing, and then
    /// there are none.)
    Unknown,
}

/// Keys that this process wrote, and what.
#[derive(Debug, Default)]
pub(super) struct Echo {
    young: HashMap<Vec<u8>, Expected, RandomState>,
    old: HashMap<Vec<u8>, Expected, RandomState>,
    turned_ms: u64,
    /// Counts moments, to tell what was before what.
    moment: u64,
}

impl Echo {
    /// This process is about to write the key.
    pub(super) fn expect(&mut self, key: &[u8], wrote: Sum, now_ms: u64) {
        if now_ms.saturating_sub(self.turned_ms) >= KEPT_MS || self.young.len() >= HALF_MAX {
            self.old = std::mem::take(&mut self.young);
            self.turned_ms = now_ms;
        }
        let before = self.find(key).map(|before| before.wrote);
        self.old.remove(key);
        self.young.insert(key.to_vec(), Expected { wrote, before, seen_at: 0 });
    }

    /// What this process wrote last.
    pub(super) fn expected(&self, key: &[u8]) -> Option<Sum> {
        self.find(key).map(|expected| expected.wrote)
    }

    /// The news of the key are believed from now on.
    pub(super) fn forget(&mut self, key: &[u8]) {
        self.young.remove(key);
        self.old.remove(key);
    }

    /// A check has found `there`, if anything (`asked` being expected when it began): whose doing that is. If it is another's, the
    /// key is forgotten.
    pub(super) fn judge(&mut self, key: &[u8], asked: Sum, there: Option<Sum>) -> Whose {
        self.moment += 1;
        let moment = self.moment;
        let found = match self.young.get_mut(key) {
            Some(young) => Some(young),
            None => self.old.get_mut(key),
        };
        let Some(expected) = found else { return Whose::Anothers };
        // If something newer was written meanwhile, its own news are still to come.
        if there.is_some_and(|there| there == asked || there == expected.wrote) {
            expected.seen_at = moment;
            return Whose::Own;
        }
        if expected.wrote != asked || (there.is_some() && there == expected.before) {
            return Whose::Unknown;
        }
        self.forget(key);
        Whose::Anothers
    }

    /// The moment at which a lookup sets out.
    pub(super) fn moment(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// A lookup that set out at `since` has found `there`, if anything. Whether that may be older than what a check has seen since: then it is not
    /// to be used.
    pub(super) fn is_overtaken(&mut self, key: &[u8], there: Option<Sum>, since: u64) -> bool {
        let Some(expected) = self.find(key).copied().filter(|expected| Some(expected.wrote) != there) else {
            return false;
        };
        self.forget(key);
        expected.seen_at > since
    }

    fn find(&self, key: &[u8]) -> Option<&Expected> {
        self.young.get(key).or_else(|| self.old.get(key))
    }
}

#[cfg(test)]
mod tests;
