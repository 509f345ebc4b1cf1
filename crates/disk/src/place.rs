//! Where a record stands in the log.

/// Bytes that records are multiples of.
pub(crate) const UNIT: u64 = 16;

/// A byte of the log. What stands later is newer: positions are the order of all writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    /// The number of the segment; segments are numbered as they are made, and no number comes twice.
    pub(crate) seq: u64,
    /// The byte in the segment's file.
    pub(crate) offset: u64,
}

/// A position as the index keeps it, in 40 bits: with the low 16 bits of the segment's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) seq16: u16,
    /// In units, below 2^24.
    pub(crate) offset_units: u32,
}
