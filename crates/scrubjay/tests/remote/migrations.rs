//! From one server to another while two processes go on: `Migration` over two real servers.

use super::*;
use scrubjay::{EntryOptions, Migration, Phase};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Moving = Migration<String, u64>;

/// The server that everything comes from, and the one that everything goes to.
struct Servers {
    old: RedisServer,
    new: RedisServer,
}

impl Servers {
    fn start() -> Servers {
        Servers { old: RedisServer::start(), new: RedisServer::start() }
    }

    /// A process in its first phase.
    async fn process(&self) -> Moving {
        Migration::new(process(&self.old).await, process(&self.new).await).unwrap().compare_reads(1.0)
    }

    /// Whether each server has the key.
    fn have(&self, key: &str) -> (bool, bool) {
        let has = |server: &RedisServer| server.call(&["EXISTS", &format!("scrubjay:numbers:0:{key}")]).number() == 1;
        (has(&self.old), has(&self.new))
    }
}

fn key(number: u64) -> String {
    format!("key:{number}")
}

async fn in_phase(processes: [&Moving; 2], phase: Phase) {
    for process in processes {
        process.set_phase(phase).await.unwrap();
    }
}

/// Every read is right, whichever server answers.
async fn reads_are_right(process: &Moving, value: u64) {
    for number in 0..100 {
        assert_eq!(process.get(&key(number)).await, Some(value), "{:?} {number}", process.phase());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_moves_from_one_server_to_another_and_back_without_a_wrong_read() {
    let servers = Servers::start();
    let (a, b) = (servers.process().await, servers.process().await);
    a.insert("before".into(), 1).await.unwrap();
    assert_eq!(servers.have("before"), (true, false));
    in_phase([&a, &b], Phase::DualWrite).await;
    a.insert_many((0..100).map(|number| (key(number), 1))).await.unwrap();
    assert_eq!((servers.have(&key(0)), servers.have(&key(99))), ((true, true), (true, true)), "dual write");
    reads_are_right(&b, 1).await;
    assert_eq!((b.stats().reads_of_old, b.stats().reads_of_new), (100, 0));

    in_phase([&a, &b], Phase::Reading { percent: 30 }).await;
    reads_are_right(&b, 1).await;
    let moved = b.stats().reads_of_new;
    assert!((10..50).contains(&moved), "{moved} of 100 are read from the new server");
    let values = b.get_many(&(0..100).map(key).collect::<Vec<_>>()).await;
    assert!(values.iter().all(|value| *value == Some(1)));
    assert_eq!(b.stats().reads_of_new, 2 * moved, "the same keys");

    a.cut_over().await.unwrap();
    b.cut_over().await.unwrap();
    a.insert_many((0..100).map(|number| (key(number), 2))).await.unwrap();
    until("the news have come", async || b.get(&key(99)).await == Some(2) && b.get(&key(0)).await == Some(2)).await;
    until("all of them", async || b.get_many(&(0..100).map(key).collect::<Vec<_>>()).await == [Some(2); 100]).await;
    assert!(a.remove(&"before".to_owned()).await.is_ok());
    assert_eq!(servers.have("before"), (false, false));

    a.roll_back().await.unwrap();
    b.roll_back().await.unwrap();
    reads_are_right(&a, 2).await;
    until("the old server has what was written since", async || {
        b.get_many(&(0..100).map(key).collect::<Vec<_>>()).await == [Some(2); 100]
    })
    .await;
    assert_eq!((a.stats().errors_of_old, a.stats().errors_of_new), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_changes_the_other_does_not_read_any_more_from_either_server() {
    let servers = Servers::start();
    let (a, b) = (servers.process().await, servers.process().await);
    in_phase([&a, &b], Phase::Reading { percent: 50 }).await;
    let keys: Vec<String> = (0..20).map(key).collect();
    for key in &keys {
        a.insert_with(key.clone(), 1, EntryOptions::new().tag("all")).await.unwrap();
    }
    until("b has them", async || b.get_many(&keys).await == [Some(1); 20]).await;
    assert_eq!(a.remove_many(&keys[..10]).await.unwrap(), 10);
    until("b has heard of it", async || b.get_many(&keys[..10]).await == [None; 10]).await;
    assert_eq!(servers.have(&keys[0]), (false, false));
    a.remove_by_tag("all").await.unwrap();
    until("b has heard of that", async || b.get_many(&keys).await == [None; 20]).await;
    assert!(b.get(&keys[15]).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_are_loaded_once_for_both_servers_and_a_removal_meanwhile_wins_on_both() {
    let servers = Servers::start();
    let (a, b) = (servers.process().await, servers.process().await);
    in_phase([&a, &b], Phase::DualWrite).await;
    let keys: Vec<String> = (0..10).map(key).collect();
    a.insert(keys[3].clone(), 3).await.unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let (counted, other) = (Arc::clone(&calls), b.clone());
    let loader = async move |keys: Vec<String>| {
        counted.fetch_add(1, Ordering::AcqRel);
        // What it has read of this one is old by now.
        other.remove("key:5").await.unwrap();
        Ok::<Vec<u64>, std::io::Error>(vec![9; keys.len()])
    };
    let results = a.get_or_load_many(&keys, loader).await;
    let values: Vec<u64> = results.into_iter().map(|result| result.unwrap().unwrap()).collect();
    assert_eq!(values, [9, 9, 9, 3, 9, 9, 9, 9, 9, 9]);
    assert_eq!(calls.load(Ordering::Acquire), 1);
    for (number, key) in keys.iter().enumerate() {
        until("it is on both servers, or on none", async || {
            servers.have(key) == if number == 5 { (false, false) } else { (true, true) }
        })
        .await;
    }
    in_phase([&a, &b], Phase::Reading { percent: 50 }).await;
    assert_eq!(b.get("key:5").await, None);
    let load = async |keys: Vec<String>| Ok::<Vec<u64>, std::io::Error>(vec![7; keys.len()]);
    let results = b.get_or_load_many(&["key:5".into(), "key:6".into(), "key:77".into()], load).await;
    assert_eq!(results.into_iter().map(|result| result.unwrap()).collect::<Vec<_>>(), [Some(7), Some(9), Some(7)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_find_what_differs_between_the_servers() {
    let servers = Servers::start();
    let a = servers.process().await;
    a.set_phase(Phase::DualWrite).await.unwrap();
    a.insert_many((0..4).map(|number| (key(number), 1))).await.unwrap();
    a.new_cache().insert(key(1), 2).await.unwrap();
    a.new_cache().remove(&key(2)).await.unwrap();
    a.old_cache().remove(&key(3)).await.unwrap();
    for number in 0..4 {
        a.get(&key(number)).await;
        until("it was compared", async || a.stats().compared == number + 1).await;
    }
    let stats = a.stats();
    assert_eq!((stats.differs, stats.missing_in_new, stats.missing_in_old, stats.mismatches()), (1, 1, 1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_server_that_is_away_fails_nothing_and_catches_up() {
    let mut servers = Servers::start();
    let a = servers.process().await;
    a.set_phase(Phase::DualWrite).await.unwrap();
    a.insert("jay".into(), 1).await.unwrap();
    servers.new.kill();
    until("it is away", async || !is_serving(a.new_cache())).await;
    a.insert("jay".into(), 2).await.unwrap();
    a.insert("oak".into(), 2).await.unwrap();
    assert!(a.remove("oak").await.unwrap());
    assert_eq!((a.get("jay").await, a.get("oak").await), (Some(2), None));
    assert!(a.stats().errors_of_new > 0, "a removal that could not be confirmed there");
    assert!(a.health().is_serving() && !a.health().new.is_serving());
    servers.new.start_again();
    let new = a.new_cache();
    until("it is back, with all that it missed", async || is_serving(new) && shared(new).missed_pending == 0).await;
    a.cut_over().await.unwrap();
    assert_ne!(a.get("jay").await, Some(1));
    assert_eq!(a.get("oak").await, None);
}
