//! The parser against the naive one, at every split, and what Redis answers to requests that break the protocol.

use super::naive::{self, Outcome};
use super::*;
use proptest::prelude::*;

/// One connection as the reactor would run it: bytes come in pieces, requests go out.
#[derive(Default)]
struct Connection {
    parser: Parser,
    buffer: Vec<u8>,
    limits: Limits,
    requests: Vec<Vec<Vec<u8>>>,
    error: Option<ProtocolError>,
}

impl Connection {
    fn feed(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
        let (mut start, mut spans) = (0, Vec::new());
        while self.error.is_none() && start < self.buffer.len() {
            spans.clear();
            match self.parser.next(&mut self.buffer, start, &self.limits, &mut spans) {
                Ok(Progress::Complete { end }) => {
                    let arg = |span: &Span| self.buffer[span.start as usize..][..span.len as usize].to_vec();
                    self.requests.push(spans.iter().map(arg).collect());
                    start = end;
                }
                Ok(Progress::Incomplete { missing }) => {
                    assert!(missing > 0 && spans.is_empty());
                    break;
                }
                Err(error) => self.error = Some(error),
            }
        }
        self.buffer.drain(..start);
    }
}

fn parse_in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Connection {
    let mut connection = Connection::default();
    pieces.into_iter().for_each(|piece| connection.feed(piece));
    connection
}

fn parse_naively(mut bytes: &[u8]) -> (Vec<Vec<Vec<u8>>>, Option<&'static str>) {
    let mut requests = Vec::new();
    loop {
        match naive::parse(bytes) {
            Outcome::Complete(args, len) => {
                requests.push(args);
                bytes = &bytes[len..];
            }
            Outcome::Incomplete => return (requests, None),
            Outcome::Error(error) => return (requests, Some(error)),
        }
    }
}

fn compare(connection: &Connection, expected: &(Vec<Vec<Vec<u8>>>, Option<&'static str>), how: &str) {
    assert_eq!(connection.requests, expected.0, "{how}");
    let text = connection.error.map(|error| error.to_string());
    match (&text, expected.1) {
        (Some(text), Some(error)) => {
            assert!(text.starts_with(&format!("ERR Protocol error: {error}")), "{how}: {text}")
        }
        (None, None) => {}
        differs => panic!("{how}: {differs:?}"),
    }
}

/// Whole, in two pieces at every place, and byte by byte: always what the naive parser finds.
fn check_every_split(bytes: &[u8]) {
    let expected = parse_naively(bytes);
    compare(&parse_in_pieces([bytes]), &expected, "whole");
    compare(&parse_in_pieces(bytes.chunks(1)), &expected, "byte by byte");
    for at in 1..bytes.len() {
        compare(&parse_in_pieces([&bytes[..at], &bytes[at..]]), &expected, &format!("split at {at}"));
    }
}

fn check_error(bytes: &[u8], text: &str) {
    let connection = parse_in_pieces([bytes]);
    assert_eq!(connection.error.map(|error| error.to_string()), Some(format!("ERR Protocol error: {text}")));
    check_every_split(bytes);
}

fn encode(args: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn words(line: &str) -> Vec<Vec<u8>> {
    let connection = parse_in_pieces([line.as_bytes()]);
    assert_eq!(connection.error, None);
    check_every_split(line.as_bytes());
    connection.requests.concat()
}

#[test]
fn pipelined_requests_come_out_whole_at_every_split() {
    check_every_split(
        b"*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n*1\r\n$4\r\nPING\r\n*0\r\n\r\n*-1\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
    );
    let long = vec![b"SET".to_vec(), vec![b'k'; 12], vec![b'v'; 123], b"a\r\nb\0".to_vec()];
    check_every_split(&[encode(&long), encode(&vec![b"x".to_vec(); 12]), b"GET \"a b\" 'c'\n".to_vec()].concat());
}

#[test]
fn inline_quotes_and_escapes_are_redis_ones() {
    assert_eq!(words("  set  foo\tbar \r\n"), [b"set", b"foo", b"bar"]);
    assert_eq!(words("\"a\\x41\\n\\r\\t\\b\\a\\q\\\"\\\\\" ''\n"), [b"aA\n\r\t\x08\x07q\"\\".as_slice(), b""]);
    assert_eq!(words("'a\\'b\\n' a\"b c\" \"\\xzz\"\n"), [b"a'b\\n".as_slice(), b"ab c", b"xzz"]);
    assert_eq!(words("a\\nb x\x0by \x0c z\n"), [b"a\\nb".as_slice(), b"x\x0by", b"z"]);
    assert_eq!(words("\r\n\n   \n"), Vec::<Vec<u8>>::new());
}

#[test]
fn broken_requests_get_redis_errors() {
    check_error(b"*x\r\n", "invalid multibulk length");
    check_error(b"*\r\n", "invalid multibulk length");
    check_error(b"*01\r\n", "invalid multibulk length");
    check_error(b"*+1\r\n", "invalid multibulk length");
    check_error(b"*2147483648\r\n", "invalid multibulk length");
    check_error(b"*99999999999999999999999\r\n", "invalid multibulk length");
    check_error(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n", "expected '$', got 'f'");
    check_error(b"*1\r\n\r\n", "expected '$', got ' '");
    check_error(b"*1\r\n$-1\r\n", "invalid bulk length");
    check_error(b"*1\r\n$\r\n", "invalid bulk length");
    check_error(b"*1\r\n$blabla\r\n", "invalid bulk length");
    check_error(b"*1\r\n$2000000000\r\n", "invalid bulk length");
    check_error(b"*1\r\n$18446744073709551615\r\n", "invalid bulk length");
    check_error(b"get \"a\n", "unbalanced quotes in request");
    check_error(b"get \"a\"b\n", "unbalanced quotes in request");
    check_error(b"get 'a\\'\n", "unbalanced quotes in request");
    check_error(b"get \"a\\\"\r\n", "unbalanced quotes in request");
}

#[test]
fn unauthenticated_clients_are_held_to_ten_small_arguments() {
    let parse = |bytes: &[u8]| {
        let limits = Limits { is_unauthenticated: true, ..Limits::default() };
        let mut connection = Connection { limits, ..Connection::default() };
        connection.feed(bytes);
        connection.error
    };
    assert_eq!(parse(b"*10\r\n"), None);
    assert_eq!(parse(b"*11\r\n"), Some(ProtocolError::UnauthenticatedCount));
    assert_eq!(parse(b"*2147483648\r\n"), Some(ProtocolError::InvalidCount));
    assert_eq!(parse(b"*1\r\n$16384\r\n"), None);
    assert_eq!(parse(b"*1\r\n$16385\r\n"), Some(ProtocolError::UnauthenticatedBulkLen));
    assert_eq!(parse(b"*1\r\n$536870913\r\n"), Some(ProtocolError::InvalidBulkLen));
}

#[test]
fn limits_hold_at_their_value_and_break_one_above() {
    let parse = |bytes: &[u8]| {
        let limits = Limits { args_max: 100, bulk_len_max: 1000, ..Limits::default() };
        let mut connection = Connection { limits, ..Connection::default() };
        connection.feed(bytes);
        connection.error
    };
    assert_eq!(parse(b"*100\r\n"), None);
    assert_eq!(parse(b"*101\r\n"), Some(ProtocolError::InvalidCount));
    assert_eq!(parse(b"*1\r\n$1000\r\n"), None);
    assert_eq!(parse(b"*1\r\n$1001\r\n"), Some(ProtocolError::InvalidBulkLen));
    let lines = [
        ("a", "\n", ProtocolError::InlineTooBig),
        ("*", "\r\n", ProtocolError::CountLineTooBig),
        ("*1\r\n$", "\r\n", ProtocolError::BulkLineTooBig),
    ];
    for (before, end, too_big) in lines {
        let line = |len: usize| {
            format!("{before}{}", "0".repeat(len + 1 - before.len() + before.rfind('\n').map_or(0, |at| at + 1) - 1))
        };
        assert_eq!(parse(line(64 << 10).as_bytes()), None);
        assert_ne!(parse((line(64 << 10) + end).as_bytes()), Some(too_big));
        assert_eq!(parse(line((64 << 10) + 1).as_bytes()), Some(too_big));
    }
}

#[test]
fn announced_lengths_reserve_nothing() {
    let connection = parse_in_pieces([b"*2147483647\r\n$3\r\nGET\r\n$536870912\r\nabc".as_slice()]);
    assert!(connection.error.is_none());
    assert!(connection.parser.spans.capacity() < 100);
}

#[test]
fn missing_bytes_of_an_argument_are_told() {
    let (mut parser, mut spans) = (Parser::default(), Vec::new());
    let mut buffer = b"*1\r\n$1000\r\nabc".to_vec();
    let progress = parser.next(&mut buffer, 0, &Limits::default(), &mut spans);
    assert_eq!(progress, Ok(Progress::Incomplete { missing: 999 }));
}

#[test]
fn a_request_may_move_while_it_is_half_read() {
    let whole = encode(&[b"SET".to_vec(), b"key".to_vec(), vec![7; 300]]);
    for at in 1..whole.len() {
        let (mut parser, mut spans) = (Parser::default(), vec![Span { start: 0, len: 1 }]);
        let mut buffer = [b"xyz", &whole[..at]].concat();
        let progress = parser.next(&mut buffer, 3, &Limits::default(), &mut spans);
        assert!(matches!(progress, Ok(Progress::Incomplete { .. })), "split at {at}");
        let mut buffer = [b"abcdefg", &whole[..], b"tail"].concat();
        let progress = parser.next(&mut buffer, 7, &Limits::default(), &mut spans);
        assert_eq!(progress, Ok(Progress::Complete { end: 7 + whole.len() }), "split at {at}");
        let args: Vec<&[u8]> =
            spans[1..].iter().map(|span| &buffer[span.start as usize..][..span.len as usize]).collect();
        assert_eq!(args, [b"SET".as_slice(), b"key", &[7; 300]], "split at {at}");
    }
}

/// A quadratic parser would look at 10^11 bytes or copy 10^10 spans here, and take minutes.
#[test]
fn large_requests_in_small_pieces_cost_linear_time() {
    let (mut parser, mut spans) = (Parser::default(), Vec::new());
    let many = encode(&vec![b"a".to_vec(); 200_000]);
    let large = encode(&[vec![b'b'; 8 << 20]]);
    let inline = [b"c ".repeat(30_000), b"\n".to_vec()].concat();
    for (mut whole, args, step) in [(many, 200_000, 7), (large, 1, 64), (inline, 30_000, 1)] {
        spans.clear();
        let last = whole.len();
        for end in (1..last).step_by(step).chain([last]) {
            let progress = parser.next(&mut whole[..end], 0, &Limits::default(), &mut spans);
            assert_eq!(matches!(progress, Ok(Progress::Complete { .. })), end == last);
        }
        assert_eq!(spans.len(), args);
    }
}

/// SplitMix64: the runs below are the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

/// Valid requests with bytes changed, removed, doubled and inserted, fed in pieces of any size.
#[test]
fn mutated_requests_never_panic_and_agree_with_the_naive_parser() {
    const TOKENS: &[&[u8]] =
        &[b"\r\n", b"*", b"$", b"-1", b"0", b"\"", b"'", b"\\", b"\\x4", b" ", b"\n", b"\r", b"\0", b"9999999999"];
    let mut random = Random(20_261_121);
    for round in 0..60_000 {
        let mut bytes = Vec::new();
        for _ in 0..=random.below(4) {
            let args: Vec<Vec<u8>> =
                (0..random.below(5)).map(|_| vec![b'a' + random.below(26) as u8; random.below(30)]).collect();
            match random.below(3) {
                0 => bytes.extend([&args.join(&b" \"q\\x41\" 'b' "[..])[..], b"\r\n"].concat()),
                _ => bytes.extend(encode(&args)),
            }
        }
        for _ in 0..random.below(5) {
            let at = random.below(bytes.len() + 1);
            match random.below(4) {
                0 if at < bytes.len() => bytes[at] = random.next() as u8,
                1 => drop(bytes.drain(at..(at + random.below(4)).min(bytes.len()))),
                _ => drop(bytes.splice(at..at, TOKENS[random.below(TOKENS.len())].iter().copied())),
            }
        }
        let mut connection = Connection::default();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(1 + random.below(rest.len()));
            connection.feed(piece);
            rest = behind;
        }
        compare(&connection, &parse_naively(&bytes), &format!("round {round}: {:?}", String::from_utf8_lossy(&bytes)));
    }
}

proptest! {
    #[test]
    fn any_requests_come_out_as_they_went_in(
        requests in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..130), 1..14), 1..4),
    ) {
        let bytes = requests.iter().flat_map(|args| encode(args)).collect::<Vec<u8>>();
        let connection = parse_in_pieces(bytes.chunks(1));
        prop_assert_eq!(&connection.requests, &requests);
        for at in 0..bytes.len() {
            let connection = parse_in_pieces([&bytes[..at], &bytes[at..]]);
            prop_assert_eq!(&connection.requests, &requests);
        }
    }

    #[test]
    fn any_bytes_agree_with_the_naive_parser(bytes in "[*$0-9 \"'\\\\x\r\nab-]{0,60}") {
        check_every_split(bytes.as_bytes());
    }

    #[test]
    fn any_inline_line_agrees_with_the_naive_parser(bytes in "[a-c \"'\\\\xn0-9\t]{0,40}\r?\n") {
        check_every_split(bytes.as_bytes());
    }
}
