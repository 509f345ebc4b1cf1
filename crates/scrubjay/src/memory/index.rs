//! Where the entries of a shard are: a table of one-byte tags and 32-bit slot numbers, read without a lock.
//!
//! ```text
//! bucket (64 bytes, one cache line)
//! +---------------------+-----------------+-------------------------+------------+
//! | tags 0..8 (8 x 8)   | tags 8..12      | slots 0..12 (12 x 32)   | passed: 32 |
//! +---------------------+-----------------+-------------------------+------------+
//! tag 0: the place is free. passed: entries whose search goes beyond this bucket
//! ```
//!
//! The home bucket of a hash is its share of the table (`hash * buckets >> 32`), so a table may have any number of buckets,
//! and a larger one keeps the order. A full bucket passes on to the next. A search ends at the first bucket that
//! nobody passed.
//!
//! **Invariants.** An entry stays in its place for as long as it lives in this table, so a reader who walks while others
//! insert and remove misses a key only if there was a moment during the walk at which the key was absent. One writer at a
//! time (the shard's lock); readers at any time. A tag and its slot may be read from different moments: the reader compares
//! the key.

#[cfg(test)]
mod tests;

use super::lanes::equal_bytes;
use super::sync::{AtomicU32, AtomicU64, Ordering};

/// Places in a bucket.
pub(super) const PLACES: usize = 12;

/// A bit for each place of a bucket.
const ALL_PLACES: u32 = (1 << PLACES) - 1;

/// The smallest tag: 0 is a free place.
const TAG_MIN: u8 = 1;

/// Bytes that an entry takes in a table, at the usual load of two thirds.
pub(super) const BYTES_PER_ENTRY: usize = 64 * 3 / 2 / PLACES;

/// One cache line of the table.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(super) struct Bucket {
    tags: AtomicU64,
    tags_more: AtomicU32,
    slots: [AtomicU32; PLACES],
    passed: AtomicU32,
}

const _: () = assert!(size_of::<Bucket>() == 64 || cfg!(feature = "__model"));

/// A table of a fixed number of buckets.
#[derive(Debug)]
pub(super) struct Table {
    buckets: Box<[Bucket]>,
}

/// The two parts of a hash that a table uses: `home` chooses the bucket, mostly by its higher bits, and `tag`, its lowest
/// byte, the place. `home` is what an entry keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) home: u32,
    pub(super) tag: u8,
}

impl Parts {
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a hash is cut into parts")]
    pub(super) fn of(hash: u64) -> Parts {
        Parts::of_home(hash as u32)
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the lowest byte")]
    pub(super) fn of_home(home: u32) -> Parts {
        Parts { home, tag: (home as u8).max(TAG_MIN) }
    }
}

/// A place: the bucket and the number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    bucket: usize,
    place: usize,
}

/// What a look at the home bucket says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// It has this slot, or another one.
    Perhaps(u32),
    /// It is in another bucket, or absent.
    Elsewhere,
    Absent,
}

impl Bucket {
    /// The places whose tag is `tag`, a bit each.
    #[inline]
    fn matches(&self, tag: u8) -> u32 {
        equal_bytes(self.tags.load(Ordering::Acquire), self.tags_more.load(Ordering::Acquire), tag)
    }

    fn for_each(&self, mut f: impl FnMut(u32)) {
        for place in places(!self.matches(0) & ALL_PLACES) {
            f(self.slots[place].load(Ordering::Acquire));
        }
    }

    /// Readers that see the tag see the slot's number, and through that the entry, as they were before this call.
    fn set_tag(&self, place: usize, tag: u8) {
        if place < 8 {
            let mut bytes = self.tags.load(Ordering::Relaxed).to_le_bytes();
            bytes[place] = tag;
            self.tags.store(u64::from_le_bytes(bytes), Ordering::Release);
        } else {
            let mut bytes = self.tags_more.load(Ordering::Relaxed).to_le_bytes();
            bytes[place - 8] = tag;
            self.tags_more.store(u32::from_le_bytes(bytes), Ordering::Release);
        }
    }
}

/// The places of a mask.
#[inline]
fn places(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let next = (mask != 0).then(|| mask.trailing_zeros() as usize);
        mask &= mask.wrapping_sub(1);
        next
    })
}

impl Table {
    pub(super) fn new(bucket_count: usize) -> Table {
        Table { buckets: (0..bucket_count.max(1)).map(|_| Bucket::default()).collect() }
    }

    pub(super) fn bucket_count(&self) -> usize {
        self.buckets.len()
    }

    /// Entries up to which searches stay short.
    pub(super) fn capacity(&self) -> usize {
        self.buckets.len() * PLACES * 5 / 6
    }

    /// The bucket in which a search goes on: they are a ring.
    #[inline]
    fn after(&self, bucket: usize) -> usize {
        if bucket + 1 == self.buckets.len() { 0 } else { bucket + 1 }
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a share of the bucket count is below it")]
    pub(super) fn home(&self, home: u32) -> usize {
        ((u64::from(home) * self.buckets.len() as u64) >> 32) as usize
    }

    /// The home bucket.
    #[inline]
    pub(super) fn bucket(&self, parts: Parts) -> &Bucket {
        &self.buckets[self.home(parts.home)]
    }

    /// What `look` makes of the first slot with the right tag that it does not return `None` for, and its place.
    #[inline]
    pub(super) fn find<T>(&self, parts: Parts, mut look: impl FnMut(u32) -> Option<T>) -> Option<(Place, T)> {
        let home = self.home(parts.home);
        let mut bucket = home;
        while let Some(here) = self.buckets.get(bucket) {
            for place in places(here.matches(parts.tag)) {
                if let Some(found) = look(here.slots[place].load(Ordering::Acquire)) {
                    return Some((Place { bucket, place }, found));
                }
            }
            if here.passed.load(Ordering::Acquire) == 0 {
                return None;
            }
            bucket = self.after(bucket);
            // Each bucket may hold an entry of the one before, however few entries there are: nobody's search ends then.
            if bucket == home {
                return None;
            }
        }
        None
    }

    /// What the home bucket says at first sight.
    #[inline]
    pub(super) fn first(&self, parts: Parts) -> First {
        let here = self.bucket(parts);
        let matches = here.matches(parts.tag);
        if matches != 0 {
            return First::Perhaps(here.slots[matches.trailing_zeros() as usize].load(Ordering::Acquire));
        }
        if here.passed.load(Ordering::Acquire) == 0 { First::Absent } else { First::Elsewhere }
    }

    /// Where `slot` is, whose hash begins with `home`.
    pub(super) fn place_of(&self, home: u32, slot: u32) -> Option<Place> {
        let (place, ()) = self.find(Parts::of_home(home), |found| (found == slot).then_some(()))?;
        Some(place)
    }

    /// Adds a slot; the caller keeps the number of entries below [`capacity`](Table::capacity). By the writer.
    pub(super) fn insert(&self, parts: Parts, slot: u32) {
        let mut bucket = self.home(parts.home);
        loop {
            let here = &self.buckets[bucket];
            if let Some(place) = places(here.matches(0)).next() {
                here.slots[place].store(slot, Ordering::Release);
                here.set_tag(place, parts.tag);
                return;
            }
            here.passed.fetch_add(1, Ordering::AcqRel);
            bucket = self.after(bucket);
        }
    }

    /// Frees a place, of an entry whose hash begins with `home`. By the writer.
    pub(super) fn remove(&self, home: u32, place: Place) {
        self.buckets[place.bucket].set_tag(place.place, 0);
        let mut bucket = self.home(home);
        while bucket != place.bucket {
            self.buckets[bucket].passed.fetch_sub(1, Ordering::AcqRel);
            bucket = self.after(bucket);
        }
    }

    /// Another slot takes the place, with the same key. By the writer.
    pub(super) fn replace(&self, place: Place, slot: u32) {
        self.buckets[place.bucket].slots[place.place].store(slot, Ordering::Release);
    }

    /// Fills an empty, larger table with what is here. `fetch` is told a few buckets before `home_of` is asked.
    pub(super) fn copy_to(&self, larger: &Table, home_of: impl Fn(u32) -> u32, fetch: impl Fn(u32)) {
        const AHEAD: usize = 3;
        for (number, bucket) in self.buckets.iter().enumerate() {
            if let Some(ahead) = self.buckets.get(number + AHEAD) {
                ahead.for_each(&fetch);
            }
            bucket.for_each(|slot| larger.insert(Parts::of_home(home_of(slot)), slot));
        }
    }

    /// Every slot, in the order of the table.
    pub(super) fn for_each(&self, mut f: impl FnMut(u32)) {
        for bucket in &self.buckets {
            bucket.for_each(&mut f);
        }
    }
}
