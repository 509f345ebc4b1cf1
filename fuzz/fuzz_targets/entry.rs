//! Any bytes as an entry, as they are and with the head of either version and a checksum that fits: nothing panics, nothing unpacks beyond its limits, and
//! whatever is taken for an entry is written the same again.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the library's own module, of which this uses a part")]

#[path = "../../crates/scrubjay/src"]
mod library {
    pub(crate) mod entry;
}

use libfuzzer_sys::fuzz_target;
use library::entry::{self, CHECKSUM_LEN, Compression, Draft, Entry, HEADER_LEN, ORIGINAL_LEN_MAX, Packing};

fuzz_target!(|input: &[u8]| {
    check(input);
    for version in [1, 2] {
        let mut signed = [b"SJ", &[version][..], input].concat();
        signed.extend_from_slice(&crc32fast::hash(&signed).to_le_bytes());
        check(&signed);
    }
});

fn check(bytes: &[u8]) {
    assert!(entry::key_of(bytes).len() <= bytes.len());
    let Ok(entry) = Entry::parse(bytes) else { return };
    assert!(bytes.len() >= HEADER_LEN + CHECKSUM_LEN);
    assert_eq!(Entry::glance(bytes), Ok(entry));
    assert_eq!(Entry::open(bytes, entry.key, entry.identity), Ok(entry));
    assert_eq!(entry::key_of(bytes), entry.key);
    let mut scratch = Vec::new();
    let payload = entry.payload(&mut scratch);
    let tags: Vec<&str> = entry.tags.collect();
    let Entry { identity, key, times, cost, local, shared, .. } = entry;
    let draft = Draft { identity, key, times, cost, local, shared, tags: &tags };
    let mut again = Vec::new();
    match payload {
        Ok(None) => draft.encode_absent(&mut again).unwrap(),
        Ok(Some(payload)) => {
            assert!(payload.len() <= ORIGINAL_LEN_MAX);
            let packing = Packing { compression: entry.compression(), len_min: 0 };
            let write = |out: &mut Vec<u8>| -> Result<(), ()> {
                out.extend_from_slice(payload);
                Ok(())
            };
            draft.encode(&mut again, packing, write).unwrap();
        }
        Err(_) => {
            assert!(entry.compression() != Compression::None);
            return;
        }
    }
    if entry.compression() == Compression::None {
        assert_eq!(again, bytes);
    }
    let again = Entry::parse(&again).unwrap();
    assert_eq!((again.identity, again.key, again.times, again.shared), (identity, key, times, shared));
    assert_eq!((again.cost, again.local, again.tags, again.is_absent()), (cost, local, entry.tags, entry.is_absent()));
}
