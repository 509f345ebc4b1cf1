//! Each act on the server, called by two owners in either order: as a script by Redis, as a transaction by our own server.

use super::*;
use crate::remote::scripts::{Act, Answer, Seen};

/// Runs `check` against a server with scripts and one without.
async fn on_both(check: impl AsyncFn(&Process, &mut scrubjay_harness::Console)) {
    let redis = RedisServer::start();
    check(&patient(&redis.url()), &mut redis.console()).await;
    let ours = ScrubjayServer::start();
    let process = patient(&ours.url());
    assert!(!process.tier.link.has_scripts());
    check(&process, &mut ours.console()).await;
}

/// Whose commands are not late on a machine that has much else to do: that is another case.
fn patient(url: &str) -> Process {
    Process::with(Remote::url(url).command_timeout(Duration::from_secs(10)))
}

const A: [u8; 16] = *b"aaaaaaaaaaaaaaaa";
const B: [u8; 16] = *b"bbbbbbbbbbbbbbbb";

async fn ask(process: &Process, key: &[u8], act: Act<'_>) -> Answer {
    let names = process.names(key);
    process.tier.inner.ask(&process.tier.link, key, &names, act).await.0.unwrap()
}

fn begin(token: &[u8]) -> Act<'_> {
    Act::Begin { token, lease_ms: 60_000, seen: None }
}

fn fill(token: &[u8]) -> Act<'_> {
    Act::Fill { token, value: b"filled", px: Some(60_000) }
}

const INSERT: Act<'static> = Act::Insert { value: b"inserted", px: None };
const REMOVE: Act<'static> = Act::Remove { fence_ms: 0 };

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_gets_the_lease_and_only_that_one_may_fill() {
    on_both(async |process, console| {
        for (key, first, second) in [(b"k", A, B), (b"l", B, A)] {
            assert_eq!(ask(process, key, begin(&first)).await, Answer::Done);
            assert!(matches!(ask(process, key, begin(&second)).await, Answer::Held(ms) if ms > 50_000));
            assert_eq!(ask(process, key, fill(&second)).await, Answer::Nothing);
            assert_eq!(ask(process, key, Act::Release { token: &second, is_outdated: true }).await, Answer::Nothing);
            assert_eq!(ask(process, key, Act::Renew { token: &second, lease_ms: 1 }).await, Answer::Nothing);
            assert_eq!(ask(process, key, Act::Renew { token: &first, lease_ms: 90_000 }).await, Answer::Done);
            assert!(console.call(&[b"PTTL", &process.names(key).lease[..]]).number() > 60_000);
            assert_eq!(ask(process, key, fill(&first)).await, Answer::Done);
            assert_eq!(ask(process, key, fill(&first)).await, Answer::Nothing);
            assert!(matches!(ask(process, key, begin(&second)).await, Answer::Value(value, ms)
                if value == b"filled"[..] && ms > 50_000));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_and_an_insert_win_against_every_load_that_began_before() {
    on_both(async |process, console| {
        for (key, act, answer, there) in [(b"k", REMOVE, Answer::Nothing, ""), (b"l", INSERT, Answer::Done, "inserted")]
        {
            assert_eq!(ask(process, key, begin(&A)).await, Answer::Done);
            assert_eq!(ask(process, key, act).await, answer);
            assert_eq!(ask(process, key, fill(&A)).await, Answer::Nothing);
            assert_eq!(console.call(&[b"GET", &process.names(key).data[..]]).text(), there);
            // In the other order it goes, too.
            assert_eq!(ask(process, key, REMOVE).await, if there.is_empty() { Answer::Nothing } else { Answer::Done });
            assert_eq!(ask(process, key, begin(&A)).await, Answer::Done);
            assert_eq!(ask(process, key, fill(&A)).await, Answer::Done);
            assert_eq!(ask(process, key, REMOVE).await, Answer::Done);
            assert_eq!(console.call(&[b"EXISTS", &process.names(key).data[..]]).number(), 0);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_given_over_an_entry_that_was_seen_and_no_other() {
    on_both(async |process, _| {
        assert_eq!(ask(process, b"k", INSERT).await, Answer::Done);
        let seen = |seen| Act::Begin { token: &A, lease_ms: 60_000, seen: Some(seen) };
        for other in [Seen::Tail(b"xxxx"), Seen::Whole(b"ted")] {
            assert!(matches!(ask(process, b"k", seen(other)).await, Answer::Value(..)));
        }
        assert_eq!(ask(process, b"k", seen(Seen::Tail(b"rted"))).await, Answer::Done);
        assert_eq!(ask(process, b"k", Act::Release { token: &A, is_outdated: false }).await, Answer::Done);
        assert_eq!(ask(process, b"k", seen(Seen::Whole(b"inserted"))).await, Answer::Done);
        assert_eq!(ask(process, b"k", Act::Release { token: &A, is_outdated: true }).await, Answer::Done);
        assert_eq!(ask(process, b"k", begin(&B)).await, Answer::Done);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_ends_by_itself() {
    on_both(async |process, console| {
        assert_eq!(ask(process, b"k", Act::Begin { token: &A, lease_ms: 5, seen: None }).await, Answer::Done);
        let lease = process.names(b"k").lease;
        wait_for("the end of the lease", || (console.call(&[b"EXISTS", &lease[..]]).number() == 0).then_some(()));
        assert_eq!(ask(process, b"k", fill(&A)).await, Answer::Nothing);
        assert_eq!(ask(process, b"k", begin(&B)).await, Answer::Done);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_for_the_fence_before_it() {
    on_both(async |process, console| {
        assert_eq!(ask(process, b"k", INSERT).await, Answer::Done);
        let fence_ms = process.tier.inner.server_ms(None, b"") + 60_000;
        assert!(matches!(ask(process, b"k", Act::Remove { fence_ms }).await, Answer::Early(_)));
        let replay = Act::Replay { value: b"new", px: None, stored_at_ms: u64::MAX >> 12, age_ms: 0, fence_ms };
        assert!(matches!(ask(process, b"k", replay).await, Answer::Early(_)));
        assert_eq!(console.call(&[b"GET", &process.names(b"k").data[..]]).text(), "inserted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_its_deadline_is_refused_by_scripts() {
    let redis = RedisServer::start();
    let process = Process::start(&redis.url());
    let (inner, names) = (&process.tier.inner, process.names(b"k"));
    let late = Terms { deadline_ms: inner.server_ms(None, b"") - 5_000, publish: None };
    for act in [INSERT, begin(&A), replay(b"v", 1, 0)] {
        let call = act.call(b"k", &names, &late);
        let answer = process.tier.link.script_many(vec![call]).await.pop().unwrap().unwrap();
        assert!(matches!(crate::remote::scripts::answer(answer), Ok(Answer::Late(_))), "{act:?}");
    }
    assert_eq!(redis.console().call(&["DBSIZE"]).number(), 1, "the stamps alone");
    // Whoever thinks that the server's clock is elsewhere finds out, and is not refused twice.
    inner.note_server_ms(&process.tier.link, b"", inner.server_ms(None, b"") - 3_600_000, inner.elapsed_ms());
    assert_eq!(ask(&process, b"k", INSERT).await, Answer::Done);
}

fn entry(stored_at_ms: u64) -> Vec<u8> {
    let mut bytes = b"SJ".to_vec();
    bytes.resize(40, 7);
    bytes[16..24].copy_from_slice(&stored_at_ms.to_le_bytes());
    bytes
}

fn replay(value: &[u8], stored_at_ms: u64, age_ms: u64) -> Act<'_> {
    Act::Replay { value, px: Some(9_000), stored_at_ms, age_ms, fence_ms: 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_gives_way_to_what_is_newer() {
    on_both(async |process, console| {
        let now_ms = 1_795_000_000_000;
        for (there, stored_at_ms, answer) in [
            (Some(entry(now_ms)), now_ms + 1, Answer::Done),
            (Some(entry(now_ms)), now_ms, Answer::Done),
            (Some(entry(now_ms)), now_ms - 1, Answer::Nothing),
            (Some(b"foreign".to_vec()), now_ms, Answer::Nothing),
            (None, now_ms, Answer::Done),
        ] {
            let data = process.names(b"k").data;
            match &there {
                Some(there) => console.ok(&[b"SET", &data[..], there]),
                None => drop(console.call(&[b"DEL", &data[..]])),
            }
            assert_eq!(ask(process, b"k", begin(&A)).await == Answer::Done, there.is_none());
            let bytes = entry(stored_at_ms);
            assert_eq!(ask(process, b"k", replay(&bytes, stored_at_ms, 10)).await, answer, "{there:?}");
            // Who loads meanwhile loses the lease.
            assert_eq!(ask(process, b"k", fill(&A)).await, Answer::Nothing);
        }
        // Written a second ago, removed since: gone. Removed before it was written: there.
        assert_eq!(ask(process, b"k", REMOVE).await, Answer::Done);
        assert_eq!(ask(process, b"k", replay(&entry(now_ms), now_ms, 1_000)).await, Answer::Nothing);
        let tombstone = process.names(b"k").tombstone;
        let long_ago = (process.tier.inner.server_ms(None, b"") - 20_000).to_string();
        console.ok(&[b"SET", &tombstone[..], long_ago.as_bytes()]);
        assert_eq!(ask(process, b"k", replay(&entry(now_ms), now_ms, 1_000)).await, Answer::Done);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raise_is_in_the_string_as_it_is_documented() {
    on_both(async |process, console| {
        assert_eq!(process.tier.raise(Mark::Floor(7)).await, Confirmed::Yes);
        assert_eq!(process.tier.raise(Mark::Cleared).await, Confirmed::Yes);
        let text = console.call(&[b"GET", &process.tier.inner.names.stamps()[..]]).text();
        assert_eq!((&text[16..32], &text[32..48]), ("0000000000000002", "0000000000000002"));
        assert_eq!(&text[88..136], "000000000000000100000007000000000000000200008192");
        assert_eq!(&text[6208 + 16 * 7..], "0000000000000001");
        let cleared_ms: u64 = text[48..64].parse().unwrap();
        assert!(cleared_ms.abs_diff(process.tier.inner.unix_ms()) < 60_000);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_memory_for_a_value_the_old_one_goes() {
    on_both(async |process, console| {
        for key in [b"k", b"l"] {
            assert_eq!(ask(process, key, INSERT).await, Answer::Done);
        }
        assert_eq!(ask(process, b"m", begin(&A)).await, Answer::Done);
        console.ok(&["CONFIG", "SET", "maxmemory", "1"]);
        let large = vec![b'x'; 100_000];
        assert_eq!(ask(process, b"k", Act::Insert { value: &large, px: None }).await, Answer::Oom);
        assert_eq!(ask(process, b"m", Act::Fill { token: &A, value: &large, px: None }).await, Answer::Oom);
        assert_eq!(ask(process, b"n", begin(&A)).await, Answer::Oom);
        assert_eq!(console.call(&[b"EXISTS", &process.names(b"k").data[..]]).number(), 0);
        assert_eq!(console.call(&[b"EXISTS", &process.names(b"m").lease[..]]).number(), 0);
        // A removal is done, as far as it can be, and is to be done again: nobody was told.
        let answer = ask(process, b"l", REMOVE).await;
        assert!(matches!(answer, Answer::Done | Answer::Oom), "{answer:?}");
        console.ok(&["CONFIG", "SET", "maxmemory", "0"]);
        assert_eq!(console.call(&[b"EXISTS", &process.names(b"l").data[..]]).number(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_type_under_our_key_is_left_alone_by_loads() {
    on_both(async |process, console| {
        let data = process.names(b"k").data;
        console.call(&[b"RPUSH", &data[..], b"a"]);
        if console.call(&[b"TYPE", &data[..]]).text() == "none" {
            // A server of strings alone has nothing of another type.
            return;
        }
        assert_eq!(ask(process, b"k", begin(&A)).await, Answer::Unusable);
        assert_eq!(process.get(b"k").await, None);
        assert!(matches!(process.tier.begin(b"k", None, Duration::ZERO).await, Begun::Alone));
        assert_eq!(process.tier.stats().foreign, 2);
        assert_eq!(console.call(&[b"TYPE", &data[..]]).text(), "list");
        // Its owner says what it is.
        assert_eq!(ask(process, b"k", INSERT).await, Answer::Done);
        assert_eq!(console.call(&[b"GET", &data[..]]).text(), "inserted");
    })
    .await;
}
