//! Debian's redis-server for tests: what it answers is right, where 7.0 and 7.2 agree. It listens on a Unix socket in a
//! directory of its own, so that no port is taken. Requests are made of any bytes, replies come back as they were sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

/// A running redis-server, ended when dropped.
pub(crate) struct Redis {
    process: Child,
    socket: PathBuf,
}

impl Redis {
    /// Starts one whose data is in `dir`, and waits until it has loaded what is there. Saves only when told to.
    pub(crate) fn start(dir: &Path) -> Redis {
        let socket = dir.join("redis.sock");
        let mut process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--enable-debug-command", "yes", "--dir"])
            .arg(dir)
            .arg("--unixsocket")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("redis-server is installed");
        let log: Vec<String> = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .take_while(|line| !line.contains("ready to accept connections"))
            .collect();
        let redis = Redis { process, socket };
        assert!(UnixStream::connect(&redis.socket).is_ok(), "redis-server did not start: {log:#?}");
        redis
    }

    pub(crate) fn connect(&self) -> Wire {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Wire { stream: BufReader::new(Box::new(stream)) }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// A connection to a server of either kind.
pub(crate) struct Wire {
    stream: BufReader<Box<dyn Stream>>,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Wire {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Wire { stream: BufReader::new(Box::new(stream)) }
    }

    /// Sends a request and returns its reply as it came; nothing when the connection was closed instead.
    pub(crate) fn ask(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).into_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&request).unwrap();
        let mut reply = Vec::new();
        if !self.stream.fill_buf().unwrap().is_empty() {
            self.read_reply(&mut reply);
        }
        reply
    }

    /// Asks a line of words; `""` is an empty one.
    pub(crate) fn line(&mut self, line: &str) -> Vec<u8> {
        let words: Vec<&[u8]> =
            line.split(' ').map(|word| if word == "\"\"" { b"" } else { word.as_bytes() }).collect();
        self.ask(&words)
    }

    /// The bytes of a reply that is a bulk string.
    pub(crate) fn bulk(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let reply = self.ask(words);
        let start = reply.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        assert!(reply.starts_with(b"$") && reply.len() > start, "{}", String::from_utf8_lossy(&reply));
        reply[start..reply.len() - 2].to_vec()
    }

    fn read_reply(&mut self, reply: &mut Vec<u8>) {
        let start = reply.len();
        assert!(self.stream.read_until(b'\n', reply).unwrap() > 0, "the connection was closed");
        let len: i64 = std::str::from_utf8(&reply[start + 1..reply.len() - 2])
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(-1);
        match reply[start] {
            b'$' | b'=' if len >= 0 => {
                let body = reply.len();
                reply.resize(body + usize::try_from(len).unwrap() + 2, 0);
                self.stream.read_exact(&mut reply[body..]).unwrap();
            }
            b'*' | b'~' | b'>' => (0..len).for_each(|_| self.read_reply(reply)),
            b'%' => (0..len * 2).for_each(|_| self.read_reply(reply)),
            _ => {}
        }
    }
}
