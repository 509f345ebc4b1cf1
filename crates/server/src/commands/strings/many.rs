//! MGET, MSET, MSETNX. They are atomic because every key is latched before the handler runs.

use super::get::answer_value;
use crate::call::Call;
use crate::error::{self, Error};
use scrubjay_keyspace::Expiry;

pub(super) fn mget(call: &mut Call<'_>) -> Result<(), Error> {
    call.reply.array(call.args.len() - 1);
    for index in 1..call.args.len() {
        let key = call.key(index);
        answer_value(call, &key);
    }
    Ok(())
}

pub(super) fn mset(call: &mut Call<'_>) -> Result<(), Error> {
    check_pairs(call)?;
    set_all(call)?;
    call.reply.ok();
    Ok(())
}

pub(super) fn mset_nx(call: &mut Call<'_>) -> Result<(), Error> {
    check_pairs(call)?;
    for index in (1..call.args.len()).step_by(2) {
        let key = call.key(index);
        if call.held.get(call.client.db, &key).is_some() {
            call.reply.integer(0);
            return Ok(());
        }
    }
    set_all(call)?;
    call.reply.integer(1);
    Ok(())
}

fn check_pairs(call: &Call<'_>) -> Result<(), Error> {
    if call.args.len() % 2 == 1 { Ok(()) } else { Err(error::wrong_arity(call.command.name)) }
}

fn set_all(call: &mut Call<'_>) -> Result<(), Error> {
    for index in (1..call.args.len()).step_by(2) {
        let key = call.key(index);
        call.held.set(call.client.db, &key, call.args[index + 1], Expiry::Clear)?;
    }
    Ok(())
}
