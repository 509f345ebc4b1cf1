//! Numbers in strings: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT. The expiry of the key stays.

use super::extended::Extended;
use crate::arguments::{integer, parse_integer};
use crate::call::Call;
use crate::error::{self, Error};
use scrubjay_keyspace::Expiry;

pub(super) fn incr(call: &mut Call<'_>) -> Result<(), Error> {
    add(call, 1)
}

pub(super) fn decr(call: &mut Call<'_>) -> Result<(), Error> {
    add(call, -1)
}

pub(super) fn incr_by(call: &mut Call<'_>) -> Result<(), Error> {
    let increment = integer(call.args[2])?;
    add(call, increment)
}

pub(super) fn decr_by(call: &mut Call<'_>) -> Result<(), Error> {
    let decrement = integer(call.args[2])?;
    add(call, decrement.checked_neg().ok_or(error::DECREMENT_OVERFLOW)?)
}

fn add(call: &mut Call<'_>, increment: i64) -> Result<(), Error> {
    let (key, db) = (call.key(1), call.client.db);
    let before = match call.held.get(db, &key) {
        Some(entry) => parse_integer(entry.value).ok_or(error::NOT_AN_INTEGER)?,
        None => 0,
    };
    let sum = before.checked_add(increment).ok_or(error::INCREMENT_OVERFLOW)?;
    let mut digits = itoa::Buffer::new();
    call.held.set(db, &key, digits.format(sum).as_bytes(), Expiry::Keep)?;
    call.reply.integer(sum);
    Ok(())
}

pub(super) fn incr_by_float(call: &mut Call<'_>) -> Result<(), Error> {
    let (key, db) = (call.key(1), call.client.db);
    let before = match call.held.get(db, &key) {
        Some(entry) => Extended::parse(entry.value).ok_or(error::NOT_A_FLOAT)?,
        None => Extended::ZERO,
    };
    let increment = Extended::parse(call.args[2]).ok_or(error::NOT_A_FLOAT)?;
    let sum = before.plus(increment).ok_or(error::NAN_OR_INFINITY)?.to_string();
    call.held.set(db, &key, sum.as_bytes(), Expiry::Keep)?;
    call.reply.bulk(sum.as_bytes());
    Ok(())
}
