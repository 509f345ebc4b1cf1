//! The primitives on a real server, and on a cluster of three masters.

mod counter;
mod limiter;
mod lock;
mod popularity;

use super::*;
use scrubjay_harness::{RedisCluster, RedisServer};

/// Nothing here takes so long.
const SOON: Duration = Duration::from_secs(30);

fn coordinator(server: &RedisServer) -> Coordinator {
    Coordinator::connect(Remote::url(server.url()).command_timeout(Duration::from_secs(5))).unwrap()
}

fn of_cluster(cluster: &RedisCluster) -> Coordinator {
    Coordinator::connect(Remote::cluster(cluster.urls()).command_timeout(Duration::from_secs(5))).unwrap()
}

/// Every key that has no time to live.
fn lasting(server: &RedisServer) -> Vec<String> {
    let mut console = server.console();
    let keys = console.call(&["KEYS", "*"]).texts();
    keys.into_iter().filter(|key| console.call(&["PTTL", key]).number() == -1).collect()
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_of_each_call_and_no_call_hangs() {
    let mut server = RedisServer::start();
    server.kill();
    let shared = coordinator(&server);
    let unavailable = |error: Error| assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    unavailable(shared.lock("a").unwrap().try_lock().await.unwrap_err());
    unavailable(shared.lock("a").unwrap().lock(SOON).await.unwrap_err());
    unavailable(shared.counter("a", Expiry::Never).unwrap().add("k", 1).await.unwrap_err());
    unavailable(shared.popularity("a", Duration::from_secs(60), 10).unwrap().top(1).await.unwrap_err());
    let limiter = shared.rate_limiter("a", Limit::fixed_window(1, Duration::from_secs(1))).unwrap();
    unavailable(limiter.check("k", 1).await.unwrap_err());
    let allowed = limiter.clone().when_away(WhenAway::Allow).check("k", 1).await.unwrap();
    let denied = limiter.clone().when_away(WhenAway::Deny).check_many(&[("k", 1), ("", 1)]).await;
    assert_eq!((allowed.is_allowed, allowed.is_known), (true, false));
    assert!(!denied[0].as_ref().unwrap().is_allowed);
    assert_eq!(denied[1].as_ref().unwrap_err().kind(), ErrorKind::Invalid);
    server.start_again();
    let back = async {
        while limiter.check("k", 0).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, back).await.expect("it comes back by itself");
}

#[tokio::test]
async fn names_and_settings_out_of_their_bounds_are_named() {
    let server = RedisServer::start();
    let shared = coordinator(&server);
    let second = Duration::from_secs(1);
    let invalid = |error: Error, text: &str| {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(text), "{error}");
    };
    invalid(shared.lock("").unwrap_err(), "lock is 0 bytes, must be 1..=256");
    shared.lock([7; 256]).unwrap();
    invalid(shared.lock([7; 257]).unwrap_err(), "lock is 257 bytes");
    let time = shared.lock("a").unwrap().time_to_live(Duration::from_millis(49));
    invalid(time.unwrap_err(), "lock.time_to_live is 49ms, must be 50ms..=86400s");
    for (limit, text) in [
        (Limit::fixed_window(0, second), "limit.most is 0, must be 1..=1000000"),
        (Limit::sliding_window(1_000_001, second), "limit.most is 1000001"),
        (Limit::sliding_window(1, Duration::ZERO), "limit.window is 0ns"),
        (Limit::fixed_window(1, Duration::from_secs(2_592_001)), "limit.window is 2592001s, must be 1ms..=2592000s"),
        (Limit::token_bucket(1, 0, second), "limit.rate is 0"),
        (Limit::token_bucket(1, 1, Duration::from_secs(1 << 40)), "limit.period"),
    ] {
        invalid(shared.rate_limiter("a", limit).unwrap_err(), text);
    }
    let limiter = shared.rate_limiter("a", Limit::token_bucket(5, 1, second)).unwrap();
    invalid(limiter.check("k", 6).await.unwrap_err(), "rate_limiter.cost is 6, must be 0..=5");
    invalid(limiter.check("", 1).await.unwrap_err(), "rate_limiter.key is 0 bytes");
    invalid(shared.counter("c", Expiry::AfterLast(Duration::ZERO)).unwrap_err(), "counter.expiry is 0ns");
    invalid(shared.popularity("p", second, 1001).unwrap_err(), "popularity.k is 1001, must be 1..=1000");
    invalid(shared.popularity("p", second / 2, 10).unwrap_err(), "popularity.half_life is 500ms");
    let popular = shared.popularity("p", second, 10).unwrap();
    for weight in [0.0, -1.0, f64::NAN, 1e13] {
        invalid(popular.record("m", weight).await.unwrap_err(), "popularity.weight is");
    }
    let no_runtime = std::thread::spawn(|| Coordinator::connect(Remote::url("redis://localhost")).unwrap_err());
    invalid(no_runtime.join().unwrap(), "a thread of a tokio runtime, and this is none");
}

#[tokio::test]
async fn what_others_left_under_a_name_is_said_to_be_so() {
    let server = RedisServer::start();
    let shared = coordinator(&server);
    let mut console = server.console();
    console.call(&["RPUSH", "scrubjay:!count:a:{k}", "x"]);
    console.call(&["SET", "scrubjay:!count:a:{l}", "x"]);
    console.call(&["RPUSH", "scrubjay:!lock:{a}", "x"]);
    let counter = shared.counter("a", Expiry::Never).unwrap();
    assert_eq!(counter.add("k", 1).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(counter.add("l", 1).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(shared.lock("a").unwrap().try_lock().await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn all_of_it_works_on_a_cluster() {
    let cluster = RedisCluster::start();
    let shared = of_cluster(&cluster);
    let counter = shared.counter("c", Expiry::AfterFirst(SOON)).unwrap();
    let limiter = shared.rate_limiter("r", Limit::fixed_window(1, Duration::from_secs(2_592_000))).unwrap();
    let keys: Vec<String> = (0..50).map(|number| format!("key {{{number}}}")).collect();
    let deltas: Vec<(&str, i64)> = keys.iter().map(|key| (key.as_str(), 2)).collect();
    let checks: Vec<(&str, u64)> = keys.iter().map(|key| (key.as_str(), 1)).collect();
    assert!(counter.add_many(&deltas).await.into_iter().all(|count| count.unwrap() == 2));
    assert!(counter.get_many(&keys).await.into_iter().all(|count| count.unwrap() == 2));
    assert!(limiter.check_many(&checks).await.into_iter().all(|decision| decision.unwrap().is_allowed));
    assert!(limiter.check_many(&checks).await.into_iter().all(|decision| !decision.unwrap().is_allowed));
    for number in 0..10 {
        let lock = shared.lock(format!("lock {number}")).unwrap();
        let guard = lock.try_lock().await.unwrap().unwrap();
        assert!(lock.try_lock().await.unwrap().is_none());
        let waiting = tokio::spawn({
            let lock = lock.clone();
            async move { lock.lock(SOON).await }
        });
        let before = guard.fencing_token();
        assert!(guard.release().await.unwrap());
        let guard = waiting.await.unwrap().unwrap().unwrap();
        assert!(guard.fencing_token() > before);
        let popular = shared.popularity(format!("p{number}"), SOON, 3).unwrap();
        popular.record_many(&[("a", 1.0), ("b", 2.0)]).await.unwrap();
        assert_eq!(popular.top(1).await.unwrap()[0].0, b"b");
    }
}
