//! The load path through the public calls. Time is tokio's, paused, and the cache's clock goes with it: it moves when a test
//! says so, or when every task waits for a timer, straight to the next one.

mod cancelled;
mod edges;
mod failing;
mod histories;
mod many;
mod overtaken;
mod stale;
mod watched;

use crate::{Cache, CacheBuilder, Clock, EntryOptions, Error, ErrorKind, Loaded, Memory};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Semaphore;

const TTL: Duration = Duration::from_secs(100);

/// Seconds.
fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A cache of numbers with a time to live of 100 s, to which a test adds what it is about.
async fn cache_with(change: impl FnOnce(CacheBuilder<String, u64>) -> CacheBuilder<String, u64>) -> Cache<String, u64> {
    let builder = Cache::builder("numbers").memory(Memory::entries(10_000)).clock(Clock::tokio()).time_to_live(TTL);
    change(builder).build().await.unwrap()
}

async fn cache() -> Cache<String, u64> {
    cache_with(|builder| builder).await
}

/// What a loader returns here.
type Fetching<T> = Pin<Box<dyn Future<Output = Result<T, Down>> + Send>>;

/// A source of truth: how often it was asked, what it says, and a door that holds the answers back.
#[derive(Clone)]
struct Source {
    inner: Arc<Inner>,
}

struct Inner {
    asked: AtomicUsize,
    truth: AtomicU64,
    is_failing: AtomicUsize,
    door: Semaphore,
}

#[derive(Debug, thiserror::Error)]
#[error("the source is down, attempt {0}")]
struct Down(usize);

impl Source {
    /// It answers at once.
    fn open(truth: u64) -> Source {
        let source = Source::closed(truth);
        source.let_go();
        source
    }

    /// It reads the truth at once, but answers only after [`let_go`](Source::let_go).
    fn closed(truth: u64) -> Source {
        let (asked, truth, is_failing) = (AtomicUsize::new(0), AtomicU64::new(truth), AtomicUsize::new(0));
        Source { inner: Arc::new(Inner { asked, truth, is_failing, door: Semaphore::new(0) }) }
    }

    fn let_go(&self) {
        self.inner.door.add_permits(1 << 20);
    }

    fn hold(&self) {
        self.inner.door.forget_permits(usize::MAX >> 8);
    }

    fn asked(&self) -> usize {
        self.inner.asked.load(Ordering::SeqCst)
    }

    fn says(&self, truth: u64) {
        self.inner.truth.store(truth, Ordering::SeqCst);
    }

    fn fails(&self, is_failing: bool) {
        self.inner.is_failing.store(usize::from(is_failing), Ordering::SeqCst);
    }

    async fn fetch(self) -> Result<u64, Down> {
        let attempt = self.inner.asked.fetch_add(1, Ordering::SeqCst) + 1;
        let truth = self.inner.truth.load(Ordering::SeqCst);
        let is_failing = self.inner.is_failing.load(Ordering::SeqCst) == 1;
        self.inner.door.acquire().await.unwrap().forget();
        if is_failing { Err(Down(attempt)) } else { Ok(truth) }
    }

    /// A loader of this source.
    fn loader(&self) -> impl FnOnce(String) -> Fetching<u64> + Send + 'static {
        let source = self.clone();
        move |_| Box::pin(source.fetch())
    }

    async fn through(&self, cache: &Cache<String, u64>) -> Result<u64, Error> {
        cache.get_or_load("a", self.loader()).await
    }
}

/// Polls once: `None` if it would wait.
fn now<F: Future>(future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Lets every other task run as far as it gets without time going on.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn advance(by: Duration) {
    tokio::time::advance(by).await;
    settle().await;
}

/// Ready when the paused time has gone on by so much, which takes none of ours.
async fn later(by: Duration) {
    tokio::time::sleep(by).await;
}

#[tokio::test(start_paused = true)]
async fn a_miss_asks_the_loader_and_the_next_read_is_a_hit_that_does_not_wait() {
    let (cache, source) = (cache().await, Source::open(5));
    assert_eq!(source.through(&cache).await.unwrap(), 5);
    assert_eq!(now(source.through(&cache)).unwrap().unwrap(), 5);
    assert_eq!(cache.get("a").await, Some(5));
    assert_eq!(source.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_a_few_words_beside_its_loader() {
    let (cache, big) = (cache().await, [1_u64; 100]);
    let loader = move |_| async move { Ok::<u64, Down>(big.iter().sum()) };
    let bytes = size_of_val(&cache.get_or_load("a", loader)) - size_of_val(&loader);
    assert!(bytes <= 64, "{bytes}");
    assert_eq!(cache.get_or_load("a", loader).await.unwrap(), 100);
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_loaded_again_when_its_time_to_live_is_over_and_not_before() {
    let (cache, source) = (cache().await, Source::open(5));
    source.through(&cache).await.unwrap();
    advance(TTL - Duration::from_millis(1)).await;
    source.through(&cache).await.unwrap();
    assert_eq!(source.asked(), 1);
    advance(Duration::from_millis(1)).await;
    source.through(&cache).await.unwrap();
    assert_eq!(source.asked(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_callers_on_many_threads_are_one_load() {
    let cache: Cache<String, u64> = Cache::builder("numbers").memory(Memory::entries(100)).build().await.unwrap();
    let source = Source::closed(5);
    let callers: Vec<_> = (0..1_000)
        .map(|_| {
            let (cache, source) = (cache.clone(), source.clone());
            tokio::spawn(async move { source.through(&cache).await.unwrap() })
        })
        .collect();
    while cache.stats().waiting < 1_000 {
        tokio::task::yield_now().await;
    }
    source.let_go();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), 5);
    }
    assert_eq!(source.asked(), 1);
    assert_eq!((cache.stats().waiters, cache.stats().joined, cache.stats().waiting), (1_000, 999, 0));
}

#[tokio::test(start_paused = true)]
async fn who_missed_before_a_load_ended_and_leads_after_it_finds_its_value() {
    let (cache, source) = (cache().await, Source::open(6));
    let hash = cache.shared.memory.hash("a");
    let missed = cache.shared.find_in_memory(hash, "a");
    assert_eq!(Source::open(5).through(&cache).await.unwrap(), 5);
    let loader = source.loader();
    let loading = Box::pin(async move { Ok(vec![Loaded::value(loader(String::new()).await?)]) });
    let read = Arc::clone(&cache.shared).load(hash, "a".to_owned(), missed, loading).await;
    assert_eq!((read.unwrap(), source.asked()), (Some(5), 0));
    assert_eq!(cache.shared.leases.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_loader_says_how_its_entry_is_kept() {
    let cache = cache().await;
    let tagged = |_| async { Ok::<_, Down>(Loaded::value(5).time_to_live(s(7)).tag("odd")) };
    cache.get_or_load("short", tagged).await.unwrap();
    cache.get_or_load("tagged", |_| async { Ok::<_, Down>(Loaded::value(5).tag("odd")) }).await.unwrap();
    advance(s(6)).await;
    assert_eq!(cache.get("short").await, Some(5));
    advance(s(1)).await;
    assert_eq!(cache.get("short").await, None, "its own time to live");
    assert_eq!(cache.get("tagged").await, Some(5));
    cache.remove_by_tag("odd").await.unwrap();
    assert_eq!(cache.get("tagged").await, None, "its own tag");
}

/// Weight and cost of an entry, which is taken out.
fn weight_and_cost(cache: &Cache<String, u64>, key: &str) -> (u32, u8) {
    let (memory, mut seen) = (&cache.shared.memory, (0, 0));
    let departed = memory.remove_if(memory.hash(key), key, crate::memory::Reason::Removed, |_| true).unwrap();
    departed.each(|leaver| seen = (leaver.weight, leaver.cost));
    seen
}

#[tokio::test(start_paused = true)]
async fn weight_and_cost_are_the_loaders_word_or_what_was_weighed_and_measured() {
    let cache = cache_with(CacheBuilder::measured_cost).await;
    let options = EntryOptions::new().weight(7).cost(s(60));
    let said = |_| async { Ok::<_, Down>(Loaded::value(1).options(options)) };
    cache.get_or_load("said", said).await.unwrap();
    let slow = |_| async {
        later(s(3)).await;
        Ok::<u64, Down>(1)
    };
    cache.get_or_load("slow", slow).await.unwrap();
    assert_eq!(weight_and_cost(&cache, "said"), (7, crate::limits::cost_class(s(60))));
    assert_eq!(weight_and_cost(&cache, "slow"), (1, crate::limits::cost_class(s(3))));
}

#[tokio::test(start_paused = true)]
async fn a_loader_may_say_how_long_an_absence_is_remembered() {
    let (cache, source) = (cache().await, Source::open(5));
    let absent = |_| async { Ok::<_, Down>(Loaded::<u64>::absent().time_to_live(s(5))) };
    assert_eq!(cache.get_or_load_optional("a", absent).await.unwrap(), None);
    assert_eq!(source.through(&cache).await.unwrap_err().kind(), ErrorKind::Absent);
    advance(s(5)).await;
    assert_eq!(source.through(&cache).await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_stored_is_for_those_who_asked_and_takes_the_old_value_along() {
    let cache = cache_with(|builder| builder.stale_while_revalidate(TTL)).await;
    cache.insert("a".to_owned(), 1).await.unwrap();
    advance(TTL).await;
    let refreshed = cache.get_or_load("a", |_| async { Ok::<_, Down>(Loaded::value(2).not_stored()) }).await;
    assert_eq!(refreshed.unwrap(), 1, "stale, at once");
    settle().await;
    let source = Source::open(3);
    assert_eq!(source.through(&cache).await.unwrap(), 3, "the refresh left nothing");
}

#[tokio::test(start_paused = true)]
async fn absence_is_remembered_for_its_own_time() {
    let cache = cache_with(|builder| builder.negative_ttl(s(10))).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let absent = || {
        let asked = Arc::clone(&asked);
        move |_| async move {
            asked.fetch_add(1, Ordering::SeqCst);
            Ok::<Option<u64>, Down>(None)
        }
    };
    assert_eq!(cache.get_or_load("a", absent()).await.unwrap_err().kind(), ErrorKind::Absent);
    assert_eq!(cache.get_or_load_optional("a", absent()).await.unwrap(), None);
    assert_eq!(now(cache.get_or_load_optional("a", absent())).unwrap().unwrap(), None, "a hit");
    assert_eq!(cache.get("a").await, None);
    assert!(!cache.contains("a").await, "a remembered absence is no value");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    advance(s(10)).await;
    assert_eq!(cache.get_or_load_optional("a", absent()).await.unwrap(), None);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn absence_without_a_time_is_not_remembered_and_takes_the_old_value_along() {
    let cache = cache_with(|builder| builder.stale_while_revalidate(TTL)).await;
    cache.insert("a".to_owned(), 1).await.unwrap();
    advance(TTL).await;
    assert_eq!(cache.get_or_load_optional("a", |_| async { Ok::<Option<u64>, Down>(None) }).await.unwrap(), Some(1));
    settle().await;
    let source = Source::open(3);
    assert_eq!(source.through(&cache).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_may_not_be_stored_is_returned_and_counted() {
    let cache = cache().await;
    let bad = [
        EntryOptions::new().time_to_live(Duration::ZERO),
        EntryOptions::new().time_to_live(Duration::from_secs(1 << 50)),
        EntryOptions::new().tag(""),
        EntryOptions::new().weight(0),
    ];
    for (options, number) in bad.into_iter().zip(1..) {
        let key = format!("{number}");
        let loaded = Loaded::value(number).options(options);
        assert_eq!(cache.get_or_load(&key, |_| async { Ok::<_, Down>(loaded) }).await.unwrap(), number);
        assert_eq!(cache.get(&key).await, None);
        assert_eq!(cache.stats().memory.drops.invalid, number);
    }
    let heavy = Loaded::value(9).options(EntryOptions::new().weight(1_000_000));
    assert_eq!(cache.get_or_load("9", |_| async { Ok::<_, Down>(heavy) }).await.unwrap(), 9);
    assert_eq!(cache.stats().memory.drops.too_large, 1);
}

#[tokio::test(start_paused = true)]
async fn times_to_live_are_shortened_by_a_jitter_and_never_prolonged() {
    let cache = cache_with(|builder| builder.ttl_jitter(0.1)).await;
    for key in 0..200 {
        cache.get_or_load(&format!("{key}"), |_| async { Ok::<_, Down>(1) }).await.unwrap();
    }
    let mut left = HashMap::new();
    let mut before = 200;
    for second in 85..=100 {
        advance(s(second) - if second == 85 { s(0) } else { s(second - 1) }).await;
        let mut there = 0;
        for key in 0..200 {
            there += usize::from(cache.peek(&format!("{key}")).await.is_some());
        }
        left.insert(second, before - there);
        before = there;
    }
    assert_eq!(before, 0, "nothing outlives the time to live");
    assert_eq!((85..90).map(|second| left[&second]).sum::<usize>(), 0, "nothing goes before nine tenths of it");
    assert!((91..=100).all(|second| left[&second] > 0), "they go one after another: {left:?}");
}
