//! Folders that cannot be used, or not by everybody: a clear error, or a cache that goes without for now.

use super::*;
use scrubjay::{EntryOptions, ErrorKind, TierState};
use scrubjay_disk::SimulatedDevice;
use std::sync::Arc;

fn on(device: &SimulatedDevice) -> Disk {
    Disk::on(Arc::new(device.clone())).bytes(4 << 20)
}

async fn error_of(disk: Disk) -> (ErrorKind, String) {
    let error = builder(8, disk, &Clock::held()).build().await.unwrap_err();
    (error.kind(), error.to_string())
}

#[tokio::test]
async fn settings_that_make_no_sense_are_named() {
    let folder = folder();
    for (disk, text) in [
        (Disk::at(folder.path()), "disk.bytes is 0, must be at least 262144"),
        (disk(folder.path()).queue_bytes(10), "disk.queue_bytes is 10, must be at least 65536"),
        (disk(folder.path()).reinsert(-1.0), "disk.reinsert is -1, must be 0..=4"),
        (disk(folder.path()).bandwidth(0), "disk.bandwidth is 0, must be at least 1 byte per second"),
        (disk(folder.path()).reads_max(0), "disk.reads_max is 0, must be at least 1"),
        (disk(folder.path()).read_timeout(Duration::ZERO), "disk.read_timeout is 0ns, must be 1ns..=4398046511103ms"),
    ] {
        assert_eq!(error_of(disk.optional(true)).await, (ErrorKind::Invalid, text.to_owned()));
    }
    let name = "n".repeat(250);
    let long = Cache::<u64, u64>::builder(name).memory(Memory::entries(8)).disk(disk(folder.path())).build().await;
    assert_eq!(long.unwrap_err().to_string(), "name is 250 bytes, must be 1..=248 with a disk tier");
    let codecs = Cache::<u64, u64>::builder("codecs").memory(Memory::entries(8)).disk(disk(folder.path()));
    let codecs = codecs.compressed_with(scrubjay::Compressed::bytes(1 << 20), scrubjay::Json).build().await;
    assert_eq!(codecs.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_place_that_is_no_folder_is_an_error_or_a_cache_without() {
    let folder = folder();
    let path = folder.path().join("file");
    std::fs::write(&path, "no folder").unwrap();
    let (kind, text) = error_of(disk(&path)).await;
    assert!(kind == ErrorKind::Unavailable && text.contains(path.to_str().unwrap()), "{kind:?}: {text}");
    let without = builder(8, disk(&path).optional(true), &Clock::held()).build().await.unwrap();
    fill(&without, 0..8).await;
    assert_eq!(count(&without, 0..8).await, 8);
    let health = without.health();
    let tier = health.tier("disk").unwrap();
    assert_eq!(tier.state, TierState::Unavailable);
    assert!(tier.message.as_ref().unwrap().contains("cannot be opened"), "{tier:?}");
    assert!(!without.stats().disk_store.unwrap().is_open && !without.remove(&key(9)).await.unwrap());
    without.clear().await.unwrap();
    without.close().await;
}

#[tokio::test]
async fn a_folder_that_is_damaged_or_foreign_is_named() {
    let folder = folder();
    std::fs::write(folder.path().join("manifest"), vec![7; 4096]).unwrap();
    let (kind, text) = error_of(disk(folder.path())).await;
    assert_eq!(kind, ErrorKind::Invalid, "{text}");
    assert!(text.contains(folder.path().to_str().unwrap()), "{text}");
}

#[tokio::test]
async fn a_folder_of_a_newer_version_or_in_use_by_somebody_else_is_named_and_left_alone() {
    let (folder, clock) = (folder(), Clock::held());
    let first = cache(8, folder.path(), &clock).await;
    fill(&first, 0..50).await;
    first.close().await;
    let store = scrubjay_disk::Store::open(folder.path(), scrubjay_disk::Options::bytes(4 << 20)).unwrap();
    let (kind, text) = error_of(disk(folder.path())).await;
    assert!(kind == ErrorKind::Unavailable && text.contains(folder.path().to_str().unwrap()), "{kind:?}: {text}");
    store.close().unwrap();
    drop(store);
    let manifest = folder.path().join("manifest");
    let bytes = std::fs::read(&manifest).unwrap();
    let mut newer = bytes.clone();
    newer[8] += 1;
    let checksum = crc32fast::hash(&newer[..60]).to_le_bytes();
    newer[60..64].copy_from_slice(&checksum);
    std::fs::write(&manifest, &newer).unwrap();
    let (kind, text) = error_of(disk(folder.path())).await;
    assert!(kind == ErrorKind::Invalid && text.contains("format 2"), "{kind:?}: {text}");
    assert_eq!(std::fs::read(&manifest).unwrap(), newer);
    std::fs::write(&manifest, bytes).unwrap();
    let again = cache(8, folder.path(), &clock).await;
    assert_eq!(count(&again, 0..50).await, 50);
    again.close().await;
}

#[tokio::test]
async fn caches_share_a_folder_if_they_ask_alike_and_have_names_of_their_own() {
    let (folder, clock) = (folder(), Clock::held());
    let one = cache(8, folder.path(), &clock).await;
    let named =
        |name: &str, disk: Disk| Cache::<String, u64>::builder(name).memory(Memory::entries(8)).disk(disk).build();
    let same = named("numbers", disk(folder.path())).await.unwrap_err();
    assert_eq!(same.kind(), ErrorKind::Invalid, "{same}");
    let other = named("others", Disk::at(folder.path()).bytes(8 << 20)).await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Invalid, "{other}");
    let two = named("others", disk(folder.path())).await.unwrap();
    fill(&one, 0..50).await;
    fill(&two, 25..75).await;
    one.clear().await.unwrap();
    assert_eq!((one.get(&key(30)).await, two.get(&key(30)).await), (None, Some(30)));
    one.close().await;
    assert_eq!(count(&two, 25..75).await, 50);
    let again = cache(8, folder.path(), &clock).await;
    assert_eq!(again.keys().await.len(), 0);
    again.close().await;
    two.close().await;
    named("others", Disk::at(folder.path()).bytes(8 << 20)).await.unwrap().close().await;
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_another_process_has_is_an_error_or_is_tried_again() {
    let device = SimulatedDevice::new(1);
    device.set_locked_elsewhere(true);
    assert_eq!(error_of(on(&device)).await.0, ErrorKind::Unavailable);
    let clock = Clock::tokio();
    let later = builder(8, on(&device).optional(true), &clock).build().await.unwrap();
    assert_eq!(later.health().tier("disk").unwrap().state, TierState::Unavailable);
    fill(&later, 0..8).await;
    device.set_locked_elsewhere(false);
    // Time goes on by itself when nothing else does.
    while !later.health().is_serving() {
        tokio::time::sleep(SECOND).await;
    }
    fill(&later, 8..100).await;
    assert_eq!(count(&later, 0..100).await, 100);
    later.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_while_the_folder_was_away_holds_when_it_comes() {
    let (device, clock) = (SimulatedDevice::new(2), Clock::tokio());
    let open = |disk: Disk| builder(100, disk, &clock).build();
    let first = open(on(&device)).await.unwrap();
    for number in 0..50 {
        let tag = if number < 10 { "low" } else { "high" };
        first.insert_with(key(number), number, EntryOptions::new().tag(tag)).await.unwrap();
    }
    first.close().await;
    device.set_locked_elsewhere(true);
    let second = open(on(&device).optional(true)).await.unwrap();
    assert_eq!(second.get(&key(20)).await, None);
    second.insert(key(20), 1020).await.unwrap();
    assert!(!second.remove(&key(21)).await.unwrap(), "nobody knows of it");
    second.remove_by_tag("low").await.unwrap();
    device.set_locked_elsewhere(false);
    while !second.health().is_serving() {
        tokio::time::sleep(SECOND).await;
    }
    let check = async |cache: &Cache<String, u64>| {
        assert_eq!((cache.get(&key(20)).await, cache.get(&key(21)).await), (Some(1020), None));
        assert_eq!(count(cache, 0..10).await, 0);
        assert_eq!(count(cache, 22..50).await, 28);
    };
    check(&second).await;
    second.close().await;
    let third = open(on(&device)).await.unwrap();
    check(&third).await;
    third.close().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_later_process_left_does_not_outlive_an_earlier_ones_invalidation() {
    let device = SimulatedDevice::new(4);
    device.set_locked_elsewhere(true);
    let waiting = builder(100, on(&device).optional(true), &Clock::tokio()).build().await.unwrap();
    tokio::time::advance(Duration::from_millis(500)).await;
    device.set_locked_elsewhere(false);
    let later = builder(100, on(&device), &Clock::tokio()).build().await.unwrap();
    device.set_locked_elsewhere(true);
    later.insert_with(key(1), 1, EntryOptions::new().tag("t")).await.unwrap();
    later.close().await;
    waiting.remove_by_tag("t").await.unwrap();
    device.set_locked_elsewhere(false);
    while !waiting.health().is_serving() {
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(waiting.get(&key(1)).await, None);
    waiting.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_clear_while_the_folder_was_away_empties_it_when_it_comes() {
    let (device, clock) = (SimulatedDevice::new(3), Clock::tokio());
    let first = builder(100, on(&device), &clock).build().await.unwrap();
    fill(&first, 0..50).await;
    first.close().await;
    device.set_locked_elsewhere(true);
    let second = builder(100, on(&device).optional(true), &clock).build().await.unwrap();
    second.clear().await.unwrap();
    second.insert(key(1), 1).await.unwrap();
    device.set_locked_elsewhere(false);
    while !second.health().is_serving() {
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!((count(&second, 0..50).await, second.get(&key(1)).await), (1, Some(1)));
    second.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_removal_by_prefix_while_the_folder_was_away_holds_when_it_comes() {
    let (device, clock) = (SimulatedDevice::new(4), Clock::tokio());
    let first = builder(100, on(&device), &clock).build().await.unwrap();
    fill(&first, 0..50).await;
    first.close().await;
    device.set_locked_elsewhere(true);
    let second = builder(100, on(&device).optional(true), &clock).build().await.unwrap();
    assert_eq!(second.remove_by_prefix("key:1").await.unwrap(), 0, "nobody knows of them");
    device.set_locked_elsewhere(false);
    while !second.health().is_serving() {
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!((second.get(&key(1)).await, count(&second, 10..20).await), (None, 0));
    second.close().await;
}
