//! A stretch of addresses for the slots of a tier, reserved at once and given memory by the system as it is touched.
//!
//! With huge pages where they pay: looking up one of many entries then waits for memory, not for the page tables as well.
//! A huge page takes 2 MiB when its first byte is touched, so a region asks for them only if that much is little beside it.
//! Where the system has no such call, or refuses, there is no region, and its users find memory elsewhere.

#![allow(unsafe_code, reason = "memory from the system; listed in xtask/src/tidy/unsafety.rs")]

use std::ptr::NonNull;

const HUGE_PAGE: usize = 2 << 20;
const LINE: usize = 64;

/// A stretch of zeroed memory.
#[derive(Debug)]
pub(super) struct Region {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: plain memory, owned by this value alone; no thread-bound state hangs on it.
unsafe impl Send for Region {}
// SAFETY: through a shared reference only addresses can be had.
unsafe impl Sync for Region {}

impl Region {
    /// Reserves `len` bytes, with huge pages if there would be `huge_min` of them.
    pub(super) fn reserve(len: usize, huge_min: usize) -> Option<Region> {
        system::map(len.max(LINE), len / HUGE_PAGE >= huge_min).map(|(base, len)| Region { base, len })
    }

    /// The address `offset` bytes behind the beginning, which is aligned to a cache line.
    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset <= self.len, "{offset} is beyond the region's {} bytes", self.len);
        // SAFETY: inside of the mapping, or at its end.
        unsafe { self.base.add(offset) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        system::unmap(self.base, self.len);
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    use super::{HUGE_PAGE, NonNull};
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
    use std::ptr::null_mut;

    /// A new mapping of `len` bytes or a few more, and how many.
    pub(super) fn map(len: usize, is_huge: bool) -> Option<(NonNull<u8>, usize)> {
        let len = len.checked_next_multiple_of(if is_huge { HUGE_PAGE } else { 4096 })?;
        // A huge page more, of which the ends are given back, so that what remains is aligned.
        let whole_len = if is_huge { len.checked_add(HUGE_PAGE)? } else { len };
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice overlaps nothing.
        let whole = unsafe { mmap_anonymous(null_mut(), whole_len, ProtFlags::READ | ProtFlags::WRITE, flags) };
        let whole = NonNull::new(whole.ok()?.cast::<u8>())?;
        if !is_huge {
            return Some((whole, len));
        }
        let skip = whole.align_offset(HUGE_PAGE);
        // SAFETY: `skip` is less than a huge page, by which the mapping is longer than `len`.
        let base = unsafe { whole.add(skip) };
        if skip > 0 {
            unmap(whole, skip);
        }
        if skip < HUGE_PAGE {
            // SAFETY: still inside of the mapping.
            unmap(unsafe { base.add(len) }, HUGE_PAGE - skip);
        }
        // SAFETY: the mapping is ours, and the advice changes nothing but the size of its pages. Refused, it does without.
        let _ = unsafe { madvise(base.as_ptr().cast(), len, Advice::LinuxHugepage) };
        Some((base, len))
    }

    /// Gives a mapping, or an end of one, back.
    pub(super) fn unmap(base: NonNull<u8>, len: usize) {
        // SAFETY: these pages came from `map`, and their owner uses them no more.
        let _ = unsafe { munmap(base.as_ptr().cast(), len) };
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    use std::ptr::NonNull;

    pub(super) fn map(_len: usize, _is_huge: bool) -> Option<(NonNull<u8>, usize)> {
        None
    }

    pub(super) fn unmap(_base: NonNull<u8>, _len: usize) {}
}
