use super::*;
use std::time::Duration;

async fn is_woken(waiter: &Waiter) -> bool {
    tokio::time::timeout(Duration::ZERO, waiter.wait()).await.is_ok()
}

#[tokio::test]
async fn news_that_come_before_the_wait_are_kept_for_it() {
    let waiters = Waiters::default();
    let (one, other) = (waiters.register(b"k").unwrap(), waiters.register(b"k").unwrap());
    let stranger = waiters.register(b"l").unwrap();
    waiters.wake(b"k");
    assert!(is_woken(&one).await && is_woken(&other).await);
    assert!(!is_woken(&one).await && !is_woken(&stranger).await);
    waiters.wake_all();
    assert!(is_woken(&one).await && is_woken(&stranger).await);
}

#[tokio::test]
async fn nothing_is_left_of_who_has_gone() {
    let waiters = Waiters::default();
    let (one, other) = (waiters.register(b"k").unwrap(), waiters.register(b"k").unwrap());
    drop(one);
    waiters.wake(b"k");
    assert!(is_woken(&other).await);
    drop(other);
    assert!(waiters.table.lock().is_empty());
}
