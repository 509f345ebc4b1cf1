use super::*;
use crate::simulated::SimulatedDevice;
use crate::{Options, PutOptions, Store};
use std::sync::Arc;

fn options() -> Options {
    Options::bytes(16 << 20).segment_len(64 << 10).clock(|| 1000)
}

/// A store of two namespaces in several segments, some of it dead, closed or killed.
fn device(is_closed: bool) -> SimulatedDevice {
    let device = SimulatedDevice::new(1);
    let store = Store::open_on(Arc::new(device.clone()), options()).unwrap();
    let (jays, crows) = (store.namespace("jays").unwrap(), store.namespace("crows").unwrap());
    for number in 0..200_u32 {
        jays.put(&number.to_le_bytes(), &[7; 960]).unwrap();
    }
    for number in 0..50_u32 {
        jays.put(&number.to_le_bytes(), &[8; 960]).unwrap();
        crows
            .put_with(&number.to_le_bytes(), &[9; 90], PutOptions { is_pinned: number < 5, ..PutOptions::default() })
            .unwrap();
    }
    for number in 100..120_u32 {
        jays.remove(&number.to_le_bytes()).unwrap();
        jays.get(&(number + 20).to_le_bytes()).unwrap();
    }
    crows.put_with(b"expired", b"", PutOptions { expires_ms: 1001, ..PutOptions::default() }).unwrap();
    if is_closed {
        store.close().unwrap();
        device.clone()
    } else {
        store.flush().unwrap();
        device.kill()
    }
}

fn damages(verified: &Verified) -> Vec<(&str, u64)> {
    verified.damages.iter().map(|damage| (&damage.file[..], damage.offset)).collect()
}

#[test]
fn a_report_says_what_is_live_and_what_is_dead() {
    for is_closed in [true, false] {
        let device = device(is_closed);
        let report = inspect_on(&device).unwrap();
        let record = 32 + 4 + 960 + 12;
        assert_eq!(report.entries(), 180 + 50);
        let (jays, crows) = (&report.namespaces[1], &report.namespaces[0]);
        assert_eq!((&jays.name[..], jays.entries, jays.bytes, jays.was_cleared), ("jays", 180, 180 * record, false));
        assert_eq!((&crows.name[..], crows.entries, crows.bytes), ("crows", 50, 50 * 128));
        assert_eq!(report.live_bytes(), jays.bytes + crows.bytes);
        assert_eq!(report.dead_bytes(), 70 * record + 20 * 32 + 48, "{is_closed}");
        assert_eq!(report.segments.iter().map(|segment| segment.tombstones).sum::<u64>(), 20);
        assert_eq!(report.entries_by_heat.iter().sum::<u64>(), 230);
        assert_eq!((report.entries_by_heat[7], report.entries_by_heat[1]), (5, if is_closed { 20 } else { 0 }));
        let states: Vec<SegmentState> = report.segments.iter().map(|segment| segment.state).collect();
        let last = if is_closed { SegmentState::Sealed } else { SegmentState::Unsealed };
        assert!(states.len() > 3 && states[..states.len() - 1].iter().all(|state| *state == SegmentState::Sealed));
        assert_eq!(states.last(), Some(&last));
        assert_eq!((report.torn_bytes, report.distrusted_entries), (0, 0));
    }
}

#[test]
fn looking_changes_nothing_and_opening_finds_what_was_reported() {
    let device = device(false);
    let before: Vec<_> = device.list().unwrap().into_iter().map(|(name, _)| (device.contents(&name), name)).collect();
    let report = inspect_on(&device).unwrap();
    let verified = verify_on(&device, |_, _| {}).unwrap();
    assert_eq!((verified.records, damages(&verified)), (200 + 100 + 20 + 1, vec![]));
    let after: Vec<_> = device.list().unwrap().into_iter().map(|(name, _)| (device.contents(&name), name)).collect();
    assert!(before == after);
    let store = Store::open_on(Arc::new(device), options().clock(|| 2000)).unwrap();
    assert_eq!(store.stats().entries, report.entries());
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let device = device(true);
    let whole = device.contents(&segment::file_name(2)).unwrap();
    for bit in (0..whole.len() as u64 * 8).step_by(997) {
        device.set_contents(&segment::file_name(2), whole.clone());
        device.flip(&segment::file_name(2), bit);
        let verified = verify_on(&device, |_, _| {}).unwrap();
        assert!(!verified.damages.is_empty(), "bit {bit} of {}", whole.len() * 8);
        assert!(verified.damages.iter().all(|damage| damage.file == segment::file_name(2)), "bit {bit}");
    }
    device.set_contents(&segment::file_name(2), whole);
    for name in ["manifest", "heat"] {
        let whole = device.contents(name).unwrap();
        for bit in (0..whole.len() as u64 * 8).step_by(97) {
            device.set_contents(name, whole.clone());
            device.flip(name, bit);
            let verified = verify_on(&device, |_, _| {}).unwrap();
            // The very last record of the manifest cannot be told from one that was torn.
            let is_told = !verified.damages.is_empty() || verified.torn_bytes > 0;
            assert!(is_told && verified.damages.iter().all(|damage| damage.file == name), "bit {bit} of {name}");
        }
        device.set_contents(name, whole);
    }
    assert_eq!(verify_on(&device, |_, _| {}).unwrap().damages, []);
}

#[test]
fn damage_in_a_record_is_named_by_its_place() {
    let device = device(true);
    let name = segment::file_name(2);
    device.flip(&name, (64 + 1008 * 3 + 500) * 8);
    let verified = verify_on(&device, |_, _| {}).unwrap();
    assert_eq!(damages(&verified), [(&name[..], 64 + 1008 * 3)]);
    assert_eq!(verified.damages[0].what, "1008 bytes: what stood there is a miss");
}

#[test]
fn progress_goes_from_nothing_to_all() {
    let device = device(true);
    let mut told = Vec::new();
    let verified = verify_on(&device, |done, total| told.push((done, total))).unwrap();
    let (_, total) = told[0];
    assert!(told.iter().all(|(done, to_do)| done <= to_do && *to_do == total));
    assert!(told.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    assert_eq!((told.last(), verified.bytes), (Some(&(total, total)), total));
}

#[test]
fn lost_and_foreign_segments_are_told() {
    let (device, other) = (device(true), device(true));
    let name = segment::file_name(3);
    device.set_contents(&name, other.contents(&name).unwrap());
    let report = inspect_on(&device).unwrap();
    assert_eq!(report.segments[2].state, SegmentState::Foreign);
    assert_eq!(damages(&verify_on(&device, |_, _| {}).unwrap()), [(&name[..], 0)]);
}

#[test]
fn what_is_no_store_or_in_use_is_an_error_that_says_so() {
    let empty = SimulatedDevice::new(1);
    assert_eq!(inspect_on(&empty).unwrap_err().to_string(), "there is no store in this folder: it has no manifest");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing");
    let error = inspect(&path).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string()),
        (ErrorKind::Invalid, format!("{}: there is no such folder", path.display()))
    );
    let error = verify(folder.path(), |_, _| {}).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no lock file is left behind");
    let store = Store::open(folder.path(), options()).unwrap();
    assert_eq!(inspect(folder.path()).unwrap_err().kind(), ErrorKind::InUse);
    drop(store);
    assert_eq!(inspect(folder.path()).unwrap().entries(), 0);
}
