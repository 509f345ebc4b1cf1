//! The compressed tier: whole encoded entries as bytes in memory, several times more of them per byte than as objects.
//!
//! It owns how entries are packed and found again, and what it counts. It keeps them in a [`Tier`](crate::memory::Tier) of its own, so that
//! eviction, expiry and the bound in bytes are the memory tier's; an entry is one allocation, in which its key is found.
//! It does not know values: whoever calls writes a payload and reads one. It locks no stripe and checks no stamp either:
//! the order of calls that keeps a removed entry from coming back is the load path's.
//!
//! No existence filter stands before it. Its own miss costs less than the filter's answer and the filter's upkeep
//! together: see `filter.rs` for the figures.

mod counters;
mod store;
#[cfg(test)]
mod tests;

use crate::entry::{CLOCK_MS_MAX, Compression, Packing};
use crate::error::Error;

pub(crate) use store::{CompressedTier, Left, TierSetup};

const _: () = assert!(CLOCK_MS_MAX == crate::clock::TIME_MS_MAX);

/// The smallest budget.
const BYTES_MIN: u64 = 64 << 10;

/// How much the compressed tier may hold, and how it packs.
///
/// ```
/// use scrubjay::Compressed;
///
/// // 256 MiB; zstd packs a third smaller than LZ4 and costs some three times as much to unpack.
/// let tier = Compressed::bytes(256 << 20).zstd().compress_min_bytes(512);
/// # let _ = tier;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compressed {
    pub(crate) bytes: u64,
    pub(crate) shards: Option<usize>,
    pub(crate) packing: Packing,
}

impl Compressed {
    /// A budget in bytes, headers and the tier's own structures included; 64 KiB at least. Payloads from 1 KiB on are packed
    /// with LZ4 unless that is changed, and only if it makes them smaller.
    pub fn bytes(bytes: u64) -> Compressed {
        Compressed { bytes, shards: None, packing: Packing { compression: Compression::Lz4, len_min: 1024 } }
    }

    /// LZ4: fastest to unpack. The default.
    #[must_use]
    pub fn lz4(mut self) -> Compressed {
        self.packing.compression = Compression::Lz4;
        self
    }

    /// zstd, level 1: smaller, slower.
    #[must_use]
    pub fn zstd(mut self) -> Compressed {
        self.packing.compression = Compression::Zstd;
        self
    }

    /// Serialised only. For values that do not shrink, such as float vectors or images.
    #[must_use]
    pub fn uncompressed(mut self) -> Compressed {
        self.packing.compression = Compression::None;
        self
    }

    /// Payloads shorter than this are not packed. 1 KiB by default: shorter ones hardly shrink.
    #[must_use]
    pub fn compress_min_bytes(mut self, bytes: usize) -> Compressed {
        self.packing.len_min = bytes;
        self
    }

    /// Parts that writers lock apart, as in [`Memory::shards`](crate::Memory::shards).
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Compressed {
        self.shards = Some(shards);
        self
    }

    /// Whether the tier can be made.
    ///
    /// # Errors
    /// Names the field and the limit.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        if self.bytes < BYTES_MIN {
            return Err(Error::invalid(format!("compressed.bytes is {}, must be at least {BYTES_MIN}", self.bytes)));
        }
        match self.shards {
            Some(shards) if !shards.is_power_of_two() => {
                Err(Error::invalid(format!("compressed.shards is {shards}, must be a power of two")))
            }
            _ => Ok(()),
        }
    }
}
