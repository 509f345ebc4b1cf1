//! Tags and clears that processes share: one string on the server, and what this process knows of it.
//!
//! Idea: as in [`tags`](crate::tags), entries carry the number that the sequence had when their load began, and an invalidation
//! raises it and writes the new number down. Here the sequence is the server's, and what is written down is a string of a
//! fixed layout that programs in other languages can read with GETRANGE:
//!
//! ```text
//!     0  generation        16 hexadecimal digits, random, never 0
//!    16  sequence          16 decimal digits
//!    32  cleared at        16 decimal digits: the sequence of the last clear
//!    48  cleared           16 decimal digits: Unix milliseconds of the last clear
//!    64  the last 256 raises, that of number n at n % 256: 16 digits of n, 8 of the place
//!  6208  floors, one for each of 8,192 places: 16 digits; missing or NUL bytes are 0
//! ```
//!
//! Place 8192 of a raise is the whole cache. Every process keeps a [`Mirror`]. A mirror that lags is safe: an entry that is born by
//! it is older than it had to be. One that has missed up to 256 raises reads them; beyond, it reads all.
//!
//! **Invariants**
//! - A raise by this process is *pending* from before it is sent until the mirror has it. What it concerns does not count
//!   meanwhile, whatever number it has.
//! - Numbers only grow within a generation, and none is given twice. A server that has lost some (restored from an older state, or
//!   a replica that lagged has taken its place) would give them again, to raises that are below what entries were born with. So who sees
//!   that, by a number that is smaller than before or a raise that is another, begins a new generation.
//! - A string that is gone or of another generation makes every older entry a miss: what was raised in it is not known any more.

use super::tier::SharedBorn;
use crate::tags::{FLOORS, Mark, place};
use std::collections::HashMap;

/// The head.
pub(crate) const HEAD_LEN: usize = 64;
/// Raises that are remembered one by one.
pub(crate) const RING: u64 = 256;
const RING_LEN: usize = 256;
/// One of them.
const RAISE_LEN: usize = 24;
/// Head and ring.
pub(crate) const SHORT_LEN: usize = HEAD_LEN + RAISE_LEN * RING_LEN;
const _: () = assert!(RING == RING_LEN as u64);
const NUMBER_LEN: usize = 16;
/// All of it.
pub(crate) const WHOLE_LEN: usize = SHORT_LEN + NUMBER_LEN * FLOORS as usize;
/// The place of a raise that concerns the whole cache.
const CLEARED: u16 = FLOORS;

/// What stands before the raises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) generation: u64,
    pub(crate) sequence: u64,
    pub(crate) cleared_at: u64,
    pub(crate) cleared_unix_ms: u64,
}

impl Head {
    /// `None` if the bytes are not what a head is.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Head> {
        let bytes = bytes.get(..HEAD_LEN)?;
        let number = |at: usize| parse_number(&bytes[at..at + NUMBER_LEN]);
        let generation = std::str::from_utf8(&bytes[..NUMBER_LEN]).ok()?;
        let generation = u64::from_str_radix(generation, 16).ok().filter(|generation| *generation != 0)?;
        Some(Head { generation, sequence: number(16)?, cleared_at: number(32)?, cleared_unix_ms: number(48)? })
    }
}

/// A string of a new generation, in which nothing was raised yet. It begins with a clear: whatever has no number was stored before.
pub(crate) fn create(generation: u64, unix_ms: u64) -> Vec<u8> {
    let mut text = format!("{generation:016x}{:016}{:016}{unix_ms:016}", 0, 0);
    text.extend(std::iter::repeat_n('0', SHORT_LEN - HEAD_LEN));
    text.into_bytes()
}

/// Where the floor of that place stands.
pub(crate) fn floor_at(place: u16) -> usize {
    SHORT_LEN + NUMBER_LEN * usize::from(place)
}

/// Where raise number `sequence` stands.
pub(crate) fn raise_at(sequence: u64) -> usize {
    HEAD_LEN + RAISE_LEN * place_in_ring(sequence)
}

/// The place of a mark, as the string has it.
pub(crate) fn place_of(mark: Mark) -> u16 {
    match mark {
        Mark::Cleared => CLEARED,
        Mark::Floor(place) => place,
    }
}

fn mark_of(place: u16) -> Mark {
    if place == CLEARED { Mark::Cleared } else { Mark::Floor(place) }
}

/// A number in decimal digits; NUL bytes are 0. `None` for anything else.
fn parse_number(bytes: &[u8]) -> Option<u64> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Some(0);
    }
    bytes.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(bytes).ok()?.parse().ok())?
}

/// What this process knows of the stamps.
#[derive(Debug)]
pub(crate) struct Mirror {
    head: Head,
    floors: Vec<u64>,
    /// The last raises as they are known, each at its number modulo [`RING`].
    ring: Vec<Option<(u64, Mark)>>,
    /// Raises of this process whose numbers the mirror has not come to.
    own: Vec<u64>,
    /// Raises of this process that are under way, and how many of each.
    pending: HashMap<Mark, u32>,
}

/// What the mirror learnt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Learnt {
    /// The stamps were others than those that were known.
    pub(crate) is_other_generation: bool,
    /// What others raised.
    pub(crate) marks: Vec<Mark>,
}

/// What a mirror makes of what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caught {
    Up(Learnt),
    /// The raises that are missing are not in the ring any more: read all of it.
    Behind,
    /// The server has forgotten raises of this generation: a new one is to be begun.
    Back,
    /// These are no stamps.
    Broken,
}

impl Default for Mirror {
    fn default() -> Mirror {
        let (head, own, pending) = (Head::default(), Vec::new(), HashMap::new());
        Mirror { head, floors: vec![0; usize::from(FLOORS)], ring: vec![None; RING_LEN], own, pending }
    }
}

impl Mirror {
    /// What a load or insert is born with that begins now.
    pub(crate) fn born(&self) -> SharedBorn {
        SharedBorn { generation: self.head.generation, sequence: self.head.sequence }
    }

    /// Whether it knows stamps at all.
    pub(crate) fn is_known(&self) -> bool {
        self.head.generation != 0
    }

    /// Whether an entry still counts. `born` is `None` for one that another language wrote: it counts if it has no tags and was
    /// stored after the last clear, by the clocks of both writers.
    pub(crate) fn is_valid<'a>(
        &self,
        born: Option<SharedBorn>,
        stored_at_unix_ms: u64,
        mut tags: impl Iterator<Item = &'a str>,
    ) -> bool {
        if self.pending.contains_key(&Mark::Cleared) || !self.is_known() {
            return false;
        }
        let Some(born) = born else {
            return tags.next().is_none() && stored_at_unix_ms > self.head.cleared_unix_ms;
        };
        born.generation == self.head.generation
            && born.sequence >= self.head.cleared_at
            && tags.all(|tag| {
                let place = place(tag);
                let floor = self.floors.get(usize::from(place)).copied().unwrap_or(u64::MAX);
                born.sequence >= floor && !self.pending.contains_key(&Mark::Floor(place))
            })
    }

    /// A raise of this process is about to be sent.
    pub(crate) fn begin(&mut self, mark: Mark) {
        *self.pending.entry(mark).or_default() += 1;
    }

    /// It has come to nothing, or its number is known by now.
    pub(crate) fn end(&mut self, mark: Mark) {
        if let Some(count) = self.pending.get_mut(&mark) {
            *count -= 1;
            if *count == 0 {
                self.pending.remove(&mark);
            }
        }
    }

    /// The server gave a raise of this process that number. Whether the mirror has it now: otherwise others have raised too, and
    /// it has to catch up.
    pub(crate) fn raised(&mut self, mark: Mark, generation: u64, sequence: u64, unix_ms: u64) -> bool {
        if generation != self.head.generation {
            return false;
        }
        self.note(mark, sequence);
        self.ring[place_in_ring(sequence)] = Some((sequence, mark));
        if mark == Mark::Cleared {
            self.head.cleared_unix_ms = self.head.cleared_unix_ms.max(unix_ms);
        }
        if sequence <= self.head.sequence {
            return true;
        }
        if sequence == self.head.sequence + 1 {
            self.head.sequence = sequence;
            self.own.retain(|own| *own > sequence);
            return true;
        }
        self.own.push(sequence);
        false
    }

    /// Whether the head says something new.
    pub(crate) fn is_behind(&self, head: &Head) -> bool {
        *head != self.head
    }

    /// Takes over what was read: head and ring, or all of it.
    ///
    /// `is_whole`: all of it was asked for. Its length does not tell: as long as no tag was raised, there are no floors. `asked` is
    /// what was [born](Mirror::born) when it was asked for.
    pub(crate) fn catch_up(&mut self, bytes: &[u8], is_whole: bool, asked: SharedBorn) -> Caught {
        let Some(head) = Head::parse(bytes) else { return Caught::Broken };
        if head.generation != self.head.generation {
            let is_short_of_nothing = head.sequence == 0;
            if !is_whole && !is_short_of_nothing {
                return Caught::Behind;
            }
            let Some(floors) = parse_floors(bytes) else { return Caught::Broken };
            (self.head, self.floors) = (head, floors);
            self.own.clear();
            self.ring.fill(None);
            self.remember(bytes);
            return Caught::Up(Learnt { is_other_generation: true, marks: Vec::new() });
        }
        let is_less = asked.generation == head.generation && head.sequence < asked.sequence;
        if is_less || !self.agrees(&head, bytes) {
            return Caught::Back;
        }
        if head.sequence <= self.head.sequence {
            // An answer that was overtaken by a later one.
            return Caught::Up(Learnt::default());
        }
        let missing = self.head.sequence + 1..=head.sequence;
        if head.sequence - self.head.sequence <= RING {
            let raises: Option<Vec<Mark>> = missing.clone().map(|number| parse_raise(bytes, number)).collect();
            let Some(raises) = raises else { return Caught::Broken };
            let learnt = self.take(head, missing.zip(raises));
            self.remember(bytes);
            return Caught::Up(learnt);
        }
        if !is_whole {
            return Caught::Behind;
        }
        let Some(floors) = parse_floors(bytes) else { return Caught::Broken };
        if floors.iter().zip(&self.floors).any(|(there, known)| there < known && *known <= head.sequence) {
            return Caught::Back;
        }
        let raised = (0_u16..)
            .zip(&floors)
            .filter(|(place, floor)| self.floors.get(usize::from(*place)).is_some_and(|known| *floor > known));
        let mut raises: Vec<(u64, Mark)> = raised.map(|(place, floor)| (*floor, Mark::Floor(place))).collect();
        if head.cleared_at > self.head.cleared_at {
            raises.push((head.cleared_at, Mark::Cleared));
        }
        let learnt = self.take(head, raises.into_iter());
        self.remember(bytes);
        Caught::Up(learnt)
    }

    /// Whether the raises that both know are the same.
    fn agrees(&self, head: &Head, bytes: &[u8]) -> bool {
        let known = self.ring.iter().flatten().filter(|(number, _)| *number <= head.sequence);
        // Of a number that is not in the ring any more nothing is said.
        known.copied().all(|(number, mark)| parse_raise(bytes, number).is_none_or(|there| there == mark))
    }

    /// Keeps the raises of the ring for later.
    fn remember(&mut self, bytes: &[u8]) {
        let last = self.head.sequence;
        for number in last.saturating_sub(RING - 1).max(1)..=last {
            self.ring[place_in_ring(number)] = parse_raise(bytes, number).map(|mark| (number, mark));
        }
    }

    fn take(&mut self, head: Head, raises: impl Iterator<Item = (u64, Mark)>) -> Learnt {
        let mut marks = Vec::new();
        for (number, mark) in raises {
            self.note(mark, number);
            if !self.own.contains(&number) && !marks.contains(&mark) {
                marks.push(mark);
            }
        }
        self.own.retain(|own| *own > head.sequence);
        let cleared_at = head.cleared_at.max(self.head.cleared_at);
        let cleared_unix_ms = head.cleared_unix_ms.max(self.head.cleared_unix_ms);
        self.head = Head { cleared_at, cleared_unix_ms, ..head };
        Learnt { is_other_generation: false, marks }
    }

    fn note(&mut self, mark: Mark, number: u64) {
        match mark {
            Mark::Cleared => self.head.cleared_at = self.head.cleared_at.max(number),
            Mark::Floor(place) => {
                if let Some(floor) = self.floors.get_mut(usize::from(place)) {
                    *floor = (*floor).max(number);
                }
            }
        }
    }
}

fn place_in_ring(number: u64) -> usize {
    usize::try_from(number % RING).unwrap_or(0)
}

fn parse_raise(bytes: &[u8], number: u64) -> Option<Mark> {
    let at = raise_at(number);
    let raise = bytes.get(at..at + RAISE_LEN)?;
    let place = parse_number(&raise[NUMBER_LEN..])?;
    let place = u16::try_from(place).ok().filter(|place| *place <= CLEARED)?;
    (parse_number(&raise[..NUMBER_LEN])? == number).then(|| mark_of(place))
}

/// Every floor, those that are missing being 0.
fn parse_floors(bytes: &[u8]) -> Option<Vec<u64>> {
    let written = bytes.get(SHORT_LEN..).unwrap_or_default();
    let floors: Option<Vec<u64>> = written.chunks(NUMBER_LEN).map(parse_number).collect();
    let mut floors = floors.filter(|floors| floors.len() <= usize::from(FLOORS))?;
    floors.resize(usize::from(FLOORS), 0);
    Some(floors)
}

#[cfg(test)]
mod tests;
