//! Loads across processes.

use super::*;

const LONG: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_woken_by_what_another_has_loaded() {
    let redis = RedisServer::start();
    let (a, b) = (Process::start(&redis.url()), Arc::new(Process::start(&redis.url())));
    let lease = a.lease(b"k").await;
    let waiting = Arc::clone(&b);
    let waits = tokio::spawn(async move { waiting.tier.begin(b"k", None, LONG).await });
    wait_for("the wait", || (b.tier.stats().waits == 1).then_some(()));
    let entry = a.encode(b"k", b"one", &[]);
    assert_eq!(a.tier.fill(lease, Some(&entry)).await, Filled::Stored);
    let begun = tokio::time::timeout(Duration::from_secs(2), waits).await.expect("woken").unwrap();
    let Begun::Filled(bytes) = begun else { panic!("{begun:?}") };
    assert_eq!(b.read(b"k", &bytes).as_deref(), Some(&b"one"[..]));
    // What it has seen, and cannot use, it may load.
    assert!(matches!(b.tier.begin(b"k", Some(&bytes), LONG).await, Begun::Granted(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_woken_when_the_lease_is_dropped() {
    let redis = RedisServer::start();
    let remote = || Remote::url(redis.url()).lease_time(Duration::from_secs(60));
    let (a, b) = (Process::with(remote()), Arc::new(Process::with(remote())));
    let lease = a.lease(b"k").await;
    let waiting = Arc::clone(&b);
    let waits = tokio::spawn(async move { waiting.tier.begin(b"k", None, LONG).await });
    wait_for("the wait", || (b.tier.stats().waits == 1).then_some(()));
    drop(lease);
    let begun = tokio::time::timeout(Duration::from_secs(2), waits).await.expect("woken").unwrap();
    assert!(matches!(begun, Begun::Granted(_)));
    assert!(!b.was_told(&changed(b"k")), "a load that failed says nothing of what is above");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_waited_long_enough_goes_on_alone() {
    let redis = RedisServer::start();
    let (a, b) = (Process::start(&redis.url()), Process::start(&redis.url()));
    let _lease = a.lease(b"k").await;
    assert!(matches!(b.tier.begin(b"k", None, Duration::from_millis(20)).await, Begun::Alone));
    assert_eq!((b.tier.stats().waits, b.tier.stats().alone), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_leader_is_followed_by_the_next() {
    let redis = RedisServer::start();
    let a = Process::with(Remote::url(redis.url()).lease_time(Duration::from_millis(200)));
    let b = Process::start(&redis.url());
    let mut lease = a.lease(b"k").await;
    // It neither renews nor gives back.
    lease.renewal.take().unwrap().abort();
    lease.forget();
    assert!(matches!(b.tier.begin(b"k", None, LONG).await, Begun::Granted(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_lasts_as_long_as_it_is_held() {
    let redis = RedisServer::start();
    let a = Process::with(Remote::url(redis.url()).lease_time(Duration::from_millis(100)));
    let b = Process::start(&redis.url());
    let lease = a.lease(b"k").await;
    let begun = b.tier.begin(b"k", None, Duration::from_millis(400)).await;
    assert!(matches!(begun, Begun::Alone), "{begun:?}");
    let entry = a.encode(b"k", b"one", &[]);
    assert_eq!(a.tier.fill(lease, Some(&entry)).await, Filled::Stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_anywhere_revokes_a_load_everywhere() {
    let redis = RedisServer::start();
    let (a, b) = (Process::start(&redis.url()), Process::start(&redis.url()));
    for entry in [Some(a.encode(b"k", b"old", &[])), None] {
        let lease = a.lease(b"k").await;
        assert!(matches!(b.tier.remove(b"k").await, Removal::Gone { .. }));
        assert_eq!(a.tier.fill(lease, entry.as_ref()).await, Filled::Revoked);
        assert_eq!(b.get(b"k").await, None);
    }
    let lease = a.lease(b"k").await;
    b.insert(b"k", b"new").await;
    let old = a.encode(b"k", b"old", &[]);
    assert_eq!(a.tier.fill(lease, Some(&old)).await, Filled::Revoked);
    assert_eq!(a.get(b"k").await.as_deref(), Some(&b"new"[..]));
    assert_eq!(a.tier.stats().revoked, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_whose_result_is_not_kept_takes_the_old_one_along() {
    let redis = RedisServer::start();
    let (a, b) = (Process::start(&redis.url()), Process::start(&redis.url()));
    b.insert(b"k", b"old").await;
    let seen = a.tier.get(b"k").await.unwrap();
    let Begun::Granted(lease) = a.tier.begin(b"k", Some(&seen), LONG).await else { panic!() };
    assert_eq!(a.tier.fill(lease, None).await, Filled::Stored);
    assert_eq!(b.get(b"k").await, None);
    // One that has failed leaves it there.
    b.insert(b"k", b"old").await;
    let seen = a.tier.get(b"k").await.unwrap();
    let Begun::Granted(lease) = a.tier.begin(b"k", Some(&seen), LONG).await else { panic!() };
    a.tier.release(lease).await;
    assert_eq!(b.get(b"k").await.as_deref(), Some(&b"old"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_keys_are_begun_and_filled_at_once() {
    let redis = RedisServer::start();
    let (a, b) = (Process::start(&redis.url()), Process::start(&redis.url()));
    let keys: Vec<Vec<u8>> = (0..20_u8).map(|n| vec![b'k', n]).collect();
    let held = b.lease(&keys[3]).await;
    let leases = a.tier.begin_many(&keys).await;
    assert_eq!(leases.iter().filter(|lease| lease.is_none()).count(), 1);
    assert!(leases[3].is_none());
    b.tier.remove(&keys[5]).await;
    let fills = keys.iter().zip(leases).filter_map(|(key, lease)| Some((lease?, Some(a.encode(key, key, &[])))));
    let filled = a.tier.fill_many(fills.collect()).await;
    assert_eq!(filled.iter().filter(|filled| **filled == Filled::Stored).count(), 18);
    assert_eq!(filled[4], Filled::Revoked);
    let found = b.tier.get_many(&keys).await;
    for (at, (key, found)) in keys.iter().zip(found).enumerate() {
        let value = found.and_then(|bytes| b.read(key, &bytes));
        assert_eq!(value.is_some(), at != 3 && at != 5, "{at}");
        assert!(value.is_none_or(|value| value == *key));
    }
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_being_changed_is_neither_read_nor_loaded_from_the_server() {
    let redis = RedisServer::start();
    let a = Process::start(&redis.url());
    a.insert(b"k", b"old").await;
    let changing = a.tier.changing(&[b"k".to_vec()]);
    assert_eq!(a.tier.get(b"k").await, None);
    assert_eq!(a.tier.get_many(&[b"k".to_vec(), b"l".to_vec()]).await, [None, None]);
    assert!(matches!(a.tier.begin(b"k", None, LONG).await, Begun::Alone));
    a.tier.remove(b"k").await;
    assert_eq!(a.tier.stats().skipped, 2);
    drop(changing);
    assert!(matches!(a.tier.begin(b"k", None, LONG).await, Begun::Granted(_)));
}
