//! The memory of a shard's entries: slots of one size, found by number, never moved.
//!
//! The first slots, as many as the budget should need, lie in one stretch of addresses (`region.rs`), where a number leads
//! to its slot by a multiplication. Whatever is beyond (a weigher that says little, a budget that grew) comes in pages, each
//! as large as all before it together: a count of leading zeros more. Both are zeroed and touched slot by slot: what was
//! never used takes no memory, but for the rest of a huge page.
//!
//! ```text
//! slot: state (64) | key | value                                     what a reader looks at
//! note: home (32) | weight (32) | position (32) | label (32)         what only writers look at, apart
//! state: deadline_ms (42 bits) | unused (19) | hits (3)
//! label: partition (16) | cost (8) | unused (7) | is heavy (1)
//! ```
//!
//! Notes lie apart from the slots, so that the processor's caches hold more of what readers want.
//!
//! **Invariants.** A slot is free (its entry is not there), or written. From [`Held::write`] to [`Slots::free`] key and
//! value do not change, so any number of threads may look at them; who frees a slot knows that nobody does (a grace
//! period has passed since it could last be found). Everything else of a slot is atomic and may be touched at any time.

#![allow(unsafe_code, reason = "reads without locks; listed in xtask/src/tidy/unsafety.rs")]

use super::policy::{Entries, Entry, HITS_MAX};
use super::region::Region;
use super::sync::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null_mut};
use std::sync::Arc;

/// Slots of the first page, a power of two.
const FIRST_PAGE: u32 = 64;
/// Slots of a shard at most: the policy and the wheel have uses of their own for the highest bit.
const SLOTS_MAX: u32 = 1 << 31;
/// Pages at most: as many slots, and more.
const PAGES: usize = 26;
/// The near slots lie in huge pages if there are so many pages of them in all, where each shard will use all of its own.
const HUGE_PAGES_DENSE: usize = 2;
/// The same for each shard, where shards may use only a part.
const HUGE_PAGES_EACH: usize = 32;
/// Near slots at most, so that all numbers stay below 2^31.
const NEAR_MAX: u32 = 1 << 30;

const HITS_MASK: u64 = 7;
const DEADLINE_SHIFT: u32 = 22;

/// An entry and what readers ask of it besides.
#[repr(C)]
pub(super) struct Slot<K, V> {
    state: AtomicU64,
    entry: UnsafeCell<MaybeUninit<(K, V)>>,
}

/// What writers know of a slot.
#[repr(C)]
pub(super) struct Note {
    home: AtomicU32,
    weight: AtomicU32,
    position: AtomicU32,
    label: AtomicU32,
}

/// A slot and its note, as writers see them.
pub(super) struct Held<'a, K, V> {
    pub(super) slot: &'a Slot<K, V>,
    note: &'a Note,
}

impl<K, V> Clone for Held<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Held<'_, K, V> {}

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

    #[inline]
    pub(super) fn state(&self) -> State {
        State(self.state.load(Ordering::Relaxed))
    }

    /// Counts a hit, up to the cap: an entry that is read often is not written any more. `state` was read just now; two at
    /// once may count as one.
    #[inline]
    pub(super) fn touch(&self, state: State) {
        if state.0 & HITS_MASK < u64::from(HITS_MAX) {
            self.state.store(state.0 + 1, Ordering::Relaxed);
        }
    }
}

/// What a slot's state was when it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct State(u64);

impl State {
    /// When the entry expires; 0 for never.
    #[inline]
    pub(super) fn deadline_ms(self) -> u64 {
        self.0 >> DEADLINE_SHIFT
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
    /// Whether it is too heavy for its shard's share.
    pub(super) is_heavy: bool,
}

/// All slots of a shard.
#[repr(C)]
pub(super) struct Slots<K, V> {
    /// Where the first `near` slots lie.
    first: NonNull<Slot<K, V>>,
    near: u32,
    /// Where their notes lie.
    notes: NonNull<Note>,
    /// Those beyond, each page with its notes behind its slots.
    pages: [AtomicPtr<Slot<K, V>>; PAGES],
    /// What `first` and `notes` point into.
    _region: Option<Arc<Region>>,
}

// SAFETY: slots hand out `&K` and `&V` to several threads at once, and keys and values are dropped by any thread.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Slots<K, V> {}
// SAFETY: the pages are owned, and so is this shard's part of the region; they go where keys and values may go.
unsafe impl<K: Send, V: Send> Send for Slots<K, V> {}

/// The page of a slot beyond the near ones, and the slot's number in it.
#[inline]
fn page_of(beyond: u32) -> (usize, usize) {
    let number = beyond + FIRST_PAGE;
    let page = number.ilog2() - FIRST_PAGE.ilog2();
    (page as usize, (number - (FIRST_PAGE << page)) as usize)
}

impl<K, V> Slots<K, V> {
    /// The slots of `count` shards, the first `near` of each in one region. `is_dense`: nearly all of them will be used.
    pub(super) fn of_shards(count: usize, near: usize, is_dense: bool) -> impl Iterator<Item = Slots<K, V>> {
        // Each part begins with a cache line.
        let bytes = |each: usize| near.checked_mul(each).and_then(|bytes| bytes.checked_next_multiple_of(64));
        let fits = u32::try_from(near).is_ok_and(|near| near < NEAR_MAX) && align_of::<Slot<K, V>>() <= 64;
        let parts = bytes(size_of::<Slot<K, V>>()).zip(bytes(size_of::<Note>())).filter(|_| fits);
        // What is never used of a huge page: one in all, or one for each shard.
        let huge_min = if is_dense { HUGE_PAGES_DENSE } else { HUGE_PAGES_EACH.saturating_mul(count) };
        let reserved = parts.and_then(|(slots, notes)| {
            let len = slots.checked_add(notes)?.checked_mul(count)?;
            Some((Arc::new(Region::reserve(len, huge_min)?), slots, notes))
        });
        (0..count).map(move |number| {
            let pages = [const { AtomicPtr::new(null_mut()) }; PAGES];
            match &reserved {
                Some((region, slots, notes)) => Slots {
                    first: region.at(number * slots).cast(),
                    near: u32::try_from(near).unwrap_or(0),
                    notes: region.at(count * slots + number * notes).cast(),
                    pages,
                    _region: Some(Arc::clone(region)),
                },
                None => {
                    let (first, notes) = (NonNull::dangling(), NonNull::dangling());
                    Slots { first, near: 0, notes, pages, _region: None }
                }
            }
        })
    }

    /// Makes sure that `slot` has memory; slots are taken in ascending order. By the writer.
    pub(super) fn reserve(&self, slot: u32) {
        let Some(beyond) = slot.checked_sub(self.near) else { return };
        assert!(slot < SLOTS_MAX, "a shard has no more than 2^31 slots");
        let (page, _) = page_of(beyond);
        if !self.pages[page].load(Ordering::Relaxed).is_null() {
            return;
        }
        let layout = layout::<K, V>(page);
        // SAFETY: the layout is not empty, since a slot has at least 8 bytes.
        let memory = unsafe { alloc_zeroed(layout) };
        if memory.is_null() {
            handle_alloc_error(layout);
        }
        self.pages[page].store(memory.cast(), Ordering::Release);
    }

    /// The slot of that number, which was reserved once, if it is one of the near ones.
    #[inline]
    pub(super) fn near(&self, slot: u32) -> Option<&Slot<K, V>> {
        if slot >= self.near {
            return None;
        }
        // SAFETY: this shard's part of the region holds `near` slots.
        let slot = unsafe { self.first.add(slot as usize) };
        // SAFETY: the region lives as long as `self`, and zeroed memory is a slot: atomics and what may be uninitialised.
        Some(unsafe { slot.as_ref() })
    }

    #[inline(never)]
    fn beyond(&self, beyond: u32) -> Held<'_, K, V> {
        let (page, number) = page_of(beyond);
        let count = (FIRST_PAGE as usize) << page;
        // Whoever knows the number learned it from somebody who had reserved it, in that order.
        let page = self.pages[page].load(Ordering::Relaxed);
        debug_assert!(!page.is_null(), "slot {beyond} beyond the near ones was never reserved");
        // SAFETY: every number that goes round was reserved, so its page is there and holds that many slots.
        let slot = unsafe { page.add(number) };
        // SAFETY: the notes begin where the page's slots end.
        let notes = unsafe { page.add(count).cast::<Note>() };
        // SAFETY: there are as many of them as slots.
        let note = unsafe { notes.add(number) };
        // SAFETY: the page lives as long as `self`, and zeroed memory is a slot: atomics and what may be uninitialised.
        let slot = unsafe { &*slot };
        // SAFETY: the same for a note, which is aligned since a slot's size is a multiple of 8.
        let note = unsafe { &*note };
        Held { slot, note }
    }

    /// Drops key and value.
    ///
    /// # Safety
    /// The slot is written, nobody looks at its entry or will, and this is called once until it is written again.
    pub(super) unsafe fn free(&self, slot: u32) {
        if std::mem::needs_drop::<(K, V)>() {
            // SAFETY: nobody looks at the entry (the caller's promise).
            let entry = unsafe { &mut *self.at(slot).slot.entry.get() };
            // SAFETY: written, and dropped once (the caller's promise).
            unsafe { entry.assume_init_drop() };
        }
    }

    /// Asks the processor to fetch a slot's note, and its first lines.
    #[inline]
    pub(super) fn fetch(&self, slot: u32) {
        let Held { slot, note } = self.at(slot);
        fetch(note);
        let slot: *const Slot<K, V> = slot;
        fetch(slot);
        if size_of::<Slot<K, V>>() > 64 {
            fetch(slot.cast::<u8>().wrapping_add(64));
        }
    }
}

impl<K, V> Held<'_, K, V> {
    /// When the entry expires; 0 for never.
    #[inline]
    pub(super) fn deadline_ms(&self) -> u64 {
        self.slot.state().deadline_ms()
    }

    /// The index in the partitions.
    #[inline]
    pub(super) fn partition(&self) -> usize {
        (self.note.label.load(Ordering::Relaxed) >> 16) as usize
    }

    /// Whether it is too heavy for its shard's share.
    #[inline]
    pub(super) fn is_heavy(&self) -> bool {
        self.note.label.load(Ordering::Relaxed) & 1 == 1
    }

    /// Fills the slot, which is free.
    ///
    /// # Safety
    /// The slot is free, and nobody else fills it: the caller holds the shard's lock.
    #[inline]
    pub(super) unsafe fn write(&self, label: Label, key: K, value: V) {
        self.slot.state.store(label.deadline_ms << DEADLINE_SHIFT, Ordering::Relaxed);
        self.note.home.store(label.home, Ordering::Relaxed);
        self.note.weight.store(label.weight, Ordering::Relaxed);
        self.note.label.store(
            u32::from(label.partition) << 16 | u32::from(label.cost) << 8 | u32::from(label.is_heavy),
            Ordering::Relaxed,
        );
        let entry = self.slot.entry.get();
        // SAFETY: the slot is free, so nobody looks at its entry, and the writer is alone (the caller's promise).
        unsafe { entry.write(MaybeUninit::new((key, value))) };
    }
}

impl<K, V> Entry for Held<'_, K, V> {
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    fn hits(&self) -> u8 {
        (self.slot.state.load(Ordering::Relaxed) & HITS_MASK) as u8
    }

    #[inline]
    fn set_hits(&self, hits: u8) {
        self.slot
            .state
            .store(self.slot.state.load(Ordering::Relaxed) & !HITS_MASK | u64::from(hits), Ordering::Relaxed);
    }

    #[inline]
    fn hash(&self) -> u32 {
        self.note.home.load(Ordering::Relaxed)
    }

    #[inline]
    fn weight(&self) -> u32 {
        self.note.weight.load(Ordering::Relaxed)
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "one byte of the label")]
    fn cost(&self) -> u8 {
        (self.note.label.load(Ordering::Relaxed) >> 8) as u8
    }

    #[inline]
    fn position(&self) -> u32 {
        self.note.position.load(Ordering::Relaxed)
    }

    #[inline]
    fn set_position(&self, position: u32) {
        self.note.position.store(position, Ordering::Relaxed);
    }
}

impl<K, V> Entries for Slots<K, V> {
    type Entry<'a>
        = Held<'a, K, V>
    where
        Self: 'a;

    #[inline]
    fn at(&self, slot: u32) -> Held<'_, K, V> {
        let Some(near) = self.near(slot) else { return self.beyond(slot - self.near) };
        // SAFETY: this shard's part of the region holds as many notes as slots.
        let note = unsafe { self.notes.add(slot as usize) };
        // SAFETY: the region lives as long as `self`, and zeroed memory is a note.
        Held { slot: near, note: unsafe { note.as_ref() } }
    }

    #[inline]
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
    let count = (FIRST_PAGE as usize) << page;
    let slots = Layout::array::<Slot<K, V>>(count);
    let whole = slots.and_then(|slots| Ok(slots.extend(Layout::array::<Note>(count)?)?.0));
    // A layout beyond what an address can be is more than any machine gives.
    whole.unwrap_or_else(|_| handle_alloc_error(Layout::new::<Slot<K, V>>()))
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
