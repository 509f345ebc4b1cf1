//! SLOWLOG: reading and clearing the slow log.

#[cfg(test)]
mod tests;

use crate::call::Call;
use crate::command::{Command, Flags, Group, Keys, Reach};
use crate::commands::container;
use crate::error::Error;

/// What the rows of this file have in common.
const ROW: Command = Command {
    name: "",
    arity: 2,
    flags: Flags::ADMIN.union(Flags::LOADING).union(Flags::STALE),
    keys: Keys::None,
    reach: Reach::Keys,
    group: Group::Server,
    since: "2.2.12",
    complexity: "O(1)",
    summary: "",
    categories: &["admin", "slow", "dangerous"],
    syntax: "",
    handler: container::unknown_subcommand,
    subcommands: &[],
};

pub(crate) static ROWS: &[Command] = &[Command {
    name: "slowlog",
    arity: -2,
    flags: Flags::empty(),
    complexity: "Depends on the subcommand.",
    summary: "Holds the commands of the slow log.",
    categories: &["slow"],
    subcommands: &[
        Command {
            name: "get",
            arity: -2,
            complexity: "O(N) where N is the number of entries answered",
            summary: "Answers the newest entries of the slow log.",
            syntax: "[count]",
            handler: get,
            ..ROW
        },
        Command {
            name: "help",
            since: "6.2.0",
            flags: Flags::LOADING.union(Flags::STALE),
            categories: &["slow"],
            summary: "Lists the subcommands.",
            handler: help,
            ..ROW
        },
        Command { name: "len", summary: "Counts the entries of the slow log.", handler: len, ..ROW },
        Command {
            name: "reset",
            complexity: "O(N) where N is the number of entries",
            summary: "Empties the slow log.",
            handler: reset,
            ..ROW
        },
    ],
    ..ROW
}];

const COUNT_DEFAULT: usize = 10;

fn get(call: &mut Call<'_>) -> Result<(), Error> {
    let count = match call.args.get(2..).unwrap_or_default() {
        [] => COUNT_DEFAULT,
        [count] => entry_count(count)?,
        _ => {
            let word = String::from_utf8_lossy(call.args[1]).into_owned();
            return Err(container::wrong_arguments("SLOWLOG", &word));
        }
    };
    let entries = call.shared.slowlog.newest(count);
    let reply = &mut call.reply;
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.integer(i64::try_from(entry.id).unwrap_or(i64::MAX));
        reply.integer(i64::try_from(entry.at_seconds).unwrap_or(i64::MAX));
        reply.integer(i64::try_from(entry.duration_us).unwrap_or(i64::MAX));
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.client_address.as_bytes());
        reply.bulk(&entry.client_name);
    }
    Ok(())
}

/// -1 is all of them.
fn entry_count(arg: &[u8]) -> Result<usize, Error> {
    match std::str::from_utf8(arg).ok().and_then(|text| text.parse::<i64>().ok()) {
        Some(-1) => Ok(usize::MAX),
        Some(count @ 0..) => Ok(usize::try_from(count).unwrap_or(usize::MAX)),
        _ => Err(Error::new("ERR count should be greater than or equal to -1")),
    }
}

fn len(call: &mut Call<'_>) -> Result<(), Error> {
    let len = call.shared.slowlog.len();
    call.reply.integer(i64::try_from(len).unwrap_or(i64::MAX));
    Ok(())
}

fn reset(call: &mut Call<'_>) -> Result<(), Error> {
    call.shared.slowlog.reset();
    call.reply.ok();
    Ok(())
}

fn help(call: &mut Call<'_>) -> Result<(), Error> {
    container::help(
        call,
        "SLOWLOG",
        &[
            "GET [<count>]",
            "    Answer the newest <count> entries (10 when not given, all for -1). An entry is",
            "    id, Unix time, microseconds, arguments, address and name of the client.",
            "LEN",
            "    Count the entries.",
            "RESET",
            "    Empty the log.",
        ],
    )
}
