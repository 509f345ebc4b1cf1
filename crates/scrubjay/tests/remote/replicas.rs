//! Servers that become replicas, and replicas that become masters.

use super::away::impatient;
use super::*;
use scrubjay::{EntryOptions, ErrorKind, OnDisconnect};
use scrubjay_harness::RedisCluster;

/// What memory has serves on: these tests are not about that.
fn patient(remote: Remote) -> CacheBuilder<String, u64> {
    builder(remote.on_disconnect(OnDisconnect::CapAge(Duration::from_secs(3_600))))
}

fn why(cache: &Numbers) -> String {
    cache.health().tier("remote").unwrap().message.clone().unwrap_or_default()
}

async fn caught_up(cache: &Numbers) {
    until("all is caught up with", async || is_serving(cache) && shared(cache).missed_pending == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_made_a_replica_costs_misses_and_deferred_writes_until_it_is_a_master_again() {
    let server = RedisServer::start();
    let process = async || serving(patient(impatient(&server)).build().await.unwrap()).await;
    let (writer, reader) = (process().await, process().await);
    writer.insert_many([("jay".into(), 1), ("oak".into(), 1)]).await.unwrap();
    // Behind the news, which would take it out again.
    until("it has heard of both", async || shared(&reader).invalidations == 2).await;
    assert_eq!(reader.get("jay").await, Some(1));
    // Of a master that is not there: it keeps what it has, and takes no writes.
    server.console().ok(&["REPLICAOF", "127.0.0.1", "1"]);
    writer.insert("jay".into(), 2).await.unwrap();
    for cache in [&writer, &reader] {
        // The one has been refused a write, the other asks what the server is.
        until("health says why", async || why(cache).contains("read-only replica")).await;
    }
    let error = writer.remove("oak").await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("queued"), "{error}");
    assert_eq!((writer.get("jay").await, writer.get("oak").await), (Some(2), None));
    assert_eq!(reader.get("jay").await, Some(1), "memory serves, for as long as was said");
    assert_eq!(writer.get_or_load("elm", async |_| Ok::<_, std::io::Error>(3)).await.unwrap(), 3);
    assert!(shared(&writer).missed_pending >= 2);
    server.console().ok(&["REPLICAOF", "NO", "ONE"]);
    for cache in [&writer, &reader] {
        caught_up(cache).await;
    }
    for cache in [&writer, &reader, &process().await] {
        // Not if this took long: who knows what was removed since.
        let found = cache.get("jay").await;
        assert!(matches!(found, Some(2) | None), "{found:?}");
        assert_eq!(cache.get("oak").await, None);
    }
    assert_eq!(shared(&writer).replayed, 2);
    let other = process().await;
    until("writes go on", async || {
        writer.insert("oak".into(), 4).await.unwrap();
        other.get("oak").await == Some(4)
    })
    .await;
}

/// Removes and inserts, has `change` done to the cluster, and looks whether all that was said before holds after it.
async fn survives(caches: [&Numbers; 2], round: u64, change: impl AsyncFnOnce()) {
    let [writer, reader] = caches;
    let key = |index: u64| format!("{round}/{index}");
    let keys: Vec<String> = (0..48).map(key).collect();
    writer.insert_many(keys.iter().map(|key| (key.clone(), round))).await.unwrap();
    writer
        .insert_with("tagged".into(), round, EntryOptions { tags: vec!["trees".into()], ..EntryOptions::default() })
        .await
        .unwrap();
    for key in keys.iter().chain([&"tagged".to_owned()]) {
        until("it is read", async || reader.get(key).await == Some(round)).await;
    }
    for gone in keys.iter().step_by(2) {
        assert!(writer.remove(gone).await.unwrap());
    }
    writer.remove_by_tag("trees").await.unwrap();
    change().await;
    let check = async |cache: &Numbers| {
        for (index, key) in keys.iter().enumerate() {
            let expected = (index % 2 == 1).then_some(round);
            until("it is as it was left", async || cache.get(key).await == expected).await;
            assert!(expected.is_some() || cache.get(key).await.is_none(), "{key} was removed");
        }
        until("the tag holds", async || cache.get("tagged").await.is_none()).await;
    };
    // Whatever is not heard of yet: nothing that was removed is served.
    check(writer).await;
    check(reader).await;
    for cache in [writer, reader] {
        caught_up(cache).await;
        check(cache).await;
    }
    // Writes and their news go on, on every master.
    for key in &keys {
        writer.insert(key.clone(), round + 100).await.unwrap();
        until("the other hears of it", async || reader.get(key).await == Some(round + 100)).await;
        assert!(reader.remove(key).await.unwrap(), "{key}");
        until("and the one of the removal", async || writer.get(key).await.is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_master_dies_or_hands_over_goes_on_with_the_replica_and_serves_nothing_that_was_removed() {
    let mut cluster = RedisCluster::start();
    let slot = RedisCluster::slot_of("scrubjay:numbers:0:1/0");
    let first = cluster.owner_of(slot);
    let second = cluster.add_replica(first);
    let open = async || {
        serving(
            patient(Remote::cluster(cluster.urls()).command_timeout(Duration::from_secs(10))).build().await.unwrap(),
        )
        .await
    };
    let (writer, reader) = (open().await, open().await);
    survives([&writer, &reader], 1, async || {
        // A write of its own: only then does it wait for all that was before.
        let mut console = cluster.nodes()[first].console();
        let own =
            (0..).map(|index| format!("mark{index}")).find(|key| cluster.owner_of(RedisCluster::slot_of(key)) == first);
        console.ok(&["SET", &own.unwrap(), "1"]);
        assert_eq!(console.call(&["WAIT", "1", "0"]).number(), 1);
        cluster.kill_node(first);
        cluster.fail_over(second);
    })
    .await;
    assert_eq!(cluster.owner_of(slot), second);
    cluster.node_mut(first).start_again();
    cluster.wait_until_replica(first);
    survives([&writer, &reader], 2, async || cluster.fail_over(first)).await;
    assert_eq!(cluster.owner_of(slot), first);
}
