//! The object tier through the public calls: what the next process finds, and what a store that is away costs.

#![allow(clippy::unwrap_used, reason = "a test may, in its helpers too")]

use object_store::ObjectStore;
use object_store::memory::InMemory;
use scrubjay::{Cache, ErrorKind, Memory, Object, TierState};
use std::sync::Arc;
use std::time::Duration;

async fn cache(object: Object) -> Cache<u64, String> {
    Cache::builder("jays").memory(Memory::entries(100)).object(object).build().await.unwrap()
}

fn on(store: &Arc<InMemory>) -> Object {
    Object::on(Arc::clone(store) as Arc<dyn ObjectStore>, "nest")
}

/// Waits until the tier knows what is in the store.
async fn serving(cache: &Cache<u64, String>) {
    let is_serving = async {
        while cache.health().tier("object").unwrap().state != TierState::Serving {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), is_serving).await.unwrap();
}

#[tokio::test]
async fn the_next_process_finds_what_was_inserted_and_loaded_and_not_what_was_removed() {
    let store = Arc::new(InMemory::new());
    let first = cache(on(&store)).await;
    serving(&first).await;
    first.insert(1, "inserted".to_owned()).await.unwrap();
    first.insert(3, "removed".to_owned()).await.unwrap();
    let loaded = first.get_or_load(&2, async |_| Ok::<_, std::io::Error>("loaded".to_owned())).await.unwrap();
    assert_eq!(loaded, "loaded");
    first.remove(&3).await.unwrap();
    first.close().await;
    let next = cache(on(&store)).await;
    serving(&next).await;
    assert_eq!(next.get(&1).await.as_deref(), Some("inserted"));
    assert_eq!(next.get(&2).await.as_deref(), Some("loaded"));
    assert_eq!(next.get(&3).await, None);
    next.clear().await.unwrap();
    next.close().await;
    let last = cache(on(&store)).await;
    serving(&last).await;
    assert_eq!(last.get(&1).await, None);
}

#[tokio::test]
async fn a_folder_that_cannot_be_one_and_a_url_of_no_cloud_are_errors_of_the_builder() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let urls = [format!("file://{}/below", file.path().display()), "ftp://jays/nest".to_owned()];
    for url in urls {
        let builder = Cache::<u64, String>::builder("jays").memory(Memory::entries(100));
        let error = builder.object(Object::url(url)).build().await.unwrap_err();
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().starts_with("object: "), "{error}");
    }
}

#[tokio::test]
async fn a_store_that_is_away_fails_no_read_and_says_so_of_a_removal() {
    let object = Object::url("s3://jays/nest").endpoint("http://127.0.0.1:9").allow_http(true);
    let object = object.credentials("id", "secret").region("eu-central-1");
    let limit = Duration::from_millis(100);
    let cache = cache(object.read_timeout(limit).write_timeout(limit)).await;
    let loaded = cache.get_or_load(&2, async |_| Ok::<_, std::io::Error>("loaded".to_owned())).await.unwrap();
    assert_eq!(loaded, "loaded");
    let error = cache.remove(&2).await.unwrap_err();
    assert_eq!((error.kind(), cache.get(&2).await), (ErrorKind::Unavailable, None));
    assert_eq!(cache.health().tier("object").unwrap().state, TierState::Unavailable);
    cache.close().await;
}
