//! A blocking client of a few lines: what `redis-cli` would be to a person. RESP2, one call after the other.

use crate::clock::PATIENCE;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Longest reply that is read, in bytes.
const REPLY_LEN_MAX: usize = 512 << 20;

/// What a server answers.
///
/// ```
/// use scrubjay_harness::Reply;
/// assert_eq!(Reply::Text(b"OK".to_vec()).text(), "OK");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A status or a value.
    Text(Vec<u8>),
    /// A number.
    Number(i64),
    /// No value.
    Nil,
    /// Several.
    List(Vec<Reply>),
    /// The server's own words of what is wrong.
    Error(String),
}

impl Reply {
    /// The text; a number in digits; `""` for no value. Panics on an error reply and on a list.
    #[track_caller]
    pub fn text(&self) -> String {
        match self {
            Reply::Text(text) => String::from_utf8_lossy(text).into_owned(),
            Reply::Number(number) => number.to_string(),
            Reply::Nil => String::new(),
            other => panic!("a text was expected, not {other:?}"),
        }
    }

    /// The number, of a number or of digits. Panics on anything else.
    #[track_caller]
    pub fn number(&self) -> i64 {
        self.text().parse().unwrap_or_else(|_| panic!("a number was expected, not {self:?}"))
    }

    /// The texts of a list. Panics on anything else.
    #[track_caller]
    pub fn texts(&self) -> Vec<String> {
        match self {
            Reply::List(replies) => replies.iter().map(Reply::text).collect(),
            other => panic!("a list was expected, not {other:?}"),
        }
    }
}

/// One connection to a server, for what a test does behind the back of the library.
///
/// ```no_run
/// let server = scrubjay_harness::RedisServer::start();
/// let mut console = server.console();
/// console.ok(&["SET", "greeting", "hello"]);
/// assert_eq!(console.call(&["GET", "greeting"]).text(), "hello");
/// ```
#[derive(Debug)]
pub struct Console {
    reader: BufReader<TcpStream>,
}

impl Console {
    /// Connects. The error is the system's.
    pub fn connect(address: SocketAddr) -> std::io::Result<Console> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Console { reader: BufReader::new(stream) })
    }

    /// Speaks one command and returns the reply, an error reply included. Panics when the connection is lost.
    #[track_caller]
    pub fn call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> Reply {
        self.try_call(arguments).unwrap_or_else(|error| panic!("the console's connection: {error}"))
    }

    /// As [`Console::call`], for commands that answer OK. Panics when something else is answered.
    #[track_caller]
    pub fn ok<A: AsRef<[u8]>>(&mut self, arguments: &[A]) {
        let reply = self.call(arguments);
        assert_eq!(reply, Reply::Text(b"OK".to_vec()), "to {}", shown(arguments));
    }

    /// As [`Console::call`]; a lost connection is an error, after 30 s of silence too.
    pub fn try_call<A: AsRef<[u8]>>(&mut self, arguments: &[A]) -> std::io::Result<Reply> {
        let mut bytes = format!("*{}\r\n", arguments.len()).into_bytes();
        for argument in arguments.iter().map(AsRef::as_ref) {
            bytes.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
            bytes.extend_from_slice(argument);
            bytes.extend_from_slice(b"\r\n");
        }
        self.reader.get_mut().write_all(&bytes)?;
        self.reply()
    }

    fn reply(&mut self) -> std::io::Result<Reply> {
        let line = self.line()?;
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| broken("an empty line"))?;
        Ok(match kind {
            "+" => Reply::Text(rest.as_bytes().to_vec()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Number(rest.parse().map_err(|_| broken(rest))?),
            "$" => match length(rest)? {
                None => Reply::Nil,
                Some(len) => {
                    let mut bytes = vec![0; len + 2];
                    self.reader.read_exact(&mut bytes)?;
                    bytes.truncate(len);
                    Reply::Text(bytes)
                }
            },
            "*" => match length(rest)? {
                None => Reply::Nil,
                Some(count) => Reply::List((0..count).map(|_| self.reply()).collect::<Result<_, _>>()?),
            },
            _ => return Err(broken(&line)),
        })
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

fn length(digits: &str) -> std::io::Result<Option<usize>> {
    if digits == "-1" {
        return Ok(None);
    }
    digits.parse().ok().filter(|len| *len <= REPLY_LEN_MAX).map(Some).ok_or_else(|| broken(digits))
}

fn broken(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, format!("not a reply: {what}"))
}

pub(crate) fn shown<A: AsRef<[u8]>>(arguments: &[A]) -> String {
    let words = arguments.iter().map(|argument| String::from_utf8_lossy(argument.as_ref()).into_owned());
    words.collect::<Vec<_>>().join(" ")
}
