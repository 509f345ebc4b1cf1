//! The load: connections on one thread over epoll, each with one batch of requests under way.
//!
//! A connection sends a batch, waits for all of its replies, and sends the next. Keys are drawn uniformly, by a generator of
//! its own per connection, so that no two ask in step.

use super::subject::Running;
use super::wire::{self, Protocol, Replies};
use crate::clock;
use anyhow::{Context, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Reads of any of so many keys.
    Get { keys: u64 },
    /// Writes over any of so many keys.
    Set { keys: u64, value_len: usize },
    /// Writes each of so many keys once; with a time to live of a day or more on each when asked.
    Fill { keys: u64, value_len: usize, has_ttl: bool },
}

/// How a load is put on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) act: Act,
    pub(crate) connections: usize,
    /// Requests per batch.
    pub(crate) depth: usize,
    /// When no further batch is sent; a fill ends by itself.
    pub(crate) duration: Duration,
    pub(crate) seed: u64,
}

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) operations: u64,
    pub(crate) elapsed: Duration,
    /// Server CPU time in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Time from the first byte sent to the last reply, for each batch.
    pub(crate) batch_times: Vec<Duration>,
}

/// Puts `load` on `server`.
pub(crate) fn run(server: &Running, load: &Load) -> anyhow::Result<Outcome> {
    let mut poll = Poll::new()?;
    let mut connections = Vec::new();
    for index in 0..load.connections {
        let mut connection = Connection::open(server, index, load)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut connection.stream, Token(index), interest)?;
        connections.push(connection);
    }
    let mut outcome = Outcome::default();
    let (cpu_before, began) = (server.cpu_ns()?, clock::now());
    let deadline = began + load.duration;
    let mut busy = 0;
    for connection in &mut connections {
        busy += usize::from(connection.send_batch(load)?);
    }
    let mut events = Events::with_capacity(load.connections);
    let mut chunk = vec![0; 256 << 10];
    while busy > 0 {
        poll.poll(&mut events, Some(Duration::from_secs(30)))?;
        ensure!(!events.is_empty(), "the server has been silent for 30 s");
        let is_over = !matches!(load.act, Act::Fill { .. }) && clock::now() >= deadline;
        for event in &events {
            let connection = &mut connections[event.token().0];
            if connection.outstanding == 0 {
                continue;
            }
            connection.flush()?;
            if connection.receive(&mut chunk)? {
                outcome.operations += connection.batch as u64;
                outcome.batch_times.push(connection.sent_at.elapsed());
                if is_over || !connection.send_batch(load)? {
                    busy -= 1;
                }
            }
        }
    }
    outcome.elapsed = began.elapsed();
    outcome.cpu_ns = server.cpu_ns()? - cpu_before;
    Ok(outcome)
}

struct Connection {
    stream: TcpStream,
    protocol: Protocol,
    replies: Replies,
    out: Vec<u8>,
    sent: usize,
    /// Requests of the batch under way.
    batch: usize,
    /// Replies that it still waits for.
    outstanding: usize,
    sent_at: Instant,
    random: Random,
    /// Next key of a fill, and how far the next one of this connection is.
    next_key: u64,
    step: u64,
    letters: Vec<u8>,
}

impl Connection {
    fn open(server: &Running, index: usize, load: &Load) -> anyhow::Result<Connection> {
        let stream = std::net::TcpStream::connect(("127.0.0.1", server.port)).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut random = Random(load.seed << 32 | index as u64);
        let letters = (0..64 << 10).map(|_| b'a' + u8::try_from(random.next() % 26).unwrap_or_default()).collect();
        Ok(Connection {
            stream: TcpStream::from_std(stream),
            protocol: server.protocol,
            replies: Replies::new(server.protocol),
            out: Vec::new(),
            sent: 0,
            batch: 0,
            outstanding: 0,
            sent_at: clock::now(),
            random,
            next_key: index as u64,
            step: load.connections as u64,
            letters,
        })
    }

    /// Sends the next batch. Returns whether there was one.
    fn send_batch(&mut self, load: &Load) -> anyhow::Result<bool> {
        self.out.clear();
        self.sent = 0;
        self.batch = 0;
        while self.batch < load.depth && self.append(load.act) {
            self.batch += 1;
        }
        self.outstanding = self.batch;
        self.sent_at = clock::now();
        self.flush()?;
        Ok(self.batch > 0)
    }

    /// Appends a request. Returns whether there was one left to make.
    fn append(&mut self, act: Act) -> bool {
        match act {
            Act::Get { keys } => {
                let number = self.random.next() % keys;
                wire::append_get(self.protocol, &mut self.out, &wire::key(number));
            }
            Act::Set { keys, value_len } => {
                let number = self.random.next() % keys;
                self.append_set(number, value_len, None);
            }
            Act::Fill { keys, .. } if self.next_key >= keys => return false,
            Act::Fill { value_len, has_ttl, .. } => {
                let ttl_s = has_ttl.then(|| 86_400 + self.random.next() % 86_400);
                self.append_set(self.next_key, value_len, ttl_s);
                self.next_key += self.step;
            }
        }
        true
    }

    fn append_set(&mut self, number: u64, value_len: usize, ttl_s: Option<u64>) {
        let room = (self.letters.len() - value_len) as u64 + 1;
        let from = usize::try_from(self.random.next() % room).unwrap_or_default();
        let value = &self.letters[from..from + value_len];
        wire::append_set(self.protocol, &mut self.out, &wire::key(number), value, ttl_s);
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("cannot send"),
            }
        }
        Ok(())
    }

    /// Receives what is there. Returns whether the batch is complete.
    fn receive(&mut self, chunk: &mut [u8]) -> anyhow::Result<bool> {
        while self.outstanding > 0 {
            match self.stream.read(chunk) {
                Ok(0) => anyhow::bail!("the server closed the connection"),
                Ok(count) => {
                    let counted = self.replies.count(&chunk[..count])?;
                    self.outstanding = self.outstanding.checked_sub(counted).context("more replies than requests")?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error).context("cannot receive"),
            }
        }
        Ok(true)
    }
}

/// SplitMix64: enough to spread keys, the same in every run.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
