//! One bit: GETBIT, SETBIT.

use super::offset;
use crate::arguments::parse_integer;
use crate::call::Call;
use crate::error::{self, Error};

pub(super) fn get_bit(call: &mut Call<'_>) -> Result<(), Error> {
    let at = offset(call, call.args[2], None)?;
    let key = call.key(1);
    let (entry, reply) = call.read(&key);
    let byte = entry.and_then(|entry| entry.value.get(at / 8).copied()).unwrap_or_default();
    reply.integer(i64::from(byte >> (7 - at % 8) & 1));
    Ok(())
}

pub(super) fn set_bit(call: &mut Call<'_>) -> Result<(), Error> {
    let at = offset(call, call.args[2], None)?;
    let bit = match parse_integer(call.args[3]) {
        Some(0) => 0_u8,
        Some(1) => 1,
        _ => return Err(error::BIT_VALUE),
    };
    let (key, db) = (call.key(1), call.client.db);
    let (index, shift) = (at / 8, 7 - at % 8);
    let entry = call.held.get(db, &key);
    let len = entry.map_or(0, |entry| entry.value.len());
    let byte = entry.and_then(|entry| entry.value.get(index).copied());
    let before = byte.unwrap_or_default() >> shift & 1;
    // What changes nothing must not wake those who watch the key.
    if byte.is_none() || before != bit {
        let value = call.held.resize(db, &key, len.max(index + 1))?;
        value[index] = value[index] & !(1 << shift) | bit << shift;
    }
    call.reply.integer(i64::from(before));
    Ok(())
}
