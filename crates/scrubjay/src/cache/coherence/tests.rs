use crate::{Cache, Disk, Memory, Remote, TierState};
use scrubjay_harness::RedisServer;
use std::time::Duration;

/// No test takes so long, unless it is to fail.
const PATIENCE: Duration = Duration::from_secs(60);

async fn process(server: &RedisServer, folder: &std::path::Path) -> Cache<String, u64> {
    let remote = Remote::url(server.url()).command_timeout(Duration::from_secs(10));
    let builder = Cache::builder("numbers").memory(Memory::bytes(1 << 20)).remote(remote);
    let cache = builder.disk(Disk::at(folder).bytes(4 << 20).write_through(true)).build().await.unwrap();
    let serving = async {
        while cache.health().tier("remote").unwrap().state != TierState::Serving {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, serving).await.unwrap();
    cache
}

fn is_in_memory(cache: &Cache<String, u64>, key: &str) -> bool {
    let memory = &cache.shared.memory;
    memory.peek(memory.hash(key), key, |_, _| ()).is_some()
}

fn is_on_disk(cache: &Cache<String, u64>, key: &str) -> bool {
    cache.shared.disk.as_ref().unwrap().tier.holds(key.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_changes_of_one_key_that_have_overlapped_it_is_fetched_from_the_server_again() {
    let (server, folder) = (RedisServer::start(), tempfile::tempdir().unwrap());
    let a = process(&server, folder.path()).await;
    // One after the other: what was written is here.
    a.insert("jay".into(), 1).await.unwrap();
    a.insert("jay".into(), 2).await.unwrap();
    assert!(is_in_memory(&a, "jay") && is_on_disk(&a, "jay"));
    let hash = a.shared.memory.hash("jay");
    // Another change, which is under way for as long as it is held here.
    let other = {
        let stripe = a.shared.leases.lock(hash);
        a.shared.begin_change(&stripe, hash, "jay".to_owned(), b"jay".to_vec())
    };
    a.insert("jay".into(), 3).await.unwrap();
    assert!(is_in_memory(&a, "jay") && is_on_disk(&a, "jay"));
    drop(other);
    assert!(!is_in_memory(&a, "jay") && !is_on_disk(&a, "jay"), "nobody knows which of them the server has");
    assert_eq!(a.get("jay").await, Some(3), "fetched");
    assert!(is_in_memory(&a, "jay"));
    a.insert("jay".into(), 6).await.unwrap();
    assert!(is_in_memory(&a, "jay") && is_on_disk(&a, "jay"), "alone again");
}
