//! Parts of a string: GETRANGE (SUBSTR), SETRANGE, APPEND.

use crate::arguments::integer;
use crate::call::Call;
use crate::error::{self, Error};
use scrubjay_keyspace::Expiry;

pub(super) fn get_range(call: &mut Call<'_>) -> Result<(), Error> {
    let (start, end) = (integer(call.args[2])?, integer(call.args[3])?);
    let key = call.key(1);
    let (entry, reply) = call.read(&key);
    reply.bulk(entry.map_or(&[], |entry| part(entry.value, start, end)));
    Ok(())
}

/// The bytes from `start` to `end`, both included; negative offsets count from the end. Whatever lies outside is left out.
pub(super) fn part(value: &[u8], start: i64, end: i64) -> &[u8] {
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let Ok(len) = i64::try_from(value.len()) else { return &[] };
    let from_end = |offset: i64| if offset < 0 { (len + offset).max(0) } else { offset };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if start <= end => value.get(start..=end).unwrap_or_default(),
        _ => &[],
    }
}

pub(super) fn set_range(call: &mut Call<'_>) -> Result<(), Error> {
    let offset = integer(call.args[2])?;
    let offset = usize::try_from(offset).map_err(|_| error::OFFSET_OUT_OF_RANGE)?;
    let (key, db, patch) = (call.key(1), call.client.db, call.args[3]);
    let len = call.held.get(db, &key).map(|entry| entry.value.len());
    if patch.is_empty() {
        call.reply.count(len.unwrap_or_default());
        return Ok(());
    }
    let end = checked_len(call, offset, patch.len())?;
    let len = len.unwrap_or_default().max(end);
    let value = call.held.resize(db, &key, len)?;
    value[offset..end].copy_from_slice(patch);
    call.reply.count(len);
    Ok(())
}

pub(super) fn append(call: &mut Call<'_>) -> Result<(), Error> {
    let (key, db, tail) = (call.key(1), call.client.db, call.args[2]);
    let len = match call.held.get(db, &key).map(|entry| entry.value.len()) {
        None => {
            call.held.set(db, &key, tail, Expiry::Clear)?;
            tail.len()
        }
        Some(before) => {
            let len = checked_len(call, before, tail.len())?;
            call.held.resize(db, &key, len)?[before..].copy_from_slice(tail);
            len
        }
    };
    call.reply.count(len);
    Ok(())
}

/// `len + more`, unless no string may be that long.
fn checked_len(call: &Call<'_>, len: usize, more: usize) -> Result<usize, Error> {
    len.checked_add(more).filter(|total| *total <= call.value_len_max()).ok_or(error::TOO_LONG)
}
