//! The checks before a handler runs, in the order of Redis' `processCommand`: what fails first is what the client is told.

use super::Request;
use crate::client::{Client, Queued};
use crate::command::Flags;
use crate::dispatch::{InMulti, Row};
use crate::error::{self, Error};
use crate::persistence;
use crate::server::Shared;
use scrubjay_resp::Reply;
use std::sync::atomic::Ordering;

/// What to do with a request that may go on.
pub(super) enum Next {
    Run(&'static Row),
    /// Keep it for EXEC.
    Queue(&'static Row),
    /// CLIENT PAUSE is in the way.
    HoldBack {
        until_ms: u64,
    },
}

/// Why a request is not run.
pub(super) enum Refusal {
    /// There is no such command; dispatch explains it.
    Unknown,
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Error(error)
    }
}

const NOT_IN_MULTI: &str = "ERR Command not allowed inside a transaction";

/// Decides what happens to a request.
#[inline]
pub(super) fn next(shared: &Shared, client: &mut Client, request: &Request<'_>, now_ms: u64) -> Result<Next, Refusal> {
    let Ok(row) = request.row else { return Err(Refusal::Unknown) };
    if !row.command.accepts(request.args.len()) {
        return Err(error::wrong_arity(&row.full_name).into());
    }
    let flags = row.command.flags;
    if !client.is_authenticated && !flags.contains(Flags::NO_AUTH) {
        return Err(error::NO_AUTH.into());
    }
    let in_multi = match &client.transaction {
        Some(_) => row.in_multi,
        None => InMulti::Runs,
    };
    if in_multi == InMulti::Refused {
        return Err(Error::new(NOT_IN_MULTI).into());
    }
    if shared.is_memory_limited() && denies_oom(client, row) && shared.is_out_of_memory() {
        return Err(error::OOM.into());
    }
    if flags.contains(Flags::WRITE) {
        persistence::check_writes(shared)?;
    }
    if in_multi == InMulti::Queued {
        return Ok(Next::Queue(row));
    }
    match shared.pause.holds(|| may_replicate(client, row), now_ms) {
        Some(until_ms) => Ok(Next::HoldBack { until_ms }),
        None => Ok(Next::Run(row)),
    }
}

/// Whether the request adds data: its own flag, or for EXEC one of the queued rows'.
fn denies_oom(client: &Client, row: &Row) -> bool {
    let queued = || client.transaction.iter().flat_map(|open| &open.queued);
    row.command.flags.contains(Flags::DENYOOM)
        || (is_exec(row) && queued().any(|queued| queued.row.command.flags.contains(Flags::DENYOOM)))
}

fn may_replicate(client: &Client, row: &Row) -> bool {
    let queued = || client.transaction.iter().flat_map(|open| &open.queued);
    row.may_replicate() || (is_exec(row) && queued().any(|queued| queued.row.may_replicate()))
}

/// Whether an unknown name is a line of an HTTP request. Some web page has a browser send it, and what follows may be commands:
/// as in Redis, the connection is closed without a reply.
pub(super) fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// Whether this is EXEC, which stands for everything that was queued.
pub(super) fn is_exec(row: &Row) -> bool {
    row.full_name == "exec"
}

/// Keeps a request for EXEC and answers QUEUED. A client that queues more than its query buffer may hold is closed.
pub(super) fn queue(shared: &Shared, client: &mut Client, row: &'static Row, args: &[&[u8]], out: &mut Vec<u8>) {
    let protocol = client.protocol;
    let Some(open) = &mut client.transaction else { return };
    client.handle.last_row.store(row.id, Ordering::Relaxed);
    open.push(Queued::new(row, args));
    if open.cost > shared.query_buffer_limit() {
        client.close_after_reply = true;
        return;
    }
    Reply::new(out, protocol).simple("QUEUED");
}
