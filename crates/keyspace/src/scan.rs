//! SCAN: a walk in an order that growth, shrinking and splits do not change.
//!
//! **Idea.** Keys are visited in the order of their hash: stripe, then prefix (the directory's order), then tag (the order of
//! the buckets in a segment). None of the three changes while a key lives, so a cursor can name a place in that order instead
//! of a place in memory: everything before it was visited, everything behind it was not.
//!
//! **Awkward cases.** A segment that grew or shrank has the same keys in the same order in other buckets: the cursor's tag
//! finds the bucket to go on with, which holds no key with a lower tag that was not visited. A segment that split or was
//! joined since covers another part of the prefix than the one the tag was noted for: it is visited from its start, so some
//! keys come twice, which SCAN allows, and none is missed. A key that lies away from its home bucket is visited with its
//! home. Keys that come or go during the walk may or may not be seen.
//!
//! **Limits.** 4,096 stripes, 2^24 segments in each; `count` is met to within one bucket. Compare Redis' `dictScan`
//! (<https://redis.io/commands/scan>), which orders by reversed bucket bits for the same end.
//!
//! ```text
//!  bit 56       45 44        21 20     16 15      0
//!     │  stripe   │   prefix   │  depth  │   tag   │
//! ```
#![allow(clippy::cast_possible_truncation, reason = "a cursor is cut into fields of known widths")]

use crate::stripe::StripeCursor;

const DEPTH_SHIFT: u32 = 16;
const PREFIX_SHIFT: u32 = 21;
const STRIPE_SHIFT: u32 = 45;

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

    pub(crate) fn pack(stripe: usize, at: StripeCursor) -> Cursor {
        Cursor(
            (stripe as u64) << STRIPE_SHIFT
                | u64::from(at.prefix) << PREFIX_SHIFT
                | u64::from(at.depth) << DEPTH_SHIFT
                | u64::from(at.tag),
        )
    }

    /// The stripe and the place in it. Any number is a cursor: one that nobody was given starts somewhere.
    pub(crate) fn unpack(self) -> (usize, StripeCursor) {
        let depth = ((self.0 >> DEPTH_SHIFT) as u32 & 0x1F).min(crate::index::DEPTH_MAX);
        let prefix = (self.0 >> PREFIX_SHIFT) as u32 & ((1 << depth) - 1);
        ((self.0 >> STRIPE_SHIFT) as usize, StripeCursor { prefix, depth, tag: self.0 as u16 })
    }
}
