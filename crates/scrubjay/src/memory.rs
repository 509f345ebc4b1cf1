//! The memory tier: typed values, found without decoding, bounded by weight.
//!
//! [`Memory`] configures it, `tier.rs` is the way in for the two faces ([`MemoryCache`](crate::MemoryCache) and
//! [`Cache`](crate::Cache)) and for the compressed tier, which keeps its bytes in one of these.
//! The tier knows keys, values, weights, deadlines; nothing of loading, tags, codecs or other tiers.

mod departed;
mod epochs;
mod grace;
mod index;
mod lanes;
#[cfg(all(test, feature = "__model"))]
mod model;
mod policy;
mod region;
mod shard;
mod slots;
mod sync;
mod tier;
mod wheel;

pub use departed::Reason;
pub(crate) use departed::{Departed, Leaver, Resident};
pub(crate) use epochs::Epochs;
pub(crate) use tier::{NewEntry, Tier, TierOptions};

/// How much the memory tier may hold: its budget and its parts.
///
/// ```
/// use scrubjay::{Memory, MemoryCache};
///
/// // 64 MiB, of which drafts may take 8 at most.
/// let memory = Memory::bytes(64 << 20).partition("drafts", 8 << 20);
/// let texts: MemoryCache<String, String> = MemoryCache::builder()
///     .memory(memory)
///     .partition_by(|key: &String| key.starts_with("draft:").then_some("drafts"))
///     .build()?;
///
/// // 10,000 entries, whatever they take.
/// let numbers: MemoryCache<u64, u64> =
///     MemoryCache::builder().memory(Memory::entries(10_000)).build()?;
/// assert_eq!((texts.capacity(), numbers.capacity()), (64 << 20, 10_000));
///
/// let error = MemoryCache::<u64, u64>::builder().memory(Memory::bytes(10)).build().unwrap_err();
/// assert_eq!(error.to_string(), "memory.bytes is 10, must be at least 4096");
/// # Ok::<(), scrubjay::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    pub(crate) budget: Budget,
    pub(crate) shards: Option<usize>,
    pub(crate) partitions: Vec<(String, u64)>,
}

/// In what the budget is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Budget {
    Bytes(u64),
    Entries(u64),
}

impl Memory {
    /// A budget in bytes: what the entries take, the tier's own structures included, by the weigher's account.
    pub fn bytes(bytes: u64) -> Memory {
        Memory { budget: Budget::Bytes(bytes), shards: None, partitions: Vec::new() }
    }

    /// A budget in entries, each of weight 1.
    pub fn entries(entries: u64) -> Memory {
        Memory { budget: Budget::Entries(entries), shards: None, partitions: Vec::new() }
    }

    /// Parts that writers lock apart; a power of two. By default as many as the cores ask for. A budget too small for
    /// that many gets fewer, since a part of a few hundred entries evicts worse.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Memory {
        self.shards = Some(shards);
        self
    }

    /// A named partition, and how much of the budget it may take at most. Partitions may add up to more than the budget.
    #[must_use]
    pub fn partition(mut self, name: impl Into<String>, quota: u64) -> Memory {
        self.partitions.push((name.into(), quota));
        self
    }
}
