//! Promise 2: an invalidation wins against every load that began before it. The result goes to those who asked before, is
//! not stored, and is not returned to anyone who asks later.

use super::*;

/// A load that has read 1 and is held back, while `act` invalidates and the truth becomes 2.
async fn overtaken_by(act: impl AsyncFnOnce(&Cache<String, u64>), after: Option<u64>) {
    let cache = cache().await;
    let old = Source::closed(1);
    let before = tokio::spawn({
        let (cache, old) = (cache.clone(), old.clone());
        async move { cache.get_or_load("a", tagged(&old)).await.unwrap() }
    });
    settle().await;
    act(&cache).await;
    assert_eq!(cache.get("a").await, after);
    let new = Source::open(2);
    let later = cache.get_or_load("a", tagged(&new));
    let (later, before) = tokio::join!(later, async {
        settle().await;
        old.let_go();
        before.await.unwrap()
    });
    assert_eq!(before, 1, "asked before");
    assert_eq!(later.unwrap(), after.unwrap_or(2), "asked after");
    settle().await;
    assert_eq!(cache.get("a").await, Some(after.unwrap_or(2)), "the old load has stored nothing");
    assert_eq!(cache.stats().revoked, 1);
}

fn tagged(source: &Source) -> impl FnOnce(String) -> Fetching<Loaded<u64>> + Send + 'static {
    let source = source.clone();
    move |_| Box::pin(async move { source.fetch().await.map(|value| Loaded::value(value).tag("numbers").tag("of a")) })
}

#[tokio::test(start_paused = true)]
async fn a_remove_wins() {
    overtaken_by(async |cache| assert!(!cache.remove("a").await.unwrap()), None).await;
}

#[tokio::test(start_paused = true)]
async fn an_insert_wins() {
    overtaken_by(async |cache| cache.insert("a".to_owned(), 9).await.unwrap(), Some(9)).await;
}

#[tokio::test(start_paused = true)]
async fn a_clear_wins() {
    overtaken_by(async |cache| cache.clear().await.unwrap(), None).await;
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_only_the_result_will_name_wins() {
    overtaken_by(async |cache| cache.remove_by_tag("of a").await.unwrap(), None).await;
}

#[tokio::test(start_paused = true)]
async fn a_removed_prefix_wins() {
    overtaken_by(async |cache| assert_eq!(cache.remove_by_prefix("a").await.unwrap(), 0), None).await;
}

#[tokio::test(start_paused = true)]
async fn all_who_asked_before_a_clear_share_the_one_load() {
    let (cache, source) = (cache().await, Source::closed(1));
    let (first, second, ()) = tokio::join!(source.through(&cache), source.through(&cache), async {
        settle().await;
        cache.clear().await.unwrap();
        source.let_go();
    });
    assert_eq!((first.unwrap(), second.unwrap(), source.asked()), (1, 1, 1));
    assert_eq!((cache.get("a").await, cache.stats().revoked), (None, 1));
}

#[tokio::test(start_paused = true)]
async fn many_keys_join_no_load_that_a_tag_may_concern() {
    let (cache, old, new) = (cache().await, Source::closed(1), Source::open(2));
    let before = tokio::spawn({
        let (cache, old) = (cache.clone(), old.clone());
        async move { cache.get_or_load("a", tagged(&old)).await.unwrap() }
    });
    settle().await;
    cache.remove_by_tag("of a").await.unwrap();
    let asked = ["a".to_owned()];
    let fetching = new.clone();
    let many = cache.get_or_load_many(&asked, |_| async move { fetching.fetch().await.map(|value| vec![value]) });
    let (many, ()) = tokio::join!(many, async {
        settle().await;
        old.let_go();
    });
    assert!(matches!(many[..], [Ok(Some(2))]), "{many:?}");
    assert_eq!((before.await.unwrap(), cache.get("a").await), (1, Some(2)));
}

#[tokio::test(start_paused = true)]
async fn another_tag_does_not_disturb_a_load() {
    let (cache, source) = (cache().await, Source::closed(1));
    let before = tokio::spawn({
        let (cache, source) = (cache.clone(), source.clone());
        async move { cache.get_or_load("a", tagged(&source)).await.unwrap() }
    });
    settle().await;
    cache.remove_by_tag("another").await.unwrap();
    let later = cache.get_or_load("a", tagged(&source));
    let (later, ()) = tokio::join!(later, async {
        settle().await;
        source.let_go();
    });
    assert_eq!((before.await.unwrap(), later.unwrap()), (1, 1));
    assert_eq!((source.asked(), cache.stats().revoked), (1, 0), "who came later has joined");
    assert_eq!(cache.get("a").await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_behind_is_overtaken_as_well() {
    let cache = cache_with(|builder| builder.stale_while_revalidate(TTL)).await;
    cache.insert("a".to_owned(), 1).await.unwrap();
    advance(TTL).await;
    let old = Source::closed(1);
    assert_eq!(old.through(&cache).await.unwrap(), 1);
    settle().await;
    assert_eq!(old.asked(), 1, "it refreshes");
    assert!(!cache.remove("a").await.unwrap(), "there was no fresh value");
    old.let_go();
    settle().await;
    assert_eq!(cache.get("a").await, None);
    assert_eq!(Source::open(2).through(&cache).await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_was_overtaken_starts_no_back_off() {
    let cache = cache_with(|builder| builder.error_backoff(s(10))).await;
    let source = Source::closed(1);
    source.fails(true);
    let failing = tokio::spawn({
        let (cache, source) = (cache.clone(), source.clone());
        async move { source.through(&cache).await }
    });
    settle().await;
    cache.remove("a").await.unwrap();
    source.let_go();
    failing.await.unwrap().unwrap_err();
    assert_eq!(Source::open(2).through(&cache).await.unwrap(), 2);
}
