//! What the model checker must have done before threads begin.

use super::{Block, FIRST, READERS_FENCE};
use crate::memory::sync::Ordering;

/// Makes what lies in statics, in every execution anew, before any thread could see it.
pub(in crate::memory) fn warm_up(readers_fence: bool) {
    READERS_FENCE.store(readers_fence, Ordering::Relaxed);
    for record in &FIRST.get_or_init(Block::default).records {
        record.count.load(Ordering::Relaxed);
        record.is_taken.load(Ordering::Relaxed);
    }
}
