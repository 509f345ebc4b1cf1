//! Transactions: MULTI queues, EXEC runs the queue in one piece, WATCH makes it depend on keys that nobody changed.
//!
//! The executor queues commands and latches for EXEC; what is decided here is whether the queue runs.

use crate::call::Call;
use crate::client::Transaction;
use crate::command::{Command, Flags, Group, KeyAccess, Keys, Reach};
use crate::error::{self, Error, session};
use crate::exec;

#[cfg(test)]
mod tests;

const ANY_TIME: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE);
const FAST: Flags = ANY_TIME.union(Flags::FAST).union(Flags::ALLOW_BUSY);
const FAST_CATEGORIES: &[&str] = &["fast", "transaction"];

pub(crate) static ROWS: &[Command] = &[
    Command::new("discard", 1, discard)
        .group(Group::Transactions, FAST_CATEGORIES)
        .flags(FAST)
        .reach(Reach::Watched)
        .docs("2.0.0", "O(N), when N is the number of queued commands", "", "Drops the commands queued since MULTI."),
    Command::new("exec", 1, exec)
        .group(Group::Transactions, &["slow", "transaction"])
        .flags(ANY_TIME.union(Flags::SKIP_SLOWLOG))
        .reach(Reach::Watched)
        .docs(
            "1.2.0",
            "Depends on commands in the transaction",
            "",
            "Runs the commands queued since MULTI, in one piece.",
        ),
    Command::new("multi", 1, multi).group(Group::Transactions, FAST_CATEGORIES).flags(FAST).docs(
        "1.2.0",
        "O(1)",
        "",
        "Starts a transaction: later commands are queued until EXEC.",
    ),
    Command::new("unwatch", 1, unwatch)
        .group(Group::Transactions, FAST_CATEGORIES)
        .flags(FAST)
        .reach(Reach::Watched)
        .docs("2.2.0", "O(1)", "", "Forgets every watched key."),
    Command::new("watch", -2, watch)
        .group(Group::Transactions, FAST_CATEGORIES)
        .flags(FAST)
        .keys(Keys::all(KeyAccess::ReadOnly))
        .docs(
            "2.2.0",
            "O(1) for every key.",
            "key [key ...]",
            "Makes the next EXEC depend on keys staying as they are.",
        ),
];

fn multi(call: &mut Call<'_>) -> Result<(), Error> {
    if call.client.transaction.is_some() {
        return Err(session::NESTED_MULTI);
    }
    call.client.transaction = Some(Transaction::default());
    call.reply.ok();
    Ok(())
}

fn discard(call: &mut Call<'_>) -> Result<(), Error> {
    if call.client.transaction.take().is_none() {
        return Err(session::DISCARD_WITHOUT_MULTI);
    }
    call.client.watching.forget(&mut call.held);
    call.reply.ok();
    Ok(())
}

fn exec(call: &mut Call<'_>) -> Result<(), Error> {
    let opened = call.opened.ok_or(session::EXEC_WITHOUT_MULTI)?;
    let has_changed = call.client.watching.has_changed(&mut call.held);
    // Commands of the transaction itself must not raise a flag that somebody would look at.
    call.client.watching.forget(&mut call.held);
    if opened.is_aborted {
        return Err(error::EXEC_ABORT);
    }
    if has_changed {
        call.reply.null_array();
        return Ok(());
    }
    call.reply.array(opened.requests.len());
    for request in &opened.requests {
        exec::run_queued(call, request);
    }
    Ok(())
}

fn watch(call: &mut Call<'_>) -> Result<(), Error> {
    if call.client.transaction.is_some() {
        return Err(session::WATCH_INSIDE_MULTI);
    }
    let db = call.client.db;
    for key in &call.args[1..] {
        call.client.watching.add(&mut call.held, db, key);
    }
    call.reply.ok();
    Ok(())
}

fn unwatch(call: &mut Call<'_>) -> Result<(), Error> {
    call.client.watching.forget(&mut call.held);
    call.reply.ok();
    Ok(())
}
