use proptest::prelude::*;

use super::*;

const STORE: u64 = 0x1234_5678_9abc_def0;
const PLACE: Position = Position { seq: 7, offset: 4096 };

fn draft<'a>(key: &'a [u8], value: &'a [u8]) -> Draft<'a> {
    Draft { kind: Kind::Value, namespace: 3, hash: 0xfeed, expires_ms: 1_795_000_000_000, is_pinned: false, key, value }
}

fn placed(draft: &Draft<'_>, position: Position) -> Vec<u8> {
    let mut bytes = Vec::new();
    draft.encode(&mut bytes);
    place(&mut bytes, mask(STORE, position));
    bytes
}

#[test]
fn the_length_is_known_before_the_record_is_written() {
    for (key_len, value_len, len) in [(0, 0, 32), (1, 0, 48), (8, 8, 48), (16, 1, 64), (65_535, 0, 65_568)] {
        let (key, value) = (vec![1; key_len], vec![2; value_len]);
        assert_eq!(draft(&key, &value).len(), len, "{key_len} and {value_len}");
        assert_eq!(placed(&draft(&key, &value), PLACE).len(), len, "{key_len} and {value_len}");
    }
}

#[test]
fn a_flipped_bit_anywhere_is_found() {
    let bytes = placed(&draft(b"key", b"a value of some bytes"), PLACE);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let found = Record::decode(&flipped, mask(STORE, PLACE));
        assert!(found.is_err(), "bit {bit} was not found: {found:?}");
    }
}

#[test]
fn a_record_at_another_place_does_not_verify() {
    let bytes = placed(&draft(b"key", b"value"), PLACE);
    assert!(Record::decode(&bytes, mask(STORE, PLACE)).is_ok());
    for other in [
        mask(STORE + 1, PLACE),
        mask(STORE, Position { seq: 8, ..PLACE }),
        mask(STORE, Position { offset: 4112, ..PLACE }),
        mask(STORE, Position { seq: 4096, offset: 7 }),
        0,
    ] {
        assert_eq!(Record::decode(&bytes, other), Err(Damaged::Checksum));
    }
}

#[test]
fn neighbouring_places_have_masks_of_their_own() {
    let offsets = 0..100_000;
    let mut masks: Vec<u32> =
        offsets.clone().map(|unit| mask(STORE, Position { seq: 1, offset: unit * UNIT })).collect();
    masks.sort_unstable();
    masks.dedup();
    // Of 100,000 random numbers of 32 bits, one or two pairs are the same.
    assert!(masks.len() > 99_990, "{} of {} masks differ", masks.len(), offsets.end);
}

#[test]
fn what_is_cut_off_is_no_record() {
    let bytes = placed(&draft(b"key", b"a value"), PLACE);
    for len in 0..bytes.len() {
        assert_eq!(Record::decode(&bytes[..len], mask(STORE, PLACE)), Err(Damaged::CutOff), "{len} bytes");
    }
}

#[test]
fn zeros_are_no_record() {
    assert_eq!(Record::decode(&[0; 64], 0), Err(Damaged::NotARecord));
}

#[test]
fn an_expiry_beyond_48_bits_is_cut_to_the_latest() {
    let bytes = placed(&Draft { expires_ms: u64::MAX, ..draft(b"key", b"value") }, PLACE);
    let record = Record::decode(&bytes, mask(STORE, PLACE)).unwrap();
    assert_eq!((record.expires_ms, record.key), (EXPIRES_MS_MAX, &b"key"[..]));
}

#[test]
fn padding_is_a_record_that_says_nothing() {
    for len in [32, 48, 4096, 4112] {
        let mut bytes = Vec::new();
        encode_padding(len, &mut bytes);
        place(&mut bytes, mask(STORE, PLACE));
        let record = Record::decode(&bytes, mask(STORE, PLACE)).unwrap();
        assert_eq!((record.kind, record.len, record.key.len()), (Kind::Padding, len, 0));
    }
}

#[test]
fn padding_can_say_up_to_where_the_log_was_durable() {
    let synced = Position { seq: 5, offset: 640 };
    for (len, expected) in [(32, Position::default()), (48, synced), (4096, synced)] {
        let mut bytes = Vec::new();
        encode_mark(len, synced, &mut bytes);
        assert_eq!(Record::decode(&bytes, 0).unwrap().synced(), expected, "{len} bytes");
    }
    let value = placed(&draft(b"", &[1; 16]), PLACE);
    assert_eq!(Record::decode(&value, mask(STORE, PLACE)).unwrap().synced(), Position::default());
}

#[test]
fn a_header_that_breaks_a_rule_is_damaged_though_its_checksum_fits() {
    let mut value = Vec::new();
    draft(b"", b"").encode(&mut value);
    let mut tombstone = Vec::new();
    Draft::tombstone(1, 2).encode(&mut tombstone);
    let broken: [(&[u8], usize, u8); 6] =
        [(&value, 6, 0), (&value, 6, 4), (&value, 7, 2), (&value, 15, 0xff), (&tombstone, 7, 1), (&tombstone, 12, 1)];
    for (bytes, at, byte) in broken {
        let mut bytes = bytes.to_vec();
        bytes[at] = byte;
        sign(&mut bytes);
        assert_eq!(Record::decode(&bytes, 0), Err(Damaged::Header), "byte {at} = {byte}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        namespace: u32, hash: u64, expires_ms in 0..=EXPIRES_MS_MAX, is_pinned: bool,
        key in proptest::collection::vec(any::<u8>(), 0..300), value in proptest::collection::vec(any::<u8>(), 0..3000),
        seq: u64, units in 0_u64..1 << 24, store_id: u64, before in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let draft = Draft { kind: Kind::Value, namespace, hash, expires_ms, is_pinned, key: &key, value: &value };
        let mask = mask(store_id, Position { seq, offset: units * UNIT });
        let mut bytes = before.clone();
        draft.encode(&mut bytes);
        place(&mut bytes[before.len()..], mask);
        prop_assert_eq!(bytes.len() - before.len(), draft.len());
        prop_assert_eq!(&bytes[..before.len()], &before[..]);
        bytes.extend_from_slice(b"something else");
        let record = Record::decode(&bytes[before.len()..], mask);
        let expected = Record { kind: Kind::Value, namespace, hash, expires_ms, is_pinned, key: &key, value: &value, len: draft.len() };
        prop_assert_eq!(record, Ok(expected));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), mask: u32) {
        let mut signed = bytes.clone();
        if signed.len() >= HEADER_LEN {
            signed[4..6].copy_from_slice(&MAGIC);
            signed[6] = signed[6] % 3 + 1;
            sign(&mut signed);
        }
        for bytes in [bytes, signed] {
            if let Ok(record) = Record::decode(&bytes, mask) {
                prop_assert!(record.len <= bytes.len() && record.key.len() + record.value.len() <= bytes.len());
            }
        }
    }
}
