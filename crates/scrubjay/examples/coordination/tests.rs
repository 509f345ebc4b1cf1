use super::*;
use scrubjay_harness::RedisServer;

#[tokio::test]
async fn one_worker_after_the_other_has_the_job_and_the_limit_holds() {
    let server = RedisServer::start();
    let report = run(&server.url()).await.unwrap();
    assert_eq!((report.allowed, report.denied), (10, 10));
    assert_eq!(report.tokens.len(), 4);
    assert!(report.tokens.is_sorted_by(|a, b| a < b), "{:?}", report.tokens);
}
