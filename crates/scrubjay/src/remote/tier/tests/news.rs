//! What one process changes reaches the others.

use super::*;
use crate::tags::place;
use scrubjay_harness::{Console, Proxy};

#[tokio::test(flavor = "multi_thread")]
async fn what_one_inserts_the_other_gets_and_is_told_of() {
    let redis = RedisServer::start();
    let (a, b) = (Process::start(&redis.url()), Process::start(&redis.url()));
    a.insert(b"k", b"one").await;
    assert_eq!(a.get(b"k").await.as_deref(), Some(&b"one"[..]));
    assert_eq!(b.get(b"k").await.as_deref(), Some(&b"one"[..]));
    b.wait_until_told(&changed(b"k"));
    wait_for("the echo", || (a.tier.stats().echoes > 0).then_some(()));
    assert!(!a.was_told(&changed(b"k")), "its own write");
    // The other's write of the same key, while the own one is still expected.
    b.insert(b"k", b"two").await;
    a.wait_until_told(&changed(b"k"));
    assert_eq!(a.get(b"k").await.as_deref(), Some(&b"two"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_reaches_memory_tiers_even_if_the_server_has_nothing() {
    let redis = RedisServer::start();
    let (a, b) = (Process::start(&redis.url()), Process::start(&redis.url()));
    assert_eq!(a.tier.remove(b"k").await, Removal::Gone { was_there: false });
    b.wait_until_told(&changed(b"k"));
    a.insert(b"k", b"one").await;
    assert_eq!(b.tier.remove(b"k").await, Removal::Gone { was_there: true });
    a.wait_until_told(&changed(b"k"));
    assert_eq!(a.get(b"k").await, None);
    assert_eq!(redis.console().call(&["DBSIZE"]).number(), 2, "stamps and tombstone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_programs_write_is_heard_of() {
    let redis = RedisServer::start();
    let a = Process::start(&redis.url());
    a.insert(b"k", b"one").await;
    wait_for("the echo", || (a.tier.stats().echoes > 0).then_some(()));
    redis.console().call(&[b"DEL", &a.names(b"k").data[..]]);
    a.wait_until_told(&changed(b"k"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_and_a_clear_concern_everybody_and_what_began_before() {
    let redis = RedisServer::start();
    let (a, b) = (Process::start(&redis.url()), Process::start(&redis.url()));
    a.insert_tagged(b"k", b"one", &["team"]).await;
    a.insert(b"l", b"two").await;
    let (born, mark) = (b.tier.born(), Mark::Floor(place("team")));
    assert_eq!(a.tier.raise(mark).await, Confirmed::Yes);
    assert_eq!(a.get(b"k").await, None);
    assert_eq!(a.get(b"l").await.as_deref(), Some(&b"two"[..]));
    b.wait_until_told(&Told::Marked(mark));
    assert_eq!(b.get(b"k").await, None);
    // A load that began before brings nothing back, wherever it is.
    let late = b.encode_born(b"k", b"late", &["team"], born);
    b.tier.insert(b"k", Some(&late)).await;
    assert_eq!(a.get(b"k").await, None);
    b.insert_tagged(b"k", b"new", &["team"]).await;
    assert_eq!(a.get(b"k").await.as_deref(), Some(&b"new"[..]));
    assert_eq!(b.tier.raise(Mark::Cleared).await, Confirmed::Yes);
    a.wait_until_told(&Told::Marked(Mark::Cleared));
    assert_eq!((a.get(b"k").await, a.get(b"l").await, b.get(b"l").await), (None, None, None));
    assert!(a.tier.stats().invalidated >= 3);
    assert_eq!(a.tier.stats().generations, 0);
    // B's, and its own as well if it was read before its answer was in the books.
    assert!((1..=2).contains(&a.tier.stats().marks), "{}", a.tier.stats().marks);
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_raises_of_both_leave_both_with_the_same_sequence() {
    let redis = RedisServer::start();
    let (a, b) = (Process::start(&redis.url()), Process::start(&redis.url()));
    for n in 0..300 {
        let (one, other) = tokio::join!(a.tier.raise(Mark::Floor(n)), b.tier.raise(Mark::Floor(n + 1)));
        assert_eq!((one, other), (Confirmed::Yes, Confirmed::Yes));
    }
    wait_for("both to know of all", || (a.tier.born().sequence == 600 && b.tier.born().sequence == 600).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn stamps_that_are_gone_make_all_that_is_older_a_miss() {
    let redis = RedisServer::start();
    let a = Process::start(&redis.url());
    a.insert(b"k", b"one").await;
    redis.console().call(&[b"DEL", &a.tier.inner.names.stamps()[..]]);
    a.wait_until_told(&Told::Distrusted);
    assert_eq!(a.get(b"k").await, None);
    a.insert(b"k", b"two").await;
    assert_eq!(a.get(b"k").await.as_deref(), Some(&b"two"[..]));
    assert_eq!(a.tier.stats().generations, 1);
}

/// The server loses so many raises of `process`.
async fn lose_raises(console: &mut Console, process: &Process, raises: u16) {
    let stamps = process.tier.inner.names.stamps();
    let saved = console.call(&[b"GET", &stamps[..]]).text();
    for place in 0..raises {
        assert_eq!(process.tier.raise(Mark::Floor(place)).await, Confirmed::Yes);
    }
    console.ok(&[b"SET", &stamps[..], saved.as_bytes()]);
}

async fn assert_tags_hold_on_a_server_that_went_back(url: &str, console: &mut Console) {
    let a = Process::start(url);
    let team = Mark::Floor(place("team"));
    lose_raises(console, &a, 10).await;
    a.wait_until_told(&Told::Distrusted);
    wait_for("new stamps", || (a.tier.stats().generations == 1).then_some(()));
    a.insert_tagged(b"k", b"one", &["team"]).await;
    assert_eq!(a.get(b"k").await.as_deref(), Some(&b"one"[..]));
    assert_eq!(a.tier.raise(team).await, Confirmed::Yes);
    assert_eq!(a.get(b"k").await, None, "removed by its tag");
    // Raised before anybody has noticed: that number was given before.
    lose_raises(console, &a, 1).await;
    a.insert_tagged(b"k", b"two", &["team"]).await;
    assert_eq!(a.tier.raise(team).await, Confirmed::Yes);
    assert_eq!(a.get(b"k").await, None, "removed by its tag");
    wait_for("new stamps", || (a.tier.stats().generations == 2).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_hold_on_a_server_that_went_back() {
    let redis = RedisServer::start();
    assert_tags_hold_on_a_server_that_went_back(&redis.url(), &mut redis.console()).await;
    let server = ScrubjayServer::start();
    assert_tags_hold_on_a_server_that_went_back(&server.url(), &mut server.console()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_hold_where_others_have_raised_since_the_server_went_back() {
    let redis = RedisServer::start();
    let proxy = Proxy::in_front_of(redis.address());
    let a = Process::start(&proxy.url());
    let (mut console, stamps) = (redis.console(), a.tier.inner.names.stamps());
    let saved = console.call(&[b"GET", &stamps[..]]).text();
    let team = Mark::Floor(place("team"));
    for place in [1, 2, 3] {
        assert_eq!(a.tier.raise(Mark::Floor(place)).await, Confirmed::Yes);
    }
    // Its server is on another shard than the stamps, as far as this entry is concerned.
    a.insert_tagged(b"k", b"one", &["team"]).await;
    proxy.partition();
    wait_for("the loss", || (!a.trusts()).then_some(()));
    console.ok(&[b"SET", &stamps[..], saved.as_bytes()]);
    let b = Process::start(&redis.url());
    assert_eq!(b.tier.raise(team).await, Confirmed::Yes);
    for place in [4, 5, 6] {
        assert_eq!(b.tier.raise(Mark::Floor(place)).await, Confirmed::Yes);
    }
    proxy.heal();
    a.wait_until_it_serves();
    assert_eq!(a.get(b"k").await, None, "its tag was raised after it was stored, with a number that was there before");
    wait_for("all to know", || (a.tier.born().generation == b.tier.born().generation).then_some(()));
    assert_eq!(b.get(b"k").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_lets_go_what_is_above() {
    let redis = RedisServer::start();
    let a = Process::start(&redis.url());
    a.insert(b"k", b"one").await;
    redis.console().ok(&["FLUSHALL"]);
    a.wait_until_told(&Told::Distrusted);
    wait_for("new stamps", || (a.tier.stats().generations == 1).then_some(()));
    a.insert(b"k", b"two").await;
    assert_eq!(a.get(b"k").await.as_deref(), Some(&b"two"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_others_under_our_name_are_misses_with_a_counter_and_stay() {
    let redis = RedisServer::start();
    let a = Process::start(&redis.url());
    let (mut console, data) = (redis.console(), a.names(b"k").data);
    let mut other = a.tier.inner.keeping.clone();
    other.schema = 4;
    let times = Times { stored_at_ms: a.tier.inner.clock.now_ms(), ..Times::default() };
    let new = NewKept { key: b"k", times, cost: 0, born: 0, weight: 1, tags: &[] };
    let nothing = None::<fn(&mut Vec<u8>) -> Result<(), crate::error::BoxError>>;
    let foreign = other.write_shared(&new, a.tier.born(), nothing, |written| written.bytes.to_vec()).unwrap();
    console.ok(&[b"SET", &data[..], &foreign]);
    assert_eq!(a.get(b"k").await, None);
    console.ok(&[b"SET", &data[..], b"hello"]);
    assert_eq!(a.get(b"k").await, None);
    assert_eq!((a.tier.stats().foreign, a.tier.stats().corrupt), (1, 1));
    assert_eq!(console.call(&[b"GET", &data[..]]).text(), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_raw_mode_the_server_has_the_value_and_nothing_else() {
    let redis = RedisServer::start();
    let (a, b) = (Process::with(Remote::url(redis.url()).raw()), Process::with(Remote::url(redis.url()).raw()));
    let mut console = redis.console();
    a.insert(b"k", b"plain").await;
    assert_eq!(console.call(&["GET", "scrubjay:k"]).text(), "plain");
    assert!(console.call(&["PTTL", "scrubjay:k"]).number() > 100_000);
    assert_eq!(b.get(b"k").await.as_deref(), Some(&b"plain"[..]));
    wait_for("the echo", || (a.tier.stats().echoes > 0).then_some(()));
    // The same bytes written by another after something else: what was read meanwhile is not kept.
    console.ok(&["SET", "scrubjay:k", "other"]);
    a.wait_until_told(&changed(b"k"));
    console.ok(&["SET", "scrubjay:k", "plain", "PX", "5000"]);
    let bytes = a.tier.get(b"k").await.unwrap();
    let fresh_for = a.tier.read(b"k", &bytes, |kept, _| Ok(kept.times.fresh_until_ms)).unwrap();
    assert!(fresh_for.saturating_sub(a.tier.inner.clock.now_ms()) <= 5_000);
    assert_eq!(a.tier.remove(b"k").await, Removal::Gone { was_there: true });
    b.wait_until_told(&changed(b"k"));
    assert_eq!(a.tier.raise(Mark::Cleared).await, Confirmed::Deferred);
    assert_eq!(a.tier.stats().unprotected, 0);
    a.insert(b"}{", b"odd").await;
    assert_eq!((a.tier.stats().unprotected, a.get(b"}{").await), (1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_takes_out_entries_and_loads_of_everybody() {
    let redis = RedisServer::start();
    let (a, b) = (Process::start(&redis.url()), Process::start(&redis.url()));
    for n in 0..50 {
        a.insert(format!("user:{n}").as_bytes(), b"u").await;
        a.insert(format!("role*{n}").as_bytes(), b"r").await;
    }
    let lease = b.lease(b"user:new").await;
    assert_eq!(a.tier.remove_where(b"user:", |_| true).await, Swept { removed: 50, confirmed: Confirmed::Yes });
    b.wait_until_told(&changed(b"user:49"));
    let entry = b.encode(b"user:new", b"late", &[]);
    assert_eq!(b.tier.fill(lease, Some(&entry)).await, Filled::Revoked);
    let mut keys = Vec::new();
    let taken = b.tier.keys(|batch| {
        keys.extend(batch);
        true
    });
    taken.await.unwrap();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 50);
    assert!(keys.iter().all(|key| key.starts_with(b"role*")));
}

#[tokio::test(flavor = "multi_thread")]
async fn values_above_the_limit_are_not_shared_and_the_older_one_goes() {
    let redis = RedisServer::start();
    let a = Process::with(Remote::url(redis.url()).uncompressed().value_bytes_max(1_000));
    a.insert(b"k", b"small").await;
    let times = Times { stored_at_ms: 1, ..Times::default() };
    let new = NewKept { key: b"k", times, cost: 0, born: 0, weight: 1, tags: &[] };
    let write = |out: &mut Vec<u8>| {
        out.resize(out.len() + 1_000, 0);
        Ok(())
    };
    let entry = a.tier.encode(&new, a.tier.born(), Some(write));
    assert!(entry.is_none());
    a.tier.insert(b"k", entry.as_ref()).await;
    assert_eq!((a.get(b"k").await, a.tier.stats().too_large), (None, 1));
}

/// What the server has nothing of may lie above all the same: `a` has changed the key, `b` removes it.
async fn assert_only_the_foreign_removal_is_believed(a: &Process, b: &Process, key: &[u8]) {
    // News come in order: after those of another key there are no more of this one.
    b.insert(b"after", b"one").await;
    a.wait_until_told(&changed(b"after"));
    assert!(!a.was_told(&changed(key)), "its own removal of nothing");
    a.log.0.lock().clear();
    assert_eq!(b.tier.remove(key).await, Removal::Gone { was_there: false });
    a.wait_until_told(&changed(key));
    a.log.0.lock().clear();
}

async fn assert_a_foreign_removal_of_nothing_is_believed(redis: &RedisServer, remote: &dyn Fn() -> Remote) {
    let (a, b) = (Process::with(remote()), Process::with(remote()));
    // Too large to be shared.
    a.tier.insert(b"large", None).await;
    assert_only_the_foreign_removal_is_believed(&a, &b, b"large").await;
    let lease = a.lease(b"loaded").await;
    assert_eq!(a.tier.fill(lease, None).await, Filled::Stored);
    assert_only_the_foreign_removal_is_believed(&a, &b, b"loaded").await;
    redis.console().ok(&["CONFIG", "SET", "maxmemory", "1"]);
    a.insert(b"no room", b"one").await;
    assert_eq!(a.tier.stats().out_of_memory, 1);
    redis.console().ok(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_only_the_foreign_removal_is_believed(&a, &b, b"no room").await;
    // Removed, and loaded without a lease since. It is told of its own removal once when that begins.
    assert_eq!(a.tier.remove(b"alone").await, Removal::Gone { was_there: false });
    a.log.0.lock().clear();
    assert_only_the_foreign_removal_is_believed(&a, &b, b"alone").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_removal_is_believed_where_the_own_value_is_not_on_the_server() {
    let redis = RedisServer::start();
    assert_a_foreign_removal_of_nothing_is_believed(&redis, &|| Remote::url(redis.url())).await;
    assert_a_foreign_removal_of_nothing_is_believed(&redis, &|| Remote::url(redis.url()).raw()).await;
    let published = || Remote::url(redis.url()).coherence(Coherence::PubSub);
    redis.console().ok(&["FLUSHALL"]);
    assert_a_foreign_removal_of_nothing_is_believed(&redis, &published).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_removal_is_believed_on_a_server_without_scripts_too() {
    let server = ScrubjayServer::start();
    let (a, b) = (Process::start(&server.url()), Process::start(&server.url()));
    a.tier.insert(b"large", None).await;
    assert_only_the_foreign_removal_is_believed(&a, &b, b"large").await;
    let lease = a.lease(b"loaded").await;
    assert_eq!(a.tier.fill(lease, None).await, Filled::Stored);
    assert_only_the_foreign_removal_is_believed(&a, &b, b"loaded").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_by_a_program_in_another_language_is_believed_right_after_an_own_one() {
    let redis = RedisServer::start();
    let a = Process::start(&redis.url());
    let gone = Names::new(b"scrubjay:", "users", 3, false).of(b"k").unwrap().gone;
    a.tier.insert(b"k", None).await;
    redis.console().ok(&[b"SET", &gone[..], b""]);
    a.wait_until_told(&changed(b"k"));
    // One of its own and one of another in the same turn of the server's.
    a.insert(b"l", b"one").await;
    wait_for("the echo", || (a.tier.stats().echoes == 1).then_some(()));
    let script = "redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[2], '') redis.call('DEL', KEYS[2])";
    let names = a.names(b"l");
    redis.console().call(&[b"EVAL", script.as_bytes(), b"2", &names.data[..], &names.gone[..]]);
    a.wait_until_told(&changed(b"l"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tracking_changes_are_published() {
    let redis = RedisServer::start();
    let start = || Process::with(Remote::url(redis.url()).coherence(Coherence::PubSub));
    let (a, b) = (start(), start());
    a.insert(b"k", b"one").await;
    b.wait_until_told(&changed(b"k"));
    assert_eq!(a.tier.raise(Mark::Cleared).await, Confirmed::Yes);
    b.wait_until_told(&Told::Marked(Mark::Cleared));
    assert!(!a.was_told(&changed(b"k")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_panics_lets_everything_go_and_the_next_news_are_checked_again() {
    let redis = RedisServer::start();
    let (a, b) = (Process::start(&redis.url()), Process::start(&redis.url()));
    a.insert(b"k", b"one").await;
    wait_for("the echo", || (a.tier.stats().echoes == 1).then_some(()));
    a.log.1.store(true, Ordering::Release);
    // It is expected, so it is checked, and differs.
    b.insert(b"k", b"two").await;
    a.wait_until_told(&Told::Distrusted);
    a.insert(b"l", b"one").await;
    wait_for("the next echo", || (a.tier.stats().echoes == 2).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_load_has_found_outdated_was_not_let_go_by_the_server() {
    let (redis, ours) = (RedisServer::start(), ScrubjayServer::start());
    for url in [redis.url(), ours.url()] {
        let (a, b) = (Process::start(&url), Process::start(&url));
        let keys = [b"k".to_vec(), b"other".to_vec()];
        a.insert(b"k", b"one").await;
        let seen = b.tier.get(b"k").await.unwrap();
        let begun = b.tier.begin(b"k", Some(&seen), Duration::from_secs(1)).await;
        let Begun::Granted(lease) = begun else { panic!("no lease: {begun:?}") };
        // It found no value, which is not remembered.
        assert_eq!(b.tier.fill(lease, None).await, Filled::Stored);
        assert_eq!(a.tier.were_let_go(&keys).await, [false, true]);
        // A process that has stood still hears of a removal when its mark is gone.
        a.tier.inner.beats.beat(a.tier.inner.elapsed_ms() + 60_000);
        assert_eq!(a.tier.were_let_go(&keys).await, [false, false]);
    }
}
