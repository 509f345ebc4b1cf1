//! Walks through the index: the keys of a namespace, and its hottest entries. What they show they read from the device, in
//! the order in which it stands there.

use super::read::{LOOKS_MAX, Mode, Read};
use super::{Core, Namespace};
use crate::error::{Error, ErrorKind};
use crate::index::{Entry, PINNED};
use crate::namespace::NamespaceState;
use crate::place::{Position, UNIT};
use crate::record::{self, Announced, Kind, Record};
use std::sync::Arc;
use std::vec::IntoIter;

/// What is read at once to find a key: a header and keys of usual lengths.
const KEY_READ_LEN: usize = 160;
/// Entries of the same heat that are brought into the order of the log at a time.
const BATCH: usize = 1024;

/// An entry as the index has it.
#[derive(Clone, Copy)]
struct Listed {
    at: Position,
    len: usize,
    hash: u64,
    heat: u8,
}

/// What stands at a place.
enum KeyAt {
    Key(Vec<u8>),
    /// The place is not there any more.
    Gone,
    Damaged,
}

/// The keys of a namespace, see [`Namespace::keys`].
pub struct Keys {
    core: Arc<Core>,
    state: Arc<NamespaceState>,
    prefix: Vec<u8>,
    listed: IntoIter<Listed>,
}

/// The entries of a namespace, see [`Namespace::hottest`].
pub struct Hottest {
    core: Arc<Core>,
    state: Arc<NamespaceState>,
    listed: IntoIter<Listed>,
}

/// A hot entry.
#[derive(Clone, Debug)]
pub struct Hot {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
    /// When it expires, in Unix milliseconds; 0 for never.
    pub expires_ms: u64,
    /// How hot it is, 0 to 6.
    pub heat: u8,
}

impl Namespace {
    /// The keys of all entries that are there when this is called, in the order in which they were written. Walks through the
    /// index (about 10 ns per entry of the whole store), then reads each key as it comes; what goes meanwhile is left out.
    ///
    /// An item is an error of kind `Unavailable` if the device fails, and `Corrupt` if a record is damaged: that entry is taken out,
    /// and the walk may go on.
    pub fn keys(&self) -> Keys {
        self.keys_with_prefix(&[])
    }

    /// The same for keys that begin with `prefix`. All keys of the namespace are read.
    pub fn keys_with_prefix(&self, prefix: &[u8]) -> Keys {
        let mut listed = self.list();
        listed.sort_unstable_by_key(|listed| listed.at);
        Keys {
            core: Arc::clone(&self.core),
            state: Arc::clone(&self.state),
            prefix: prefix.to_vec(),
            listed: listed.into_iter(),
        }
    }

    /// How many entries are there. Walks through the index.
    pub fn len(&self) -> usize {
        let mut count = 0;
        self.core.index.for_each(|_, entry| count += usize::from(self.core.is_live(&self.state, entry)));
        count
    }

    /// Whether nothing is there. Walks through the index.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most `limit` entries, the hottest first, the newest first where they are equally hot. Pinned ones are left out.
    pub fn hottest(&self, limit: usize) -> Hottest {
        let mut listed = self.list();
        listed.retain(|listed| listed.heat != PINNED);
        listed.sort_unstable_by_key(|listed| (std::cmp::Reverse(listed.heat), std::cmp::Reverse(listed.at)));
        listed.truncate(limit);
        // Within a batch the device is read forwards.
        for batch in listed.chunks_mut(BATCH) {
            for alike in batch.chunk_by_mut(|a, b| a.heat == b.heat) {
                alike.sort_unstable_by_key(|listed| listed.at);
            }
        }
        Hottest { core: Arc::clone(&self.core), state: Arc::clone(&self.state), listed: listed.into_iter() }
    }

    fn list(&self) -> Vec<Listed> {
        let head_seq = self.core.log.head_seq();
        let mut listed = Vec::new();
        self.core.index.for_each(|hash, entry| {
            if self.core.is_live(&self.state, entry) {
                listed.push(Listed::new(hash, entry, head_seq));
            }
        });
        listed
    }
}

impl Listed {
    fn new(hash: u64, entry: &Entry, head_seq: u64) -> Listed {
        let len = usize::try_from(u64::from(entry.len_units) * UNIT).unwrap_or(usize::MAX);
        Listed { at: entry.place.position(head_seq), len, hash, heat: entry.heat }
    }
}

impl Core {
    /// The first `len` bytes at `at`; `None` if they are there no more.
    fn glance(&self, at: Position, len: usize) -> Result<Option<Vec<u8>>, Error> {
        match self.read(at, len, true) {
            Read::Bytes(bytes) => Ok(Some(bytes)),
            Read::Gone | Read::WouldBlock => Ok(None),
            Read::Failed(error) => Err(Error::device(format!("segment {} cannot be read", at.seq), error)),
        }
    }

    /// The key of an entry, wherever it stands by now; `None` if it is not there any more.
    ///
    /// # Errors
    /// `Unavailable` if the device fails. `Corrupt` if what stands there is damaged: it is taken out, as a get would.
    fn key_of(&self, state: &NamespaceState, listed: &Listed) -> Result<Option<Vec<u8>>, Error> {
        let mut listed = *listed;
        for _ in 0..LOOKS_MAX {
            let is_damaged = match self.key_at(state, &listed)? {
                KeyAt::Key(key) => return Ok(Some(key)),
                KeyAt::Gone => false,
                KeyAt::Damaged => true,
            };
            // What is on its way to another segment stands nowhere for the moment.
            self.log.wait_until_moved();
            let entry = self.index.get(listed.hash).filter(|entry| self.is_live(state, entry));
            let Some(entry) = entry else { return Ok(None) };
            let now = Listed::new(listed.hash, &entry, self.log.head_seq());
            if now.at != listed.at {
                listed = now;
            } else if is_damaged {
                self.corrupt(listed.hash, &entry, Mode::Peek);
                let message = format!("segment {}: the entry at {} is damaged, and lost", now.at.seq, now.at.offset);
                return Err(Error::new(ErrorKind::Corrupt, message));
            } else {
                // Its segment was reclaimed, and it goes with it.
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// What stands at the place of an entry: its key is known to be the right one by its hash.
    fn key_at(&self, state: &NamespaceState, listed: &Listed) -> Result<KeyAt, Error> {
        let mut len = listed.len.min(KEY_READ_LEN);
        loop {
            let Some(bytes) = self.glance(listed.at, len)? else { return Ok(KeyAt::Gone) };
            let Ok(header) = Announced::read(&bytes) else { return Ok(KeyAt::Damaged) };
            if header.kind != Kind::Value || header.len != listed.len {
                return Ok(KeyAt::Damaged);
            }
            let key_end = record::HEADER_LEN + header.key_len;
            if key_end > bytes.len() && key_end <= listed.len {
                len = key_end;
                continue;
            }
            let key = bytes.get(record::HEADER_LEN..key_end).filter(|key| self.hash(state.id, key) == listed.hash);
            return Ok(key.map_or(KeyAt::Damaged, |key| KeyAt::Key(key.to_vec())));
        }
    }

    /// Where the entry stands now, if it is not where it was listed.
    fn listed_anew(&self, state: &NamespaceState, listed: &Listed) -> Option<Listed> {
        let entry = self.index.get(listed.hash).filter(|entry| self.is_live(state, entry))?;
        let now = Listed::new(listed.hash, &entry, self.log.head_seq());
        (now.at != listed.at).then_some(now)
    }
}

impl Iterator for Keys {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let listed = self.listed.next()?;
            match self.core.key_of(&self.state, &listed) {
                Ok(Some(key)) if key.starts_with(&self.prefix) => return Some(Ok(key)),
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Hottest {
    /// How many entries are left to be read; some of them may be gone by then.
    pub fn remaining(&self) -> usize {
        self.listed.len()
    }

    fn read(&self, listed: &Listed) -> Option<Hot> {
        let bytes = self.core.glance(listed.at, listed.len).ok()??;
        let record = Record::decode(&bytes, record::mask(self.core.store_id, listed.at)).ok()?;
        let is_it = record.kind == Kind::Value && record.namespace == self.state.id && record.hash == listed.hash;
        (is_it && !self.core.is_expired(record.expires_ms)).then(|| Hot {
            key: record.key.to_vec(),
            value: record.value.to_vec(),
            expires_ms: record.expires_ms,
            heat: listed.heat,
        })
    }
}

impl Iterator for Hottest {
    type Item = Hot;

    fn next(&mut self) -> Option<Hot> {
        loop {
            let listed = self.listed.next()?;
            // What was replaced or removed since is no longer to be shown, though its record may still be there.
            let is_there =
                |listed: &Listed| self.core.index.get(listed.hash).is_some_and(|now| now.place == listed.at.place());
            let listed = match is_there(&listed) {
                true => listed,
                false => match self.core.listed_anew(&self.state, &listed) {
                    Some(moved) => moved,
                    None => continue,
                },
            };
            if let Some(hot) = self.read(&listed) {
                return Some(hot);
            }
        }
    }
}
