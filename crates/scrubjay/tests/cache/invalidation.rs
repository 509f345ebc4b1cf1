//! Tags, prefixes and clear: what they reach, and that they win against every load that began before.

use scrubjay::{Cache, Compressed, EntryOptions, Loaded, Memory};
use std::io;
use tokio::sync::oneshot;

async fn cache(name: &str) -> Cache<String, String> {
    Cache::builder(name).memory(Memory::entries(8)).compressed(Compressed::bytes(1 << 20)).build().await.unwrap()
}

/// Begins a load of `key` that ends when it is told with what.
async fn begin(
    cache: &Cache<String, String>,
    key: &str,
) -> (oneshot::Sender<Loaded<String>>, tokio::task::JoinHandle<Result<String, scrubjay::Error>>) {
    let (tell, told) = oneshot::channel();
    let (other, key, waiting) = (cache.clone(), key.to_owned(), cache.stats().waiting);
    let task = tokio::spawn(async move {
        other.get_or_load(&key, async |_| told.await.map_err(|_| io::Error::other("nobody told"))).await
    });
    while cache.stats().waiting == waiting {
        tokio::task::yield_now().await;
    }
    (tell, task)
}

#[tokio::test]
async fn a_tag_reaches_its_entries_in_every_tier_and_no_others() {
    let cache = cache("tags").await;
    for n in 0..40 {
        let options = EntryOptions::new().tag(format!("mod {}", n % 4)).tag("all");
        cache.insert_with(n.to_string(), "v".into(), options).await.unwrap();
    }
    assert!(cache.stats().compressed.unwrap().entries > 30);
    cache.remove_by_tag("mod 1").await.unwrap();
    for n in 0..40 {
        assert_eq!(cache.get(&n.to_string()).await.is_some(), n % 4 != 1, "{n}");
    }
    cache.insert_with("1".into(), "new".into(), EntryOptions::new().tag("mod 1")).await.unwrap();
    assert_eq!(cache.get("1").await.as_deref(), Some("new"));
    cache.remove_by_tag("nobody").await.unwrap();
    assert_eq!(cache.keys().await.len(), 31);
    cache.remove_by_tag("all").await.unwrap();
    assert_eq!(cache.keys().await.collect::<Vec<_>>(), ["1"]);
}

#[tokio::test]
async fn a_prefix_reaches_its_keys_in_every_tier_and_no_others() {
    let cache = cache("prefix").await;
    for n in 0..40 {
        cache.insert(format!("{}:{n}", if n % 2 == 0 { "even" } else { "odd" }), "v".into()).await.unwrap();
    }
    assert_eq!(cache.remove_by_prefix("even:").await.unwrap(), 20);
    assert_eq!(cache.remove_by_prefix("even:").await.unwrap(), 0);
    assert_eq!(cache.keys().await.filter(|key| key.starts_with("odd:")).count(), 20);
    assert_eq!(cache.remove_by_prefix("").await.unwrap(), 20);
    cache.insert("x".into(), "v".into()).await.unwrap();
    cache.clear().await.unwrap();
    assert_eq!(cache.keys().await.len(), 0);
}

#[tokio::test]
async fn what_was_invalidated_during_its_load_is_not_stored() {
    let cache = cache("loads").await;
    for case in ["remove", "insert", "clear", "tag", "prefix"] {
        let (tell, task) = begin(&cache, "k").await;
        match case {
            "remove" => assert!(!cache.remove("k").await.unwrap()),
            "insert" => cache.insert("k".into(), "inserted".into()).await.unwrap(),
            "clear" => cache.clear().await.unwrap(),
            "tag" => cache.remove_by_tag("t").await.unwrap(),
            _ => assert_eq!(cache.remove_by_prefix("k").await.unwrap(), 0),
        }
        tell.send(Loaded::value("loaded".to_owned()).tag("t")).unwrap();
        assert_eq!(task.await.unwrap().unwrap(), "loaded", "{case}: who asked before gets it");
        let expected = (case == "insert").then_some("inserted");
        assert_eq!(cache.get("k").await.as_deref(), expected, "{case}");
        cache.clear().await.unwrap();
    }
}

#[tokio::test]
async fn who_asks_after_an_invalidation_does_not_get_what_was_loaded_before_it() {
    let cache = cache("asks after").await;
    for case in ["remove", "clear", "tag", "prefix"] {
        let (tell, before) = begin(&cache, "k").await;
        match case {
            "remove" => drop(cache.remove("k").await.unwrap()),
            "clear" => cache.clear().await.unwrap(),
            "tag" => cache.remove_by_tag("t").await.unwrap(),
            _ => drop(cache.remove_by_prefix("k").await.unwrap()),
        }
        let (tell_after, after) = begin(&cache, "k").await;
        tell.send(Loaded::value("old".to_owned()).tag("t")).unwrap();
        assert_eq!(before.await.unwrap().unwrap(), "old", "{case}");
        let _ = tell_after.send(Loaded::value("new".to_owned()).tag("t"));
        let result = after.await.unwrap();
        assert!(result.as_ref().is_err() || result.as_ref().is_ok_and(|value| value == "new"), "{case}: {result:?}");
        assert_ne!(cache.get("k").await.as_deref(), Some("old"), "{case}");
        cache.clear().await.unwrap();
    }
}
