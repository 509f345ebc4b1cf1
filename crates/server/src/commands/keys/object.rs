//! OBJECT: how a value is kept, in the words of Redis.

use super::look;
use crate::arguments::parse_integer;
use crate::call::Call;
use crate::command::{Command, Flags, Group, Handler, KeyAccess, Keys};
use crate::commands::container;
use crate::error::Error;
use scrubjay_keyspace::Entry;

/// Redis keeps strings up to this length in one piece with their header.
const EMBEDDED_LEN_MAX: usize = 44;
/// Redis has one shared object for every number below this, and says that it is referred to without end.
const SHARED_NUMBERS: i64 = 10_000;

const fn about_key(name: &'static str, since: &'static str, summary: &'static str, handler: Handler) -> Command {
    Command::new(name, 3, handler)
        .flags(Flags::READONLY)
        .keys(Keys::Range { first: 2, last: 2, step: 1, access: KeyAccess::ReadOnly })
        .group(Group::Generic, &["keyspace", "read", "slow"])
        .docs(since, "O(1)", "key", summary)
}

pub(super) static ROWS: &[Command] = &[
    about_key("encoding", "2.2.3", "Tells how the value of a key is encoded.", encoding),
    about_key("freq", "4.0.0", "Tells how often a key is used, on a logarithmic scale.", freq),
    Command::new("help", 2, help)
        .flags(Flags::LOADING.union(Flags::STALE))
        .group(Group::Generic, &["keyspace", "slow"])
        .docs("6.2.0", "O(1)", "", "Lists the subcommands."),
    about_key("idletime", "2.2.3", "Tells the seconds since a key was last used.", idletime),
    about_key("refcount", "2.2.3", "Tells how often the value of a key is referred to.", refcount),
];

fn encoding(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.key(2);
    match look(call, &key).map(|entry| name(&entry)) {
        Some(name) => call.reply.bulk(name.as_bytes()),
        None => call.reply.null(),
    }
    Ok(())
}

/// `int`, `embstr` or `raw`, as Redis would keep the value.
pub(crate) fn name(entry: &Entry<'_>) -> &'static str {
    match entry.value {
        _ if entry.is_raw => "raw",
        value if parse_integer(value).is_some() => "int",
        value if value.len() <= EMBEDDED_LEN_MAX => "embstr",
        _ => "raw",
    }
}

fn refcount(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.key(2);
    let is_shared = |entry: Entry<'_>| {
        !entry.is_raw && parse_integer(entry.value).is_some_and(|number| (0..SHARED_NUMBERS).contains(&number))
    };
    match look(call, &key).map(is_shared) {
        Some(true) => call.reply.integer(i64::from(i32::MAX)),
        Some(false) => call.reply.integer(1),
        None => call.reply.null(),
    }
    Ok(())
}

fn idletime(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.key(2);
    match look(call, &key).map(|entry| entry.idle_seconds) {
        Some(seconds) => call.reply.integer(i64::from(seconds)),
        None => call.reply.null(),
    }
    Ok(())
}

fn freq(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.key(2);
    if look(call, &key).is_some() {
        return Err(Error::new(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
             switching between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    call.reply.null();
    Ok(())
}

fn help(call: &mut Call<'_>) -> Result<(), Error> {
    container::help(
        call,
        "OBJECT",
        &[
            "ENCODING <key>",
            "    How the value of the key is encoded: int, embstr or raw.",
            "FREQ <key>",
            "    How often the key is used, on a logarithmic scale; needs an LFU policy.",
            "IDLETIME <key>",
            "    Seconds since the key was last read or written, roughly.",
            "REFCOUNT <key>",
            "    How often the value of the key is referred to.",
        ],
    )
}
