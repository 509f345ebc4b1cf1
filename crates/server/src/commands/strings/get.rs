//! GET and what else answers a whole value: GETDEL, GETEX, GETSET, STRLEN.

use crate::arguments::{Moment, is};
use crate::call::Call;
use crate::error::{self, Error};
use scrubjay_keyspace::{Expiry, Key};

pub(crate) fn get(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.key(1);
    answer_value(call, &key);
    Ok(())
}

/// Answers the value of `key`, or null. Returns whether the key was there.
pub(super) fn answer_value(call: &mut Call<'_>, key: &Key<'_>) -> bool {
    match call.read(key) {
        (Some(entry), reply) => {
            reply.bulk(entry.value);
            true
        }
        (None, reply) => {
            reply.null();
            false
        }
    }
}

pub(super) fn get_del(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.key(1);
    if answer_value(call, &key) {
        call.held.remove(call.client.db, &key);
    }
    Ok(())
}

pub(super) fn get_set(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.key(1);
    answer_value(call, &key);
    call.held.set(call.client.db, &key, call.args[2], Expiry::Clear)?;
    Ok(())
}

pub(super) fn strlen(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.key(1);
    let (entry, reply) = call.read(&key);
    reply.count(entry.map_or(0, |entry| entry.value.len()));
    Ok(())
}

pub(super) fn get_ex(call: &mut Call<'_>) -> Result<(), Error> {
    let option = GetExOption::parse(&call.args[2..])?;
    let (key, db, now_ms) = (call.key(1), call.client.db, call.now_ms());
    let name = call.command.name;
    let (Some(entry), reply) = call.read(&key) else {
        call.reply.null();
        return Ok(());
    };
    match option {
        GetExOption::Touch => reply.bulk(entry.value),
        GetExOption::Persist => {
            let had_expiry = entry.expires_at_ms.is_some();
            reply.bulk(entry.value);
            if had_expiry {
                call.held.set_expiry(db, &key, None)?;
            }
        }
        GetExOption::Expire(moment, amount) => {
            let at_ms = moment.expiry(amount, now_ms, name)?;
            reply.bulk(entry.value);
            if at_ms <= now_ms {
                call.held.remove(db, &key);
            } else {
                call.held.set_expiry(db, &key, Some(at_ms))?;
            }
        }
    }
    Ok(())
}

/// What GETEX does besides answering.
enum GetExOption<'a> {
    Touch,
    Persist,
    /// The amount is read only once the key is known to be there: an absent key hides a bad one, as in Redis.
    Expire(Moment, &'a [u8]),
}

impl<'a> GetExOption<'a> {
    fn parse(mut rest: &[&'a [u8]]) -> Result<GetExOption<'a>, Error> {
        let mut option = GetExOption::Touch;
        while let [word, after @ ..] = rest {
            rest = after;
            let moment = Moment::from_option(word);
            option = match (option, moment, after) {
                (GetExOption::Touch | GetExOption::Persist, None, _) if is(word, "persist") => GetExOption::Persist,
                (GetExOption::Touch, Some(moment), [amount, after @ ..]) => {
                    rest = after;
                    GetExOption::Expire(moment, amount)
                }
                // The same option twice is fine, and the last one counts.
                (GetExOption::Expire(before, _), Some(moment), [amount, after @ ..]) if before == moment => {
                    rest = after;
                    GetExOption::Expire(moment, amount)
                }
                _ => return Err(error::SYNTAX),
            };
        }
        Ok(option)
    }
}
