//! Clusters whose slots move and whose masters go.

use super::*;
use crate::remote::link::{Script, ScriptCall};
use scrubjay_harness::{RedisCluster, RedisServer};

static GET: Script = Script::idempotent("return redis.call('GET', KEYS[1])");

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_serves_every_slot_and_is_heard_whole() {
    let cluster = RedisCluster::start();
    // One of its nodes is enough, and need not be said to be one.
    for remote in [Remote::cluster(cluster.urls()), Remote::url(cluster.nodes()[1].url())] {
        let (link, ears) = serve(remote);
        let keys: Vec<String> = (0..200).map(|index| format!("jay:a:{index}")).collect();
        let sets = keys.iter().map(|key| cmd(&["SET", key, key])).collect();
        assert!(link.run_many(sets).await.iter().all(|answer| *answer == Ok(Value::Okay)));
        for key in &keys[..20] {
            assert_eq!(link.run(cmd(&["GET", key])).await, Ok(bulk(key)));
            assert_eq!(link.script(&GET, &[key.as_bytes()], &[]).await, Ok(bulk(key)));
        }
        let calls = keys.iter().map(|key| ScriptCall::new(&GET, &[key.as_bytes()], &[])).collect();
        let answers = link.script_many(calls).await;
        assert!(keys.iter().zip(&answers).all(|(key, answer)| *answer == Ok(bulk(key))), "{answers:?}");
        keys.iter().for_each(|key| ears.wait_for(&Heard::Changed(key.clone())));
        let mut found = 0;
        let masters = link.masters().await.expect("masters");
        assert_eq!(masters.len(), 3);
        for master in &masters {
            let Ok(Value::Int(count)) = link.run_on(master, cmd(&["DBSIZE"])).await else { panic!("no count") };
            assert!(count > 0);
            found += count;
        }
        assert_eq!(found, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_move_are_followed_without_a_loss() {
    let cluster = RedisCluster::start();
    let (link, ears) = serve(Remote::cluster(cluster.urls()));
    let slot = RedisCluster::slot_of("jay:a:{blue}");
    let keys: Vec<String> = (0..20).map(|index| format!("jay:a:{{blue}}{index}")).collect();
    for key in &keys {
        link.run(cmd(&["SET", key, "1"])).await.expect("an answer");
    }
    let to = (cluster.owner_of(slot) + 1) % 3;
    cluster.begin_move(slot, to);
    // New keys are made where the slot will be.
    link.run(cmd(&["SET", "jay:a:{blue}new", "2"])).await.expect("an answer");
    assert_eq!(link.run(cmd(&["GET", "jay:a:{blue}new"])).await, Ok(bulk("2")));
    let gets = || keys.iter().map(|key| cmd(&["GET", key])).collect::<Vec<_>>();
    assert!(link.run_many(gets()).await.iter().all(|answer| *answer == Ok(bulk("1"))));
    cluster.finish_move(slot, to);
    let answers = link.run_many(gets()).await;
    assert!(answers.iter().all(|answer| *answer == Ok(bulk("1"))), "{answers:?}");
    assert_eq!(link.run(cmd(&["GET", "jay:a:{blue}new"])).await, Ok(bulk("2")));
    ears.forget();
    cluster.nodes()[to].console().ok(&["SET", "jay:a:{blue}3", "3"]);
    ears.wait_for(&Heard::Changed("jay:a:{blue}3".into()));
    assert!(!ears.heard.lock().iter().any(|heard| matches!(heard, Heard::Lost(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_goes_takes_the_link_along_until_it_is_back() {
    let mut cluster = RedisCluster::start();
    let (link, ears) = serve(Remote::cluster(cluster.urls()));
    cluster.kill_node(2);
    ears.wait_until("the loss", |heard| matches!(heard, Heard::Lost(_)));
    assert!(matches!(link.run(cmd(&["GET", "jay:a:1"])).await, Err(Trouble::Away(_) | Trouble::Lost(_))));
    cluster.node_mut(2).start_again();
    cluster.wait_until_ok();
    wait_until_serving(&link);
    assert_eq!(link.run(cmd(&["SET", "jay:a:1", "blue"])).await, Ok(Value::Okay));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_alone_is_no_cluster() {
    let server = RedisServer::start();
    let (link, _) = start(Remote::cluster([server.url()]));
    wait_for_reason(&link, "no node of a cluster");
}
