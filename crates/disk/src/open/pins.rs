//! Pinned entries that a power failure may have damaged.
//!
//! A footer can outlive records of its segment that were not durable, and names them all the same. For most entries that is
//! a miss. A pinned one must be there: if its last version was damaged before it was durable, the version before it counts,
//! which reclaim has not dropped ([`crate::reclaim`]). So pinned records that nobody knows to be durable are read.

use super::found::Found;
use crate::device::Device;
use crate::place::Position;
use crate::record::{self, Kind, Record};
use crate::segment::{self, Identity, SegmentHeader};

/// Headers that are tried.
const LOOK_MAX: usize = 4;

/// Up to where the log was durable when the newest of these segments began.
pub(super) fn known_durable(device: &dyn Device, store_id: u64, seqs: &[u64]) -> Position {
    let headers = seqs.iter().rev().take(LOOK_MAX).filter_map(|&seq| {
        let file = device.open(&segment::file_name(seq)).ok()?;
        SegmentHeader::read(&*file, Identity { store_id, seq }).ok()?.ok()
    });
    headers.map(|header| header.synced).max().unwrap_or_default()
}

/// Takes pinned values out of what was found that stand behind `durable` and do not verify. Returns how many.
pub(super) fn leave_out_damaged(found: &mut Found, store_id: u64, durable: Position) -> u64 {
    let before = found.items.len();
    // What was read record by record has been verified.
    if found.scan.is_none() {
        let (seq, file) = (found.seq, &found.file);
        found.items.retain(|item| {
            let at = Position { seq, offset: item.offset };
            if !item.is_pinned || item.kind != Kind::Value || at < durable {
                return true;
            }
            let Ok(len) = usize::try_from(item.len) else { return false };
            let mut bytes = vec![0; len];
            // A device that fails here says nothing of the record.
            let is_read = file.read_at(&mut bytes, item.offset).is_ok();
            !is_read || Record::decode(&bytes, record::mask(store_id, at)).is_ok()
        });
    }
    u64::try_from(before - found.items.len()).unwrap_or(u64::MAX)
}
