//! Bytes that direct I/O can take from where they are: a growable buffer that starts at a multiple of [`PAGE`].
//!
//! **Invariant:** `len` is at most the length of all pages. What lies beyond `len` may be bytes of an earlier use.

use std::io;

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// What direct I/O wants offsets, lengths and memory to be multiples of. No device of today asks for more.
pub(crate) const PAGE: usize = 4096;
/// Bytes that are copied in one go. From 2 KiB on the C library copies by `rep movsb`, which on some processors (seen on
/// AMD EPYC) takes 24 times as long where the destination lies up to 31 bytes behind the source modulo 4096.
const PIECE: usize = 1024;

/// A page of memory at an address that is a multiple of its length.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

const _: () = assert!(size_of::<Page>() == PAGE && align_of::<Page>() == PAGE);

/// A growable buffer whose first byte stands at a multiple of [`PAGE`].
#[derive(Default)]
pub(crate) struct AlignedBuffer {
    pages: Vec<Page>,
    len: usize,
}

impl AlignedBuffer {
    /// An empty buffer with room for so many bytes. The system hands out the pages as they are written.
    pub(crate) fn with_capacity(bytes: usize) -> AlignedBuffer {
        let mut buffer = AlignedBuffer::default();
        buffer.reserve(bytes);
        buffer
    }

    /// Bytes in it.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that it holds without growing.
    pub(crate) fn capacity(&self) -> usize {
        self.pages.len() * PAGE
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.pages.as_bytes()[..self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.pages.as_mut_bytes()[..self.len]
    }

    pub(crate) fn extend_from_slice(&mut self, bytes: &[u8]) {
        let room = self.stretch(bytes.len());
        for (room, piece) in room.chunks_mut(PIECE).zip(bytes.chunks(PIECE)) {
            room.copy_from_slice(piece);
        }
    }

    /// Empties it and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Room for so many more bytes.
    pub(crate) fn reserve(&mut self, more: usize) {
        let Some(missing) = (self.len + more).checked_sub(self.capacity()).filter(|missing| *missing > 0) else {
            return;
        };
        let pages = missing.div_ceil(PAGE);
        if self.pages.is_empty() {
            // Zeroed pages come from the system as they are: a fresh buffer costs nothing until it is filled.
            self.pages = Page::new_vec_zeroed(pages).unwrap_or_else(|_| vec![Page([0; PAGE]); pages]);
        } else {
            let pages = pages.max(self.pages.len() / 2);
            self.pages.resize(self.pages.len() + pages, Page([0; PAGE]));
        }
    }

    /// Makes it longer by so many bytes and gives them, with whatever they hold.
    pub(crate) fn stretch(&mut self, more: usize) -> &mut [u8] {
        self.reserve(more);
        let start = self.len;
        self.len += more;
        &mut self.pages.as_mut_bytes()[start..start + more]
    }
}

impl std::fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlignedBuffer").field("len", &self.len).field("capacity", &self.capacity()).finish()
    }
}

impl io::Write for AlignedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
