//! What one process stores, another finds: one by one, many at once, absences, and what any other program may read.

use super::*;
use scrubjay::{EntryOptions, ErrorKind, FailSafe, Json, Loaded};

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_inserts_another_finds_and_has_in_memory_from_then_on() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    a.insert("jay".into(), 7).await.unwrap();
    until("the news of it arrive", async || shared(&b).invalidations == 1).await;
    assert_eq!(b.get("jay").await, Some(7));
    assert_eq!(b.get("jay").await, Some(7));
    let stats = b.stats();
    assert_eq!((stats.memory.hits, stats.memory.misses), (1, 1));
    let remote = stats.remote.unwrap();
    assert_eq!((remote.hits, remote.misses), (1, 0));
    assert_eq!(b.peek("jay").await, Some(7));
    assert!(!a.contains("magpie").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_loads_another_need_not_load() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    assert_eq!(a.get_or_load("jay", async |_| Ok::<_, std::io::Error>(7)).await.unwrap(), 7);
    assert_eq!(b.get_or_load("jay", must_not_load).await.unwrap(), 7);
    assert_eq!((a.stats().loads, b.stats().loads), (1, 0));
    assert_eq!(a.get("jay").await, Some(7));
    assert_eq!(a.stats().memory.hits, 1, "it was stored in memory, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_are_one_request_and_come_in_their_order() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    let key = |number: u64| format!("key:{number}");
    a.insert_many((0..100).map(|number| (key(number), number))).await.unwrap();
    until("the news of them arrive", async || shared(&b).invalidations == 100).await;
    let keys: Vec<String> = (0..200).map(key).collect();
    let expected: Vec<Option<u64>> = (0..200).map(|number| (number < 100).then_some(number)).collect();
    assert_eq!(b.get_many(&keys).await, expected);
    assert_eq!(b.stats().remote.unwrap().hits, 100);
    assert_eq!(b.get_many(&keys[..100]).await, expected[..100]);
    assert_eq!(b.stats().memory.hits, 100);
    assert_eq!(a.remove_many(&keys[50..150]).await.unwrap(), 50);
    until("the other process has heard of it", async || b.get_many(&keys[50..100]).await == [None; 50]).await;
    let mut listed: Vec<String> = b.keys().await.collect();
    listed.sort();
    let mut wanted = keys[..50].to_vec();
    wanted.sort();
    assert_eq!(listed, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_are_loaded_by_one_call_and_shared() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    let keys: Vec<String> = (0..10).map(|number| format!("key:{number}")).collect();
    a.insert(keys[3].clone(), 3).await.unwrap();
    let length = async |keys: Vec<String>| Ok::<Vec<u64>, std::io::Error>(vec![9; keys.len()]);
    let results = b.get_or_load_many(&keys, length).await;
    let values: Vec<u64> = results.into_iter().map(|result| result.unwrap().unwrap()).collect();
    assert_eq!(values, [9, 9, 9, 3, 9, 9, 9, 9, 9, 9]);
    assert_eq!(b.stats().loads, 1);
    assert_eq!(shared(&b).leases, 9);
    let none = async |keys: Vec<String>| -> Result<Vec<u64>, std::io::Error> { panic!("{keys:?} are loaded") };
    assert!(a.get_or_load_many(&keys, none).await.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absence_is_shared_like_a_value() {
    let server = RedisServer::start();
    let negative = || builder(remote(&server)).negative_ttl(Duration::from_secs(60)).build();
    let (a, b) = (serving(negative().await.unwrap()).await, serving(negative().await.unwrap()).await);
    let absent = async |_| Ok::<_, std::io::Error>(Loaded::<u64>::absent());
    assert_eq!(a.get_or_load_optional("jay", absent).await.unwrap(), None);
    assert_eq!(b.get_or_load_optional("jay", must_not_load).await.unwrap(), None);
    assert_eq!(b.get_or_load("jay", must_not_load).await.unwrap_err().kind(), ErrorKind::Absent);
    assert_eq!(b.stats().negative_hits, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_past_its_time_serves_while_one_process_refreshes_it() {
    let server = RedisServer::start();
    let clock = scrubjay::Clock::held();
    let stale = || {
        let fail_safe = FailSafe { max_stale: Duration::from_secs(300), throttle: Duration::from_secs(1) };
        let builder = builder(remote(&server)).time_to_live(Duration::from_secs(10)).clock(clock.clone());
        builder.stale_while_revalidate(Duration::from_secs(100)).fail_safe(fail_safe).build()
    };
    let (a, b) = (serving(stale().await.unwrap()).await, serving(stale().await.unwrap()).await);
    a.insert("jay".into(), 1).await.unwrap();
    clock.advance(Duration::from_secs(11));
    assert_eq!(b.get("jay").await, None, "who has no loader gets nothing stale");
    assert_eq!(b.get_or_load("jay", async |_| Ok::<_, std::io::Error>(2)).await.unwrap(), 1, "at once");
    until("it was refreshed behind, for all", async || a.get("jay").await == Some(2)).await;
    assert_eq!(b.get("jay").await, Some(2));
    clock.advance(Duration::from_secs(150));
    let fails = async |_| Err::<u64, _>(std::io::Error::other("gone"));
    let c = serving(stale().await.unwrap()).await;
    assert_eq!(c.get_or_load("jay", fails).await.unwrap(), 2, "found past its time, for safety");
    assert_eq!(c.stats().fail_safe_hits, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_raw_mode_any_program_reads_and_writes_what_is_there() {
    let server = RedisServer::start();
    let raw = || {
        let builder = Cache::builder("numbers").memory(Memory::bytes(1 << 20));
        builder.remote_with(remote(&server).raw().prefix("n:"), Json).build()
    };
    let a: Numbers = serving(raw().await.unwrap()).await;
    let options = EntryOptions::new().time_to_live(Duration::from_secs(60));
    a.insert_with("jay".into(), 7, options).await.unwrap();
    let mut console = server.console();
    assert_eq!(console.call(&["GET", "n:jay"]).text(), "7");
    assert!((1..=60_000).contains(&console.call(&["PTTL", "n:jay"]).number()));
    console.ok(&["SET", "n:jay", "8"]);
    until("the cache has heard of it", async || a.get("jay").await == Some(8)).await;
    console.ok(&["SET", "n:magpie", "no number"]);
    assert_eq!(a.get("magpie").await, None);
    for error in [a.clear().await.unwrap_err(), a.remove_by_tag("t").await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let tagged = EntryOptions::new().tag("t");
    assert_eq!(a.insert_with("jay".into(), 7, tagged).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_this_caches_is_a_miss() {
    let server = RedisServer::start();
    let a = process(&server).await;
    a.insert("jay".into(), 7).await.unwrap();
    let other = builder(remote(&server)).schema_version(2).build().await.unwrap();
    let other = serving(other).await;
    assert_eq!(other.get("jay").await, None);
    assert_eq!(a.get("jay").await, Some(7), "and it was left alone");
    let mut console = server.console();
    console.ok(&["SET", "scrubjay:numbers:0:jay", "foreign"]);
    until("it is heard of", async || a.get("jay").await.is_none()).await;
    assert_eq!(a.get_or_load("jay", async |_| Ok::<_, std::io::Error>(8)).await.unwrap(), 8, "and replaced by a load");
    let fresh = process(&server).await;
    assert_eq!(fresh.get("jay").await, Some(8));
}
