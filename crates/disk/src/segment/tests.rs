#![allow(clippy::cast_possible_truncation, reason = "the files of these tests are small")]

mod example;

use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::place::Position;
use crate::record::{self, Draft, Kind, Record};

const STORE: u64 = 0x5109_3e00_77aa_0001;
const SEQ: u64 = 42;
const WHO: Identity = Identity { store_id: STORE, seq: SEQ };

/// A file in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryFile(Mutex<Vec<u8>>);

impl MemoryFile {
    pub(crate) fn holding(bytes: impl Into<Vec<u8>>) -> MemoryFile {
        MemoryFile(Mutex::new(bytes.into()))
    }
}

impl DeviceFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let part = bytes.get(start..start + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(part);
        Ok(())
    }

    fn try_read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_at(buffer, offset)
    }

    fn write_at(&self, written: &[u8], offset: u64) -> io::Result<()> {
        let mut bytes = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let end = start + written.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(written);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }
}

/// A segment in the making.
struct Sketch {
    bytes: Vec<u8>,
    items: Vec<Item>,
}

impl Sketch {
    fn new() -> Sketch {
        let header = SegmentHeader {
            store_id: STORE,
            seq: SEQ,
            created_ms: 1000,
            synced: Position::default(),
            previous: Previous::default(),
        };
        Sketch { bytes: header.encode().to_vec(), items: Vec::new() }
    }

    fn of(records: usize) -> Sketch {
        let mut sketch = Sketch::new();
        for number in 0..records {
            sketch.value(number as u64, &vec![b'x'; number * 7 % 100]);
        }
        sketch
    }

    fn value(&mut self, hash: u64, value: &[u8]) {
        let draft = Draft { kind: Kind::Value, key: b"key", value, ..Draft::tombstone(1, hash) };
        self.record(&draft);
    }

    fn record(&mut self, draft: &Draft<'_>) {
        let offset = self.bytes.len() as u64;
        draft.encode(&mut self.bytes);
        self.place_from(offset);
        let record = Record::decode(&self.bytes[offset as usize..], mask(offset)).unwrap();
        self.items.extend(Item::of(&record, offset));
    }

    fn padding(&mut self, len: usize) {
        let offset = self.bytes.len() as u64;
        record::encode_padding(len, &mut self.bytes);
        self.place_from(offset);
    }

    fn mark(&mut self, synced: Position) {
        let offset = self.bytes.len() as u64;
        record::encode_mark(record::MARK_LEN, synced, &mut self.bytes);
        self.place_from(offset);
    }

    fn place_from(&mut self, offset: u64) {
        record::place(&mut self.bytes[offset as usize..], mask(offset));
    }

    fn allotted(mut self, zeros: usize) -> Sketch {
        self.bytes.resize(self.bytes.len() + zeros, 0);
        self
    }

    fn sealed(&self, align: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let records_end = bytes.len() as u64;
        let synced = Position { seq: 40, offset: 160 };
        let footer = Footer { identity: WHO, records_end, latest_ms: 77, synced, items: &self.items };
        footer.encode(align, &mut bytes);
        assert!(bytes.len() as u64 - records_end <= Footer::room(self.items.len(), align));
        bytes
    }

    fn scan(&self) -> Scan {
        scan(&MemoryFile::holding(self.bytes.clone()), WHO).unwrap()
    }
}

fn mask(offset: u64) -> u32 {
    record::mask(STORE, Position { seq: SEQ, offset })
}

fn footer_of(bytes: Vec<u8>) -> Result<footer::ReadFooter, NoFooter> {
    read_footer(&MemoryFile::holding(bytes), WHO)
}

#[test]
fn names_of_segments_have_sixteen_digits_and_nothing_else_passes_for_one() {
    assert_eq!(file_name(42), "segment-0000000000000042");
    assert_eq!(seq_of_name("segment-0000000000000042"), Some(42));
    assert_eq!(seq_of_name(&file_name(SEQ_MAX)), Some(SEQ_MAX));
    for other in [
        &file_name(SEQ_MAX + 1),
        "segment-42",
        "segment-",
        "segment-+000000000000042",
        "manifest",
        "segment-0000000000000042.tmp",
    ] {
        assert_eq!(seq_of_name(other), None, "{other}");
    }
}

#[test]
fn a_header_says_which_segment_of_which_store_it_is() {
    let header = SegmentHeader {
        store_id: STORE,
        seq: SEQ,
        created_ms: 1_795_000_000_000,
        synced: Position { seq: 41, offset: 640 },
        previous: Previous { end: 1 << 20, skipped: 3 },
    };
    let file = MemoryFile::holding(header.encode());
    assert_eq!(SegmentHeader::read(&file, WHO).unwrap(), Ok(header));
    let other_store = SegmentHeader::read(&file, Identity { store_id: 1, ..WHO }).unwrap();
    assert_eq!(other_store, Err(Refused::OtherStore(STORE)));
    let renamed = SegmentHeader::read(&file, Identity { seq: 43, ..WHO }).unwrap();
    assert_eq!(renamed, Err(Refused::OtherSegment(SEQ)));
}

#[test]
fn headers_that_are_empty_foreign_cut_off_damaged_or_newer_are_told_apart() {
    let read = |bytes: &[u8]| SegmentHeader::read(&MemoryFile::holding(bytes), WHO).unwrap();
    let header = SegmentHeader {
        store_id: STORE,
        seq: SEQ,
        created_ms: 5,
        synced: Position::default(),
        previous: Previous::default(),
    }
    .encode();
    assert_eq!(read(&[]), Err(Refused::Blank));
    assert_eq!(read(&header[..63]), Err(Refused::Blank));
    assert_eq!(read(&[0; 64]), Err(Refused::Blank));
    assert_eq!(read(&[b'#'; 64]), Err(Refused::Foreign));
    for bit in 0..header.len() * 8 {
        let mut flipped = header;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(read(&flipped), Err(Refused::Damaged), "bit {bit}");
    }
    let mut newer = Frame::new(MAGIC);
    newer.set_u32(8, 2);
    assert_eq!(read(&newer.seal()), Err(Refused::Newer(2)));
    newer.set_u32(8, 0);
    assert_eq!(read(&newer.seal()), Err(Refused::Damaged));
}

#[test]
fn a_sealed_segment_is_known_by_its_footer() {
    for align in [1, 512, 4096] {
        for records in [0, 1, 2, 100] {
            let sketch = Sketch::of(records);
            let bytes = sketch.sealed(align);
            assert_eq!(bytes.len() as u64 % align, 0);
            let footer = footer_of(bytes).unwrap();
            assert_eq!(footer.items, sketch.items);
            assert_eq!((footer.records_end, footer.latest_ms), (sketch.bytes.len() as u64, 77));
            assert_eq!(footer.synced, Position { seq: 40, offset: 160 });
        }
    }
}

#[test]
fn a_flipped_bit_in_the_footer_is_found() {
    let sketch = Sketch::of(3);
    let bytes = sketch.sealed(1);
    for bit in sketch.bytes.len() * 8..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let found = footer_of(flipped);
        assert!(matches!(found, Err(NoFooter::Refused(Refused::Damaged))), "bit {bit}: {found:?}");
    }
}

#[test]
fn a_segment_that_was_not_sealed_has_no_footer() {
    for bytes in [vec![], vec![0; 64], Sketch::of(5).bytes, Sketch::of(5).allotted(4096).bytes, vec![b'x'; 500]] {
        assert!(matches!(footer_of(bytes), Err(NoFooter::Missing)));
    }
    let mut cut_off = Sketch::of(5).sealed(1);
    cut_off.truncate(cut_off.len() - 1);
    assert!(matches!(footer_of(cut_off), Err(NoFooter::Missing)));
}

#[test]
fn a_footer_of_another_segment_store_or_version_is_not_used() {
    let bytes = Sketch::of(3).sealed(1);
    let file = MemoryFile::holding(bytes.clone());
    let found = read_footer(&file, Identity { seq: 43, ..WHO });
    assert!(matches!(found, Err(NoFooter::Refused(Refused::OtherSegment(SEQ)))), "{found:?}");
    let found = read_footer(&file, Identity { store_id: 9, ..WHO });
    assert!(matches!(found, Err(NoFooter::Refused(Refused::OtherStore(STORE)))), "{found:?}");
    let found = footer_of(with_trailer(&bytes, |trailer| trailer.set_u32(8, 3)));
    assert!(matches!(found, Err(NoFooter::Newer(3))), "{found:?}");
}

/// The segment with a trailer that was changed and signed again.
fn with_trailer(bytes: &[u8], change: impl FnOnce(&mut Frame)) -> Vec<u8> {
    let (rest, trailer) = bytes.split_last_chunk::<FRAME_LEN>().unwrap();
    let mut frame = Frame::open(*trailer, *b"SJ-FOOTR").unwrap();
    change(&mut frame);
    [rest, &frame.seal()].concat()
}

#[test]
fn a_trailer_that_announces_what_cannot_be_is_damaged() {
    let bytes = Sketch::of(3).sealed(1);
    for (at, value) in [(36, u32::MAX), (36, 1 << 30), (36, 4), (36, 2), (32, 0), (32, 3), (32, u32::MAX), (32, 5)] {
        let found = footer_of(with_trailer(&bytes, |trailer| trailer.set_u32(at, value)));
        assert!(matches!(found, Err(NoFooter::Refused(Refused::Damaged))), "{value} at {at}: {found:?}");
    }
}

#[test]
fn items_that_overlap_are_damaged_though_the_checksum_fits() {
    let mut sketch = Sketch::of(3);
    sketch.items.swap(0, 1);
    assert!(matches!(footer_of(sketch.sealed(1)), Err(NoFooter::Refused(Refused::Damaged))));
}

#[test]
fn a_scan_finds_what_the_footer_would_have_said() {
    for zeros in [0, 1, 15, 16, 100_000] {
        let mut sketch = Sketch::of(100);
        sketch.padding(32);
        sketch.record(&Draft::tombstone(5, 6));
        sketch.padding(4096);
        let end = sketch.bytes.len() as u64;
        let items = sketch.items.clone();
        let scan = sketch.allotted(zeros).scan();
        assert_eq!(scan, Scan { items, end, ..Scan::default() }, "{zeros} zeros");
    }
}

#[test]
fn a_scan_crosses_the_chunks_that_it_reads() {
    let mut sketch = Sketch::new();
    for number in 0..40 {
        sketch.value(number, &vec![7; 100_000]);
    }
    sketch.value(40, &vec![8; 3 << 20]);
    sketch.value(41, b"the last");
    let (items, end) = (sketch.items.clone(), sketch.bytes.len() as u64);
    assert_eq!(sketch.allotted(3 << 20).scan(), Scan { items, end, ..Scan::default() });
}

#[test]
fn a_torn_tail_is_cut_off_and_counted() {
    let whole = Sketch::of(20);
    let last = whole.items[19];
    // The last of them has a key of 3 and a value of 33 bytes; behind those stand zeros anyhow.
    for kept in last.offset..last.offset + 32 + 3 + 33 {
        let mut torn = Sketch { bytes: whole.bytes[..kept as usize].to_vec(), items: Vec::new() };
        torn.bytes.resize(1 << 16, 0);
        let scan = torn.scan();
        assert_eq!((&scan.items[..], scan.end, scan.gaps), (&whole.items[..19], last.offset, vec![]));
        assert!(scan.torn_bytes <= (kept - last.offset).next_multiple_of(16), "{} bytes of {kept}", scan.torn_bytes);
        assert!(scan.torn_bytes > 0 || kept < last.offset + 8);
    }
}

#[test]
fn damage_that_records_follow_on_is_a_gap() {
    let whole = Sketch::of(20);
    for damaged in 0..19 {
        let mut sketch = Sketch { bytes: whole.bytes.clone(), items: Vec::new() };
        let Item { offset, len, .. } = whole.items[damaged];
        sketch.bytes[offset as usize + 20] ^= 1;
        let mut items = whole.items.clone();
        items.remove(damaged);
        let gaps = std::iter::once(offset..offset + len).collect();
        let end = whole.bytes.len() as u64;
        assert_eq!(sketch.scan(), Scan { items, end, gaps, ..Scan::default() }, "record {damaged}");
    }
}

#[test]
fn a_scan_knows_the_latest_mark() {
    let mut sketch = Sketch::of(3);
    for (seq, offset) in [(41, 640), (42, 64), (42, 0)] {
        sketch.mark(Position { seq, offset });
    }
    assert_eq!(sketch.scan().synced, Position { seq: 42, offset: 64 });
}

#[test]
fn a_page_that_was_never_written_is_a_gap_wherever_chunks_end() {
    let mut sketch = Sketch::new();
    for number in 0..300 {
        sketch.value(number, &[3; 10_000]);
    }
    sketch.bytes[100_000..(2 << 20) + 8].fill(0);
    let scan = sketch.scan();
    let is_there = |item: &&Item| item.offset + item.len <= 100_000 || item.offset >= (2 << 20) + 8;
    let there: Vec<Item> = sketch.items.iter().filter(is_there).copied().collect();
    assert_eq!((scan.items, scan.end, scan.gaps.len()), (there, sketch.bytes.len() as u64, 1));
}

#[test]
fn a_header_across_the_edge_of_what_is_read_at_once_is_found() {
    for edge in [1 << 20, (1 << 20) - 16, (1 << 20) + 16] {
        // The search begins behind the header of the file, and its first chunk ends so much later.
        let mut sketch = Sketch::new();
        sketch.bytes.resize(64 + edge - 16, 0);
        sketch.value(1, b"behind a gap");
        assert_eq!(sketch.scan().items, sketch.items, "{edge}");
    }
}

#[test]
fn a_record_within_a_value_is_not_taken_for_one() {
    let mut inner = Sketch::new();
    inner.value(666, b"posing as the latest word");
    let mut sketch = Sketch::new();
    sketch.value(1, &inner.bytes[64..].repeat(3));
    sketch.bytes[64] ^= 1;
    let scan = sketch.scan();
    assert_eq!((scan.items, scan.gaps), (vec![], vec![]));
}

#[test]
fn records_of_another_segment_or_store_are_a_torn_tail() {
    let sketch = Sketch::of(5);
    let file = MemoryFile::holding(sketch.bytes.clone());
    for (store_id, seq) in [(STORE, SEQ + 1), (STORE + 1, SEQ)] {
        let scan = scan(&file, Identity { store_id, seq }).unwrap();
        assert_eq!((scan.items.len(), scan.end, scan.gaps.len()), (0, 64, 0));
        assert_eq!(scan.torn_bytes, sketch.bytes.len() as u64 - 64);
    }
}

#[test]
fn a_file_of_false_headers_ends_the_search_and_counts_as_a_gap() {
    let mut sketch = Sketch::new();
    let mut header = Vec::new();
    let draft = Draft { kind: Kind::Value, value: &vec![0; 1 << 20], ..Draft::tombstone(1, 1) };
    draft.encode(&mut header);
    sketch.bytes.extend(header[..32].repeat((2 << 20) / 32));
    let scan = sketch.scan();
    assert_eq!((scan.items.len(), scan.end, scan.gaps), (0, 64, std::iter::once(64..64 + (2 << 20)).collect()));
    assert_eq!(scan.torn_bytes, 2 << 20);
}

#[test]
fn a_scan_of_a_short_file_finds_nothing() {
    for len in [0, 1, 63, 64, 65, 95, 96] {
        let scan = scan(&MemoryFile::holding(vec![0; len]), WHO).unwrap();
        assert_eq!(scan, Scan { end: 64, ..Scan::default() });
    }
}

/// Random bytes, segments, and segments with a part of random bytes.
fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let random = proptest::collection::vec(any::<u8>(), 0..300);
    let hurt = (0_usize..30, any::<bool>(), any::<prop::sample::Index>(), random.clone(), any::<bool>()).prop_map(
        |(records, is_sealed, at, bytes, is_cut)| {
            let sketch = Sketch::of(records);
            let mut file = if is_sealed { sketch.sealed(1) } else { sketch.allotted(500).bytes };
            let at = at.index(file.len());
            let end = file.len().min(at + bytes.len());
            file[at..end].copy_from_slice(&bytes[..end - at]);
            if is_cut {
                file.truncate(end);
            }
            file
        },
    );
    prop_oneof![random, hurt]
}

proptest! {
    #[test]
    fn any_file_is_read_without_a_panic_and_nothing_is_invented(bytes in any_file()) {
        let whole = Sketch::of(30).items;
        let file = MemoryFile::holding(bytes.clone());
        let _ = SegmentHeader::read(&file, WHO).unwrap();
        let scan = scan(&file, WHO).unwrap();
        prop_assert!(scan.items.iter().all(|item| whole.contains(item)));
        prop_assert!(scan.end + scan.torn_bytes <= (bytes.len() as u64).max(64));
        if let Ok(footer) = read_footer(&file, WHO) {
            prop_assert!(footer.items.iter().all(|item| whole.contains(item)));
        }
    }
}
