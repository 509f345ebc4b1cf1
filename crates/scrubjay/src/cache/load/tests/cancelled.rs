//! Callers that go away, at every point where they may: the load goes on, and nobody else notices.

use super::*;
use std::pin::pin;

/// Polls `future` so many times at most, with everybody else running in between, and drops it. Whether it had not ended.
async fn poll_times<F: Future>(future: F, times: usize) -> bool {
    let mut future = pin!(future);
    for _ in 0..times {
        let polled = std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
        if polled {
            return false;
        }
        tokio::task::yield_now().await;
    }
    true
}

/// A load of several steps.
fn slow(source: &Source) -> impl FnOnce(String) -> Fetching<u64> + Send + 'static {
    let source = source.clone();
    move |_| {
        Box::pin(async move {
            let value = source.fetch().await;
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
            value
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cancelled_anywhere_leaves_the_load_to_the_others() {
    let mut cancelled = 0;
    for polls in 0..16 {
        for comes_first in [false, true] {
            let (cache, source) = (cache_with(|builder| builder.hard_timeout(s(60))).await, Source::open(5));
            let follower = {
                let (cache, loader) = (cache.clone(), slow(&source));
                async move { cache.get_or_load("a", loader).await.unwrap() }
            };
            let leader = cache.get_or_load("a", slow(&source));
            let read = if comes_first {
                let (is_cancelled, read) = tokio::join!(poll_times(leader, polls), follower);
                cancelled += usize::from(is_cancelled);
                read
            } else {
                cancelled += usize::from(poll_times(leader, polls).await);
                follower.await
            };
            assert_eq!((read, source.asked()), (5, 1), "cancelled after {polls} polls");
            assert_eq!(cache.stats().waiting, 0);
        }
    }
    assert!(cancelled > 8, "the cases are about cancelling");
}

#[tokio::test(start_paused = true)]
async fn a_load_that_everybody_has_left_is_stored_all_the_same() {
    let (cache, source) = (cache().await, Source::closed(5));
    for _ in 0..3 {
        assert!(poll_times(source.through(&cache), 2).await);
    }
    source.let_go();
    settle().await;
    assert_eq!((cache.get("a").await, source.asked()), (Some(5), 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_polled_does_nothing() {
    let (cache, source) = (cache().await, Source::open(5));
    drop(source.through(&cache));
    settle().await;
    assert_eq!((source.asked(), cache.stats().memory.misses), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_caller_of_many_that_is_cancelled_anywhere_leaves_the_load_to_the_others() {
    let keys = ["a", "b"].map(str::to_owned);
    for polls in 0..16 {
        let (cache, source) = (cache().await, Source::open(5));
        let loader = slow(&source);
        let many = cache.get_or_load_many(&keys, |keys| async move {
            let value = loader(String::new()).await?;
            Ok::<_, Down>(keys.iter().map(|_| value).collect::<Vec<u64>>())
        });
        poll_times(many, polls).await;
        let loader = slow(&source);
        assert_eq!(cache.get_or_load("b", loader).await.unwrap(), 5);
        assert_eq!(source.asked(), 1, "cancelled after {polls} polls");
    }
}
