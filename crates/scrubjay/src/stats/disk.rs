//! [`DiskStats`]: what the disk tier has to say that the tiers in memory have not.

use serde::Serialize;

/// More of the disk tier, beside its [`TierStats`](crate::TierStats). What concerns the device is of the whole folder, which
/// caches may share.
///
/// ```
/// # use scrubjay::{Cache, Disk, Memory};
/// # let folder = tempfile::tempdir()?;
/// # let builder = Cache::<u64, u64>::builder("users").memory(Memory::bytes(1 << 20));
/// # let users = builder.disk(Disk::at(folder.path()).bytes(1 << 20)).build_blocking()?;
/// if let Some(disk) = users.stats().disk_store {
///     println!("{} bytes wait to be written", disk.queued_bytes);
///     println!("{:.2} bytes written for each that was given", disk.write_amplification);
/// #   assert!(disk.is_open && disk.unsettled == 0);
/// }
/// # users.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DiskStats {
    /// Whether the folder is open.
    pub is_open: bool,
    /// Entries that a tier above evicted and that were on disk still: nothing was written.
    pub kept: u64,
    /// Removals of which nobody knows whether they would have survived the end of the process: the device failed, or took too
    /// long.
    pub unsettled: u64,
    /// How often all entries were given up, since what was written of invalidations was not whole.
    pub forgotten: u64,
    /// Bytes of memory that the index takes.
    pub index_bytes: u64,
    /// Bytes that wait in memory to be written.
    pub queued_bytes: u64,
    /// Bytes that were given to be written, with what stands around them.
    pub put_bytes: u64,
    /// Bytes that were given to the device.
    pub written_bytes: u64,
    /// The latter for each of the former; 0 before the first.
    pub write_amplification: f64,
    /// Hot entries that were written once more when their part of the log was reclaimed.
    pub reinserted: u64,
    /// Operations of the device that failed.
    pub device_errors: u64,
    /// Entries lost in memory, since the device failed to the end.
    pub lost: u64,
    /// Bytes cut off when the folder was opened: what was being written when the last process ended.
    pub torn_bytes: u64,
    /// Entries dropped when the folder was opened, since what came after them was damaged.
    pub distrusted: u64,
}
