//! The bytes of the manifest, written and read: the pictures are in [`super`].
//!
//! Nothing that is read here panics.

use std::collections::BTreeMap;

use super::{Known, NAMESPACE_ID_MAX, StoreIdentity};
use crate::place::{Position, UNIT};
use crate::record;
use crate::segment::{FRAME_LEN, Frame, Refused, SEGMENT_LEN_MAX, SEQ_MAX};

const MAGIC: [u8; 8] = *b"SJ-MANIF";
const RECORD_MAGIC: [u8; 2] = *b"MJ";
const KIND_NAMESPACE: u8 = 1;
const RECORD: u8 = 0;
const COPY: u8 = 1;
const RECORD_HEADER_LEN: usize = 40;
const NAME_LEN_MAX: usize = 255;
const UNIT_LEN: usize = 16;
/// The masks of the manifest's records are those of a segment that cannot be.
const SEQ: u64 = u64::MAX;

const _: () = assert!(UNIT == UNIT_LEN as u64);

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) identity: StoreIdentity,
    pub(crate) namespaces: BTreeMap<u32, Known>,
    pub(crate) latest_ms: u64,
    /// Where the last record ends.
    pub(crate) end: usize,
    /// Bytes behind the end up to the last one that is not zero.
    pub(crate) torn_bytes: u64,
    /// Whether records follow on bytes that do not verify.
    pub(crate) is_damaged: bool,
    /// Bytes that do not verify, but say what a copy says.
    pub(crate) made_good_bytes: u64,
}

/// Bytes of a manifest that says of each of these namespaces what is to be said.
pub(crate) fn encoded_len<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    FRAME_LEN + names.map(|name| 2 * record_len(name.len())).sum::<usize>()
}

/// A manifest that says this.
pub(crate) fn encode(identity: &StoreIdentity, namespaces: &BTreeMap<u32, Known>, latest_ms: u64) -> Vec<u8> {
    let mut header = Frame::new(MAGIC);
    header.set_u64(16, identity.store_id);
    header.set_u64(24, identity.hash_seed);
    header.set_u64(32, identity.segment_len);
    header.set_u64(40, identity.created_ms);
    let mut out = header.seal().to_vec();
    for (&id, known) in namespaces {
        encode_namespace(identity, id, known, latest_ms, &mut out);
    }
    out
}

/// Appends a record to a manifest, and its copy.
pub(crate) fn encode_namespace(
    identity: &StoreIdentity,
    id: u32,
    known: &Known,
    latest_ms: u64,
    manifest: &mut Vec<u8>,
) {
    encode_record(identity, id, known, latest_ms, RECORD, manifest);
    encode_record(identity, id, known, latest_ms, COPY, manifest);
}

fn encode_record(identity: &StoreIdentity, id: u32, known: &Known, latest_ms: u64, copy: u8, manifest: &mut Vec<u8>) {
    let start = manifest.len();
    let name = known.name.as_bytes();
    manifest.extend_from_slice(&[0; 4]);
    manifest.extend_from_slice(&RECORD_MAGIC);
    manifest.extend_from_slice(&[KIND_NAMESPACE, copy]);
    manifest.extend_from_slice(&id.to_le_bytes());
    manifest.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_le_bytes());
    for number in [latest_ms, known.cleared.seq, known.cleared.offset] {
        manifest.extend_from_slice(&number.to_le_bytes());
    }
    manifest.extend_from_slice(name);
    manifest.resize(start + record_len(name.len()), 0);
    let record = &mut manifest[start..];
    let crc = crc32fast::hash(&record[4..]) ^ mask(identity, start);
    record[..4].copy_from_slice(&crc.to_le_bytes());
}

/// What the bytes of a manifest say, or why they are none.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents, Refused> {
    let header = Frame::open(*bytes.first_chunk::<FRAME_LEN>().ok_or(Refused::Blank)?, MAGIC)?;
    let identity = StoreIdentity {
        store_id: header.u64(16),
        hash_seed: header.u64(24),
        segment_len: header.u64(32),
        created_ms: header.u64(40),
    };
    let mut contents = Contents {
        identity,
        namespaces: BTreeMap::new(),
        latest_ms: identity.created_ms,
        end: FRAME_LEN,
        torn_bytes: 0,
        is_damaged: false,
        made_good_bytes: 0,
    };
    // The length of the last record, if its copy has not come yet.
    let mut copy_due = 0;
    while let Some((start, record)) = next_record(&identity, bytes, contents.end) {
        // Nothing is lost with a copy whose record was read, nor with a record whose copy comes next.
        let original = if record.is_copy { record.len } else { 0 };
        let unknown = start - contents.end;
        if [0, copy_due, original, copy_due + original].contains(&unknown) {
            contents.made_good_bytes += u64::try_from(unknown).unwrap_or(u64::MAX);
        } else {
            contents.distrust();
        }
        copy_due = if record.is_copy { 0 } else { record.len };
        contents.latest_ms = contents.latest_ms.max(record.time_ms);
        contents.end = start + record.len;
        contents.take(record);
    }
    let tail = &bytes[contents.end..];
    let torn = tail.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    contents.torn_bytes = u64::try_from(torn).unwrap_or(u64::MAX);
    Ok(contents)
}

impl Contents {
    /// Anything may have been said of anybody.
    fn distrust(&mut self) {
        self.is_damaged = true;
        self.namespaces.values_mut().for_each(|known| known.is_distrusted = true);
    }

    /// The last word on a namespace counts.
    fn take(&mut self, record: ReadRecord<'_>) {
        let name = record.name.to_owned();
        self.namespaces.insert(record.id, Known { name, cleared: record.cleared, is_distrusted: false });
    }
}

struct ReadRecord<'a> {
    is_copy: bool,
    id: u32,
    time_ms: u64,
    cleared: Position,
    name: &'a str,
    len: usize,
}

/// The first record at `from` or behind, and where it stands.
fn next_record<'a>(identity: &StoreIdentity, bytes: &'a [u8], from: usize) -> Option<(usize, ReadRecord<'a>)> {
    let starts = (from..bytes.len()).step_by(UNIT_LEN);
    starts.into_iter().find_map(|start| Some((start, read_record(identity, bytes, start)?)))
}

fn read_record<'a>(identity: &StoreIdentity, bytes: &'a [u8], start: usize) -> Option<ReadRecord<'a>> {
    let (header, rest) = bytes.get(start..)?.split_first_chunk::<RECORD_HEADER_LEN>()?;
    let words = header.as_chunks::<8>().0;
    let half = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (id, name_len) = (half(8), usize::try_from(half(12)).ok()?);
    let is_well_formed =
        header[4..6] == RECORD_MAGIC && header[6] == KIND_NAMESPACE && [RECORD, COPY].contains(&header[7]);
    if !is_well_formed || !(1..=NAME_LEN_MAX).contains(&name_len) || !(1..=NAMESPACE_ID_MAX).contains(&id) {
        return None;
    }
    let len = record_len(name_len);
    let record = bytes.get(start..start.checked_add(len)?)?;
    if crc32fast::hash(&record[4..]) ^ mask(identity, start) != half(0) {
        return None;
    }
    let [_, _, time, seq, offset] = words else { return None };
    let cleared = Position { seq: u64::from_le_bytes(*seq), offset: u64::from_le_bytes(*offset) };
    if cleared.seq > SEQ_MAX || cleared.offset > SEGMENT_LEN_MAX {
        return None;
    }
    Some(ReadRecord {
        is_copy: header[7] == COPY,
        id,
        time_ms: u64::from_le_bytes(*time),
        cleared,
        name: std::str::from_utf8(rest.get(..name_len)?).ok()?,
        len,
    })
}

fn record_len(name_len: usize) -> usize {
    (RECORD_HEADER_LEN + name_len).next_multiple_of(UNIT_LEN)
}

fn mask(identity: &StoreIdentity, start: usize) -> u32 {
    record::mask(identity.store_id, Position { seq: SEQ, offset: u64::try_from(start).unwrap_or(u64::MAX) })
}
