//! The blocking face on threads, on runtimes, and beside the asynchronous one.

use super::*;
use crate::{ErrorKind, Loaded, Memory};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
#[error("the source is down")]
struct Down;

fn blocking() -> BlockingCache<String, u64> {
    Cache::builder("numbers").memory(Memory::entries(10_000)).build_blocking().unwrap()
}

#[test]
fn what_is_inserted_is_there_without_any_runtime() {
    let cache = blocking();
    cache.insert("a".into(), 1).unwrap();
    cache.insert_with("b".into(), 2, EntryOptions::new().tag("even")).unwrap();
    cache.insert_many([("c".to_owned(), 3), ("d".to_owned(), 4)]).unwrap();
    assert_eq!((cache.get("a"), cache.peek("b"), cache.contains("c")), (Some(1), Some(2), true));
    assert_eq!(cache.get_many(&["a".into(), "x".into(), "d".into()]), [Some(1), None, Some(4)]);
    assert_eq!(cache.keys().collect::<HashSet<_>>(), ["a", "b", "c", "d"].map(str::to_owned).into());
    assert!(cache.remove("a").unwrap());
    assert!(!cache.remove("a").unwrap());
    cache.remove_by_tag("even").unwrap();
    cache.remove_many(&["c".to_owned()]).unwrap();
    assert_eq!((cache.get("a"), cache.get("b"), cache.get("c"), cache.get("d")), (None, None, None, Some(4)));
    cache.clear().unwrap();
    assert_eq!(cache.get("d"), None);
}

#[test]
fn a_prefix_is_removed() {
    let cache = blocking();
    cache.insert_many([("x/1".to_owned(), 1), ("x/2".to_owned(), 2), ("y/1".to_owned(), 3)]).unwrap();
    assert_eq!(cache.remove_by_prefix("x/").unwrap(), 2);
    assert_eq!(cache.keys().collect::<Vec<_>>(), ["y/1"]);
}

#[test]
fn threads_that_miss_at_once_are_one_load() {
    const THREADS: usize = 16;
    let (cache, calls, all_ask) = (blocking(), Arc::new(AtomicUsize::new(0)), Barrier::new(THREADS));
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(parking_lot::Mutex::new(released));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let (calls, released) = (Arc::clone(&calls), Arc::clone(&released));
                all_ask.wait();
                let loader = move |_| {
                    calls.fetch_add(1, Ordering::SeqCst);
                    released.lock().recv().unwrap();
                    Ok::<_, Down>(7)
                };
                assert_eq!(cache.get_or_load("a", loader).unwrap(), 7);
            });
        }
        while cache.stats().waiting < 16 {
            thread::yield_now();
        }
        release.send(()).unwrap();
    });
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_loader_may_say_how_its_entry_is_kept_and_that_there_is_none() {
    let cache = blocking();
    let loaded = cache.get_or_load("a", |_| Ok::<_, Down>(Loaded::value(1).tag("odd"))).unwrap();
    assert_eq!(loaded, 1);
    cache.remove_by_tag("odd").unwrap();
    assert_eq!(cache.get("a"), None);
    assert_eq!(cache.get_or_load("b", |_| Ok::<Option<u64>, Down>(None)).unwrap_err().kind(), ErrorKind::Absent);
    assert_eq!(cache.get_or_load_optional("b", |_| Ok::<Option<u64>, Down>(None)).unwrap(), None);
}

#[test]
fn an_error_keeps_its_type_and_a_panic_its_message() {
    let cache = blocking();
    let error = cache.get_or_load("a", |_| Err::<u64, _>(Down)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Loader);
    assert!(error.downcast_source::<Down>().is_some());
    let error = cache.get_or_load("a", |_| if true { panic!("no such table") } else { Err::<u64, _>(Down) });
    let error = error.unwrap_err();
    assert!(error.kind() == ErrorKind::Loader && error.to_string().contains("no such table"), "{error}");
    assert_eq!(cache.get_or_load("a", |_| Ok::<_, Down>(1)).unwrap(), 1, "the cache goes on");
}

#[test]
fn many_keys_are_one_call_and_a_result_each() {
    let cache = blocking();
    cache.insert("b".into(), 20).unwrap();
    let keys = ["a", "b", "c"].map(str::to_owned);
    let results = cache.get_or_load_many(&keys, |keys| {
        assert_eq!(keys, ["a", "c"]);
        Ok::<_, Down>(vec![1, 3])
    });
    assert_eq!(results.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [Some(1), Some(20), Some(3)]);
}

#[test]
fn a_loader_may_use_the_cache_for_other_keys() {
    let cache = blocking();
    let inner = cache.clone();
    let sum = cache.get_or_load("sum", move |_| {
        let one = inner.get_or_load("one", |_| Ok::<_, Down>(1))?;
        inner.insert("two".into(), 2)?;
        Ok::<_, Error>(one + inner.get("two").unwrap_or(0))
    });
    assert_eq!(sum.unwrap(), 3);
}

#[test]
fn a_load_that_takes_longer_than_the_hard_timeout_is_an_error_for_who_waits() {
    let builder = Cache::<String, u64>::builder("numbers").memory(Memory::entries(100));
    let cache = builder.hard_timeout(Duration::from_millis(20)).build_blocking().unwrap();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let error = cache.get_or_load("a", move |_| released.recv().map(|()| 7)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    drop(release);
    assert_eq!(cache.get("a"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_faces_share_entries_and_loads() {
    let cache: Cache<String, u64> = Cache::builder("numbers").memory(Memory::entries(100)).build().await.unwrap();
    let (release, released) = tokio::sync::oneshot::channel::<u64>();
    let asynchronous = tokio::spawn({
        let cache = cache.clone();
        async move { cache.get_or_load("a", |_| released).await }
    });
    while cache.stats().waiting < 1 {
        tokio::task::yield_now().await;
    }
    let blocking = cache.blocking();
    let joined = tokio::task::spawn_blocking(move || blocking.get_or_load("a", |_| Err::<u64, _>(Down)));
    while cache.stats().waiting < 2 {
        tokio::task::yield_now().await;
    }
    release.send(7).unwrap();
    assert_eq!((asynchronous.await.unwrap().unwrap(), joined.await.unwrap().unwrap()), (7, 7));
    assert_eq!(cache.blocking().get("a"), Some(7), "a hit is served on a worker too");
}

#[tokio::test]
async fn the_only_thread_of_a_runtime_gets_an_error_and_its_hits() {
    let cache: Cache<String, u64> = Cache::builder("numbers").memory(Memory::entries(100)).build().await.unwrap();
    let blocking = cache.blocking();
    blocking.insert("a".into(), 1).unwrap();
    assert_eq!(blocking.get_or_load("a", |_| Err::<u64, _>(Down)).unwrap(), 1);
    assert_eq!(blocking.get_or_load("b", |_| Ok::<_, Down>(2)).unwrap_err().kind(), ErrorKind::Invalid);
    let results = blocking.get_or_load_many(&["c".to_owned()], |_| Ok::<_, Down>(vec![3]));
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(cache.get_or_load("b", async |_| Ok::<_, Down>(9)).await.unwrap(), 2, "its load goes on");
}

#[test]
fn a_closed_cache_loads_nothing_any_more() {
    let cache = blocking();
    cache.insert("a".into(), 1).unwrap();
    cache.close().unwrap();
    cache.close().unwrap();
    assert_eq!(cache.get("a"), None);
    assert_eq!(cache.get_or_load("a", |_| Ok::<_, Down>(1)).unwrap_err().kind(), ErrorKind::Closed);
    assert!(!cache.health().is_serving());
}

#[test]
fn builders_errors_come_through() {
    let error = Cache::<u64, u64>::builder("numbers").memory(Memory::entries(0)).build_blocking().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
