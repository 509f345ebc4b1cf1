//! Phases, dual writes, moved reads, loads for both and comparisons, with two caches in memory alone.

use super::{Migration, Phase};
use crate::{Cache, EntryOptions, ErrorKind, Loaded, Memory};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

type Text = Arc<str>;

fn text(text: &str) -> Text {
    text.into()
}

async fn cache(name: &str) -> Cache<u64, Text> {
    Cache::builder(name).memory(Memory::entries(10_000)).build().await.unwrap()
}

async fn migration(phase: Phase) -> Migration<u64, Text> {
    let migration = Migration::new(cache("old").await, cache("new").await).unwrap().compare_reads(1.0);
    migration.set_phase(phase).await.unwrap();
    migration
}

/// What both caches have, the old one first.
async fn both(migration: &Migration<u64, Text>, key: u64) -> (Option<Text>, Option<Text>) {
    (migration.old_cache().get(&key).await, migration.new_cache().get(&key).await)
}

/// Waits until so many reads were compared.
async fn compared(migration: &Migration<u64, Text>, count: u64) {
    let all = async {
        while migration.stats().compared < count {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
}

#[tokio::test]
async fn each_phase_reads_and_writes_what_it_says() {
    let cases = [
        (Phase::Old, (true, false), "old"),
        (Phase::DualWrite, (true, true), "old"),
        (Phase::Reading { percent: 0 }, (true, true), "old"),
        (Phase::Reading { percent: 100 }, (true, true), "new"),
        (Phase::New, (true, true), "new"),
    ];
    for (phase, written, read) in cases {
        let migration = migration(phase).await;
        assert_eq!(migration.phase(), phase);
        migration.insert(1, text("one")).await.unwrap();
        let (old, new) = both(&migration, 1).await;
        assert_eq!((old.is_some(), new.is_some()), written, "{phase:?}");
        migration.old_cache().insert(2, text("old")).await.unwrap();
        migration.new_cache().insert(2, text("new")).await.unwrap();
        assert_eq!(migration.get(&2).await.as_deref(), Some(read), "{phase:?}");
        assert_eq!(migration.get_many(&[9, 2]).await, [None, Some(text(read))], "{phase:?}");
        let loaded = migration.get_or_load(&2, async |_| Ok::<_, io::Error>(text("loaded"))).await.unwrap();
        assert_eq!(&*loaded, read, "{phase:?}");
        assert!(migration.remove(&2).await.unwrap());
        assert_eq!(migration.get(&2).await, None, "{phase:?}");
        let keeps_new = phase == Phase::Old;
        assert_eq!(both(&migration, 2).await, (None, keeps_new.then(|| text("new"))), "{phase:?}");
    }
}

#[tokio::test]
async fn removals_by_tag_prefix_and_clear_concern_both() {
    let build = async |name| Cache::builder(name).memory(Memory::entries(100)).build().await.unwrap();
    let (old, new): (Cache<String, u64>, Cache<String, u64>) = (build("old").await, build("new").await);
    let migration = Migration::new(old.clone(), new.clone()).unwrap();
    for phase in [Phase::DualWrite, Phase::Reading { percent: 50 }, Phase::New] {
        migration.set_phase(phase).await.unwrap();
        for key in ["a:1", "a:2", "b:1"] {
            let options = EntryOptions::new().tag(key[..1].to_owned());
            migration.insert_with(key.to_owned(), 1, options).await.unwrap();
        }
        migration.remove_by_tag("b").await.unwrap();
        assert_eq!((old.get("b:1").await, new.get("b:1").await), (None, None), "{phase:?}");
        assert_eq!(migration.remove_by_prefix("a:1").await.unwrap(), 1);
        assert_eq!((old.get("a:1").await, new.get("a:1").await), (None, None), "{phase:?}");
        assert_eq!((old.get("a:2").await, new.get("a:2").await), (Some(1), Some(1)), "{phase:?}");
        migration.clear().await.unwrap();
        assert_eq!((old.get("a:2").await, new.get("a:2").await), (None, None), "{phase:?}");
    }
}

#[tokio::test]
async fn reads_move_by_key_and_never_back_while_the_part_grows() {
    let migration = migration(Phase::DualWrite).await;
    for key in 0..1_000 {
        migration.old_cache().insert(key, text("old")).await.unwrap();
        migration.new_cache().insert(key, text("new")).await.unwrap();
    }
    let keys: Vec<u64> = (0..1_000).collect();
    let mut before: Vec<bool> = vec![false; 1_000];
    for percent in [1, 10, 50, 90] {
        migration.set_phase(Phase::Reading { percent }).await.unwrap();
        let values = migration.get_many(&keys).await;
        let moved: Vec<bool> = values.iter().map(|value| value.as_deref() == Some("new")).collect();
        let count = moved.iter().filter(|moved| **moved).count();
        let wanted = usize::from(percent) * 10;
        assert!(count.abs_diff(wanted) < 60, "{count} of {wanted}");
        assert!(before.iter().zip(&moved).all(|(before, now)| !before || *now), "{percent}");
        for (key, moved) in (0..).zip(&moved) {
            let one = migration.get(&key).await;
            assert_eq!(one.as_deref() == Some("new"), *moved, "{key} flaps");
        }
        before = moved;
    }
}

#[tokio::test]
async fn what_the_new_one_missed_in_the_first_phase_is_not_read_from_it() {
    let migration = migration(Phase::DualWrite).await;
    migration.insert(1, text("first")).await.unwrap();
    migration.set_phase(Phase::Old).await.unwrap();
    // Nothing was changed: nothing is lost.
    migration.set_phase(Phase::New).await.unwrap();
    assert_eq!(migration.get(&1).await, Some(text("first")));
    migration.set_phase(Phase::Old).await.unwrap();
    migration.insert(1, text("second")).await.unwrap();
    assert_eq!(migration.new_cache().get(&1).await, Some(text("first")));
    migration.set_phase(Phase::New).await.unwrap();
    assert_eq!(migration.get(&1).await, None);
    migration.roll_back().await.unwrap();
    assert_eq!((migration.phase(), migration.get(&1).await), (Phase::DualWrite, Some(text("second"))));
    // A new one that cannot be emptied is not read.
    migration.set_phase(Phase::Old).await.unwrap();
    migration.remove(&1).await.unwrap();
    migration.new_cache().close().await;
    assert_eq!(migration.cut_over().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(migration.phase(), Phase::Old);
}

#[tokio::test]
async fn the_shadow_harms_nobody_and_keeps_no_older_value() {
    let old: Cache<u64, Text> = cache("old").await;
    let weigher = |_: &u64, value: &Text| u32::try_from(value.len() * 10_000).unwrap();
    let new = Cache::builder("new").memory_with(Memory::bytes(1 << 20), weigher).build().await.unwrap();
    let migration = Migration::new(old, new).unwrap();
    migration.set_phase(Phase::DualWrite).await.unwrap();
    migration.insert(1, text("small")).await.unwrap();
    let large = text(&"x".repeat(1_000));
    migration.insert(1, Arc::clone(&large)).await.unwrap();
    assert_eq!(both(&migration, 1).await, (Some(Arc::clone(&large)), None));
    assert_eq!(migration.stats().errors_of_new, 1);
    // Where both are read, both must take it.
    migration.set_phase(Phase::Reading { percent: 0 }).await.unwrap();
    assert_eq!(migration.insert(1, large).await.unwrap_err().kind(), ErrorKind::Invalid);
    migration.set_phase(Phase::DualWrite).await.unwrap();
    migration.new_cache().close().await;
    migration.insert(2, text("two")).await.unwrap();
    assert!(migration.remove(&2).await.unwrap());
    migration.remove_by_tag("tag").await.unwrap();
    migration.clear().await.unwrap();
    let load = async |_| Ok::<_, io::Error>(Loaded::value(text("three")).tag("tag"));
    assert_eq!(migration.get_or_load(&3, load).await.unwrap(), text("three"));
    assert_eq!(migration.get(&3).await, Some(text("three")));
    let stats = migration.stats();
    assert_eq!((stats.errors_of_old, stats.loads_apart), (0, 1), "{stats:?}");
    assert!(stats.errors_of_new > 5, "{stats:?}");
    assert!(migration.health().is_serving() && !migration.health().new.is_serving());
    migration.set_phase(Phase::Reading { percent: 1 }).await.unwrap();
    assert!(!migration.health().is_serving());
    assert_eq!(migration.remove(&3).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(migration.old_cache().get(&3).await, None);
}

#[tokio::test]
async fn one_load_fills_both_with_its_options_however_many_ask() {
    for phase in [Phase::DualWrite, Phase::Reading { percent: 50 }, Phase::New] {
        let migration = migration(phase).await;
        let (count, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let mut calls = Vec::new();
        for number in 0..100_u64 {
            let (migration, count, gate) = (migration.clone(), Arc::clone(&count), Arc::clone(&gate));
            calls.push(tokio::spawn(async move {
                let loader = move |key: u64| async move {
                    count.fetch_add(1, Ordering::SeqCst);
                    gate.notified().await;
                    gate.notify_one();
                    Ok::<_, io::Error>(Loaded::value(text(&key.to_string())).tag("loaded"))
                };
                migration.get_or_load(&(number % 2), loader).await.unwrap()
            }));
        }
        while count.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        gate.notify_one();
        for (number, call) in calls.into_iter().enumerate() {
            assert_eq!(&*call.await.unwrap(), (number % 2).to_string(), "{phase:?}");
        }
        assert_eq!(count.load(Ordering::SeqCst), 2, "{phase:?}");
        for key in 0..2 {
            let value = Some(text(&key.to_string()));
            tokio::time::timeout(Duration::from_secs(30), async {
                while both(&migration, key).await != (value.clone(), value.clone()) {
                    tokio::task::yield_now().await;
                }
            })
            .await
            .unwrap();
        }
        migration.remove_by_tag("loaded").await.unwrap();
        assert_eq!(both(&migration, 0).await, (None, None), "{phase:?}");
    }
}

#[tokio::test]
async fn a_removal_keeps_a_load_that_began_before_out_of_both() {
    let migration = migration(Phase::DualWrite).await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let call = {
        let (migration, begun, go_on) = (migration.clone(), Arc::clone(&begun), Arc::clone(&go_on));
        tokio::spawn(async move {
            let loader = move |_| async move {
                begun.notify_one();
                go_on.notified().await;
                Ok::<_, io::Error>(text("stale"))
            };
            migration.get_or_load(&1, loader).await
        })
    };
    begun.notified().await;
    migration.remove(&1).await.unwrap();
    go_on.notify_one();
    assert_eq!(call.await.unwrap().unwrap(), text("stale"));
    // The other cache's load has ended when a further one of the same key has.
    let loaded = migration.get_or_load_optional(&1, async |_| Ok::<_, io::Error>(None)).await;
    assert_eq!(loaded.unwrap(), None);
    assert_eq!(both(&migration, 1).await, (None, None));
}

#[tokio::test]
async fn a_loader_that_fails_or_panics_is_an_error_of_the_cache_that_is_read() {
    let migration = migration(Phase::Reading { percent: 50 }).await;
    for key in 0..10 {
        let gone = async |_| Err::<Text, _>(io::Error::other("gone"));
        let error = migration.get_or_load(&key, gone).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Loader);
        assert_eq!(error.downcast_source::<io::Error>().unwrap().to_string(), "gone");
        let panics = async |_| -> Result<Text, io::Error> { panic!("on purpose") };
        assert_eq!(migration.get_or_load(&key, panics).await.unwrap_err().kind(), ErrorKind::Loader);
        assert_eq!(both(&migration, key).await, (None, None));
    }
}

#[tokio::test]
async fn comparisons_count_what_kind_of_difference_they_find() {
    let migration = migration(Phase::DualWrite).await;
    migration.insert(1, text("same")).await.unwrap();
    migration.old_cache().insert(2, text("old")).await.unwrap();
    migration.new_cache().insert(3, text("new")).await.unwrap();
    migration.insert(4, text("one")).await.unwrap();
    migration.new_cache().insert(4, text("other")).await.unwrap();
    for key in 1..=5 {
        migration.get(&key).await;
        compared(&migration, key).await;
    }
    let stats = migration.stats();
    assert_eq!((stats.missing_in_new, stats.missing_in_old, stats.differs), (1, 1, 1), "{stats:?}");
    assert_eq!((stats.compared, stats.mismatches(), stats.passed_by), (5, 3, 0), "{stats:?}");
    // Nothing is compared where the new one is left alone.
    migration.set_phase(Phase::Old).await.unwrap();
    migration.get(&1).await;
    tokio::task::yield_now().await;
    assert_eq!(migration.stats().compared, 5);
}

#[tokio::test]
async fn the_sample_has_the_share_that_was_asked_for() {
    for (share, expected) in [(0.0, 0), (0.01, 10), (0.25, 250), (1.0, 1_000), (7.0, 1_000), (f64::NAN, 0)] {
        let same = |_: &Text, _: &Text| true;
        let migration = Migration::new(cache("old").await, cache("new").await).unwrap();
        let migration = migration.compare_reads_with(share, same);
        migration.set_phase(Phase::New).await.unwrap();
        for _ in 0..1_000 {
            migration.get(&1).await;
            tokio::task::yield_now().await;
        }
        let count = || migration.stats().compared + migration.stats().passed_by;
        let all = async {
            while count() + 1 < expected {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
        assert!(count() <= expected, "{share}: {}", count());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_one_key_leave_the_same_in_both_through_all_phases() {
    let migration = migration(Phase::Old).await;
    let writer = |number: usize| {
        let migration = migration.clone();
        tokio::spawn(async move {
            for round in 0..500 {
                let key = round % 3;
                match round % 7 {
                    0 => drop(migration.remove(&key).await.unwrap()),
                    _ => migration.insert(key, text(&format!("{number} {round}"))).await.unwrap(),
                }
                tokio::task::yield_now().await;
            }
        })
    };
    let writers: Vec<_> = (0..4).map(writer).collect();
    let phases = [Phase::DualWrite, Phase::Reading { percent: 50 }, Phase::New, Phase::Old];
    for phase in phases.into_iter().cycle().take(81) {
        migration.set_phase(phase).await.unwrap();
        tokio::task::yield_now().await;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    migration.set_phase(Phase::DualWrite).await.unwrap();
    for key in 0..3 {
        let (old, new) = both(&migration, key).await;
        assert!(new.is_none() || new == old, "{old:?} and {new:?}");
    }
}

#[tokio::test]
async fn one_cache_is_no_two() {
    let cache = cache("one").await;
    let error = Migration::new(cache.clone(), cache).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let migration = migration(Phase::DualWrite).await;
    let error = migration.set_phase(Phase::Reading { percent: 101 }).await.unwrap_err();
    assert_eq!((error.kind(), migration.phase()), (ErrorKind::Invalid, Phase::DualWrite));
}
