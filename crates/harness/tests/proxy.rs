//! What each toxic does to a client and a server, and that nothing happens without one.

#![allow(clippy::unwrap_used, reason = "a test may, in its helpers too")]

use scrubjay_harness::{Console, Direction, Proxy, Random, Reply, ScrubjayServer, Toxic, Which, wait_for};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

fn server_and_proxy() -> (ScrubjayServer, Proxy) {
    let server = ScrubjayServer::start();
    let proxy = Proxy::in_front_of(server.address());
    (server, proxy)
}

/// A server that sends back what it gets.
fn echo() -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let accepting = listener.try_clone().unwrap();
    std::thread::spawn(move || {
        for stream in accepting.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(len @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..len]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    listener
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

fn noise(len: usize) -> Vec<u8> {
    let mut random = Random(5);
    (0..len).map(|_| u8::try_from(random.below(256)).unwrap()).collect()
}

#[test]
fn without_a_toxic_every_byte_passes_in_order() {
    let listener = echo();
    let proxy = Proxy::in_front_of(listener.local_addr().unwrap());
    let (mut stream, sent) = (connect(&proxy), noise(3 << 20));
    let mut sending = stream.try_clone().unwrap();
    let copy = sent.clone();
    let sender = std::thread::spawn(move || {
        sending.write_all(&copy).unwrap();
        sending.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    sender.join().unwrap();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    wait_for("the connection to end", || (proxy.counts().open == 0).then_some(()));
    let counts = proxy.counts();
    assert_eq!((counts.accepted, counts.refused, counts.cut, counts.garbled, counts.swallowed), (1, 0, 0, 0, 0));
    assert_eq!((counts.bytes_to_server, counts.bytes_to_client), (3 << 20, 3 << 20));
}

#[test]
fn split_writes_carry_the_same_bytes() {
    let (_server, proxy) = server_and_proxy();
    proxy.add_both(Which::All, Toxic::Split(3));
    let value = String::from_utf8(noise(2000).iter().map(|byte| b'a' + byte % 26).collect()).unwrap();
    let mut console = proxy.console();
    console.ok(&["SET", "a", &value]);
    assert_eq!(console.call(&["GET", "a"]).text(), value);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a delay is measured by a clock")]
fn delay_and_bandwidth_are_kept() {
    let (_server, proxy) = server_and_proxy();
    let mut console = proxy.console();
    console.ok(&["SET", "a", &"x".repeat(20_000)]);
    let mut took = |toxic: Toxic| {
        proxy.add(Which::All, Direction::ToClient, toxic);
        let start = std::time::Instant::now();
        console.call(&["GET", "a"]);
        proxy.heal();
        start.elapsed()
    };
    assert!(took(Toxic::Delay(Duration::from_millis(60))) >= Duration::from_millis(60));
    assert!(took(Toxic::Bandwidth(200_000)) >= Duration::from_millis(90));
}

#[test]
fn a_connection_is_cut_after_so_many_bytes() {
    let listener = echo();
    let proxy = Proxy::in_front_of(listener.local_addr().unwrap());
    let mut stream = connect(&proxy);
    stream.write_all(b"before").unwrap();
    stream.read_exact(&mut [0; 6]).unwrap();
    proxy.add(Which::All, Direction::ToClient, Toxic::CutAfter(10));
    stream.write_all(&noise(100)).unwrap();
    let mut got = Vec::new();
    // What the proxy had not read yet makes the end a reset.
    let _ = stream.read_to_end(&mut got);
    assert!(got.len() <= 10 && noise(100).starts_with(&got), "{got:?}");
    wait_for("the cut", || (proxy.counts().cut == 1).then_some(()));
    assert_eq!(proxy.counts().bytes_to_client, 16);
}

#[test]
fn a_command_is_cut_before_it_arrives_or_loses_its_reply() {
    let (server, proxy) = server_and_proxy();
    proxy.add(Which::All, Direction::ToServer, Toxic::CutAt { command: "incr".into(), nth: 2 });
    let mut console = proxy.console();
    assert_eq!(console.call(&["INCR", "a"]).number(), 1);
    assert!(console.try_call(&["INCR", "a"]).is_err());
    assert_eq!(server.call(&["GET", "a"]).text(), "1");
    assert_eq!(proxy.console().call(&["INCR", "a"]).number(), 2);
    proxy.heal();
    proxy.add(Which::All, Direction::ToClient, Toxic::CutAt { command: "INCR".into(), nth: 1 });
    assert!(proxy.console().try_call(&["INCR", "a"]).is_err());
    assert_eq!(server.call(&["GET", "a"]).text(), "3");
    assert_eq!((proxy.said("INCR"), proxy.counts().cut), (4, 2));
}

#[test]
fn one_connection_is_meant_by_what_it_said() {
    let (_server, proxy) = server_and_proxy();
    let (mut tracking, mut data) = (proxy.console(), proxy.console());
    tracking.call(&["CLIENT", "ID"]);
    data.call(&["PING"]);
    assert_eq!(proxy.cut(&Which::saying("client id")), 1);
    assert!(tracking.try_call(&["PING"]).is_err());
    assert_eq!(data.call(&["PING"]).text(), "PONG");
    assert_eq!(proxy.cut(&Which::not_saying("CLIENT")), 1);
    assert!(data.try_call(&["PING"]).is_err());
}

#[test]
fn what_is_stalled_arrives_later_and_what_is_swallowed_never_does() {
    let (server, proxy) = server_and_proxy();
    let mut stalled = proxy.console();
    proxy.add(Which::All, Direction::ToServer, Toxic::Stall);
    let waiting = std::thread::spawn(move || stalled.call(&["INCR", "stalled"]).number());
    wait_for("the command to reach the proxy", || (proxy.said("INCR") == 1).then_some(()));
    assert_eq!(server.call(&["GET", "stalled"]), Reply::Nil);
    proxy.heal();
    assert_eq!(waiting.join().unwrap(), 1);
    proxy.partition();
    let mut swallowed = proxy.console();
    let waiting = std::thread::spawn(move || swallowed.try_call(&["INCR", "swallowed"]));
    wait_for("the command to reach the proxy", || (proxy.said("INCR") == 2).then_some(()));
    proxy.heal();
    assert!(waiting.join().unwrap().is_err());
    assert_eq!(server.call(&["GET", "swallowed"]), Reply::Nil);
    assert!(proxy.counts().swallowed > 0);
    assert_eq!(proxy.console().call(&["PING"]).text(), "PONG");
}

#[test]
fn a_garbled_byte_is_another_and_the_same_for_the_same_seed() {
    let listener = echo();
    let garbled = |seed: u64| {
        let proxy = Proxy::with_seed(listener.local_addr().unwrap(), seed);
        proxy.add(Which::All, Direction::ToClient, Toxic::Garble { at: 7 });
        let mut stream = connect(&proxy);
        stream.write_all(&[0; 10]).unwrap();
        let mut got = [0; 10];
        stream.read_exact(&mut got).unwrap();
        got
    };
    let got = garbled(1);
    assert_ne!(got[7], 0);
    assert_eq!(got.iter().filter(|byte| **byte != 0).count(), 1);
    assert_eq!(got, garbled(1));
    assert!((2..6).any(|seed| garbled(seed) != got));
}

#[test]
fn one_half_closes_and_the_other_goes_on() {
    let (server, proxy) = server_and_proxy();
    let mut console = proxy.console();
    console.call(&["PING"]);
    proxy.add(Which::All, Direction::ToClient, Toxic::HalfClose);
    // The client reads the end; what it says still arrives.
    assert_eq!(console.try_call(&["SET", "a", "1"]).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    wait_for("the command to arrive", || (server.call(&["GET", "a"]).text() == "1").then_some(()));
}

#[test]
fn a_refused_connection_is_accepted_after_healing() {
    let (mut server, proxy) = server_and_proxy();
    let mut open = proxy.console();
    open.call(&["PING"]);
    proxy.refuse(true);
    assert!(Console::connect(proxy.address()).is_err());
    assert_eq!(open.call(&["PING"]).text(), "PONG");
    proxy.heal();
    assert_eq!(proxy.console().call(&["PING"]).text(), "PONG");
    server.kill();
    assert!(proxy.console().try_call(&["PING"]).is_err());
    wait_for("the refusal", || (proxy.counts().refused == 1).then_some(()));
}
