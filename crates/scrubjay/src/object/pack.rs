//! The form of a pack, and the names of objects: docs/object-format.md is the specification.
//!
//! ```text
//!  pack = | entry | entry | ... |  rows, 32 bytes each  | keys | trailer, 40 bytes |
//!  row  = | hash 8 | stamp 8 | expires 8 | offset 4 | length 4 |
//!         values first, in the order of their offsets, then large ones, then removals, then marks of tags
//!  trailer = | "SJPK" | version 2 | 0 | rows 4 | keys length 4 | stamp 8 | writer 8 | data length 4 | crc-32 4 |
//! ```
//!
//! Invariants: values lie one after another without a gap, from 0 to the data length; the checksum is that of all of the
//! footer before it; name and trailer say the same. Nothing that is read here panics, and nothing is allocated because a
//! length was announced.

use bytes::Bytes;
use object_store::path::{Path, PathPart};
use std::fmt;

/// Bytes of a row.
pub(super) const ROW_LEN: usize = 32;
/// Bytes at the end of a pack that say how the rest is to be read.
pub(super) const TRAILER_LEN: usize = 40;
/// All stamps are below.
pub(super) const STAMP_LIMIT: u64 = 1 << 48;
/// A footer is at most this long.
pub(super) const FOOTER_LEN_MAX: u64 = 256 << 20;
/// Rows of a pack are fewer.
pub(super) const ROWS_LIMIT: usize = 1 << 24;

const MAGIC: [u8; 4] = *b"SJPK";
const VERSION: u16 = 1;
const LARGE: u32 = u32::MAX;
const GONE: u32 = u32::MAX - 1;
const MARK: u32 = u32::MAX - 2;
/// Values end below this.
pub(super) const DATA_LEN_LIMIT: u32 = 1 << 31;

/// The name of a pack, and all that is known of it before its footer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PackName {
    /// When it was sealed: not below the stamp of any of its rows.
    pub(super) stamp: u64,
    pub(super) writer: u64,
    pub(super) footer_len: u32,
}

/// What a row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The entry is these bytes of the pack.
    Value { offset: u32, len: u32 },
    /// The entry is an object of its own, with this CRC-32 in its name.
    Large { crc: u32 },
    /// The key was removed.
    Gone,
    /// What has a tag of this place was removed.
    Mark(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) hash: u64,
    pub(super) stamp: u64,
    /// In Unix milliseconds; 0 for never.
    pub(super) expires_ms: u64,
    pub(super) what: What,
}

/// What stands behind the entries of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) rows: Vec<Row>,
    /// For each value and large entry its key, in their order.
    pub(super) keys: Vec<Box<[u8]>>,
    pub(super) data_len: u32,
}

/// Why bytes are no footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flawed {
    /// Not intact, or not what the name says.
    Torn,
    /// Of a later version.
    Newer,
}

/// A pack that is being put together.
#[derive(Debug, Default)]
pub(super) struct Draft {
    data: Vec<u8>,
    values: Vec<Row>,
    value_keys: Vec<Box<[u8]>>,
    larges: Vec<Row>,
    large_keys: Vec<Box<[u8]>>,
    others: Vec<Row>,
}

/// A pack as it is to be written.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) name: PackName,
    pub(super) bytes: Bytes,
    pub(super) footer: Footer,
}

impl Draft {
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty() && self.larges.is_empty() && self.others.is_empty()
    }

    pub(super) fn value(&mut self, hash: u64, stamp: u64, expires_ms: u64, key: &[u8], entry: &[u8]) {
        let (Ok(offset), Ok(len)) = (u32::try_from(self.data.len()), u32::try_from(entry.len())) else { return };
        self.data.extend_from_slice(entry);
        self.values.push(Row { hash, stamp, expires_ms, what: What::Value { offset, len } });
        self.value_keys.push(key.into());
    }

    pub(super) fn large(&mut self, hash: u64, stamp: u64, expires_ms: u64, key: &[u8], crc: u32) {
        self.larges.push(Row { hash, stamp, expires_ms, what: What::Large { crc } });
        self.large_keys.push(key.into());
    }

    pub(super) fn gone(&mut self, hash: u64, stamp: u64) {
        self.others.push(Row { hash, stamp, expires_ms: 0, what: What::Gone });
    }

    pub(super) fn mark(&mut self, place: u16, stamp: u64) {
        self.others.push(Row { hash: u64::from(place), stamp, expires_ms: 0, what: What::Mark(place) });
    }

    /// Ends it. Removals come before marks.
    pub(super) fn seal(self, stamp: u64, writer: u64) -> Sealed {
        let Draft { mut data, values: mut rows, value_keys: mut keys, larges, large_keys, mut others } = self;
        let data_len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        rows.extend(larges);
        keys.extend(large_keys);
        others.sort_by_key(|row| matches!(row.what, What::Mark(_)));
        rows.extend(others);
        let footer_start = data.len();
        rows.iter().for_each(|row| row.write(&mut data));
        let keys_start = data.len();
        for key in &keys {
            data.extend_from_slice(&u16::try_from(key.len()).unwrap_or(u16::MAX).to_le_bytes());
            data.extend_from_slice(key);
        }
        let keys_len = data.len() - keys_start;
        data.extend_from_slice(&MAGIC);
        data.extend_from_slice(&VERSION.to_le_bytes());
        data.extend_from_slice(&[0, 0]);
        for count in [rows.len(), keys_len] {
            data.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        }
        for number in [stamp, writer] {
            data.extend_from_slice(&number.to_le_bytes());
        }
        data.extend_from_slice(&data_len.to_le_bytes());
        let crc = crc32fast::hash(&data[footer_start..]);
        data.extend_from_slice(&crc.to_le_bytes());
        let footer_len = u32::try_from(data.len() - footer_start).unwrap_or(u32::MAX);
        let name = PackName { stamp, writer, footer_len };
        Sealed { name, bytes: data.into(), footer: Footer { rows, keys, data_len } }
    }
}

impl Row {
    fn write(&self, out: &mut Vec<u8>) {
        let (offset, len) = match self.what {
            What::Value { offset, len } => (offset, len),
            What::Large { crc } => (LARGE, crc),
            What::Gone => (GONE, 0),
            What::Mark(_) => (MARK, 0),
        };
        for number in [self.hash, self.stamp, self.expires_ms] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&len.to_le_bytes());
    }

    fn read(bytes: &[u8; ROW_LEN]) -> Option<Row> {
        let (hash, stamp, expires_ms) = (u64_at(bytes, 0)?, u64_at(bytes, 8)?, u64_at(bytes, 16)?);
        let (offset, len) = (u32_at(bytes, 24)?, u32_at(bytes, 28)?);
        let what = match offset {
            LARGE => What::Large { crc: len },
            GONE => What::Gone,
            MARK => What::Mark(u16::try_from(hash).ok()?),
            _ => What::Value { offset, len },
        };
        Some(Row { hash, stamp, expires_ms, what })
    }

    fn rank(&self) -> u8 {
        match self.what {
            What::Value { .. } => 0,
            What::Large { .. } => 1,
            What::Gone => 2,
            What::Mark(_) => 3,
        }
    }
}

impl Footer {
    /// The footer in the last bytes of the pack `name`, which has `size` bytes in all.
    pub(super) fn read(name: PackName, size: u64, bytes: &[u8]) -> Result<Footer, Flawed> {
        let split = bytes.split_last_chunk::<TRAILER_LEN>();
        let (body, trailer) = split.ok_or(Flawed::Torn)?;
        if trailer[..4] != MAGIC {
            return Err(Flawed::Torn);
        }
        if u16::from_le_bytes([trailer[4], trailer[5]]) != VERSION {
            return Err(Flawed::Newer);
        }
        Footer::parse(name, size, bytes, body, trailer).ok_or(Flawed::Torn)
    }

    fn parse(name: PackName, size: u64, bytes: &[u8], body: &[u8], trailer: &[u8]) -> Option<Footer> {
        let (before, crc) = bytes.split_last_chunk::<4>()?;
        let is_intact = crc32fast::hash(before) == u32::from_le_bytes(*crc);
        let says = (u64_at(trailer, 16)?, u64_at(trailer, 24)?);
        if !is_intact || says != (name.stamp, name.writer) {
            return None;
        }
        let rows_len = usize::try_from(u32_at(trailer, 8)?).ok()?.checked_mul(ROW_LEN)?;
        let keys_len = usize::try_from(u32_at(trailer, 12)?).ok()?;
        let data_len = u32_at(trailer, 32)?;
        let footer_len = u64::from(name.footer_len);
        let (row_bytes, key_bytes) = body.split_at_checked(rows_len)?;
        let adds_up = key_bytes.len() == keys_len
            && u64::try_from(bytes.len()).ok()? == footer_len
            && u64::from(data_len).checked_add(footer_len)? == size
            && data_len < DATA_LEN_LIMIT
            && rows_len / ROW_LEN < ROWS_LIMIT;
        if !adds_up {
            return None;
        }
        let (chunks, _) = row_bytes.as_chunks::<ROW_LEN>();
        let rows: Vec<Row> = chunks.iter().map(Row::read).collect::<Option<_>>()?;
        check_rows(&rows, data_len, name.stamp)?;
        let with_key = rows.iter().filter(|row| row.rank() < 2).count();
        Some(Footer { keys: read_keys(key_bytes, with_key)?, rows, data_len })
    }
}

fn check_rows(rows: &[Row], data_len: u32, stamp: u64) -> Option<()> {
    let (mut end, mut rank) = (0_u32, 0);
    for row in rows {
        if row.rank() < rank || row.stamp > stamp {
            return None;
        }
        rank = row.rank();
        if let What::Value { offset, len } = row.what {
            if offset != end || len == 0 {
                return None;
            }
            end = offset.checked_add(len)?;
        }
    }
    (end == data_len).then_some(())
}

fn read_keys(mut bytes: &[u8], count: usize) -> Option<Vec<Box<[u8]>>> {
    let mut keys = Vec::new();
    for _ in 0..count {
        let (len, rest) = bytes.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
        keys.push(key.into());
        bytes = rest;
    }
    bytes.is_empty().then_some(keys)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// Where the objects of one cache lie.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Packs, clears and leases: one listing has them all.
    pub(super) index: Path,
    /// Entries that are objects of their own.
    pub(super) large: Path,
}

/// An object below [`Names::index`], by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Pack(PackName),
    /// Everything up to this stamp is void.
    Clear(u64),
    Lease(u64),
}

impl Names {
    pub(super) fn new(prefix: &Path, cache: &str, schema: u32) -> Names {
        let base = prefix.clone().join(PathPart::from(cache)).join(PathPart::from(format!("v{schema}")));
        Names { index: base.clone().join("index"), large: base.join("large") }
    }

    pub(super) fn pack(&self, name: PackName) -> Path {
        self.index.clone().join(name.to_string())
    }

    pub(super) fn clear(&self, stamp: u64) -> Path {
        self.index.clone().join(format!("clear-{stamp:012x}"))
    }

    pub(super) fn lease(&self, number: u64) -> Path {
        self.index.clone().join(format!("lease-{number:08x}"))
    }

    pub(super) fn large(&self, hash: u64, stamp: u64, crc: u32) -> Path {
        self.large.clone().join(format!("{hash:016x}-{stamp:012x}-{crc:08x}"))
    }

    /// What the object's name says, if it is one of ours.
    pub(super) fn read(path: &Path) -> Option<Named> {
        let mut parts = path.filename()?.split('-');
        let kind = parts.next()?;
        let mut number = |digits: usize| {
            let text = parts.next().filter(|text| text.len() == digits)?;
            let is_plain = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if is_plain { u64::from_str_radix(text, 16).ok() } else { None }
        };
        let named = match kind {
            "pack" => {
                let (stamp, writer) = (number(12)?, number(16)?);
                Named::Pack(PackName { stamp, writer, footer_len: u32::try_from(number(8)?).ok()? })
            }
            "clear" => Named::Clear(number(12)?),
            "lease" => Named::Lease(number(8)?),
            _ => return None,
        };
        parts.next().is_none().then_some(named)
    }

    /// Hash and stamp in the name of a large entry.
    pub(super) fn read_large(path: &Path) -> Option<(u64, u64)> {
        let mut parts = path.filename()?.split('-').map(|text| u64::from_str_radix(text, 16));
        let (hash, stamp, _crc) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        parts.next().is_none().then_some((hash, stamp))
    }
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PackName { stamp, writer, footer_len } = self;
        write!(f, "pack-{stamp:012x}-{writer:016x}-{footer_len:08x}")
    }
}

#[cfg(test)]
mod tests;
