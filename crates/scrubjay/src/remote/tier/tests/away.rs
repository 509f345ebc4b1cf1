//! A server that is away, and comes back.

use super::*;
use crate::remote::OnDisconnect;
use scrubjay_harness::{Direction, Proxy, Toxic, Which};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_done_when_the_server_is_back_and_not_read_before() {
    let redis = RedisServer::start();
    let proxy = Proxy::in_front_of(redis.address());
    let (a, b) = (Process::start(&proxy.url()), Process::start(&redis.url()));
    for key in [b"removed", b"written"] {
        a.insert(key, b"old").await;
    }
    a.insert_tagged(b"tagged", b"old", &["team"]).await;
    proxy.partition();
    wait_for("the loss", || (!a.trusts()).then_some(()));
    assert_eq!(a.tier.remove(b"removed").await, Removal::Deferred);
    a.insert(b"written", b"new").await;
    a.insert(b"fresh", b"new").await;
    assert_eq!(a.tier.raise(Mark::Floor(crate::tags::place("team"))).await, Confirmed::Deferred);
    assert_eq!(b.get(b"removed").await.as_deref(), Some(&b"old"[..]));
    assert!(a.tier.stats().missed_pending == 4 && a.tier.stats().deferred == 4);
    proxy.heal();
    a.wait_until_it_serves();
    wait_for("all to be done", || (a.tier.stats().missed_pending == 0).then_some(()));
    assert_eq!((b.get(b"removed").await, a.get(b"removed").await), (None, None));
    assert_eq!(b.get(b"written").await.as_deref(), Some(&b"new"[..]));
    assert_eq!(b.get(b"fresh").await.as_deref(), Some(&b"new"[..]));
    assert_eq!((a.get(b"tagged").await, b.get(b"tagged").await), (None, None));
    assert_eq!(a.tier.stats().replayed, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_away_gives_way_to_what_others_did_since() {
    let redis = RedisServer::start();
    let proxy = Proxy::in_front_of(redis.address());
    let (a, b) = (Process::start(&proxy.url()), Process::start(&redis.url()));
    proxy.partition();
    wait_for("the loss", || (!a.trusts()).then_some(()));
    a.insert(b"removed", b"older").await;
    a.insert(b"written", b"older").await;
    assert_eq!(b.tier.remove(b"removed").await, Removal::Gone { was_there: false });
    let before = b.tier.inner.unix_ms();
    wait_for("the next millisecond", || (b.tier.inner.unix_ms() > before + 5).then_some(()));
    b.insert(b"written", b"newer").await;
    proxy.heal();
    a.wait_until_it_serves();
    wait_for("all to be done", || (a.tier.stats().missed_pending == 0).then_some(()));
    assert_eq!(b.get(b"removed").await, None);
    assert_eq!(b.get(b"written").await.as_deref(), Some(&b"newer"[..]));
    assert_eq!(a.tier.stats().outdated, 2);
    assert_eq!(a.get(b"written").await.as_deref(), Some(&b"newer"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_was_held_back_does_not_come_after_a_removal() {
    let redis = RedisServer::start();
    let proxy = Proxy::in_front_of(redis.address());
    let (a, b) = (Process::start(&proxy.url()), Process::start(&redis.url()));
    // The server knows the script from now on: what arrives late would be done.
    a.insert(b"other", b"one").await;
    let entry = a.encode(b"k", b"late", &[]);
    proxy.add(Which::All, Direction::ToServer, Toxic::Stall);
    a.tier.insert(b"k", Some(&entry)).await;
    let inner = &a.tier.inner;
    assert_eq!(inner.due(&a.tier.link, 0, 1), [], "it may arrive yet: nothing is done before that is over");
    let (_, change) = inner.missed.lock().due(0, |_| u64::MAX, 0, 1).remove(0);
    assert_eq!(change.op, Op::Removed);
    assert_eq!(a.tier.remove(b"k").await, Removal::Deferred);
    assert!(matches!(b.tier.remove(b"k").await, Removal::Gone { .. }));
    wait_for("its deadline", || (b.tier.inner.server_ms(None, b"") > change.fence_ms).then_some(()));
    proxy.heal();
    wait_for("all to be done", || {
        let there = redis.console().call(&[b"EXISTS", &a.names(b"k").data[..]]).number();
        assert_eq!(there, 0, "it came late");
        (a.tier.stats().missed_pending == 0).then_some(())
    });
    assert_eq!((a.get(b"k").await, b.get(b"k").await), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fill_of_which_nobody_knows_becomes_a_removal() {
    let redis = RedisServer::start();
    let proxy = Proxy::in_front_of(redis.address());
    let (a, b) = (Process::start(&proxy.url()), Process::start(&redis.url()));
    // The server knows the script from now on: what it is asked is done.
    let lease = a.lease(b"other").await;
    let entry = a.encode(b"other", b"one", &[]);
    assert_eq!(a.tier.fill(lease, Some(&entry)).await, Filled::Stored);
    let lease = a.lease(b"k").await;
    let entry = a.encode(b"k", b"one", &[]);
    // The answers are lost, the commands are not.
    proxy.add(Which::All, Direction::ToClient, Toxic::Blackhole);
    assert_eq!(a.tier.fill(lease, Some(&entry)).await, Filled::Unknown);
    assert_eq!(b.get(b"k").await.as_deref(), Some(&b"one"[..]));
    assert_eq!(a.tier.get(b"k").await, None);
    proxy.heal();
    a.wait_until_it_serves();
    wait_for("all to be done", || (a.tier.stats().missed_pending == 0).then_some(()));
    assert_eq!(b.get(b"k").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_policy_says_what_is_trusted_while_the_server_is_away() {
    let mut redis = RedisServer::start();
    let start = |policy| Process::with(Remote::url(redis.url()).on_disconnect(policy));
    let (capped, dropped, stale) = (
        start(OnDisconnect::CapAge(Duration::from_millis(300))),
        start(OnDisconnect::Drop),
        start(OnDisconnect::ServeStale),
    );
    for process in [&capped, &dropped, &stale] {
        assert_eq!(process.tier.trust(), Trust::Whole);
    }
    redis.kill();
    for process in [&capped, &dropped, &stale] {
        wait_for("the loss", || (!process.trusts()).then_some(()));
    }
    assert_eq!(capped.tier.trust(), Trust::Capped(300));
    assert_eq!(dropped.tier.trust(), Trust::Nothing);
    assert_eq!(stale.tier.trust(), Trust::Whole);
    assert!(dropped.was_told(&Told::Distrusted));
    capped.wait_until_told(&Told::Distrusted);
    assert!(!stale.was_told(&Told::Distrusted));
    assert_eq!(stale.get(b"k").await, None);
    redis.start_again();
    for process in [&capped, &dropped, &stale] {
        process.wait_until_told(&Told::Distrusted);
        wait_for("trust", || (process.tier.trust() == Trust::Whole).then_some(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_connection_is_back_all_that_is_above_is_let_go_before_it_is_trusted_again() {
    let redis = RedisServer::start();
    let proxy = Proxy::in_front_of(redis.address());
    let a = Process::with(Remote::url(proxy.url()).on_disconnect(OnDisconnect::ServeStale));
    proxy.partition();
    wait_for("the loss", || (!a.trusts()).then_some(()));
    assert!(!a.was_told(&Told::Distrusted));
    proxy.heal();
    wait_for("the connection", || a.trusts().then_some(()));
    assert!(a.was_told(&Told::Distrusted));
    assert_eq!(a.tier.stats().generations, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_leaves_its_key_to_be_removed() {
    let redis = RedisServer::start();
    let a = Process::start(&redis.url());
    let entry = a.encode(b"k", b"one", &[]);
    let mut insert = Box::pin(a.tier.insert(b"k", Some(&entry)));
    assert!(futures_util::poll!(&mut insert).is_pending());
    drop(insert);
    assert_eq!(a.tier.stats().missed_pending, 1);
    assert_eq!(a.tier.get(b"k").await, None);
    wait_for("it to be done", || (a.tier.stats().missed_pending == 0).then_some(()));
    assert_eq!(a.get(b"k").await, None);
    let raise = &mut Box::pin(a.tier.raise(Mark::Cleared));
    a.insert(b"k", b"two").await;
    assert!(futures_util::poll!(raise).is_pending());
    assert_eq!(a.get(b"k").await, None, "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_ends_is_a_loss_after_which_nothing_above_serves() {
    let redis = RedisServer::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let process = {
        let _runtime = runtime.enter();
        // Nobody is there any more to see that this time is over.
        Process::with(Remote::url(redis.url()).on_disconnect(OnDisconnect::CapAge(Duration::from_secs(3_600))))
    };
    runtime.shutdown_background();
    process.wait_until_told(&Told::Distrusted);
    assert!(!process.trusts());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_changes_are_brought_heartbeats_do_not_queue_up_behind_it_and_closing_does_not_wait_for_ever() {
    let redis = RedisServer::start();
    let a = Process::start(&redis.url());
    let inner = Arc::clone(&a.tier.inner);
    // Somebody is at it, and will not be done.
    let _draining = inner.draining.lock().await;
    inner.defer(b"k", Op::Removed, 0);
    let before = Arc::strong_count(&inner);
    (0..100).for_each(|_| inner.drain_behind());
    assert!(Arc::strong_count(&inner) < before + 50, "tasks wait");
    a.tier.close().await;
    assert_eq!(a.tier.stats().missed_pending, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_to_be_stored_is_removed_by_its_prefix_too() {
    let redis = RedisServer::start();
    let a = Process::start(&redis.url());
    // They wait for the end of a write of which nobody knows.
    for key in [&b"user:1"[..], b"role:1"] {
        let Encoded { bytes, expires_ms, stored_at_ms, .. } = a.encode(key, b"late", &[]);
        a.tier.inner.defer(key, Op::Insert { bytes, expires_ms, stored_at_ms }, a.tier.inner.deadline_ms(None, b""));
    }
    let swept = a.tier.remove_where(b"user:", |_| true).await;
    assert_eq!(swept, Swept { removed: 0, confirmed: Confirmed::Deferred });
    wait_for("all to be done", || (a.tier.stats().missed_pending == 0).then_some(()));
    assert_eq!(a.get(b"user:1").await, None, "removed by its prefix");
    assert_eq!(a.get(b"role:1").await.as_deref(), Some(&b"late"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_master_of_a_cluster_has_a_clock_of_its_own() {
    let cluster = scrubjay_harness::RedisCluster::start();
    let a = Process::with(Remote::cluster(cluster.urls()).command_timeout(Duration::from_secs(10)));
    let (inner, link) = (&a.tier.inner, &a.tier.link);
    let keys: Vec<Vec<u8>> = (0..30_u8).map(|key| vec![b'a' + key % 26, key]).collect();
    let data = |key: &Vec<u8>| inner.names.data(key);
    let node = link.master_of(&data(&keys[0])).unwrap();
    let is_there = |key: &&Vec<u8>| link.master_of(&data(key)) == Some(node.clone());
    let (there, elsewhere): (Vec<_>, Vec<_>) = keys.iter().partition(is_there);
    assert!(!there.is_empty() && !elsewhere.is_empty());
    // One is thought to be an hour behind what it is: that concerns its keys alone, and the first refusal tells.
    inner.note_server_ms(link, &data(there[0]), inner.unix_ms() - 3_600_000, inner.elapsed_ms());
    for key in &elsewhere {
        assert!(inner.server_ms(Some(link), &data(key)).abs_diff(inner.unix_ms()) < 600_000);
    }
    let entries: Vec<_> = keys.iter().map(|key| (key.clone(), Some(a.encode(key, b"one", &[])))).collect();
    a.tier.insert_many(entries).await;
    let stats = a.tier.stats();
    assert_eq!((stats.stored, stats.deferred), (30, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_yet_does_not_hold_up_what_can() {
    let redis = RedisServer::start();
    let a = Process::start(&redis.url());
    let (inner, link) = (&a.tier.inner, &a.tier.link);
    // As far as this process knows, the time of all has come; the server knows better.
    let fence_ms = inner.server_ms(None, b"") + 60_000;
    for number in 0..2_000_u32 {
        inner.defer(&number.to_be_bytes(), Op::Removed, fence_ms);
    }
    inner.defer(b"last", Op::Removed, 0);
    inner.note_server_ms(link, b"", fence_ms + 60_000, inner.elapsed_ms());
    inner.drain(link).await.unwrap();
    assert!(!inner.is_missed(b"last"));
    assert_eq!(a.tier.stats().missed_pending, 2_000);
}
