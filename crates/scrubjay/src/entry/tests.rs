use super::*;
use proptest::prelude::*;

const IDENTITY: Identity<'static> = Identity { namespace: "users", schema: 3, codec: 1 };
const PLAIN: Packing = Packing { compression: Compression::None, len_min: 1024 };

fn draft<'a>(key: &'a [u8], tags: &'a [&'a str]) -> Draft<'a> {
    let times = Times { stored_at_ms: 1_000, fresh_until_ms: 61_000, stale_until_ms: 121_000 };
    Draft { identity: IDENTITY, key, times, cost: 2, local: Some(Local { born: 9, weight: 77 }), tags }
}

fn encoded(draft: &Draft<'_>, packing: Packing, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let write = |out: &mut Vec<u8>| -> Result<(), ()> {
        out.extend_from_slice(payload);
        Ok(())
    };
    draft.encode(&mut out, packing, write).unwrap();
    out
}

fn page(len: usize) -> Vec<u8> {
    b"all work and no play makes jack a dull jay. ".iter().copied().cycle().take(len).collect()
}

/// Signs `bytes` again, as somebody who forges an entry does.
fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - CHECKSUM_LEN;
    let checksum = crc32fast::hash(&bytes[..body]).to_le_bytes();
    bytes[body..].copy_from_slice(&checksum);
    bytes
}

#[test]
fn what_is_written_is_read() {
    let bytes = encoded(&draft(b"42", &["team:7", "x"]), PLAIN, b"payload");
    let entry = Entry::open(&bytes, b"42", IDENTITY).unwrap();
    assert_eq!((entry.identity, entry.key, entry.cost), (IDENTITY, &b"42"[..], 2));
    assert_eq!(entry.local, Some(Local { born: 9, weight: 77 }));
    assert_eq!(entry.times, Times { stored_at_ms: 1_000, fresh_until_ms: 61_000, stale_until_ms: 121_000 });
    assert!(entry.tags.eq(["team:7", "x"]));
    assert_eq!(entry.payload(&mut Vec::new()), Ok(Some(&b"payload"[..])));
    assert_eq!(key_of(&bytes), b"42");
}

#[test]
fn a_reader_refuses_what_is_not_its_own() {
    let bytes = encoded(&draft(b"42", &[]), PLAIN, b"payload");
    let open = |key: &[u8], identity| Entry::open(&bytes, key, identity).unwrap_err();
    assert_eq!(open(b"43", IDENTITY), Refused::ForeignKey);
    assert_eq!(open(b"42", Identity { namespace: "user", ..IDENTITY }), Refused::OtherNamespace);
    assert_eq!(open(b"42", Identity { schema: 4, ..IDENTITY }), Refused::OtherSchema(3));
    assert_eq!(open(b"42", Identity { codec: 2, ..IDENTITY }), Refused::OtherCodec(1));
    let mut newer = bytes.clone();
    newer[2] = 2;
    assert_eq!(Entry::parse(&newer).unwrap_err(), Refused::NewerFormat(2));
}
