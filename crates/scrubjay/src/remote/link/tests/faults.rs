//! Servers and networks that fail while a link serves.

use super::*;
use scrubjay_harness::{Direction, Proxy, RedisServer, Toxic, Which};

use std::time::Duration;

/// A runtime that a test ends; what it runs until then is its own.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn serve_on(runtime: &tokio::runtime::Runtime, server: &RedisServer) -> (Link, Arc<Ears>) {
    let _runtime = runtime.enter();
    serve(Remote::url(server.url()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_is_lost_and_found() {
    let mut server = RedisServer::start();
    let (link, ears) = serve(Remote::url(server.url()));
    server.kill();
    ears.wait_until("the loss", |heard| matches!(heard, Heard::Lost(_)));
    wait_for_reason(&link, "refuses connections");
    let LinkState::Away { since_ms, retry_at_ms, .. } = link.state() else { panic!("it was connected before") };
    assert!(since_ms <= retry_at_ms);
    ears.forget();
    server.start_again();
    ears.wait_for(&Heard::Connected);
    wait_until_serving(&link);
    assert_eq!(link.run(cmd(&["SET", "jay:a:1", "blue"])).await, Ok(Value::Okay));
    ears.wait_for(&Heard::Changed("jay:a:1".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn news_that_stop_coming_are_a_loss() {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.address());
    let (_link, ears) = serve(Remote::url(proxy.url()));
    ears.forget();
    // Nothing is heard of that connection any more, and it does not end.
    proxy.add_both(Which::saying("CLIENT TRACKING"), Toxic::Blackhole);
    ears.wait_until("the loss", |heard| matches!(heard, Heard::Lost(_)));
    ears.forget();
    proxy.heal();
    ears.wait_for(&Heard::Connected);
    ears.forget();
    assert!(proxy.cut(&Which::saying("CLIENT TRACKING")) >= 1);
    ears.wait_until("the loss", |heard| matches!(heard, Heard::Lost(_)));
    ears.wait_for(&Heard::Connected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_slow_is_left_alone_while_its_news_go_on() {
    let server = RedisServer::start();
    let proxy = Proxy::in_front_of(server.address());
    let (link, ears) = serve(Remote::url(proxy.url()).command_timeout(Duration::from_millis(100)));
    ears.forget();
    // Slower than a command may be, and faster than the question whether all is well.
    proxy.add(Which::not_saying("CLIENT TRACKING"), Direction::ToClient, Toxic::Delay(Duration::from_millis(250)));
    let mut timed_out = 0;
    while let LinkState::Serving { .. } = link.state() {
        timed_out += u32::from(link.run(cmd(&["PING"])).await == Err(Trouble::TimedOut));
    }
    assert!(timed_out >= 5, "{timed_out}");
    assert_eq!(link.stats().opened, 1);
    let Err(Trouble::Away(why)) = link.run(cmd(&["PING"])).await else { panic!("it is left alone") };
    assert!(why.contains("commands in a row failed"), "{why}");
    server.console().ok(&["SET", "jay:a:1", "blue"]);
    ears.wait_for(&Heard::Changed("jay:a:1".into()));
    proxy.heal();
    wait_until_serving(&link);
    ears.wait_for(&Heard::Connected);
    assert!(!ears.heard.lock().iter().any(|heard| matches!(heard, Heard::Lost(_))), "{:?}", ears.heard.lock());
    assert!(link.run(cmd(&["PING"])).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_does_not_catch_up_keeps_the_link_from_serving() {
    let server = RedisServer::start();
    let ears = Arc::new(Ears::default());
    *ears.refuses.lock() = Some(Trouble::Oom);
    let link = try_start(Remote::url(server.url()), &ears).expect("a good configuration");
    wait_for_reason(&link, "out of memory");
    ears.wait_for(&Heard::Lost("the server is out of memory".into()));
    *ears.refuses.lock() = None;
    wait_until_serving(&link);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_costs_no_caller_more_than_the_limit() {
    let server = RedisServer::start();
    let (link, ears) = serve(Remote::url(server.url()));
    ears.forget();
    server.pause();
    let (clock, begun_ms) = (Clock::system(), Clock::system().now_ms());
    while let LinkState::Serving { .. } = link.state() {
        let calls = (0..64).map(|_| link.run(cmd(&["PING"])));
        futures_util::future::join_all(calls).await;
    }
    assert!(clock.now_ms() - begun_ms < 10_000);
    server.resume();
    wait_until_serving(&link);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_make_no_sense_end_the_connection_and_nothing_else() {
    let server = RedisServer::start();
    for seed in 0..8 {
        let proxy = Proxy::with_seed(server.address(), seed);
        let (link, ears) = serve(Remote::url(proxy.url()));
        ears.forget();
        proxy.add(Which::All, Direction::ToClient, Toxic::Garble { at: seed });
        for _ in 0..20 {
            let _ = link.run(cmd(&["GET", "jay:a:nothing"])).await;
        }
        proxy.heal();
        wait_for("an answer", || {
            wait_until_serving(&link);
            let answer = tokio::task::block_in_place(|| Handle::current().block_on(link.run(cmd(&["PING"]))));
            (answer == Ok(Value::SimpleString("PONG".into()))).then_some(())
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_that_ends_leaves_nobody_waiting() {
    let server = RedisServer::start();
    let runtime = runtime();
    let (link, _ears) = serve_on(&runtime, &server);
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let link = link.clone();
            tokio::spawn(async move { link.run(cmd(&["BLPOP", "jay:a:list", "0"])).await })
        })
        .collect();
    wait_for("all on their way", || (link.stats().in_flight == 16).then_some(()));
    runtime.shutdown_background();
    for call in calls {
        assert!(call.await.expect("no panic").is_err());
    }
    assert!(link.run(cmd(&["PING"])).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_server_are_told_apart() {
    let server = RedisServer::start_with(&["--maxmemory", "1mb", "--maxmemory-policy", "noeviction"]);
    let (link, _) = serve(Remote::url(server.url()));
    let large = "x".repeat(2 << 20);
    let _ = link.run(cmd(&["SET", "jay:a:1", &large])).await;
    assert_eq!(link.run(cmd(&["SET", "jay:a:2", "blue"])).await, Err(Trouble::Oom));
    server.console().ok(&["CONFIG", "SET", "maxmemory", "0"]);
    link.run(cmd(&["SADD", "jay:a:3", "x"])).await.expect("an answer");
    for _ in 0..20 {
        assert_eq!(link.run(cmd(&["GET", "jay:a:3"])).await, Err(Trouble::WrongType));
        assert!(matches!(link.run(cmd(&["NONSENSE"])).await, Err(Trouble::Server(_))));
    }
    // What concerns a key says nothing about the server.
    assert_eq!(link.stats().opened, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_hears_that_the_runtime_has_ended_and_the_link_says_so() {
    let server = RedisServer::start();
    let runtime = runtime();
    let (link, ears) = serve_on(&runtime, &server);
    runtime.shutdown_background();
    ears.wait_until("the loss", |heard| matches!(heard, Heard::Lost(_)));
    wait_for_reason(&link, "shut down");
    let Err(Trouble::Away(why)) = link.run(cmd(&["PING"])).await else { panic!("it is away") };
    assert!(why.contains("shut down"), "{why}");
    // Nobody is there to end a pause.
    link.pause(Duration::from_secs(3_600)).await;
    // And one that begins on such a runtime.
    let ended = self::runtime();
    let handle = ended.handle().clone();
    ended.shutdown_background();
    let (link, ears) = {
        let _runtime = handle.enter();
        start(Remote::url(server.url()))
    };
    wait_for_reason(&link, "shut down");
    assert_eq!(ears.count(&Heard::Connected), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_panics_hears_that_nothing_is_heard_and_is_asked_again() {
    let server = RedisServer::start();
    let (link, ears) = serve(Remote::url(server.url()));
    ears.forget();
    ears.must_panic.store(true, Ordering::Release);
    ears.wait_until("the loss", |heard| matches!(heard, Heard::Lost(_)));
    // The link says what it said before for a moment yet.
    ears.wait_for(&Heard::Connected);
    wait_until_serving(&link);
    assert_eq!(ears.count(&Heard::Connected), 1);
}
