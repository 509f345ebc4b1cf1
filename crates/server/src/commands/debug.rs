//! DEBUG: what test suites ask of a server. Each subcommand is a row, so that it latches what it needs; COMMAND shows only
//! the container, as Redis does.

mod digest;
mod protocol;
#[cfg(test)]
mod tests;

use crate::arguments::{self, parse_integer};
use crate::call::Call;
use crate::command::{Command, Flags, Group, KeyAccess, Keys, Reach};
use crate::commands::container;
use crate::commands::keys::object;
use crate::error::{self, Error};
use crate::log::Level;
use crate::persistence;
use scrubjay_keyspace::Expiry;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What the rows of this file have in common. The subcommands count their arguments themselves: Redis answers a wrong
/// number as it answers a wrong name.
const ROW: Command = Command {
    name: "",
    arity: -2,
    flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE),
    keys: Keys::None,
    reach: Reach::Keys,
    group: Group::Server,
    since: "1.0.0",
    complexity: "Depends on the subcommand.",
    summary: "Holds the commands for tests of servers and clients.",
    categories: &["admin", "slow", "dangerous"],
    syntax: "",
    handler: unknown,
    subcommands: &[],
};

pub(crate) static ROWS: &[Command] = &[Command {
    name: "debug",
    subcommands: &[
        Command { name: "change-repl-id", handler: accepted, ..ROW },
        Command { name: "digest", reach: Reach::Whole, handler: digest::digest, ..ROW },
        Command {
            name: "digest-value",
            keys: Keys::Range { first: 2, last: -1, step: 1, access: KeyAccess::ReadOnlyAccess },
            handler: digest::digest_value,
            ..ROW
        },
        Command { name: "error", handler: error, ..ROW },
        Command { name: "help", handler: help, ..ROW },
        Command { name: "log", handler: log, ..ROW },
        Command {
            name: "object",
            keys: Keys::Range { first: 2, last: 2, step: 1, access: KeyAccess::ReadOnly },
            handler: object_info,
            ..ROW
        },
        Command { name: "populate", reach: Reach::Whole, handler: populate, ..ROW },
        Command { name: "protocol", handler: protocol::protocol, ..ROW },
        Command { name: "quicklist-packed-threshold", handler: accepted, ..ROW },
        Command { name: "reload", reach: Reach::Whole, handler: reload, ..ROW },
        Command { name: "set-active-expire", handler: set_active_expire, ..ROW },
        Command { name: "set-disable-deny-scripts", handler: accepted, ..ROW },
        Command { name: "sleep", reach: Reach::Whole, handler: sleep, ..ROW },
        Command { name: "stringmatch-len", handler: stringmatch, ..ROW },
    ],
    ..ROW
}];

/// The arguments behind the subcommand, exactly `N` of them; refuses those whom `enable-debug-command` does not allow.
fn arguments<'a, const N: usize>(call: &Call<'a>) -> Result<[&'a [u8]; N], Error> {
    permit(call)?;
    let args = call.args.get(2..).unwrap_or_default();
    args.try_into().map_err(|_| wrong(call))
}

fn permit(call: &Call<'_>) -> Result<(), Error> {
    if call.shared.config.allows_debug(call.client.handle.is_local()) {
        return Ok(());
    }
    Err(Error::new(
        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local \
         connection, otherwise you need to set this option in the configuration file, and then restart the server.",
    ))
}

fn wrong(call: &Call<'_>) -> Error {
    container::wrong_arguments("DEBUG", &String::from_utf8_lossy(call.args.get(1).copied().unwrap_or_default()))
}

fn unknown(call: &mut Call<'_>) -> Result<(), Error> {
    permit(call)?;
    Err(wrong(call))
}

/// What other servers tune here does not exist in this one.
fn accepted(call: &mut Call<'_>) -> Result<(), Error> {
    permit(call)?;
    call.reply.ok();
    Ok(())
}

/// Holds the whole keyspace meanwhile: nobody is served, as when Redis sleeps.
fn sleep(call: &mut Call<'_>) -> Result<(), Error> {
    let [seconds] = arguments(call)?;
    let seconds = std::str::from_utf8(seconds).ok().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    if let Ok(duration) = Duration::try_from_secs_f64(seconds) {
        call.shared.clock.sleep(duration);
    }
    call.reply.ok();
    Ok(())
}

fn set_active_expire(call: &mut Call<'_>) -> Result<(), Error> {
    let [switch] = arguments(call)?;
    call.shared.is_active_expire_on.store(switch != b"0", Ordering::Relaxed);
    call.reply.ok();
    Ok(())
}

fn object_info(call: &mut Call<'_>) -> Result<(), Error> {
    let [_] = arguments(call)?;
    let key = call.key(2);
    let now_seconds = call.now_ms() / 1000;
    let entry = call.held.peek(call.client.db, &key).ok_or(error::NO_SUCH_KEY)?;
    // The payload of DUMP: a byte for the type before the value, version and checksum behind it.
    let serialized_len = crate::rdb::dump(entry.value, true).len().saturating_sub(11);
    let text = format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{serialized_len} lru:{} lru_seconds_idle:{}",
        entry.value.as_ptr(),
        object::name(&entry),
        now_seconds.saturating_sub(u64::from(entry.idle_seconds)) & 0xff_ffff,
        entry.idle_seconds,
    );
    call.reply.simple(&text);
    Ok(())
}

/// Keys of DEBUG POPULATE in one call.
const POPULATE_MAX: i64 = 100_000_000;
/// Bytes of a value of DEBUG POPULATE.
const POPULATE_LEN_MAX: usize = 512 << 20;

fn populate(call: &mut Call<'_>) -> Result<(), Error> {
    permit(call)?;
    let args = call.args.get(2..).unwrap_or_default();
    let [count, options @ ..] = args else { return Err(wrong(call)) };
    if options.len() > 2 {
        return Err(wrong(call));
    }
    let count = parse_integer(count).filter(|count| (0..=POPULATE_MAX).contains(count)).ok_or(error::OUT_OF_RANGE)?;
    let prefix = options.first().copied().unwrap_or(b"key");
    let len = match options.get(1) {
        Some(len) => Some(parse_integer(len).and_then(|len| usize::try_from(len).ok()).ok_or(error::OUT_OF_RANGE)?),
        None => None,
    };
    if len.is_some_and(|len| len > POPULATE_LEN_MAX) {
        return Err(error::OUT_OF_RANGE);
    }
    let db = call.client.db;
    for number in 0..count {
        let bytes = [prefix, b":", number.to_string().as_bytes()].concat();
        let key = call.held.key(&bytes);
        if call.held.peek(db, &key).is_some() {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        if let Some(len) = len {
            value.resize(len, 0);
        }
        call.held.set(db, &key, &value, Expiry::Clear)?;
    }
    call.reply.ok();
    Ok(())
}

fn reload(call: &mut Call<'_>) -> Result<(), Error> {
    permit(call)?;
    let mut saves_first = true;
    for option in call.args.get(2..).unwrap_or_default() {
        match option {
            option if arguments::is(option, "nosave") => saves_first = false,
            option if arguments::is(option, "noflush") || arguments::is(option, "merge") => {
                return Err(Error::new("ERR DEBUG RELOAD always replaces the data set here: only NOSAVE is an option"));
            }
            _ => return Err(Error::new("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")),
        }
    }
    persistence::reload(call.shared, &mut call.held, saves_first)?;
    call.reply.ok();
    Ok(())
}

fn stringmatch(call: &mut Call<'_>) -> Result<(), Error> {
    let [pattern, text] = arguments(call)?;
    call.reply.integer(i64::from(crate::glob::matches(pattern, text, crate::glob::Case::Sensitive)));
    Ok(())
}

fn error(call: &mut Call<'_>) -> Result<(), Error> {
    let [text] = arguments(call)?;
    Err(Error::new(String::from_utf8_lossy(text).into_owned()))
}

fn log(call: &mut Call<'_>) -> Result<(), Error> {
    let [text] = arguments(call)?;
    call.shared.log(Level::Warning, format_args!("DEBUG LOG: {}", String::from_utf8_lossy(text)));
    call.reply.ok();
    Ok(())
}

fn help(call: &mut Call<'_>) -> Result<(), Error> {
    container::help(
        call,
        "DEBUG",
        &[
            "DIGEST",
            "    Answer a hash of the whole data set, the same as Redis'.",
            "DIGEST-VALUE <key> [<key> ...]",
            "    Answer a hash of the value of each key.",
            "ERROR <string>",
            "    Answer <string> as an error.",
            "LOG <message>",
            "    Write <message> to the server's log.",
            "OBJECT <key>",
            "    Answer how the value of <key> is kept.",
            "POPULATE <count> [<prefix>] [<size>]",
            "    Make <count> strings named <prefix>:<number>, of <size> bytes each.",
            "PROTOCOL <type>",
            "    Answer a reply of <type>: string, integer, double, bignum, null, array, set, map, attrib, push,",
            "    verbatim, true or false.",
            "RELOAD [NOSAVE]",
            "    Save the data set, empty it and load what was saved.",
            "SET-ACTIVE-EXPIRE <0|1>",
            "    Switch the removal of keys that expired and are not accessed off or on.",
            "SLEEP <seconds>",
            "    Serve nobody for <seconds>, which may have decimals.",
            "STRINGMATCH-LEN <pattern> <string>",
            "    Answer whether the glob pattern matches the string.",
        ],
    )
}
