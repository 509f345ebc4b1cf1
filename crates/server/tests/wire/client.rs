//! A tiny client: sends arguments or raw bytes, reads frames.

use crate::deadline::PATIENCE;
use crate::frame::Frame;
use crate::servers::Address;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

trait Stream: Read + Write + Send {}
impl Stream for TcpStream {}
impl Stream for UnixStream {}

/// One connection. Panics when the server does not answer, or not in RESP.
pub(crate) struct Client {
    stream: BufReader<Box<dyn Stream>>,
    /// Out-of-band pushes that came while a reply was awaited.
    pushes: Vec<Frame>,
}

impl Client {
    pub(crate) fn connect(address: &Address) -> Client {
        let stream: Box<dyn Stream> = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
        };
        Client { stream: BufReader::new(stream), pushes: Vec::new() }
    }

    /// Sends bytes as they are. Says whether the server still takes them.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    pub(crate) fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        let mut bytes = Vec::new();
        encode(args, &mut bytes);
        assert!(self.send_raw(&bytes), "the server closed the connection");
    }

    /// The next frame that is not a push.
    pub(crate) fn try_receive(&mut self) -> Result<Frame> {
        loop {
            let frame = Frame::read(&mut self.stream)?;
            if !frame.is_push() {
                return Ok(frame);
            }
            self.pushes.push(frame);
        }
    }

    pub(crate) fn receive(&mut self) -> Frame {
        self.try_receive().unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    /// The next push: one that came before, or one that is still to come.
    pub(crate) fn receive_push(&mut self) -> Result<Frame> {
        if self.pushes.is_empty() { Frame::read(&mut self.stream) } else { Ok(self.pushes.remove(0)) }
    }

    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Frame {
        self.send(args);
        self.receive()
    }

    /// Calls with the words of `line`.
    pub(crate) fn say(&mut self, line: &str) -> Frame {
        self.call(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Whether the server has closed the connection and sent nothing more.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(rest) => rest.is_empty(),
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// Appends a request.
pub(crate) fn encode<A: AsRef<[u8]>>(args: &[A], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.as_ref().len()).as_bytes());
        bytes.extend_from_slice(arg.as_ref());
        bytes.extend_from_slice(b"\r\n");
    }
}
