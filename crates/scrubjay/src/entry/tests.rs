use super::decode::Flaw;
use super::*;
use proptest::prelude::*;

const IDENTITY: Identity<'static> = Identity { namespace: "users", schema: 3, codec: 1 };
const PLAIN: Packing = Packing { compression: Compression::None, len_min: 1024 };

fn draft<'a>(key: &'a [u8], tags: &'a [&'a str]) -> Draft<'a> {
    let times = Times { stored_at_ms: 1_000, fresh_until_ms: 61_000, stale_until_ms: 121_000 };
    Draft { identity: IDENTITY, key, times, cost: 2, local: Some(Local { born: 9, weight: 77 }), shared: None, tags }
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
    newer[2] = 3;
    assert_eq!(Entry::parse(&newer).unwrap_err(), Refused::NewerFormat(3));
}

/// An example of docs/entry-format.md, as it stands there.
fn documented(fence: &str) -> Vec<u8> {
    let document = include_str!("../../../../docs/entry-format.md");
    let example = document.split(fence).nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let columns = example.lines().filter_map(|line| line.split('|').next());
    let digits: String = columns.flat_map(str::chars).filter(char::is_ascii_hexdigit).collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn the_documented_examples_are_entries() {
    let times =
        Times { stored_at_ms: 1_795_000_000_000, fresh_until_ms: 1_795_000_300_000, stale_until_ms: 1_795_000_360_000 };
    let born = SharedBorn { generation: 0xa1, sequence: 5 };
    for (fence, shared) in [("```hex\n", None), ("```hex2\n", Some(born))] {
        let draft = Draft {
            identity: Identity { namespace: "users", schema: 3, codec: 2 },
            key: b"42",
            times,
            cost: 1,
            local: None,
            shared,
            tags: &["team:7"],
        };
        let bytes = encoded(&draft, PLAIN, br#"{"name":"Ada"}"#);
        let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(bytes == documented(fence), "docs/entry-format.md should have\n{}", hex.join(" "));
        let entry = Entry::open(&bytes, b"42", draft.identity).unwrap();
        assert_eq!((entry.times, entry.cost, entry.local, entry.shared), (times, 1, None, shared));
        assert_eq!(entry.payload(&mut Vec::new()).unwrap(), Some(&br#"{"name":"Ada"}"#[..]));
    }
}

#[test]
fn the_shared_part_and_version_2_come_together() {
    let with = Draft { shared: Some(SharedBorn { generation: 7, sequence: 9 }), ..draft(b"42", &["x"]) };
    let (with, without) = (encoded(&with, PLAIN, b"payload"), encoded(&draft(b"42", &["x"]), PLAIN, b"payload"));
    assert_eq!((with[2], without[2]), (2, 1));
    for (mut bytes, version) in [(with, 1), (without, 2)] {
        bytes[2] = version;
        assert_eq!(Entry::parse(&signed(bytes)), Err(Refused::Corrupt(Flaw::Header)));
    }
}

/// The reader that docs/entry-format.md gives for another language reads what this one writes.
#[test]
fn the_documented_reader_in_python_reads_both_examples() {
    let document = include_str!("../../../../docs/entry-format.md");
    let reader = document.split("```python").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let hex = |fence| documented(fence).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let asserts = format!(
        "one, two = (read_entry(bytes.fromhex(text)) for text in ('{}', '{}'))
assert one['value'] == two['value'] == b'{{\"name\":\"Ada\"}}', one
assert one['tags'] == two['tags'] == ['team:7'], two
assert (one['shared'], two['shared']) == (None, (0xa1, 5)), two
",
        hex("```hex\n"),
        hex("```hex2\n"),
    );
    let run = std::process::Command::new("python3").arg("-c").arg(format!("{reader}\n{asserts}")).output();
    let Ok(output) = run else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn payloads_are_packed_only_if_that_pays() {
    let noise: Vec<u8> = (0_u32..4096).map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
    let noise: Vec<u8> = noise.iter().zip(page(4096)).map(|(a, b)| a.wrapping_mul(171) ^ b.rotate_left(3)).collect();
    for compression in [Compression::Lz4, Compression::Zstd] {
        let packing = Packing { compression, len_min: 1024 };
        for (payload, expected) in [
            (page(1023), Compression::None),
            (page(1024), compression),
            (page(1 << 20), compression),
            (noise.clone(), Compression::None),
            (Vec::new(), Compression::None),
        ] {
            let bytes = encoded(&draft(b"k", &[]), packing, &payload);
            let entry = Entry::parse(&bytes).unwrap();
            assert_eq!(entry.compression(), expected, "{compression:?} of {} bytes", payload.len());
            assert!(bytes.len() <= payload.len() + 100);
            assert_eq!(entry.payload(&mut vec![7; 10]).unwrap(), Some(payload.as_slice()));
        }
    }
}

#[test]
fn an_absent_value_has_no_payload() {
    let mut bytes = Vec::new();
    draft(b"k", &["t"]).encode_absent(&mut bytes).unwrap();
    let entry = Entry::open(&bytes, b"k", IDENTITY).unwrap();
    assert!(entry.is_absent());
    assert_eq!(entry.payload(&mut Vec::new()), Ok(None));
    let empty = encoded(&draft(b"k", &["t"]), PLAIN, b"");
    assert_eq!(Entry::parse(&empty).unwrap().payload(&mut Vec::new()), Ok(Some(&b""[..])));
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    for packing in [PLAIN, Packing { compression: Compression::Lz4, len_min: 16 }] {
        let bytes = encoded(&draft(b"user:42", &["team:7", "x"]), packing, &page(300));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let refused = Entry::parse(&flipped).unwrap_err();
            assert!(matches!(refused, Refused::Corrupt(_) | Refused::NewerFormat(_)), "bit {bit}: {refused:?}");
        }
        for len in 0..bytes.len() {
            assert!(matches!(Entry::parse(&bytes[..len]), Err(Refused::Corrupt(_))), "cut at {len}");
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        assert!(matches!(Entry::parse(&longer), Err(Refused::Corrupt(_))));
    }
}

#[test]
fn what_no_writer_says_is_refused_even_if_it_is_signed() {
    let good = encoded(&draft(b"42", &["team:7"]), PLAIN, b"payload");
    assert!(Entry::parse(&signed(good.clone())).is_ok());
    let forged = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Entry::parse(&signed(bytes)).map(drop)
    };
    for (at, byte, flaw) in [
        (3, 0b1001_1000, Flaw::Header),
        (3, 0b0001_1011, Flaw::Header),
        (3, 0b0001_1001, Flaw::Lengths),
        (3, 0b0001_1100, Flaw::Lengths),
        (5, 6, Flaw::Header),
        (7, 0xff, Flaw::Lengths),
        (12, 6, Flaw::Lengths),
        (15, 0xff, Flaw::Lengths),
        (26, 4, Flaw::Header),
        (27, 1, Flaw::Header),
        (28, 8, Flaw::Lengths),
        (31, 0xff, Flaw::Lengths),
        (34, 0xff, Flaw::Text),
        (46, 0x10, Flaw::Header),
    ] {
        assert_eq!(forged(at, byte), Err(Refused::Corrupt(flaw)), "byte {at} as {byte:#x}");
    }
}

#[test]
fn nothing_is_allocated_because_a_length_says_so() {
    for compression in [Compression::Lz4, Compression::Zstd] {
        let mut bytes = encoded(&draft(b"42", &[]), Packing { compression, len_min: 16 }, &page(2_000));
        let packed_len = Entry::parse(&bytes).map(|entry| entry.compression()).unwrap();
        assert_eq!(packed_len, compression);
        bytes[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Entry::parse(&signed(bytes.clone())), Err(Refused::Corrupt(Flaw::Lengths)));
        bytes[28..32].copy_from_slice(&2_001_u32.to_le_bytes());
        let bytes = signed(bytes);
        let entry = Entry::parse(&bytes).unwrap();
        assert_eq!(entry.payload(&mut Vec::new()), Err(Refused::Corrupt(Flaw::Payload)));
    }
}

#[test]
fn limits_hold_at_the_limit_and_not_one_above() {
    let write = |_: &mut Vec<u8>| -> Result<(), ()> { Ok(()) };
    let fits = |draft: Draft<'_>| {
        let mut out = b"before".to_vec();
        let result = draft.encode(&mut out, PLAIN, write);
        assert!(result.is_ok() || out == b"before");
        result.is_ok_and(|()| Entry::parse(&out[6..]).is_ok())
    };
    let (key, name) = (vec![b'k'; KEY_LEN_MAX + 1], "n".repeat(NAMESPACE_LEN_MAX + 1));
    let tag = "t".repeat(TAG_LEN_MAX + 1);
    let base = draft(b"k", &[]);
    assert!(fits(Draft { key: &key[1..], ..base }) && !fits(Draft { key: &key, ..base }));
    let named = |namespace| Draft { identity: Identity { namespace, ..IDENTITY }, ..base };
    assert!(fits(named(&name[1..])) && !fits(named(&name)));
    let tags = [&tag[1..]; TAGS_MAX + 1];
    assert!(fits(Draft { tags: &tags[1..], ..base }) && !fits(Draft { tags: &tags, ..base }));
    assert!(!fits(Draft { tags: &[&tag], ..base }) && !fits(Draft { tags: &[""], ..base }));
    let long = |out: &mut Vec<u8>, len: usize| -> Result<(), ()> {
        out.resize(out.len() + len, 0);
        Ok(())
    };
    assert_eq!(base.encode(&mut Vec::new(), PLAIN, |out| long(out, ORIGINAL_LEN_MAX)), Ok(()));
    let above = base.encode(&mut Vec::new(), PLAIN, |out| long(out, ORIGINAL_LEN_MAX + 1));
    assert_eq!(above, Err(NotEncoded::TooLarge));
    let refused = base.encode(&mut Vec::new(), PLAIN, |_| Err("no"));
    assert_eq!(refused, Err(NotEncoded::Payload("no")));
}

#[test]
fn times_come_back_through_the_same_anchor() {
    let anchor = Anchor::new(5_000, 1_795_000_000_000);
    let times = Times { stored_at_ms: 4_000, fresh_until_ms: 64_000, stale_until_ms: 124_000 };
    assert_eq!(anchor.to_unix(times).stored_at_ms, 1_794_999_999_000);
    assert_eq!(anchor.to_clock(anchor.to_unix(times)), times);
    assert_eq!(anchor.to_clock(Times::default()), Times::default());
    // Before this clock's start is past, not never.
    assert_eq!(anchor.to_clock(Times { stored_at_ms: 0, fresh_until_ms: 7, stale_until_ms: 8 }).fresh_until_ms, 1);
    let never_ending = Times { stored_at_ms: 0, fresh_until_ms: u64::MAX, stale_until_ms: u64::MAX };
    assert_eq!(anchor.to_clock(never_ending).fresh_until_ms, CLOCK_MS_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_entry_comes_back(
        key in any::<Vec<u8>>(), namespace in "[a-zß]{0,20}", schema in any::<u32>(), codec in any::<u8>(),
        times in any::<[u64; 3]>(), cost in 0_u8..=3, local in any::<Option<(u64, u32)>>(),
        shared in any::<Option<(u64, u64)>>(),
        tags in proptest::collection::vec("[a-zé:]{1,30}", 0..5), payload in any::<Vec<u8>>(), repeat in 1_usize..50,
        compression in proptest::sample::select(vec![Compression::None, Compression::Lz4, Compression::Zstd]),
    ) {
        let times = Times { stored_at_ms: times[0], fresh_until_ms: times[1], stale_until_ms: times[2] }.ordered();
        let identity = Identity { namespace: &namespace, schema, codec };
        let local = local.map(|(born, weight)| Local { born, weight });
        let shared = shared.map(|(generation, sequence)| SharedBorn { generation, sequence });
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        let draft = Draft { identity, key: &key, times, cost, local, shared, tags: &tags };
        let payload = payload.repeat(repeat);
        let bytes = encoded(&draft, Packing { compression, len_min: 64 }, &payload);
        let entry = Entry::open(&bytes, &key, identity).unwrap();
        prop_assert_eq!((entry.times, entry.cost, entry.local, entry.shared), (times, cost, local, shared));
        prop_assert!(entry.tags.eq(tags));
        let mut scratch = Vec::new();
        prop_assert_eq!(entry.payload(&mut scratch).unwrap(), Some(payload.as_slice()));
        prop_assert_eq!(key_of(&bytes), key);
        prop_assert_eq!(Entry::glance(&bytes), Ok(entry));
    }

    #[test]
    fn several_flipped_bytes_are_noticed(
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        flips in proptest::collection::vec((any::<proptest::sample::Index>(), 1_u8..), 1..6),
    ) {
        let bytes = encoded(&draft(b"key", &["tag"]), PLAIN, &payload);
        let mut flipped = bytes.clone();
        for (at, mask) in flips {
            let at = at.index(flipped.len());
            flipped[at] ^= mask;
        }
        prop_assert!(flipped == bytes || Entry::parse(&flipped).is_err());
    }

    #[test]
    fn signed_nonsense_neither_panics_nor_lies(
        payload in proptest::collection::vec(any::<u8>(), 0..100),
        flips in proptest::collection::vec((3_usize..70, any::<u8>()), 1..6),
        compression in proptest::sample::select(vec![Compression::None, Compression::Lz4, Compression::Zstd]),
    ) {
        let packing = Packing { compression, len_min: 32 };
        let mut bytes = encoded(&draft(b"key", &["tag"]), packing, &payload.repeat(8));
        for (at, byte) in flips {
            let at = at % (bytes.len() - CHECKSUM_LEN);
            bytes[at] = byte;
        }
        let bytes = signed(bytes);
        key_of(&bytes);
        if let Ok(entry) = Entry::parse(&bytes) {
            let mut scratch = Vec::new();
            if let Ok(Some(payload)) = entry.payload(&mut scratch) {
                prop_assert!(payload.len() <= ORIGINAL_LEN_MAX);
            }
            prop_assert!(entry.tags.count() <= TAGS_MAX);
        }
    }
}
