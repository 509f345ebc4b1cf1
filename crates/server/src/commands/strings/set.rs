//! SET with its options, and the older commands that are SET with one of them: SETNX, SETEX, PSETEX.

use super::get::answer_value;
use crate::arguments::{Moment, is};
use crate::call::Call;
use crate::error::{self, Error};
use scrubjay_keyspace::Expiry;

/// The condition on which SET writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Always,
    Absent,
    Present,
}

/// What SET was asked for.
struct Options<'a> {
    condition: Condition,
    answers_old: bool,
    keeps_expiry: bool,
    expiry: Option<(Moment, &'a [u8])>,
}

pub(super) fn set(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.key(1);
    let db = call.client.db;
    if call.args.len() == 3 {
        call.held.set(db, &key, call.args[2], Expiry::Clear)?;
        call.reply.ok();
        return Ok(());
    }
    let options = Options::parse(&call.args[3..])?;
    let expiry = match options.expiry {
        Some((moment, amount)) => Expiry::At(moment.expiry(amount, call.now_ms(), call.command.name)?),
        None if options.keeps_expiry => Expiry::Keep,
        None => Expiry::Clear,
    };
    if options.answers_old {
        answer_value(call, &key);
    }
    let is_met = match options.condition {
        Condition::Always => true,
        Condition::Absent => call.held.get(db, &key).is_none(),
        Condition::Present => call.held.get(db, &key).is_some(),
    };
    if is_met {
        call.held.set(db, &key, call.args[2], expiry)?;
    }
    match (options.answers_old, is_met) {
        (true, _) => {}
        (false, true) => call.reply.ok(),
        (false, false) => call.reply.null(),
    }
    Ok(())
}

impl<'a> Options<'a> {
    /// Options may come in any order and the same one twice; the last of a kind counts.
    fn parse(mut rest: &[&'a [u8]]) -> Result<Options<'a>, Error> {
        let mut options =
            Options { condition: Condition::Always, answers_old: false, keeps_expiry: false, expiry: None };
        while let [word, after @ ..] = rest {
            rest = after;
            if is(word, "nx") && options.condition != Condition::Present {
                options.condition = Condition::Absent;
            } else if is(word, "xx") && options.condition != Condition::Absent {
                options.condition = Condition::Present;
            } else if is(word, "get") {
                options.answers_old = true;
            } else if is(word, "keepttl") && options.expiry.is_none() {
                options.keeps_expiry = true;
            } else if let (Some(moment), [amount, after @ ..]) = (Moment::from_option(word), after) {
                if options.keeps_expiry || options.expiry.is_some_and(|(before, _)| before != moment) {
                    return Err(error::SYNTAX);
                }
                options.expiry = Some((moment, amount));
                rest = after;
            } else {
                return Err(error::SYNTAX);
            }
        }
        Ok(options)
    }
}

pub(super) fn set_nx(call: &mut Call<'_>) -> Result<(), Error> {
    let (key, db) = (call.key(1), call.client.db);
    let is_absent = call.held.get(db, &key).is_none();
    if is_absent {
        call.held.set(db, &key, call.args[2], Expiry::Clear)?;
    }
    call.reply.integer(i64::from(is_absent));
    Ok(())
}

pub(super) fn set_ex(call: &mut Call<'_>) -> Result<(), Error> {
    set_with_expiry(call, Moment::EX)
}

pub(super) fn pset_ex(call: &mut Call<'_>) -> Result<(), Error> {
    set_with_expiry(call, Moment::PX)
}

fn set_with_expiry(call: &mut Call<'_>, moment: Moment) -> Result<(), Error> {
    let at_ms = moment.expiry(call.args[2], call.now_ms(), call.command.name)?;
    let key = call.key(1);
    call.held.set(call.client.db, &key, call.args[3], Expiry::At(at_ms))?;
    call.reply.ok();
    Ok(())
}
