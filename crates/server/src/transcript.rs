//! A client for tests: it sends a line of words to a server in this process and shows the reply as it came, on one line.

use crate::{Config, Server};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Starts a server with these settings on a free port.
pub(crate) fn serve(settings: &[(&str, &str)]) -> SocketAddr {
    let settings = settings.iter().copied().chain([("bind", "127.0.0.1:0"), ("admin-port", "0")]);
    let server = Server::start(Config::with(settings).unwrap()).unwrap();
    let address = server.address().unwrap();
    // It serves until the process of the tests ends.
    std::mem::forget(server);
    address
}

/// One connection. A reply that does not come within seconds fails the test.
pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Peer { stream: BufReader::new(stream) }
    }

    /// Sends words without waiting for a reply. A word `""` is empty, `_` inside a word stays.
    pub(crate) fn send(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').map(|word| if word == "\"\"" { "" } else { word }).collect();
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        // A connection that is closed shows when its reply is read.
        let _ = self.stream.get_mut().write_all(request.as_bytes());
    }

    /// The next reply or push, line ends shown as blanks. `closed` when the server closed the connection.
    pub(crate) fn receive(&mut self) -> String {
        let mut text = String::new();
        if self.read_reply(&mut text).is_none() {
            text.push_str("closed");
        }
        text.trim_end().replace("\r\n", " ")
    }

    /// Sends words and shows the reply.
    pub(crate) fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.receive()
    }

    /// Asks every line and compares, naming the line that differs.
    pub(crate) fn check(&mut self, transcript: &[(&str, &str)]) {
        for (line, reply) in transcript {
            assert_eq!(self.ask(line), *reply, "{line}");
        }
    }

    fn read_reply(&mut self, text: &mut String) -> Option<()> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => return None,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            read => read.unwrap(),
        };
        text.push_str(&line);
        let len: i64 = line.trim_end()[1..].parse().unwrap_or(-1);
        match line.as_bytes()[0] {
            b'$' | b'=' if len >= 0 => {
                let mut body = vec![0; usize::try_from(len).unwrap() + 2];
                self.stream.read_exact(&mut body).unwrap();
                text.push_str(&String::from_utf8_lossy(&body));
            }
            b'*' | b'~' | b'>' => (0..len).try_for_each(|_| self.read_reply(text))?,
            b'%' => (0..len * 2).try_for_each(|_| self.read_reply(text))?,
            _ => {}
        }
        Some(())
    }
}
