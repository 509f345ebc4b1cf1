//! From arguments to a reply: check the request as Redis' `processCommand` does, latch what its row names, run it.
//!
//! A [`Batch`] passes the keyspace's gate once for many requests. **Invariant:** the pass is given back before anything asks
//! for the whole keyspace, and no batch outlives one window of the reactor.

mod check;
mod latch;
#[cfg(test)]
mod tests;

use crate::call::Call;
use crate::client::{Client, Opened, OpenedRequest, Parked, ReplyMode, Transaction};
use crate::command::Flags;
use crate::dispatch::{Row, Unknown};
use crate::error::{Error, session};
use crate::server::Shared;
use crate::tracking;
use crate::worker::Worker;
use check::Next;
use scrubjay_keyspace::{Held, KeyHash, Pass};
use scrubjay_resp::Reply;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Arguments or replies of more bytes than this are timed one by one.
const SHARED_TIMING_LEN_MAX: usize = 16 << 10;

/// A request with its row looked up and its first key hashed.
pub(crate) struct Request<'a> {
    pub(crate) row: Result<&'static Row, Unknown>,
    /// The arguments; the first is the command's name as the client wrote it.
    pub(crate) args: &'a [&'a [u8]],
    /// Hash of the first key, [`KeyHash::NONE`] without one.
    pub(crate) first_hash: KeyHash,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// It was answered (or parked its client).
    Done,
    /// It is held back by CLIENT PAUSE: the client is parked, and the request is to be run again afterwards.
    HeldBack,
    /// The server stops: nothing runs any more.
    Stopped,
}

/// Runs one request and appends its reply to `out`. An empty request answers nothing.
pub(crate) fn run(shared: &Shared, worker: &mut Worker, client: &mut Client, args: &[&[u8]], out: &mut Vec<u8>) -> Ran {
    if args.is_empty() {
        return Ran::Done;
    }
    let row = shared.dispatch.resolve(args);
    let first_hash = match &row {
        Ok(row) if row.first_key != 0 => args.get(row.first_key).map(|key| shared.keyspace.key(key).hash),
        _ => None,
    };
    let request = Request { row, args, first_hash: first_hash.unwrap_or(KeyHash::NONE) };
    let mut batch = Batch::new(shared, worker.slot, shared.clock.now_ms(), shared.clock.instant());
    let ran = batch.run(worker, client, &request, out);
    batch.finish(worker);
    ran
}

/// Requests run one after another under one pass of the gate and at one time.
pub(crate) struct Batch<'a> {
    shared: &'a Shared,
    slot: u32,
    pass: Option<Pass<'a>>,
    now_ms: u64,
    /// The last time stamp that was read: the start of what was not accounted for yet.
    stamp: Instant,
    /// Ids of quick commands that ran since `stamp`.
    quick: smallvec::SmallVec<[u16; 32]>,
    /// See [`Shared::slow_us`]; below a millisecond every command is timed by itself.
    slow_us: u64,
}

impl<'a> Batch<'a> {
    /// A batch of thread `slot` at `now_ms` (Unix milliseconds), which is `stamp`.
    pub(crate) fn new(shared: &'a Shared, slot: u32, now_ms: u64, stamp: Instant) -> Batch<'a> {
        Batch { shared, slot, pass: None, now_ms, stamp, quick: smallvec::SmallVec::new(), slow_us: shared.slow_us() }
    }

    /// The time that all requests of the batch see, Unix milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The last time stamp that was read: behind a command that is timed by itself, its end.
    #[inline]
    pub(crate) fn stamp(&self) -> Instant {
        self.stamp
    }

    /// Checks and runs one request; its reply is appended to `out`.
    pub(crate) fn run(
        &mut self,
        worker: &mut Worker,
        client: &mut Client,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) -> Ran {
        if self.pass.is_none() && !self.enter() {
            return Ran::Stopped;
        }
        let (start, mode) = (out.len(), client.reply_mode);
        match check::next(self.shared, client, request, self.now_ms) {
            Ok(Next::Run(row)) => self.call(worker, client, row, request, out),
            Ok(Next::Queue(row)) => check::queue(self.shared, client, row, request.args, out),
            Ok(Next::HoldBack { until_ms }) => {
                let parked = Parked { deadline_ms: Some(until_ms), timeout_reply: Vec::new(), is_paused: true };
                client.parked = Some(parked);
                return Ran::HeldBack;
            }
            Err(refusal) => self.refuse(worker, client, request, &refusal, out),
        }
        if mode != ReplyMode::On || client.reply_mode != ReplyMode::On {
            mute(client, mode, start, out);
        }
        Ran::Done
    }

    /// Passes the gate. False when the server stops: SHUTDOWN saved the data behind the closed gate, and what ran now would
    /// be lost.
    fn enter(&mut self) -> bool {
        let pass = self.shared.keyspace.pass(self.slot);
        let is_open = !self.shared.is_stopping();
        // Kept only then: the next request of the batch has to be told the same.
        self.pass = is_open.then_some(pass);
        is_open
    }

    /// Answers a request that is not run.
    #[cold]
    fn refuse(
        &mut self,
        worker: &Worker,
        client: &mut Client,
        request: &Request<'_>,
        refusal: &check::Refusal,
        out: &mut Vec<u8>,
    ) {
        if let (Err(Unknown::Command), Some(name)) = (&request.row, request.args.first())
            && check::is_http(name)
        {
            client.close_after_reply = true;
            return self.shared.note_http(client);
        }
        let start = out.len();
        let mut reply = Reply::new(out, client.protocol);
        match (refusal, &request.row) {
            (check::Refusal::Unknown, Err(unknown)) => self.shared.dispatch.explain(unknown, request.args, &mut reply),
            (check::Refusal::Unknown, Ok(_)) => {}
            (check::Refusal::Error(error), Ok(row)) if check::is_exec(row) => {
                reply.error(&session::exec_refused(error).0);
                self.discard(client);
            }
            (check::Refusal::Error(error), _) => reply.error(&error.0),
        }
        if let Some(open) = &mut client.transaction {
            open.is_aborted = true;
        }
        if let Some(stats) = request.row.as_ref().ok().and_then(|row| worker.stats.command(row.id)) {
            stats.rejected.add(1);
        }
        worker.stats.note_error(&String::from_utf8_lossy(out.get(start + 1..).unwrap_or_default()));
    }

    /// Ends the transaction of an EXEC that was refused.
    fn discard(&mut self, client: &mut Client) {
        client.transaction = None;
        if !client.watching.is_empty() {
            let keyspace = &self.shared.keyspace;
            let hashes: Vec<KeyHash> = client.watching.hashes(keyspace).collect();
            let pass = self.pass.get_or_insert_with(|| keyspace.pass(self.slot));
            client.watching.forget(&mut pass.latch(&hashes, self.now_ms));
        }
    }

    #[inline]
    fn call(
        &mut self,
        worker: &mut Worker,
        client: &mut Client,
        row: &'static Row,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        client.handle.last_row.store(row.id, Ordering::Relaxed);
        if !row.is_quick || self.slow_us < 1000 {
            self.settle(worker);
            client.publish();
            self.latched(worker, client, row, request, out);
            return self.note_timed(worker, client, row, request.args);
        }
        self.latched(worker, client, row, request, out);
        let args_len: usize = request.args.iter().map(|arg| arg.len()).sum();
        self.quick.push(row.id);
        if args_len > SHARED_TIMING_LEN_MAX || out.len() - start > SHARED_TIMING_LEN_MAX {
            self.settle(worker);
        }
    }

    /// Latches what the row names, runs the handler, turns its error into a reply.
    #[inline]
    fn latched(
        &mut self,
        worker: &mut Worker,
        client: &mut Client,
        row: &'static Row,
        request: &Request<'_>,
        out: &mut Vec<u8>,
    ) {
        let (shared, now_ms) = (self.shared, self.now_ms);
        if row.has_one_key {
            let pass = self.pass.get_or_insert_with(|| shared.keyspace.pass(self.slot));
            let held = pass.latch_one(request.first_hash, now_ms);
            return handle(shared, worker, client, row, request, None, held, out);
        }
        let wanted = latch::wanted(shared, client, row, request.args);
        let transaction = if check::is_exec(row) { client.transaction.take() } else { None };
        let opened = transaction.as_ref().map(Transaction::open);
        match wanted {
            latch::Wanted::Everything => {
                self.pass = None;
                let exclusive = shared.keyspace.exclusive();
                if shared.is_stopping() {
                    return;
                }
                handle(shared, worker, client, row, request, opened.as_ref(), exclusive.hold_all(now_ms), out);
            }
            latch::Wanted::Keys(hashes) => {
                let pass = self.pass.get_or_insert_with(|| shared.keyspace.pass(self.slot));
                handle(shared, worker, client, row, request, opened.as_ref(), pass.latch(&hashes, now_ms), out);
            }
        }
    }

    /// Accounts for the quick commands since the last time stamp, each with an equal share of the time.
    fn settle(&mut self, worker: &Worker) {
        let now = self.shared.clock.instant();
        if !self.quick.is_empty() {
            let nanos = u64::try_from((now - self.stamp).as_nanos()).unwrap_or(u64::MAX) / self.quick.len() as u64;
            for same in self.quick.chunk_by(|a, b| a == b) {
                if let Some(stats) = same.first().and_then(|id| worker.stats.command(*id)) {
                    stats.note_all(same.len() as u64, nanos);
                }
            }
            self.quick.clear();
        }
        self.stamp = now;
    }

    /// Accounts for one command that ran since the last time stamp.
    fn note_timed(&mut self, worker: &Worker, client: &Client, row: &'static Row, args: &[&[u8]]) {
        let now = self.shared.clock.instant();
        let spent = now - self.stamp;
        self.stamp = now;
        if let Some(stats) = worker.stats.command(row.id) {
            stats.note_all(1, u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX));
        }
        if spent.as_micros() >= u128::from(self.slow_us) {
            self.shared.note_slow(client, row, args, spent);
        }
    }

    /// Gives the pass back and accounts for what ran. Returns the last time stamp.
    pub(crate) fn finish(mut self, worker: &Worker) -> Instant {
        self.pass = None;
        if !self.quick.is_empty() {
            self.settle(worker);
        }
        self.stamp
    }
}

#[inline]
#[allow(clippy::too_many_arguments, reason = "the parts of a call, put together here and nowhere else")]
fn handle<'a>(
    shared: &'a Shared,
    worker: &'a mut Worker,
    client: &'a mut Client,
    row: &'static Row,
    request: &Request<'a>,
    opened: Option<&'a Opened<'a>>,
    held: Held<'a>,
    out: &'a mut Vec<u8>,
) {
    let position = out.len();
    let reply = Reply::new(out, client.protocol);
    let (args, first_hash) = (request.args, request.first_hash);
    let mut call = Call { command: row.command, row, args, first_hash, reply, opened, client, worker, shared, held };
    invoke(&mut call, position);
}

/// Runs the handler and sees to what follows from its outcome.
#[inline]
fn invoke(call: &mut Call<'_>, position: usize) {
    if let Err(error) = (call.command.handler)(call) {
        fail(call, position, &error);
    }
    if call.command.flags.contains(Flags::WRITE) {
        call.shared.persistence.note_changes(call.worker.slot, call.held.take_change_count());
    }
    if call.shared.tracking.is_on() {
        tracking::after_command(call);
    }
    if call.shared.monitors.is_watching() {
        show(call);
    }
}

/// Shows a call to those who watch (MONITOR), unless it is none of their business.
#[cold]
fn show(call: &Call<'_>) {
    if !call.command.flags.intersects(Flags::ADMIN.union(Flags::SKIP_MONITOR)) {
        let shared = call.shared;
        shared.monitors.feed(&shared.registry, shared.clock.now_us(), call.client, call.row, call.args);
    }
}

/// Takes back what the handler wrote since `position` and answers its error.
#[cold]
fn fail(call: &mut Call<'_>, position: usize, error: &Error) {
    call.reply.truncate(position);
    call.reply.error(&error.0);
    call.client.parked = None;
    call.worker.stats.note_error(&error.0);
    if let Some(stats) = call.worker.stats.command(call.row.id) {
        stats.failed.add(1);
    }
}

/// Runs one queued request inside EXEC: on the latches that EXEC holds, its reply (or error) appended to EXEC's.
pub(crate) fn run_queued<'a>(call: &mut Call<'a>, queued: &'a OpenedRequest<'a>) {
    let (shared, row) = (call.shared, queued.row);
    let start = shared.clock.instant();
    let outer = (call.row, call.args, call.first_hash);
    call.first_hash = match queued.args.get(row.first_key) {
        Some(key) if row.first_key != 0 => shared.keyspace.key(key).hash,
        _ => KeyHash::NONE,
    };
    (call.command, call.row, call.args) = (row.command, row, &queued.args);
    call.client.is_in_exec = true;
    let position = call.reply.position();
    invoke(call, position);
    call.client.is_in_exec = false;
    (call.row, call.args, call.first_hash) = outer;
    call.command = call.row.command;
    let spent = shared.clock.instant() - start;
    if let Some(stats) = call.worker.stats.command(row.id) {
        stats.note_all(1, u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX));
    }
    if spent.as_micros() >= u128::from(shared.slow_us()) {
        shared.note_slow(call.client, row, &queued.args, spent);
    }
}

/// CLIENT REPLY OFF and SKIP: takes the reply back unless it is that of CLIENT REPLY ON, and moves SKIP on by one command.
#[cold]
fn mute(client: &mut Client, before: ReplyMode, start: usize, out: &mut Vec<u8>) {
    if client.reply_mode != ReplyMode::On {
        out.truncate(start);
    }
    client.reply_mode = match (before, client.reply_mode) {
        (_, ReplyMode::SkipNext) => ReplyMode::Skip,
        (ReplyMode::Skip, ReplyMode::Skip) => ReplyMode::On,
        (_, now) => now,
    };
}
