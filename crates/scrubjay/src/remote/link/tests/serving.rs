//! What a link does while all is well.

use super::*;
use crate::remote::Coherence;
use crate::remote::link::{Script, ScriptCall, Step};
use scrubjay_harness::{RedisServer, ScrubjayServer};

static SET_AND_GET: Script =
    Script::new("redis.call('SET', KEYS[1], ARGV[1]) return {redis.call('GET', KEYS[1]), #ARGV}");

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_answered_alone_and_together() {
    let server = RedisServer::start();
    let (link, _) = serve(Remote::url(server.url()));
    assert_eq!(link.run(cmd(&["SET", "jay:a:1", "blue"])).await, Ok(Value::Okay));
    assert_eq!(link.run_idempotent(cmd(&["GET", "jay:a:1"])).await, Ok(bulk("blue")));
    let answers = link.run_many(vec![cmd(&["GET", "jay:a:1"]), cmd(&["LPUSH", "jay:a:1", "x"]), cmd(&["PING"])]).await;
    assert_eq!(answers, [Ok(bulk("blue")), Err(Trouble::WrongType), Ok(Value::SimpleString("PONG".into()))]);
    let many = (0..1_000).map(|index| cmd(&["SET", &format!("jay:b:{index}"), "green"])).collect();
    assert!(link.run_many(many).await.iter().all(|answer| *answer == Ok(Value::Okay)));
    assert_eq!(link.stats().in_flight, 0);
    link.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_run_also_after_the_server_has_forgotten_them() {
    let server = RedisServer::start();
    let (link, _) = serve(Remote::url(server.url()));
    let expected = Ok(Value::Array(vec![bulk("blue"), Value::Int(1)]));
    for _ in 0..2 {
        assert_eq!(link.script(&SET_AND_GET, &[b"jay:a:1"], &[b"blue"]).await, expected);
        server.console().ok(&["SCRIPT", "FLUSH"]);
        let calls =
            (0..300).map(|index| ScriptCall::new(&SET_AND_GET, &[format!("jay:a:{index}").as_bytes()], &[b"blue"]));
        let answers = link.script_many(calls.collect()).await;
        assert_eq!(answers.len(), 300);
        assert!(answers.iter().all(|answer| *answer == expected), "{answers:?}");
        server.console().ok(&["SCRIPT", "FLUSH"]);
    }
    assert!(link.has_scripts());
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_by_anybody_are_heard() {
    let server = RedisServer::start();
    let (link, ears) = serve(Remote::url(server.url()));
    assert_eq!(link.state(), LinkState::Serving { coherence: News::Tracking });
    server.console().ok(&["SET", "jay:a:1", "blue"]);
    ears.wait_for(&Heard::Changed("jay:a:1".into()));
    link.run(cmd(&["DEL", "jay:a:1"])).await.expect("an answer");
    link.run(cmd(&["SET", "jay:b:2", "grey"])).await.expect("an answer");
    ears.wait_for(&Heard::Changed("jay:b:2".into()));
    assert_eq!(ears.count(&Heard::Changed("jay:a:1".into())), 2);
    // What is not ours is not.
    server.console().ok(&["SET", "crow:1", "black"]);
    server.console().ok(&["FLUSHALL"]);
    ears.wait_for(&Heard::Flushed);
    assert_eq!(ears.count(&Heard::Changed("crow:1".into())), 0);
    ears.wait_for(&Heard::Beat);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_tracking_is_not_allowed_changes_come_over_pub_sub() {
    let user = ["--user", "ann", "on", ">secret", "~*", "&*", "+@all", "-client|tracking"];
    let server = RedisServer::start_with(&user);
    let url = format!("redis://ann:secret@127.0.0.1:{}", server.port());
    let (link, ears) = serve(Remote::url(url));
    let LinkState::Serving { coherence: News::PubSub(Some(why)) } = link.state() else { panic!("{:?}", link.state()) };
    assert!(why.contains("NOPERM"), "{why}");
    link.run(cmd(&["PUBLISH", "jay!changes", "jay:a:1"])).await.expect("an answer");
    ears.wait_for(&Heard::Published("jay:a:1".into()));
    let (link, _) =
        start(Remote::url(format!("redis://ann:secret@127.0.0.1:{}", server.port())).coherence(Coherence::Tracking));
    wait_for_reason(&link, "CLIENT TRACKING is refused: NOPERM");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_coherence_nothing_is_listened_to() {
    let server = RedisServer::start();
    let (link, ears) = serve(Remote::url(server.url()).coherence(Coherence::None));
    assert_eq!(link.state(), LinkState::Serving { coherence: News::None });
    ears.wait_for(&Heard::Beat);
    assert_eq!(server.call(&["CLIENT", "LIST"]).text().lines().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_tried_again_until_nobody_is_in_between() {
    for server in [None, Some(ScrubjayServer::start())] {
        let redis = RedisServer::start();
        let url = server.as_ref().map_or_else(|| redis.url(), ScrubjayServer::url);
        let (link, ears) = serve(Remote::url(url));
        assert_eq!(link.has_scripts(), server.is_none());
        let counts = (0..8).map(|_| {
            let link = link.clone();
            tokio::spawn(async move {
                let reads = [cmd(&["GET", "jay:a:count"])];
                let add = |answers: Vec<Value>| {
                    let count: u64 = match &answers[..] {
                        [Value::BulkString(digits)] => text(digits.clone()).parse().expect("a number"),
                        _ => 0,
                    };
                    let set = cmd(&["SET", "jay:a:count", &(count + 1).to_string()]);
                    Ok(Step::Commit(vec![set], count))
                };
                loop {
                    match link.transaction(&[b"jay:a:count"], &reads, add).await {
                        Ok(count) => return count,
                        // Too many others, or a machine that is too busy.
                        Err(Trouble::Server(_) | Trouble::TimedOut | Trouble::Away(_)) => {
                            tokio::task::yield_now().await;
                        }
                        Err(trouble) => panic!("{trouble}"),
                    }
                }
            })
        });
        let mut seen = Vec::new();
        for count in counts.collect::<Vec<_>>() {
            seen.push(count.await.expect("an answer"));
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..8).collect::<Vec<u64>>());
        ears.wait_for(&Heard::Changed("jay:a:count".into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_when_a_link_is_dropped_or_closed() {
    let server = RedisServer::start();
    let (link, ears) = serve(Remote::url(server.url()));
    drop(link);
    wait_for("the connections to end", || (server.call(&["CLIENT", "LIST"]).text().lines().count() == 1).then_some(()));
    assert_eq!(Arc::strong_count(&ears), 1);
    let (link, _) = serve(Remote::url(server.url()));
    link.close().await;
    assert_eq!(link.state(), LinkState::Closed);
    assert_eq!(link.run(cmd(&["PING"])).await, Err(Trouble::Away("the cache is closed".into())));
    wait_for("the connections to end", || (server.call(&["CLIENT", "LIST"]).text().lines().count() == 1).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_commands_as_allowed_are_on_their_way() {
    let server = RedisServer::start();
    let (link, _) = serve(Remote::url(server.url()).in_flight_max(2));
    let wait = || {
        tokio::spawn({
            let link = link.clone();
            async move { link.run(cmd(&["BLPOP", "jay:a:list", "0.2"])).await }
        })
    };
    let waiting = [wait(), wait()];
    wait_for("two on their way", || (link.stats().in_flight >= 2).then_some(()));
    assert_eq!(link.run(cmd(&["PING"])).await, Err(Trouble::Full));
    assert_eq!(link.stats().shed, 1);
    for answer in waiting {
        let _ = answer.await.expect("no panic");
    }
}
