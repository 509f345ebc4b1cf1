//! A device that is slow, fails, or ends in the middle: reads are misses, nothing hangs, everything is counted, and what was removed
//! stays removed as far as it was asked.

use super::*;
use scrubjay::{Durability, EntryOptions, ErrorKind, TierState};
use scrubjay_disk::SimulatedDevice;
use scrubjay_disk::simulated::{Fault, Injection, Operation};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn on(device: &SimulatedDevice) -> Disk {
    Disk::on(Arc::new(device.clone())).bytes(4 << 20).warm_restart(false)
}

/// Keys 0 to 99 on the device, in the files and not only on their way there.
async fn filled(device: &SimulatedDevice, disk: Disk, clock: &Clock) -> Cache<String, u64> {
    let first = builder(200, on(device), clock).build().await.unwrap();
    fill(&first, 0..100).await;
    first.close().await;
    builder(8, disk, clock).build().await.unwrap()
}

#[tokio::test]
async fn a_read_that_has_to_wait_waits_elsewhere() {
    let (device, clock) = (SimulatedDevice::new(1), Clock::held());
    let cache = filled(&device, on(&device), &clock).await;
    device.set_reads_wait(true);
    assert_eq!(count(&cache, 0..100).await, 100);
    let keys: Vec<String> = (0..100).map(key).collect();
    assert_eq!(cache.get_many(&keys).await.iter().flatten().count(), 100);
    assert_eq!((cache.peek(&key(50)).await, cache.remove(&key(51)).await.unwrap()), (Some(50), true));
    let stats = cache.stats().disk.unwrap();
    assert_eq!((stats.drops.total(), stats.misses), (0, 0));
    cache.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_device_that_does_not_answer_is_a_miss_and_then_left_alone() {
    let (device, clock) = (SimulatedDevice::new(2), Clock::tokio());
    let cache = filled(&device, on(&device), &clock).await;
    device.set_reads_wait(true);
    device.inject(Injection::after(0, Fault::Stall).every(1).only(&[Operation::Read]));
    // Paused time does not go on while a blocking thread works, and this one never ends: so it is moved.
    let times_out = async || {
        let mut get = std::pin::pin!(cache.get("key:1"));
        loop {
            tokio::select! {
                biased;
                found = &mut get => return found,
                () = tokio::task::yield_now() => tokio::time::advance(Duration::from_millis(100)).await,
            }
        }
    };
    for _ in 0..5 {
        assert_eq!(times_out().await, None);
    }
    let stats = cache.stats().disk.unwrap();
    assert_eq!((stats.drops.timed_out, stats.drops.skipped), (5, 0));
    let health = cache.health();
    assert_eq!(health.tier("disk").unwrap().state, TierState::Unavailable);
    assert_eq!((cache.get(&key(2)).await, cache.stats().disk.unwrap().drops.skipped), (None, 1), "at once");
    device.heal();
    tokio::time::advance(2 * SECOND).await;
    assert_eq!((cache.get(&key(3)).await, cache.get(&key(4)).await), (Some(3), Some(4)));
    assert!(cache.health().is_serving());
    cache.close().await;
}

#[tokio::test]
async fn a_device_that_cannot_read_is_a_miss_and_what_memory_has_is_there() {
    let (device, clock) = (SimulatedDevice::new(3), Clock::held());
    let cache = filled(&device, on(&device), &clock).await;
    cache.insert(key(1000), 1000).await.unwrap();
    device.inject(Injection::after(0, Fault::Fail).every(1).only(&[Operation::Read, Operation::TryRead]));
    assert_eq!((count(&cache, 0..100).await, cache.get(&key(1000)).await), (0, Some(1000)));
    let stats = cache.stats().disk.unwrap();
    assert_eq!((stats.misses, stats.drops.failed), (100, 100));
    assert_eq!(cache.health().tier("disk").unwrap().state, TierState::Degraded);
    let load = async |_| Ok::<u64, std::io::Error>(7);
    assert_eq!(cache.get_or_load(&key(5), load).await.unwrap(), 7, "the loader answers");
    device.heal();
    assert_eq!((cache.get(&key(6)).await, cache.get(&key(5)).await), (Some(6), Some(7)));
    assert!(cache.health().is_serving());
    cache.close().await;
}

#[tokio::test]
async fn a_device_that_cannot_write_costs_what_does_not_fit_in_the_queue() {
    let (device, clock) = (SimulatedDevice::new(4), Clock::held());
    let texts = |disk: Disk| Cache::<u64, String>::builder("texts").memory(Memory::entries(8)).disk(disk);
    let cache = texts(on(&device).queue_bytes(1 << 16).uncompressed()).clock(clock).build().await.unwrap();
    let text = |number: u64| format!("{number:0>2000}");
    for number in 0..8 {
        cache.insert(number, text(number)).await.unwrap();
    }
    device.inject(Injection::after(0, Fault::Fail).every(1).only(&[Operation::Write, Operation::Create]));
    for number in 8..200 {
        cache.insert(number, text(number)).await.unwrap();
    }
    for number in 0..200 {
        if let Some(found) = cache.get(&number).await {
            assert_eq!(found, text(number));
        }
    }
    while cache.health().is_serving() {
        tokio::task::yield_now().await;
    }
    let stats = cache.stats();
    let drops = stats.disk.as_ref().unwrap().drops;
    assert!(drops.queue_full + drops.failed > 100, "{drops:?}");
    assert!(stats.disk_store.unwrap().device_errors > 0);
    let tier = cache.health().tier("disk").unwrap().clone();
    assert!(tier.state == TierState::Degraded && tier.message.is_some(), "{tier:?}");
    device.heal();
    cache.flush().await.unwrap_or(());
    cache.close().await;
}

#[tokio::test]
async fn what_a_call_removed_stays_away_if_the_process_is_killed_after_it() {
    let (device, clock) = (SimulatedDevice::new(5), Clock::held());
    let cache = filled(&device, on(&device), &clock).await;
    assert!(cache.remove(&key(1)).await.unwrap());
    cache.insert(key(2), 1002).await.unwrap();
    let tagged = EntryOptions::new().tag("t");
    cache.insert_with(key(3), 1003, tagged).await.unwrap();
    assert_eq!(cache.remove_by_prefix("key:5").await.unwrap(), 11);
    let killed = builder(8, on(&device.kill()), &clock).build().await.unwrap();
    assert_eq!((killed.get(&key(1)).await, killed.get(&key(2)).await), (None, None));
    assert_eq!((killed.get(&key(3)).await, killed.get(&key(55)).await), (None, None));
    assert_eq!(count(&killed, 60..100).await, 40);
    cache.clear().await.unwrap();
    let cleared = builder(8, on(&device.kill()), &clock).build().await.unwrap();
    assert_eq!(count(&cleared, 0..100).await, 0);
    killed.close().await;
    cleared.close().await;
    cache.close().await;
}

/// Two owners of keys go on while the process is "killed" again and again: what a call had done when it returned is done in every
/// image taken after.
#[test]
fn killed_at_any_moment_nothing_comes_back_whose_removal_had_returned() {
    const KEYS: u64 = 40;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (device, clock) = (SimulatedDevice::new(7), Clock::held());
    let cache = runtime.block_on(builder(8, on(&device).write_through(true), &clock).build()).unwrap();
    // Versions up to this one are gone.
    let gone: Vec<AtomicU64> = (0..2 * KEYS).map(|_| AtomicU64::new(0)).collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for owner in 0..2 {
            let (cache, gone, is_over) = (cache.blocking(), &gone, &is_over);
            scope.spawn(move || {
                for version in 1.. {
                    if is_over.load(Ordering::Acquire) {
                        return;
                    }
                    let number = owner * KEYS + version * 7919 % KEYS;
                    let floor = match version % 8 {
                        0..5 => {
                            cache.insert(key(number), version).unwrap();
                            version - 1
                        }
                        5 => {
                            cache.remove_many(&[key(number)]).unwrap();
                            version
                        }
                        _ => {
                            cache.remove(&key(number)).unwrap();
                            version
                        }
                    };
                    gone[usize::try_from(number).unwrap()].store(floor, Ordering::Release);
                }
            });
        }
        for _ in 0..40 {
            let floors: Vec<u64> = gone.iter().map(|floor| floor.load(Ordering::Acquire)).collect();
            let image = device.kill();
            let again = runtime.block_on(builder(8, on(&image), &clock).build()).unwrap();
            for (number, floor) in (0..).zip(floors) {
                if let Some(version) = again.blocking().get(&key(number)) {
                    assert!(version > floor, "version {version} of key {number} is back, {floor} was gone");
                }
            }
            runtime.block_on(again.close());
        }
        is_over.store(true, Ordering::Release);
    });
    runtime.block_on(cache.close());
}

#[tokio::test]
async fn what_was_synced_away_stays_away_if_the_power_fails() {
    for seed in 0..10 {
        let (device, clock) = (SimulatedDevice::new(seed), Clock::held());
        let first = builder(200, on(&device).removals(Durability::Synced), &clock).build().await.unwrap();
        for number in 0..100 {
            let tag = if number % 2 == 0 { "even" } else { "odd" };
            first.insert_with(key(number), number, EntryOptions::new().tag(tag)).await.unwrap();
        }
        first.close().await;
        let cache = builder(8, on(&device).removals(Durability::Synced), &clock).build().await.unwrap();
        cache.remove(&key(1)).await.unwrap();
        cache.remove_by_tag("even").await.unwrap();
        let crashed = builder(8, on(&device.crash()), &clock).build().await.unwrap();
        assert_eq!((crashed.get(&key(1)).await, crashed.get(&key(2)).await), (None, None));
        assert_eq!(count(&crashed, 0..100).await, 49, "what a close made durable is there, seed {seed}");
        crashed.close().await;
        cache.close().await;
    }
}

#[tokio::test]
async fn damage_at_rest_is_absence_and_what_was_invalidated_stays_away() {
    for seed in 0..30 {
        let (device, clock) = (SimulatedDevice::new(seed), Clock::held());
        let first = builder(8, on(&device), &clock).build().await.unwrap();
        for number in 0..200 {
            let tag = if number % 2 == 0 { "even" } else { "odd" };
            first.insert_with(key(number), number, EntryOptions::new().tag(tag)).await.unwrap();
        }
        first.remove_by_tag("even").await.unwrap();
        fill(&first, 200..210).await;
        first.close().await;
        let name = "segment-0000000000000001";
        let Some(bytes) = device.contents(name) else { panic!("there is a segment") };
        device.flip(name, seed * 7919 % (8 * bytes.len() as u64));
        let again = builder(8, on(&device), &clock).build().await.unwrap();
        for number in 0..210 {
            let found = again.get(&key(number)).await;
            assert!(found.is_none_or(|found| found == number), "seed {seed}");
            assert!(number >= 200 || number % 2 == 1 || found.is_none(), "seed {seed}: {number} is back");
        }
        again.close().await;
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_does_not_make_anything_younger() {
    let device = SimulatedDevice::new(6);
    let day = Duration::from_secs(86_400);
    let open = |clock: &Clock| builder(8, on(&device), clock).time_to_live(60 * SECOND).build();
    let clock = Clock::held_at(20_000 * day);
    let first = open(&clock).await.unwrap();
    fill(&first, 0..50).await;
    clock.advance(50 * SECOND);
    first.close().await;
    let back = Clock::held_at(19_999 * day);
    let second = open(&back).await.unwrap();
    assert_eq!(count(&second, 0..50).await, 50);
    back.advance(10 * SECOND);
    assert_eq!(count(&second, 0..50).await, 0);
    second.close().await;
}

/// It used to say that all is well, and the next process found the value.
#[tokio::test]
async fn a_removal_that_a_close_overtakes_says_so() {
    let (device, clock) = (SimulatedDevice::new(9), Clock::held());
    let cache = filled(&device, on(&device).read_timeout(Duration::from_secs(60)), &clock).await;
    device.set_reads_wait(true);
    device.inject(Injection::after(0, Fault::Stall).every(1).only(&[Operation::Read]));
    let removing = tokio::spawn({
        let cache = cache.clone();
        async move { cache.remove(&key(1)).await }
    });
    while device.stalled() == 0 {
        tokio::task::yield_now().await;
    }
    let closing = tokio::spawn({
        let cache = cache.clone();
        async move { cache.close().await }
    });
    while cache.insert(key(200), 200).await.is_ok() {
        tokio::task::yield_now().await;
    }
    // The store is closed, and the close waits for who reads.
    while cache.health().tier("disk").is_some_and(|tier| tier.state == TierState::Serving) {
        tokio::task::yield_now().await;
    }
    device.heal();
    closing.await.unwrap();
    let removed = removing.await.unwrap();
    let again = builder(8, on(&device), &clock).build().await.unwrap();
    let found = again.get(&key(1)).await;
    assert!(removed.is_err() || found.is_none(), "{removed:?}, and {found:?} after a restart");
    again.close().await;
}

/// It used to be counted, and nobody was told.
#[tokio::test]
async fn a_removal_that_the_device_does_not_confirm_is_an_error_where_it_was_to_survive_the_power() {
    let (device, clock) = (SimulatedDevice::new(11), Clock::held());
    let cache = filled(&device, on(&device).removals(Durability::Synced), &clock).await;
    device.inject(Injection::after(0, Fault::Fail).every(1).only(&[Operation::Sync, Operation::SyncFolder]));
    let removed = cache.remove(&key(1)).await.unwrap_err();
    assert_eq!(removed.kind(), ErrorKind::Unavailable);
    assert!(removed.to_string().contains("did not confirm"), "{removed}");
    let inserted = cache.insert(key(2), 1002).await.unwrap_err();
    assert_eq!((inserted.kind(), cache.get(&key(2)).await), (ErrorKind::Unavailable, Some(1002)));
    assert_eq!(cache.remove_many(&[key(3)]).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!((cache.get(&key(1)).await, cache.get(&key(3)).await), (None, None), "gone here all the same");
    assert_eq!(cache.stats().disk_store.unwrap().unsettled, 3);
    device.heal();
    while cache.flush().await.is_err() {
        tokio::task::yield_now().await;
    }
    assert!(cache.remove(&key(4)).await.unwrap());
    cache.close().await;
}

#[tokio::test]
async fn a_removal_that_the_device_does_not_take_is_counted_where_it_was_to_survive_the_process() {
    let (device, clock) = (SimulatedDevice::new(12), Clock::held());
    let cache = filled(&device, on(&device), &clock).await;
    device.inject(Injection::after(0, Fault::Fail).every(1).only(&[Operation::Write]));
    assert!(cache.remove(&key(1)).await.unwrap());
    assert_eq!((cache.get(&key(1)).await, cache.stats().disk_store.unwrap().unsettled), (None, 1));
    device.heal();
    cache.close().await;
}

/// Stamps used to wait in memory without a bound; what is refused is written down as soon as the device works.
#[tokio::test]
async fn invalidations_that_the_device_does_not_take_are_bounded_and_written_down_later() {
    let (device, clock) = (SimulatedDevice::new(13), Clock::held());
    let small = || on(&device).queue_bytes(1 << 16).removals(Durability::Buffered);
    let first = builder(8, small(), &clock).build().await.unwrap();
    first.insert_with(key(1), 1, EntryOptions::new().tag("t")).await.unwrap();
    first.close().await;
    let cache = builder(8, small(), &clock).build().await.unwrap();
    device.inject(Injection::after(0, Fault::Stall).only(&[Operation::Write]));
    let unsettled = || cache.stats().disk_store.unwrap().unsettled;
    while unsettled() == 0 {
        // Some tens of thousands fit, and to ask takes far longer than to remove.
        for _ in 0..1000 {
            cache.remove_by_tag("another").await.unwrap();
        }
        let queued = cache.stats().disk_store.unwrap().queued_bytes;
        assert!(queued < 4 << 20, "{queued} bytes wait");
    }
    let refused = unsettled();
    cache.remove_by_tag("t").await.unwrap();
    assert_eq!(unsettled(), refused + 1);
    device.heal();
    while cache.flush().await.is_err() {
        tokio::task::yield_now().await;
    }
    let killed = builder(8, on(&device.kill()), &clock).build().await.unwrap();
    assert_eq!(killed.get(&key(1)).await, None);
    killed.close().await;
    cache.close().await;
}
