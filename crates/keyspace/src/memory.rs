//! Memory taken straight from the operating system: a large reservation that fills as it is touched and gives pages back.
//!
//! Owns the two mappings of a stripe, as bytes ([`Bytes`], for entries) and as atomic words ([`Words`], for the index), the
//! prefetch hint, and the count of what is taken ([`Usage`]). Knows nothing of what is stored.
//!
//! **Invariant:** a mapping is readable, writable and of one length from creation to drop; fresh and discarded pages read
//! as zeros. That is why a slice over all of it is always valid.
#![allow(unsafe_code, reason = "mapping memory, slices over it and the prefetch hint have no safe interface")]

use crate::Full;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Bytes of a page as the kernel hands them out; what [`Usage`] is counted in.
pub(crate) const PAGE: usize = 4096;
/// Buffers that must be gone before the allocator is asked for their pages: it holds its lock meanwhile, 0.6 ms a MiB.
const BUFFERS_GONE_MIN: usize = 16 << 20;
/// Bytes of a huge page: what one entry of the processor's address cache can cover.
pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// Bytes taken from the system by all stripes. Changed once per page or large value, so that the shared line stays cool.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage(Arc<Account>);

#[derive(Debug, Default)]
struct Account {
    bytes: AtomicUsize,
    /// Of `bytes`: in buffers of the process's allocator.
    buffers: AtomicUsize,
    /// The most that `buffers` was seen at since the allocator last gave pages back.
    buffers_peak: AtomicUsize,
    #[cfg(test)]
    refusals: Refusals,
}

/// Every n-th request for room is refused (0: none), so that tests see what becomes of the data then.
#[cfg(test)]
#[derive(Debug, Default)]
struct Refusals {
    every: AtomicUsize,
    asked: AtomicUsize,
}

impl Usage {
    pub(crate) fn add(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn sub(&self, bytes: usize) {
        self.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// As [`Usage::add`], for a buffer of the allocator.
    pub(crate) fn add_buffer(&self, bytes: usize) {
        self.add(bytes);
        self.0.buffers.fetch_add(bytes, Ordering::Relaxed);
    }

    /// As [`Usage::sub`], for a buffer of the allocator.
    pub(crate) fn sub_buffer(&self, bytes: usize) {
        self.sub(bytes);
        self.0.buffers.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Whether a quarter of all buffers went, whose pages the allocator keeps. Says so once.
    pub(crate) fn is_worth_giving_back(&self) -> bool {
        let buffers = self.0.buffers.load(Ordering::Relaxed);
        let peak = self.0.buffers_peak.fetch_max(buffers, Ordering::Relaxed).max(buffers);
        let is_worth = peak - buffers >= BUFFERS_GONE_MIN.max(peak / 4);
        if is_worth {
            self.0.buffers_peak.store(buffers, Ordering::Relaxed);
        }
        is_worth
    }

    /// Has the allocator give back the pages of freed buffers.
    pub(crate) fn give_back(&self) {
        #[cfg(target_env = "gnu")]
        // SAFETY: takes no pointer, may be called by any thread at any time.
        unsafe {
            libc::malloc_trim(0);
        }
    }

    /// Asked by whoever is about to hand out room; refuses nothing outside of tests.
    #[cfg(not(test))]
    #[inline]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "the seam that tests fill")]
    pub(crate) fn ask(&self) -> Result<(), Full> {
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn ask(&self) -> Result<(), Full> {
        let every = self.0.refusals.every.load(Ordering::Relaxed);
        if every == 0 {
            return Ok(());
        }
        let asked = self.0.refusals.asked.fetch_add(1, Ordering::Relaxed) + 1;
        if asked.is_multiple_of(every) { Err(Full) } else { Ok(()) }
    }

    /// From here on every n-th request for room is refused; 0 ends that.
    #[cfg(test)]
    pub(crate) fn refuse_every(&self, every: usize) {
        self.0.refusals.asked.store(0, Ordering::Relaxed);
        self.0.refusals.every.store(every, Ordering::Relaxed);
    }
}

struct Mapping {
    /// Aligned to a huge page.
    base: NonNull<u8>,
    len: usize,
    /// What the kernel gave, of which `base` and `len` are the aligned part.
    whole: NonNull<u8>,
    whole_len: usize,
}

// SAFETY: the mapping is plain memory owned by this value alone; no thread-bound state hangs on it.
unsafe impl Send for Mapping {}
// SAFETY: through a shared reference only the address and length can be read; access goes through `Bytes` and `Words`.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Reserves `len` bytes of address space, or as much as the system gives, halving down to `len_min`.
    fn reserve(len: usize, len_min: usize) -> std::io::Result<Mapping> {
        let mut len = len;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        loop {
            let whole_len = len + HUGE_PAGE;
            // SAFETY: a new anonymous mapping at an address of the kernel's choice overlaps nothing.
            let whole = unsafe { libc::mmap(std::ptr::null_mut(), whole_len, protection, flags, -1, 0) };
            let error = std::io::Error::last_os_error();
            match NonNull::new(whole.cast::<u8>()).filter(|whole| whole.as_ptr().cast() != libc::MAP_FAILED) {
                Some(whole) => {
                    let skip = whole.align_offset(HUGE_PAGE);
                    // SAFETY: `skip` is less than a huge page, by which the mapping is longer than `len`.
                    let base = unsafe { whole.add(skip) };
                    let mapping = Mapping { base, len, whole, whole_len };
                    mapping.advise(0..len, libc::MADV_NOHUGEPAGE);
                    return Ok(mapping);
                }
                None if len / 2 >= len_min => len /= 2,
                None => return Err(error),
            }
        }
    }

    /// Gathers the pages of `range`, all touched already, into huge ones. False when the system does not do that. Costs a
    /// copy of the range.
    fn gather(&self, range: Range<usize>) -> bool {
        let is_gathered =
            self.advise(range.clone(), libc::MADV_HUGEPAGE) && self.advise(range.clone(), libc::MADV_COLLAPSE);
        // What is huge stays so. What is given back must come again as small pages: left as it is, the first touch after
        // that, or khugepaged at any time, would fill the whole stretch and nobody would have counted it.
        self.advise(range, libc::MADV_NOHUGEPAGE);
        is_gathered
    }

    fn advise(&self, range: Range<usize>, advice: libc::c_int) -> bool {
        debug_assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: `range` lies inside the mapping, whose length bounds it.
        let start = unsafe { self.base.add(range.start) };
        // SAFETY: the pages belong to this private anonymous mapping: advice changes where they live or drops them to zeros,
        // which every reader of the mapping must expect (see the module's invariant).
        unsafe { libc::madvise(start.as_ptr().cast(), range.len(), advice) == 0 }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `reserve` with this base and length, and nothing borrows it any more.
        let _unmapped = unsafe { libc::munmap(self.whole.as_ptr().cast(), self.whole_len) };
    }
}

/// A mapping as bytes.
pub(crate) struct Bytes(Mapping);

impl Bytes {
    pub(crate) fn reserve(len: usize, len_min: usize) -> std::io::Result<Bytes> {
        Mapping::reserve(len, len_min).map(Bytes)
    }

    /// Gives the pages of `range` back; they read as zeros from here on. `range` must be made of whole pages.
    pub(crate) fn discard(&mut self, range: Range<usize>) {
        assert!(range.end <= self.len() && range.start.is_multiple_of(PAGE) && range.end.is_multiple_of(PAGE));
        self.0.advise(range, libc::MADV_DONTNEED);
    }

    /// Makes huge pages of `range`, whose bytes were all touched. False when the system does not do that.
    pub(crate) fn gather(&mut self, range: Range<usize>) -> bool {
        self.0.gather(range)
    }

    /// Where the mapping lies, for [`prefetch`] by those who may not touch it.
    pub(crate) fn address(&self) -> usize {
        self.0.base.as_ptr() as usize
    }
}

impl Deref for Bytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is readable for its whole length while `self` lives, zeroed by the kernel, and mutated only
        // through `&mut self`.
        unsafe { std::slice::from_raw_parts(self.0.base.as_ptr(), self.0.len) }
    }
}

impl DerefMut for Bytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.0.base.as_ptr(), self.0.len) }
    }
}

/// A mapping as atomic words: whoever holds the stripe's latch writes, anyone may read a value that is perhaps old.
pub(crate) struct Words(Mapping);

impl Words {
    pub(crate) fn reserve(len: usize, len_min: usize) -> std::io::Result<Words> {
        Mapping::reserve(len, len_min).map(Words)
    }

    /// Makes huge pages of a range of words that were all touched. False when the system does not do that.
    pub(crate) fn gather(&self, range: Range<usize>) -> bool {
        self.0.gather(range.start * 8..range.end * 8)
    }

    /// Gives the pages of a range of words back; they read as zeros from here on.
    pub(crate) fn discard(&self, range: Range<usize>) {
        let bytes = range.start * 8..range.end * 8;
        assert!(range.end <= self.len() && bytes.start.is_multiple_of(PAGE) && bytes.end.is_multiple_of(PAGE));
        self.0.advise(bytes, libc::MADV_DONTNEED);
    }
}

impl Deref for Words {
    type Target = [AtomicU64];

    #[inline]
    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: page-aligned, readable and writable for `len` bytes while `self` lives; every access to it is atomic.
        unsafe { std::slice::from_raw_parts(self.0.base.as_ptr().cast(), self.0.len / 8) }
    }
}

/// Asks the processor to fetch the cache line at `address`. Any address will do: a hint has no effect that a program can see.
#[inline]
pub(crate) fn prefetch(address: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction neither faults nor writes, whatever the address; SSE is part of every x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address as *const i8);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
