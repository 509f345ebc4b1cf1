//! The seam to the operating system: which connections are ready, bytes from them, bytes to them.
//!
//! Everything above sees [`Poller::wait`], [`Socket::read`] and [`Socket::write`]; another I/O backend takes the place of
//! this file. **Invariant:** readiness is edge-triggered: once reported, it holds until a read or write says it is used up.

use mio::event::Event;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token, Waker};
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

/// Events taken from the kernel at once; more stay there for the next turn.
const EVENTS_MAX: usize = 1024;
const WAKER: usize = usize::MAX;
const FIRST_LISTENER: usize = usize::MAX / 2;

/// What became ready.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ready {
    /// The connection with this token.
    Connection { token: usize, is_readable: bool, is_writable: bool, is_hung_up: bool },
    /// The listener with this number.
    Listener(usize),
}

/// One thread's poll.
pub(super) struct Poller {
    poll: Poll,
    events: Events,
}

impl Poller {
    pub(super) fn new() -> io::Result<Poller> {
        Ok(Poller { poll: Poll::new()?, events: Events::with_capacity(EVENTS_MAX) })
    }

    /// What ends [`Poller::wait`] from another thread.
    pub(super) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), Token(WAKER))
    }

    /// Watches a connection under `token`, a small number.
    pub(super) fn watch(&self, socket: &mut Socket, token: usize) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match socket {
            Socket::Tcp(stream) => self.poll.registry().register(stream, Token(token), interest),
            Socket::Unix(stream) => self.poll.registry().register(stream, Token(token), interest),
        }
    }

    /// Watches a listener under `number`.
    pub(super) fn watch_listener(&self, listener: &mut Listener, number: usize) -> io::Result<()> {
        let token = Token(FIRST_LISTENER + number);
        match listener {
            Listener::Tcp(listener) => self.poll.registry().register(listener, token, Interest::READABLE),
            Listener::Unix(listener) => self.poll.registry().register(listener, token, Interest::READABLE),
        }
    }

    /// Waits until something is ready, a waker calls or `timeout` is over, and appends what is ready to `ready`.
    pub(super) fn wait(&mut self, timeout: Duration, ready: &mut Vec<Ready>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        ready.extend(self.events.iter().filter_map(translate));
        Ok(())
    }
}

fn translate(event: &Event) -> Option<Ready> {
    match event.token().0 {
        WAKER => None,
        token @ FIRST_LISTENER.. => Some(Ready::Listener(token - FIRST_LISTENER)),
        token => Some(Ready::Connection {
            token,
            is_readable: event.is_readable(),
            is_writable: event.is_writable(),
            is_hung_up: event.is_read_closed() || event.is_error(),
        }),
    }
}

/// What a read or a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    /// So many bytes, at least one.
    Bytes(usize),
    /// None: the readiness is used up.
    NotReady,
    /// None and never again: end of the stream, or an error of the connection.
    Ended,
}

/// A connection.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    #[inline]
    pub(super) fn read(&mut self, into: &mut [u8]) -> Moved {
        retry(|| match self {
            Socket::Tcp(stream) => stream.read(into),
            Socket::Unix(stream) => stream.read(into),
        })
    }

    #[inline]
    pub(super) fn write(&mut self, from: &[u8]) -> Moved {
        retry(|| match self {
            Socket::Tcp(stream) => stream.write(from),
            Socket::Unix(stream) => stream.write(from),
        })
    }
}

fn retry(mut io: impl FnMut() -> io::Result<usize>) -> Moved {
    loop {
        return match io() {
            Ok(0) => Moved::Ended,
            Ok(moved) => Moved::Bytes(moved),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Moved::NotReady,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => Moved::Ended,
        };
    }
}

/// Where connections come from.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}
