//! Room in the index words: segments in units of eight buckets, directories in powers of two.
//!
//! ```text
//! 0                          end                     half                                  all
//! │ segments, first fit ──►   │  untouched            │ directories, a page or more each    │
//! ```
//! Segments grow and shrink a unit at a time, all of a table at about the same pace: a list of free blocks per size would
//! keep every size that was ever used. A bit per unit merges neighbours by itself, and lets a segment grow where it
//! stands when the unit behind it is free. What lies free between segments is won back from the end: when it is more than an
//! eighth ([`Units::is_sparse`]), the index moves the last segment into a hole, or the one behind the first hole down, and pages behind the last one go back to the
//! system. Directories lie apart, since a large one near the end could not be moved.
//!
//! **Invariant:** a set bit is a free unit; there is no used unit at or behind `end`.

use super::bucket;
use crate::Full;
use crate::memory::{HUGE_PAGE, PAGE, Usage, Words};

/// Words of a unit.
pub(crate) const UNIT_WORDS: usize = 8 * bucket::WORDS;
const UNIT_BYTES: usize = UNIT_WORDS * 8;
const PAGE_WORDS: usize = PAGE / 8;
const HUGE_PAGE_WORDS: usize = HUGE_PAGE / 8;
/// Longest block of units.
pub(crate) const BLOCK_UNITS_MAX: usize = 64;
/// Pages that may lie touched behind the end, so that a steady state does not fault.
const SPARE_PAGES: usize = 8;

/// Offset, in words, of a block of units or of a directory.
pub(crate) type Block = usize;

/// The allocator of one stripe's index words.
pub(crate) struct Units {
    free: Vec<u64>,
    /// Units below which every free one is counted in `holes`.
    end: usize,
    holes: usize,
    /// No word of `free` below this one has a bit set.
    first_free: usize,
    /// Pages of segments that were touched since they last went back.
    pages: usize,
    /// Free directories by the binary logarithm of their pages, and where the next new one begins.
    directories: Vec<Vec<Block>>,
    directories_end: Block,
    directory_pages: usize,
    /// Huge pages from the start that the segments lie in.
    huge: usize,
    usage: Usage,
}

impl Units {
    pub(crate) fn new(usage: Usage) -> Units {
        Units {
            free: Vec::new(),
            end: 0,
            holes: 0,
            first_free: 0,
            pages: 0,
            directories: Vec::new(),
            directories_end: 0,
            directory_pages: 0,
            huge: 0,
            usage,
        }
    }

    /// A block of `units`. Its words hold anything.
    pub(crate) fn allocate(&mut self, words: &Words, units: usize) -> Result<Block, Full> {
        self.usage.ask()?;
        if let Some(block) = self.allocate_below(self.end, units) {
            return Ok(block);
        }
        let start = self.end;
        if units > BLOCK_UNITS_MAX || (start + units) * UNIT_WORDS > words.len() / 2 {
            return Err(Full);
        }
        self.grow_to(start + units);
        Ok(start * UNIT_WORDS)
    }

    /// A block that ends at or before unit `limit`, if there is a hole for it.
    pub(crate) fn allocate_below(&mut self, limit: usize, units: usize) -> Option<Block> {
        if self.holes < units {
            return None;
        }
        let last = limit.div_ceil(64).min(self.free.len());
        let found = (self.first_free..last).find_map(|word| {
            let next = self.free.get(word + 1).copied().unwrap_or(0);
            let pair = u128::from(next) << 64 | u128::from(self.free[word]);
            first_run(pair, units).map(|start| word * 64 + start)
        });
        let start = found.filter(|start| start + units <= limit)?;
        self.mark(start, units, false);
        self.holes -= units;
        while self.free.get(self.first_free) == Some(&0) {
            self.first_free += 1;
        }
        Some(start * UNIT_WORDS)
    }

    /// Takes the unit behind a block as well, if that is free.
    pub(crate) fn extend(&mut self, words: &Words, block: Block, units: usize) -> bool {
        let next = block / UNIT_WORDS + units;
        if next == self.end && (next + 1) * UNIT_WORDS <= words.len() / 2 {
            self.grow_to(next + 1);
            return true;
        }
        if next >= self.end || self.free[next / 64] >> (next % 64) & 1 == 0 {
            return false;
        }
        self.mark(next, 1, false);
        self.holes -= 1;
        true
    }

    /// Gives a block, or the tail of one, back.
    pub(crate) fn free(&mut self, words: &Words, block: Block, units: usize) {
        let start = block / UNIT_WORDS;
        self.mark(start, units, true);
        self.holes += units;
        self.first_free = self.first_free.min(start / 64);
        if start + units == self.end {
            self.lower_end();
            self.discard_behind(words);
        }
    }

    /// Whether so much lies free between segments that they should move together.
    pub(crate) fn is_sparse(&self) -> bool {
        self.holes > self.end / 8 + 8
    }

    /// Gathers the next stretch of touched pages into a huge page. Returns whether there was one and the system did it.
    pub(crate) fn gather_some(&mut self, words: &Words) -> bool {
        let next = self.huge * HUGE_PAGE_WORDS..(self.huge + 1) * HUGE_PAGE_WORDS;
        if next.end > self.pages * PAGE_WORDS {
            return false;
        }
        self.huge += 1;
        words.gather(next)
    }

    /// The first hole: where it starts and how long it is, in units.
    pub(crate) fn first_hole(&self) -> Option<(usize, usize)> {
        let word = (self.first_free..self.free.len()).find(|word| self.free[*word] != 0)?;
        let start = word * 64 + self.free[word].trailing_zeros() as usize;
        let is_free = |unit: &usize| self.free[unit / 64] >> (unit % 64) & 1 != 0;
        Some((start, (start..self.end).take_while(is_free).count()))
    }

    /// Notes that the block of `units` behind the first hole was moved down to its start.
    pub(crate) fn slid(&mut self, words: &Words, (start, len): (usize, usize), units: usize) {
        self.mark(start, units.min(len), false);
        self.mark(start + units.max(len), units.min(len), true);
        if start + len + units == self.end {
            self.lower_end();
            self.discard_behind(words);
        }
    }

    /// A directory of `len` words, a power of two. Its words hold anything.
    pub(crate) fn allocate_directory(&mut self, words: &Words, len: usize) -> Result<Block, Full> {
        self.usage.ask()?;
        let (class, pages) = directory_class(len);
        if let Some(block) = self.directories.get_mut(class).and_then(Vec::pop) {
            self.count_directory(pages, true);
            return Ok(block);
        }
        let block = words.len() / 2 + self.directories_end;
        if block + pages * PAGE_WORDS > words.len() {
            return Err(Full);
        }
        self.directories_end += pages * PAGE_WORDS;
        self.count_directory(pages, true);
        Ok(block)
    }

    pub(crate) fn free_directory(&mut self, words: &Words, block: Block, len: usize) {
        let (class, pages) = directory_class(len);
        words.discard(block..block + pages * PAGE_WORDS);
        self.count_directory(pages, false);
        if self.directories.len() <= class {
            self.directories.resize(class + 1, Vec::new());
        }
        self.directories[class].push(block);
    }

    /// Frees everything.
    pub(crate) fn clear(&mut self, words: &Words) {
        self.usage.sub((self.pages + self.directory_pages) * PAGE);
        words.discard(0..self.pages * PAGE_WORDS);
        words.discard(words.len() / 2..words.len() / 2 + self.directories_end);
        *self = Units::new(self.usage.clone());
    }

    /// Bytes touched, of them bytes in holes.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        ((self.pages + self.directory_pages) * PAGE, self.holes * UNIT_BYTES)
    }

    /// Panics unless exactly the given segments (offset, units) and directories (words) have room. Returns the bytes charged.
    #[cfg(test)]
    pub(crate) fn validate(&self, segments: &[(Block, usize)], directories: &[usize]) -> usize {
        let mut is_free = vec![true; self.free.len() * 64];
        for unit in segments.iter().flat_map(|(block, units)| block / UNIT_WORDS..block / UNIT_WORDS + units) {
            assert!(std::mem::replace(&mut is_free[unit], false), "unit {unit} belongs to one segment");
        }
        is_free[self.end..].fill(false);
        for (unit, is_free) in is_free.iter().enumerate() {
            assert_eq!(self.free[unit / 64] >> (unit % 64) & 1 != 0, *is_free, "unit {unit} of {}", self.end);
        }
        assert_eq!(is_free.iter().filter(|is_free| **is_free).count(), self.holes);
        assert!(self.free.iter().take(self.first_free).all(|word| *word == 0));
        assert!(self.end * UNIT_BYTES <= self.pages * PAGE && (self.end == 0 || !is_free[self.end - 1]));
        let pages: usize = directories.iter().map(|len| directory_class(*len).1).sum();
        assert_eq!(pages, self.directory_pages);
        self.bytes().0
    }

    fn count_directory(&mut self, pages: usize, is_taken: bool) {
        if is_taken {
            self.usage.add(pages * PAGE);
            self.directory_pages += pages;
        } else {
            self.usage.sub(pages * PAGE);
            self.directory_pages -= pages;
        }
    }

    fn grow_to(&mut self, end: usize) {
        self.end = end;
        self.free.resize(end.div_ceil(64), 0);
        let pages = (end * UNIT_BYTES).div_ceil(PAGE);
        if pages > self.pages {
            self.usage.add((pages - self.pages) * PAGE);
            self.pages = pages;
        }
    }

    fn mark(&mut self, start: usize, units: usize, is_free: bool) {
        for unit in start..start + units {
            let bit = 1 << (unit % 64);
            if is_free {
                self.free[unit / 64] |= bit;
            } else {
                self.free[unit / 64] &= !bit;
            }
        }
    }

    fn lower_end(&mut self) {
        while self.end > 0 {
            let last = self.end - 1;
            // Free bits at the top of the last word, below the end.
            let trailing = (self.free[last / 64] << (63 - last % 64)).leading_ones() as usize;
            let trailing = trailing.min(last % 64 + 1);
            if trailing == 0 {
                break;
            }
            self.mark(self.end - trailing, trailing, false);
            self.end -= trailing;
            self.holes -= trailing;
        }
        self.free.truncate(self.end.div_ceil(64));
        self.first_free = self.first_free.min(self.free.len());
    }

    fn discard_behind(&mut self, words: &Words) {
        let needed = (self.end * UNIT_BYTES).div_ceil(PAGE);
        if self.pages > needed + SPARE_PAGES + needed / 16 {
            words.discard(needed * PAGE_WORDS..self.pages * PAGE_WORDS);
            self.usage.sub((self.pages - needed) * PAGE);
            self.pages = needed;
            self.huge = self.huge.min(needed * PAGE_WORDS / HUGE_PAGE_WORDS);
        }
    }
}

fn directory_class(len: usize) -> (usize, usize) {
    let pages = len.div_ceil(PAGE_WORDS).next_power_of_two();
    (pages.ilog2() as usize, pages)
}

/// Position below 64 of the lowest run of `len` set bits.
fn first_run(bits: u128, len: usize) -> Option<usize> {
    let mut starts = bits;
    let mut covered = 1;
    while covered < len {
        let step = covered.min(len - covered);
        starts &= starts >> step;
        covered += step;
    }
    let starts = starts as u64;
    (starts != 0).then(|| starts.trailing_zeros() as usize)
}
