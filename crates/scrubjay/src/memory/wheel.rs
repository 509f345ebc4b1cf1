//! When entries expire. For now a sorted set; the timer wheel comes under the same interface.

use std::collections::{BTreeSet, HashMap};

pub(crate) struct Wheel {
    order: BTreeSet<(u64, u32)>,
    deadlines: HashMap<u32, u64>,
}

impl Wheel {
    pub(crate) fn new(_now_ms: u64) -> Wheel {
        Wheel { order: BTreeSet::new(), deadlines: HashMap::new() }
    }

    pub(crate) fn insert(&mut self, slot: u32, deadline_ms: u64) {
        self.order.insert((deadline_ms, slot));
        self.deadlines.insert(slot, deadline_ms);
    }

    pub(crate) fn remove(&mut self, slot: u32) {
        if let Some(deadline_ms) = self.deadlines.remove(&slot) {
            self.order.remove(&(deadline_ms, slot));
        }
    }

    pub(crate) fn advance(&mut self, now_ms: u64, slots_max: usize, mut f: impl FnMut(u32)) {
        for _ in 0..slots_max {
            let Some((deadline_ms, slot)) = self.order.first().copied().filter(|first| first.0 <= now_ms) else {
                return;
            };
            self.order.remove(&(deadline_ms, slot));
            self.deadlines.remove(&slot);
            f(slot);
        }
    }
}
