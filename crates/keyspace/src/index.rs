//! The index of one stripe: from the hash of a key to the reference of its entry, by extendible hashing.
//!
//! ```text
//!            63            63-stripe bits                                  15        0
//! hash       │ stripe      │ prefix: directory, most significant bit first │ ... │ tag │
//!
//! root (one word per database) ─► directory: 2^depth words ─► segment: 8 to 104 buckets ─► bucket: ten (tag, reference)
//! ```
//! **Growth.** A segment that cannot take a key grows by a unit of eight buckets, which needs nothing but the tags that lie in
//! it. At 13 units (1,040 slots) it splits in two by the next bit of the prefix, which needs the hashes of its entries and
//! so reads each once; the directory doubles when it must. No insert ever pays for more than one segment and a copy of the
//! directory (8 bytes per segment). **Shrinking.** Every few removals the segment at hand is looked at: less than half
//! full it is laid out smaller, and joined with its sibling when both are small. Directories do not shrink; a flush frees them.
//!
//! **Hints.** Roots, directories and buckets are atomic words in memory that is never unmapped, so that a batch can ask for
//! lines before it has latched anything ([`line_of`]). What it reads may be old or freed; it is checked against bounds and
//! used for prefetching only.
//!
//! **Invariant:** all 2^(depth - d) directory words of a segment of depth d are equal; every key lies in the segment that its
//! prefix names. The index knows neither keys nor values.
#![allow(clippy::cast_possible_truncation, reason = "hashes and words are cut into fields of known widths")]

pub(crate) mod bucket;
pub(crate) mod segment;
pub(crate) mod units;

use crate::Full;
use crate::memory::{Usage, Words};
use bucket::Slot;
use segment::{Place, Segment};
use std::sync::atomic::{AtomicU64, Ordering};
use units::{UNIT_WORDS, Units};

/// Most units of a segment; one that is this long and full splits.
const SEGMENT_UNITS_MAX: u32 = 13;
/// Segments whose keys together fit in this many units are joined.
const JOIN_UNITS_MAX: u32 = 4;
/// Bits of the prefix that a directory may use: 16 million segments per stripe and database.
pub(crate) const DEPTH_MAX: u32 = 24;
/// Address space of one stripe's index words.
pub(crate) const RESERVE: usize = 16 << 30;
/// The least that will do.
pub(crate) const RESERVE_MIN: usize = 32 << 20;

const ROOT_TAKEN: u64 = 1 << 63;
const ROOT_DEPTH_SHIFT: u32 = 48;
const ROOT_BLOCK_MASK: u64 = (1 << ROOT_DEPTH_SHIFT) - 1;

/// A hash as the index reads it: the stripe's bits shifted out at the top.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    prefix: u64,
    pub(crate) tag: u16,
}

impl Position {
    #[inline]
    pub(crate) fn new(hash: u64, stripe_bits: u32) -> Position {
        Position { prefix: hash << stripe_bits, tag: hash as u16 }
    }

    /// The first `depth` bits of the prefix.
    #[inline]
    fn prefix(self, depth: u32) -> usize {
        // Two shifts, since a shift by all 64 bits is none.
        (self.prefix >> 1 >> (63 - depth)) as usize
    }

    fn bit(self, depth: u32) -> bool {
        self.prefix << depth >> 63 != 0
    }
}

/// A directory: where it lies and how many bits of the prefix it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    block: usize,
    pub(crate) depth: u32,
}

impl Directory {
    #[inline]
    fn of(root: &AtomicU64) -> Option<Directory> {
        let word = root.load(Ordering::Relaxed);
        (word != 0).then_some(Directory {
            block: (word & ROOT_BLOCK_MASK) as usize,
            depth: (word >> ROOT_DEPTH_SHIFT) as u32 & 0xFF,
        })
    }

    fn store(self, root: &AtomicU64) {
        root.store(ROOT_TAKEN | self.block as u64 | u64::from(self.depth) << ROOT_DEPTH_SHIFT, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn segment(self, words: &Words, prefix: usize) -> Segment {
        Segment::unpack(words[self.block + prefix].load(Ordering::Relaxed))
    }

    /// Every segment once, in the order of the hash, with the first of its prefixes.
    pub(crate) fn for_each_segment(self, words: &Words, mut visit: impl FnMut(Segment, usize)) {
        let mut prefix = 0;
        while prefix < 1 << self.depth {
            let segment = self.segment(words, prefix);
            visit(segment, prefix);
            prefix += 1 << (self.depth - segment.depth);
        }
    }

    /// Writes `segment` into every word that its prefix covers; `prefix` is one of them.
    fn put(self, words: &Words, prefix: usize, segment: Segment) {
        let shift = self.depth - segment.depth;
        let first = prefix >> shift << shift;
        for word in &words[self.block + first..self.block + first + (1 << shift)] {
            word.store(segment.pack(), Ordering::Relaxed);
        }
    }
}

/// Word offset of the home bucket that `position` may have: a hint for prefetching, read without the latch.
#[inline]
pub(crate) fn line_of(words: &Words, root: &AtomicU64, position: Position) -> Option<usize> {
    let directory = Directory::of(root)?;
    let word = words.get(directory.block + position.prefix(directory.depth))?.load(Ordering::Relaxed);
    let segment = Segment::unpack(word);
    let line = segment.bucket_offset(segment.home(position.tag));
    (segment.units > 0 && line + bucket::WORDS <= words.len()).then_some(line)
}

/// The directory of a table, if it has any key.
pub(crate) fn directory(root: &AtomicU64) -> Option<Directory> {
    Directory::of(root)
}

/// Finds the key at `position` whose reference `is` accepts.
#[inline]
pub(crate) fn find(words: &Words, root: &AtomicU64, position: Position, is: impl FnMut(u32) -> bool) -> Option<Place> {
    let directory = Directory::of(root)?;
    directory.segment(words, position.prefix(directory.depth)).find(words, position.tag, is)
}

/// A segment with the directory that names it and one of its prefixes there.
#[derive(Clone, Copy)]
struct Owned {
    segment: Segment,
    directory: Directory,
    prefix: usize,
}

impl Owned {
    /// Copies the segment to `block`, which may overlap its place from below.
    fn move_to(self, words: &Words, block: usize) {
        for word in 0..self.segment.units as usize * UNIT_WORDS {
            words[block + word].store(words[self.segment.block + word].load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.directory.put(words, self.prefix, Segment { block, ..self.segment });
    }
}

/// How the index asks for the hash of an entry, which only the stripe can read.
pub(crate) trait Entries {
    /// Where the entry lies in the hash space.
    fn position(&self, reference: u32) -> Position;
    /// Fetches the entry towards the cache.
    fn prefetch(&self, reference: u32);
}

/// What it takes to change an index: the allocator of its words, and room to lay segments out.
pub(crate) struct Index {
    units: Units,
    /// Contents of the segment that is being laid out; empty between calls.
    layout: Vec<Slot>,
    /// The words of a segment that is laid out where it stands, in case it must be put back.
    before: Vec<u64>,
    low: Vec<Slot>,
    high: Vec<Slot>,
}

impl Index {
    pub(crate) fn new(usage: Usage) -> Index {
        Index { units: Units::new(usage), layout: Vec::new(), before: Vec::new(), low: Vec::new(), high: Vec::new() }
    }

    /// Puts a key in that is not there.
    pub(crate) fn insert(
        &mut self,
        words: &Words,
        root: &AtomicU64,
        position: Position,
        content: Slot,
        entries: &impl Entries,
    ) -> Result<(), Full> {
        let mut directory = match Directory::of(root) {
            Some(directory) => directory,
            None => self.create(words, root)?,
        };
        loop {
            let segment = directory.segment(words, position.prefix(directory.depth));
            if segment.insert(words, content) {
                return Ok(());
            }
            if segment.units < SEGMENT_UNITS_MAX {
                self.resize(words, directory, position, segment, segment.units + 1)?;
            } else {
                directory = self.split(words, root, directory, position, segment, entries)?;
            }
        }
    }

    /// Looks at the segment of `position` after removals and lays it out smaller if that is worth it.
    pub(crate) fn shrink(&mut self, words: &Words, root: &AtomicU64, position: Position) -> Result<(), Full> {
        let Some(directory) = Directory::of(root) else { return Ok(()) };
        let segment = directory.segment(words, position.prefix(directory.depth));
        let keys = segment.len(words);
        if keys * 2 > segment.units * segment::UNIT_SLOTS {
            return Ok(());
        }
        let units = Segment::units_for(keys as usize).max(1);
        if units < segment.units {
            self.resize(words, directory, position, segment, units)?;
        }
        self.join(words, directory, position)
    }

    /// See [`Units::gather_some`].
    pub(crate) fn gather_some(&mut self, words: &Words) -> bool {
        self.units.gather_some(words)
    }

    /// Bytes that the index takes, of them bytes that no segment uses.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        self.units.bytes()
    }

    /// See [`Units::validate`].
    #[cfg(test)]
    pub(crate) fn validate(&self, segments: &[(usize, usize)], directories: &[usize]) -> usize {
        self.units.validate(segments, directories)
    }

    /// Whether [`Index::compact`] has something to do.
    #[inline]
    pub(crate) fn is_sparse(&self) -> bool {
        self.units.is_sparse()
    }

    /// Moves one segment towards the start: the last one into a hole that takes it, or else the one behind the first hole.
    /// Either way the end comes nearer, now or when the holes have met. Cost: a look at every directory word of the stripe.
    pub(crate) fn compact<'r>(&mut self, words: &Words, roots: impl Iterator<Item = &'r AtomicU64>) {
        let Some(hole) = self.units.first_hole() else { return };
        let behind_hole = (hole.0 + hole.1) * UNIT_WORDS;
        let (mut last, mut next): (Option<Owned>, Option<Owned>) = (None, None);
        for directory in roots.filter_map(Directory::of) {
            directory.for_each_segment(words, |segment, prefix| {
                let owned = Owned { segment, directory, prefix };
                if last.is_none_or(|last| segment.block > last.segment.block) {
                    last = Some(owned);
                }
                if segment.block == behind_hole {
                    next = Some(owned);
                }
            });
        }
        let Some(last) = last else { return };
        let units = last.segment.units as usize;
        if let Some(block) = self.units.allocate_below(last.segment.block / UNIT_WORDS, units) {
            last.move_to(words, block);
            self.units.free(words, last.segment.block, units);
        } else if let Some(next) = next {
            next.move_to(words, hole.0 * UNIT_WORDS);
            self.units.slid(words, hole, next.segment.units as usize);
        }
    }

    /// Frees the words of every table of the stripe at once.
    pub(crate) fn clear(&mut self, words: &Words) {
        self.units.clear(words);
    }

    /// Frees the words of one table. The entries are the caller's.
    pub(crate) fn drop_table(&mut self, words: &Words, root: &AtomicU64) {
        let Some(directory) = Directory::of(root) else { return };
        root.store(0, Ordering::Relaxed);
        directory.for_each_segment(words, |segment, _| self.units.free(words, segment.block, segment.units as usize));
        self.units.free_directory(words, directory.block, 1 << directory.depth);
    }

    fn create(&mut self, words: &Words, root: &AtomicU64) -> Result<Directory, Full> {
        let block = self.units.allocate_directory(words, 1)?;
        let segment = match fill_new(&mut self.units, words, &[], 1, 0) {
            Ok(segment) => segment,
            Err(full) => {
                self.units.free_directory(words, block, 1);
                return Err(full);
            }
        };
        let directory = Directory { block, depth: 0 };
        directory.put(words, 0, segment);
        directory.store(root);
        Ok(directory)
    }

    /// Lays a segment out over `units`, or more if its keys crowd. Nothing is lost when there is no room for it.
    fn resize(
        &mut self,
        words: &Words,
        directory: Directory,
        position: Position,
        segment: Segment,
        units: u32,
    ) -> Result<(), Full> {
        self.layout.clear();
        self.layout.extend(segment.slots(words));
        let prefix = position.prefix(directory.depth);
        let grows = units == segment.units + 1;
        if grows && self.units.extend(words, segment.block, segment.units as usize) {
            let longer = Segment { units, ..segment };
            let old_words = &words[segment.block..segment.block + segment.units as usize * UNIT_WORDS];
            self.before.clear();
            self.before.extend(old_words.iter().map(|word| word.load(Ordering::Relaxed)));
            if longer.refill(words, &self.layout) {
                directory.put(words, prefix, longer);
                return Ok(());
            }
            // More room and yet no fit: keys crowd at one place. Put it back as it was and try one size up.
            for (word, before) in old_words.iter().zip(&self.before) {
                word.store(*before, Ordering::Relaxed);
            }
            self.units.free(words, segment.block + segment.units as usize * UNIT_WORDS, 1);
            return self.place_anew(words, directory, prefix, segment, units + 1);
        }
        self.place_anew(words, directory, prefix, segment, units)
    }

    fn place_anew(
        &mut self,
        words: &Words,
        directory: Directory,
        prefix: usize,
        segment: Segment,
        units: u32,
    ) -> Result<(), Full> {
        let new = fill_new(&mut self.units, words, &self.layout, units, segment.depth)?;
        directory.put(words, prefix, new);
        self.units.free(words, segment.block, segment.units as usize);
        Ok(())
    }

    fn split(
        &mut self,
        words: &Words,
        root: &AtomicU64,
        directory: Directory,
        position: Position,
        segment: Segment,
        entries: &impl Entries,
    ) -> Result<Directory, Full> {
        let directory = if segment.depth == directory.depth { self.double(words, root, directory)? } else { directory };
        self.layout.clear();
        self.layout.extend(segment.slots(words));
        self.low.clear();
        self.high.clear();
        const AHEAD: usize = 16;
        for (index, slot) in self.layout.iter().enumerate() {
            if let Some(ahead) = self.layout.get(index + AHEAD) {
                entries.prefetch(ahead.reference);
            }
            let half = if entries.position(slot.reference).bit(segment.depth) { &mut self.high } else { &mut self.low };
            half.push(*slot);
        }
        let depth = segment.depth + 1;
        let low = fill_new(&mut self.units, words, &self.low, Segment::units_for(self.low.len()), depth)?;
        let high = match fill_new(&mut self.units, words, &self.high, Segment::units_for(self.high.len()), depth) {
            Ok(high) => high,
            Err(full) => {
                self.units.free(words, low.block, low.units as usize);
                return Err(full);
            }
        };
        let shift = directory.depth - depth;
        let low_prefix = position.prefix(depth) & !1;
        directory.put(words, low_prefix << shift, low);
        directory.put(words, (low_prefix | 1) << shift, high);
        self.units.free(words, segment.block, segment.units as usize);
        Ok(directory)
    }

    fn double(&mut self, words: &Words, root: &AtomicU64, old: Directory) -> Result<Directory, Full> {
        if old.depth == DEPTH_MAX {
            return Err(Full);
        }
        let depth = old.depth + 1;
        let new = Directory { block: self.units.allocate_directory(words, 1 << depth)?, depth };
        for prefix in 0..1_usize << depth {
            let word = words[old.block + prefix / 2].load(Ordering::Relaxed);
            words[new.block + prefix].store(word, Ordering::Relaxed);
        }
        new.store(root);
        self.units.free_directory(words, old.block, 1 << old.depth);
        Ok(new)
    }

    /// Joins the segment of `position` with its sibling when both are small.
    fn join(&mut self, words: &Words, directory: Directory, position: Position) -> Result<(), Full> {
        let prefix = position.prefix(directory.depth);
        let segment = directory.segment(words, prefix);
        if segment.depth == 0 {
            return Ok(());
        }
        let sibling = directory.segment(words, prefix ^ 1 << (directory.depth - segment.depth));
        if sibling.depth != segment.depth || segment.units + sibling.units > JOIN_UNITS_MAX {
            return Ok(());
        }
        self.layout.clear();
        self.layout.extend(segment.slots(words).chain(sibling.slots(words)));
        let units = Segment::units_for(self.layout.len()).max(1);
        let joined = fill_new(&mut self.units, words, &self.layout, units, segment.depth - 1)?;
        directory.put(words, prefix, joined);
        self.units.free(words, segment.block, segment.units as usize);
        self.units.free(words, sibling.block, sibling.units as usize);
        Ok(())
    }
}

/// A new segment of `units`, or the next more that `contents` fit in.
fn fill_new(units: &mut Units, words: &Words, contents: &[Slot], len: u32, depth: u32) -> Result<Segment, Full> {
    for len in len.max(1)..=4 * SEGMENT_UNITS_MAX {
        let segment = Segment { block: units.allocate(words, len as usize)?, units: len, depth };
        if segment.refill(words, contents) {
            return Ok(segment);
        }
        units.free(words, segment.block, len as usize);
    }
    Err(Full)
}
