//! The way of a put: encoded outside of every lock, appended to the log under the lock of its shard of the index, found from
//! then on.
//!
//! What is not stored takes what was there before with it: an old value never survives a newer one that was dropped.

use super::{Core, Namespace};
use crate::error::{Error, ErrorKind};
use crate::index::{Entry, HEAT_MAX, PINNED, Tally};
use crate::log::{NotAppended, Source};
use crate::namespace::NamespaceState;
use crate::options::{Overload, Sync};
use crate::place::UNIT;
use crate::record::{Draft, EXPIRES_MS_MAX, KEY_LEN_MAX, Kind, Signed, VALUE_LEN_MAX};

/// What became of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there.
    Stored,
    /// It is not, and neither is what was there before. Counted by reason.
    Dropped(Why),
}

/// Why a value was not stored.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The queue is full, and the store drops then.
    QueueFull,
    /// The admission policy kept it out.
    NotAdmitted,
    /// No segment can hold it.
    TooLarge,
    /// The device fails or does not answer, and the queue is full.
    Failing,
    /// Its time is over already.
    Expired,
}

/// How a value is to be kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct PutOptions {
    /// When it expires, in Unix milliseconds; 0 for never.
    pub expires_ms: u64,
    /// How hot it is known to be: 0 to 6.
    pub heat: u8,
    /// Never evicted: for what must not be missing, such as marks of what was invalidated. Not for values.
    pub is_pinned: bool,
    /// Whether the call returns only when it is durable, whatever the store's own options say.
    pub sync: Option<Sync>,
}

impl Namespace {
    /// Stores a value. Costs a copy and a checksum of it; waits only if the queue is full and the store waits then.
    ///
    /// # Errors
    /// `Invalid` if the key is longer than 65,535 bytes, `Closed`; with [`Sync::Each`] also `Unavailable`, and nobody knows
    /// whether it is there after a restart. `Unavailable` too if a pinned value finds much waiting that the device does not take: it
    /// is not stored, and what was there before stays.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<Put, Error> {
        self.put_with(key, value, PutOptions::default())
    }

    /// The same with options.
    ///
    /// # Errors
    /// As [`put`](Namespace::put).
    pub fn put_with(&self, key: &[u8], value: &[u8], options: PutOptions) -> Result<Put, Error> {
        let put = self.core.put(&self.state, key, value, &options)?;
        // What was there before is gone for good, too. A device that fails makes nothing durable.
        if put != Put::Dropped(Why::Failing) && options.sync.unwrap_or(self.core.options.sync) == Sync::Each {
            self.core.flush(true)?;
        }
        Ok(put)
    }

    /// Stores several values, in order. With [`Sync::Each`] they become durable together, at the end.
    ///
    /// # Errors
    /// As [`put`](Namespace::put); those before the one that is wrong are stored.
    pub fn put_many(&self, values: &[(&[u8], &[u8], PutOptions)]) -> Result<Vec<Put>, Error> {
        let mut puts = Vec::with_capacity(values.len());
        let mut is_synced = false;
        for (key, value, options) in values {
            puts.push(self.core.put(&self.state, key, value, options)?);
            is_synced |= options.sync.unwrap_or(self.core.options.sync) == Sync::Each;
        }
        if is_synced {
            self.core.flush(true)?;
        }
        Ok(puts)
    }

    /// Takes a key out. Whether it was there. Durable as the store's options say.
    ///
    /// # Errors
    /// `Invalid` if the key is too long, `Closed`; with [`Sync::Each`] also `Unavailable`: it is gone, and may be there again
    /// after a restart.
    pub fn remove(&self, key: &[u8]) -> Result<bool, Error> {
        self.remove_with(key, self.core.options.sync)
    }

    /// The same, and durable as `sync` says.
    ///
    /// # Errors
    /// As [`remove`](Namespace::remove).
    pub fn remove_with(&self, key: &[u8], sync: Sync) -> Result<bool, Error> {
        let was_there = self.core.remove(&self.state, key)?;
        if sync == Sync::Each {
            self.core.flush(true)?;
        }
        Ok(was_there)
    }

    /// Takes several keys out. How many were there.
    ///
    /// # Errors
    /// As [`remove`](Namespace::remove).
    pub fn remove_many(&self, keys: &[&[u8]]) -> Result<usize, Error> {
        let mut count = 0;
        for key in keys {
            count += usize::from(self.core.remove(&self.state, key)?);
        }
        if self.core.options.sync == Sync::Each {
            self.core.flush(true)?;
        }
        Ok(count)
    }

    /// Lets an entry count as at least so hot, 0 to 6. Whether it is there.
    pub fn touch(&self, key: &[u8], heat: u8) -> bool {
        let hash = self.core.hash(self.state.id, key);
        self.core.index.shard(hash).warm(hash, heat.min(HEAT_MAX))
    }
}

impl Core {
    fn put(&self, state: &NamespaceState, key: &[u8], value: &[u8], options: &PutOptions) -> Result<Put, Error> {
        self.check_open()?;
        check_key(key)?;
        let hash = self.hash(state.id, key);
        let draft = Draft {
            kind: Kind::Value,
            namespace: state.id,
            hash,
            expires_ms: options.expires_ms.min(EXPIRES_MS_MAX),
            is_pinned: options.is_pinned,
            key,
            value,
        };
        if self.is_expired(options.expires_ms) {
            return self.drop_put(state, hash, Why::Expired);
        }
        if value.len() > VALUE_LEN_MAX || draft.len() as u64 > self.log.record_len_max() {
            return self.drop_put(state, hash, Why::TooLarge);
        }
        if !options.is_pinned && !self.admitter.admits(hash, options.heat, || self.log.space.is_full()) {
            return self.drop_put(state, hash, Why::NotAdmitted);
        }
        self.append_value(state, draft.sign(), options.heat)
    }

    fn append_value(&self, state: &NamespaceState, record: Signed<'_>, heat: u8) -> Result<Put, Error> {
        let (draft, len) = (*record.draft(), record.len() as u64);
        let hash = draft.hash;
        let source = if draft.is_pinned { Source::Pinned } else { Source::Put };
        loop {
            let mut shard = self.index.shard(hash);
            let appended = self.log.append(record, source);
            if let Ok(at) = appended {
                let heat = if draft.is_pinned { PINNED } else { heat.min(HEAT_MAX) };
                let entry = Entry {
                    place: at.place(),
                    len_units: u32::try_from(len / UNIT).unwrap_or(u32::MAX),
                    expires_ms: draft.expires_ms,
                    heat: shard.get(hash).filter(|old| old.heat != PINNED).map_or(heat, |old| old.heat.max(heat)),
                    namespace: state.id,
                };
                let old = shard.insert(hash, entry);
                let tally = shard.tally();
                tally.puts += 1;
                tally.put_bytes += len;
                if let Some(old) = old {
                    tally.replaced += 1;
                    tally.replaced_bytes += u64::from(old.len_units) * UNIT;
                }
                return Ok(Put::Stored);
            }
            drop(shard);
            if appended == Err(NotAppended::Closed) {
                return Err(Error::closed());
            }
            let why = if self.options.overload == Overload::Drop {
                Why::QueueFull
            } else if self.log.wait_for_room(len, self.options.stall_after).is_err() {
                self.check_open()?;
                Why::Failing
            } else {
                continue;
            };
            return if draft.is_pinned { self.refuse_pinned(hash, why) } else { self.drop_put(state, hash, why) };
        }
    }

    /// Does not store a value, and takes out what was there before.
    fn drop_put(&self, state: &NamespaceState, hash: u64, why: Why) -> Result<Put, Error> {
        self.take_out(state, hash, |tally| match why {
            Why::QueueFull => tally.dropped_full += 1,
            Why::NotAdmitted => tally.dropped_not_admitted += 1,
            Why::TooLarge => tally.dropped_too_large += 1,
            Why::Failing => tally.dropped_failing += 1,
            Why::Expired => tally.expired += 1,
        })?;
        Ok(Put::Dropped(why))
    }

    /// Does not store a pinned value, and leaves what was there before, which is pinned as well.
    fn refuse_pinned(&self, hash: u64, why: Why) -> Result<Put, Error> {
        let mut shard = self.index.shard(hash);
        let tally = shard.tally();
        if why == Why::QueueFull {
            tally.dropped_full += 1
        } else {
            tally.dropped_failing += 1
        }
        let text = "the device does not take what waits, and no more pinned entries fit behind it: what was there before stays";
        Err(Error::new(ErrorKind::Unavailable, text))
    }

    fn remove(&self, state: &NamespaceState, key: &[u8]) -> Result<bool, Error> {
        self.check_open()?;
        check_key(key)?;
        let hash = self.hash(state.id, key);
        let Some(old) = self.take_out(state, hash, |_| ())? else { return Ok(false) };
        let at = old.place.position(self.log.head_seq());
        let was_there = state.counts(at) && !self.is_expired(old.expires_ms);
        if was_there {
            self.index.shard(hash).tally().removes += 1;
        }
        Ok(was_there)
    }

    /// Takes the entry of a hash out of the index, and says so in the log.
    fn take_out(
        &self,
        state: &NamespaceState,
        hash: u64,
        count: impl FnOnce(&mut Tally),
    ) -> Result<Option<Entry>, Error> {
        let mut shard = self.index.shard(hash);
        count(shard.tally());
        let Some(old) = shard.get(hash) else { return Ok(None) };
        let len = self.append_tombstone(state.id, hash, Source::Removal)?;
        shard.remove(hash);
        let tally = shard.tally();
        tally.tombstones += 1;
        tally.tombstone_bytes += len;
        Ok(Some(old))
    }

    /// Appends that the hash has no value any more. The shard of the hash is locked.
    pub(crate) fn append_tombstone(&self, namespace: u32, hash: u64, source: Source) -> Result<u64, Error> {
        let record = Draft::tombstone(namespace, hash).sign();
        match self.log.append(record, source) {
            Ok(_) => Ok(record.len() as u64),
            Err(NotAppended::Closed | NotAppended::Full) => Err(Error::closed()),
        }
    }
}

fn check_key(key: &[u8]) -> Result<(), Error> {
    if key.len() > KEY_LEN_MAX {
        return Err(Error::invalid(format!("key is {} bytes, must be at most {KEY_LEN_MAX}", key.len())));
    }
    Ok(())
}
