//! The bytes of one connection that were read and not executed.
//!
//! ```text
//! 0        start        end        len
//! | executed | to execute | free     |
//! ```
//! **Invariant:** all of it is initialised, and bytes move only in [`Input::make_room`], never while spans point into it.

use super::buffers::{Buffers, READ_LEN};

/// The start of a request that is no longer than this waits for the rest in a buffer of its own length: thousands of clients
/// in the middle of a request cost what they sent.
const SMALL_LEN_MAX: usize = 2 << 10;

/// Input of one connection; without a buffer while there is nothing to keep.
#[derive(Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Input {
    /// Bytes to execute.
    pub(super) fn len(&self) -> usize {
        self.end - self.start
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Offset of the first byte to execute.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Everything up to the last byte that was read, executed bytes included: what spans are offsets of.
    #[inline]
    pub(super) fn filled(&self) -> &[u8] {
        self.bytes.get(..self.end).unwrap_or_default()
    }

    /// The same to be parsed, which resolves quotes in place.
    #[inline]
    pub(super) fn filled_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.end).unwrap_or_default()
    }

    /// Everything before `start` was executed.
    pub(super) fn consume_to(&mut self, start: usize) {
        self.start = start.clamp(self.start, self.end);
    }

    /// Free room for at least a part of the `missing` bytes: a large argument grows the buffer by doubling, so that a client
    /// has to send what it wants to have allocated.
    pub(super) fn make_room(&mut self, missing: usize, buffers: &mut Buffers) -> &mut [u8] {
        if self.bytes.len() < READ_LEN {
            self.move_to(buffers.take_input());
        }
        let wanted = self.len().saturating_add(missing);
        if self.start > 0 && (self.bytes.len() - self.end < missing.max(READ_LEN / 4)) {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() - self.end < missing.min(READ_LEN / 4) || self.bytes.len() == self.end {
            let len = wanted.clamp(self.bytes.len() + READ_LEN, self.bytes.len() * 2);
            self.bytes.resize(len, 0);
        }
        // A long request is read in larger pieces, but never so that one client holds up the others for long.
        let end = self.bytes.len().min(self.end + READ_LEN.max(self.len() / 4).min(1 << 20));
        self.bytes.get_mut(self.end..end).unwrap_or_default()
    }

    /// `read` bytes were written to the room.
    pub(super) fn filled_more(&mut self, read: usize) {
        self.end = (self.end + read).min(self.bytes.len());
    }

    /// Gives the buffer back when there is nothing to keep, and a large one as soon as little is to keep.
    pub(super) fn release(&mut self, buffers: &mut Buffers) {
        if self.bytes.is_empty() {
            return;
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            buffers.give_input(std::mem::take(&mut self.bytes));
        } else if self.bytes.len() >= READ_LEN && self.len() <= SMALL_LEN_MAX {
            let large = self.move_to(vec![0; self.len()]);
            buffers.give_input(large);
        } else if self.bytes.len() > READ_LEN && self.start > 0 && self.len() <= READ_LEN / 2 {
            self.move_to(buffers.take_input());
        }
    }

    /// Moves what is to be executed into `bytes`, which has room for it. Returns the buffer that it was in.
    fn move_to(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        let old = std::mem::replace(&mut self.bytes, bytes);
        let kept = self.len();
        if let (Some(to), Some(from)) = (self.bytes.get_mut(..kept), old.get(self.start..self.end)) {
            to.copy_from_slice(from);
        }
        (self.start, self.end) = (0, kept);
        old
    }
}
