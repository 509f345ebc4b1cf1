//! SCAN: a walk in an order that growth and splits do not change.

/// A place in the walk. Zero is both the start and, as a result, the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub u64);

impl Cursor {
    /// Start of a walk, and the cursor that a finished walk returns.
    pub const START: Cursor = Cursor(0);

    /// Whether a walk that returned this cursor is complete.
    pub fn is_end(self) -> bool {
        self.0 == 0
    }
}
