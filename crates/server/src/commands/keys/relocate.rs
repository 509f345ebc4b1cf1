//! Values that change their key or database: RENAME, MOVE, COPY.

use super::database;
use crate::arguments::is;
use crate::call::Call;
use crate::error::{self, Error};
use scrubjay_keyspace::{Db, Key, Owned};

/// Longer values move without a copy; shorter ones are copied first, so that no room at the new place loses nothing.
const COPIED_LEN_MAX: usize = 16 << 10;

const SAME: &str = "ERR source and destination objects are the same";

pub(super) fn rename(call: &mut Call<'_>) -> Result<(), Error> {
    let (db, from, to) = (call.client.db, call.key(1), call.key(2));
    if call.held.peek(db, &from).is_none() {
        return Err(error::NO_SUCH_KEY);
    }
    if from.bytes != to.bytes {
        relocate(call, (db, &from), (db, &to))?;
    }
    call.reply.ok();
    Ok(())
}

pub(super) fn renamenx(call: &mut Call<'_>) -> Result<(), Error> {
    let (db, from, to) = (call.client.db, call.key(1), call.key(2));
    if call.held.peek(db, &from).is_none() {
        return Err(error::NO_SUCH_KEY);
    }
    let is_free = call.held.peek(db, &to).is_none();
    if is_free {
        relocate(call, (db, &from), (db, &to))?;
    }
    call.reply.integer(i64::from(is_free));
    Ok(())
}

pub(super) fn move_to(call: &mut Call<'_>) -> Result<(), Error> {
    let (from, to) = (call.client.db, database(call, call.args[2])?);
    if from == to {
        return Err(Error::new(SAME));
    }
    let key = call.key(1);
    let is_moved = call.held.peek(from, &key).is_some() && call.held.peek(to, &key).is_none();
    if is_moved {
        relocate(call, (from, &key), (to, &key))?;
    }
    call.reply.integer(i64::from(is_moved));
    Ok(())
}

pub(super) fn copy(call: &mut Call<'_>) -> Result<(), Error> {
    let (from_db, mut to_db, mut replaces) = (call.client.db, call.client.db, false);
    let mut options = call.args[3..].iter();
    while let Some(option) = options.next() {
        if is(option, "replace") {
            replaces = true;
        } else if is(option, "db")
            && let Some(number) = options.next()
        {
            to_db = database(call, number)?;
        } else {
            return Err(error::SYNTAX);
        }
    }
    let (from, to) = (call.key(1), call.key(2));
    if from_db == to_db && from.bytes == to.bytes {
        return Err(Error::new(SAME));
    }
    let source = call.read(&from).0.map(|entry| (entry.value.to_vec(), entry.expires_at_ms, entry.is_raw));
    let is_copied = match source {
        Some((value, expires_at_ms, is_raw)) if replaces || call.held.peek(to_db, &to).is_none() => {
            call.held.insert(to_db, &to, Owned { value, expires_at_ms, is_raw, idle_seconds: 0 })?;
            true
        }
        _ => false,
    };
    call.reply.integer(i64::from(is_copied));
    Ok(())
}

/// Moves what is at `from` to `to`, in place of whatever is there.
fn relocate(call: &mut Call<'_>, from: (Db, &Key<'_>), to: (Db, &Key<'_>)) -> Result<(), Error> {
    let short = call.held.peek(from.0, from.1).filter(|entry| entry.value.len() <= COPIED_LEN_MAX).map(|entry| Owned {
        value: entry.value.to_vec(),
        expires_at_ms: entry.expires_at_ms,
        is_raw: entry.is_raw,
        idle_seconds: entry.idle_seconds,
    });
    if let Some(owned) = short {
        call.held.insert(to.0, to.1, owned)?;
        // Taken and dropped, not removed: a key that moves is one change.
        drop(call.held.take(from.0, from.1));
    } else if let Some(owned) = call.held.take(from.0, from.1) {
        call.held.insert(to.0, to.1, owned)?;
    }
    Ok(())
}
