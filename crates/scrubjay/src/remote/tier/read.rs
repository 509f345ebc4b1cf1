//! Looking keys up, and reading what was found.

use super::super::counters::Count;
use super::super::gather::{Answer, NameList};
use super::super::link::Trouble;
use super::super::names::KeyNames;
use super::super::transactions::of;
use super::{Inner, Mark, RemoteTier};
use crate::entry::{SharedBorn, Tags, Times};
use crate::error::BoxError;
use crate::kept::{Kept, Unusable};
use bytes::Bytes;
use redis::Value;
use std::sync::atomic::Ordering;

/// In raw mode what was found carries the time that it has left behind it, 8 bytes: how many milliseconds, less than 0 for ever.
const TTL_LEN: usize = 8;

/// How things stood when a lookup set out.
#[derive(Clone, Copy)]
struct Outset {
    /// Where changes of the key are counted, and how many there were.
    place: usize,
    change: u64,
    moment: u64,
}

impl RemoteTier {
    /// What the server has of the key, for [`read`](RemoteTier::read). `None`: nothing, or nothing in time.
    pub(crate) async fn get(&self, key: &[u8]) -> Option<Bytes> {
        let inner = &self.inner;
        let outset = inner.set_out(key)?;
        // What is large lies apart: this is copied for each key that is looked up.
        let found = if inner.remote.is_raw {
            let mut answers = Box::pin(self.ask_raw(&[key])).await;
            answers.pop().unwrap_or_else(no_answer)
        } else {
            self.gather.get(|name| inner.names.write_data(key, name)).await
        };
        inner.come_back(key, outset, found)
    }

    /// The same for many keys at once.
    pub(crate) async fn get_many(&self, keys: &[impl AsRef<[u8]>]) -> Vec<Option<Bytes>> {
        let inner = &self.inner;
        let outsets: Vec<Option<Outset>> = keys.iter().map(|key| inner.set_out(key.as_ref())).collect();
        let asked = keys.iter().zip(&outsets).filter(|(_, outset)| outset.is_some()).map(|(key, _)| key.as_ref());
        let answers = if inner.remote.is_raw {
            let asked: Vec<&[u8]> = asked.collect();
            Box::pin(self.ask_raw(&asked)).await
        } else {
            let mut names = NameList::default();
            asked.for_each(|key| names.push(|name| inner.names.write_data(key, name)));
            Box::pin(self.gather.get_many(names)).await
        };
        let mut answers = answers.into_iter();
        let come_back = |(key, outset): (_, Option<Outset>)| {
            let outset = outset?;
            let found = answers.next().unwrap_or_else(no_answer);
            inner.come_back(AsRef::as_ref(key), outset, found)
        };
        keys.iter().zip(outsets).map(come_back).collect()
    }

    async fn ask_raw(&self, mut keys: &[&[u8]]) -> Vec<Answer> {
        let mut found = Vec::with_capacity(keys.len());
        while !keys.is_empty() {
            let (part, left) = keys.split_at(keys.len().min(self.gather.part_max()));
            keys = left;
            let names = part.iter().map(|key| self.inner.names.data(key));
            let commands = names.flat_map(|name| [of("GET", &name), of("PTTL", &name)]).collect();
            let answers = self.link.run_many(commands).await;
            self.gather.learn(&answers);
            let mut answers = answers.into_iter();
            while let Some(value) = answers.next() {
                found.push(with_ttl(Some(value), answers.next()));
            }
        }
        found
    }

    /// Of keys that there were news of: whether the server itself has let the entry go, since its time was over or it needed the room.
    /// Then there is neither an entry nor the mark of a removal, by a caller or by a load that has found it outdated. Whatever is not
    /// known was not; nor is it in raw mode, where others remove without a mark, or when the mark may have been there and be gone.
    pub(crate) async fn were_let_go(&self, keys: &[Vec<u8>]) -> Vec<bool> {
        let names: Vec<_> = keys.iter().map(|key| self.inner.names.of(key)).collect();
        if self.inner.remote.is_raw || names.iter().any(Option::is_none) {
            return vec![false; keys.len()];
        }
        let exist = |names: KeyNames| {
            let mut exist = of("EXISTS", &names.data);
            exist.arg(&names.tombstone).arg(&names.outdated);
            exist
        };
        let answers = self.link.run_many(names.into_iter().flatten().map(exist).collect()).await;
        if self.inner.beats.may_be_late(self.inner.elapsed_ms()) {
            return vec![false; keys.len()];
        }
        let mut were = answers.into_iter().map(|answer| matches!(answer, Ok(Value::Int(0))));
        keys.iter().map(|_| were.next().unwrap_or(false)).collect()
    }

    /// Reads the entry of `key` in what was found, if it is intact, of this cache, and not invalidated. `read` gets the payload,
    /// `None` standing for a key that has no value. `born` and `weight` of what it gets mean nothing: an entry that
    /// goes up is born when its lookup began, and is weighed anew. What is of no use is counted by reason.
    pub(crate) fn read<R>(
        &self,
        key: &[u8],
        bytes: &Bytes,
        read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Option<R> {
        let inner = &self.inner;
        let result = if inner.remote.is_raw {
            inner.read_raw(key, bytes, read)
        } else {
            inner.keeping.read(key, bytes, |kept| inner.is_valid(kept), read)
        };
        let why = match result {
            Ok(read) => return Some(read),
            Err(Unusable::Corrupt) => Count::Corrupt,
            Err(Unusable::Undecodable) => Count::Undecodable,
            Err(Unusable::Foreign) => Count::Foreign,
            Err(Unusable::Invalidated) => Count::Invalidated,
        };
        inner.count(why);
        None
    }
}

impl Inner {
    fn set_out(&self, key: &[u8]) -> Option<Outset> {
        let place = self.change_of(key);
        let change = self.changes[place].load(Ordering::Acquire);
        if !self.may_read(key) {
            self.count(Count::Skipped);
            return None;
        }
        if self.remote.is_raw && self.names(key).is_none() {
            return None;
        }
        let moment = if self.remote.is_raw { self.echo.lock().moment() } else { 0 };
        Some(Outset { place, change, moment })
    }

    fn come_back(&self, key: &[u8], outset: Outset, found: Result<Value, Trouble>) -> Option<Bytes> {
        let bytes: Option<Bytes> = match found {
            Ok(Value::BulkString(bytes)) => Some(bytes.into()),
            Ok(Value::Nil) => None,
            Err(Trouble::WrongType) => return self.nothing(Count::Foreign),
            Err(Trouble::Away(_) | Trouble::Full) => return self.nothing(Count::Skipped),
            Ok(_) | Err(_) => return self.nothing(Count::Failed),
        };
        if self.changes[outset.place].load(Ordering::Acquire) != outset.change || !self.may_read(key) {
            return self.nothing(Count::Skipped);
        }
        if self.remote.is_raw {
            let there = bytes.as_ref().map(|bytes| self.sum(raw_value(bytes)));
            if self.echo.lock().is_overtaken(key, there, outset.moment) {
                return self.nothing(Count::Skipped);
            }
        }
        bytes
    }

    fn nothing(&self, why: Count) -> Option<Bytes> {
        self.count(why);
        None
    }

    /// Whether no stamp has overtaken it, neither one that is known nor one that this process is about to set.
    fn is_valid(&self, kept: &Kept<'_>) -> bool {
        if self.is_anything_missed.load(Ordering::Acquire) {
            let missed = self.missed.lock();
            let is_marked = |tag: &str| missed.has_mark(Mark::Floor(crate::tags::place(tag)));
            if missed.has_mark(Mark::Cleared) || kept.tags.into_iter().any(is_marked) {
                return false;
            }
        }
        self.mirror.lock().is_valid(kept.shared, kept.stored_at_unix_ms, kept.tags)
    }

    fn read_raw<R>(
        &self,
        key: &[u8],
        bytes: &Bytes,
        read: impl FnOnce(&Kept<'_>, Option<&[u8]>) -> Result<R, BoxError>,
    ) -> Result<R, Unusable> {
        let (value, ttl) = bytes.split_last_chunk::<TTL_LEN>().ok_or(Unusable::Corrupt)?;
        let ttl_ms = i64::from_le_bytes(*ttl);
        let now_ms = self.clock.now_ms();
        let until_ms = u64::try_from(ttl_ms).map_or(0, |ttl_ms| now_ms.saturating_add(ttl_ms));
        let kept = Kept {
            key,
            times: Times { stored_at_ms: 0, fresh_until_ms: until_ms, stale_until_ms: until_ms },
            cost: 0,
            born: 0,
            weight: 1,
            shared: None::<SharedBorn>,
            stored_at_unix_ms: 0,
            tags: Tags::none(),
            is_absent: false,
        };
        read(&kept, Some(value)).map_err(|_| Unusable::Undecodable)
    }
}

/// The value with the time that it has left behind it.
pub(super) fn raw_with_ttl(mut value: Vec<u8>, ttl_ms: i64) -> Vec<u8> {
    value.extend_from_slice(&ttl_ms.to_le_bytes());
    value
}

/// The value alone.
pub(super) fn raw_value(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().saturating_sub(TTL_LEN)]
}

fn no_answer() -> Answer {
    Err(Trouble::Lost("no answer".into()))
}

fn with_ttl(value: Option<Result<Value, Trouble>>, ttl: Option<Result<Value, Trouble>>) -> Result<Value, Trouble> {
    match (value.unwrap_or_else(no_answer)?, ttl.unwrap_or_else(no_answer)?) {
        // Gone between the two questions.
        (_, Value::Int(-2)) => Ok(Value::Nil),
        (Value::BulkString(value), Value::Int(ttl)) => Ok(Value::BulkString(raw_with_ttl(value, ttl))),
        (value, _) => Ok(value),
    }
}
