//! A window: up to 32 requests of one or many connections, looked up, prefetched and run together.
//!
//! The row is looked up and the first key hashed as soon as a request is parsed. When the window is full, the index lines
//! of a group of keys are prefetched, then the group runs in order, the entries being prefetched a few slots ahead.
//! **Invariant:** spans point into inputs that are not moved until the window has run.

use crate::dispatch::{Row, Unknown};
use crate::server::Shared;
use scrubjay_keyspace::{Db, KeyHash};
use scrubjay_resp::Span;
use smallvec::SmallVec;

/// Requests of one window: they share one pass of the gate and one look at the clock.
pub(super) const WINDOW: usize = 32;

/// Slots whose index lines are fetched at once. 16 keep the memory busy; with 32 the requests wait for line fill buffers,
/// and a read of 1M keys costs 113 ns instead of 79.
const GROUP: usize = 16;
/// How many slots before it runs a slot's entry is prefetched.
const AHEAD: usize = 8;

/// One parsed request.
pub(super) struct Slot {
    /// Place of its connection.
    pub(super) connection: usize,
    spans: (usize, usize),
    /// Offset behind the request in its connection's input.
    pub(super) end: usize,
    pub(super) row: Result<&'static Row, Unknown>,
    pub(super) first_hash: KeyHash,
    db: Db,
}

/// Up to [`WINDOW`] parsed requests.
#[derive(Default)]
pub(super) struct Window {
    pub(super) slots: Vec<Slot>,
    pub(super) spans: Vec<Span>,
    /// Connections whose parsing is over: written once the window has run.
    pub(super) finishing: Vec<usize>,
    /// The slot that runs.
    pub(super) running: usize,
}

impl Window {
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= WINDOW
    }

    /// Takes in the request whose spans were appended from `first_span` on.
    #[inline]
    pub(super) fn push(
        &mut self,
        shared: &Shared,
        connection: usize,
        db: Db,
        input: &[u8],
        first_span: usize,
        end: usize,
    ) {
        let spans = self.spans.get(first_span..).unwrap_or_default();
        let head: SmallVec<[&[u8]; 2]> = spans.iter().take(2).map(|span| bytes(input, *span)).collect();
        let row = shared.dispatch.resolve(&head);
        let mut first_hash = KeyHash::NONE;
        if let Ok(row) = &row
            && row.first_key != 0
            && let Some(key) = spans.get(row.first_key)
        {
            first_hash = shared.keyspace.key(bytes(input, *key)).hash;
        }
        self.slots.push(Slot { connection, spans: (first_span, self.spans.len()), end, row, first_hash, db });
    }

    /// Prefetches for slot `running`, which is about to run, and those behind it: at the start of a group the index lines of
    /// the group and its first entries, and always the entry that runs [`AHEAD`] slots later, so that it arrives in time. A tight
    /// loop over the index lines: what one key waits for overlaps with what the next ones wait for.
    #[inline]
    pub(super) fn prefetch(&self, shared: &Shared, running: usize) {
        let place = running % GROUP;
        if place == 0 {
            let group = self.slots.iter().skip(running).take(GROUP).filter(|slot| slot.first_hash != KeyHash::NONE);
            group.for_each(|slot| shared.keyspace.prefetch_bucket(slot.db, slot.first_hash));
            (running..running + AHEAD).for_each(|at| self.prefetch_entry(shared, at));
        }
        if place + AHEAD < GROUP {
            self.prefetch_entry(shared, running + AHEAD);
        }
    }

    #[inline]
    fn prefetch_entry(&self, shared: &Shared, at: usize) {
        if let Some(slot) = self.slots.get(at).filter(|slot| slot.first_hash != KeyHash::NONE) {
            shared.keyspace.prefetch_entry(slot.db, slot.first_hash);
        }
    }

    /// The arguments of a slot.
    #[inline]
    pub(super) fn args<'i>(&self, slot: &Slot, input: &'i [u8]) -> SmallVec<[&'i [u8]; 8]> {
        let spans = self.spans.get(slot.spans.0..slot.spans.1).unwrap_or_default();
        spans.iter().map(|span| bytes(input, *span)).collect()
    }

    /// Makes room for the next window.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.spans.clear();
        self.running = 0;
    }
}

#[inline]
fn bytes(input: &[u8], span: Span) -> &[u8] {
    let start = span.start as usize;
    input.get(start..start + span.len as usize).unwrap_or_default()
}
