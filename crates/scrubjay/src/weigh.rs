//! What an entry weighs when nobody says: an estimate of the bytes that a value holds on the heap, found by walking it with
//! serde and counting instead of writing. Nothing is allocated; a small struct takes about 0.1 us, a long vector of numbers next to nothing.
//!
//! The walk adds up what the standard containers allocate: a string its bytes, a sequence its elements, a map a hash table
//! that is as full as such tables are; each allocation 16 bytes more, which is what malloc's header and rounding come
//! to, and an eighth for the gaps that a full cache leaves in malloc's heap (glibc: 10 to 13 % where sizes from 1 byte to 16 KiB come
//! and go, by `tests/soak.rs`; jemalloc's size classes cost no less). What lies in the value itself is not counted, since
//! the tier's entry holds it.
//!
//! Serde shows data, not memory, so it is an estimate. It errs where memory hides:
//! - spare capacity is not seen: a `Vec` or `String` that grew by pushing is up to twice as large as estimated;
//! - sets show themselves as sequences, without the empty places of their tables: 1.2 to 2.6 times as large;
//! - a `Box` or `Arc` around the whole value is noticed, since what was walked is larger than the value; further inside, a
//!   boxed struct counts with its strings and sequences only, not with its own fields;
//! - what several values share through an `Arc` counts for each of them; so does borrowed or static text;
//! - text held inline by small-string types counts as if it were on the heap;
//! - skipped fields are not seen, and what a field's own `serialize_with` writes counts instead of the field.
//!
//! For `String`, `Vec`, `HashMap`, nested structs and a `Box` or `Arc` around them the tests hold it to between half and
//! twice what an allocator counts. Where that is not enough, a weigher of one's own says better.

#[cfg(test)]
mod tests;
mod walk;

use serde::Serialize;
use std::cell::Cell;
use walk::Walk;

/// What an allocation costs beyond the bytes that were asked for.
const ALLOCATION_OVERHEAD: usize = 16;
/// The share of an allocation that lies idle beside it.
const GAPS_SHARE: usize = 8;
/// What an `Arc` holds in front of its value.
const COUNTS_LEN: usize = 16;

/// What an allocation of `len` bytes costs; none costs nothing.
pub(crate) fn allocation_bytes(len: usize) -> usize {
    if len == 0 { 0 } else { len.saturating_add(len / GAPS_SHARE + ALLOCATION_OVERHEAD) }
}

/// About how many bytes `value` holds on the heap. A value that refuses to be serialised counts as far as it was walked.
pub(crate) fn heap_bytes<V: Serialize>(value: &V) -> usize {
    let heap = Cell::new(0);
    if let Ok(shape) = value.serialize(Walk::new(&heap)) {
        // More data than fits into the value: so the value is a pointer to it, or holds one.
        if shape.size_min > size_of::<V>() {
            let behind = shape.size.saturating_sub(size_of::<V>()) + COUNTS_LEN;
            return heap.get().saturating_add(allocation_bytes(behind));
        }
        // A pointer to text or a sequence without room for a capacity: boxed or, more often, shared.
        if shape.size > size_of::<V>() && heap.get() > 0 {
            return heap.get().saturating_add(COUNTS_LEN);
        }
    }
    heap.get()
}

/// Whether `value` can be serialised, as far as its type and itself have a say in it.
pub(crate) fn is_serialisable<V: Serialize>(value: &V) -> bool {
    value.serialize(Walk::new(&Cell::new(0))).is_ok()
}

/// The weight of an entry: what the tier takes for it, and what key and value hold outside of it.
pub(crate) fn entry_weight(entry_bytes: usize, key_heap_bytes: usize, value_heap_bytes: usize) -> u32 {
    let bytes = entry_bytes.saturating_add(key_heap_bytes).saturating_add(value_heap_bytes);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
