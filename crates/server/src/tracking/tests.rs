//! Client-side caching on the wire: who hears of which change.

use super::{Mode, READERS_LOOKED_AT};
use crate::transcript::{Peer, Served};
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn tracker(served: &Served, options: &str) -> Peer {
    let mut peer = served.peer();
    peer.ask("HELLO 3");
    assert_eq!(peer.ask(&format!("CLIENT TRACKING on{options}")), "+OK");
    peer
}

fn invalidated(keys: &[&str]) -> String {
    let keys: String = keys.iter().map(|key| format!(" ${} {key}", key.len())).collect();
    let count = keys.matches('$').count();
    format!(">2 $10 invalidate *{count}{keys}")
}

/// Whether nothing but the reply to a PING comes.
fn hears_nothing(peer: &mut Peer) {
    assert_eq!(peer.ask("PING"), "+PONG");
}

#[test]
fn a_key_that_was_read_is_told_of_once() {
    let served = Served::new();
    let (mut peer, mut other) = (tracker(&served, ""), served.peer());
    peer.check(&[("GET a", "_"), ("MGET b c", "*2 _ _")]);
    other.check(&[("SET a 1", "+OK"), ("SET a 2", "+OK"), ("SET unread 1", "+OK"), ("MSET c 1 b 1", "+OK")]);
    assert_eq!(peer.receive(), invalidated(&["a"]));
    let mut rest = [peer.receive(), peer.receive()];
    rest.sort();
    assert_eq!(rest, [invalidated(&["b"]), invalidated(&["c"])]);
    hears_nothing(&mut peer);
    peer.ask("GET a");
    assert_eq!(other.ask("DEL a"), ":1");
    assert_eq!(peer.receive(), invalidated(&["a"]));
}

#[test]
fn what_changes_nothing_is_not_told() {
    let served = Served::new();
    let (mut peer, mut other) = (tracker(&served, ""), served.peer());
    other.ask("SET a 1");
    peer.ask("MGET a b");
    other.check(&[
        ("SET a 2 NX", "$-1"),
        ("DEL b", ":0"),
        ("GET a", "$1 1"),
        ("EXPIRE b 10", ":0"),
        ("GETEX a", "$1 1"),
    ]);
    hears_nothing(&mut peer);
    assert_eq!(other.ask("EXPIRE a 10"), ":1");
    assert_eq!(peer.receive(), invalidated(&["a"]));
}

#[test]
fn expiry_is_told_by_whoever_notices_it() {
    let served = Served::new();
    let (mut peer, mut other) = (tracker(&served, ""), served.peer());
    let clock = &served.shared().clock;
    let now_ms = clock.now_ms();
    clock.hold(now_ms);
    served.shared().is_active_expire_on.store(false, Ordering::Relaxed);
    assert_eq!(other.ask("SET a 1 PX 100"), "+OK");
    peer.ask("GET a");
    clock.hold(now_ms + 200);
    assert_eq!(other.ask("GET a"), "$-1");
    assert_eq!(peer.receive(), invalidated(&["a"]));

    other.ask("SET a 1 PX 100");
    peer.ask("GET a");
    served.shared().is_active_expire_on.store(true, Ordering::Relaxed);
    clock.hold(now_ms + 400);
    assert_eq!(peer.receive(), invalidated(&["a"]));
}

#[test]
fn a_flush_is_told_to_everybody() {
    let served = Served::new();
    let (mut peer, mut broadcast, mut other) = (tracker(&served, ""), tracker(&served, " BCAST"), served.peer());
    assert_eq!(other.ask("FLUSHALL"), "+OK");
    assert_eq!(peer.receive(), ">2 $10 invalidate _");
    assert_eq!(broadcast.receive(), ">2 $10 invalidate _");
}

#[test]
fn own_changes_are_told_after_the_reply_unless_noloop() {
    let served = Served::new();
    let mut peer = tracker(&served, "");
    peer.check(&[("GET a", "_"), ("SET a 1", "+OK")]);
    assert_eq!(peer.receive(), invalidated(&["a"]));
    let (mut quiet, mut other) = (tracker(&served, " NOLOOP"), served.peer());
    quiet.check(&[("GET a", "$1 1"), ("SET a 1", "+OK"), ("GET a", "$1 1")]);
    hears_nothing(&mut quiet);
    other.ask("SET a 2");
    assert_eq!(quiet.receive(), invalidated(&["a"]));
}

#[test]
fn broadcast_tells_of_every_key_under_a_prefix() {
    let served = Served::new();
    let mut peer = tracker(&served, " BCAST PREFIX user: PREFIX item:");
    let mut other = served.peer();
    other.check(&[("MSET user:2 a user:1 b other 1", "+OK"), ("SET item:1 1", "+OK")]);
    assert_eq!(peer.receive(), invalidated(&["user:1", "user:2"]));
    assert_eq!(peer.receive(), invalidated(&["item:1"]));
    hears_nothing(&mut peer);
}

#[test]
fn opting_in_and_out_is_for_one_command_or_one_transaction() {
    let served = Served::new();
    let (mut opting_in, mut other) = (tracker(&served, " OPTIN"), served.peer());
    opting_in.check(&[("GET a", "_"), ("CLIENT CACHING yes", "+OK"), ("GET b", "_"), ("GET c", "_")]);
    other.ask("MSET a 1 b 1 c 1");
    assert_eq!(opting_in.receive(), invalidated(&["b"]));
    hears_nothing(&mut opting_in);
    opting_in.check(&[
        ("CLIENT CACHING yes", "+OK"),
        ("MULTI", "+OK"),
        ("GET a", "+QUEUED"),
        ("EXEC", "*1 $1 1"),
        ("GET b", "$1 1"),
    ]);
    other.ask("MSET a 1 b 1");
    assert_eq!(opting_in.receive(), invalidated(&["a"]));
    hears_nothing(&mut opting_in);

    let mut opting_out = tracker(&served, " OPTOUT");
    opting_out.check(&[("CLIENT CACHING no", "+OK"), ("GET a", "$1 1"), ("GET b", "$1 1")]);
    other.ask("MSET a 1 b 1");
    assert_eq!(opting_out.receive(), invalidated(&["b"]));
    hears_nothing(&mut opting_out);
}

#[test]
fn news_go_where_they_are_redirected_in_either_protocol() {
    let served = Served::new();
    let (mut resp2, mut resp3, mut other) = (served.peer(), served.peer(), served.peer());
    resp3.ask("HELLO 3");
    let (id2, id3) = (resp2.ask("CLIENT ID"), resp3.ask("CLIENT ID"));
    let (mut one, mut two) = (served.peer(), served.peer());
    one.check(&[(&format!("CLIENT TRACKING on REDIRECT {}", &id2[1..]), "+OK"), ("GET a", "$-1")]);
    two.check(&[(&format!("CLIENT TRACKING on REDIRECT {}", &id3[1..]), "+OK"), ("GET a", "$-1")]);
    assert_eq!(one.ask("CLIENT GETREDIR"), id2);
    other.ask("SET a 1");
    assert_eq!(resp2.receive(), "*3 $7 message $20 __redis__:invalidate *1 $1 a");
    assert_eq!(resp3.receive(), invalidated(&["a"]));
    other.ask("FLUSHALL");
    assert_eq!(resp2.receive(), "*3 $7 message $20 __redis__:invalidate *-1");
}

#[test]
fn a_broken_redirection_is_told_and_shown() {
    let served = Served::new();
    let (mut target, mut peer, mut other) = (served.peer(), served.peer(), served.peer());
    let id = target.ask("CLIENT ID");
    peer.ask("HELLO 3");
    peer.check(&[(&format!("CLIENT TRACKING on REDIRECT {}", &id[1..]), "+OK"), ("GET a", "_")]);
    assert_eq!(other.ask(&format!("CLIENT KILL ID {}", &id[1..])), ":1");
    assert_eq!(target.receive(), "closed");
    other.ask("SET a 1");
    assert_eq!(peer.receive(), format!(">2 $21 tracking-redir-broken {id}"));
    assert!(peer.ask("CLIENT TRACKINGINFO").contains("$15 broken_redirect"));
    assert!(peer.ask("CLIENT INFO").contains(" flags=tR "));
}

/// The promise of client-side caching, raced: whoever waits for news after a read ends up with the last value.
#[test]
fn no_change_goes_unheard_while_threads_race() {
    const CHANGES: usize = 3000;
    let served = Served::with(&[("io-threads", "4")]);
    let mut peers = [tracker(&served, ""), tracker(&served, ""), tracker(&served, "")];
    let mut writer = served.peer();
    for _ in 0..CHANGES {
        writer.send("INCR a");
    }
    let last = format!("${} {CHANGES}", CHANGES.to_string().len());
    for peer in &mut peers {
        loop {
            let mut reply = peer.ask("GET a");
            while reply.starts_with('>') {
                reply = peer.receive();
            }
            if reply == last {
                break;
            }
            assert_eq!(peer.receive(), invalidated(&["a"]));
        }
    }
}

#[test]
fn a_full_table_tells_of_keys_that_it_forgets() {
    let served = Served::with(&[("tracking-table-max-keys", "1")]);
    let mut peer = tracker(&served, "");
    for at in 0..1000 {
        peer.send(&format!("GET key:{at}"));
    }
    let pushes = (0..1900).map(|_| peer.receive()).filter(|reply| reply.starts_with(">2 $10 invalidate")).count();
    assert!(pushes > 800, "{pushes}");
    assert!(served.shared().tracking.keys_len() < 100);
}

#[test]
fn nobody_is_tracked_after_off_reset_or_the_end_of_the_connection() {
    let served = Served::new();
    for end in ["CLIENT TRACKING off", "RESET", "QUIT"] {
        let mut peer = tracker(&served, "");
        peer.ask("GET a");
        assert!(served.shared().tracking.is_on());
        peer.ask(end);
        if end == "QUIT" {
            assert_eq!(peer.receive(), "closed");
            while served.shared().tracking.is_on() {
                std::thread::yield_now();
            }
        }
        assert!(!served.shared().tracking.is_on(), "{end}");
        assert_eq!(served.shared().tracking.keys_len(), 0, "{end}");
    }
}

#[test]
fn tracking_refuses_contradictions() {
    let served = Served::new();
    let mut peer = served.peer();
    peer.check(&[
        ("CLIENT TRACKING foo", "-ERR syntax error"),
        ("CLIENT TRACKING on REDIRECT", "-ERR syntax error"),
        ("CLIENT TRACKING on REDIRECT x", "-ERR value is not an integer or out of range"),
        ("CLIENT TRACKING on REDIRECT 9999", "-ERR The client ID you want redirect to does not exist"),
        ("CLIENT TRACKING on PREFIX a", "-ERR PREFIX option requires BCAST mode to be enabled"),
        ("CLIENT TRACKING on OPTIN OPTOUT", "-ERR You can't specify both OPTIN mode and OPTOUT mode"),
        ("CLIENT TRACKING on OPTIN BCAST", "-ERR OPTIN and OPTOUT are not compatible with BCAST"),
        (
            "CLIENT CACHING yes",
            "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        ),
        (
            "CLIENT TRACKING on BCAST PREFIX a PREFIX ab",
            "-ERR Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single client must not overlap.",
        ),
        ("CLIENT TRACKING on BCAST PREFIX a PREFIX b", "+OK"),
        (
            "CLIENT TRACKING on BCAST PREFIX abc",
            "-ERR Prefix 'abc' overlaps with an existing prefix 'a'. Prefixes for a single client must not overlap.",
        ),
        ("CLIENT TRACKING on BCAST PREFIX c", "+OK"),
        ("CLIENT TRACKINGINFO", "*6 $5 flags *2 $2 on $5 bcast $8 redirect :0 $8 prefixes *3 $1 a $1 b $1 c"),
        (
            "CLIENT TRACKING on",
            "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with \
             a different mode.",
        ),
        ("CLIENT TRACKING off", "+OK"),
        ("CLIENT GETREDIR", ":-1"),
        ("CLIENT TRACKINGINFO", "*6 $5 flags *1 $3 off $8 redirect :-1 $8 prefixes *0"),
        ("CLIENT TRACKING on OPTIN NOLOOP", "+OK"),
        ("CLIENT CACHING no", "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."),
        ("CLIENT CACHING foo", "-ERR syntax error"),
        ("CLIENT CACHING yes", "+OK"),
        ("CLIENT TRACKINGINFO", "*6 $5 flags *4 $2 on $5 optin $11 caching-yes $6 noloop $8 redirect :0 $8 prefixes *0"),
        (
            "CLIENT TRACKING on OPTOUT",
            "-ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with \
             a different mode.",
        ),
    ]);
}

#[test]
fn readers_of_a_key_that_left_are_forgotten_though_nobody_changes_it() {
    let served = Served::new();
    let (shared, mode) = (served.shared(), Arc::new(Mode::default()));
    let tracking = &shared.tracking;
    for id in 1_000..3_000 {
        tracking.start(&shared.keyspace, id, &mode);
        tracking.remember(&shared.registry, id, b"hot", 0);
        if id != 1_000 {
            tracking.stop(&shared.keyspace, id);
        }
    }
    assert!(tracking.items_len() <= 2 * READERS_LOOKED_AT, "{}", tracking.items_len());
    assert_eq!(tracking.keys_len(), 1);
    let is_there = |id: u64| tracking.shard(b"hot").lock().get(b"hot".as_slice()).is_some_and(|ids| ids.contains(&id));
    assert!(is_there(1_000), "who is there stays");
}
