//! The seam to the device: files of one folder, by name.

pub(crate) mod file;

use std::fmt;
use std::io;
use std::sync::Arc;

/// How files are read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Io {
    /// Through the system's page cache: what was read or written of late is read without the device.
    #[default]
    Buffered,
    /// Past the page cache: no memory beyond the engine's own, every read asks the device. Not every file system takes it.
    Direct,
}

/// A folder of files on some device.
pub trait Device: Send + Sync + fmt::Debug {
    /// Takes the folder for this process; `WouldBlock` if another one has it.
    ///
    /// # Errors
    /// What the device says.
    fn lock(&self) -> io::Result<()>;
    /// Lets the folder go, if it was taken.
    fn unlock(&self);
    /// Names and lengths of all files.
    ///
    /// # Errors
    /// What the device says.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;
    /// Makes a file of that length, with its space allotted.
    ///
    /// # Errors
    /// `AlreadyExists`, `StorageFull`, or what the device says.
    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DeviceFile>>;
    /// Opens a file that is there.
    ///
    /// # Errors
    /// `NotFound`, or what the device says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn DeviceFile>>;
    /// Removes a file. Who has it open goes on reading it.
    ///
    /// # Errors
    /// What the device says.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Gives a file another name, in the place of a file that has it.
    ///
    /// # Errors
    /// What the device says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes creations, removals and renames durable.
    ///
    /// # Errors
    /// What the device says.
    fn sync_folder(&self) -> io::Result<()>;
    /// What offsets and lengths of writes must be multiples of: 1, or the block length of direct I/O.
    fn alignment(&self) -> u64;
}

/// An open file.
#[allow(clippy::len_without_is_empty, reason = "the length of a file is a question to the device")]
pub trait DeviceFile: Send + Sync + fmt::Debug {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the device says.
    fn len(&self) -> io::Result<u64>;
    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before, or what the device says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// The same if it needs no waiting for the device.
    ///
    /// # Errors
    /// `WouldBlock` if it needs it, and as `read_at`.
    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all of `bytes` from `offset` on.
    ///
    /// # Errors
    /// What the device says; any part may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable.
    ///
    /// # Errors
    /// What the device says; then nobody knows what is durable.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file off, or extends it.
    ///
    /// # Errors
    /// What the device says.
    fn set_len(&self, len: u64) -> io::Result<()>;
}
