//! One stripe, for now as plain maps: the reference that the real index is tested against.

use crate::{Db, Entry, Expiry, Full, Key, Owned, WatchFlag};
use std::collections::HashMap;
use std::sync::Arc;

type Watched = HashMap<(Db, Vec<u8>), Vec<Arc<WatchFlag>>>;

pub(crate) struct Stripe {
    dbs: Vec<HashMap<Vec<u8>, Owned>>,
    watched: Watched,
}

impl Stripe {
    pub(crate) fn new(databases: u16) -> Stripe {
        Stripe { dbs: (0..databases).map(|_| HashMap::new()).collect(), watched: HashMap::new() }
    }

    fn db(&mut self, db: Db) -> &mut HashMap<Vec<u8>, Owned> {
        &mut self.dbs[usize::from(db.0)]
    }

    fn touched(&mut self, db: Db, key: &[u8]) {
        if let Some(flags) = self.watched.remove(&(db, key.to_vec())) {
            flags.iter().for_each(|flag| flag.raise());
        }
    }

    fn expire(&mut self, db: Db, key: &Key<'_>, now_ms: u64) {
        if self.db(db).get(key.bytes).is_some_and(|owned| owned.expires_at_ms.is_some_and(|at| at <= now_ms)) {
            self.db(db).remove(key.bytes);
            self.touched(db, key.bytes);
        }
    }

    pub(crate) fn len(&self, db: Db) -> u64 {
        self.dbs[usize::from(db.0)].len() as u64
    }

    pub(crate) fn expires_len(&self, db: Db) -> u64 {
        self.dbs[usize::from(db.0)].values().filter(|owned| owned.expires_at_ms.is_some()).count() as u64
    }

    pub(crate) fn get(&mut self, db: Db, key: &Key<'_>, now_ms: u64, _touch: bool) -> Option<Entry<'_>> {
        self.expire(db, key, now_ms);
        self.db(db).get(key.bytes).map(view)
    }

    pub(crate) fn set(&mut self, db: Db, key: &Key<'_>, value: &[u8], expiry: Expiry, now_ms: u64) -> Result<(), Full> {
        self.expire(db, key, now_ms);
        let expires_at_ms = match expiry {
            Expiry::Clear => None,
            Expiry::Keep => self.db(db).get(key.bytes).and_then(|owned| owned.expires_at_ms),
            Expiry::At(at) => Some(at),
        };
        self.insert(db, key, Owned { value: value.to_vec(), expires_at_ms, is_raw: false, idle_seconds: 0 }, now_ms)
    }

    pub(crate) fn resize(&mut self, db: Db, key: &Key<'_>, len: usize, now_ms: u64) -> Result<&mut [u8], Full> {
        self.expire(db, key, now_ms);
        self.touched(db, key.bytes);
        let owned = self.db(db).entry(key.bytes.to_vec()).or_insert_with(|| Owned {
            value: Vec::new(),
            expires_at_ms: None,
            is_raw: true,
            idle_seconds: 0,
        });
        owned.value.resize(len, 0);
        owned.is_raw = true;
        Ok(&mut owned.value)
    }

    pub(crate) fn remove(&mut self, db: Db, key: &Key<'_>, now_ms: u64) -> bool {
        self.take(db, key, now_ms).is_some()
    }

    pub(crate) fn take(&mut self, db: Db, key: &Key<'_>, now_ms: u64) -> Option<Owned> {
        self.expire(db, key, now_ms);
        let owned = self.db(db).remove(key.bytes)?;
        self.touched(db, key.bytes);
        Some(owned)
    }

    pub(crate) fn insert(&mut self, db: Db, key: &Key<'_>, owned: Owned, _now_ms: u64) -> Result<(), Full> {
        self.db(db).insert(key.bytes.to_vec(), owned);
        self.touched(db, key.bytes);
        Ok(())
    }

    pub(crate) fn set_expiry(
        &mut self,
        db: Db,
        key: &Key<'_>,
        expires_at_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<bool, Full> {
        self.expire(db, key, now_ms);
        let Some(owned) = self.db(db).get_mut(key.bytes) else { return Ok(false) };
        owned.expires_at_ms = expires_at_ms;
        self.touched(db, key.bytes);
        Ok(true)
    }

    pub(crate) fn memory_usage(&mut self, db: Db, key: &Key<'_>, now_ms: u64) -> Option<usize> {
        self.get(db, key, now_ms, false).map(|entry| entry.value.len() + key.bytes.len() + 16)
    }

    pub(crate) fn watch(&mut self, db: Db, key: &Key<'_>, flag: &Arc<WatchFlag>) {
        self.watched.entry((db, key.bytes.to_vec())).or_default().push(Arc::clone(flag));
    }

    pub(crate) fn unwatch(&mut self, db: Db, key: &Key<'_>, flag: &Arc<WatchFlag>) {
        if let Some(flags) = self.watched.get_mut(&(db, key.bytes.to_vec())) {
            flags.retain(|held| !Arc::ptr_eq(held, flag));
        }
    }

    pub(crate) fn for_each(&mut self, db: Db, now_ms: u64, visit: &mut impl FnMut(&[u8], Entry<'_>)) {
        for (key, owned) in self.db(db) {
            if owned.expires_at_ms.is_none_or(|at| at > now_ms) {
                visit(key, view(owned));
            }
        }
    }

    pub(crate) fn flush(&mut self, db: Db) {
        let keys: Vec<Vec<u8>> = std::mem::take(self.db(db)).into_keys().collect();
        keys.iter().for_each(|key| self.touched(db, key));
    }

    pub(crate) fn swap(&mut self, a: Db, b: Db) {
        self.dbs.swap(usize::from(a.0), usize::from(b.0));
    }
}

fn view(owned: &Owned) -> Entry<'_> {
    Entry { value: &owned.value, expires_at_ms: owned.expires_at_ms, is_raw: owned.is_raw, idle_seconds: 0 }
}
