//! The heat of entries over a restart: a file `heat` with the hashes of all that is warm.
//!
//! Heat changes with every get, so it stands in no record. It is written down at intervals and when the store is closed,
//! and is a hint: without it, or with an old one, the store knows less of what to keep, and nothing else is different. So
//! the file is never waited for, never made durable, and what of it is damaged is ignored and counted.
//!
//! ```text
//!   the file   blocks of 4096 bytes, each by itself
//!   a block     0  u32  CRC-32 of bytes 4..4096
//!               4  u16  format, 1
//!               6  u16  how many entries, at most 453
//!               8  u64  the store's id
//!              16  entries of 9 bytes: u64 hash, u8 heat (1 to 6)
//!               -  zeros
//! ```
//!
//! **Invariants:** the file and its successor together take at most a 128th of the space bound ([`reserve`]). A pinned
//! entry is pinned by its record, and not by this.

#[cfg(test)]
mod tests;

use crate::block::AlignedBuffer;
use crate::device::{Device, DeviceFile};
use crate::index::{HEAT_MAX, Index, PINNED};
use crate::store::Core;
use std::io;
use std::sync::Arc;

const NAME: &str = "heat";
/// It is written under this name, and given the other one when it is whole.
const NEW_NAME: &str = "heat.new";

const FORMAT: u16 = 1;
const BLOCK_LEN: usize = 4096;
const BLOCK_HEADER_LEN: usize = 16;
const ENTRY_LEN: usize = 9;
const ENTRIES_PER_BLOCK: usize = (BLOCK_LEN - BLOCK_HEADER_LEN) / ENTRY_LEN;
/// Blocks that are written at a time.
const BLOCKS_PER_WRITE: usize = 64;
/// What one such file takes at most, of the space bound and in all: 15 million entries.
const SHARE_OF_CAPACITY: u64 = 256;
const LEN_MAX: u64 = 128 << 20;

/// Bytes that the file of a store may take.
fn len_max(capacity: u64) -> u64 {
    (capacity / SHARE_OF_CAPACITY).min(LEN_MAX) / BLOCK_LEN as u64 * BLOCK_LEN as u64
}

/// Bytes of the space bound that the file and its successor may take.
pub(crate) fn reserve(capacity: u64) -> u64 {
    2 * len_max(capacity)
}

/// Whether a file of that name is one of these.
pub(crate) fn is_name(name: &str) -> bool {
    name == NAME || name == NEW_NAME
}

/// What reading the file came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Entries that are warm again.
    pub(crate) entries: u64,
    /// Blocks that were not intact, or not of this store.
    pub(crate) damaged_blocks: u64,
}

/// Writes down the heat of all entries.
///
/// # Errors
/// What the device says. The file that was there is still there.
pub(crate) fn save(core: &Core) -> io::Result<()> {
    let written = write(&*core.device, core.store_id, &core.index, core.log.space.capacity())?;
    core.counts.written_bytes.fetch_add(written, std::sync::atomic::Ordering::Relaxed);
    Ok(())
}

/// Makes the entries of the index as warm as the file says, if there is one.
pub(crate) fn load(device: &dyn Device, store_id: u64, index: &Index) -> Applied {
    let applied = device.open(NAME).and_then(|file| read(&*file, store_id, index));
    match applied {
        Ok(applied) => {
            if applied.damaged_blocks > 0 {
                tracing::warn!(
                    blocks = applied.damaged_blocks,
                    "the heat of some entries is lost: the file is damaged"
                );
            }
            applied
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Applied::default(),
        Err(error) => {
            tracing::warn!(%error, "the heat of entries is lost: it cannot be read");
            Applied { entries: 0, damaged_blocks: 1 }
        }
    }
}

/// Returns how many bytes it wrote.
fn write(device: &dyn Device, store_id: u64, index: &Index, capacity: u64) -> io::Result<u64> {
    let mut by_heat = [0_u64; PINNED as usize + 1];
    index.for_each(|_, entry| by_heat[usize::from(entry.heat)] += 1);
    let blocks_max = len_max(capacity) / BLOCK_LEN as u64;
    let (heat_min, entries) = worth_it(&by_heat, blocks_max * ENTRIES_PER_BLOCK as u64);
    let _ = device.remove(NEW_NAME);
    if entries == 0 {
        return match device.remove(NAME) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(0),
        };
    }
    // Some grow warm meanwhile: there is room for a few more.
    let blocks = (entries.div_ceil(ENTRIES_PER_BLOCK as u64) + 1).min(blocks_max);
    let file = device.create(NEW_NAME, blocks * BLOCK_LEN as u64)?;
    let mut writer = Writer::new(file, store_id, blocks);
    index.for_each(|hash, entry| {
        if (heat_min..=HEAT_MAX).contains(&entry.heat) {
            writer.add(hash, entry.heat);
        }
    });
    let written = writer.finish().and_then(|written| device.rename(NEW_NAME, NAME).map(|()| written));
    if written.is_err() {
        let _ = device.remove(NEW_NAME);
    }
    written
}

/// From which heat on entries are written down so that not many more than `most` are, and how many these are.
fn worth_it(by_heat: &[u64; PINNED as usize + 1], most: u64) -> (u8, u64) {
    let (mut heat_min, mut entries) = (HEAT_MAX, by_heat[usize::from(HEAT_MAX)]);
    for heat in (1..HEAT_MAX).rev() {
        if entries + by_heat[usize::from(heat)] > most {
            break;
        }
        (heat_min, entries) = (heat, entries + by_heat[usize::from(heat)]);
    }
    (heat_min, entries.min(most))
}

/// Fills blocks and writes them.
struct Writer {
    file: Arc<dyn DeviceFile>,
    store_id: u64,
    blocks_left: u64,
    /// Whole blocks, to be written at `offset`.
    buffer: AlignedBuffer,
    offset: u64,
    block: Vec<u8>,
    count: u16,
    result: io::Result<()>,
}

impl Writer {
    fn new(file: Arc<dyn DeviceFile>, store_id: u64, blocks: u64) -> Writer {
        let buffer = AlignedBuffer::with_capacity(BLOCKS_PER_WRITE * BLOCK_LEN);
        let block = vec![0; BLOCK_HEADER_LEN];
        Writer { file, store_id, blocks_left: blocks, buffer, offset: 0, block, count: 0, result: Ok(()) }
    }

    /// Beyond the room that there is, nothing more is taken.
    fn add(&mut self, hash: u64, heat: u8) {
        if self.blocks_left == 0 {
            return;
        }
        self.block.extend_from_slice(&hash.to_le_bytes());
        self.block.push(heat);
        self.count += 1;
        if usize::from(self.count) == ENTRIES_PER_BLOCK {
            self.end_block();
        }
    }

    fn end_block(&mut self) {
        self.block[4..6].copy_from_slice(&FORMAT.to_le_bytes());
        self.block[6..8].copy_from_slice(&self.count.to_le_bytes());
        self.block[8..16].copy_from_slice(&self.store_id.to_le_bytes());
        self.block.resize(BLOCK_LEN, 0);
        let crc = crc32fast::hash(&self.block[4..]);
        self.block[..4].copy_from_slice(&crc.to_le_bytes());
        self.buffer.extend_from_slice(&self.block);
        self.block.clear();
        self.block.resize(BLOCK_HEADER_LEN, 0);
        self.count = 0;
        self.blocks_left -= 1;
        if self.buffer.len() == BLOCKS_PER_WRITE * BLOCK_LEN {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.result.is_ok() {
            self.result = self.file.write_at(self.buffer.as_slice(), self.offset);
        }
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
    }

    fn finish(mut self) -> io::Result<u64> {
        if self.count > 0 {
            self.end_block();
        }
        if !self.buffer.is_empty() {
            self.flush();
        }
        self.result?;
        self.file.set_len(self.offset)?;
        Ok(self.offset)
    }
}

fn read(file: &dyn DeviceFile, store_id: u64, index: &Index) -> io::Result<Applied> {
    let blocks = file.len()?.min(LEN_MAX).div_ceil(BLOCK_LEN as u64);
    let whole = file.len()?.min(LEN_MAX) / BLOCK_LEN as u64;
    let mut applied = Applied { entries: 0, damaged_blocks: blocks - whole };
    let mut buffer = vec![0; BLOCKS_PER_WRITE * BLOCK_LEN];
    let mut done = 0;
    while done < whole {
        let count = (whole - done).min(BLOCKS_PER_WRITE as u64);
        let len = usize::try_from(count).map_or(0, |count| count * BLOCK_LEN);
        file.read_at(&mut buffer[..len], done * BLOCK_LEN as u64)?;
        for block in buffer[..len].chunks_exact(BLOCK_LEN) {
            match entries(block, store_id) {
                Some(entries) => applied.entries += warm(entries, index),
                None => applied.damaged_blocks += 1,
            }
        }
        done += count;
    }
    Ok(applied)
}

/// The entries of a block that is intact and of that store.
fn entries(block: &[u8], store_id: u64) -> Option<&[u8]> {
    let (crc, rest) = block.split_first_chunk::<4>()?;
    let (format, rest) = rest.split_first_chunk::<2>()?;
    let (count, rest) = rest.split_first_chunk::<2>()?;
    let (id, entries) = rest.split_first_chunk::<8>()?;
    let is_ours = u16::from_le_bytes(*format) == FORMAT && u64::from_le_bytes(*id) == store_id;
    let is_intact = crc32fast::hash(&block[4..]) == u32::from_le_bytes(*crc);
    if is_ours && is_intact { entries.get(..usize::from(u16::from_le_bytes(*count)) * ENTRY_LEN) } else { None }
}

/// How many of them are in the index.
fn warm(entries: &[u8], index: &Index) -> u64 {
    let mut warmed = 0;
    for entry in entries.chunks_exact(ENTRY_LEN) {
        let Some((hash, heat)) = entry.split_first_chunk::<8>() else { continue };
        let hash = u64::from_le_bytes(*hash);
        let is_there = index.shard(hash).warm(hash, heat.first().copied().unwrap_or(0).min(HEAT_MAX));
        warmed += u64::from(is_there);
    }
    warmed
}
