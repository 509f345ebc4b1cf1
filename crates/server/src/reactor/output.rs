//! The replies of one connection that were not sent.
//!
//! Above the mark a connection is neither read nor executed, above the limits of `client-output-buffer-limit` it is closed;
//! so a client that asks and never reads costs the mark and one reply.

use super::buffers::Buffers;
use super::poll::{Moved, Socket};
use crate::config::OutputLimit;

/// Unsent bytes above which a connection is not served any more when no soft limit is set. A client that sends a long
/// pipeline before it reads stands still for ever once its replies pass this and the sockets' buffers, so it is well above
/// what honest pipelines ask for. (The buffer, which doubles, may take twice that.)
pub(super) const MARK: usize = 16 << 20;
/// Capacity that a buffer may keep once most of it was sent.
const KEPT: usize = 64 << 10;

/// Bytes that are sent at once, to a client that takes them as fast as they come.
const SEND_MAX: usize = 1 << 20;

/// Output of one connection; without a buffer while everything is sent.
#[derive(Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    sent: usize,
    /// Unix milliseconds since when the soft limit is exceeded.
    soft_since_ms: Option<u64>,
}

/// What sending came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// The rest waits until the socket is writable.
    Part,
    /// The socket would take more: the rest waits for the next turn, so that others have theirs.
    Enough,
    /// The connection is gone.
    Ended,
}

impl Output {
    /// Bytes to send.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The buffer to append replies to.
    #[inline]
    pub(super) fn bytes(&mut self, buffers: &mut Buffers) -> &mut Vec<u8> {
        if self.bytes.capacity() == 0 {
            self.bytes = buffers.take_output();
        }
        &mut self.bytes
    }

    /// Sends what it can, up to [`SEND_MAX`]; the bytes that left are added to `total`.
    pub(super) fn send(&mut self, socket: &mut Socket, total: &mut u64) -> Sent {
        let mut left = SEND_MAX;
        while let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            if left == 0 {
                self.compact();
                return Sent::Enough;
            }
            match socket.write(rest.get(..left).unwrap_or(rest)) {
                Moved::Bytes(moved) => {
                    self.sent += moved;
                    left = left.saturating_sub(moved);
                    *total += moved as u64;
                }
                Moved::NotReady => {
                    self.compact();
                    return Sent::Part;
                }
                Moved::Ended => return Sent::Ended,
            }
        }
        self.bytes.clear();
        self.sent = 0;
        Sent::All
    }

    /// Moves the unsent rest to the front once most of the buffer was sent.
    fn compact(&mut self) {
        if self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
            if self.bytes.capacity() > 2 * self.bytes.len().max(KEPT) {
                self.bytes.shrink_to(self.bytes.len());
            }
        }
    }

    /// Gives the buffer back when everything is sent.
    pub(super) fn release(&mut self, buffers: &mut Buffers) {
        if self.bytes.is_empty() {
            buffers.give_output(std::mem::take(&mut self.bytes));
        }
    }

    /// Drops everything.
    pub(super) fn discard(&mut self) {
        *self = Output::default();
    }

    /// Whether the connection is to be closed for its unsent output. `limit` is `client-output-buffer-limit normal`.
    pub(super) fn breaks(&mut self, limit: OutputLimit, now_ms: u64) -> bool {
        let len = self.len() as u64;
        if limit.hard_bytes != 0 && len >= limit.hard_bytes {
            return true;
        }
        if limit.soft_bytes == 0 || len < limit.soft_bytes {
            self.soft_since_ms = None;
            return false;
        }
        let since_ms = *self.soft_since_ms.get_or_insert(now_ms);
        now_ms.saturating_sub(since_ms) > limit.soft_seconds.saturating_mul(1000)
    }
}

/// Unsent bytes above which the executor looks twice: the connection is not served any more, or closed.
pub(super) fn mark(limit: OutputLimit) -> usize {
    let soft = usize::try_from(limit.soft_bytes).ok().filter(|soft| *soft != 0).unwrap_or(MARK);
    let hard = usize::try_from(limit.hard_bytes).ok().filter(|hard| *hard != 0).unwrap_or(usize::MAX);
    soft.min(hard - 1)
}
