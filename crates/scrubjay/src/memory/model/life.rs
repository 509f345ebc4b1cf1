//! Tells loom when something may be looked at: after it was made, before it is dropped.

#![allow(unsafe_code, reason = "loom's cell is of one thread; listed in xtask/src/tidy/unsafety.rs")]

/// A cell that loom watches, and nothing in it. Panics when it is read by who need not see that it was made, and when it
/// ends while somebody may read.
pub(super) struct Life(loom::cell::UnsafeCell<()>);

// SAFETY: there is nothing in the cell; what loom notes of it, it notes for one thread at a time.
unsafe impl Sync for Life {}

impl Life {
    pub(super) fn begin() -> Life {
        let life = Life(loom::cell::UnsafeCell::new(()));
        life.0.with_mut(|_| ());
        life
    }

    pub(super) fn look(&self) {
        self.0.with(|_| ());
    }

    pub(super) fn end(&self) {
        self.0.with_mut(|_| ());
    }
}
