//! What one process changes, another hears of; what it changes itself, it does not let go.

use super::*;
use scrubjay::{Compressed, Disk, EntryOptions, Key};
use scrubjay_harness::Proxy;
use std::sync::Arc;
use tokio::sync::Notify;

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_elsewhere_replaces_what_is_in_memory() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    a.insert("jay".into(), 1).await.unwrap();
    assert_eq!(b.get("jay").await, Some(1));
    a.insert("jay".into(), 2).await.unwrap();
    until("the news arrives", async || b.get("jay").await == Some(2)).await;
    assert_eq!(shared(&b).invalidations, 1 + 1, "of the key, twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_elsewhere_takes_it_out_of_memory() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    a.insert("jay".into(), 1).await.unwrap();
    assert_eq!(b.get("jay").await, Some(1));
    assert!(a.remove("jay").await.unwrap());
    until("the news arrives", async || b.get("jay").await.is_none()).await;
    assert!(!b.remove("jay").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_here_says_that_there_was_something_elsewhere() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    a.insert("jay".into(), 1).await.unwrap();
    assert!(b.remove("jay").await.unwrap(), "it was in the shared tier alone");
    until("the news arrives", async || a.get("jay").await.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_memory_has_is_let_go_as_well_when_another_process_removes_it() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    a.insert("jay".into(), 1).await.unwrap();
    // Evicted there, as the server sees fit; here it is still.
    assert_eq!(server.call(&["DEL", "scrubjay:numbers:0:jay"]).number(), 1);
    until("the news of that", async || a.get("jay").await.is_none()).await;
    assert_eq!(a.get_or_load("jay", async |_| Ok::<_, std::io::Error>(2)).await.unwrap(), 2);
    assert_eq!(b.get("jay").await, Some(2));
    let mut console = server.console();
    console.ok(&["CONFIG", "SET", "maxmemory", "1"]);
    b.remove("jay").await.unwrap();
    until("the news of the removal", async || a.get("jay").await.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_clear_reach_every_process_and_what_is_there() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    let tagged = || EntryOptions::new().tag("bird");
    a.insert_with("jay".into(), 1, tagged()).await.unwrap();
    a.insert("oak".into(), 2).await.unwrap();
    assert_eq!((b.get("jay").await, b.get("oak").await), (Some(1), Some(2)));
    a.remove_by_tag("bird").await.unwrap();
    assert_eq!(a.get("jay").await, None);
    until("the tag arrives", async || b.get("jay").await.is_none()).await;
    assert_eq!(b.get("oak").await, Some(2));
    b.insert_with("jay".into(), 3, tagged()).await.unwrap();
    until("what came after it counts", async || a.get("jay").await == Some(3)).await;
    b.clear().await.unwrap();
    assert_eq!((b.get("jay").await, b.get("oak").await), (None, None));
    until("the clear arrives", async || a.get("jay").await.is_none() && a.get("oak").await.is_none()).await;
    let late = process(&server).await;
    assert_eq!((late.get("jay").await, late.get("oak").await), (None, None));
    assert_eq!(late.keys().await.len(), 0);
    b.insert("oak".into(), 4).await.unwrap();
    until("a value of after it", async || a.get("oak").await == Some(4)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_removed_from_every_process() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    a.insert_many([("bird:jay".into(), 1), ("bird:crow".into(), 2), ("tree:oak".into(), 3)]).await.unwrap();
    let keys = ["bird:jay".to_owned(), "bird:crow".into(), "tree:oak".into()];
    assert_eq!(b.get_many(&keys).await, [Some(1), Some(2), Some(3)]);
    assert_eq!(a.remove_by_prefix("bird:").await.unwrap(), 2);
    until("the news arrives", async || b.get_many(&keys).await == [None, None, Some(3)]).await;
    let late = process(&server).await;
    assert_eq!(late.remove_by_prefix("tree:").await.unwrap(), 1, "what is in the shared tier alone counts");
}

/// A key whose bytes are not what its text begins with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tail(&'static str);

impl AsRef<str> for Tail {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl Key for Tail {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.bytes().rev());
    }

    fn decode(bytes: &[u8]) -> Option<Tail> {
        let known = ["bird:jay", "bird:crow", "tree:oak"];
        known.into_iter().find(|key| key.bytes().rev().eq(bytes.iter().copied())).map(Tail)
    }
}

async fn tails(url: String) -> Cache<Tail, u64> {
    let remote = Remote::url(url).command_timeout(Duration::from_secs(1)).connect_timeout(Duration::from_secs(1));
    let cache = Cache::builder("tails").memory(Memory::bytes(1 << 20)).remote(remote).build().await.unwrap();
    until("it serves", async || cache.health().tier("remote").unwrap().state == TierState::Serving).await;
    cache
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_of_keys_whose_bytes_do_not_begin_so_is_removed_with_the_loads_of_others() {
    let server = RedisServer::start();
    let (a, b) = (tails(server.url()).await, tails(server.url()).await);
    a.insert_many([(Tail("bird:jay"), 1), (Tail("tree:oak"), 2)]).await.unwrap();
    let (has_begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let load = {
        let (b, has_begun, may_end) = (b.clone(), Arc::clone(&has_begun), Arc::clone(&may_end));
        let loader = move |_| async move {
            has_begun.notify_one();
            may_end.notified().await;
            Ok::<_, std::io::Error>(3)
        };
        tokio::spawn(async move { b.get_or_load(&Tail("bird:crow"), loader).await })
    };
    has_begun.notified().await;
    assert_eq!(a.remove_by_prefix("bird:").await.unwrap(), 1);
    may_end.notify_one();
    assert_eq!(load.await.unwrap().unwrap(), 3, "its caller has it");
    let late = tails(server.url()).await;
    let keys = ["bird:jay", "bird:crow", "tree:oak"].map(Tail);
    assert_eq!(late.get_many(&keys).await, [None, None, Some(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_of_such_keys_that_cannot_be_looked_for_is_removed_later_with_all_others() {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.address());
    let (a, b) = (tails(proxy.url()).await, tails(server.url()).await);
    b.insert(Tail("bird:jay"), 1).await.unwrap();
    proxy.partition();
    until("it is away", async || a.health().tier("remote").unwrap().state != TierState::Serving).await;
    let error = a.remove_by_prefix("bird:").await.unwrap_err();
    assert!(error.to_string().contains("queued"), "{error}");
    proxy.heal();
    until("the removal arrives", async || b.get(&Tail("bird:jay")).await.is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_process_changes_itself_it_keeps_in_memory() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    for round in 0..50_u64 {
        a.insert("jay".into(), round).await.unwrap();
        assert_eq!(a.get("jay").await, Some(round), "a process reads what it wrote");
    }
    assert_eq!(a.get_or_load("oak", async |_| Ok::<_, std::io::Error>(1)).await.unwrap(), 1);
    // Behind all news of its own.
    b.insert("last".into(), 1).await.unwrap();
    until("the news of another", async || shared(&a).invalidations == 1).await;
    until("the news of its own are judged", async || shared(&a).echoes > 0).await;
    let before = a.stats();
    assert_eq!((a.get("jay").await, a.get("oak").await), (Some(49), Some(1)));
    let after = a.stats();
    assert_eq!(after.memory.hits - before.memory.hits, 2, "nothing was let go for its own news");
    assert_eq!(after.remote.unwrap().hits, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn news_reach_the_compressed_tier_and_the_disk() {
    let server = RedisServer::start();
    let folder = tempfile::tempdir().unwrap();
    let a = process(&server).await;
    let disk = Disk::at(folder.path()).bytes(4 << 20);
    let small = builder(remote(&server)).memory(Memory::entries(16)).compressed(Compressed::bytes(1 << 20)).disk(disk);
    let b = serving(small.build().await.unwrap()).await;
    let key = |number: u64| format!("key:{number}");
    a.insert_many((0..200).map(|number| (key(number), number))).await.unwrap();
    for number in 0..200 {
        assert_eq!(b.get(&key(number)).await, Some(number));
    }
    assert!(b.stats().compressed.unwrap().entries > 100, "most of it went down");
    a.insert_many((0..200).map(|number| (key(number), number + 1000))).await.unwrap();
    for number in 0..200 {
        until("the news arrives below memory", async || b.get(&key(number)).await == Some(number + 1000)).await;
    }
    b.close().await;
    assert_eq!(a.get(&key(1)).await, Some(1001));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_flushed_empties_every_process() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    a.insert("jay".into(), 1).await.unwrap();
    assert_eq!(b.get("jay").await, Some(1));
    server.console().ok(&["FLUSHALL"]);
    until("it is gone", async || a.get("jay").await.is_none() && b.get("jay").await.is_none()).await;
    // What was begun before this process has heard of it is a miss.
    until("life goes on", async || {
        a.insert("jay".into(), 2).await.unwrap();
        b.get("jay").await == Some(2)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_value_that_was_not_served_is_counted_once_by_how_it_was_known() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    let avoided = |cache: &Numbers| (shared(cache).stale_by_key, shared(cache).stale_by_mark);
    let tagged = || scrubjay::EntryOptions::new().tag("tree");
    a.insert("jay".into(), 1).await.unwrap();
    a.insert_with("oak".into(), 1, tagged()).await.unwrap();
    until("both are in memory", async || {
        let before = b.stats().memory.hits;
        let found = (b.get("jay").await, b.get("oak").await);
        found == (Some(1), Some(1)) && b.stats().memory.hits == before + 2
    })
    .await;
    let before = avoided(&b);
    a.insert("jay".into(), 2).await.unwrap();
    a.insert("magpie".into(), 2).await.unwrap();
    until("the news of a key that was in memory", async || avoided(&b) == (before.0 + 1, before.1)).await;
    a.remove_by_tag("tree").await.unwrap();
    until("the tag is heard of", async || b.get("oak").await.is_none()).await;
    assert_eq!(avoided(&b), (before.0 + 1, before.1 + 1), "a lookup met it");
    let again = b.get_many(&["oak".into()]).await;
    assert_eq!((again, avoided(&b).1), (vec![None], before.1 + 1), "and took it out");
    let in_the_tier = shared(&b).invalidated;
    assert_eq!((b.get("oak").await, shared(&b).invalidated), (None, in_the_tier + 1), "it lies in the tier still");
    assert_eq!(shared(&b).stale_reads_avoided(), before.0 + before.1 + 2 + in_the_tier + 1);
    b.remove_by_tag("tree").await.unwrap();
    b.insert("jay".into(), 3).await.unwrap();
    b.remove("jay").await.unwrap();
    assert_eq!(b.get("jay").await, None);
    assert_eq!(avoided(&b), (before.0 + 1, before.1 + 1), "own changes are none");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_value_that_calls_for_many_keys_meet_is_counted_by_the_first_of_them() {
    let server = RedisServer::start();
    let (a, b) = two(&server).await;
    let keys = ["oak".to_owned(), "ash".to_owned()];
    for key in &keys {
        b.insert_with(key.clone(), 1, scrubjay::EntryOptions::new().tag("tree")).await.unwrap();
    }
    a.remove_by_tag("tree").await.unwrap();
    until("the tag is heard of", async || b.peek("oak").await.is_none()).await;
    let before = shared(&b).stale_by_mark;
    assert_eq!(b.get_many(&keys[..1]).await, [None]);
    let failing = async |_: Vec<String>| Err::<Vec<u64>, _>(std::io::Error::other("no trees"));
    for _ in 0..3 {
        assert_eq!(b.get_many(&keys[..1]).await, [None]);
        assert!(b.get_or_load_many(&keys, failing).await.iter().all(Result::is_err));
    }
    assert_eq!(shared(&b).stale_by_mark, before + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_value_below_memory_that_was_not_served_is_counted_too() {
    const COUNT: u64 = 2_000;
    let server = RedisServer::start();
    let folder = tempfile::tempdir().unwrap();
    let a = process(&server).await;
    let disk = Disk::at(folder.path()).bytes(4 << 20);
    let small = builder(remote(&server)).memory(Memory::entries(16)).compressed(Compressed::bytes(64 << 10)).disk(disk);
    let b = serving(small.build().await.unwrap()).await;
    let key = |number: u64| format!("key:{number}");
    let keys: Vec<String> = (0..COUNT).map(key).collect();
    let tagged = scrubjay::EntryOptions::new().tag("all");
    for number in 0..COUNT {
        b.insert_with(key(number), number, tagged.clone()).await.unwrap();
    }
    let held = |cache: &Numbers| {
        let stats = cache.stats();
        (stats.memory.entries, stats.compressed.unwrap().entries, stats.disk.unwrap().entries)
    };
    until("some of it is in each tier", async || held(&b).2 > 50).await;
    let (in_memory, compressed, _) = held(&b);
    assert!(in_memory > 0 && compressed > 0);
    a.remove_by_tag("all").await.unwrap();
    until("b has heard of it", async || b.get(&keys[0]).await.is_none()).await;
    assert!(b.get_many(&keys).await.iter().all(Option::is_none));
    let met = shared(&b).stale_by_mark;
    assert!((COUNT..COUNT + 20).contains(&met), "{met}: each was met, wherever it lay; few lay in two tiers");
    b.close().await;
}
