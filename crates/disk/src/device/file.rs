//! The device of production: files in a folder of the file system, buffered or direct.
//!
//! - A folder belongs to one device at a time, by an advisory lock on the file `lock` that the system drops with the process.
//! - A file's space is allotted when it is made, so that the disk is full at that moment or not at all.
//! - Direct reads of any range go through a bounce buffer of the thread. A direct write of whole pages goes to the device as it
//!   is; any other goes through the page cache, which the system keeps coherent with direct reads. So a file of small records
//!   works in direct mode also, and only who writes pages gets what direct I/O is for.
//! - Every error names the file.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::{Device, DeviceFile, Io};
use crate::block::{AlignedBuffer, PAGE};

/// The file whose lock is the folder's.
const LOCK: &str = "lock";

/// What a thread's bounce buffer may keep, in bytes.
const BOUNCE_KEPT: usize = 256 << 10;

/// A folder of the file system.
#[derive(Debug)]
pub struct FileDevice {
    path: PathBuf,
    io: Io,
    /// Open as long as the folder is ours.
    lock: Mutex<Option<File>>,
}

impl FileDevice {
    /// The folder at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made, or is no folder.
    pub fn open(path: impl AsRef<Path>, io: Io) -> io::Result<FileDevice> {
        let path = path.as_ref();
        let is_new = !path.try_exists().map_err(|error| at(path, "cannot be looked at", &error))?;
        if is_new {
            fs::create_dir_all(path).map_err(|error| at(path, "cannot be made", &error))?;
            // The new folder's name stands in its parent. Who may not read that one cannot make it durable: not worth a failure.
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                let _ = File::open(parent).and_then(|parent| parent.sync_all());
            }
        }
        FileDevice::open_existing(path, io)
    }

    /// The folder at `path`, which must be there.
    ///
    /// # Errors
    /// If it is not, or is no folder.
    pub fn open_existing(path: impl AsRef<Path>, io: Io) -> io::Result<FileDevice> {
        let path = path.as_ref();
        let about = fs::metadata(path).map_err(|error| at(path, "cannot be opened", &error))?;
        if !about.is_dir() {
            return Err(io::Error::new(ErrorKind::NotADirectory, format!("{}: is no folder", path.display())));
        }
        Ok(FileDevice { path: path.to_path_buf(), io, lock: Mutex::new(None) })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a file is. Names are names, not paths.
    fn path_of(&self, name: &str) -> io::Result<PathBuf> {
        if name.is_empty() || name == "." || name == ".." || name.contains('/') {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("`{name}` is no name of a file")));
        }
        Ok(self.path.join(name))
    }

    fn open_file(&self, path: PathBuf, options: &mut OpenOptions) -> io::Result<OpenFile> {
        options.read(true).write(true);
        if self.io == Io::Direct {
            past_the_page_cache(options);
        }
        match options.open(&path) {
            Ok(file) => Ok(OpenFile { path, io: self.io, file, buffered: OnceLock::new() }),
            Err(error) if self.io == Io::Direct && error.kind() == ErrorKind::InvalidInput => {
                let text = format!("{}: the file system takes no direct I/O", path.display());
                Err(io::Error::new(ErrorKind::Unsupported, text))
            }
            Err(error) => Err(at(&path, "cannot be opened", &error)),
        }
    }
}

impl Device for FileDevice {
    fn lock(&self) -> io::Result<()> {
        let mut lock = self.lock.lock();
        if lock.is_some() {
            return Ok(());
        }
        let path = self.path.join(LOCK);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|error| at(&path, "cannot be opened", &error))?;
        match file.try_lock() {
            Ok(()) => {
                *lock = Some(file);
                Ok(())
            }
            Err(TryLockError::WouldBlock) => {
                let text = format!("{}: another store has this folder open", self.path.display());
                Err(io::Error::new(ErrorKind::WouldBlock, text))
            }
            Err(TryLockError::Error(error)) => Err(at(&path, "cannot be locked", &error)),
        }
    }

    fn unlock(&self) {
        // The lock goes with the file that is closed.
        *self.lock.lock() = None;
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let failed = |error| at(&self.path, "cannot be listed", &error);
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let about = match entry.metadata() {
                // Removed since it was listed.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                about => about.map_err(failed)?,
            };
            if let (true, Ok(name)) = (about.is_file(), entry.file_name().into_string()) {
                files.push((name, about.len()));
            }
        }
        Ok(files)
    }

    fn create(&self, name: &str, len: u64) -> io::Result<Arc<dyn DeviceFile>> {
        let path = self.path_of(name)?;
        let file = self.open_file(path, OpenOptions::new().create_new(true))?;
        if let Err(error) = allot(&file.file, len) {
            let _ = fs::remove_file(&file.path);
            return Err(at(&file.path, &format!("no {len} bytes can be allotted"), &error));
        }
        Ok(Arc::new(file))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DeviceFile>> {
        let path = self.path_of(name)?;
        Ok(Arc::new(self.open_file(path, &mut OpenOptions::new())?))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path_of(name)?;
        fs::remove_file(&path).map_err(|error| at(&path, "cannot be removed", &error))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.path_of(from)?, self.path_of(to)?);
        fs::rename(&from, &to).map_err(|error| at(&from, "cannot be renamed", &error))
    }

    fn sync_folder(&self) -> io::Result<()> {
        let synced = File::open(&self.path).and_then(|folder| folder.sync_all());
        synced.map_err(|error| at(&self.path, "cannot be synced", &error))
    }

    fn alignment(&self) -> u64 {
        match self.io {
            Io::Buffered => 1,
            Io::Direct => PAGE as u64,
        }
    }
}

/// A file that is open.
#[derive(Debug)]
struct OpenFile {
    /// As it was called when it was opened: a file that is renamed keeps it in its errors.
    path: PathBuf,
    io: Io,
    file: File,
    /// Of a direct file: the way through the page cache, opened by the first write that needs it.
    buffered: OnceLock<File>,
}

impl OpenFile {
    fn failed(&self, doing: &str, offset: u64, len: usize, error: &io::Error) -> io::Error {
        match error.kind() {
            // Both are answers rather than failures and come often: no text is made for them.
            kind @ (ErrorKind::UnexpectedEof | ErrorKind::WouldBlock) => kind.into(),
            _ => at(&self.path, &format!("{doing} of {len} bytes at {offset}"), error),
        }
    }

    /// The file through the page cache.
    fn buffered(&self) -> io::Result<&File> {
        if self.io == Io::Buffered {
            return Ok(&self.file);
        }
        if let Some(file) = self.buffered.get() {
            return Ok(file);
        }
        let file = through_the_page_cache(&self.file)?;
        Ok(self.buffered.get_or_init(|| file))
    }

    /// Fills `bytes` through a bounce buffer that starts and ends at pages.
    fn read_bounced(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        with_bounce(|bounce| {
            let ahead = usize::try_from(offset % PAGE as u64).unwrap_or(0);
            let needed = ahead + bytes.len();
            bounce.clear();
            bounce.stretch(needed.next_multiple_of(PAGE));
            let start = offset - ahead as u64;
            let mut filled = 0;
            while filled < needed {
                match self.file.read_at(&mut bounce.as_mut_slice()[filled..], start + filled as u64) {
                    Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
                // Only the end of a file is no end of a page, and from there no direct read goes on.
                if filled < needed && filled % PAGE != 0 {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
            }
            bytes.copy_from_slice(&bounce.as_slice()[ahead..needed]);
            Ok(())
        })
    }

    /// Writes whole pages that lie anywhere in memory.
    fn write_bounced(&self, bytes: &[u8], mut offset: u64) -> io::Result<()> {
        with_bounce(|bounce| {
            for chunk in bytes.chunks(BOUNCE_KEPT) {
                bounce.clear();
                bounce.extend_from_slice(chunk);
                self.file.write_all_at(bounce.as_slice(), offset)?;
                offset += chunk.len() as u64;
            }
            Ok(())
        })
    }
}

impl DeviceFile for OpenFile {
    fn len(&self) -> io::Result<u64> {
        let about = self.file.metadata().map_err(|error| at(&self.path, "cannot be looked at", &error))?;
        Ok(about.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let len = buffer.len();
        let read = match self.io {
            Io::Direct if !is_of_pages(buffer, offset) => self.read_bounced(buffer, offset),
            Io::Buffered | Io::Direct => self.file.read_exact_at(buffer, offset),
        };
        read.map_err(|error| self.failed("read", offset, len, &error))
    }

    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match self.io {
            Io::Direct => Err(ErrorKind::WouldBlock.into()),
            Io::Buffered => {
                let len = buffer.len();
                let read = read_what_is_cached(&self.file, buffer, offset);
                read.map_err(|error| self.failed("read", offset, len, &error))
            }
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let whole_pages = bytes.len().is_multiple_of(PAGE) && offset.is_multiple_of(PAGE as u64);
        let written = match self.io {
            Io::Direct if is_of_pages(bytes, offset) => self.file.write_all_at(bytes, offset),
            Io::Direct if whole_pages => self.write_bounced(bytes, offset),
            Io::Buffered | Io::Direct => self.buffered().and_then(|file| file.write_all_at(bytes, offset)),
        };
        written.map_err(|error| self.failed("write", offset, bytes.len(), &error))
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data().map_err(|error| at(&self.path, "cannot be synced", &error))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len).map_err(|error| at(&self.path, &format!("cannot be made {len} bytes long"), &error))
    }
}

/// What went wrong with which file. The kind stays.
fn at(path: &Path, what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {what}: {error}", path.display()))
}

/// Whether direct I/O takes it as it is.
fn is_of_pages(bytes: &[u8], offset: u64) -> bool {
    offset.is_multiple_of(PAGE as u64) && bytes.len().is_multiple_of(PAGE) && bytes.as_ptr().addr().is_multiple_of(PAGE)
}

/// Lends the thread's bounce buffer.
fn with_bounce<R>(run: impl FnOnce(&mut AlignedBuffer) -> R) -> R {
    thread_local! {
        static BOUNCE: RefCell<AlignedBuffer> = RefCell::default();
    }
    let mut bounce = BOUNCE.take();
    let result = run(&mut bounce);
    if bounce.capacity() <= BOUNCE_KEPT + PAGE {
        BOUNCE.set(bounce);
    }
    result
}

/// Allots `len` bytes to an empty file, which then is that long.
fn allot(file: &File, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    // Asked first: an allotment that cannot be had would take all that is left, for the moment, from everybody else.
    if let Ok(about) = rustix::fs::fstatvfs(file)
        && about.f_blocks > 0
        && about.f_bavail.saturating_mul(about.f_frsize) < len
    {
        return Err(ErrorKind::StorageFull.into());
    }
    loop {
        match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, len) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            // A file system that cannot allot: the length alone, and a full disk is found by a write.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => return file.set_len(len),
            Err(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT) => return Err(ErrorKind::StorageFull.into()),
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(target_os = "linux")]
fn past_the_page_cache(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(rustix::fs::OFlags::DIRECT.bits().cast_signed());
}

#[cfg(not(target_os = "linux"))]
fn past_the_page_cache(_: &mut OpenOptions) {}

/// The same file once more, whatever it is called by now, through the page cache.
fn through_the_page_cache(file: &File) -> io::Result<File> {
    use std::os::fd::AsRawFd;
    OpenOptions::new().write(true).open(format!("/dev/fd/{}", file.as_raw_fd()))
}

/// Fills `buffer` with what the page cache has.
#[cfg(target_os = "linux")]
fn read_what_is_cached(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    while !buffer.is_empty() {
        match preadv2(file, &mut [io::IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
            Err(Errno::INTR) => {}
            // A file system that cannot tell is one that may wait.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => return Err(ErrorKind::WouldBlock.into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn read_what_is_cached(_: &File, _: &mut [u8], _: u64) -> io::Result<()> {
    Err(ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests;
