//! DUMP and RESTORE: a value as bytes, between servers.

use crate::arguments::{integer, is};
use crate::call::Call;
use crate::error::{self, Error};
use crate::rdb::{self, PayloadError};
use scrubjay_keyspace::Owned;

pub(super) fn dump(call: &mut Call<'_>) -> Result<(), Error> {
    let compress = call.shared.config.rdbcompression();
    let key = call.key(1);
    match call.read(&key).0.map(|entry| rdb::dump(entry.value, compress)) {
        Some(payload) => call.reply.bulk(&payload),
        None => call.reply.null(),
    }
    Ok(())
}

pub(super) fn restore(call: &mut Call<'_>) -> Result<(), Error> {
    let options = Options::parse(&call.args[4..])?;
    let (db, key) = (call.client.db, call.key(1));
    if !options.replaces && call.held.peek(db, &key).is_some() {
        return Err(Error::new("BUSYKEY Target key name already exists."));
    }
    let ttl = u64::try_from(integer(call.args[2])?).map_err(|_| Error::new("ERR Invalid TTL value, must be >= 0"))?;
    let value = rdb::restore(call.args[3]).map_err(|error| match error {
        PayloadError::Footer => Error::new("ERR DUMP payload version or checksum are wrong"),
        PayloadError::Format => Error::new("ERR Bad data format"),
    })?;
    let now_ms = call.now_ms();
    let expires_at_ms = match ttl {
        0 => None,
        at_ms if options.is_absolute => Some(at_ms),
        // Files hold the time as a signed number.
        ttl_ms => Some(now_ms.saturating_add(ttl_ms).min(i64::MAX.unsigned_abs())),
    };
    if expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
        call.held.remove(db, &key);
    } else {
        let idle_seconds = options.idle_seconds;
        call.held.insert(db, &key, Owned { value, expires_at_ms, is_raw: false, idle_seconds })?;
    }
    call.reply.ok();
    Ok(())
}

#[derive(Default)]
struct Options {
    replaces: bool,
    is_absolute: bool,
    idle_seconds: u32,
}

impl Options {
    fn parse(arguments: &[&[u8]]) -> Result<Options, Error> {
        let (mut options, mut has_idle, mut has_frequency) = (Options::default(), false, false);
        let mut rest = arguments.iter();
        while let Some(option) = rest.next() {
            if is(option, "replace") {
                options.replaces = true;
            } else if is(option, "absttl") {
                options.is_absolute = true;
            } else if is(option, "idletime") && !has_frequency {
                let seconds = integer(rest.next().ok_or(error::SYNTAX)?)?;
                if seconds < 0 {
                    return Err(Error::new("ERR Invalid IDLETIME value, must be >= 0"));
                }
                options.idle_seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                has_idle = true;
            } else if is(option, "freq") && !has_idle {
                // Checked and let go: no policy here counts how often a key is used.
                if !(0..=255).contains(&integer(rest.next().ok_or(error::SYNTAX)?)?) {
                    return Err(Error::new("ERR Invalid FREQ value, must be >= 0 and <= 255"));
                }
                has_frequency = true;
            } else {
                return Err(error::SYNTAX);
            }
        }
        Ok(options)
    }
}
