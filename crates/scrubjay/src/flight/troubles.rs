//! Keys whose loader failed lately: what to answer instead of asking it again, and until when.
//!
//! Invariant: at most [`TROUBLES_MAX`] keys in a cache. When a stripe has its share, those whose time is over go, and if there
//! are none, an arbitrary one.

use crate::error::Error;
use ahash::RandomState;
use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Keys in trouble that a cache remembers.
pub(super) const TROUBLES_MAX: usize = 16_384;

/// The last failure of a key's loader. Times are of the cache's clock, 0 is "not at all".
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) error: Error,
    /// Until then everybody gets the error, and the loader is not asked.
    pub(crate) back_off_until_ms: u64,
    /// Until then who has a stale value at hand gets that, and the loader is not asked.
    pub(crate) throttle_until_ms: u64,
}

impl Trouble {
    /// Whether the loader may be asked again, whatever there is to serve.
    pub(crate) fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.back_off_until_ms.max(self.throttle_until_ms)
    }
}

/// A key that a stripe is done with, to be dropped when the stripe is unlocked.
pub(super) type Gone<K> = (K, Option<Trouble>);

pub(super) struct Troubles<K> {
    keys: HashMap<K, Trouble, RandomState>,
    keys_max: usize,
}

impl<K: Hash + Eq + Clone> Troubles<K> {
    /// One of `stripes` equal shares.
    pub(super) fn new(stripes: usize, hasher: RandomState) -> Troubles<K> {
        Troubles { keys: HashMap::with_hasher(hasher), keys_max: (TROUBLES_MAX / stripes.max(1)).max(1) }
    }

    /// What it displaces goes into `gone`.
    pub(super) fn note(&mut self, key: K, trouble: Trouble, now_ms: u64, gone: &mut Vec<Gone<K>>) {
        gone.extend(self.keys.remove_entry(&key).map(|(key, trouble)| (key, Some(trouble))));
        if trouble.is_over(now_ms) {
            gone.push((key, Some(trouble)));
            return;
        }
        if self.keys.len() >= self.keys_max {
            self.forget_if(|_, trouble| trouble.is_over(now_ms), usize::MAX, gone);
        }
        if self.keys.len() >= self.keys_max {
            self.forget_if(|_, _| true, 1, gone);
        }
        self.keys.insert(key, trouble);
    }

    fn forget_if(&mut self, mut is_wanted: impl FnMut(&K, &Trouble) -> bool, keys_max: usize, gone: &mut Vec<Gone<K>>) {
        let forgotten = self.keys.extract_if(|key, trouble| is_wanted(key, trouble)).take(keys_max);
        gone.extend(forgotten.map(|(key, trouble)| (key, Some(trouble))));
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Option<&Trouble>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.keys.is_empty() { None } else { self.keys.get(key) }
    }

    pub(super) fn forget<Q>(&mut self, key: &Q) -> Option<Gone<K>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if self.keys.is_empty() {
            return None;
        }
        self.keys.remove_entry(key).map(|(key, trouble)| (key, Some(trouble)))
    }

    pub(super) fn forget_where(&mut self, mut is_wanted: impl FnMut(&K) -> bool, gone: &mut Vec<Gone<K>>) {
        self.forget_if(|key, _| is_wanted(key), usize::MAX, gone);
    }
}
