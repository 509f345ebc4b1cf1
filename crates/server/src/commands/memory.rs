//! MEMORY: what keys and the server take.

mod stats;

#[cfg(test)]
mod tests;

use crate::call::Call;
use crate::command::{Command, Flags, Group, KeyAccess, Keys, Reach};
use crate::commands::container;
use crate::error::{self, Error};

/// What the rows of this file have in common.
const ROW: Command = Command {
    name: "",
    arity: 2,
    flags: Flags::empty(),
    keys: Keys::None,
    reach: Reach::Keys,
    group: Group::Server,
    since: "4.0.0",
    complexity: "O(1)",
    summary: "",
    categories: &["slow"],
    syntax: "",
    handler: container::unknown_subcommand,
    subcommands: &[],
};

pub(crate) static ROWS: &[Command] = &[Command {
    name: "memory",
    arity: -2,
    complexity: "Depends on the subcommand.",
    summary: "Holds the commands about memory.",
    subcommands: &[
        Command { name: "doctor", summary: "Says what is odd about the use of memory.", handler: stats::doctor, ..ROW },
        Command {
            name: "help",
            flags: Flags::LOADING.union(Flags::STALE),
            summary: "Lists the subcommands.",
            handler: help,
            ..ROW
        },
        Command {
            name: "malloc-stats",
            complexity: "Depends on how much memory is in use.",
            summary: "Answers the statistics of the allocator.",
            handler: malloc_stats,
            ..ROW
        },
        Command {
            name: "purge",
            complexity: "Depends on how much memory is free inside.",
            summary: "Gives free memory back to the operating system.",
            handler: purge,
            ..ROW
        },
        Command { name: "stats", summary: "Answers what takes how much memory.", handler: stats::stats, ..ROW },
        Command {
            name: "usage",
            arity: -3,
            flags: Flags::READONLY,
            keys: Keys::Range { first: 2, last: 2, step: 1, access: KeyAccess::ReadOnly },
            complexity: "O(N) where N is the number of samples",
            summary: "Answers the bytes that a key and its value take.",
            categories: &["read", "slow"],
            syntax: "key [SAMPLES count]",
            handler: usage,
            ..ROW
        },
    ],
    ..ROW
}];

fn usage(call: &mut Call<'_>) -> Result<(), Error> {
    check_samples(call.args.get(3..).unwrap_or_default())?;
    let key = call.key(2);
    match call.held.memory_usage(call.client.db, &key) {
        Some(bytes) => call.reply.integer(i64::try_from(bytes).unwrap_or(i64::MAX)),
        None => call.reply.null(),
    }
    Ok(())
}

/// The number of samples changes nothing for a string; that it is one is checked.
fn check_samples(options: &[&[u8]]) -> Result<(), Error> {
    for option in options.chunks(2) {
        let [name, count] = option else { return Err(error::SYNTAX) };
        if !name.eq_ignore_ascii_case(b"samples") {
            return Err(error::SYNTAX);
        }
        let count = std::str::from_utf8(count).ok().and_then(|text| text.parse::<i64>().ok());
        if count.ok_or(error::NOT_AN_INTEGER)? < 0 {
            return Err(error::SYNTAX);
        }
    }
    Ok(())
}

fn malloc_stats(call: &mut Call<'_>) -> Result<(), Error> {
    call.reply.bulk(b"Stats not supported for the current allocator");
    Ok(())
}

/// The keyspace returns what small values free at once; the allocator keeps what large ones freed, until asked.
fn purge(call: &mut Call<'_>) -> Result<(), Error> {
    call.held.keyspace().give_back();
    call.reply.ok();
    Ok(())
}

fn help(call: &mut Call<'_>) -> Result<(), Error> {
    container::help(
        call,
        "MEMORY",
        &[
            "DOCTOR",
            "    Say what is odd about the use of memory.",
            "MALLOC-STATS",
            "    Answer the statistics of the allocator.",
            "PURGE",
            "    Give free memory back to the operating system.",
            "STATS",
            "    Answer what takes how much memory.",
            "USAGE <key> [SAMPLES <count>]",
            "    Answer the bytes that <key> and its value take.",
        ],
    )
}
