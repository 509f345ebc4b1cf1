//! One stripe: the part of every database whose keys hash to it, behind one latch.
//!
//! Outside the latch lie the index words, the roots and the counts: atomics that anyone may read as a hint. Behind it lie the
//! slab, the blobs and the allocator of the index ([`Data`]), reached through [`Latched`].
//!
//! **Invariant:** every live slot of the slab is named by exactly one slot of one table's index, and the index's expiry bit
//! says whether the entry has an expiry. Whoever frees a slot has taken its reference out of the index before.
#![allow(clippy::cast_possible_truncation, reason = "clocks and fields are cut to the widths that they are stored in")]

mod compact;
#[cfg(test)]
mod validate;
mod walk;
mod write;

use crate::blobs::Blobs;
use crate::entry::{self, Layout, ValuePlace};
use crate::index::segment::Place;
use crate::index::{self, Entries, Index, Position};
use crate::memory::{Usage, Words, prefetch};
use crate::slab::Slab;
use crate::{Change, Db, Entry, Full, Key, KeyHash, MemoryParts, WatchFlag};
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// One database's part of a stripe, as far as it may be read without the latch.
#[derive(Default)]
struct Table {
    root: AtomicU64,
    len: AtomicU64,
    expires: AtomicU64,
}

pub(crate) use walk::StripeCursor;

type Watched = HashMap<(Db, Box<[u8]>), Vec<Arc<WatchFlag>>>;

/// What the latch guards.
struct Data {
    slab: Slab,
    blobs: Blobs,
    index: Index,
    hasher: ahash::RandomState,
    stripe_bits: u32,
    watched: Watched,
    /// What changed since an observer took the list; grows while the keyspace is observed only.
    changes: Vec<Change>,
    /// The classes in which slots were freed, a bit each: compacted before the next changes, when nobody holds a reference.
    sparse_classes: u128,
    /// Removals from nearly empty buckets since a segment was last looked at.
    removals: u32,
    /// Where the search for expired keys goes on.
    expiry_walk: walk::ExpiryWalk,
    /// A value that is being moved from one layout to another; empty between calls.
    scratch: Vec<u8>,
}

/// One stripe of the keyspace.
pub(crate) struct Stripe {
    words: Words,
    tables: Box<[Table]>,
    slab_address: usize,
    stripe_bits: u32,
    expired: AtomicU64,
    /// The keyspace's own: see [`crate::Keyspace::observe`].
    is_observed: Arc<AtomicBool>,
    data: Mutex<Data>,
}

/// A stripe whose latch is held.
pub(crate) struct Latched<'a> {
    stripe: &'a Stripe,
    data: MutexGuard<'a, Data>,
}

/// An entry that was found and has not expired.
#[derive(Clone, Copy)]
struct Found {
    place: Place,
    layout: Layout,
}

/// Reads entries for the index.
struct Reader<'a> {
    slab: &'a Slab,
    blobs: &'a Blobs,
    hasher: &'a ahash::RandomState,
    stripe_bits: u32,
}

impl Entries for Reader<'_> {
    fn position(&self, reference: u32) -> Position {
        let key = key_of(self.slab, self.blobs, reference);
        Position::new(self.hasher.hash_one(key), self.stripe_bits)
    }

    fn prefetch(&self, reference: u32) {
        prefetch(self.slab.address() + reference as usize * 8);
    }
}

fn key_of<'a>(slab: &'a Slab, blobs: &'a Blobs, reference: u32) -> &'a [u8] {
    let bytes = slab.at(reference);
    let layout = Layout::of(bytes);
    match layout.value(bytes) {
        ValuePlace::Blob(id) if layout.key_is_in_blob() => blobs.key(id),
        _ => layout.inline_key(bytes),
    }
}

fn last_used_clock(now_ms: u64) -> u32 {
    (now_ms / 1000) as u32 & 0x00FF_FFFF
}

impl Data {
    fn reader(&self) -> Reader<'_> {
        Reader { slab: &self.slab, blobs: &self.blobs, hasher: &self.hasher, stripe_bits: self.stripe_bits }
    }

    fn view(&self, reference: u32, now_ms: u64) -> Entry<'_> {
        self.view_of(reference, &Layout::of(self.slab.at(reference)), now_ms)
    }

    #[inline(always)]
    fn view_of(&self, reference: u32, layout: &Layout, now_ms: u64) -> Entry<'_> {
        let bytes = self.slab.at(reference);
        let value = match layout.value(bytes) {
            ValuePlace::Inline(at, len) => &bytes[at..at + len],
            ValuePlace::Blob(id) => self.blobs.value(id),
        };
        Entry {
            value,
            expires_at_ms: layout.expires_at_ms(bytes),
            is_raw: layout.is_raw(),
            idle_seconds: entry::idle_seconds(layout.last_used(bytes), last_used_clock(now_ms)),
        }
    }
}

impl Stripe {
    pub(crate) fn new(
        databases: u16,
        stripe_bits: u32,
        hasher: ahash::RandomState,
        usage: &Usage,
        is_observed: Arc<AtomicBool>,
    ) -> std::io::Result<Stripe> {
        let slab = Slab::new(usage.clone())?;
        Ok(Stripe {
            words: Words::reserve(index::RESERVE, index::RESERVE_MIN)?,
            tables: (0..databases).map(|_| Table::default()).collect(),
            slab_address: slab.address(),
            stripe_bits,
            expired: AtomicU64::new(0),
            is_observed,
            data: Mutex::new(Data {
                slab,
                blobs: Blobs::new(usage.clone()),
                index: Index::new(usage.clone()),
                hasher,
                stripe_bits,
                watched: HashMap::new(),
                changes: Vec::new(),
                sparse_classes: 0,
                removals: 0,
                expiry_walk: walk::ExpiryWalk::default(),
                scratch: Vec::new(),
            }),
        })
    }

    #[inline]
    pub(crate) fn latch(&self) -> Latched<'_> {
        Latched { stripe: self, data: self.data.lock() }
    }

    pub(crate) fn len(&self, db: Db) -> u64 {
        self.table(db).len.load(Ordering::Relaxed)
    }

    pub(crate) fn expires_len(&self, db: Db) -> u64 {
        self.table(db).expires.load(Ordering::Relaxed)
    }

    pub(crate) fn expired_count(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    #[inline]
    fn table(&self, db: Db) -> &Table {
        &self.tables[usize::from(db.0)]
    }

    #[inline]
    fn position(&self, hash: KeyHash) -> Position {
        Position::new(hash.0, self.stripe_bits)
    }

    #[inline]
    pub(crate) fn prefetch_bucket(&self, db: Db, hash: KeyHash) {
        if let Some(line) = index::line_of(&self.words, &self.table(db).root, self.position(hash)) {
            prefetch(&raw const self.words[line] as usize);
        }
    }

    #[inline]
    pub(crate) fn prefetch_entry(&self, db: Db, hash: KeyHash) {
        let position = self.position(hash);
        if let Some(line) = index::line_of(&self.words, &self.table(db).root, position) {
            let bucket = index::segment::bucket_at(&self.words, line);
            for slot in index::bucket::bits(bucket.matches(position.tag)) {
                let address = self.slab_address.wrapping_add(bucket.reference(slot) as usize * 8);
                prefetch(address);
                // Small entries straddle two lines more often than not.
                prefetch(address.wrapping_add(63));
            }
        }
    }
}

impl<'a> Latched<'a> {
    #[inline]
    fn table(&self, db: Db) -> &'a Table {
        self.stripe.table(db)
    }

    /// Finds a key; one whose time is over is removed and not found.
    #[inline]
    fn locate(&mut self, db: Db, key: &Key<'_>, now_ms: u64) -> Option<Found> {
        let (slab, blobs) = (&self.data.slab, &self.data.blobs);
        let is_it = |reference: u32| {
            let bytes = slab.at(reference);
            entry::has_inline_key(bytes, key.bytes) || has_blob_key(bytes, blobs, key.bytes)
        };
        let position = self.stripe.position(key.hash);
        let place = index::find(&self.stripe.words, &self.table(db).root, position, is_it)?;
        let bytes = slab.at(place.reference);
        let layout = Layout::of(bytes);
        if layout.has_expiry() && layout.expires_at_ms(bytes).is_some_and(|at| at <= now_ms) {
            self.expire_at(db, key, &place);
            return None;
        }
        Some(Found { place, layout })
    }

    fn expire_at(&mut self, db: Db, key: &Key<'_>, place: &Place) {
        self.remove_at(db, self.stripe.position(key.hash), place);
        self.touched(db, key.bytes);
        let expired = self.stripe.expired.load(Ordering::Relaxed);
        self.stripe.expired.store(expired + 1, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn get(&mut self, db: Db, key: &Key<'_>, now_ms: u64, touch: bool) -> Option<Entry<'_>> {
        let found = self.locate(db, key, now_ms)?;
        let reference = found.place.reference;
        let now = last_used_clock(now_ms);
        let idle_seconds = entry::idle_seconds(found.layout.last_used(self.data.slab.at(reference)), now);
        if touch && idle_seconds != 0 {
            found.layout.touch(self.data.slab.at_mut(reference), now);
        }
        Some(Entry { idle_seconds, ..self.data.view_of(reference, &found.layout, now_ms) })
    }

    pub(crate) fn memory_usage(&mut self, db: Db, key: &Key<'_>, now_ms: u64) -> Option<usize> {
        /// Bytes of index per key: 6.4 of bucket at the usual fill of five sixths.
        const INDEX_SHARE: usize = 8;
        let reference = self.locate(db, key, now_ms)?.place.reference;
        let bytes = self.data.slab.at(reference);
        let blob = match Layout::of(bytes).value(bytes) {
            ValuePlace::Blob(id) => self.data.blobs.bytes(id),
            ValuePlace::Inline(..) => 0,
        };
        Some(crate::slab::slot_bytes(self.data.slab.class(reference)) + blob + INDEX_SHARE)
    }

    /// Gathers up to `left` stretches of memory into huge pages. Returns how many.
    pub(crate) fn gather_some(&mut self, left: usize) -> usize {
        let words = &self.stripe.words;
        let data = &mut *self.data;
        (0..left).take_while(|_| data.slab.gather_some() || data.index.gather_some(words)).count()
    }

    pub(crate) fn memory_parts(&self) -> MemoryParts {
        let (index, index_free) = self.data.index.bytes();
        let (entries, entries_free) = self.data.slab.bytes();
        MemoryParts { index, index_free, entries, entries_free }
    }

    pub(crate) fn watch(&mut self, db: Db, key: &Key<'_>, flag: &Arc<WatchFlag>) {
        self.data.watched.entry((db, key.bytes.into())).or_default().push(Arc::clone(flag));
    }

    pub(crate) fn unwatch(&mut self, db: Db, key: &Key<'_>, flag: &Arc<WatchFlag>) {
        let name = (db, Box::from(key.bytes));
        if let Some(flags) = self.data.watched.get_mut(&name) {
            flags.retain(|watching| !Arc::ptr_eq(watching, flag));
            if flags.is_empty() {
                self.data.watched.remove(&name);
            }
        }
    }

    /// Whether anybody wants to hear of changes.
    #[inline]
    fn is_heard(&self) -> bool {
        !self.data.watched.is_empty() || self.is_observed()
    }

    #[inline]
    fn is_observed(&self) -> bool {
        self.stripe.is_observed.load(Ordering::Relaxed)
    }

    /// Tells those who watch a key, and the observer, that it changed.
    #[inline]
    fn touched(&mut self, db: Db, key: &[u8]) {
        if self.is_heard() {
            self.tell(db, key);
        }
    }

    #[cold]
    fn tell(&mut self, db: Db, key: &[u8]) {
        if self.is_observed() {
            self.data.changes.push(Change::Key(db, key.into()));
        }
        self.raise(db, key);
    }

    /// Notes for the observer that a database was flushed; one stripe does it for all.
    pub(crate) fn note_flush(&mut self, db: Db) {
        if self.is_observed() {
            self.data.changes.push(Change::Flush(db));
        }
    }

    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.data.changes)
    }

    fn raise(&mut self, db: Db, key: &[u8]) {
        for flag in self.data.watched.remove(&(db, Box::from(key))).unwrap_or_default() {
            flag.raise();
        }
    }
}

fn has_blob_key(bytes: &[u8], blobs: &Blobs, key: &[u8]) -> bool {
    let layout = Layout::of(bytes);
    match layout.value(bytes) {
        ValuePlace::Blob(id) if layout.key_is_in_blob() => layout.key_len() == key.len() && blobs.key(id) == key,
        _ => false,
    }
}

/// Adds to a count that only the holder of the latch changes.
fn bump(count: &AtomicU64, by: i64) {
    count.store(count.load(Ordering::Relaxed).wrapping_add_signed(by), Ordering::Relaxed);
}

/// Why a write may fail, for the sub-modules.
type Outcome<T> = Result<T, Full>;
