//! The way of a get: the index says where, one read brings the record, and the record must prove that it is the one.
//!
//! ```text
//!   hash -> index -> not there: a miss, without the device
//!                 -> expired, or of a namespace that was cleared: a miss
//!                 -> behind `written`: a copy out of the log's blocks
//!                 -> the segment's file: one read of exactly the record
//!   record: checksum with its place, then namespace and key; else a miss
//! ```
//!
//! Between the look and the read, reclaim may move the entry or drop its segment: then the index knows better, and the
//! look is made again. A segment that is dropped while it is read stays readable: its table is held.

use super::{Core, Namespace};
use crate::error::Error;
use crate::index::{Entry, PINNED};
use crate::log::Source;
use crate::namespace::NamespaceState;
use crate::place::{Position, UNIT};
use crate::record::{self, Kind, Record};
use crate::value::Value;
use std::io;

/// How often a look is made again that met an entry on its way. It moves once per turn of the whole log.
pub(super) const LOOKS_MAX: u32 = 4;

/// What a get that does not wait came to.
#[derive(Debug)]
pub enum Lookup {
    /// The value.
    Hit(Value),
    /// Not there.
    Miss,
    /// It is there, but the device must be waited for: use [`Namespace::get`] where that does no harm.
    WouldBlock,
}

/// Whether a get counts, and whether it waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Get,
    Try,
    Peek,
}

/// What reading at a place came to.
pub(super) enum Read {
    Bytes(Vec<u8>),
    /// The segment is no more, or ends before: what stood there has moved.
    Gone,
    WouldBlock,
    Failed(io::Error),
}

impl Namespace {
    /// The value of a key. Reads from the device unless the value was written a moment ago; a miss does not.
    ///
    /// # Errors
    /// `Closed`. A device that fails is a miss, and counted.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>, Error> {
        match self.core.get(&self.state, key, Mode::Get)? {
            Lookup::Hit(value) => Ok(Some(value)),
            Lookup::Miss | Lookup::WouldBlock => Ok(None),
        }
    }

    /// The same if it needs no waiting for the device: for threads that must not block.
    ///
    /// # Errors
    /// `Closed`.
    pub fn try_get(&self, key: &[u8]) -> Result<Lookup, Error> {
        self.core.get(&self.state, key, Mode::Try)
    }

    /// As [`get`](Namespace::get), but leaves everything as it is: not counted, and the entry no hotter.
    ///
    /// # Errors
    /// `Closed`.
    pub fn peek(&self, key: &[u8]) -> Result<Option<Value>, Error> {
        match self.core.get(&self.state, key, Mode::Peek)? {
            Lookup::Hit(value) => Ok(Some(value)),
            Lookup::Miss | Lookup::WouldBlock => Ok(None),
        }
    }

    /// The values of several keys, in their order. Reads in the order in which they stand on the device.
    ///
    /// # Errors
    /// `Closed`.
    pub fn get_many(&self, keys: &[&[u8]]) -> Result<Vec<Option<Value>>, Error> {
        self.core.check_open()?;
        let place_of = |key: &&[u8]| {
            let hash = self.core.hash(self.state.id, key);
            let entry = self.core.index.get(hash);
            entry.map(|entry| entry.place.position(self.core.log.head_seq()))
        };
        let mut order: Vec<(Option<Position>, usize)> = keys.iter().map(place_of).zip(0..).collect();
        order.sort_unstable();
        let mut values = vec![None; keys.len()];
        for (_, index) in order {
            values[index] = self.get(keys[index])?;
        }
        Ok(values)
    }

    /// Whether a key is there. Asks the index alone: no device, 30 to 100 ns. A key with the same 64-bit hash as another one
    /// that is there would be a mistake; `get` makes none.
    pub fn contains(&self, key: &[u8]) -> bool {
        let hash = self.core.hash(self.state.id, key);
        self.core.index.get(hash).is_some_and(|entry| self.core.is_live(&self.state, &entry))
    }
}

impl Core {
    /// Whether an entry is of that namespace, was not cleared, and has not expired.
    pub(crate) fn is_live(&self, state: &NamespaceState, entry: &Entry) -> bool {
        entry.namespace == state.id
            && state.counts(entry.place.position(self.log.head_seq()))
            && !self.is_expired(entry.expires_ms)
    }

    fn get(&self, state: &NamespaceState, key: &[u8], mode: Mode) -> Result<Lookup, Error> {
        self.check_open()?;
        let hash = self.hash(state.id, key);
        let mut is_touched = mode == Mode::Peek;
        for _ in 0..LOOKS_MAX {
            let entry = if is_touched { self.index.get(hash) } else { self.index.get_touched(hash) };
            is_touched = true;
            let Some(entry) = entry else { return Ok(self.miss(hash, mode)) };
            let at = entry.place.position(self.log.head_seq());
            if !state.counts(at) || entry.namespace != state.id {
                return Ok(self.miss(hash, mode));
            }
            if self.is_expired(entry.expires_ms) {
                return Ok(self.expired(hash, &entry, mode));
            }
            let len = usize::try_from(u64::from(entry.len_units) * UNIT).unwrap_or(usize::MAX);
            let bytes = match self.read(at, len, mode != Mode::Try) {
                Read::Bytes(bytes) => bytes,
                Read::Gone => continue,
                Read::WouldBlock => return Ok(Lookup::WouldBlock),
                Read::Failed(error) => {
                    tracing::warn!(segment = at.seq, offset = at.offset, %error, "a record cannot be read: a miss");
                    return Ok(self.unreadable(hash, mode));
                }
            };
            match self.value(state, key, at, bytes) {
                Ok(Some(value)) => {
                    if mode != Mode::Peek {
                        self.index.shard(hash).tally().hits += 1;
                    }
                    return Ok(Lookup::Hit(value));
                }
                // Another key with this hash.
                Ok(None) => return Ok(self.miss(hash, mode)),
                // It may have moved while it was read, and something else stands there now.
                Err(_) if self.index.get(hash).is_none_or(|now| now.place != entry.place) => {}
                Err(damaged) => {
                    tracing::warn!(segment = at.seq, offset = at.offset, %damaged, "a record is damaged: a miss");
                    return Ok(self.corrupt(hash, &entry, mode));
                }
            }
        }
        Ok(self.miss(hash, mode))
    }

    /// The bytes at a place, from the log's blocks or from the file. `waits`: also for the device.
    pub(super) fn read(&self, at: Position, len: usize, waits: bool) -> Read {
        if at >= self.log.written()
            && let Some(bytes) = self.log.read_pending(at, len)
        {
            return Read::Bytes(bytes);
        }
        let table = self.log.files.load();
        let Some(segment) = table.get(at.seq) else { return Read::Gone };
        let mut bytes = vec![0; len];
        let result = if waits {
            segment.file.read_at(&mut bytes, at.offset)
        } else {
            segment.file.try_read_at(&mut bytes, at.offset)
        };
        match result {
            Ok(()) => Read::Bytes(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !waits => Read::WouldBlock,
            // A segment that was given up ends early: what stood behind has moved.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Read::Gone,
            Err(error) => Read::Failed(error),
        }
    }

    /// The value, if the record is whole and is of that very key.
    fn value(
        &self,
        state: &NamespaceState,
        key: &[u8],
        at: Position,
        bytes: Vec<u8>,
    ) -> Result<Option<Value>, record::Damaged> {
        let record = Record::decode(&bytes, record::mask(self.store_id, at))?;
        if record.kind != Kind::Value || record.namespace != state.id || record.key != key {
            return Ok(None);
        }
        let start = record::HEADER_LEN + key.len();
        let range = start..start + record.value.len();
        let expires_ms = record.expires_ms;
        Ok(Some(Value::new(bytes, range, expires_ms)))
    }

    fn miss(&self, hash: u64, mode: Mode) -> Lookup {
        if mode != Mode::Peek {
            self.index.shard(hash).tally().misses += 1;
        }
        Lookup::Miss
    }

    fn expired(&self, hash: u64, entry: &Entry, mode: Mode) -> Lookup {
        if mode != Mode::Peek {
            let mut shard = self.index.shard(hash);
            // No tombstone: the record says itself that its time is over.
            shard.remove_at(hash, entry.place);
            shard.tally().expired += 1;
            shard.tally().misses += 1;
        }
        Lookup::Miss
    }

    fn unreadable(&self, hash: u64, mode: Mode) -> Lookup {
        if mode != Mode::Peek {
            let mut shard = self.index.shard(hash);
            shard.tally().unreadable += 1;
            shard.tally().misses += 1;
        }
        Lookup::Miss
    }

    /// Takes a damaged entry out, with a tombstone: what is damaged now may read well after a restart, when it has been
    /// replaced elsewhere. What its segment did not get, since it failed, is not damaged: it moves.
    pub(super) fn corrupt(&self, hash: u64, entry: &Entry, mode: Mode) -> Lookup {
        if self.log.is_moving() {
            return self.miss(hash, mode);
        }
        let mut shard = self.index.shard(hash);
        if shard.get(hash).is_some_and(|now| now.place == entry.place) && entry.heat != PINNED {
            let appended = self.append_tombstone(entry.namespace, hash, Source::Moved);
            if appended.is_ok() {
                shard.remove_at(hash, entry.place);
            }
        }
        if mode != Mode::Peek {
            shard.tally().misses += 1;
        }
        shard.tally().corrupt += 1;
        Lookup::Miss
    }
}
