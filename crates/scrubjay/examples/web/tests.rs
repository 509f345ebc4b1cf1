#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_are_answered_while_the_database_is_away() {
    super::demo::run().await.unwrap();
}
