//! An entry and the 24 bytes that it takes.
//!
//! ```text
//! word 0   hash (64)
//! word 1   segment's number, low part (16) | offset in units (24) | length in units (24)
//! word 2   expiry in Unix ms, 0 never (42) | heat, 7 pinned (3)   | namespace (19)
//! ```
//!
//! A slot whose second word is zero is empty: no record begins at the very start of a segment, where its header stands, and
//! none has no length.

use crate::place::Place;

/// How warm an entry can become.
pub(crate) const HEAT_MAX: u8 = 6;
/// The heat of what is never dropped for its place.
pub(crate) const PINNED: u8 = 7;

/// The last instant that an entry can expire at, in the year 2109: what should live longer ends there.
const EXPIRES_MAX: u64 = (1 << 42) - 1;
const OFFSET_MAX: u32 = (1 << 24) - 1;
const LEN_MAX: u32 = (1 << 24) - 1;
const NAMESPACE_MAX: u32 = (1 << 19) - 1;

/// What is known of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Where its record stands.
    pub(crate) place: Place,
    /// The whole record, in units; never 0.
    pub(crate) len_units: u32,
    /// Unix ms, 0 for never.
    pub(crate) expires_ms: u64,
    /// 0 to [`HEAT_MAX`], or [`PINNED`].
    pub(crate) heat: u8,
    pub(crate) namespace: u32,
}

/// An entry with its hash as the table keeps it. An array, so that a table of them is zeroed memory from the system.
pub(super) type Slot = [u64; 3];

pub(super) const EMPTY: Slot = [0; 3];

const HEAT_SHIFT: u32 = 19;
const HEAT_MASK: u64 = 7 << HEAT_SHIFT;

const _: () = assert!(size_of::<Slot>() == 24);

pub(super) fn is_empty(slot: &Slot) -> bool {
    slot[1] == 0
}

/// Packs an entry; what exceeds its field is cut to the field's greatest.
pub(super) fn pack(hash: u64, entry: &Entry) -> Slot {
    let Entry { place, len_units, expires_ms, heat, namespace } = *entry;
    debug_assert!(place.offset_units <= OFFSET_MAX && len_units <= LEN_MAX && namespace <= NAMESPACE_MAX);
    debug_assert!(heat <= PINNED && len_units > 0);
    let offset = u64::from(place.offset_units.min(OFFSET_MAX));
    let len = u64::from(len_units.clamp(1, LEN_MAX));
    let heat = u64::from(heat.min(PINNED));
    let namespace = u64::from(namespace.min(NAMESPACE_MAX));
    let standing = u64::from(place.seq16) << 48 | offset << 24 | len;
    [hash, standing, expires_ms.min(EXPIRES_MAX) << 22 | heat << HEAT_SHIFT | namespace]
}

pub(super) fn unpack(slot: &Slot) -> Entry {
    let [_, standing, facts] = *slot;
    let place = Place { seq16: (standing >> 48) as u16, offset_units: (standing >> 24 & 0xFF_FFFF) as u32 };
    Entry {
        place,
        len_units: (standing & 0xFF_FFFF) as u32,
        expires_ms: facts >> 22,
        heat: heat(slot),
        namespace: (facts & 0x7_FFFF) as u32,
    }
}

pub(super) fn heat(slot: &Slot) -> u8 {
    (slot[2] >> HEAT_SHIFT & 7) as u8
}

pub(super) fn set_heat(slot: &mut Slot, heat: u8) {
    slot[2] = slot[2] & !HEAT_MASK | u64::from(heat.min(PINNED)) << HEAT_SHIFT;
}
