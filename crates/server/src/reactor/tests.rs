//! The reactor over real sockets: pipelines, pieces, limits, waits, the end.

use crate::client::Client;
use crate::clock::Clock;
use crate::registry::HandleFlags;
use crate::{Config, Server};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

fn start(settings: &[(&str, &str)]) -> Server {
    let fixed = [("bind", "127.0.0.1:0"), ("admin-port", "0"), ("save", ""), ("threads", "2")];
    Server::start(Config::with(fixed.into_iter().chain(settings.iter().copied())).unwrap()).unwrap()
}

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn receive(stream: &mut impl Read, len: usize) -> String {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn ask(stream: &mut (impl Read + Write), request: &[u8], reply: &str) {
    stream.write_all(request).unwrap();
    assert_eq!(receive(stream, reply.len()), reply);
}

/// Everything until the server closes the connection.
fn receive_all(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        read => drop(read.unwrap()),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Looks again until `holds`, for as long as a slow machine may take.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Clock::default();
    let start: Instant = clock.instant();
    while !holds() {
        assert!(clock.instant() - start < Duration::from_secs(20), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_pipeline_longer_than_a_turn_is_answered_in_order() {
    let server = start(&[]);
    let mut stream = connect(&server);
    let mut writer = stream.try_clone().unwrap();
    let sent: String = (0..20_000).map(|number| format!("*2\r\n$4\r\nECHO\r\n$5\r\n{number:05}\r\n")).collect();
    let expected: String = (0..20_000).map(|number| format!("$5\r\n{number:05}\r\n")).collect();
    let writing = std::thread::spawn(move || writer.write_all(sent.as_bytes()).unwrap());
    assert!(receive(&mut stream, expected.len()) == expected);
    writing.join().unwrap();
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = start(&[]);
    let mut stream = connect(&server);
    stream.set_nodelay(true).unwrap();
    for request in [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nab\r\n".as_slice(), b"set k \"a b\"\r\n"] {
        for byte in request {
            stream.write_all(&[*byte]).unwrap();
        }
        assert_eq!(receive(&mut stream, 5), "+OK\r\n");
    }
    ask(&mut stream, b"GET k\r\nGET k\r\n", "$3\r\na b\r\n$3\r\na b\r\n");
}

#[test]
fn a_large_argument_arrives_whole_and_its_buffer_is_given_back() {
    let server = start(&[]);
    let mut stream = connect(&server);
    let value = "v".repeat(20 << 20);
    stream.write_all(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", value.len()).as_bytes()).unwrap();
    stream.write_all(value.as_bytes()).unwrap();
    ask(&mut stream, b"\r\n", "+OK\r\n");
    ask(&mut stream, b"STRLEN k\r\n", ":20971520\r\n");
    let handle = server.shared().registry.list().remove(0);
    wait_until("the buffer is given back", || handle.input_capacity.load(std::sync::atomic::Ordering::Relaxed) == 0);
}

#[test]
fn the_start_of_a_request_waits_in_a_buffer_of_its_length() {
    let server = start(&[]);
    let mut stream = connect(&server);
    stream.write_all(b"PING\r\n*2\r\n$4\r\nECHO\r\n$5\r\nhel").unwrap();
    assert_eq!(receive(&mut stream, 7), "+PONG\r\n");
    let handle = server.shared().registry.list().remove(0);
    wait_until("the buffer is small", || handle.input_capacity.load(std::sync::atomic::Ordering::Relaxed) == 21);
    ask(&mut stream, b"lo\r\nPING\r\n", "$5\r\nhello\r\n+PONG\r\n");
}

#[test]
fn a_client_that_never_reads_costs_the_mark_and_one_reply() {
    let server = start(&[]);
    let mut other = connect(&server);
    let mut stream = connect(&server);
    let value = "v".repeat(4096);
    ask(&mut stream, format!("SET k {value}\r\n").as_bytes(), "+OK\r\n");
    stream.set_nonblocking(true).unwrap();
    let requests = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".repeat(1000);
    let mut stuck = 0;
    while stuck < 1000 {
        match stream.write(&requests) {
            Ok(0) | Err(_) => {
                ask(&mut other, b"PING\r\n", "+PONG\r\n");
                stuck += 1;
            }
            Ok(_) => stuck = 0,
        }
    }
    let shared = server.shared();
    for handle in shared.registry.list() {
        assert!(handle.output_len.load(std::sync::atomic::Ordering::Relaxed) < super::output::MARK as u64 + 8192);
        assert!(handle.input_capacity.load(std::sync::atomic::Ordering::Relaxed) <= 64 << 10);
    }
}

#[test]
fn a_stalled_client_goes_on_where_it_was_when_it_reads() {
    let server = start(&[]);
    let mut stream = connect(&server);
    let value = "v".repeat(100_000);
    ask(&mut stream, format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n{value}\r\n").as_bytes(), "+OK\r\n");
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&b"GET k\r\n".repeat(300)).unwrap());
    let expected = format!("$100000\r\n{value}\r\n");
    for _ in 0..300 {
        assert!(receive(&mut stream, expected.len()) == expected);
    }
    writing.join().unwrap();
}

#[test]
fn output_above_the_hard_limit_closes_the_client() {
    let server = start(&[("client-output-buffer-limit", "normal 100000 0 0")]);
    let mut stream = connect(&server);
    let value = "v".repeat(60_000);
    ask(&mut stream, format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$60000\r\n{value}\r\n").as_bytes(), "+OK\r\n");
    ask(&mut stream, b"GET k\r\n", &format!("$60000\r\n{value}\r\n"));
    stream.write_all(b"MGET k k\r\nPING\r\n").unwrap();
    assert!(!receive_all(&mut stream).contains("PONG"));
}

#[test]
fn one_client_too_many_is_told_so() {
    let server = start(&[("maxclients", "1")]);
    let mut first = connect(&server);
    ask(&mut first, b"PING\r\n", "+PONG\r\n");
    assert_eq!(receive_all(&mut connect(&server)), "-ERR max number of clients reached\r\n");
    drop(first);
    wait_until("the place is free again", || server.shared().registry.len() == 0);
    ask(&mut connect(&server), b"PING\r\n", "+PONG\r\n");
}

#[test]
fn an_idle_client_is_closed_and_a_busy_one_is_not() {
    let server = start(&[("timeout", "60")]);
    let clock = &server.shared().clock;
    let now_ms = clock.now_ms();
    clock.hold(now_ms);
    let (mut idle, mut busy) = (connect(&server), connect(&server));
    [&mut idle, &mut busy].into_iter().for_each(|stream| ask(stream, b"PING\r\n", "+PONG\r\n"));
    clock.hold(now_ms + 59_000);
    ask(&mut busy, b"PING\r\n", "+PONG\r\n");
    let mut monitor = connect(&server);
    ask(&mut monitor, b"MONITOR\r\n", "+OK\r\n");
    clock.hold(now_ms + 61_000);
    assert_eq!(receive_all(&mut idle), "");
    clock.hold(now_ms + 121_000);
    assert_eq!(receive_all(&mut busy), "");
    assert!(server.shared().registry.list().len() == 1, "who watches with MONITOR is never idle");
    let mut busy = connect(&server);
    ask(&mut busy, b"PING\r\n", "+PONG\r\n");
}

#[test]
fn a_killed_client_is_closed_and_no_longer_listed() {
    let server = start(&[]);
    let mut stream = connect(&server);
    ask(&mut stream, b"PING\r\n", "+PONG\r\n");
    let registry = &server.shared().registry;
    let id = registry.list()[0].id;
    assert!(registry.kill(id));
    assert!(!registry.kill(id));
    assert!(registry.list().is_empty());
    assert_eq!(receive_all(&mut stream), "");
}

#[test]
fn a_push_from_another_thread_reaches_its_client() {
    let server = start(&[]);
    let mut stream = connect(&server);
    ask(&mut stream, b"PING\r\n", "+PONG\r\n");
    let registry = &server.shared().registry;
    let push = b">1\r\n+news\r\n".as_slice().into();
    assert!(registry.push(registry.list()[0].id, &push));
    assert_eq!(receive(&mut stream, 11), ">1\r\n+news\r\n");
}

#[test]
fn a_pause_holds_requests_back_and_its_end_runs_them_in_order() {
    let server = start(&[]);
    let mut stream = connect(&server);
    ask(&mut stream, b"SET k 1\r\n", "+OK\r\n");
    let shared = server.shared();
    let now_ms = shared.clock.now_ms();
    shared.pause.start(now_ms + 3_600_000, false, now_ms);
    stream.write_all(b"GET k\r\nset k \"2 3\"\r\nGET k\r\nPING\r\n").unwrap();
    assert_eq!(receive(&mut stream, 7), "$1\r\n1\r\n");
    wait_until("the write is held back", || {
        shared.registry.list()[0].input_len.load(std::sync::atomic::Ordering::Relaxed) > 0
    });
    shared.pause.end();
    shared.registry.wake_all();
    let expected = "+OK\r\n$3\r\n2 3\r\n+PONG\r\n";
    assert_eq!(receive(&mut stream, expected.len()), expected);
}

#[test]
fn a_broken_request_is_answered_after_the_ones_before_it_and_closes_only_its_client() {
    let server = start(&[]);
    let (mut stream, mut other) = (connect(&server), connect(&server));
    stream.write_all(b"PING\r\n*1\r\n!4\r\nPING\r\nPING\r\n").unwrap();
    assert_eq!(receive_all(&mut stream), "+PONG\r\n-ERR Protocol error: expected '$', got '!'\r\n");
    ask(&mut other, b"PING\r\n", "+PONG\r\n");
}

#[test]
fn a_long_reply_arrives_whole_though_it_is_sent_in_parts() {
    let server = start(&[("threads", "1")]);
    let mut stream = connect(&server);
    let len = 40 << 20;
    ask(&mut stream, format!("SETRANGE k {} x\r\n", len - 1).as_bytes(), &format!(":{len}\r\n"));
    stream.write_all(b"GET k\r\nPING\r\n").unwrap();
    let reply = receive(&mut stream, len + 13 + 7);
    assert!(reply.starts_with("$41943040\r\n\0") && reply.ends_with("x\r\n+PONG\r\n"));
}

#[test]
fn a_pipeline_of_slow_commands_gives_others_their_turn() {
    let server = start(&[("threads", "1")]);
    let (mut slow, mut other) = (connect(&server), connect(&server));
    ask(&mut other, b"PING\r\n", "+PONG\r\n");
    let count = 150;
    slow.write_all(&b"*3\r\n$5\r\nDEBUG\r\n$5\r\nSLEEP\r\n$4\r\n0.02\r\n".repeat(count)).unwrap();
    let handle = server.shared().registry.list().remove(0);
    let done = || handle.commands.load(std::sync::atomic::Ordering::Relaxed);
    wait_until("the first ones have run", || done() > 0);
    ask(&mut other, b"PING\r\n", "+PONG\r\n");
    assert!(done() < count as u64, "the other client waited for all of them");
    assert_eq!(receive(&mut slow, 5 * count), "+OK\r\n".repeat(count));
}

#[test]
fn a_client_that_sends_and_closes_its_half_is_answered() {
    let server = start(&[]);
    let mut stream = connect(&server);
    stream.write_all(&b"PING\r\n".repeat(5000)).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(receive_all(&mut stream) == "+PONG\r\n".repeat(5000));
}

#[test]
fn a_line_of_http_closes_the_connection_and_nothing_behind_it_runs() {
    let server = start(&[]);
    for line in ["POST / HTTP/1.1\r\nSET a b\r\n", "host: x\r\nSET a b\r\n", "*1\r\n$5\r\nHost:\r\nSET a b\r\n"] {
        let mut stream = connect(&server);
        stream.write_all(format!("PING\r\n{line}").as_bytes()).unwrap();
        assert_eq!(receive_all(&mut stream), "+PONG\r\n");
    }
    ask(&mut connect(&server), b"EXISTS a\r\n", ":0\r\n");
}

#[test]
fn a_unix_socket_serves_and_is_gone_after_the_stop() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let server = start(&[("unixsocket", path.to_str().unwrap()), ("unixsocketperm", "700")]);
    let mut stream = UnixStream::connect(&path).unwrap();
    ask(&mut stream, b"PING\r\n", "+PONG\r\n");
    assert!(server.shared().registry.list()[0].flags().contains(HandleFlags::UNIX_SOCKET));
    server.stop().unwrap();
    assert!(!path.exists());
}

#[test]
fn a_stop_sends_what_was_answered_and_closes() {
    let server = start(&[]);
    let mut stream = connect(&server);
    ask(&mut stream, b"PING\r\n", "+PONG\r\n");
    let address = server.address().unwrap();
    server.stop().unwrap();
    assert_eq!(receive_all(&mut stream), "");
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn connections_are_spread_over_the_threads() {
    let server = start(&[("threads", "4")]);
    let mut streams: Vec<TcpStream> = (0..8).map(|_| connect(&server)).collect();
    streams.iter_mut().for_each(|stream| ask(stream, b"PING\r\n", "+PONG\r\n"));
    let mut workers: Vec<u32> = server.shared().registry.list().iter().map(|handle| handle.worker).collect();
    workers.sort_unstable();
    assert_eq!(workers, [0, 0, 1, 1, 2, 2, 3, 3]);
}

#[test]
fn a_query_buffer_above_its_limit_closes_the_client() {
    let server = start(&[("client-query-buffer-limit", "1mb")]);
    let mut stream = connect(&server);
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        let _ = writer.write_all(b"*2\r\n$3\r\nGET\r\n$8000000\r\n");
        let _ = writer.write_all(&vec![b'x'; 8_000_000]);
    });
    assert_eq!(receive_all(&mut stream), "");
    writing.join().unwrap();
}

#[test]
fn a_session_without_a_connection_has_a_handle_too() {
    assert_eq!(Client::new(7).handle.id, 7);
}
