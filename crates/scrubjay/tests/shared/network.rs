//! What happens to the connections of one process, each kind alone.

use super::stations::{Station, state, until, within};
use scrubjay::TierState;
use scrubjay_harness::{Direction, RedisServer, Toxic, Which};
use std::time::Duration;

/// Longer than any call may take while the server is away: several commands that are not answered.
const LIMIT: Duration = Duration::from_secs(3);

fn tracking() -> Which {
    Which::saying("CLIENT TRACKING")
}

/// Two caches on one server, both with `key` in memory.
async fn pair(server: &RedisServer) -> (Station, Station) {
    let (a, b) = (Station::open(server.address()).await, Station::open(server.address()).await);
    a.insert("key", "old").await;
    b.finds("key", Some("old")).await;
    (a, b)
}

/// All is well again: what one writes and removes the other sees.
async fn share(a: &Station, b: &Station) {
    a.serves().await;
    b.serves().await;
    a.insert("after", "a").await;
    b.finds("after", Some("a")).await;
    b.insert("after", "b").await;
    a.finds("after", Some("b")).await;
    a.cache.remove("after").await.unwrap();
    b.finds("after", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_whose_news_are_cut_off_alone_does_not_go_on_with_what_it_has() {
    let server = RedisServer::start();
    let (a, b) = pair(&server).await;
    // The connection for news is swallowed; commands pass. It is the hardest case: nothing fails.
    b.proxy.add_both(tracking(), Toxic::Blackhole);
    a.insert("key", "new").await;
    until("b to see the new value, or none", async || b.get("key").await.as_deref() != Some("old")).await;
    a.cache.remove("key").await.unwrap();
    until("b to see that it is removed", async || b.get("key").await.is_none()).await;
    b.proxy.heal();
    share(&a, &b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_that_break_off_are_made_up_for_at_once() {
    let server = RedisServer::start();
    let (a, b) = pair(&server).await;
    for _ in 0..5 {
        assert!(b.proxy.cut(&tracking()) >= 1);
        a.cache.remove("key").await.unwrap();
        b.finds("key", None).await;
        share(&a, &b).await;
        a.insert("key", "old").await;
        b.finds("key", Some("old")).await;
    }
    assert!(b.stats().distrusted >= 5, "{:?}", b.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_whose_commands_are_swallowed_answers_from_above_or_by_the_loader() {
    let server = RedisServer::start();
    let (a, b) = pair(&server).await;
    b.proxy.add(Which::not_saying("CLIENT TRACKING"), Direction::ToClient, Toxic::Blackhole);
    for number in 0..12 {
        let (key, value) = (format!("key {number}"), number.to_string());
        assert_eq!(within(LIMIT, b.load(&key, &value)).await.unwrap(), value);
        let _ = within(LIMIT, b.get("key")).await;
    }
    until("the tier to be left alone", async || {
        let _ = within(LIMIT, b.load("asked", "value")).await;
        state(&b.cache) != TierState::Serving
    })
    .await;
    b.insert("written", "while away").await;
    b.proxy.heal();
    b.serves().await;
    a.finds("written", Some("while away")).await;
    share(&a, &b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbled_replies_are_never_taken_for_values() {
    let server = RedisServer::start();
    let a = Station::open(server.address()).await;
    let value = "a value that is long enough to be hit by the byte that arrives as another one".repeat(3);
    for (number, at) in [3, 20, 41, 60, 77, 99, 140, 180, 250, 333].into_iter().enumerate() {
        let b = Station::open(server.address()).await;
        let key = format!("key {number}");
        a.insert(&key, &value).await;
        b.proxy.add(Which::All, Direction::ToClient, Toxic::Garble { at });
        for _ in 0..6 {
            let found = within(LIMIT, b.get(&key)).await;
            assert!(found.is_none() || found.as_ref() == Some(&value), "byte {at}: {found:?}");
            let loaded = within(LIMIT, b.load(&key, &value)).await.unwrap();
            assert_eq!(loaded, value, "byte {at}");
            // The next lookup goes to the server again.
            a.insert(&key, &value).await;
        }
        b.proxy.heal();
        // A reply that is waited for in vain, or a connection that makes no sense, ends; then all is well.
        share(&a, &b).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_closed_connections_are_made_anew() {
    let server = RedisServer::start();
    let (a, b) = pair(&server).await;
    for direction in [Direction::ToClient, Direction::ToServer] {
        b.proxy.add(Which::All, direction, Toxic::HalfClose);
        for number in 0..5 {
            let key = format!("{direction:?} {number}");
            assert_eq!(within(LIMIT, b.load(&key, "value")).await.unwrap(), "value");
        }
        b.proxy.heal();
        b.proxy.cut(&Which::All);
        share(&a, &b).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_reply_is_lost_is_made_once_more_or_was_made() {
    let server = RedisServer::start();
    let (a, b) = pair(&server).await;
    for nth in 1..=4 {
        for direction in [Direction::ToServer, Direction::ToClient] {
            let key = format!("{direction:?} {nth}");
            a.insert(&key, "old").await;
            b.finds(&key, Some("old")).await;
            a.proxy.add(Which::All, direction, Toxic::CutAt { command: "EVALSHA".into(), nth });
            for number in 0..nth {
                within(LIMIT, a.insert(&key, &number.to_string())).await;
            }
            // Whether it could be confirmed or not, it holds here at once and there in the end.
            let _ = within(LIMIT, a.cache.remove(&key)).await;
            assert_eq!(a.get(&key).await, None);
            a.proxy.heal();
            a.serves().await;
            b.finds(&key, None).await;
            assert_eq!(a.get(&key).await, None);
        }
    }
    share(&a, &b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_network_splits_and_delays_and_nothing_else_changes() {
    let server = RedisServer::start();
    let (a, b) = pair(&server).await;
    b.proxy.add_both(Which::All, Toxic::Split(7));
    b.proxy.add_both(Which::All, Toxic::Delay(Duration::from_millis(20)));
    share(&a, &b).await;
    let long = "long ".repeat(20_000);
    b.insert("long", &long).await;
    a.finds("long", Some(&long)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_is_asked_again_and_found() {
    let server = RedisServer::start();
    let (a, b) = pair(&server).await;
    b.proxy.refuse(true);
    b.proxy.cut(&Which::All);
    b.is_away().await;
    assert_eq!(within(LIMIT, b.load("other", "loaded")).await.unwrap(), "loaded");
    b.proxy.heal();
    share(&a, &b).await;
}
