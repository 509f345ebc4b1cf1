//! Where a record stands in the log.

#[cfg(test)]
mod tests;

/// Bytes that records are multiples of.
pub(crate) const UNIT: u64 = 16;
/// Bits of an offset in a packed position: no segment is longer than 256 MiB.
const OFFSET_BITS: u32 = 28;

/// A byte of the log. What stands later is newer: positions are the order of all writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    /// The number of the segment; segments are numbered as they are made, and no number comes twice.
    pub(crate) seq: u64,
    /// The byte in the segment's file.
    pub(crate) offset: u64,
}

impl Position {
    /// In one number, in the same order. The very end of the longest segment counts as the beginning of the next.
    pub(crate) fn packed(self) -> u64 {
        (self.seq << OFFSET_BITS) + self.offset
    }

    pub(crate) fn unpacked(packed: u64) -> Position {
        Position { seq: packed >> OFFSET_BITS, offset: packed & ((1 << OFFSET_BITS) - 1) }
    }

    /// As the index keeps it.
    pub(crate) fn place(self) -> Place {
        let offset_units = u32::try_from(self.offset / UNIT).unwrap_or(u32::MAX);
        Place { seq16: u16::try_from(self.seq & 0xffff).unwrap_or(0), offset_units }
    }
}

/// A position as the index keeps it, in 40 bits: with the low 16 bits of the segment's number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) seq16: u16,
    /// In units, below 2^24.
    pub(crate) offset_units: u32,
}

impl Place {
    /// The position that is nearest to `head_seq`, which may be read before the place or after it: no log has half of 2^16
    /// segments, and none grows by as many meanwhile.
    pub(crate) fn position(self, head_seq: u64) -> Position {
        let behind = (head_seq & 0xffff).wrapping_sub(u64::from(self.seq16)) & 0xffff;
        let seq = if behind < 1 << 15 {
            head_seq.saturating_sub(behind)
        } else {
            head_seq.saturating_add((1 << 16) - behind)
        };
        Position { seq, offset: u64::from(self.offset_units) * UNIT }
    }
}
