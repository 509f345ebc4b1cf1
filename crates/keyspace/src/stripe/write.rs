//! Changes to the keys of a latched stripe: set, resize, remove, expiry, flush, swap.
//!
//! Every change goes through [`Latched::place_entry`], which finds a slot of the right class, and [`Latched::remove_at`].
//! It must not be called with a key that lies in the slab itself.

use super::{Found, Latched, Outcome, bump, index, last_used_clock};
use crate::entry::{Attributes, Layout, ValuePlace};
use crate::index::Position;
use crate::index::bucket::Slot;
use crate::index::segment::Place;
use crate::slab::{SLOT_MAX, class_of};
use crate::{Db, Expiry, Full, Key, Owned};
use std::sync::atomic::Ordering;

/// Removals from buckets that are nearly empty between two looks at whether a segment became sparse.
const REMOVALS_PER_LOOK: u32 = 8;
/// Keys left in a bucket that make it nearly empty: a segment of the usual fill has few such buckets.
const FEW_KEYS: u32 = 4;

/// A value on its way in: copied when it fits into a slot, moved when it does not.
enum Incoming<'v> {
    Borrowed(&'v [u8]),
    Owned(Vec<u8>),
}

impl Incoming<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Incoming::Borrowed(bytes) => bytes,
            Incoming::Owned(bytes) => bytes,
        }
    }

    fn into_vec(self) -> Outcome<Vec<u8>> {
        match self {
            Incoming::Owned(bytes) => Ok(bytes),
            Incoming::Borrowed(bytes) => {
                let mut owned = Vec::new();
                owned.try_reserve_exact(bytes.len()).map_err(|_| Full)?;
                owned.extend_from_slice(bytes);
                Ok(owned)
            }
        }
    }
}

impl Latched<'_> {
    #[inline]
    pub(crate) fn set(&mut self, db: Db, key: &Key<'_>, value: &[u8], expiry: Expiry, now_ms: u64) -> Outcome<()> {
        self.settle();
        let found = self.locate(db, key, now_ms);
        let expires_at_ms = match expiry {
            Expiry::Clear => None,
            Expiry::Keep => found.and_then(|found| self.expires_at_ms(&found)),
            Expiry::At(at) => Some(at),
        };
        let attributes = Attributes { expires_at_ms, is_raw: false, last_used: last_used_clock(now_ms) };
        self.store(db, key, found, Incoming::Borrowed(value), attributes)?;
        self.touched(db, key.bytes);
        Ok(())
    }

    pub(crate) fn insert(&mut self, db: Db, key: &Key<'_>, owned: Owned, now_ms: u64) -> Outcome<()> {
        self.settle();
        let found = self.locate(db, key, now_ms);
        let attributes = Attributes {
            expires_at_ms: owned.expires_at_ms,
            is_raw: owned.is_raw,
            last_used: last_used_clock(now_ms).wrapping_sub(owned.idle_seconds),
        };
        self.store(db, key, found, Incoming::Owned(owned.value), attributes)?;
        self.touched(db, key.bytes);
        Ok(())
    }

    pub(crate) fn remove(&mut self, db: Db, key: &Key<'_>, now_ms: u64) -> bool {
        self.settle();
        let Some(found) = self.locate(db, key, now_ms) else { return false };
        self.remove_at(db, self.stripe.position(key.hash), &found.place);
        self.touched(db, key.bytes);
        true
    }

    pub(crate) fn take(&mut self, db: Db, key: &Key<'_>, now_ms: u64) -> Option<Owned> {
        self.settle();
        let found = self.locate(db, key, now_ms)?;
        let reference = found.place.reference;
        let entry = self.data.view(reference, now_ms);
        let (expires_at_ms, is_raw, idle_seconds) = (entry.expires_at_ms, entry.is_raw, entry.idle_seconds);
        let inline = match found.layout.value(self.data.slab.at(reference)) {
            ValuePlace::Inline(..) => Some(entry.value.to_vec()),
            ValuePlace::Blob(_) => None,
        };
        let blob = self.remove_at(db, self.stripe.position(key.hash), &found.place);
        self.touched(db, key.bytes);
        Some(Owned { value: inline.unwrap_or(blob), expires_at_ms, is_raw, idle_seconds })
    }

    pub(crate) fn resize(&mut self, db: Db, key: &Key<'_>, len: usize, now_ms: u64) -> Outcome<&mut [u8]> {
        self.settle();
        let found = self.locate(db, key, now_ms);
        self.touched(db, key.bytes);
        let Some(found) = found else { return self.resize_absent(db, key, len, now_ms) };
        let reference = found.place.reference;
        let bytes = self.data.slab.at(reference);
        let last_used = last_used_clock(now_ms);
        let attributes = Attributes { is_raw: true, last_used, ..found.layout.attributes(bytes) };
        let layout = Layout::inline(key.bytes.len(), len, attributes.expires_at_ms);
        let fits_slot = layout.size() <= SLOT_MAX;
        match found.layout.value(bytes) {
            ValuePlace::Inline(at, old_len)
                if fits_slot
                    && layout.value_range().start == at
                    && class_of(layout.size()) == class_of(found.layout.size()) =>
            {
                let bytes = self.data.slab.at_mut(reference);
                layout.write_head(bytes, key.bytes, attributes, None);
                let value = &mut bytes[layout.value_range()];
                value[old_len.min(len)..].fill(0);
                Ok(value)
            }
            ValuePlace::Blob(id) if !fits_slot => {
                let data = &mut *self.data;
                let value = data.blobs.resize(id, len)?;
                let bytes = data.slab.at_mut(reference);
                Layout::set_raw(bytes);
                found.layout.touch(bytes, last_used);
                Ok(value)
            }
            ValuePlace::Inline(..) | ValuePlace::Blob(_) => self.resize_by_copy(db, key, found, len, attributes),
        }
    }

    fn resize_absent(&mut self, db: Db, key: &Key<'_>, len: usize, now_ms: u64) -> Outcome<&mut [u8]> {
        let attributes = Attributes { expires_at_ms: None, is_raw: true, last_used: last_used_clock(now_ms) };
        let zeros = zeroed(len)?;
        let reference = self.store(db, key, None, Incoming::Owned(zeros), attributes)?;
        self.value_mut(reference)
    }

    fn resize_by_copy(
        &mut self,
        db: Db,
        key: &Key<'_>,
        found: Found,
        len: usize,
        attributes: Attributes,
    ) -> Outcome<&mut [u8]> {
        let mut value = std::mem::take(&mut self.data.scratch);
        value.clear();
        let old = self.data.view(found.place.reference, 0).value;
        let kept = old.len().min(len);
        value.try_reserve(len).map_err(|_| Full)?;
        value.extend_from_slice(&old[..kept]);
        value.resize(len, 0);
        let is_small = Layout::inline(key.bytes.len(), len, attributes.expires_at_ms).size() <= SLOT_MAX;
        let reference = if is_small {
            let stored = self.store(db, key, Some(found), Incoming::Borrowed(&value), attributes);
            self.data.scratch = value;
            stored?
        } else {
            self.store(db, key, Some(found), Incoming::Owned(value), attributes)?
        };
        self.value_mut(reference)
    }

    fn value_mut(&mut self, reference: u32) -> Outcome<&mut [u8]> {
        let bytes = self.data.slab.at_mut(reference);
        match Layout::of(bytes).value(bytes) {
            ValuePlace::Inline(at, len) => Ok(&mut self.data.slab.at_mut(reference)[at..at + len]),
            ValuePlace::Blob(id) => {
                let len = self.data.blobs.value(id).len();
                self.data.blobs.resize(id, len)
            }
        }
    }

    pub(crate) fn set_expiry(
        &mut self,
        db: Db,
        key: &Key<'_>,
        expires_at_ms: Option<u64>,
        now_ms: u64,
    ) -> Outcome<bool> {
        self.settle();
        let Some(found) = self.locate(db, key, now_ms) else { return Ok(false) };
        let reference = found.place.reference;
        if found.layout.expiry_fits(expires_at_ms) {
            found.layout.set_expiry_in_place(self.data.slab.at_mut(reference), expires_at_ms);
        } else {
            self.relay(db, key, found, expires_at_ms)?;
        }
        self.touched(db, key.bytes);
        Ok(true)
    }

    /// Lays an entry out anew for an expiry of another width, or for one where there was none or none where there was one.
    fn relay(&mut self, db: Db, key: &Key<'_>, found: Found, expires_at_ms: Option<u64>) -> Outcome<()> {
        let bytes = self.data.slab.at(found.place.reference);
        let attributes = Attributes { expires_at_ms, ..found.layout.attributes(bytes) };
        let position = self.stripe.position(key.hash);
        match found.layout.value(bytes) {
            ValuePlace::Blob(id) => {
                let layout = Layout::blob(key.bytes.len(), found.layout.key_is_in_blob(), expires_at_ms);
                if layout.size() > SLOT_MAX {
                    // A key that just fitted beside the shorter header: store all anew.
                    let value = self.data.blobs.value(id).to_vec();
                    return self.store(db, key, Some(found), Incoming::Owned(value), attributes).map(drop);
                }
                self.place_entry(db, position, Some(&found), layout, key.bytes, attributes, Some(id))?;
                let change = i64::from(expires_at_ms.is_some()) - i64::from(found.layout.has_expiry());
                bump(&self.table(db).expires, change);
                Ok(())
            }
            ValuePlace::Inline(at, len) => {
                let value = bytes[at..at + len].to_vec();
                self.store(db, key, Some(found), Incoming::Owned(value), attributes).map(drop)
            }
        }
    }

    fn expires_at_ms(&self, found: &Found) -> Option<u64> {
        found.layout.expires_at_ms(self.data.slab.at(found.place.reference))
    }

    /// Stores a value in place of what was found, keeps the counts, and returns the reference of the entry.
    #[inline]
    fn store(
        &mut self,
        db: Db,
        key: &Key<'_>,
        found: Option<Found>,
        value: Incoming<'_>,
        attributes: Attributes,
    ) -> Outcome<u32> {
        let position = self.stripe.position(key.hash);
        let old_blob = found.and_then(|found| match found.layout.value(self.data.slab.at(found.place.reference)) {
            ValuePlace::Blob(id) => Some(id),
            ValuePlace::Inline(..) => None,
        });
        let layout = Layout::inline(key.bytes.len(), value.bytes().len(), attributes.expires_at_ms);
        let reference = if layout.size() <= SLOT_MAX {
            let reference = self.place_entry(db, position, found.as_ref(), layout, key.bytes, attributes, None)?;
            self.data.slab.at_mut(reference)[layout.value_range()].copy_from_slice(value.bytes());
            reference
        } else {
            self.store_blob(db, position, key, found.as_ref(), value.into_vec()?, attributes)?
        };
        if let Some(id) = old_blob {
            self.data.blobs.remove(id);
        }
        let table = self.table(db);
        match found {
            None => {
                bump(&table.len, 1);
                bump(&table.expires, i64::from(attributes.expires_at_ms.is_some()));
            }
            Some(found) => {
                let had_expiry = found.layout.has_expiry();
                if had_expiry != attributes.expires_at_ms.is_some() {
                    bump(&table.expires, if had_expiry { -1 } else { 1 });
                }
            }
        }
        Ok(reference)
    }

    fn store_blob(
        &mut self,
        db: Db,
        position: Position,
        key: &Key<'_>,
        found: Option<&Found>,
        value: Vec<u8>,
        attributes: Attributes,
    ) -> Outcome<u32> {
        // A header counts a key's bytes in 32 bits.
        u32::try_from(key.bytes.len()).map_err(|_| Full)?;
        let mut layout = Layout::blob(key.bytes.len(), false, attributes.expires_at_ms);
        if layout.size() > SLOT_MAX {
            layout = Layout::blob(key.bytes.len(), true, attributes.expires_at_ms);
        }
        let id = self.data.blobs.insert(layout.key_is_in_blob().then_some(key.bytes), value)?;
        let placed = self.place_entry(db, position, found, layout, key.bytes, attributes, Some(id));
        if placed.is_err() {
            self.data.blobs.remove(id);
        }
        placed
    }

    /// Gives an entry of `layout` a slot, in the index as well, and writes its head. The slot of what was found is used again
    /// if it has the right class, and freed otherwise; its blob is the caller's.
    #[inline]
    #[allow(clippy::too_many_arguments, reason = "everything that makes up an entry; a struct would only rename them")]
    fn place_entry(
        &mut self,
        db: Db,
        position: Position,
        found: Option<&Found>,
        layout: Layout,
        key: &[u8],
        attributes: Attributes,
        blob: Option<u32>,
    ) -> Outcome<u32> {
        let class = class_of(layout.size());
        let has_expiry = attributes.expires_at_ms.is_some();
        let (words, root) = (&self.stripe.words, &self.table(db).root);
        match found {
            Some(found) if self.data.slab.class(found.place.reference) == class => {
                let reference = found.place.reference;
                layout.write_head(self.data.slab.at_mut(reference), key, attributes, blob);
                if found.layout.has_expiry() != has_expiry {
                    found.place.replace(words, reference, has_expiry);
                }
                Ok(reference)
            }
            Some(found) => {
                let reference = self.data.slab.allocate(class)?;
                layout.write_head(self.data.slab.at_mut(reference), key, attributes, blob);
                found.place.replace(words, reference, has_expiry);
                self.free_slot(found.place.reference);
                Ok(reference)
            }
            None => {
                let reference = self.data.slab.allocate(class)?;
                layout.write_head(self.data.slab.at_mut(reference), key, attributes, blob);
                let content = Slot { tag: position.tag, reference, has_expiry };
                let data = &mut *self.data;
                let reader = super::Reader {
                    slab: &data.slab,
                    blobs: &data.blobs,
                    hasher: &data.hasher,
                    stripe_bits: data.stripe_bits,
                };
                if let Err(full) = data.index.insert(words, root, position, content, &reader) {
                    data.slab.free(reference);
                    return Err(full);
                }
                Ok(reference)
            }
        }
    }

    fn free_slot(&mut self, reference: u32) {
        let class = self.data.slab.class(reference);
        self.data.slab.free(reference);
        self.data.sparse_classes |= 1 << class;
    }

    /// Removes what lies at `place`; returns the value of its blob if it had one.
    pub(super) fn remove_at(&mut self, db: Db, position: Position, place: &Place) -> Vec<u8> {
        let bytes = self.data.slab.at(place.reference);
        let layout = Layout::of(bytes);
        let blob = match layout.value(bytes) {
            ValuePlace::Blob(id) => self.data.blobs.remove(id),
            ValuePlace::Inline(..) => Vec::new(),
        };
        let (words, table) = (&self.stripe.words, self.table(db));
        let left = place.clear(words);
        self.free_slot(place.reference);
        bump(&table.len, -1);
        bump(&table.expires, -i64::from(layout.has_expiry()));
        self.data.removals += u32::from(left <= FEW_KEYS);
        if self.data.removals >= REMOVALS_PER_LOOK {
            self.data.removals = 0;
            // A segment that finds no room to be laid out smaller stays as it is: nothing is lost.
            let _shrunk = self.data.index.shrink(words, &table.root, position);
        }
        blob
    }

    pub(crate) fn flush(&mut self, db: Db) {
        self.raise_present(db, db, 0);
        let (words, table) = (&self.stripe.words, self.table(db));
        let is_alone =
            self.stripe.tables.iter().all(|other| std::ptr::eq(other, table) || other.len.load(Ordering::Relaxed) == 0);
        if is_alone {
            for table in &self.stripe.tables {
                table.root.store(0, Ordering::Relaxed);
            }
            self.data.slab.clear();
            self.data.blobs.clear();
            self.data.index.clear(words);
            self.data.sparse_classes = 0;
        } else {
            for reference in self.references(db) {
                let bytes = self.data.slab.at(reference);
                if let ValuePlace::Blob(id) = Layout::of(bytes).value(bytes) {
                    self.data.blobs.remove(id);
                }
                self.free_slot(reference);
            }
            self.data.index.drop_table(words, &table.root);
        }
        table.len.store(0, Ordering::Relaxed);
        table.expires.store(0, Ordering::Relaxed);
    }

    fn references(&self, db: Db) -> Vec<u32> {
        let mut references = Vec::new();
        let Some(directory) = index::directory(&self.table(db).root) else { return references };
        directory.for_each_segment(&self.stripe.words, |segment, _| {
            references.extend(segment.slots(&self.stripe.words).map(|slot| slot.reference));
        });
        references
    }

    pub(crate) fn swap(&mut self, a: Db, b: Db, now_ms: u64) {
        self.raise_present(a, b, now_ms);
        self.raise_present(b, a, now_ms);
        let (a, b) = (self.table(a), self.table(b));
        for (a, b) in [(&a.root, &b.root), (&a.len, &b.len), (&a.expires, &b.expires)] {
            let held = a.load(Ordering::Relaxed);
            a.store(b.load(Ordering::Relaxed), Ordering::Relaxed);
            b.store(held, Ordering::Relaxed);
        }
    }

    /// Raises the flags of the watched keys of `db` that are there, or in the database `other` that takes its place.
    /// A key whose time is over goes now: in its new place it would count as one that was there.
    fn raise_present(&mut self, db: Db, other: Db, now_ms: u64) {
        let watched: Vec<Box<[u8]>> =
            self.data.watched.keys().filter(|(of, _)| *of == db).map(|(_, key)| key.clone()).collect();
        for bytes in watched {
            let hash = crate::KeyHash(self.data.hasher.hash_one(&*bytes));
            let key = Key { bytes: &bytes, hash };
            if self.locate(db, &key, now_ms).is_some() || self.locate(other, &key, now_ms).is_some() {
                self.raise(db, &bytes);
            }
        }
    }
}

fn zeroed(len: usize) -> Outcome<Vec<u8>> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(len).map_err(|_| Full)?;
    zeros.resize(len, 0);
    Ok(zeros)
}
