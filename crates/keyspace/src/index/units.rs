//! Room in the index words: units of eight buckets, handed out in contiguous blocks of up to sixteen.
//!
//! Segments grow and shrink a unit at a time, all of a table at about the same pace: a list of free blocks per size would
//! keep every size that was ever used. Regions of 64 units with a bit per unit merge neighbours by themselves, and a segment
//! whose next unit is free grows where it stands. Blocks larger than a region (directories) take whole regions at the end.
//!
//! **Invariant:** a set bit is a free unit; units beyond `touched` of a region were never written since its pages were last
//! given back.

use super::bucket;
use crate::Full;
use crate::memory::{PAGE, Usage, Words};

/// Words of a unit.
pub(crate) const UNIT_WORDS: usize = 8 * bucket::WORDS;
const UNITS_PER_REGION: usize = 64;
const REGION_WORDS: usize = UNITS_PER_REGION * UNIT_WORDS;
const UNITS_PER_PAGE: u32 = (PAGE / 8 / UNIT_WORDS) as u32;

struct Region {
    free: u64,
    /// Units from the start that were ever handed out.
    touched: u32,
}

/// The allocator of one stripe's index words.
pub(crate) struct Units {
    regions: Vec<Region>,
    /// No region below this one has a free unit.
    first_free: usize,
    usage: Usage,
}

/// Offset, in words, of a block of units.
pub(crate) type Block = usize;

impl Units {
    pub(crate) fn new(usage: Usage) -> Units {
        Units { regions: Vec::new(), first_free: 0, usage }
    }

    /// A block of `units`. Its words hold anything.
    pub(crate) fn allocate(&mut self, words: &Words, units: usize) -> Result<Block, Full> {
        if units > UNITS_PER_REGION {
            return self.allocate_regions(words, units.div_ceil(UNITS_PER_REGION));
        }
        for index in self.first_free..self.regions.len() {
            if let Some(start) = first_run(self.regions[index].free, units) {
                return Ok(self.take(index, start, units));
            }
        }
        let block = self.allocate_regions(words, 1)?;
        let index = block / REGION_WORDS;
        self.give_back(index, 0, UNITS_PER_REGION);
        Ok(self.take(index, 0, units))
    }

    /// Takes the unit behind a block as well, if it is free.
    pub(crate) fn extend(&mut self, block: Block, units: usize) -> bool {
        let (index, next) = (block / REGION_WORDS, block % REGION_WORDS / UNIT_WORDS + units);
        if next >= UNITS_PER_REGION || self.regions[index].free & 1 << next == 0 {
            return false;
        }
        self.take(index, next, 1);
        true
    }

    /// Gives a block, or the tail of one, back.
    pub(crate) fn free(&mut self, words: &Words, block: Block, units: usize) {
        let (mut index, start) = (block / REGION_WORDS, block % REGION_WORDS / UNIT_WORDS);
        let mut left = units;
        let mut start = start;
        while left > 0 {
            // A directory larger than a region owns whole regions, the unused end of the last one included.
            let here = if units > UNITS_PER_REGION { UNITS_PER_REGION } else { left };
            self.give_back(index, start, here);
            if self.regions[index].free == u64::MAX {
                self.discard(words, index);
            }
            left = left.saturating_sub(here);
            index += 1;
            start = 0;
        }
    }

    /// Frees everything.
    pub(crate) fn clear(&mut self, words: &Words) {
        for index in 0..self.regions.len() {
            self.discard(words, index);
        }
        self.regions.clear();
        self.first_free = 0;
    }

    fn take(&mut self, index: usize, start: usize, units: usize) -> Block {
        let region = &mut self.regions[index];
        region.free &= !(mask(units) << start);
        let end = (start + units) as u32;
        if end > region.touched {
            let pages = end.div_ceil(UNITS_PER_PAGE) - region.touched.div_ceil(UNITS_PER_PAGE);
            self.usage.add(pages as usize * PAGE);
            region.touched = end;
        }
        while self.regions.get(self.first_free).is_some_and(|region| region.free == 0) {
            self.first_free += 1;
        }
        index * REGION_WORDS + start * UNIT_WORDS
    }

    fn give_back(&mut self, index: usize, start: usize, units: usize) {
        self.regions[index].free |= mask(units) << start;
        self.first_free = self.first_free.min(index);
    }

    fn discard(&mut self, words: &Words, index: usize) {
        let region = &mut self.regions[index];
        let pages = std::mem::take(&mut region.touched).div_ceil(UNITS_PER_PAGE) as usize;
        if pages > 0 {
            self.usage.sub(pages * PAGE);
            words.discard(index * REGION_WORDS..(index + 1) * REGION_WORDS);
        }
    }

    fn allocate_regions(&mut self, words: &Words, count: usize) -> Result<Block, Full> {
        let index = self.regions.len();
        if (index + count) * REGION_WORDS > words.len() {
            return Err(Full);
        }
        let touched = if count > 1 { UNITS_PER_REGION as u32 } else { 0 };
        self.regions.extend((0..count).map(|_| Region { free: 0, touched }));
        self.usage.add(count * (touched.div_ceil(UNITS_PER_PAGE) as usize) * PAGE);
        Ok(index * REGION_WORDS)
    }
}

fn mask(units: usize) -> u64 {
    if units == UNITS_PER_REGION { u64::MAX } else { (1 << units) - 1 }
}

/// Position of the lowest run of `len` set bits.
fn first_run(bits: u64, len: usize) -> Option<usize> {
    let mut starts = bits;
    let mut covered = 1;
    while covered < len {
        let step = covered.min(len - covered);
        starts &= starts >> step;
        covered += step;
    }
    (starts != 0).then(|| starts.trailing_zeros() as usize)
}
