//! Requests that are unusual or broken: Redis' replies, a closed connection where Redis closes it, and nobody else notices.

use crate::client::{Client, encode};
use crate::frame::Frame;
use crate::servers::{Address, Oracle, Ours};

/// Sends `bytes` in pieces of `piece_len` and reads until the server closes the connection.
fn replies_until_closed(address: &Address, bytes: &[u8], piece_len: usize) -> Vec<Frame> {
    let mut client = Client::connect(address);
    for piece in bytes.chunks(piece_len) {
        if !client.send_raw(piece) {
            break;
        }
    }
    let mut replies = Vec::new();
    while let Ok(reply) = client.try_receive() {
        replies.push(reply);
    }
    assert!(client.is_closed(), "not closed after {:?}", bytes[..bytes.len().min(100)].escape_ascii().to_string());
    replies
}

/// Sends `bytes` and a last command, and reads up to its reply.
fn replies_until_the_end(address: &Address, bytes: &[u8], piece_len: usize) -> Vec<Frame> {
    let mut client = Client::connect(address);
    let mut bytes = bytes.to_vec();
    encode(&["ECHO", "the end"], &mut bytes);
    for piece in bytes.chunks(piece_len) {
        assert!(client.send_raw(piece));
    }
    let mut replies = Vec::new();
    loop {
        match client.receive() {
            end if end.bytes() == b"the end" => return replies,
            reply => replies.push(reply),
        }
    }
}

fn long(start: &str) -> Vec<u8> {
    [start.as_bytes(), &vec![b'1'; (64 << 10) + 1]].concat()
}

#[test]
fn broken_frames_get_redis_errors_and_a_closed_connection() {
    let (ours, oracle) = (Ours::start(4), Oracle::start());
    let mut bystander = ours.connect();
    let broken: &[&[u8]] = &[
        b"*x\r\n",
        b"*\r\n",
        b"*1.5\r\n",
        b"* 1\r\n",
        b"*01\r\n",
        b"*2147483648\r\n",
        b"*99999999999999999999\r\n",
        b"*1\r\nPING\r\n",
        b"*1\r\n\r\n",
        b"*1\r\n:1\r\n",
        b"*1\r\n$x\r\n",
        b"*1\r\n$\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$536870913\r\n",
        b"*1\r\n$99999999999999999999\r\n",
        b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n",
        b"PING\r\n*1\r\n$4\r\nPING\r\n*1\r\n#4\r\nPING\r\n",
        b"set a \"b\r\n",
        b"set a \"b\"c\r\n",
        b"set a 'b\r\n",
        b"PING\r\nset a \"b\r\nPING\r\n",
        &long(""),
        &long("*"),
        &long("*1\r\n$"),
        b"QUIT\r\nPING\r\n",
    ];
    for bytes in broken {
        for piece_len in [usize::MAX, 1000, 3] {
            if piece_len == 3 && bytes.len() > 1000 {
                continue;
            }
            let ours = replies_until_closed(&ours.address, bytes, piece_len);
            let oracle = replies_until_closed(&oracle.address, bytes, piece_len);
            assert_eq!(ours, oracle, "{}", bytes[..bytes.len().min(100)].escape_ascii());
            assert_eq!(bystander.say("PING").bytes(), b"PONG");
        }
    }
}

#[test]
fn unusual_frames_are_taken_as_redis_takes_them() {
    let (ours, oracle) = (Ours::start(4), Oracle::start());
    let unusual: &[&[u8]] = &[
        b"",
        b"\r\n\r\n\n",
        b"*0\r\n*-1\r\n*-10\r\n",
        b"PING\r\n",
        b"ping\n",
        b"  ECHO   hello  \r\n",
        b"ECHO \"a\\x00\\n\\\"b\" \r\n",
        b"ECHO 'a\\'b\\n'\r\n",
        b"ECHO \"\"\r\n",
        b"SET inline \"with space\"\r\nGET inline\r\n",
        b"\tPING\t\r\n",
        b"nonsense a b c\r\n",
        b"*1\r\n$0\r\n\r\n",
        b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
        b"*2\r\n$4\r\nECHO\r\n$12\r\n*1\r\n$4\r\nPING\r\n",
        b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
        b"PING\r\n*1\r\n$4\r\nPING\r\n\r\nPING hello\r\n*0\r\nPING\r\n",
    ];
    for bytes in unusual {
        for piece_len in [usize::MAX, 1, 2, 5] {
            let ours = replies_until_the_end(&ours.address, bytes, piece_len);
            let oracle = replies_until_the_end(&oracle.address, bytes, piece_len);
            assert_eq!(ours, oracle, "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn an_unknown_client_may_send_only_small_requests() {
    let (ours, oracle) = (Ours::with(1, &[("requirepass", "secret")]), Oracle::with(&["--requirepass", "secret"]));
    let broken: &[&[u8]] =
        &[b"*11\r\n", b"*1\r\n$16385\r\n", b"PING\r\n*11\r\n", b"*2147483648\r\n", b"*1\r\n$536870913\r\n"];
    for bytes in broken {
        let ours = replies_until_closed(&ours.address, bytes, usize::MAX);
        assert_eq!(ours, replies_until_closed(&oracle.address, bytes, usize::MAX), "{}", bytes.escape_ascii());
    }
    let large = [b"AUTH secret\r\n*2\r\n$4\r\nECHO\r\n$16385\r\n".as_slice(), &[b'x'; 16385], b"\r\n"].concat();
    let ours = replies_until_the_end(&ours.address, &large, usize::MAX);
    assert_eq!(ours, replies_until_the_end(&oracle.address, &large, usize::MAX));
    assert_eq!(ours.len(), 2);
}

#[test]
fn a_limit_on_arguments_is_the_one_that_was_set() {
    let set = [("proto-max-bulk-len", "1048576")];
    let (ours, oracle) = (Ours::with(1, &set), Oracle::with(&["--proto-max-bulk-len", "1048576"]));
    let bytes = b"*1\r\n$1048577\r\n";
    let ours_replies = replies_until_closed(&ours.address, bytes, usize::MAX);
    assert_eq!(ours_replies, replies_until_closed(&oracle.address, bytes, usize::MAX));
    let bytes = [b"*2\r\n$4\r\nECHO\r\n$1048576\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    let ours_replies = replies_until_the_end(&ours.address, &bytes, usize::MAX);
    assert_eq!(ours_replies, replies_until_the_end(&oracle.address, &bytes, usize::MAX));
}

#[test]
fn many_arguments_and_large_values_come_back_whole() {
    let ours = Ours::start(4);
    let mut client = ours.connect();
    let keys: Vec<String> = (0..100_000).map(|number| format!("key:{number}")).collect();
    let pairs: Vec<&str> = keys.iter().flat_map(|key| [key.as_str(), key.as_str()]).collect();
    assert_eq!(client.call(&[&["MSET"], &pairs[..]].concat()).bytes(), b"OK");
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let values = client.call(&[&["MGET"], &names[..]].concat());
    assert!(values.items().iter().map(Frame::bytes).eq(names.iter().map(|name| name.as_bytes())));
    let large = "0123456789".repeat(2_000_000);
    assert_eq!(client.call(&["SET", "large", &large]).bytes(), b"OK");
    assert_eq!(client.say("GET large").bytes(), large.as_bytes());
}
