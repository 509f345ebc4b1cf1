//! A client for tests: it sends a line of words to a server in this process and shows the reply as it came, on one line.

use crate::server::Shared;
use crate::{Config, Server};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Starts a server with these settings on a free port.
pub(crate) fn serve(settings: &[(&str, &str)]) -> Served {
    Served::with(settings)
}

/// A server on a free port, for as long as this or a connection to it lives.
#[derive(Clone)]
pub(crate) struct Served {
    server: Arc<Server>,
    /// Its data: removed with it.
    _dir: Arc<TempDir>,
}

impl Served {
    /// A server with default settings.
    pub(crate) fn new() -> Served {
        Served::with(&[])
    }

    /// A server with these settings.
    pub(crate) fn with(settings: &[(&str, &str)]) -> Served {
        let dir = TempDir::new().unwrap();
        let dir_path = dir.path().to_str().unwrap();
        let own = [("bind", "127.0.0.1:0"), ("admin-port", "0"), ("save", ""), ("dir", dir_path)];
        let settings = own.into_iter().chain(settings.iter().copied());
        Served { server: Arc::new(Server::start(Config::with(settings).unwrap()).unwrap()), _dir: Arc::new(dir) }
    }

    /// A new connection to it.
    pub(crate) fn peer(&self) -> Peer {
        Peer::connect(self.clone())
    }

    /// What its threads share.
    pub(crate) fn shared(&self) -> &Shared {
        self.server.shared()
    }
}

/// One connection. A reply that does not come within seconds fails the test.
pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
    _served: Served,
}

impl Peer {
    pub(crate) fn connect(served: Served) -> Peer {
        let stream = TcpStream::connect(served.server.address().unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Peer { stream: BufReader::new(stream), _served: served }
    }

    /// Where it comes from, as the server sees it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.stream.get_ref().local_addr().unwrap()
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
        text.strip_suffix("\r\n").unwrap_or(&text).replace("\r\n", " ")
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
