//! Locks: two owners, expiry, renewal, crashes, and tokens that grow.

use super::*;
use scrubjay_harness::wait_for;
use std::sync::atomic::{AtomicU64, Ordering};

const SHORT: Duration = Duration::from_millis(300);

fn lock(shared: &Coordinator, time_to_live: Duration) -> Lock {
    shared.lock("report").unwrap().time_to_live(time_to_live).unwrap()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("it happens soon")
}

#[tokio::test]
async fn one_has_it_and_the_next_gets_it_when_it_is_let_go() {
    let server = RedisServer::start();
    let (first, second) = (coordinator(&server), coordinator(&server));
    let guard = lock(&first, SOON).try_lock().await.unwrap().unwrap();
    assert!(guard.is_held() && lock(&second, SOON).try_lock().await.unwrap().is_none());
    assert!(lock(&second, SOON).lock(Duration::from_millis(30)).await.unwrap().is_none());
    let waiting = tokio::spawn({
        let lock = lock(&second, SOON);
        async move { lock.lock(SOON).await }
    });
    while second.shared.waiters.len() == 0 {
        tokio::task::yield_now().await;
    }
    let before = guard.fencing_token();
    assert!(guard.release().await.unwrap());
    let guard = soon(waiting).await.unwrap().unwrap().unwrap();
    assert!(guard.fencing_token() > before);
    drop(guard);
    let again = soon(lock(&first, SOON).lock(SOON)).await.unwrap();
    assert!(again.is_some(), "a dropped guard lets go behind");
    assert_eq!((first.shared.waiters.len(), second.shared.waiters.len()), (0, 0));
    assert!(lasting(&server).is_empty());
}

#[tokio::test]
async fn it_is_renewed_for_as_long_as_it_is_held() {
    let server = RedisServer::start();
    let shared = coordinator(&server);
    let guard = lock(&shared, SHORT).try_lock().await.unwrap().unwrap();
    // Five times as long as it lives.
    assert!(lock(&coordinator(&server), SHORT).lock(5 * SHORT).await.unwrap().is_none());
    assert!(guard.is_held());
    assert!(guard.extend(Duration::from_secs(3600)).await.unwrap());
    assert!(server.call(&["PTTL", "scrubjay:!lock:{report}"]).number() > 3_000_000);
    assert!(guard.release().await.unwrap());
}

#[tokio::test]
async fn the_lock_of_a_process_that_died_expires_and_the_next_token_is_higher() {
    let server = RedisServer::start();
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (url, remote) = (server.url(), |url: String| Remote::url(url).command_timeout(Duration::from_secs(5)));
    let (sender, taken) = tokio::sync::oneshot::channel();
    other.spawn(async move {
        let shared = Coordinator::connect(remote(url)).unwrap();
        let guard = lock(&shared, SHORT).try_lock().await.unwrap().unwrap();
        sender.send(guard.fencing_token()).unwrap();
        // Never dropped: a process that is killed drops nothing.
        std::mem::forget((shared, guard));
    });
    let before = soon(taken).await.unwrap();
    let waiting = lock(&coordinator(&server), SHORT);
    other.shutdown_background();
    let guard = soon(waiting.lock(SOON)).await.unwrap().unwrap();
    assert!(guard.fencing_token() > before);
}

#[tokio::test]
async fn who_lost_it_hears_of_it_and_cannot_let_go_what_another_has() {
    let server = RedisServer::start();
    let (first, second) = (coordinator(&server), coordinator(&server));
    let guard = lock(&first, SHORT).try_lock().await.unwrap().unwrap();
    server.call(&["DEL", "scrubjay:!lock:{report}"]);
    let theirs = soon(lock(&second, SOON).lock(SOON)).await.unwrap().unwrap();
    soon(guard.lost()).await;
    assert!(!guard.is_held() && !guard.extend(SHORT).await.unwrap());
    assert!(!guard.release().await.unwrap(), "it was not ours to let go");
    assert!(theirs.is_held() && lock(&first, SHORT).try_lock().await.unwrap().is_none());
    assert!(theirs.release().await.unwrap());
}

#[tokio::test]
async fn it_is_lost_when_the_server_stays_away_for_longer_than_it_lives() {
    let mut server = RedisServer::start();
    let shared = coordinator(&server);
    let guard = lock(&shared, SHORT).try_lock().await.unwrap().unwrap();
    server.kill();
    soon(guard.lost()).await;
    assert!(!guard.is_held());
    assert_eq!(guard.release().await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_grow_under_eight_that_contend_and_two_never_have_it_at_once() {
    let server = RedisServer::start();
    let (highest, inside) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let owners: Vec<_> = (0..8)
        .map(|_| {
            let (lock, highest, inside) =
                (lock(&coordinator(&server), SOON), Arc::clone(&highest), Arc::clone(&inside));
            tokio::spawn(async move {
                for _ in 0..20 {
                    let guard = lock.lock(SOON).await.unwrap().unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    let before = highest.swap(guard.fencing_token(), Ordering::SeqCst);
                    assert!(guard.fencing_token() > before);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                    assert!(guard.release().await.unwrap());
                }
            })
        })
        .collect();
    for owner in owners {
        soon(owner).await.unwrap();
    }
}

#[tokio::test]
async fn tokens_grow_though_the_server_lost_everything() {
    let server = RedisServer::start();
    let shared = coordinator(&server);
    let mut highest = 0;
    for _ in 0..5 {
        let guard = lock(&shared, SOON).try_lock().await.unwrap().unwrap();
        assert!(guard.fencing_token() > highest);
        highest = guard.fencing_token();
        server.call(&["FLUSHALL"]);
        assert!(!guard.release().await.unwrap());
    }
    // A clock that was ahead: the fence remembers.
    let ahead = 4_000_000_000_000_000_u64;
    server.call(&["SET", "scrubjay:!fence:{report}", &ahead.to_string()]);
    let guard = lock(&shared, SOON).try_lock().await.unwrap().unwrap();
    assert_eq!(guard.fencing_token(), ahead + 1);
}

#[tokio::test]
async fn who_stops_waiting_leaves_nothing_behind() {
    let server = RedisServer::start();
    let shared = coordinator(&server);
    let guard = lock(&shared, SOON).try_lock().await.unwrap().unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(20), lock(&shared, SOON).lock(SOON)).await;
    assert!(given_up.is_err() && shared.shared.waiters.len() == 0);
    assert!(guard.release().await.unwrap());
    wait_for("nothing is held", || (server.call(&["EXISTS", "scrubjay:!lock:{report}"]).number() == 0).then_some(()));
}
