//! Whether keys are there, and their removal.

use super::look;
use crate::call::Call;
use crate::error::Error;

pub(super) fn del(call: &mut Call<'_>) -> Result<(), Error> {
    let mut removed = 0;
    for bytes in &call.args[1..] {
        let key = call.held.key(bytes);
        removed += i64::from(call.held.remove(call.client.db, &key));
    }
    call.reply.integer(removed);
    Ok(())
}

pub(super) fn exists(call: &mut Call<'_>) -> Result<(), Error> {
    let mut found = 0;
    for index in 1..call.args.len() {
        let key = call.key(index);
        found += i64::from(look(call, &key).is_some());
    }
    call.reply.integer(found);
    Ok(())
}

pub(super) fn touch(call: &mut Call<'_>) -> Result<(), Error> {
    let mut found = 0;
    for index in 1..call.args.len() {
        let key = call.key(index);
        found += i64::from(look(call, &key).is_some());
        // Noted even for a client that said CLIENT NO-TOUCH ON: that is what the command is for.
        call.held.get(call.client.db, &key);
    }
    call.reply.integer(found);
    Ok(())
}

pub(super) fn kind(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.key(1);
    let name = if look(call, &key).is_some() { "string" } else { "none" };
    call.reply.simple(name);
    Ok(())
}
