//! The examples of docs/disk-format.md, as they stand there.

use std::collections::BTreeMap;

use super::MemoryFile;
use crate::manifest::{self, Known, StoreIdentity};
use crate::place::Position;
use crate::record::{self, Draft, Kind, Record};
use crate::segment::{Footer, Identity, Item, Previous, SegmentHeader, read_footer, scan};

const STORE: u64 = 0x0123_4567_89ab_cdef;
const WHO: Identity = Identity { store_id: STORE, seq: 42 };

/// The bytes of the document's so-manieth example.
fn documented(number: usize) -> Vec<u8> {
    let document = include_str!("../../../../../docs/disk-format.md");
    let example = document.split("```hex").nth(number).and_then(|rest| rest.split("```").next()).unwrap();
    let columns = example.lines().filter_map(|line| line.split('|').next());
    let digits: String = columns.flat_map(str::chars).filter(char::is_ascii_hexdigit).collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn check(number: usize, bytes: &[u8]) {
    let lines: Vec<String> = bytes
        .chunks(16)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    assert!(bytes == documented(number), "docs/disk-format.md should have\n{}", lines.join("\n"));
}

#[test]
fn the_documented_segment_is_one() {
    let synced = Position { seq: 42, offset: 64 };
    let previous = Previous { end: 0x3f_fe00, skipped: 0 };
    let header = SegmentHeader { store_id: STORE, seq: 42, created_ms: 1_794_000_000_000, synced, previous };
    let mut bytes = header.encode().to_vec();
    let value = Draft {
        kind: Kind::Value,
        namespace: 3,
        hash: crate::store::hash(7, 3, b"42"),
        expires_ms: 1_795_000_000_000,
        is_pinned: false,
        key: b"42",
        value: br#"{"name":"Ada"}"#,
    };
    let mut items = Vec::new();
    for draft in [value, Draft::tombstone(3, crate::store::hash(7, 3, b"41"))] {
        let start = bytes.len();
        let place = record::mask(STORE, Position { seq: 42, offset: start as u64 });
        draft.encode(&mut bytes);
        record::place(&mut bytes[start..], place);
        items.extend(Item::of(&Record::decode(&bytes[start..], place).unwrap(), start as u64));
    }
    let records_end = bytes.len() as u64;
    Footer { identity: WHO, records_end, latest_ms: 1_794_000_060_000, synced, items: &items }.encode(1, &mut bytes);
    check(1, &bytes);
    let file = MemoryFile::holding(bytes);
    assert_eq!(read_footer(&file, WHO).unwrap().items, items);
    assert_eq!(scan(&file, WHO).unwrap().items, items);
}

#[test]
fn the_documented_manifest_is_one() {
    let identity = StoreIdentity { store_id: STORE, hash_seed: 7, segment_len: 4 << 20, created_ms: 1_794_000_000_000 };
    let cleared = Position { seq: 41, offset: 64 };
    let known = Known { name: "users".to_owned(), cleared, is_distrusted: false };
    let namespaces = BTreeMap::from([(3, known)]);
    let bytes = manifest::encode(&identity, &namespaces, 1_794_000_030_000);
    check(2, &bytes);
    let contents = manifest::read(&bytes).unwrap();
    assert_eq!((contents.identity, contents.namespaces), (identity, namespaces));
}
