//! A disk engine as the cases see it: one face for ours and for the peers.
//!
//! Calls are virtual: a few nanoseconds beside microseconds. Nobody is asked to sync while it is measured; everybody has
//! handed its data to the system when `settle` returns.

use std::path::PathBuf;

/// What an engine is opened with.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// Empty at the first opening.
    pub(super) folder: PathBuf,
    /// What the engine may take on the device, where it knows such a bound.
    pub(super) capacity: u64,
    /// Past the page cache, where the engine can.
    pub(super) is_direct: bool,
}

/// An open engine.
pub(super) trait Engine: Send + Sync {
    /// Stores. Waits where the engine would drop for want of room in a queue.
    fn put(&self, key: &[u8], value: &[u8]) -> anyhow::Result<()>;

    /// Looks the key up and shows its value to `look`. Whether there was one.
    fn get(&self, key: &[u8], look: &mut dyn FnMut(&[u8])) -> anyhow::Result<bool>;

    fn remove(&self, key: &[u8]) -> anyhow::Result<()>;

    /// Returns when everything is handed to the system and the work in the background is done.
    fn settle(&self) -> anyhow::Result<()>;

    /// Closes as a program does that ends in order.
    fn close(self: Box<Self>) -> anyhow::Result<()>;

    /// Bytes that the engine itself says it wrote since it was opened, if it counts them.
    fn written_bytes(&self) -> Option<u64> {
        None
    }

    /// Bytes that its index takes, by its own account.
    fn index_bytes(&self) -> Option<u64> {
        None
    }
}

/// Whoever can be measured.
pub(super) struct Subject {
    pub(super) name: &'static str,
    /// Holds itself to its capacity. For others the cases remove the oldest, as whoever builds a cache on them must.
    pub(super) is_bounded: bool,
    /// What an entry takes on the device is a multiple of this.
    pub(super) granule: u64,
    pub(super) open: fn(&Setting) -> anyhow::Result<Box<dyn Engine>>,
}

/// Everyone, ours first.
pub(super) const SUBJECTS: &[Subject] = &[
    Subject { name: "scrubjay", is_bounded: true, granule: 16, open: super::ours::open },
    #[cfg(feature = "disk-peers")]
    Subject { name: "fjall", is_bounded: false, granule: 1, open: super::peers::fjall },
    #[cfg(feature = "disk-peers")]
    Subject { name: "redb", is_bounded: false, granule: 1, open: super::peers::redb },
    #[cfg(feature = "disk-peers")]
    Subject { name: "foyer", is_bounded: true, granule: 4096, open: super::peers::foyer },
    #[cfg(feature = "rocksdb")]
    Subject { name: "rocksdb", is_bounded: false, granule: 1, open: super::rocks::open },
];

/// The subject of this name.
pub(super) fn subject(name: &str) -> anyhow::Result<&'static Subject> {
    let found = SUBJECTS.iter().find(|subject| subject.name == name);
    found.ok_or_else(|| {
        anyhow::anyhow!("{name}: no such subject; this program was built without it, or it does not exist")
    })
}
