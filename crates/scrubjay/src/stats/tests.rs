//! Nothing that was counted is lost, whoever counts it, and reading goes only up.

use super::read::Level;
use super::*;
use std::sync::atomic::AtomicBool;
use std::thread;

fn read(counters: &Counters) -> Stats {
    counters.read(Level::default(), Lower::default())
}

/// A compressed tier that says so much of itself.
fn below(tier: TierStats) -> Lower {
    Lower { compressed: Some(tier), ..Lower::default() }
}

#[test]
fn nothing_is_lost_with_more_threads_than_slots() {
    const EACH: u64 = 20_000;
    // A slot for a thread or two; the others share. Threads come and go, so slots change hands.
    for owned in [0, 2, 64] {
        let counters = Counters::with_slots(owned);
        for _ in 0..3 {
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| (0..EACH).for_each(|_| counters.count(Frequent::MemoryHit)));
                }
            });
        }
        assert_eq!(read(&counters).memory.hits, 3 * 8 * EACH, "{owned} slots");
    }
}

#[test]
fn what_is_read_while_others_count_never_goes_down() {
    let counters = Counters::with_slots(2);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    counters.count(Frequent::MemoryHit);
                    counters.load_ended(Duration::from_nanos(3), true);
                }
            });
        }
        let mut last = read(&counters);
        for _ in 0..5_000 {
            let now = read(&counters);
            assert!(now.memory.hits >= last.memory.hits && now.loads >= last.loads);
            assert!(now.load_seconds >= last.load_seconds);
            last = now;
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn every_event_has_its_own_field() {
    use Frequent::*;
    let counters = Counters::with_slots(4);
    for (event, n) in [MemoryHit, MemoryMiss, MemoryStaleHit, MemoryInsert, NegativeHit].into_iter().zip(1..) {
        counters.add(event, n);
    }
    use Rare::*;
    let rare =
        [Joined, Revoked, Refresh, SoftTimeout, HardTimeout, FailSafeHit, BackedOff, WaiterRefused, ListenerPanic];
    for (event, n) in rare.into_iter().zip(1..) {
        (0..n).for_each(|_| counters.count_rare(event));
    }
    let stats = read(&counters);
    assert_eq!((stats.memory.hits, stats.memory.misses), (1, 2));
    assert_eq!((stats.memory.stale_hits, stats.memory.inserts), (3, 4));
    assert_eq!(stats.negative_hits, 5);
    let waits = [stats.joined, stats.revoked, stats.refreshes];
    let late = [stats.soft_timeouts, stats.hard_timeouts, stats.fail_safe_hits];
    let rest = [stats.backed_off, stats.waiters_refused, stats.listener_panics];
    assert_eq!([waits, late, rest], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]);
}

#[test]
fn drops_are_told_apart_by_reason() {
    let counters = Counters::with_slots(4);
    let whys = [Dropped::TooLarge, Dropped::Invalid, Dropped::Invalidated, Dropped::Expired];
    for (why, times) in whys.into_iter().zip(1..) {
        (0..times).for_each(|_| counters.dropped(Place::Memory, why));
    }
    let memory = read(&counters).memory;
    let drops = memory.drops;
    assert_eq!([drops.too_large, drops.invalid, drops.invalidated, drops.expired], [1, 2, 3, 4]);
    assert_eq!(drops.total(), 10);
}

#[test]
fn what_the_compressed_tier_counts_itself_is_added_to_what_the_cache_counted_for_it() {
    let counters = Counters::with_slots(4);
    counters.add(Frequent::CompressedHit, 5);
    counters.add(Frequent::CompressedStaleHit, 6);
    counters.add(Frequent::CompressedMiss, 7);
    counters.dropped(Place::Compressed, Dropped::Expired);
    let own = Drops { expired: 2, not_encoded: 3, corrupt: 4, ..Drops::default() };
    let stats = counters.read(Level::default(), below(TierStats { inserts: 9, drops: own, ..TierStats::default() }));
    let tier = stats.compressed.unwrap();
    assert_eq!((tier.hits, tier.stale_hits, tier.misses, tier.inserts), (5, 6, 7, 9));
    assert_eq!(tier.drops, Drops { expired: 3, ..own });
    assert_eq!(stats.codec_errors, 7);
}

#[test]
fn a_waiter_counts_as_waiting_until_it_is_dropped() {
    let counters = Counters::with_slots(1);
    let first = counters.wait();
    let second = counters.wait();
    assert_eq!((read(&counters).waiters, read(&counters).waiting), (2, 2));
    drop(first);
    assert_eq!((read(&counters).waiters, read(&counters).waiting), (2, 1));
    drop(second);
    assert_eq!(read(&counters).waiting, 0);
}

#[test]
fn hits_save_the_mean_time_of_a_load_each() {
    let counters = Counters::with_slots(1);
    assert!(read(&counters).seconds_saved().abs() < 1e-12);
    counters.load_ended(Duration::from_millis(100), true);
    counters.load_ended(Duration::from_millis(300), false);
    counters.add(Frequent::MemoryHit, 7);
    counters.add(Frequent::MemoryStaleHit, 1);
    counters.add(Frequent::MemoryMiss, 4);
    counters.add(Frequent::CompressedHit, 2);
    counters.add(Frequent::CompressedMiss, 2);
    let stats = counters.read(Level::default(), below(TierStats::default()));
    assert_eq!((stats.loads, stats.load_errors), (2, 1));
    assert!((stats.load_seconds_mean() - 0.2).abs() < 1e-9);
    assert!((stats.seconds_saved() - 2.0).abs() < 1e-9);
    assert!((stats.hit_ratio() - 10.0 / 12.0).abs() < 1e-9);
    assert!((stats.compressed.unwrap().hit_ratio() - 0.5).abs() < 1e-9);
}

#[test]
fn a_cache_that_nobody_asked_has_ratio_zero() {
    let stats = Stats::default();
    assert!(stats.hit_ratio().abs() < 1e-12);
    assert!(stats.memory.hit_ratio().abs() < 1e-12);
}

#[test]
fn stats_serialise_with_the_names_of_their_fields() {
    let counters = Counters::with_slots(1);
    counters.count(Frequent::MemoryHit);
    let stats = counters.read(Level::default(), below(TierStats::default()));
    let json = serde_json::to_value(stats).unwrap();
    assert_eq!(json["memory"]["hits"], 1);
    assert_eq!(json["memory"]["unit"], "bytes");
    assert_eq!(json["memory"]["departures"]["over_quota"], 0);
    assert_eq!(json["compressed"]["drops"]["not_encoded"], 0);
}

#[test]
fn what_leaves_is_counted_though_nobody_watches() {
    let builder = crate::Cache::<u64, u64>::builder("numbers").memory(crate::Memory::entries(1_000).shards(1));
    let cache = builder.build_blocking().unwrap();
    cache.insert_many((0..3_000).map(|key| (key, key))).unwrap();
    cache.insert(2_999, 1).unwrap();
    cache.remove(&2_999).unwrap();
    let memory = cache.stats().memory;
    assert_eq!((memory.departures.replaced, memory.departures.removed), (1, 1));
    assert_eq!(memory.inserts, memory.entries + memory.departures.total());
    assert!(memory.departures.evicted >= 1_999);
}
