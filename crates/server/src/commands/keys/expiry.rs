//! When keys expire: asking, setting, clearing.

use super::look;
use crate::arguments::{Moment, is};
use crate::call::Call;
use crate::error::Error;

pub(super) fn ttl(call: &mut Call<'_>) -> Result<(), Error> {
    let now_ms = call.now_ms();
    answer(call, |at_ms| seconds(at_ms.saturating_sub(now_ms)))
}

pub(super) fn pttl(call: &mut Call<'_>) -> Result<(), Error> {
    let now_ms = call.now_ms();
    answer(call, |at_ms| at_ms.saturating_sub(now_ms))
}

pub(super) fn expiretime(call: &mut Call<'_>) -> Result<(), Error> {
    answer(call, seconds)
}

pub(super) fn pexpiretime(call: &mut Call<'_>) -> Result<(), Error> {
    answer(call, |at_ms| at_ms)
}

/// -2 for no key, -1 for no expiry, otherwise what `shown` makes of the time at which the key expires.
fn answer(call: &mut Call<'_>, shown: impl FnOnce(u64) -> u64) -> Result<(), Error> {
    let key = call.key(1);
    let number = match look(call, &key).map(|entry| entry.expires_at_ms) {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => i64::try_from(shown(at_ms)).unwrap_or(i64::MAX),
    };
    call.reply.integer(number);
    Ok(())
}

/// Rounded, as Redis does it: a key with half a second left has one second.
fn seconds(ms: u64) -> u64 {
    ms.saturating_add(500) / 1000
}

pub(super) fn expire(call: &mut Call<'_>) -> Result<(), Error> {
    set_expiry(call, Moment::EX)
}

pub(super) fn pexpire(call: &mut Call<'_>) -> Result<(), Error> {
    set_expiry(call, Moment::PX)
}

pub(super) fn expireat(call: &mut Call<'_>) -> Result<(), Error> {
    set_expiry(call, Moment::EXAT)
}

pub(super) fn pexpireat(call: &mut Call<'_>) -> Result<(), Error> {
    set_expiry(call, Moment::PXAT)
}

pub(super) fn persist(call: &mut Call<'_>) -> Result<(), Error> {
    let (db, key) = (call.client.db, call.key(1));
    let expires = call.held.peek(db, &key).is_some_and(|entry| entry.expires_at_ms.is_some());
    if expires {
        call.held.set_expiry(db, &key, None)?;
    }
    call.reply.integer(i64::from(expires));
    Ok(())
}

fn set_expiry(call: &mut Call<'_>, moment: Moment) -> Result<(), Error> {
    let condition = Condition::parse(&call.args[3..])?;
    let at_ms = moment.any(call.args[2], call.now_ms(), call.command.name)?;
    let (db, key) = (call.client.db, call.key(1));
    let is_set = match call.held.peek(db, &key).map(|entry| entry.expires_at_ms) {
        Some(before_ms) if condition.allows(before_ms, at_ms) => {
            match u64::try_from(at_ms).ok().filter(|at_ms| *at_ms > call.now_ms()) {
                Some(at_ms) => call.held.set_expiry(db, &key, Some(at_ms))?,
                None => call.held.remove(db, &key),
            }
        }
        _ => false,
    };
    call.reply.integer(i64::from(is_set));
    Ok(())
}

/// The options of EXPIRE and its kin.
#[derive(Clone, Copy, Default)]
struct Condition {
    is_absent: bool,
    is_present: bool,
    is_later: bool,
    is_earlier: bool,
}

impl Condition {
    fn parse(options: &[&[u8]]) -> Result<Condition, Error> {
        let mut condition = Condition::default();
        for option in options {
            let flag = match () {
                () if is(option, "nx") => &mut condition.is_absent,
                () if is(option, "xx") => &mut condition.is_present,
                () if is(option, "gt") => &mut condition.is_later,
                () if is(option, "lt") => &mut condition.is_earlier,
                () => return Err(Error::new(format!("ERR Unsupported option {}", String::from_utf8_lossy(option)))),
            };
            *flag = true;
        }
        if condition.is_absent && (condition.is_present || condition.is_later || condition.is_earlier) {
            return Err(Error::new("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if condition.is_later && condition.is_earlier {
            return Err(Error::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(condition)
    }

    /// A key without expiry counts as one that expires after every other.
    fn allows(self, before_ms: Option<u64>, at_ms: i64) -> bool {
        let before = before_ms.map(i128::from);
        let at = i128::from(at_ms);
        !(self.is_absent && before.is_some()
            || self.is_present && before.is_none()
            || self.is_later && before.is_none_or(|before| at <= before)
            || self.is_earlier && before.is_some_and(|before| at >= before))
    }
}
