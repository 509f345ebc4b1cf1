//! The memory of a shard's entries: slots of one size, found by number, never moved.
//!
//! Slots come in pages, each as large as all before it together, so a number leads to its slot by a count of leading
//! zeros. A page is asked from the system zeroed and touched slot by slot: what was never used takes no memory.
//!
//! ```text
//! slot: state (64) | home (32) | weight (32) | position (32) | label (32) | key | value
//! state: deadline_ms (42 bits) | unused (19) | hits (3)
//! label: partition (16) | cost (8) | unused (8)
//! ```
//!
//! **Invariants.** A slot is free (its entry is not there), or written. From [`Slots::write`] to [`Slots::free`] key and
//! value do not change, so any number of threads may look at them; who frees a slot knows that nobody does (a grace
//! period has passed since it could last be found). Everything else of a slot is atomic and may be touched at any time.

#![allow(unsafe_code, reason = "reads without locks; listed in xtask/src/tidy/unsafety.rs")]

use super::policy::{Entries, HITS_MAX};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Slots of the first page, a power of two.
const FIRST_PAGE: u32 = 64;
/// Pages at most: 2^31 slots.
const PAGES: usize = 26;

const HITS_MASK: u64 = 7;
const DEADLINE_SHIFT: u32 = 22;

/// An entry and what the tier knows of it.
#[repr(C)]
pub(super) struct Slot<K, V> {
    state: AtomicU64,
    home: AtomicU32,
    weight: AtomicU32,
    position: AtomicU32,
    label: AtomicU32,
    entry: UnsafeCell<MaybeUninit<(K, V)>>,
}

impl<K, V> Slot<K, V> {
    /// Key and value.
    ///
    /// # Safety
    /// The slot is written, and is not freed while the references live: the caller is pinned and found it after that, or
    /// holds the shard's lock and it is in the index, or it owns the slot.
    #[inline]
    pub(super) unsafe fn entry(&self) -> (&K, &V) {
        // SAFETY: nobody writes an entry that is not free (the caller's promise).
        let entry = unsafe { &*self.entry.get() };
        // SAFETY: written (the caller's promise).
        let entry = unsafe { entry.assume_init_ref() };
        (&entry.0, &entry.1)
    }

    /// When the entry expires; 0 for never.
    #[inline]
    pub(super) fn deadline_ms(&self) -> u64 {
        self.state.load(Ordering::Relaxed) >> DEADLINE_SHIFT
    }

    pub(super) fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }

    /// Counts a hit, up to the cap: an entry that is read often is not written any more. Two at once may count as one.
    #[inline]
    pub(super) fn touch(&self) {
        let now = self.state.load(Ordering::Relaxed);
        if now & HITS_MASK < u64::from(HITS_MAX) {
            self.state.store(now + 1, Ordering::Relaxed);
        }
    }
}

/// What a slot says besides key and value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) home: u32,
    pub(super) weight: u32,
    pub(super) deadline_ms: u64,
    pub(super) partition: u16,
    pub(super) cost: u8,
}

/// All slots of a shard.
pub(super) struct Slots<K, V> {
    pages: [AtomicPtr<Slot<K, V>>; PAGES],
}

// SAFETY: slots hand out `&K` and `&V` to several threads at once, and keys and values are dropped by any thread.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Slots<K, V> {}
// SAFETY: the pages are owned; they go where keys and values may go.
unsafe impl<K: Send, V: Send> Send for Slots<K, V> {}

/// The page of a slot, and the slot's number in it.
#[inline]
fn page_of(slot: u32) -> (usize, usize) {
    let number = slot + FIRST_PAGE;
    let page = number.ilog2() - FIRST_PAGE.ilog2();
    (page as usize, (number - (FIRST_PAGE << page)) as usize)
}

impl<K, V> Slots<K, V> {
    pub(super) fn new() -> Slots<K, V> {
        Slots { pages: [const { AtomicPtr::new(null_mut()) }; PAGES] }
    }

    /// Makes sure that `slot` has memory; slots are taken in ascending order. By the writer.
    pub(super) fn reserve(&self, slot: u32) {
        let (page, _) = page_of(slot);
        if !self.pages[page].load(Ordering::Relaxed).is_null() {
            return;
        }
        let layout = layout::<K, V>(page);
        // SAFETY: the layout is not empty, since a slot has at least 24 bytes.
        let memory = unsafe { alloc_zeroed(layout) };
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        self.pages[page].store(memory.cast(), Ordering::Release);
    }

    /// The slot of that number, which was reserved once.
    #[inline]
    pub(super) fn slot(&self, slot: u32) -> &Slot<K, V> {
        let (page, number) = page_of(slot);
        // Whoever knows the number learned it from somebody who had reserved it, in that order.
        let page = self.pages[page].load(Ordering::Relaxed);
        debug_assert!(!page.is_null(), "slot {slot} was never reserved");
        // SAFETY: every number that goes round was reserved, so its page is there and holds that many slots.
        let slot = unsafe { page.add(number) };
        // SAFETY: the page lives as long as `self`, and zeroed memory is a slot: atomics and what may be uninitialised.
        unsafe { &*slot }
    }

    /// Fills a free slot.
    pub(super) fn write(&self, slot: u32, label: Label, key: K, value: V) {
        let slot = self.slot(slot);
        slot.state.store(label.deadline_ms << DEADLINE_SHIFT, Ordering::Relaxed);
        slot.home.store(label.home, Ordering::Relaxed);
        slot.weight.store(label.weight, Ordering::Relaxed);
        slot.label.store(u32::from(label.partition) << 16 | u32::from(label.cost) << 8, Ordering::Relaxed);
        let entry = slot.entry.get();
        // SAFETY: the slot is free, so nobody looks at its entry, and the writer is alone (the shard's lock).
        unsafe { entry.write(MaybeUninit::new((key, value))) };
    }

    /// Drops key and value.
    ///
    /// # Safety
    /// The slot is written, nobody looks at its entry or will, and this is called once until it is written again.
    pub(super) unsafe fn free(&self, slot: u32) {
        if std::mem::needs_drop::<(K, V)>() {
            // SAFETY: nobody looks at the entry (the caller's promise).
            let entry = unsafe { &mut *self.slot(slot).entry.get() };
            // SAFETY: written, and dropped once (the caller's promise).
            unsafe { entry.assume_init_drop() };
        }
    }

    /// Asks the processor to fetch the beginning of a slot, key and value's first lines.
    #[inline]
    pub(super) fn fetch(&self, slot: u32) {
        let slot: *const Slot<K, V> = self.slot(slot);
        fetch(slot);
        if size_of::<Slot<K, V>>() > 64 {
            fetch(slot.cast::<u8>().wrapping_add(64));
        }
    }

    /// The index in the partitions.
    pub(super) fn partition(&self, slot: u32) -> usize {
        (self.slot(slot).label.load(Ordering::Relaxed) >> 16) as usize
    }
}

impl<K, V> Entries for Slots<K, V> {
    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    fn hits(&self, slot: u32) -> u8 {
        (self.slot(slot).state.load(Ordering::Relaxed) & HITS_MASK) as u8
    }

    fn set_hits(&self, slot: u32, hits: u8) {
        let state = &self.slot(slot).state;
        state.store(state.load(Ordering::Relaxed) & !HITS_MASK | u64::from(hits), Ordering::Relaxed);
    }

    fn hash(&self, slot: u32) -> u32 {
        self.slot(slot).home.load(Ordering::Relaxed)
    }

    fn weight(&self, slot: u32) -> u32 {
        self.slot(slot).weight.load(Ordering::Relaxed)
    }

    #[allow(clippy::cast_possible_truncation, reason = "one byte of the label")]
    fn cost(&self, slot: u32) -> u8 {
        (self.slot(slot).label.load(Ordering::Relaxed) >> 8) as u8
    }

    fn position(&self, slot: u32) -> u32 {
        self.slot(slot).position.load(Ordering::Relaxed)
    }

    fn set_position(&self, slot: u32, position: u32) {
        self.slot(slot).position.store(position, Ordering::Relaxed);
    }

    fn prefetch(&self, slot: u32) {
        self.fetch(slot);
    }
}

/// Asks the processor to fetch the line at `address`, and goes on.
#[inline]
pub(super) fn fetch<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing; any address will do.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

fn layout<K, V>(page: usize) -> Layout {
    let slots = (FIRST_PAGE as usize) << page;
    // A layout beyond what an address can be is more than any machine gives.
    Layout::array::<Slot<K, V>>(slots).unwrap_or_else(|_| handle_alloc_error(Layout::new::<Slot<K, V>>()))
}

impl<K, V> Drop for Slots<K, V> {
    /// Gives the pages back. Entries that were not freed are not dropped: the shard frees them first.
    fn drop(&mut self) {
        for (page, memory) in self.pages.iter_mut().enumerate() {
            let memory = *memory.get_mut();
            if !memory.is_null() {
                // SAFETY: allocated in `reserve` with the same layout, and not freed before.
                unsafe { dealloc(memory.cast(), layout::<K, V>(page)) };
            }
        }
    }
}
