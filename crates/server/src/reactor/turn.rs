//! A turn of one thread: wait, note what is ready, read, parse, run, write.
//!
//! Connections with something to do stand in a queue; each gets one read and a bounded number of commands per turn, and goes to
//! the end of the queue with the rest. **Invariant:** a connection that is ready, served and has work stands in the queue, so that
//! an edge of the poll is never lost; while the queue is not empty the poll does not wait.

use super::accept::{Accepted, Acceptor};
use super::buffers::Buffers;
use super::connection::Connection;
use super::mailbox::{Mailbox, Message};
use super::output::{self, Sent};
use super::poll::{Poller, Ready};
use super::tick::Ticks;
use super::window::Window;
use crate::client::Queued;
use crate::config::OutputLimit;
use crate::exec::{self, Batch, Ran, Request};
use crate::log::Level;
use crate::server::Shared;
use crate::worker::Worker;
use scrubjay_resp::{Progress, Reply};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Commands of one connection in one turn.
const COMMANDS_MAX: usize = 1024;
/// How long commands of one connection run in a row; the one that is running ends, the others wait for the next turn.
const RUN_MAX: Duration = Duration::from_millis(10);
/// Commands that a turn must run before it goes on to the next without offering the core to others.
const SMALL_TURN: u64 = 16;
/// How long a stopping thread waits for clients to take their replies.
const FLUSH_MAX: Duration = Duration::from_millis(500);

/// One thread with its connections.
pub(super) struct Thread {
    pub(super) shared: Arc<Shared>,
    pub(super) worker: Worker,
    pub(super) poller: Poller,
    mailbox: Arc<Mailbox>,
    pub(super) acceptor: Option<Acceptor>,
    /// Connections by place; the place is the token of the poll.
    pub(super) connections: Vec<Option<Box<Connection>>>,
    free: Vec<usize>,
    places: std::collections::HashMap<u64, usize>,
    queue: Vec<usize>,
    /// Connections that wait for something or are held back.
    pub(super) parked: Vec<usize>,
    pub(super) buffers: Buffers,
    window: Window,
    ready: Vec<Ready>,
    pub(super) ticks: Ticks,
    /// Unix milliseconds, as of the start of the turn or of its last window.
    pub(super) now_ms: u64,
    /// The same, or a little later, on the monotonic clock.
    pub(super) now: Instant,
    /// Something ran since the clock was read.
    is_stale: bool,
    pub(super) mark: usize,
    pub(super) output_limit: OutputLimit,
}

impl Thread {
    pub(super) fn new(
        shared: Arc<Shared>,
        slot: u32,
        poller: Poller,
        mailbox: Arc<Mailbox>,
        mut acceptor: Option<Acceptor>,
    ) -> io::Result<Thread> {
        if let Some(acceptor) = &mut acceptor {
            acceptor.watch(&poller)?;
        }
        let stats = shared.workers.get(slot as usize).cloned().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Thread {
            ticks: Ticks::new(&shared.clock),
            now_ms: shared.clock.now_ms(),
            now: shared.clock.instant(),
            is_stale: true,
            shared,
            worker: Worker { slot, stats },
            poller,
            mailbox,
            acceptor,
            connections: Vec::new(),
            free: Vec::new(),
            places: std::collections::HashMap::new(),
            queue: Vec::new(),
            parked: Vec::new(),
            buffers: Buffers::default(),
            window: Window::default(),
            ready: Vec::new(),
            mark: output::MARK,
            output_limit: OutputLimit::default(),
        })
    }

    /// Serves until the server stops.
    pub(super) fn run(mut self) {
        while !self.shared.is_stopping() {
            let timeout = if self.queue.is_empty() { self.timeout() } else { Duration::ZERO };
            if let Err(error) = self.poller.wait(timeout, &mut self.ready) {
                self.shared.log(Level::Warning, format_args!("thread {} cannot poll: {error}", self.worker.slot));
                self.shared.request_stop();
            }
            self.now_ms = self.shared.clock.now_ms();
            self.now = self.shared.clock.instant();
            self.is_stale = false;
            self.output_limit = self.shared.config.output_limit_normal();
            self.mark = output::mark(self.output_limit);
            self.note_ready();
            self.read_mailbox();
            self.accept();
            self.tick();
            let queue = std::mem::take(&mut self.queue);
            let before = self.worker.stats.commands.get();
            for place in &queue {
                self.begin(*place);
            }
            self.run_window();
            if self.queue.is_empty() {
                self.queue = queue;
                self.queue.clear();
            }
            let ran = self.worker.stats.commands.get().wrapping_sub(before);
            if self.queue.is_empty() && (1..SMALL_TURN).contains(&ran) {
                // A client on this core gets to send before the poll: the next turn finds more, and the two do not wake each
                // other for every request. Where nobody waits for the core this costs one quick system call.
                std::thread::yield_now();
            }
        }
        self.shut_down();
    }

    fn note_ready(&mut self) {
        let mut ready = std::mem::take(&mut self.ready);
        for event in ready.drain(..) {
            match event {
                Ready::Listener(number) => {
                    if let Some(acceptor) = &mut self.acceptor {
                        acceptor.note_ready(number);
                    }
                }
                Ready::Connection { token, is_readable, is_writable, is_hung_up } => {
                    let Some(Some(connection)) = self.connections.get_mut(token) else { continue };
                    connection.is_readable |= is_readable || is_hung_up;
                    connection.is_writable |= is_writable || is_hung_up;
                    connection.is_hung_up |= is_hung_up;
                    let is_useful = is_readable || is_hung_up || connection.output.len() > 0;
                    if is_useful && !connection.is_queued {
                        connection.is_queued = true;
                        self.queue.push(token);
                    }
                }
            }
        }
        self.ready = ready;
    }

    pub(super) fn enqueue(&mut self, place: usize) {
        if let Some(Some(connection)) = self.connections.get_mut(place)
            && !connection.is_queued
        {
            connection.is_queued = true;
            self.queue.push(place);
        }
    }

    fn accept(&mut self) {
        if let Some(acceptor) = self.acceptor.as_mut().filter(|acceptor| acceptor.is_ready()) {
            for accepted in acceptor.accept(&self.shared, self.worker.slot) {
                self.serve(accepted);
            }
        }
    }

    /// Takes a connection in.
    fn serve(&mut self, accepted: Accepted) {
        let place = self.free.pop().unwrap_or(self.connections.len());
        let id = accepted.handle.id;
        let mut connection = Box::new(Connection::new(accepted));
        connection.client.is_authenticated = !self.shared.config.requires_password();
        if place == self.connections.len() {
            self.connections.push(None);
        }
        let watched = self.poller.watch(&mut connection.socket, place);
        self.connections[place] = Some(connection);
        self.places.insert(id, place);
        match watched {
            Ok(()) => self.enqueue(place),
            Err(_) => self.close(place),
        }
    }

    /// Closes a connection at once.
    pub(super) fn close(&mut self, place: usize) {
        let Some(mut connection) = self.connections.get_mut(place).and_then(Option::take) else { return };
        connection.client.leave(&self.shared, self.worker.slot);
        self.shared.registry.remove(connection.client.id);
        self.places.remove(&connection.client.id);
        self.parked.retain(|parked| *parked != place);
        self.mailbox.connections.fetch_sub(1, Ordering::Relaxed);
        self.free.push(place);
    }

    fn read_mailbox(&mut self) {
        for message in self.mailbox.take() {
            match message {
                Message::Serve(accepted) => self.serve(*accepted),
                Message::LookAgain => self.release_held_back(),
                Message::Client(id, notice) => {
                    let Some(place) = self.places.get(&id).copied() else { continue };
                    if let Some(Some(connection)) = self.connections.get_mut(place) {
                        connection.heed(notice, &mut self.buffers);
                    }
                    self.enqueue(place);
                }
            }
        }
    }

    /// Reads from a connection and parses what is there into windows, which run as they fill.
    fn begin(&mut self, place: usize) {
        let Some(Some(connection)) = self.connections.get_mut(place) else { return };
        if !std::mem::replace(&mut connection.is_queued, false) {
            return;
        }
        if connection.output.len() > 0 && connection.is_writable {
            send(connection, &self.worker);
        }
        if connection.held_back.is_some() && connection.is_served(self.mark) {
            self.run_held_back(place);
        }
        let Some(Some(connection)) = self.connections.get_mut(place) else { return };
        if connection.is_served(self.mark) {
            if connection.is_hungry && connection.is_readable {
                let read = connection.fill(&mut self.buffers);
                self.worker.stats.input_bytes.add(read as u64);
            }
            self.parse(place);
        } else if connection.is_hung_up && connection.client.parked.is_some() {
            connection.is_broken = true;
        }
        self.window.finishing.push(place);
        if self.window.finishing.len() >= super::window::WINDOW {
            self.run_window();
        }
    }

    fn parse(&mut self, place: usize) {
        let bulk_len_max = self.shared.bulk_len_max();
        for _ in 0..COMMANDS_MAX {
            let Some(Some(connection)) = self.connections.get_mut(place) else { return };
            if connection.is_halted || connection.is_hungry {
                return;
            }
            let is_alone = !connection.client.is_authenticated || connection.is_inline_next();
            if is_alone && !self.window.slots.is_empty() {
                self.run_slots();
                continue;
            }
            self.parse_one(place, bulk_len_max);
            if is_alone || self.window.is_full() {
                self.run_slots();
            }
        }
    }

    /// Parses one request into the window.
    #[inline]
    fn parse_one(&mut self, place: usize, bulk_len_max: usize) {
        let Some(Some(connection)) = self.connections.get_mut(place) else { return };
        let limits = connection.limits(bulk_len_max);
        let (first_span, start) = (self.window.spans.len(), connection.parsed);
        match connection.parser.next(connection.input.filled_mut(), start, &limits, &mut self.window.spans) {
            Ok(Progress::Complete { end }) => {
                connection.parsed = end;
                connection.missing = 1;
                let (input, db) = (connection.input.filled(), connection.client.db);
                if self.window.spans.len() > first_span {
                    self.window.push(&self.shared, place, db, input, first_span, end);
                }
                connection.is_hungry = end >= input.len();
            }
            Ok(Progress::Incomplete { missing }) => {
                self.window.spans.truncate(first_span);
                connection.is_hungry = true;
                connection.missing = missing;
                if connection.input.filled().len() - start >= self.shared.query_buffer_limit() {
                    connection.is_broken = true;
                    self.worker.stats.query_limit_closed.add(1);
                }
            }
            Err(error) => {
                self.window.spans.truncate(first_span);
                connection.protocol_error = Some(error.to_string());
                connection.is_hungry = true;
            }
        }
    }

    /// Runs the window and ends the turn of the connections whose parsing is over.
    fn run_window(&mut self) {
        self.run_slots();
        let mut finishing = std::mem::take(&mut self.window.finishing);
        for place in finishing.drain(..) {
            self.finish(place);
        }
        self.window.finishing = finishing;
    }

    /// Runs the requests of the window. A handler that panics costs its client the connection and nobody else anything.
    fn run_slots(&mut self) {
        if self.window.slots.is_empty() {
            return;
        }
        self.worker.stats.commands.add(self.window.slots.len() as u64);
        if catch_unwind(AssertUnwindSafe(|| self.run_slots_in_order())).is_err() {
            self.worker.stats.panics.add(1);
            let first = self.window.running;
            for (at, slot) in self.window.slots.iter().enumerate().skip(first) {
                let Some(Some(connection)) = self.connections.get_mut(slot.connection) else { continue };
                connection.is_halted = true;
                if at == first {
                    connection.is_broken = true;
                    let client = connection.client.id;
                    self.shared.log(Level::Warning, format_args!("a command panicked; client {client} is closed"));
                }
            }
        }
        self.window.clear();
    }

    fn run_slots_in_order(&mut self) {
        if self.is_stale {
            self.now_ms = self.shared.clock.now_ms();
            self.now = self.shared.clock.instant();
        }
        self.is_stale = true;
        let mut batch = Batch::new(&self.shared, self.worker.slot, self.now_ms, self.now);
        let mut last = None;
        for at in 0..self.window.slots.len() {
            self.window.running = at;
            self.window.prefetch(&self.shared, at);
            let slot = &self.window.slots[at];
            let Some(Some(connection)) = self.connections.get_mut(slot.connection) else { continue };
            // Equal, and so not subtracted, as long as nothing but quick commands ran.
            let stamp = batch.stamp();
            if stamp != self.now && last == Some(slot.connection) && stamp - self.now > RUN_MAX {
                connection.is_halted = true;
            }
            if connection.is_halted {
                continue;
            }
            last = Some(slot.connection);
            let args = self.window.args(slot, connection.input.filled());
            let request = Request { row: slot.row, args: &args, first_hash: slot.first_hash };
            let out = connection.output.bytes(&mut self.buffers);
            let ran = batch.run(&mut self.worker, &mut connection.client, &request, out);
            if ran == Ran::Stopped {
                connection.is_halted = true;
                continue;
            }
            connection.executed = slot.end;
            connection.commands += 1;
            if let (Ran::HeldBack, Ok(row)) = (ran, slot.row) {
                connection.held_back = Some(Queued::new(row, &args));
            }
            if !connection.is_served(self.mark) {
                connection.is_halted = true;
                connection.is_broken |= connection.output.breaks(self.output_limit, batch.now_ms());
            }
        }
        self.now = batch.finish(&self.worker);
    }

    /// Runs what CLIENT PAUSE held back; it may be held back again.
    fn run_held_back(&mut self, place: usize) {
        self.run_slots();
        let Some(Some(connection)) = self.connections.get_mut(place) else { return };
        let Some(queued) = connection.held_back.take() else { return };
        let (shared, worker) = (&self.shared, &mut self.worker);
        let out = connection.output.bytes(&mut self.buffers);
        let run = || exec::run(shared, worker, &mut connection.client, &queued.args(), out);
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(Ran::Done) => {}
            Ok(Ran::HeldBack | Ran::Stopped) => connection.held_back = Some(queued),
            Err(_) => {
                self.worker.stats.panics.add(1);
                connection.is_broken = true;
            }
        }
    }

    /// Ends a connection's turn: sends, gives buffers back, and decides whether it goes on, waits or is closed.
    fn finish(&mut self, place: usize) {
        let Some(Some(connection)) = self.connections.get_mut(place) else { return };
        connection.settle_input();
        if let Some(error) = connection.protocol_error.take() {
            let out = connection.output.bytes(&mut self.buffers);
            Reply::new(out, connection.client.protocol).error(&error);
            self.worker.stats.note_error("ERR");
            connection.client.close_after_reply = true;
        }
        if connection.output.len() > 0 && connection.is_writable && !connection.is_broken {
            send(connection, &self.worker);
        }
        if connection.output.breaks(self.output_limit, self.now_ms) {
            connection.is_broken = true;
        }
        let is_over = connection.client.close_after_reply || (connection.is_at_end && !connection.has_work());
        if connection.is_broken || (is_over && connection.output.len() == 0) {
            if connection.output.breaks(self.output_limit, self.now_ms) {
                self.note_output_limit(place);
            }
            return self.close(place);
        }
        connection.rest(&mut self.buffers, self.now_ms);
        let is_served = connection.is_served(self.mark);
        if connection.client.parked.is_some() && !self.parked.contains(&place) {
            self.parked.push(place);
        }
        let can_send = connection.output.len() > 0 && connection.is_writable;
        if can_send || (is_served && connection.has_work()) {
            self.enqueue(place);
        }
    }

    /// Counts and logs a client that is about to be closed for its unsent output.
    #[cold]
    pub(super) fn note_output_limit(&mut self, place: usize) {
        let Some(Some(connection)) = self.connections.get(place) else { return };
        self.worker.stats.output_limit_closed.add(1);
        let (id, address) = (connection.client.id, &connection.client.handle.address);
        let unsent = connection.output.len();
        let line =
            format_args!("closed client {id} ({address}): {unsent} bytes unsent, see client-output-buffer-limit");
        self.shared.log(Level::Warning, line);
    }

    /// Sends what is unsent, for a short while, and closes everything.
    fn shut_down(mut self) {
        self.acceptor = None;
        let deadline = self.shared.clock.instant() + FLUSH_MAX;
        loop {
            for connection in self.connections.iter_mut().flatten() {
                send(connection, &self.worker);
            }
            let is_unsent = |connection: &Connection| connection.output.len() > 0 && !connection.is_broken;
            let now = self.shared.clock.instant();
            if now >= deadline || !self.connections.iter().flatten().any(|connection| is_unsent(connection)) {
                break;
            }
            self.ready.clear();
            let can_send = |connection: &Connection| is_unsent(connection) && connection.is_writable;
            let is_busy = self.connections.iter().flatten().any(|connection| can_send(connection));
            let timeout = if is_busy { Duration::ZERO } else { deadline - now };
            if self.poller.wait(timeout, &mut self.ready).is_err() {
                break;
            }
        }
        for place in 0..self.connections.len() {
            self.close(place);
        }
    }
}

fn send(connection: &mut Connection, worker: &Worker) {
    let before = connection.output_total;
    match connection.output.send(&mut connection.socket, &mut connection.output_total) {
        Sent::All => {}
        Sent::Enough => connection.is_writable = true,
        Sent::Part => connection.is_writable = false,
        Sent::Ended => {
            connection.output.discard();
            connection.is_broken = true;
        }
    }
    worker.stats.output_bytes.add(connection.output_total - before);
}
