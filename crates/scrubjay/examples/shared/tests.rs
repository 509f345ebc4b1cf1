use super::*;
use scrubjay_harness::RedisServer;

async fn every_line_is_right(url: &str) {
    let mut page = Page::default();
    walk(url, &mut page).await.unwrap();
    assert_eq!(page.wrong(), 0);
    assert!(page.checks() > 30, "{} lines were checked", page.checks());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_do_over_redis_what_the_example_says() {
    let server = RedisServer::start();
    every_line_is_right(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_over_a_server_of_ours_too() {
    let server = ScrubjayServer::start();
    every_line_is_right(&server.url()).await;
}
