//! Whole databases: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB.

use super::database;
use crate::arguments::{integer, is};
use crate::call::Call;
use crate::error::{self, Error};
use crate::persistence;
use scrubjay_keyspace::Db;

pub(super) fn dbsize(call: &mut Call<'_>) -> Result<(), Error> {
    let count = call.shared.keyspace.len(call.client.db);
    call.reply.integer(i64::try_from(count).unwrap_or(i64::MAX));
    Ok(())
}

pub(super) fn flushdb(call: &mut Call<'_>) -> Result<(), Error> {
    check_mode(call)?;
    call.held.flush(call.client.db);
    call.reply.ok();
    Ok(())
}

pub(super) fn flushall(call: &mut Call<'_>) -> Result<(), Error> {
    check_mode(call)?;
    for number in 0..call.shared.keyspace.databases() {
        call.held.flush(Db(number));
    }
    // They are in the snapshot: what counts as changed since is only what comes after.
    call.shared.persistence.note_changes(call.worker.slot, call.held.take_change_count());
    persistence::save_after_flush(call.shared, &mut call.held);
    call.reply.ok();
    Ok(())
}

/// ASYNC and SYNC are the same: either way memory is given back after all.
fn check_mode(call: &Call<'_>) -> Result<(), Error> {
    match call.args[1..] {
        [] => Ok(()),
        [mode] if is(mode, "async") || is(mode, "sync") => Ok(()),
        _ => Err(error::SYNTAX),
    }
}

pub(super) fn swapdb(call: &mut Call<'_>) -> Result<(), Error> {
    for (argument, text) in [(1, "ERR invalid first DB index"), (2, "ERR invalid second DB index")] {
        let number = integer(call.args[argument]).ok().and_then(|number| i32::try_from(number).ok());
        number.ok_or_else(|| Error::new(text))?;
    }
    let (first, second) = (database(call, call.args[1])?, database(call, call.args[2])?);
    // A database against itself is no change: whoever watches a key in it must not notice.
    if first != second {
        call.held.swap(first, second);
    }
    call.reply.ok();
    Ok(())
}
