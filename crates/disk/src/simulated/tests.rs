use super::*;

const SECTOR: usize = 512;
/// Bits that are set in the file of [`prepared`].
const ONES: u32 = 4096;

/// A device with a durable file `a` of eight sectors of ones.
fn prepared(seed: u64) -> (SimulatedDevice, Arc<dyn DeviceFile>) {
    let device = SimulatedDevice::new(seed);
    let file = device.create("a", 8 * SECTOR as u64).unwrap();
    file.write_at(&[1; 8 * SECTOR], 0).unwrap();
    file.sync().unwrap();
    device.sync_folder().unwrap();
    (device, file)
}

fn names(device: &SimulatedDevice) -> Vec<String> {
    device.list().unwrap().into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_crash_keeps_what_is_synced() {
    for seed in 0..100 {
        let (device, file) = prepared(seed);
        file.write_at(&[2; 100], 50).unwrap();
        file.sync().unwrap();
        let expected = device.contents("a");
        let left = device.crash();
        assert_eq!(left.contents("a"), expected);
        assert_eq!(device.contents("a"), expected);
    }
}

#[test]
fn a_crash_takes_sectors_that_are_not_synced_one_by_one() {
    let (mut whole, mut none, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let (device, file) = prepared(seed);
        file.write_at(&[2; 4 * SECTOR], SECTOR as u64).unwrap();
        let left = device.crash().contents("a").unwrap();
        let sectors: Vec<u8> = left.chunks(SECTOR).map(|sector| sector[0]).collect();
        assert!(left.chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        assert_eq!([sectors[0], sectors[5], sectors[6], sectors[7]], [1; 4]);
        match sectors[1..5] {
            [2, 2, 2, 2] => whole += 1,
            [1, 1, 1, 1] => none += 1,
            _ => torn += 1,
        }
    }
    assert!(whole > 20 && none > 20 && torn > 20, "{whole} {none} {torn}");
}

#[test]
fn a_crash_may_leave_the_old_length() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let (device, file) = prepared(seed);
        file.write_at(&[2; 100], 8 * SECTOR as u64).unwrap();
        lengths.insert(device.crash().contents("a").unwrap().len());
        file.set_len(10).unwrap();
        let left = device.crash().contents("a").unwrap();
        assert!(left.len() == 10 || left.len() == 8 * SECTOR, "{}", left.len());
        assert_eq!(left[..10], [1; 10]);
    }
    assert!(lengths.contains(&(8 * SECTOR)) && lengths.contains(&(8 * SECTOR + 100)) && lengths.len() > 2);
}

#[test]
fn bytes_that_were_cut_off_do_not_come_back() {
    let (device, file) = prepared(1);
    file.set_len(700).unwrap();
    file.set_len(2000).unwrap();
    file.sync().unwrap();
    for left in [device.contents("a").unwrap(), device.crash().contents("a").unwrap()] {
        assert_eq!(left, [vec![1; 700], vec![0; 1300]].concat());
    }
}

#[test]
fn steps_of_a_folder_that_are_not_synced_may_not_have_been() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let (device, _) = prepared(seed);
        let file = device.create("b", 10).unwrap();
        file.sync().unwrap();
        device.remove("a").unwrap();
        device.rename("b", "c").unwrap();
        let left = device.crash();
        let mut found = names(&left);
        found.sort();
        seen.insert(found.join(" "));
        device.sync_folder().unwrap();
        assert_eq!(names(&device.crash()), ["c"]);
    }
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(seen, ["", "a", "a b", "a c", "b", "c"]);
}

#[test]
fn a_rename_takes_the_place_of_another_file_as_one_step() {
    for seed in 0..100 {
        let (device, _) = prepared(seed);
        device.create("b", 0).unwrap().write_at(&[9; 3], 0).unwrap();
        device.open("b").unwrap().sync().unwrap();
        device.sync_folder().unwrap();
        device.rename("b", "a").unwrap();
        let left = device.crash();
        let is_done = names(&left) == ["a"];
        assert_eq!(left.contents("a").unwrap()[0], if is_done { 9 } else { 1 });
        assert_eq!(left.contents("b").is_some(), !is_done);
    }
}

#[test]
fn the_end_of_a_process_leaves_what_was_written_and_a_crash_after_it_takes_its_part() {
    let mut lost = 0;
    for seed in 0..100 {
        let (device, file) = prepared(seed);
        file.write_at(&[2; 100], 0).unwrap();
        drop(device.create("b", 0).unwrap());
        let left = device.kill();
        assert_eq!(left.contents("a"), device.contents("a"));
        assert_eq!(names(&left), ["a", "b"]);
        // It is another device: what the old one still does is not seen.
        file.write_at(&[3; 100], 0).unwrap();
        assert_eq!(left.contents("a").unwrap()[0], 2);
        lost += u32::from(left.crash().contents("a").unwrap()[0] == 1);
        left.open("a").unwrap().sync().unwrap();
        left.sync_folder().unwrap();
        let crashed = left.crash();
        assert_eq!((crashed.contents("a").unwrap()[0], names(&crashed).len()), (2, 2));
    }
    assert!(lost > 10, "{lost}");
}

#[test]
fn a_fault_hits_the_operation_that_it_is_meant_for() {
    let (device, file) = prepared(1);
    device.inject(Injection::after(2, Fault::Fail).only(&[Operation::Write]));
    device.inject(Injection::after(1, Fault::Full).only(&[Operation::Sync]).every(2));
    let writes: Vec<bool> = (0..4).map(|_| file.write_at(&[5], 0).is_ok()).collect();
    assert_eq!(writes, [true, true, false, true]);
    let syncs: Vec<bool> = (0..6).map(|_| file.sync().is_ok()).collect();
    assert_eq!(syncs, [true, false, true, false, true, false]);
    device.heal();
    file.sync().unwrap();
    device.inject(Injection::after(0, Fault::Fail).every(1));
    assert!(device.list().is_err() && device.lock().is_err() && file.len().is_err());
    assert_eq!(device.operations_of(Operation::Write), 5);
    assert_eq!(device.operations_of(Operation::Len), 1);
}

#[test]
fn a_torn_write_does_its_beginning() {
    let mut done = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let (device, file) = prepared(seed);
        device.inject(Injection::after(0, Fault::Torn));
        assert!(file.write_at(&[2; 100], 0).is_err());
        let bytes = device.contents("a").unwrap();
        let count = bytes.iter().take_while(|byte| **byte == 2).count();
        assert!(bytes[count..].iter().all(|byte| *byte == 1));
        done.insert(count);
    }
    assert!(done.len() > 20);
}

#[test]
fn bits_flip_on_the_way_in_on_the_way_out_and_where_they_lie() {
    let ones = |bytes: &[u8]| bytes.iter().map(|byte| byte.count_ones()).sum::<u32>();
    let (device, file) = prepared(1);
    device.inject(Injection::after(0, Fault::Flip).only(&[Operation::Read]));
    let mut read = [0; 8 * SECTOR];
    file.read_at(&mut read, 0).unwrap();
    assert_eq!(ones(&read).abs_diff(ONES), 1);
    file.read_at(&mut read, 0).unwrap();
    assert_eq!(read, [1; 8 * SECTOR]);
    device.inject(Injection::after(0, Fault::Flip).only(&[Operation::Write]));
    file.write_at(&[0; 10], 20).unwrap();
    assert_eq!(ones(&device.contents("a").unwrap()), ONES - 10 + 1);
    device.flip("a", 8);
    assert_eq!(device.contents("a").unwrap()[1], 0);
}

#[test]
fn a_sync_that_lies_makes_nothing_durable() {
    let mut lost = 0;
    for seed in 0..100 {
        let (device, file) = prepared(seed);
        device.inject(Injection::after(0, Fault::Lie).every(1));
        drop(device.create("b", 0).unwrap());
        file.write_at(&[2; 10], 0).unwrap();
        file.sync().unwrap();
        device.sync_folder().unwrap();
        let left = device.crash();
        lost += u32::from(left.contents("a").unwrap()[0] == 1);
        lost += u32::from(left.contents("b").is_none());
    }
    assert!(lost > 50, "{lost}");
}

#[test]
fn a_stalled_operation_waits_for_its_release_and_others_do_not() {
    let (device, file) = prepared(1);
    device.inject(Injection::after(0, Fault::Stall).only(&[Operation::Write]));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| file.write_at(&[7; 10], 0));
        while device.stalled() == 0 {
            std::thread::yield_now();
        }
        let mut read = [0; 1];
        file.read_at(&mut read, 0).unwrap();
        assert_eq!(read, [1]);
        device.release();
        writer.join().unwrap().unwrap();
    });
    assert_eq!((device.stalled(), device.contents("a").unwrap()[0]), (0, 7));
}

#[test]
fn a_device_is_full_at_its_limit_and_not_before() {
    let (device, file) = prepared(1);
    device.set_space(Some(10_000));
    let full = |result: io::Result<()>| assert_eq!(result.unwrap_err().kind(), ErrorKind::StorageFull);
    full(device.create("b", 10_001 - 8 * SECTOR as u64).map(drop));
    drop(device.create("b", 10_000 - 8 * SECTOR as u64).unwrap());
    full(file.write_at(&[0; 2], 8 * SECTOR as u64 - 1));
    full(file.set_len(8 * SECTOR as u64 + 1));
    file.write_at(&[0; 2], 8 * SECTOR as u64 - 2).unwrap();
    device.remove("b").unwrap();
    file.set_len(10_000).unwrap();
    assert_eq!(device.bytes_held(), (10_000, 10_000));
}

#[test]
fn an_image_is_taken_at_its_operation_and_the_device_goes_on() {
    for (spared, expected) in [(0, 1), (1, 2), (2, 3)] {
        let (device, file) = prepared(7);
        device.inject(Injection::after(spared, Fault::Crash).only(&[Operation::Sync]));
        for round in 2..=4 {
            file.write_at(&[round; 8 * SECTOR], 0).unwrap();
            file.sync().unwrap();
        }
        assert!(device.has_image());
        let left = device.take_image().unwrap();
        let byte = left.contents("a").unwrap()[0];
        assert!(byte == expected || byte == expected + 1, "{byte} {expected}");
        assert_eq!(device.contents("a").unwrap()[0], 4);
        assert!(device.take_image().is_none());
    }
}

#[test]
fn a_process_that_dies_in_a_write_leaves_its_beginning() {
    let mut parts = 0;
    for seed in 0..50 {
        let (device, file) = prepared(seed);
        device.inject(Injection::after(1, Fault::Kill));
        file.write_at(&[2; 10], 0).unwrap();
        file.write_at(&[3; 1000], 0).unwrap();
        file.write_at(&[4; 1000], 0).unwrap();
        assert_eq!(device.contents("a").unwrap()[999], 4);
        let left = device.take_image().unwrap().contents("a").unwrap();
        let count = left.iter().take_while(|byte| **byte == 3).count();
        assert!(left[count..].iter().all(|byte| *byte < 3));
        parts += u32::from(0 < count && count < 1000);
    }
    assert!(parts > 30, "{parts}");
}

#[test]
fn the_same_seed_and_the_same_calls_leave_the_same() {
    let run = |seed| {
        let (device, file) = prepared(seed);
        drop(device.create("b", 3).unwrap());
        file.write_at(&[2; 8 * SECTOR], 0).unwrap();
        let left = device.crash();
        (left.contents("a"), left.contents("b"))
    };
    assert!((0..50).all(|seed| run(seed) == run(seed)));
    assert!((0..50).any(|seed| run(seed) != run(seed + 1)));
}

#[test]
fn files_behave_as_files() {
    let (device, file) = prepared(1);
    assert_eq!(device.create("a", 0).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(device.open("b").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(device.remove("b").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(device.rename("b", "c").unwrap_err().kind(), ErrorKind::NotFound);
    let mut read = [0; 2];
    assert_eq!(file.read_at(&mut read, 8 * SECTOR as u64 - 1).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(file.read_at(&mut read, u64::MAX).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    device.set_reads_wait(true);
    assert_eq!(file.try_read_at(&mut read, 0).unwrap_err().kind(), ErrorKind::WouldBlock);
    device.set_reads_wait(false);
    device.remove("a").unwrap();
    file.try_read_at(&mut read, 0).unwrap();
    assert_eq!(read, [1, 1]);
    assert_eq!(device.list().unwrap(), []);
    device.set_locked_elsewhere(true);
    assert_eq!(device.lock().unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(device.clone().with_alignment(4096).alignment(), 4096);
    assert_eq!((device.bytes_read(), device.bytes_written()), (2, 8 * SECTOR as u64));
}

#[test]
fn steps_beyond_what_is_remembered_have_become_durable() {
    let device = SimulatedDevice::new(3);
    for number in 0..1000 {
        drop(device.create(&number.to_string(), 0).unwrap());
    }
    let found = names(&device.crash()).len();
    assert!((744..=1000).contains(&found), "{found}");
}
