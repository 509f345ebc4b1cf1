//! Counters.

use super::*;
use scrubjay_harness::wait_for;

#[tokio::test]
async fn a_counter_counts_up_and_down_and_begins_anew() {
    let server = RedisServer::start();
    let shared = coordinator(&server);
    let counter = shared.counter("visits", Expiry::Never).unwrap();
    assert_eq!((counter.get("a").await.unwrap(), counter.reset("a").await.unwrap()), (0, 0));
    assert_eq!((counter.add("a", 5).await.unwrap(), counter.add("a", -7).await.unwrap()), (5, -2));
    assert_eq!((counter.get("a").await.unwrap(), counter.get("b").await.unwrap()), (-2, 0));
    assert_eq!((counter.reset("a").await.unwrap(), counter.get("a").await.unwrap()), (-2, 0));
    let many = counter.add_many(&[("a", 1), ("", 1), ("b", 3), ("a", 1)]).await;
    let many: Vec<Option<i64>> = many.into_iter().map(Result::ok).collect();
    assert_eq!(many, [Some(1), None, Some(3), Some(2)]);
    assert_eq!(shared.counter("other", Expiry::Never).unwrap().get("a").await.unwrap(), 0);
}

#[tokio::test]
async fn large_numbers_are_exact_and_an_overflow_changes_nothing() {
    let server = RedisServer::start();
    let counter = coordinator(&server).counter("large", Expiry::Never).unwrap();
    assert_eq!(counter.add("a", i64::MAX - 1).await.unwrap(), i64::MAX - 1);
    assert_eq!(counter.add("a", 1).await.unwrap(), i64::MAX);
    let error = counter.add("a", 1).await.unwrap_err();
    assert_eq!((error.kind(), counter.get("a").await.unwrap()), (ErrorKind::Invalid, i64::MAX));
    assert!(error.to_string().contains("64 bits"), "{error}");
    assert_eq!(counter.add("b", i64::MIN).await.unwrap(), i64::MIN);
    assert_eq!(counter.add("b", -1).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn counters_of_many_callers_lose_nothing() {
    let server = RedisServer::start();
    let shared = coordinator(&server);
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let counter = shared.counter("c", Expiry::AfterFirst(SOON)).unwrap();
            tokio::spawn(async move {
                for _ in 0..50 {
                    counter.add("k", 1).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(shared.counter("c", Expiry::AfterFirst(SOON)).unwrap().get("k").await.unwrap(), 400);
}

#[tokio::test]
async fn a_counter_expires_after_its_first_use_or_after_its_last() {
    let server = RedisServer::start();
    let shared = coordinator(&server);
    let (hour, mut console) = (Duration::from_secs(3600), server.console());
    let first = shared.counter("first", Expiry::AfterFirst(hour)).unwrap();
    let last = shared.counter("last", Expiry::AfterLast(hour)).unwrap();
    for counter in [&first, &last] {
        counter.add("k", 1).await.unwrap();
    }
    for name in ["first", "last"] {
        let key = format!("scrubjay:!count:{name}:{{k}}");
        assert_eq!(console.call(&["PEXPIRE", &key, "1000000"]).number(), 1);
    }
    for counter in [&first, &last] {
        assert_eq!(counter.add("k", 1).await.unwrap(), 2);
    }
    let mut left = |name: &str| console.call(&["PTTL", &format!("scrubjay:!count:{name}:{{k}}")]).number();
    assert!(left("first") <= 1_000_000 && left("last") > 3_000_000);
    let short = shared.counter("short", Expiry::AfterFirst(Duration::from_millis(1))).unwrap();
    short.add("k", 1).await.unwrap();
    wait_for("the counter expires", || {
        (server.call(&["EXISTS", "scrubjay:!count:short:{k}"]).number() == 0).then_some(())
    });
    assert_eq!(short.get("k").await.unwrap(), 0);
    assert!(lasting(&server).is_empty());
}
