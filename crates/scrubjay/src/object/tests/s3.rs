//! Over S3's protocol, spoken by a server in this process.

use super::*;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tempfile::TempDir;
use tokio::net::TcpListener;

const ID: &str = "jay";
const SECRET: &str = "acorns";

/// A server with one bucket. It ends with the runtime.
async fn server() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("nest")).unwrap();
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder.path()).unwrap());
    builder.set_auth(SimpleAuth::from_single(ID, SECRET));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                let connections = Builder::new(TokioExecutor::new());
                let _ = connections.serve_connection(TokioIo::new(socket), service).await;
            });
        }
    });
    (folder, endpoint)
}

fn at(endpoint: &str) -> Object {
    let object = Object::url("s3://nest/of/jays").endpoint(endpoint).region("us-east-1").allow_http(true);
    object.credentials(ID, SECRET).large_bytes(10_000).uncompressed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_removals_clears_and_leases_work_over_s3() {
    let (_folder, endpoint) = server().await;
    let clock = Clock::system();
    let (one, other) = (open(at(&endpoint), &clock).await, open(at(&endpoint), &clock).await);
    (0..300).for_each(|number| put(&one, &format!("key {number}"), &format!("value {number}")));
    put(&one, "large", &"x".repeat(50_000));
    one.flush().await.unwrap();
    other.refresh().await.unwrap();
    assert_eq!(get(&other, "key 7").await.as_deref(), Some("value 7"));
    assert_eq!(get(&other, "large").await.map(|value| value.len()), Some(50_000));
    let keys: Vec<Vec<u8>> = (0..300).map(|number| format!("key {number}").into_bytes()).collect();
    let found = other.get_many(&keys).await;
    assert!(found.iter().all(Option::is_some));
    other.remove(b"key 7");
    assert_eq!(other.settle().await, Settled::Gone);
    one.refresh().await.unwrap();
    assert_eq!(get(&one, "key 7").await, None);
    // Both at once: neither may take the other's for its own.
    one.raise(Mark::Cleared);
    other.raise(Mark::Cleared);
    let settled = tokio::join!(one.settle(), other.settle());
    assert_eq!(settled, (Settled::Gone, Settled::Gone));
    one.refresh().await.unwrap();
    other.refresh().await.unwrap();
    assert!(!one.list().await.unwrap().clears.is_empty());
    assert_eq!((get(&one, "key 8").await, get(&other, "key 8").await), (None, None));
    assert_eq!(one.health(), (TierState::Serving, None));
    let leases = one.list().await.unwrap().leases;
    assert_eq!(leases.len(), 1);
    one.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_said_and_not_shown_and_the_tier_is_a_miss() {
    let (_folder, endpoint) = server().await;
    let object = at(&endpoint).credentials(ID, "peanuts").write_timeout(2 * SECOND);
    let tier = ObjectTier::open(setup(object, &Clock::system())).unwrap();
    let error = tier.refresh().await.unwrap_err().to_string();
    assert!(error.starts_with("object: what is in the store is not known"), "{error}");
    assert!(!error.contains("peanuts") && !format!("{tier:?}").contains("peanuts"), "{error}");
    assert_eq!(get(&tier, "42").await, None);
    let (state, why) = tier.health();
    assert!(state == TierState::Unavailable && !why.unwrap().contains("peanuts"));
}

#[tokio::test]
async fn a_store_that_is_not_there_keeps_nobody_waiting() {
    let clock = Clock::system();
    let object = at("http://127.0.0.1:9").write_timeout(SECOND / 5).read_timeout(SECOND / 10);
    let tier = ObjectTier::open(setup(object, &clock)).unwrap();
    put(&tier, "42", "Ada");
    assert_eq!(get(&tier, "42").await.as_deref(), Some("Ada"));
    assert_eq!(get(&tier, "43").await, None);
    tier.remove(b"42");
    assert_eq!(tier.settle().await, Settled::Deferred);
    assert_eq!(get(&tier, "42").await, None);
    assert_eq!(tier.flush().await.unwrap_err().kind(), crate::error::ErrorKind::Unavailable);
    tier.close().await;
}
