//! One connection: its socket, its session, and what was read, parsed and not sent.

use super::accept::Accepted;
use super::buffers::Buffers;
use super::input::Input;
use super::mailbox::Notice;
use super::output::Output;
use super::poll::{Moved, Socket};
use crate::client::{Client, Queued};
use crate::error::session;
use crate::registry::Unblock;
use scrubjay_resp::{Limits, Parser};
use std::sync::atomic::Ordering;

/// One connection.
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) client: Client,
    pub(super) parser: Parser,
    pub(super) input: Input,
    pub(super) output: Output,
    /// Up to where the input was parsed; **Invariant:** at the start of the input between turns.
    pub(super) parsed: usize,
    /// Up to where the input was executed in this turn.
    pub(super) executed: usize,
    /// Bytes that the half-read request needs at least.
    pub(super) missing: usize,
    /// The input holds no whole request: to be read before it is parsed again.
    pub(super) is_hungry: bool,
    /// The request that CLIENT PAUSE holds back: run first when the pause is over.
    pub(super) held_back: Option<Queued>,
    /// The error reply to bytes that are no request, sent after the replies to what came before them.
    pub(super) protocol_error: Option<String>,
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
    /// The other side will send no more, or the connection failed: a read tells which.
    pub(super) is_hung_up: bool,
    /// A read said so: closed as soon as the rest is answered and sent.
    pub(super) is_at_end: bool,
    /// To be closed whatever is unsent.
    pub(super) is_broken: bool,
    /// Stands in the queue of its thread.
    pub(super) is_queued: bool,
    /// The rest of its requests in this window is not run: it waits, is closed, or has too much unsent.
    pub(super) is_halted: bool,
    /// What it read and sent, commands that it ran.
    pub(super) input_total: u64,
    pub(super) output_total: u64,
    pub(super) commands: u64,
}

impl Connection {
    pub(super) fn new(accepted: Accepted) -> Connection {
        Connection {
            socket: accepted.socket,
            client: Client::of(accepted.handle),
            parser: Parser::default(),
            input: Input::default(),
            output: Output::default(),
            parsed: 0,
            executed: 0,
            missing: 1,
            is_hungry: true,
            held_back: None,
            protocol_error: None,
            is_readable: true,
            is_writable: true,
            is_hung_up: false,
            is_at_end: false,
            is_broken: false,
            is_queued: false,
            is_halted: false,
            input_total: 0,
            output_total: 0,
            commands: 0,
        }
    }

    /// Whether requests may be read and run: it waits for nothing, is not about to close, and is read by the other side.
    pub(super) fn is_served(&self, mark: usize) -> bool {
        !self.client.close_after_reply && !self.is_broken && self.client.parked.is_none() && self.output.len() <= mark
    }

    /// Whether the next turn has something to do for it, when it is served.
    pub(super) fn has_work(&self) -> bool {
        if self.is_hungry { self.is_readable && !self.is_at_end } else { self.input.len() > 0 }
    }

    /// What its requests may be. Redis holds those who have not authenticated to little.
    pub(super) fn limits(&self, bulk_len_max: usize) -> Limits {
        Limits { bulk_len_max, is_unauthenticated: !self.client.is_authenticated, ..Limits::default() }
    }

    /// Reads once. Returns the number of bytes.
    pub(super) fn fill(&mut self, buffers: &mut Buffers) -> usize {
        let room = self.input.make_room(self.missing, buffers);
        let room_len = room.len();
        match self.socket.read(room) {
            Moved::Bytes(read) => {
                // A short read has emptied the socket: what comes later makes a new edge, except an end that came before.
                self.is_readable = read == room_len || self.is_hung_up;
                self.input.filled_more(read);
                self.parsed = self.input.start();
                self.is_hungry = false;
                self.input_total += read as u64;
                read
            }
            Moved::NotReady => {
                self.is_readable = false;
                self.parsed = self.input.start();
                0
            }
            Moved::Ended => {
                self.is_readable = false;
                self.is_at_end = true;
                self.parsed = self.input.start();
                0
            }
        }
    }

    /// Whether the next request is an inline one. Parsing one changes it, so it is parsed only when it can run at once.
    pub(super) fn is_inline_next(&self) -> bool {
        self.input.filled().get(self.parsed).is_some_and(|first| *first != b'*')
    }

    /// Ends a turn's parsing: what was not executed is parsed again.
    pub(super) fn settle_input(&mut self) {
        if self.is_halted {
            self.input.consume_to(self.executed);
            self.parser = Parser::default();
            self.protocol_error = None;
            self.is_hungry = self.input.len() == 0;
            self.missing = 1;
        } else {
            self.input.consume_to(self.parsed);
            self.is_hungry |= self.input.len() == 0;
        }
        self.is_halted = false;
        self.parsed = self.input.start();
        self.executed = self.parsed;
    }

    /// Does what another thread asks for.
    pub(super) fn heed(&mut self, notice: Notice, buffers: &mut Buffers) {
        match notice {
            Notice::Kill => self.is_broken = true,
            Notice::Push(bytes) => self.output.bytes(buffers).extend_from_slice(&bytes),
            Notice::Unblock(Unblock::Timeout) => self.answer(buffers, |timeout_reply| timeout_reply),
            Notice::Unblock(Unblock::Error) => {
                self.answer(buffers, |_| format!("-{}\r\n", session::UNBLOCKED.0).into_bytes());
            }
        }
    }

    /// Ends its wait, which the caller has claimed ([`crate::registry::ClientHandle::end_wait`]), with a reply made from the one
    /// that it would get at its deadline.
    pub(super) fn answer(&mut self, buffers: &mut Buffers, reply: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        if let Some(parked) = self.client.parked.take_if(|parked| !parked.is_paused) {
            let reply = reply(parked.timeout_reply);
            self.output.bytes(buffers).extend_from_slice(&reply);
        }
    }

    /// Gives unused buffers back, and copies what other threads may ask for to the handle.
    pub(super) fn rest(&mut self, buffers: &mut Buffers, now_ms: u64) {
        self.input.release(buffers);
        self.output.release(buffers);
        self.parsed = self.input.start();
        self.executed = self.parsed;
        let handle = &self.client.handle;
        handle.last_active_ms.store(now_ms, Ordering::Relaxed);
        handle.commands.store(self.commands, Ordering::Relaxed);
        handle.input_total.store(self.input_total, Ordering::Relaxed);
        handle.output_total.store(self.output_total, Ordering::Relaxed);
        self.publish_buffers();
        self.client.publish();
    }

    /// Copies the sizes of its buffers to the handle.
    pub(super) fn publish_buffers(&self) {
        let handle = &self.client.handle;
        handle.input_len.store(self.input.len() as u64, Ordering::Relaxed);
        handle.input_capacity.store(self.input.capacity() as u64, Ordering::Relaxed);
        handle.output_len.store(self.output.len() as u64, Ordering::Relaxed);
        handle.output_capacity.store(self.output.capacity() as u64, Ordering::Relaxed);
    }
}
