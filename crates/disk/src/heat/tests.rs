use super::*;
use crate::index::Entry;
use crate::place::Place;
use crate::simulated::{Fault, Injection, SimulatedDevice};

const STORE_ID: u64 = 77;
const CAPACITY: u64 = 128 << 20;

fn hash(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number << 32
}

/// So many entries with the heats 0 to 7 in turn, or all cold.
fn index(entries: u32, is_warm: bool) -> Index {
    let index = Index::new(16);
    for number in 0..entries {
        let hash = hash(number.into());
        let heat = if is_warm { (number % 8) as u8 } else { 0 };
        let place = Place { seq16: 1, offset_units: 4 + number };
        index.shard(hash).insert(hash, Entry { place, len_units: 3, expires_ms: 0, heat, namespace: 1 });
    }
    index
}

fn bytes(device: &SimulatedDevice) -> Vec<u8> {
    let file = device.open(NAME).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

fn names(device: &SimulatedDevice) -> Vec<String> {
    device.list().unwrap().into_iter().map(|(name, _)| name).collect()
}

/// A device with that file.
fn device_with(bytes: &[u8]) -> SimulatedDevice {
    let device = SimulatedDevice::new(1);
    let file = device.create(NAME, bytes.len() as u64).unwrap();
    file.write_at(bytes, 0).unwrap();
    device
}

#[test]
fn entries_are_as_warm_after_as_before() {
    let device = SimulatedDevice::new(1);
    let before = index(40_000, true);
    let written = write(&device, STORE_ID, &before, CAPACITY).unwrap();
    assert_eq!(written, 30_000_u64.div_ceil(ENTRIES_PER_BLOCK as u64) * BLOCK_LEN as u64);
    assert_eq!(names(&device), [NAME]);
    let after = index(40_000, false);
    let applied = load(&device, STORE_ID, &after);
    assert_eq!(applied, Applied { entries: 30_000, damaged_blocks: 0 });
    before.for_each(|hash, entry| {
        let expected = if entry.heat == PINNED { 0 } else { entry.heat };
        assert_eq!(after.get(hash).unwrap().heat, expected);
    });
}

#[test]
fn what_is_gone_or_hotter_by_now_is_left_alone() {
    let device = SimulatedDevice::new(1);
    write(&device, STORE_ID, &index(8, true), CAPACITY).unwrap();
    let after = index(4, false);
    after.shard(hash(2)).warm(hash(2), 5);
    assert_eq!(load(&device, STORE_ID, &after).entries, 3);
    let heats: Vec<u8> = (0..4).map(|number| after.get(hash(number)).unwrap().heat).collect();
    assert_eq!(heats, [0, 1, 5, 3]);
}

#[test]
fn nothing_warm_leaves_no_file() {
    let device = SimulatedDevice::new(1);
    assert_eq!(load(&device, STORE_ID, &index(8, false)), Applied::default());
    write(&device, STORE_ID, &index(8, true), CAPACITY).unwrap();
    write(&device, STORE_ID, &index(8, false), CAPACITY).unwrap();
    assert_eq!(names(&device), Vec::<String>::new());
}

#[test]
fn where_there_is_no_room_for_all_the_hottest_are_written_down() {
    // 16 blocks, for 7,248 of 30,000: all of heat 6, and no other degree would fit whole.
    let (device, capacity) = (SimulatedDevice::new(1), 16 << 20);
    let written = write(&device, STORE_ID, &index(40_000, true), capacity).unwrap();
    assert!(written <= len_max(capacity) && len_max(capacity) == 16 * BLOCK_LEN as u64);
    let after = index(40_000, false);
    assert_eq!(load(&device, STORE_ID, &after).entries, 5_000);
    after.for_each(|_, entry| assert!(entry.heat == 0 || entry.heat == HEAT_MAX));
    // One block: a part of them.
    let written = write(&device, STORE_ID, &index(40_000, true), 1 << 20).unwrap();
    assert_eq!(written, BLOCK_LEN as u64);
    assert_eq!(load(&device, STORE_ID, &index(40_000, false)).entries, ENTRIES_PER_BLOCK as u64);
    // None.
    assert_eq!(write(&device, STORE_ID, &index(40_000, true), 1 << 19).unwrap(), 0);
}

#[test]
fn a_damaged_block_is_ignored_and_counted_and_the_others_count() {
    let device = SimulatedDevice::new(1);
    write(&device, STORE_ID, &index(8_000, true), CAPACITY).unwrap();
    let good = bytes(&device);
    let blocks = good.len() / BLOCK_LEN;
    for at in [0, 4, 6, 8, 16, 2_000, BLOCK_LEN + 5_000 % BLOCK_LEN] {
        for bit in [1, 128] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            let after = index(8_000, false);
            let applied = load(&device_with(&bad), STORE_ID, &after);
            assert_eq!(applied.damaged_blocks, 1, "byte {at}");
            assert_eq!(applied.entries, 6_000 - ENTRIES_PER_BLOCK as u64);
        }
    }
    for len in [good.len() - 1, BLOCK_LEN + 1, 7] {
        let applied = load(&device_with(&good[..len]), STORE_ID, &index(8_000, false));
        assert_eq!(applied.damaged_blocks, 1, "{len} of {} bytes", blocks * BLOCK_LEN);
        assert_eq!(applied.entries, (len / BLOCK_LEN * ENTRIES_PER_BLOCK) as u64);
    }
}

#[test]
fn a_file_of_another_store_or_of_noise_is_ignored() {
    let device = SimulatedDevice::new(1);
    write(&device, STORE_ID, &index(800, true), CAPACITY).unwrap();
    let after = index(800, false);
    assert_eq!(load(&device, STORE_ID + 1, &after), Applied { entries: 0, damaged_blocks: 2 });
    let noise: Vec<u8> = (0..10_000_u64).map(|number| (hash(number) >> 24 & 0xFF) as u8).collect();
    assert_eq!(load(&device_with(&noise), STORE_ID, &after), Applied { entries: 0, damaged_blocks: 3 });
    assert_eq!(load(&device_with(&[]), STORE_ID, &after), Applied::default());
    after.for_each(|_, entry| assert_eq!(entry.heat, 0));
}

#[test]
fn what_an_attempt_left_behind_is_written_over() {
    let device = SimulatedDevice::new(1);
    device.create(NEW_NAME, 1_000_000).unwrap();
    write(&device, STORE_ID, &index(80, true), CAPACITY).unwrap();
    assert_eq!(names(&device), [NAME]);
}

#[test]
fn the_file_and_its_successor_take_a_128th_of_the_space() {
    for capacity in [0, 256 << 10, 1 << 20, 100 << 20, 1 << 40] {
        assert!(reserve(capacity) <= capacity / 128);
        assert!(reserve(capacity) <= 2 * LEN_MAX);
    }
    assert!(is_name(NAME) && is_name(NEW_NAME) && !is_name("heat.old"));
}

#[test]
fn a_device_that_fails_or_dies_at_any_operation_leaves_the_old_file_or_the_new_one() {
    for number in 0.. {
        let device = SimulatedDevice::new(number);
        write(&device, STORE_ID, &index(80, true), CAPACITY).unwrap();
        let before = device.operations();
        device.inject(Injection::after(number, Fault::Fail));
        let is_written = write(&device, STORE_ID, &index(8_000, true), CAPACITY).is_ok();
        let is_over = device.operations() <= before + number;
        device.heal();
        for device in [device.kill(), device.crash()] {
            let applied = load(&device, STORE_ID, &index(8_000, false));
            assert!(applied.entries <= 6_000);
            assert!(applied.damaged_blocks == 0 || applied.entries < 6_000);
        }
        let applied = load(&device, STORE_ID, &index(8_000, false));
        assert_eq!(applied, Applied { entries: if is_written { 6_000 } else { 60 }, damaged_blocks: 0 });
        assert_eq!(names(&device), [NAME]);
        if is_over {
            break;
        }
    }
}
