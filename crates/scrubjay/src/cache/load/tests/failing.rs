//! Loaders that fail, panic, hang; runtimes that go away. An error reaches everyone who waits, and nobody else.

use super::*;
use crate::FailSafe;

#[tokio::test(start_paused = true)]
async fn an_error_is_shared_by_those_who_wait_and_not_cached() {
    let (cache, source) = (cache().await, Source::closed(5));
    source.fails(true);
    let (first, second) = (source.through(&cache), source.through(&cache));
    let (first, second, ()) = tokio::join!(first, second, async {
        settle().await;
        source.let_go();
    });
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Loader);
        assert_eq!(error.downcast_source::<Down>().unwrap().0, 1, "the same attempt");
        assert!(error.to_string().contains("the source is down, attempt 1"), "{error}");
    }
    assert_eq!(source.asked(), 1);
    source.fails(false);
    assert_eq!(source.through(&cache).await.unwrap(), 5, "the next call asks again");
}

#[tokio::test(start_paused = true)]
async fn within_the_back_off_the_same_error_is_returned_without_asking() {
    let cache = cache_with(|builder| builder.error_backoff(s(3))).await;
    let source = Source::open(5);
    source.fails(true);
    source.through(&cache).await.unwrap_err();
    source.fails(false);
    advance(Duration::from_millis(2_999)).await;
    let again = source.through(&cache).await.unwrap_err();
    assert_eq!(again.downcast_source::<Down>().unwrap().0, 1);
    assert_eq!((source.asked(), cache.stats().backed_off), (1, 1));
    advance(Duration::from_millis(1)).await;
    assert_eq!(source.through(&cache).await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn whatever_changes_the_key_ends_the_back_off() {
    for way in 0..4 {
        let cache = cache_with(|builder| builder.error_backoff(s(3))).await;
        let source = Source::open(5);
        source.fails(true);
        source.through(&cache).await.unwrap_err();
        source.fails(false);
        match way {
            0 => drop(cache.remove("a").await.unwrap()),
            1 => drop(cache.remove_by_prefix("a").await.unwrap()),
            2 => cache.clear().await.unwrap(),
            _ => {
                let short = EntryOptions::new().time_to_live(Duration::from_millis(1));
                cache.insert_with("a".to_owned(), 1, short).await.unwrap();
                advance(Duration::from_millis(1)).await;
            }
        }
        assert_eq!(source.through(&cache).await.unwrap(), 5, "way {way}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_an_error_for_all_who_wait_and_the_next_call_loads() {
    let cache = cache().await;
    let panicking = || {
        cache.get_or_load("a", |_| async {
            tokio::task::yield_now().await;
            if true {
                panic!("row {} is odd", 7);
            }
            Ok::<u64, Down>(1)
        })
    };
    let (first, second) = tokio::join!(panicking(), panicking());
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Loader);
        assert!(error.to_string().contains("row 7 is odd"), "{error}");
    }
    let at_once = cache.get_or_load("a", |_| -> std::future::Ready<Result<u64, Down>> { panic!("before any future") });
    assert!(at_once.await.unwrap_err().to_string().contains("before any future"));
    assert_eq!(Source::open(5).through(&cache).await.unwrap(), 5);
}

/// Says when it is dropped.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_takes_longer_than_the_hard_timeout_is_aborted_for_everybody() {
    let cache = cache_with(|builder| builder.hard_timeout(s(2))).await;
    let aborted = Arc::new(AtomicUsize::new(0));
    let hanging = || {
        let dropped = Dropped(Arc::clone(&aborted));
        cache.get_or_load("a", |_| async move {
            let _dropped = dropped;
            std::future::pending::<()>().await;
            Ok::<u64, Down>(1)
        })
    };
    let begin = tokio::time::Instant::now();
    let (first, second) = tokio::join!(hanging(), async {
        later(s(1)).await;
        hanging().await
    });
    assert_eq!((first.unwrap_err().kind(), second.unwrap_err().kind()), (ErrorKind::Timeout, ErrorKind::Timeout));
    assert_eq!(begin.elapsed().as_secs(), 2, "counted from the begin of the load");
    settle().await;
    assert_eq!(aborted.load(Ordering::SeqCst), 2, "the one that ran, and the one that was not needed");
    assert_eq!(cache.stats().hard_timeouts, 1);
    assert_eq!(Source::open(5).through(&cache).await.unwrap(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loader_that_blocks_its_thread_does_not_keep_the_timeout_from_those_who_wait() {
    let builder = Cache::builder("numbers").memory(Memory::entries(100)).hard_timeout(Duration::from_millis(5));
    let cache: Cache<String, u64> = builder.build().await.unwrap();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let late = cache.get_or_load("a", |_| async move {
        let _ = blocked.recv();
        Ok::<u64, Down>(1)
    });
    assert_eq!(late.await.unwrap_err().kind(), ErrorKind::Timeout);
    drop(release);
    assert_eq!(Source::open(5).through(&cache).await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_asks_for_its_own_key_waits_for_itself_until_the_hard_timeout() {
    let cache = cache_with(|builder| builder.hard_timeout(s(2))).await;
    let (inner, source) = (cache.clone(), Source::open(5));
    let asking = source.clone();
    let itself = cache.get_or_load("a", |_| async move { asking.through(&inner).await });
    assert_eq!(itself.await.unwrap_err().kind(), ErrorKind::Timeout);
    assert_eq!(source.asked(), 0);
    assert_eq!(source.through(&cache).await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_weigher_that_panics_over_a_loaded_value_is_an_error_for_all_who_wait() {
    let weigh = |_: &String, value: &u64| if *value == 7 { panic!("seven") } else { 1 };
    let cache = cache_with(|builder| builder.memory_with(Memory::entries(100), weigh)).await;
    let source = Source::closed(7);
    let (first, second, ()) = tokio::join!(source.through(&cache), source.through(&cache), async {
        settle().await;
        source.let_go();
    });
    for error in [first.unwrap_err(), second.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Loader);
        assert!(error.to_string().contains("outside of the loader"), "{error}");
    }
    source.says(5);
    assert_eq!(source.through(&cache).await.unwrap(), 5);
}

async fn with_fail_safe(
    change: impl FnOnce(CacheBuilder<String, u64>) -> CacheBuilder<String, u64>,
) -> Cache<String, u64> {
    let fail_safe = FailSafe { max_stale: s(1_000), throttle: s(10) };
    cache_with(|builder| change(builder.fail_safe(fail_safe))).await
}

#[tokio::test(start_paused = true)]
async fn when_the_loader_fails_an_expired_value_serves_until_it_is_too_old() {
    let cache = with_fail_safe(|builder| builder).await;
    let source = Source::open(1);
    source.through(&cache).await.unwrap();
    source.fails(true);
    advance(TTL + s(999)).await;
    assert_eq!(cache.get("a").await, None, "only get_or_load serves it, and only for want of a better one");
    assert_eq!(source.through(&cache).await.unwrap(), 1);
    assert_eq!(cache.stats().fail_safe_hits, 1);
    advance(s(1)).await;
    assert_eq!(source.through(&cache).await.unwrap_err().kind(), ErrorKind::Loader);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_becomes_too_old_while_the_load_runs_does_not_serve() {
    let failing_late = |_| async {
        later(s(2)).await;
        Err::<u64, _>(Down(1))
    };
    for soft_timeout in [None, Some(s(1))] {
        let cache = with_fail_safe(|builder| match soft_timeout {
            Some(limit) => builder.soft_timeout(limit),
            None => builder,
        });
        let cache = cache.await;
        cache.insert("a".to_owned(), 1).await.unwrap();
        advance(TTL + s(999)).await;
        let error = cache.get_or_load("a", failing_late).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Loader);
        assert_eq!((cache.stats().fail_safe_hits, cache.stats().soft_timeouts), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_loader_that_failed_is_left_alone_for_the_throttle() {
    let cache = with_fail_safe(|builder| builder).await;
    let source = Source::open(1);
    source.through(&cache).await.unwrap();
    advance(TTL).await;
    source.fails(true);
    source.through(&cache).await.unwrap();
    source.fails(false);
    source.says(2);
    for _ in 0..9 {
        advance(s(1)).await;
        assert_eq!(now(source.through(&cache)).unwrap().unwrap(), 1, "at once");
    }
    assert_eq!(source.asked(), 2);
    advance(s(1)).await;
    assert_eq!(source.through(&cache).await.unwrap(), 2);
    assert_eq!(source.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn fail_safe_answers_a_hard_timeout_and_a_panic_too() {
    let cache = with_fail_safe(|builder| builder.hard_timeout(s(2))).await;
    for key in ["a", "b"] {
        cache.insert(key.to_owned(), 1).await.unwrap();
    }
    advance(TTL).await;
    assert_eq!(Source::closed(2).through(&cache).await.unwrap(), 1);
    let panicking = cache.get_or_load("b", |_| async { if true { panic!("no") } else { Ok::<u64, Down>(2) } });
    assert_eq!(panicking.await.unwrap(), 1);
    assert_eq!(cache.stats().fail_safe_hits, 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_remove_fail_safe_has_nothing_to_serve() {
    let cache = with_fail_safe(|builder| builder).await;
    let source = Source::open(1);
    source.through(&cache).await.unwrap();
    advance(TTL).await;
    cache.remove("a").await.unwrap();
    source.fails(true);
    source.through(&cache).await.unwrap_err();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap()
}

#[test]
fn a_runtime_that_shuts_down_is_an_error_for_those_who_wait_and_for_those_who_come() {
    let (own, other) = (runtime(), runtime());
    let builder = Cache::builder("numbers").memory(Memory::entries(100)).runtime(other.handle().clone());
    let cache: Cache<String, u64> = own.block_on(builder.build()).unwrap();
    let (waiting, source) = (cache.clone(), Source::closed(5));
    let caller = async |cache: Cache<String, u64>, source: Source| source.through(&cache).await;
    let leader = own.spawn(caller(waiting.clone(), source.clone()));
    while source.asked() == 0 {
        std::thread::yield_now();
    }
    let follower = own.spawn(caller(waiting, source.clone()));
    while cache.stats().waiting < 2 {
        std::thread::yield_now();
    }
    other.shutdown_background();
    for caller in [leader, follower] {
        assert_eq!(own.block_on(caller).unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let late = own.block_on(source.through(&cache)).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Unavailable, "nor does the next one hang");
}

/// Drives a future on a thread that has no runtime.
fn without_a_runtime<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Unpark>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = Box::pin(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

#[test]
fn a_thread_without_a_runtime_may_wait_for_a_load_and_for_the_soft_timeout() {
    let (runtime, clock) = (runtime(), Clock::held());
    let fail_safe = FailSafe { max_stale: s(1_000), throttle: s(10) };
    let builder = Cache::builder("numbers").memory(Memory::entries(100)).clock(clock.clone()).time_to_live(TTL);
    let builder = builder.fail_safe(fail_safe).soft_timeout(Duration::from_millis(1)).runtime(runtime.handle().clone());
    let cache: Cache<String, u64> = without_a_runtime(builder.build()).unwrap();
    assert_eq!(without_a_runtime(Source::open(1).through(&cache)).unwrap(), 1);
    clock.advance(TTL);
    assert_eq!(without_a_runtime(Source::closed(2).through(&cache)).unwrap(), 1, "stale, after the soft timeout");
}

#[test]
fn a_cache_that_is_given_no_runtime_says_so_when_it_is_built() {
    let builder: CacheBuilder<String, u64> = Cache::builder("numbers").memory(Memory::entries(100));
    let error = without_a_runtime(builder.build()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn when_close_returns_no_loader_is_left() {
    let (cache, dropped) = (cache().await, Arc::new(AtomicUsize::new(0)));
    let mut callers = Vec::new();
    for key in ["a", "b", "c"] {
        let (cache, guard) = (cache.clone(), Dropped(Arc::clone(&dropped)));
        callers.push(tokio::spawn(async move {
            let hanging = |_| async move {
                let _guard = guard;
                std::future::pending::<Result<u64, Down>>().await
            };
            cache.get_or_load(key, hanging).await.unwrap_err().kind()
        }));
    }
    settle().await;
    cache.close().await;
    assert_eq!(dropped.load(Ordering::SeqCst), 3);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), ErrorKind::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_load_that_never_ends_does_not_keep_the_cache_alive() {
    let (cache, dropped) = (cache().await, Arc::new(AtomicUsize::new(0)));
    let guard = Dropped(Arc::clone(&dropped));
    let hanging = |_| async move {
        let _guard = guard;
        std::future::pending::<Result<u64, Down>>().await
    };
    assert!(now(cache.get_or_load("a", hanging)).is_none());
    settle().await;
    let shared = Arc::downgrade(&cache.shared);
    drop(cache);
    assert!(shared.upgrade().is_none());
    settle().await;
    assert_eq!(dropped.load(Ordering::SeqCst), 1, "and the load is ended");
}

#[tokio::test(start_paused = true)]
async fn closing_the_cache_ends_a_load_and_no_other_begins() {
    let (cache, source) = (cache().await, Source::closed(5));
    let waiter = tokio::spawn({
        let (cache, source) = (cache.clone(), source.clone());
        async move { source.through(&cache).await }
    });
    settle().await;
    cache.close().await;
    assert_eq!(source.through(&cache).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(waiter.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
    let asked = ["a", "b"].map(str::to_owned);
    let many = cache.get_or_load_many(&asked, |_| async { Ok::<Vec<u64>, Down>(vec![1, 2]) }).await;
    assert!(many.into_iter().all(|result| result.unwrap_err().kind() == ErrorKind::Closed));
    assert_eq!(source.asked(), 1);
}
