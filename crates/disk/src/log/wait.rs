//! Waiting for the writer: for room in the queue, and until something is written or durable.
//!
//! Nothing here waits for ever: it ends when the device fails, when it does not answer, or when the store closes.

use super::Log;
use super::head::Head;
use crate::clock;
use crate::place::Position;
use parking_lot::MutexGuard;
use std::time::Duration;

/// Why waiting ended without what was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotDone {
    /// The device fails, or does not answer.
    Failing,
    Closed,
}

/// How often who waits looks whether the device still answers.
const LOOK: Duration = Duration::from_millis(100);

impl Log {
    /// Waits until the queue has room for `len` bytes.
    ///
    /// # Errors
    /// There will be none soon.
    pub(crate) fn wait_for_room(&self, len: u64, patience: Duration) -> Result<(), NotDone> {
        let mut head = self.head.lock();
        // What a bandwidth cap holds back is no failure: only silence counts, and that ends with every block.
        let mut silent_since = clock::monotonic();
        let mut queued = head.queued_bytes;
        loop {
            if head.is_closing {
                return Err(NotDone::Closed);
            }
            if head.has_room(self.settings.queue_bytes, len) {
                return Ok(());
            }
            if head.queue.is_empty() {
                // What waits is a block that is not full: it alone is in the way.
                head.seal(&self.settings);
                self.work.notify_one();
            }
            if self.is_hopeless(patience) || clock::monotonic().saturating_sub(silent_since) >= patience {
                return Err(NotDone::Failing);
            }
            self.progress.wait_for(&mut head, LOOK);
            if head.queued_bytes < queued {
                silent_since = clock::monotonic();
            }
            queued = head.queued_bytes;
        }
    }

    /// Waits until everything appended before is with the operating system, and durable if `is_synced`.
    ///
    /// # Errors
    /// The device fails, or is silent for longer than `patience`; or the store closes.
    pub(crate) fn flush(&self, is_synced: bool, patience: Duration) -> Result<(), NotDone> {
        self.flush_unless(is_synced, patience, || false)
    }

    /// The same, but it ends as failing when `is_vain`: when the writer waits for who waits for it. Asked whenever the
    /// writer has done something, or waits for space.
    ///
    /// # Errors
    /// As [`flush`](Log::flush).
    pub(crate) fn flush_unless(
        &self,
        is_synced: bool,
        patience: Duration,
        is_vain: impl Fn() -> bool,
    ) -> Result<(), NotDone> {
        // Making much durable takes a device longer than taking a block.
        let patience = if is_synced { 6 * patience } else { patience };
        let mut head = self.moved_head();
        head.seal(&self.settings);
        let (target, given_up) = (head.next, head.given_up);
        if is_synced {
            head.sync_wanted = head.sync_wanted.max(target);
        }
        self.work.notify_one();
        let mut silent_since = clock::monotonic();
        let mut seen = Position::default();
        loop {
            let written = self.written();
            // What was given up stands elsewhere now, or may not be durable: nothing that is written since says so.
            if head.given_up != given_up {
                return Err(NotDone::Failing);
            }
            if !head.owes_before(target) && (!is_synced || head.synced >= target) {
                return Ok(());
            }
            if is_vain() {
                return Err(NotDone::Failing);
            }
            if head.is_over {
                return Err(NotDone::Closed);
            }
            if written != seen {
                (seen, silent_since) = (written, clock::monotonic());
            }
            if self.is_hopeless(patience) || clock::monotonic().saturating_sub(silent_since) >= patience {
                return Err(NotDone::Failing);
            }
            self.progress.wait_for(&mut head, LOOK);
        }
    }

    /// Waits until what was given up stands in another segment.
    pub(crate) fn wait_until_moved(&self) {
        drop(self.moved_head());
    }

    fn moved_head(&self) -> MutexGuard<'_, Head> {
        let mut head = self.head.lock();
        while head.is_moving && !head.is_over {
            self.progress.wait_for(&mut head, LOOK);
        }
        head
    }

    fn is_hopeless(&self, patience: Duration) -> bool {
        self.troubles.is_failing() || self.troubles.waiting_for() >= patience
    }
}
