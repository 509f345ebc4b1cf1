//! Files as a whole: what was written is read, and what is damaged is refused.

use super::{Options, PayloadError, Problem, Record, Totals, Writer, dump, read, restore};

type Entry = (u64, Vec<u8>, Vec<u8>, Option<u64>);

fn write(entries: &[Entry], compress: bool, checksum: bool) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), Options { compress, checksum });
    writer.aux("redis-bits", "64");
    let mut database = None;
    for (db, key, value, expires_at_ms) in entries {
        if database.replace(*db) != Some(*db) {
            writer.database(u16::try_from(*db).expect("a database"), 1, 0);
        }
        writer.entry(key, value, *expires_at_ms);
    }
    writer.finish().expect("memory does not fail")
}

fn load(file: &[u8]) -> Result<Vec<Entry>, Problem> {
    let mut entries = Vec::new();
    let visit = |record: Record<'_>| {
        entries.push((record.database, record.key.to_vec(), record.value.to_vec(), record.expires_at_ms));
        Ok(())
    };
    let totals = read(file, true, visit).map_err(|error| error.problem)?;
    assert_eq!(totals, Totals { keys: entries.len() as u64, bytes: file.len() as u64 });
    Ok(entries)
}

fn samples() -> Vec<Entry> {
    let values: [&[u8]; 22] = [
        b"",
        b"0",
        b"-0",
        b"+1",
        b"007",
        b"12",
        b"-128",
        b"128",
        b"-32768",
        b"32768",
        b"2147483647",
        b"-2147483648",
        b"2147483648",
        b"9223372036854775807",
        b"1.5",
        b"text",
        b"\0\xff\r\n",
        &[b'z'; 63],
        &[b'z'; 64],
        &[7; 16_383],
        &[8; 16_384],
        &[9; 300_000],
    ];
    let mut entries: Vec<Entry> = (0_u64..)
        .zip(values)
        .map(|(n, value)| (n / 8, format!("key:{n}").into_bytes(), value.to_vec(), (n % 3 == 0).then_some(n << 40)))
        .collect();
    let noise = (0_u32..400_000).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    entries.push((3, vec![b'k'; 70_000], noise, None));
    entries
}

fn small() -> Vec<Entry> {
    vec![
        (0, b"a".to_vec(), b"12345".to_vec(), None),
        (0, b"b".to_vec(), b"some text".to_vec(), Some(1_900_000_000_000)),
        (5, b"packed".to_vec(), vec![b'p'; 100], None),
    ]
}

#[test]
fn what_was_written_is_read_whatever_the_options() {
    for (compress, checksum) in [(false, false), (false, true), (true, false), (true, true)] {
        assert_eq!(load(&write(&samples(), compress, checksum)).expect("whole"), samples());
    }
    assert!(write(&samples(), true, true).len() + 300_000 < write(&samples(), false, true).len());
}

#[test]
fn every_truncation_is_refused() {
    let file = write(&small(), true, true);
    for len in 0..file.len() {
        assert!(matches!(load(&file[..len]), Err(Problem::Truncated)), "{len} of {}", file.len());
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let file = write(&small(), true, true);
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            assert!(load(&damaged).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn without_a_checksum_a_flipped_bit_is_never_a_panic() {
    let file = write(&small(), true, false);
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[at] ^= 1 << bit;
            let _ = load(&damaged);
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_behind_a_header_are_entries_or_an_error(
        body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
    ) {
        // The opcodes that lead further are rare among random bytes.
        for prefix in [b"".as_slice(), b"\x00\x01k", b"\x00\x01k\xc3", b"\xfe\x01\xfb\x01\x01"] {
            let file = [b"REDIS0010", prefix, &body].concat();
            let _ = load(&file);
            let _ = restore(&file[9..]);
        }
    }
}

#[test]
fn a_length_out_of_this_world_takes_no_memory() {
    for string in [
        b"\x81\x00\x00\x00\x00\xff\xff\xff\xff".as_slice(),
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xc3\x03\x80\xff\xff\xff\xff\x00ab",
        b"\xc3\x80\xff\xff\xff\xff\x05ab",
    ] {
        let file = [b"REDIS0010\x00".as_slice(), string].concat();
        assert!(matches!(load(&file), Err(Problem::Truncated | Problem::Corrupt(_))));
    }
}

#[test]
fn what_cannot_be_held_is_named() {
    let check = |body: &[u8], expected: &str| {
        let file = [b"REDIS0010\xfe\x02", body].concat();
        let problem = load(&file).expect_err("refused").to_string();
        assert!(problem.contains(expected), "{problem}");
    };
    check(b"\x01\x03abc\x01\x01x", "a list, key \"abc\" of database 2");
    check(b"\xfc\0\0\0\0\0\0\0\0\x15\x03abc", "a stream");
    check(b"\x07\x03abc", "a value of a module");
    check(b"\xf5\x03abc", "functions");
    check(b"\xf7\x03abc", "a module");
    check(b"\x63\x03abc", "unknown opcode");
    for (file, expected) in [
        (b"REDIS0012\xff".as_slice(), "version 12 is newer"),
        (b"REDIS0000\xff", "not an RDB"),
        (b"RUBIS0010\xff", "not an RDB"),
        (b"garbage", "not an RDB"),
        (b"REDIS00x0\xff", "not an RDB"),
        (b"REDIS0010\xff\0\0\0\0\0\0\0\0\0", "bytes after the end"),
    ] {
        let problem = load(file).expect_err("refused").to_string();
        assert!(problem.contains(expected), "{problem}");
    }
}

#[test]
fn old_files_and_their_opcodes_are_read() {
    let old = b"REDIS0003\xfe\x00\xfd\x00\xe1\xf5\x05\x00\x01k\x01v\xf8\x0a\x00\x01i\xc0\x85\xff";
    let expected: Vec<Entry> =
        vec![(0, b"k".to_vec(), b"v".to_vec(), Some(100_000_000_000)), (0, b"i".to_vec(), b"-123".to_vec(), None)];
    assert_eq!(load(old).expect("whole"), expected);
}

#[test]
fn an_error_tells_how_far_the_file_was_read() {
    let error = read(b"REDIS0010\x00\x03ab".as_slice(), true, |_| Ok(())).expect_err("cut");
    assert_eq!(error.to_string(), "the file ends too early (at byte 13)");
}

#[test]
fn a_failing_sink_is_told_at_the_end() {
    struct Broken;
    impl std::io::Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut writer = Writer::new(Broken, Options { compress: false, checksum: true });
    (0..100).for_each(|_| writer.entry(b"key", &[1; 10_000], None));
    assert_eq!(writer.finish().err().map(|error| error.kind()), Some(std::io::ErrorKind::StorageFull));
}

#[test]
fn a_dump_is_restored_and_a_damaged_one_refused() {
    for (_, _, value, _) in samples() {
        for compress in [false, true] {
            assert_eq!(restore(&dump(&value, compress)).as_deref(), Ok(value.as_slice()));
        }
    }
    // DUMP of SET k 10 in Redis 2.6 and 7.0, from its documentation and from 7.0.15.
    assert_eq!(restore(b"\x00\xc0\n\x06\x00\xf8r?\xc5\xfb\xfb_("), Ok(b"10".to_vec()));
    let payload = dump(b"hello", true);
    for at in 0..payload.len() {
        for bit in 0..8 {
            let mut damaged = payload.clone();
            damaged[at] ^= 1 << bit;
            assert_eq!(restore(&damaged), Err(PayloadError::Footer));
        }
        assert_eq!(restore(&payload[..at]), Err(PayloadError::Footer));
    }
}

#[test]
fn a_payload_that_is_whole_but_no_string_is_refused() {
    for object in [b"\x01\x01\x01x".as_slice(), b"\x00\x05abc", b"\x00\x01ab", b"", b"\x63", b"\x00\xc3\x01\x7f\x00"] {
        let mut payload = [object, &[10, 0]].concat();
        payload.extend(super::checksum::of(&payload).to_le_bytes());
        assert_eq!(restore(&payload), Err(PayloadError::Format), "{object:?}");
    }
    let mut newer = [b"\x00\x01a".as_slice(), &[12, 0]].concat();
    newer.extend(super::checksum::of(&newer).to_le_bytes());
    assert_eq!(restore(&newer), Err(PayloadError::Footer));
}
