//! Slots for entries: runs of 32 KiB cut into slots of one size, in 8-byte classes.
//!
//! A slot is named by a 32-bit reference, its offset in units of 8 bytes: 32 GiB per stripe.
//! Free slots of a run are chained through the slots themselves:
//! ```text
//! free slot: [0u8, _, next free slot + 1 as u16, ...]        live slot: [flags with bit 7, ...]
//! ```
//! The slab decides which run is worth evacuating ([`Slab::victim`]); the stripe, which can find the references, moves the
//! entries. A run without entries gives its pages back.
//!
//! **Invariant:** `live` of a run counts its slots whose first byte is not 0; a run is in the list of its class exactly while
//! it has room.
#![allow(
    clippy::cast_possible_truncation,
    reason = "runs and slots are numbered below 2^32 and 2^16 by the sizes above"
)]

use crate::Full;
use crate::memory::{Bytes, HUGE_PAGE, PAGE, Usage};

/// Bytes of a run.
pub(crate) const RUN: usize = 32 << 10;
const REF_UNIT: usize = 8;
const RUNS_PER_HUGE_PAGE: usize = HUGE_PAGE / RUN;
const REFS_PER_RUN: u32 = (RUN / REF_UNIT) as u32;
/// Largest slot: bigger entries keep their value in a blob.
pub(crate) const SLOT_MAX: usize = 8 << 10;
/// Address space of one stripe's entries.
const RESERVE: usize = (u32::MAX as usize + 1) * REF_UNIT;
const RESERVE_MIN: usize = 64 << 20;
const CLASSES: usize = 128;
/// A class is compacted when less than 4 of 5 slots in its runs are live.
const UTILISATION_MIN: (u64, u64) = (4, 5);
/// Empty runs that keep their pages: one of this many runs in use, so that a steady state does not fault.
const SPARE_SHARE: usize = 16;
const NO_POSITION: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Run {
    class: u8,
    live: u16,
    /// Slots that were handed out at least once; the others were never touched.
    carved: u16,
    /// First slot of the chain of free ones, plus 1; 0 when the chain is empty.
    free_head: u16,
    /// Where the run stands in the list of its class, or `NO_POSITION`.
    position: u32,
    /// Pages of the run that were touched since it last gave them back.
    pages: u8,
}

#[derive(Clone, Debug, Default)]
struct Class {
    /// Runs with room.
    open: Vec<u32>,
    runs: u64,
    live: u64,
}

/// The slots of one stripe.
pub(crate) struct Slab {
    bytes: Bytes,
    runs: Vec<Run>,
    classes: Box<[Class]>,
    /// Runs without entries that still hold pages, and those that do not.
    spare: Vec<u32>,
    bare: Vec<u32>,
    /// The run that is being moved out: slots freed in it are not for use.
    evacuating: Option<u32>,
    /// Stretches of [`HUGE_PAGE`] bytes that lie in huge pages. As long as there are runs, or longer.
    huge: Vec<bool>,
    usage: Usage,
}

/// The class of an entry of `size` bytes: steps of 8 up to 512, then sixteen steps per doubling.
#[inline]
pub(crate) fn class_of(size: usize) -> u8 {
    debug_assert!((1..=SLOT_MAX).contains(&size));
    if size <= 512 {
        return size.div_ceil(8) as u8 - 1;
    }
    let doubling = (size - 1).ilog2() - 9;
    let step = 32 << doubling;
    (64 + doubling * 16) as u8 + ((size - (512 << doubling)).div_ceil(step) - 1) as u8
}

/// Bytes of a slot of `class`.
#[inline]
pub(crate) fn slot_bytes(class: u8) -> usize {
    let class = usize::from(class);
    if class < 64 {
        return (class + 1) * 8;
    }
    let (doubling, step) = ((class - 64) / 16, (class - 64) % 16 + 1);
    (512 << doubling) + step * (32 << doubling)
}

fn slots_per_run(class: u8) -> u16 {
    (RUN / slot_bytes(class)) as u16
}

impl Slab {
    pub(crate) fn new(usage: Usage) -> std::io::Result<Slab> {
        let bytes = Bytes::reserve(RESERVE, RESERVE_MIN)?;
        Ok(Slab {
            bytes,
            runs: Vec::new(),
            classes: vec![Class::default(); CLASSES].into_boxed_slice(),
            spare: Vec::new(),
            bare: Vec::new(),
            evacuating: None,
            huge: Vec::new(),
            usage,
        })
    }

    /// Address of reference 0, for prefetching.
    pub(crate) fn address(&self) -> usize {
        self.bytes.address()
    }

    /// The slot's bytes and whatever lies behind them.
    #[inline]
    pub(crate) fn at(&self, reference: u32) -> &[u8] {
        &self.bytes[reference as usize * REF_UNIT..]
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, reference: u32) -> &mut [u8] {
        &mut self.bytes[reference as usize * REF_UNIT..]
    }

    /// Copies a slot of `len` bytes over another one.
    pub(crate) fn copy(&mut self, from: u32, to: u32, len: usize) {
        let start = from as usize * REF_UNIT;
        self.bytes.copy_within(start..start + len, to as usize * REF_UNIT);
    }

    /// The class of the slot.
    #[inline]
    pub(crate) fn class(&self, reference: u32) -> u8 {
        self.runs[(reference / REFS_PER_RUN) as usize].class
    }

    /// A free slot of `class`. Its first byte stays 0 until the caller writes an entry, which it must do at once.
    pub(crate) fn allocate(&mut self, class: u8) -> Result<u32, Full> {
        self.usage.ask()?;
        let run_index = match self.classes[usize::from(class)].open.last() {
            Some(run) => *run,
            None => self.open_run(class)?,
        };
        let run = &mut self.runs[run_index as usize];
        let base = run_index as usize * RUN;
        let slot = if run.free_head != 0 {
            let slot = run.free_head - 1;
            let at = base + usize::from(slot) * slot_bytes(class);
            run.free_head = u16::from_le_bytes([self.bytes[at + 2], self.bytes[at + 3]]);
            slot
        } else {
            run.carved += 1;
            let pages = (usize::from(run.carved) * slot_bytes(class)).div_ceil(PAGE) as u8;
            if pages > run.pages {
                self.usage.add(usize::from(pages - run.pages) * PAGE);
                run.pages = pages;
            }
            run.carved - 1
        };
        run.live += 1;
        if run.live == slots_per_run(class) {
            self.close(run_index);
        }
        self.classes[usize::from(class)].live += 1;
        Ok(((base + usize::from(slot) * slot_bytes(class)) / REF_UNIT) as u32)
    }

    /// Gives a slot back.
    pub(crate) fn free(&mut self, reference: u32) {
        let run_index = reference / REFS_PER_RUN;
        let run = &mut self.runs[run_index as usize];
        let at = reference as usize * REF_UNIT;
        let slot = (at - run_index as usize * RUN) / slot_bytes(run.class);
        let next = run.free_head.to_le_bytes();
        self.bytes[at] = 0;
        self.bytes[at + 2..at + 4].copy_from_slice(&next);
        run.free_head = slot as u16 + 1;
        run.live -= 1;
        let (class, is_empty, is_open) = (run.class, run.live == 0, run.position != NO_POSITION);
        self.classes[usize::from(class)].live -= 1;
        if is_empty {
            self.retire(run_index);
        } else if !is_open && Some(run_index) != self.evacuating {
            self.open(run_index);
        }
    }

    /// The run to evacuate after a slot of `class` was freed, if the class wastes more than its share. It leaves the list of
    /// runs with room, so that nothing is put into it any more; the caller moves every entry out, then says so by
    /// [`Slab::evacuated`].
    pub(crate) fn victim(&mut self, class: u8) -> Option<u32> {
        let state = &self.classes[usize::from(class)];
        let capacity = state.runs * u64::from(slots_per_run(class));
        let (numerator, denominator) = UTILISATION_MIN;
        // With a run's worth of free slots, those outside of the victim take all that it holds: no new run is opened.
        if state.live * denominator >= capacity * numerator || capacity - state.live < u64::from(slots_per_run(class)) {
            return None;
        }
        let victim = *state.open.iter().rev().take(16).min_by_key(|run| self.runs[**run as usize].live)?;
        self.close(victim);
        self.evacuating = Some(victim);
        Some(victim)
    }

    /// Ends an evacuation. A run that could not be emptied takes entries again.
    pub(crate) fn evacuated(&mut self, run_index: u32) {
        self.evacuating = None;
        let run = &self.runs[run_index as usize];
        if run.live > 0 && run.position == NO_POSITION {
            self.open(run_index);
        }
    }

    /// Gathers one stretch of fully used runs into a huge page. Returns whether there was one and the system did it.
    pub(crate) fn gather_some(&mut self) -> bool {
        let stretches = self.runs.len() / RUNS_PER_HUGE_PAGE;
        self.huge.resize(stretches.max(self.huge.len()), false);
        let is_used = |run: &Run| usize::from(run.pages) * PAGE == RUN;
        let found = (0..stretches).find(|stretch| {
            let runs = &self.runs[stretch * RUNS_PER_HUGE_PAGE..(stretch + 1) * RUNS_PER_HUGE_PAGE];
            !self.huge[*stretch] && runs.iter().all(is_used)
        });
        let Some(stretch) = found else { return false };
        self.huge[stretch] = true;
        self.bytes.gather(stretch * HUGE_PAGE..(stretch + 1) * HUGE_PAGE)
    }

    /// References of the live slots of a run.
    pub(crate) fn live_in_run(&self, run_index: u32) -> impl Iterator<Item = u32> + '_ {
        let run = &self.runs[run_index as usize];
        let bytes = slot_bytes(run.class);
        let base = run_index as usize * RUN;
        (0..usize::from(run.carved))
            .map(move |slot| base + slot * bytes)
            .filter(|at| self.bytes[*at] != 0)
            .map(|at| (at / REF_UNIT) as u32)
    }

    /// Bytes touched, of them bytes in free slots.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        let touched = self.runs.iter().map(|run| usize::from(run.pages)).sum::<usize>() * PAGE;
        let live: usize =
            (0_u8..).zip(&self.classes).map(|(class, state)| state.live as usize * slot_bytes(class)).sum();
        (touched, touched.saturating_sub(live))
    }

    /// Panics where the books do not balance. Returns the bytes that are charged.
    #[cfg(test)]
    pub(crate) fn validate(&self) -> usize {
        assert_eq!(self.evacuating, None);
        let bare: std::collections::HashSet<u32> = self.spare.iter().chain(&self.bare).copied().collect();
        assert_eq!(bare.len(), self.spare.len() + self.bare.len(), "a run without entries is listed once");
        let mut totals = vec![(0, 0); CLASSES];
        for (index, run) in (0..).zip(&self.runs) {
            if bare.contains(&index) {
                assert_eq!((run.live, run.position), (0, NO_POSITION));
                continue;
            }
            let class = usize::from(run.class);
            let has_room = run.live < slots_per_run(run.class);
            assert_eq!(has_room, run.position != NO_POSITION, "run {index} is open while it has room");
            assert!(!has_room || self.classes[class].open[run.position as usize] == index);
            assert_eq!(self.live_in_run(index).count(), usize::from(run.live), "live slots of run {index}");
            let (mut chain, mut next) = (0, run.free_head);
            while next != 0 {
                let at = index as usize * RUN + usize::from(next - 1) * slot_bytes(run.class);
                assert_eq!(self.bytes[at], 0, "the chain leads through free slots");
                next = u16::from_le_bytes([self.bytes[at + 2], self.bytes[at + 3]]);
                chain += 1;
            }
            assert_eq!(chain, run.carved - run.live, "free slots of run {index}");
            totals[class].0 += 1;
            totals[class].1 += u64::from(run.live);
        }
        assert!(totals.into_iter().eq(self.classes.iter().map(|class| (class.runs, class.live))));
        self.bytes().0
    }

    /// References of all live slots.
    #[cfg(test)]
    pub(crate) fn live(&self) -> std::collections::HashSet<u32> {
        (0..self.runs.len() as u32).flat_map(|run| self.live_in_run(run)).collect()
    }

    /// Frees everything at once.
    pub(crate) fn clear(&mut self) {
        let pages: usize = self.runs.iter().map(|run| usize::from(run.pages)).sum();
        self.usage.sub(pages * PAGE);
        self.bytes.discard(0..self.runs.len() * RUN);
        self.runs.clear();
        self.spare.clear();
        self.bare.clear();
        self.huge.clear();
        self.classes.fill(Class::default());
    }

    fn open_run(&mut self, class: u8) -> Result<u32, Full> {
        let run_index = match self.spare.pop().or_else(|| self.bare.pop()) {
            Some(run) => run,
            None => {
                let run = self.runs.len();
                if (run + 1) * RUN > self.bytes.len() {
                    return Err(Full);
                }
                self.runs.push(Run { class, live: 0, carved: 0, free_head: 0, position: NO_POSITION, pages: 0 });
                run as u32
            }
        };
        let run = &mut self.runs[run_index as usize];
        *run = Run { class, live: 0, carved: 0, free_head: 0, position: NO_POSITION, pages: run.pages };
        self.classes[usize::from(class)].runs += 1;
        self.open(run_index);
        Ok(run_index)
    }

    fn open(&mut self, run_index: u32) {
        let run = &mut self.runs[run_index as usize];
        let open = &mut self.classes[usize::from(run.class)].open;
        run.position = open.len() as u32;
        open.push(run_index);
    }

    fn close(&mut self, run_index: u32) {
        let run = &mut self.runs[run_index as usize];
        let position = std::mem::replace(&mut run.position, NO_POSITION);
        let open = &mut self.classes[usize::from(run.class)].open;
        if position != NO_POSITION {
            open.swap_remove(position as usize);
            if let Some(moved) = open.get(position as usize) {
                self.runs[*moved as usize].position = position;
            }
        }
    }

    fn retire(&mut self, run_index: u32) {
        self.close(run_index);
        let run = &mut self.runs[run_index as usize];
        self.classes[usize::from(run.class)].runs -= 1;
        let in_use = self.runs.len() - self.spare.len() - self.bare.len();
        if self.spare.len() < in_use / SPARE_SHARE {
            self.spare.push(run_index);
        } else {
            self.discard(run_index);
        }
        while self.spare.len() > in_use / SPARE_SHARE {
            match self.spare.pop() {
                Some(spare) => self.discard(spare),
                None => break,
            }
        }
    }

    fn discard(&mut self, run_index: u32) {
        let pages = std::mem::take(&mut self.runs[run_index as usize].pages);
        self.usage.sub(usize::from(pages) * PAGE);
        let base = run_index as usize * RUN;
        if let Some(huge) = self.huge.get_mut(run_index as usize / RUNS_PER_HUGE_PAGE) {
            *huge = false;
        }
        self.bytes.discard(base..base + RUN);
        self.bare.push(run_index);
    }
}
