//! The footer of a sealed segment: a table of all its values and tombstones, and the trailer that ends the file.
//!
//! ```text
//!  item, 28 bytes:  0      8            14  15  16            20         24          28
//!                   | hash | expires, 6 |knd|flg| offset / 16 | len / 16 | namespace |
//!  trailer, 64 bytes: a frame with the checksum of the items at 12, store 16, segment 24, end of the records / 16 at 32,
//!                     number of items 36, latest time 40, up to where the log was durable 48 and, / 16, 56
//! ```
//!
//! **Invariant:** the items lie one behind the other between the segment's header and `records_end`, in the order of
//! the log. A table that breaks this is damaged, whatever its checksum says.

use std::io;

use super::frame::{FRAME_LEN, Frame, Refused};
use super::{Identity, RECORDS_START, SEGMENT_LEN_MAX};
use crate::device::DeviceFile;
use crate::place::{Position, UNIT};
use crate::record::{self, EXPIRES_MS_MAX, HEADER_LEN, Kind, RECORD_LEN_MAX, Record};

const MAGIC: [u8; 8] = *b"SJ-FOOTR";
const ITEM_LEN: usize = 28;
const FLAG_PINNED: u8 = 1;
const TRAILER_LEN: u64 = FRAME_LEN as u64;
const RECORD_LEN_MIN: u64 = HEADER_LEN as u64;
const MARK_LEN: u64 = record::MARK_LEN as u64;

const _: () = assert!(RECORD_LEN_MAX as u64 / UNIT <= u32::MAX as u64);

/// A value or a tombstone of a segment, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) hash: u64,
    /// Unix milliseconds; 0 is never.
    pub(crate) expires_ms: u64,
    pub(crate) kind: Kind,
    pub(crate) is_pinned: bool,
    /// Where its record stands.
    pub(crate) offset: u64,
    /// Bytes of its record.
    pub(crate) len: u64,
    pub(crate) namespace: u32,
}

impl Item {
    /// What a record at that offset is in the table; `None` for padding.
    pub(crate) fn of(record: &Record<'_>, offset: u64) -> Option<Item> {
        let Record { kind, namespace, hash, expires_ms, is_pinned, len, .. } = *record;
        let len = u64::try_from(len).ok()?;
        (kind != Kind::Padding).then_some(Item { hash, expires_ms, kind, is_pinned, offset, len, namespace })
    }

    fn encode(&self) -> [u8; ITEM_LEN] {
        let mut bytes = [0; ITEM_LEN];
        bytes[..8].copy_from_slice(&self.hash.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.expires_ms.min(EXPIRES_MS_MAX).to_le_bytes());
        bytes[14] = self.kind.code();
        bytes[15] = if self.is_pinned { FLAG_PINNED } else { 0 };
        bytes[16..20].copy_from_slice(&units(self.offset).to_le_bytes());
        bytes[20..24].copy_from_slice(&units(self.len).to_le_bytes());
        bytes[24..28].copy_from_slice(&self.namespace.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; ITEM_LEN]) -> Option<Item> {
        let (words, rest) = bytes.as_chunks::<8>();
        let half = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let kind = Kind::from_code(bytes[14]).filter(|&kind| kind != Kind::Padding)?;
        let is_pinned = match bytes[15] {
            0 => false,
            FLAG_PINNED if kind == Kind::Value => true,
            _ => return None,
        };
        debug_assert_eq!(rest.len(), 4);
        Some(Item {
            hash: u64::from_le_bytes(words[0]),
            expires_ms: u64::from_le_bytes(words[1]) & EXPIRES_MS_MAX,
            kind,
            is_pinned,
            offset: u64::from(half(16)) * UNIT,
            len: u64::from(half(20)) * UNIT,
            namespace: half(24),
        })
    }
}

/// Offsets and lengths of records are multiples of a unit, and no segment is longer than 2^32 of them: what is longer is
/// written as an item that does not pass for one.
fn units(bytes: u64) -> u32 {
    debug_assert!(bytes.is_multiple_of(UNIT), "{bytes} is no multiple of a unit");
    u32::try_from(bytes / UNIT).unwrap_or(0)
}

/// A footer that is yet to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footer<'a> {
    pub(crate) identity: Identity,
    /// Where the last record ends, and the footer begins.
    pub(crate) records_end: u64,
    /// The greatest time that was seen up to here, in Unix milliseconds.
    pub(crate) latest_ms: u64,
    /// Up to where the log was durable, as far as it is known.
    pub(crate) synced: Position,
    /// In the order of the log.
    pub(crate) items: &'a [Item],
}

impl Footer<'_> {
    /// Bytes that sealing takes at most, behind the last record: a mark, padding up to where the device lets a write begin,
    /// and a footer that ends where it lets one end.
    pub(crate) fn room(items: usize, align: u64) -> u64 {
        let table = u64::try_from(items.saturating_mul(ITEM_LEN)).unwrap_or(u64::MAX);
        let padding = if align <= 1 { 0 } else { 2 * align + RECORD_LEN_MIN };
        table.saturating_add(TRAILER_LEN + MARK_LEN + padding)
    }

    /// Appends what is to be written at `records_end`: the file ends with it, at a multiple of `align`.
    pub(crate) fn encode(&self, align: u64, out: &mut Vec<u8>) {
        let table_len = self.items.len() * ITEM_LEN;
        let unaligned = self.records_end.saturating_add(u64::try_from(table_len + FRAME_LEN).unwrap_or(u64::MAX));
        let padding = unaligned.next_multiple_of(align.max(1)) - unaligned;
        let padding = usize::try_from(padding).unwrap_or(0);
        out.reserve(padding + table_len + FRAME_LEN);
        out.resize(out.len() + padding, 0);
        let table_start = out.len();
        for item in self.items {
            out.extend_from_slice(&item.encode());
        }
        let mut trailer = Frame::new(MAGIC);
        trailer.set_u32(12, crc32fast::hash(&out[table_start..]));
        trailer.set_u64(16, self.identity.store_id);
        trailer.set_u64(24, self.identity.seq);
        trailer.set_u32(32, units(self.records_end));
        trailer.set_u32(36, u32::try_from(self.items.len()).unwrap_or(u32::MAX));
        trailer.set_u64(40, self.latest_ms);
        trailer.set_u64(48, self.synced.seq);
        trailer.set_u32(56, units(self.synced.offset));
        out.extend_from_slice(&trailer.seal());
    }
}

/// What a footer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadFooter {
    pub(crate) records_end: u64,
    pub(crate) latest_ms: u64,
    pub(crate) synced: Position,
    /// In the order of the log.
    pub(crate) items: Vec<Item>,
}

/// Why a segment has no footer to go by.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoFooter {
    /// The segment was never sealed.
    #[error("it was not sealed")]
    Missing,
    /// There is something, and it is not intact or not of this segment.
    #[error("its footer is unusable: {0}")]
    Refused(Refused),
    /// A newer program wrote it.
    #[error("it has format {0}, and this program reads up to format {version}", version = super::VERSION)]
    Newer(u32),
    /// The device fails.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the footer of a segment: two reads, of its trailer and of its table.
pub(crate) fn read_footer(file: &dyn DeviceFile, identity: Identity) -> Result<ReadFooter, NoFooter> {
    let len = file.len()?;
    let Some(table_end) = len.checked_sub(TRAILER_LEN).filter(|&end| end >= RECORDS_START) else {
        return Err(NoFooter::Missing);
    };
    let mut trailer = [0; FRAME_LEN];
    file.read_at(&mut trailer, table_end)?;
    let trailer = Frame::open(trailer, MAGIC).map_err(|refused| match refused {
        Refused::Newer(version) => NoFooter::Newer(version),
        Refused::Damaged => NoFooter::Refused(Refused::Damaged),
        // Records or zeros: nobody came to write a trailer.
        _ => NoFooter::Missing,
    })?;
    if trailer.u64(16) != identity.store_id {
        return Err(NoFooter::Refused(Refused::OtherStore(trailer.u64(16))));
    }
    if trailer.u64(24) != identity.seq {
        return Err(NoFooter::Refused(Refused::OtherSegment(trailer.u64(24))));
    }
    let (records_end, count) = (u64::from(trailer.u32(32)) * UNIT, u64::from(trailer.u32(36)));
    let table_start = table_end.saturating_sub(count * ITEM_LEN as u64);
    if !(RECORDS_START..=table_start.min(SEGMENT_LEN_MAX)).contains(&records_end) {
        return Err(NoFooter::Refused(Refused::Damaged));
    }
    // The table lies within the file, so that no more is allotted than the file is long.
    let mut table = vec![0; usize::try_from(table_end - table_start).map_err(|_| NoFooter::Refused(Refused::Damaged))?];
    file.read_at(&mut table, table_start)?;
    if crc32fast::hash(&table) != trailer.u32(12) {
        return Err(NoFooter::Refused(Refused::Damaged));
    }
    let items = decode_items(&table, records_end).ok_or(NoFooter::Refused(Refused::Damaged))?;
    let synced = Position { seq: trailer.u64(48), offset: u64::from(trailer.u32(56)) * UNIT };
    Ok(ReadFooter { records_end, latest_ms: trailer.u64(40), synced, items })
}

/// The items of a table, if they lie one behind the other before `records_end`.
fn decode_items(table: &[u8], records_end: u64) -> Option<Vec<Item>> {
    let (chunks, _) = table.as_chunks::<ITEM_LEN>();
    let mut items = Vec::with_capacity(chunks.len());
    let mut end = RECORDS_START;
    for chunk in chunks {
        let item = Item::decode(chunk)?;
        let fits = item.offset >= end && item.len >= RECORD_LEN_MIN && item.len <= RECORD_LEN_MAX as u64;
        if !fits || item.len > records_end.saturating_sub(item.offset) {
            return None;
        }
        end = item.offset + item.len;
        items.push(item);
    }
    Some(items)
}
