//! When entries expire: a timer wheel in levels, over slot numbers.
//!
//! **Idea.** Time is counted in ticks of 32 ms. Level 0 has a bucket for each of the next 64 ticks, level 1 one for each of
//! the next 64 stretches of 64 ticks, and so on; seven levels reach beyond the clock's end. An entry lies in the level of the
//! highest digit (of 6 bits) in which its tick differs from the wheel's time, in the bucket of that digit. When time
//! comes to a bucket of a higher level, its entries are dealt out anew, to lower levels.
//!
//! **Why.** Inserting and removing are O(1), an entry is dealt out six times at most in its life, and what is not due is not
//! looked at. A bit per bucket tells which hold anything, so time jumps from one of those to the next: a year with
//! nothing in it costs what a tick costs.
//!
//! **Awkward cases.** A bucket may hold a million entries, and the caller holds a lock: `advance` stops after so many
//! expired ones, and after a multiple of that dealt out, in the middle of a bucket; time stands at that bucket's start then,
//! and whatever is in the bucket of any level's present digit is looked at first the next time. A deadline that is past when it is
//! inserted lies in the present tick's bucket. Wheel time never goes back.
//!
//! **Limits.** An entry fires at its deadline or up to one tick later, never before, if `advance` is called and catches up.
//! Among entries that are due there is no order. Links take 8 bytes per slot, in blocks that come with the first deadline
//! in them. Deadlines are not kept here: `advance` asks for those of entries that it deals out.
//!
//! **Reference.** Varghese, Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987, scheme 6.2.

/// A tick is 2^5 = 32 ms.
const TICK_MS_BITS: u32 = 5;
/// A digit of a tick is 6 bits: a level has as many buckets as a word has bits.
const DIGIT_BITS: u32 = 6;
const BUCKETS: usize = 1 << DIGIT_BITS;
/// 42 bits of ticks: 37 are needed.
const LEVELS: usize = 7;
const _: () = assert!(crate::clock::TIME_MS_MAX >> TICK_MS_BITS < 1 << (DIGIT_BITS as usize * LEVELS - 1));

/// Entries dealt out for each expired one that the caller wants, at most.
const DEALT_PER_WANTED: usize = 32;

/// Slots per block of links.
const BLOCK: usize = 1024;

/// No slot: slots are below 2^31.
const NONE: u32 = u32::MAX;
/// In `Link::prev`: the first of a bucket, whose number is in the other bits.
const FIRST: u32 = 1 << 31;

/// A slot's place in the list of its bucket.
#[derive(Clone, Copy)]
struct Link {
    next: u32,
    /// The slot before, or [`FIRST`] and the bucket, or [`NONE`]: not in the wheel.
    prev: u32,
}

pub(crate) struct Wheel {
    /// The tick that the wheel has come to.
    now: u64,
    /// No bucket begins before this tick: until then there is nothing to do.
    idle_until: u64,
    /// The first slot of each bucket, level by level.
    first: [u32; LEVELS * BUCKETS],
    /// Which buckets of each level hold anything.
    occupied: [u64; LEVELS],
    links: Vec<Option<Box<[Link; BLOCK]>>>,
}

impl Wheel {
    pub(crate) fn new(now_ms: u64) -> Wheel {
        Wheel {
            now: now_ms >> TICK_MS_BITS,
            idle_until: u64::MAX,
            first: [NONE; LEVELS * BUCKETS],
            occupied: [0; LEVELS],
            links: Vec::new(),
        }
    }

    /// Puts a slot in that is not there yet.
    pub(crate) fn insert(&mut self, slot: u32, deadline_ms: u64) {
        let block = index(slot) / BLOCK;
        if block >= self.links.len() {
            self.links.resize_with(block + 1, || None);
        }
        self.links[block].get_or_insert_with(|| Box::new([Link { next: NONE, prev: NONE }; BLOCK]));
        debug_assert!(self.link(slot).prev == NONE, "slot {slot} is in the wheel already");
        let starts = self.deal(slot, tick(deadline_ms));
        self.idle_until = self.idle_until.min(starts);
    }

    /// Takes a slot out, if it is there.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(Some(block)) = self.links.get_mut(index(slot) / BLOCK) else { return };
        let link = &mut block[index(slot) % BLOCK];
        let Link { next, prev } = std::mem::replace(link, Link { next: NONE, prev: NONE });
        if prev == NONE {
            return;
        }
        if next != NONE {
            self.link_mut(next).prev = prev;
        }
        if prev & FIRST == 0 {
            self.link_mut(prev).next = next;
            return;
        }
        let bucket = index(prev & !FIRST);
        self.first[bucket] = next;
        if next == NONE {
            self.occupied[bucket / BUCKETS] &= !(1 << (bucket % BUCKETS));
        }
    }

    /// Goes on to `now_ms`, and shows every slot that has expired by then, `slots_max` at most: they are out of the wheel.
    /// `deadline_of` is asked for slots in the wheel, and says what [`insert`](Wheel::insert) was told.
    ///
    /// Answers whether it came that far; otherwise the next call goes on.
    pub(crate) fn advance(
        &mut self,
        now_ms: u64,
        slots_max: usize,
        deadline_of: impl Fn(u32) -> u64,
        mut expired: impl FnMut(u32),
    ) -> bool {
        let target = now_ms >> TICK_MS_BITS;
        if target < self.idle_until {
            return true;
        }
        let mut wanted = slots_max;
        let mut dealt_left = slots_max.saturating_mul(DEALT_PER_WANTED);
        loop {
            while let Some(bucket) = self.present() {
                let slot = self.first[bucket];
                let tick = tick(deadline_of(slot));
                let is_due = tick <= target;
                let left = if is_due { &mut wanted } else { &mut dealt_left };
                if *left == 0 {
                    return false;
                }
                *left -= 1;
                self.remove(slot);
                if is_due {
                    expired(slot);
                } else {
                    self.deal(slot, tick);
                }
            }
            let starts = self.next_start();
            if starts > target {
                self.now = self.now.max(target);
                self.idle_until = starts;
                return true;
            }
            self.now = starts;
        }
    }

    /// A bucket that the wheel's time has come to, and which still holds something.
    fn present(&self) -> Option<usize> {
        (0..LEVELS).find_map(|level| {
            let digit = digit(self.now, level);
            (self.occupied[level] >> digit & 1 == 1).then_some(level * BUCKETS + digit)
        })
    }

    /// The tick at which the next bucket begins, if none is present: one of a lower level comes before all of higher levels.
    fn next_start(&self) -> u64 {
        for level in 0..LEVELS {
            // Those after the present digit; there are none after the last.
            let later = self.occupied[level] & (!1 << digit(self.now, level));
            if later != 0 {
                let shift = shift(level);
                let above = self.now >> shift >> DIGIT_BITS << DIGIT_BITS;
                return (above | u64::from(later.trailing_zeros())) << shift;
            }
        }
        u64::MAX
    }

    /// Puts a slot into the bucket of its tick, and answers when that bucket begins.
    fn deal(&mut self, slot: u32, tick: u64) -> u64 {
        let tick = tick.max(self.now);
        let differing = u64::BITS - (tick ^ self.now).leading_zeros();
        let level = index(differing.saturating_sub(1) / DIGIT_BITS);
        let digit = digit(tick, level);
        let bucket = level * BUCKETS + digit;
        let next = std::mem::replace(&mut self.first[bucket], slot);
        if next != NONE {
            self.link_mut(next).prev = slot;
        }
        self.occupied[level] |= 1 << digit;
        *self.link_mut(slot) = Link { next, prev: FIRST | number(bucket) };
        tick >> shift(level) << shift(level)
    }

    fn link(&self, slot: u32) -> Link {
        self.links[index(slot) / BLOCK].as_ref().map_or(Link { next: NONE, prev: NONE }, |b| b[index(slot) % BLOCK])
    }

    fn link_mut(&mut self, slot: u32) -> &mut Link {
        let block = &mut self.links[index(slot) / BLOCK];
        let block = block.get_or_insert_with(|| Box::new([Link { next: NONE, prev: NONE }; BLOCK]));
        &mut block[index(slot) % BLOCK]
    }
}

/// The first tick that begins at the deadline or after it.
fn tick(deadline_ms: u64) -> u64 {
    deadline_ms.min(crate::clock::TIME_MS_MAX).div_ceil(1 << TICK_MS_BITS)
}

fn shift(level: usize) -> usize {
    level * DIGIT_BITS as usize
}

#[allow(clippy::cast_possible_truncation, reason = "masked")]
fn digit(tick: u64, level: usize) -> usize {
    (tick >> shift(level)) as usize & (BUCKETS - 1)
}

fn index(slot: u32) -> usize {
    slot as usize
}

#[allow(clippy::cast_possible_truncation, reason = "there are fewer than 2^31 buckets")]
fn number(bucket: usize) -> u32 {
    bucket as u32
}

#[cfg(test)]
mod tests;
