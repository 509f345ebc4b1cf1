//! A remote tier with an object tier below it: who is asked when, what goes up, and what reaches both.

use super::*;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use scrubjay::{EntryOptions, Object};
use std::sync::Arc;

/// What both processes share.
struct Shared {
    server: RedisServer,
    store: Arc<InMemory>,
}

impl Shared {
    fn new() -> Shared {
        Shared { server: RedisServer::start(), store: Arc::new(InMemory::new()) }
    }

    fn object(&self) -> Object {
        Object::on(Arc::clone(&self.store) as Arc<dyn ObjectStore>, "nest")
    }

    /// A process. What it stores lies on the server for so long, and in objects without end.
    async fn process(&self, on_the_server: Duration) -> Numbers {
        let remote = remote(&self.server).time_to_live_max(on_the_server);
        let cache = builder(remote).object(self.object()).build().await.unwrap();
        let both_serve = async || {
            let health = cache.health();
            ["remote", "object"].iter().all(|tier| health.tier(tier).unwrap().state == TierState::Serving)
        };
        until("both tiers serve", both_serve).await;
        cache
    }

    /// The server lets the entry go, as if it needed the room; the cache hears of it, and then has nothing of it in memory.
    async fn let_go(&self, cache: &Numbers, key: &str) {
        until("it is there", async || self.has(key)).await;
        self.server.call(&["DEL", &format!("scrubjay:numbers:0:{key}")]);
        until("its end is heard of", async || cache.stats().memory.entries == 0).await;
    }

    fn has(&self, key: &str) -> bool {
        self.server.call(&["EXISTS", &format!("scrubjay:numbers:0:{key}")]).number() == 1
    }
}

const HOUR: Duration = Duration::from_secs(3_600);
const A_MOMENT: Duration = Duration::from_millis(300);

/// Hits of the remote and of the object tier.
fn hits(cache: &Numbers) -> (u64, u64) {
    let stats = cache.stats();
    (stats.remote.unwrap().hits, stats.object.unwrap().hits)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_remote_tier_is_asked_before_the_object_tier_and_what_is_found_goes_up() {
    let shared = Shared::new();
    let a = shared.process(A_MOMENT).await;
    a.insert("jay".into(), 7).await.unwrap();
    a.close().await;
    let b = shared.process(HOUR).await;
    until("its time on the server is over", async || !shared.has("jay")).await;
    assert_eq!(b.get_or_load("jay", must_not_load).await.unwrap(), 7);
    assert_eq!(hits(&b), (0, 1), "the objects had it");
    let c = shared.process(HOUR).await;
    assert_eq!(c.get_or_load("jay", must_not_load).await.unwrap(), 7);
    assert_eq!(hits(&c), (1, 0), "and gave it to the server, which is asked first");
    until("it is in memory, too", async || {
        let before = b.stats().memory.hits;
        b.get("jay").await == Some(7) && b.stats().memory.hits > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_has_let_go_the_objects_still_have() {
    let shared = Shared::new();
    let (a, b) = (shared.process(HOUR).await, shared.process(A_MOMENT).await);
    a.insert("jay".into(), 7).await.unwrap();
    shared.let_go(&a, "jay").await;
    until("a has it, though it waits to be written", async || a.get("jay").await == Some(7)).await;
    assert_eq!(b.get_or_load("oak", async |_| Ok::<_, std::io::Error>(8)).await.unwrap(), 8);
    until("its time on the server is over", async || !shared.has("oak")).await;
    until("b finds it all the same", async || b.get("oak").await == Some(8) && hits(&b).1 > 0).await;
    a.close().await;
    b.close().await;
    let c = shared.process(HOUR).await;
    assert_eq!(c.get_many(&["jay".into(), "oak".into()]).await, [Some(7), Some(8)], "and so does the next process");
    assert_eq!(hits(&c), (0, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_only_read_an_entry_reads_it_again_when_the_server_has_let_it_go() {
    let shared = Shared::new();
    let a = shared.process(HOUR).await;
    a.insert("jay".into(), 7).await.unwrap();
    a.close().await;
    let b = shared.process(HOUR).await;
    for round in 0..3_u64 {
        shared.let_go(&b, "jay").await;
        until("the objects are asked", async || b.get_or_load("jay", must_not_load).await.unwrap() == 7).await;
        until("it was given to the server again", async || shared.has("jay")).await;
        assert!(hits(&b).1 > round, "{:?}", hits(&b));
    }
    assert_eq!(b.stats().loads, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_reaches_the_server_and_the_objects() {
    let shared = Shared::new();
    let a = shared.process(HOUR).await;
    a.insert("jay".into(), 7).await.unwrap();
    a.close().await;
    let (b, c) = (shared.process(HOUR).await, shared.process(HOUR).await);
    assert_eq!(c.get("jay").await, Some(7));
    assert!(b.remove("jay").await.unwrap());
    until("the other has heard of it", async || c.get("jay").await.is_none()).await;
    assert!(!shared.has("jay"));
    for cache in [&b, &c, &shared.process(HOUR).await] {
        assert_eq!(cache.get("jay").await, None);
        assert_eq!(cache.get_or_load_optional("jay", async |_| Ok::<_, std::io::Error>(None)).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_and_a_clear_of_another_process_hide_what_lies_in_the_objects() {
    let shared = Shared::new();
    let a = shared.process(HOUR).await;
    a.insert_with("jay".into(), 7, EntryOptions::new().tag("bird")).await.unwrap();
    a.insert("oak".into(), 8).await.unwrap();
    a.close().await;
    let (b, c) = (shared.process(HOUR).await, shared.process(HOUR).await);
    for key in ["jay", "oak"] {
        shared.server.call(&["DEL", &format!("scrubjay:numbers:0:{key}")]);
    }
    until("the objects are asked", async || c.get("jay").await == Some(7) && c.get("oak").await == Some(8)).await;
    b.remove_by_tag("bird").await.unwrap();
    until("the other has heard of it", async || c.get("jay").await.is_none()).await;
    assert_eq!(c.get("oak").await, Some(8));
    assert_eq!(shared.process(HOUR).await.get("jay").await, None, "nor has the next process it");
    b.clear().await.unwrap();
    until("the other has heard of it", async || c.get("oak").await.is_none()).await;
    let next = shared.process(HOUR).await;
    assert_eq!(next.get_many(&["jay".into(), "oak".into()]).await, [None, None]);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_server_is_away_the_objects_serve() {
    let mut shared = Shared::new();
    let a = shared.process(HOUR).await;
    a.insert("jay".into(), 7).await.unwrap();
    a.close().await;
    let b = shared.process(HOUR).await;
    shared.server.kill();
    until("the server is away", async || !is_serving(&b)).await;
    until("the objects serve", async || b.get("jay").await == Some(7)).await;
    assert_eq!(hits(&b).0, 0);
    assert!(hits(&b).1 > 0);
    assert_eq!(b.get_or_load("jay", must_not_load).await.unwrap(), 7);
    b.close().await;
    shared.server.start_again();
    let c = shared.process(HOUR).await;
    assert_eq!((c.get("jay").await, hits(&c)), (Some(7), (0, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_took_up_from_the_objects_another_takes_up_next_time() {
    let shared = Shared::new();
    let a = shared.process(HOUR).await;
    a.insert("jay".into(), 7).await.unwrap();
    a.close().await;
    let quick = async || {
        let object = shared.object().flush_interval(A_MOMENT / 10).refresh_interval(A_MOMENT / 10);
        let cache = builder(remote(&shared.server)).object(object).build().await.unwrap();
        let is_open = async || cache.stats().object_store.unwrap().is_open && is_serving(&cache);
        until("both tiers serve", is_open).await;
        cache
    };
    let (b, c) = (quick().await, quick().await);
    shared.server.call(&["DEL", "scrubjay:numbers:0:jay"]);
    for taker in [&b, &c, &b, &c] {
        until("the objects have it for this process", async || taker.peek("jay").await == Some(7)).await;
        assert_eq!(taker.get_or_load("jay", must_not_load).await.unwrap(), 7);
        // The other hears of what comes to lie on the server now.
        shared.let_go(taker, "jay").await;
    }
    assert_eq!((hits(&b).1, hits(&c).1), (2, 2));
}
