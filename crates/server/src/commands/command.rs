//! COMMAND: the table as clients ask for it. INFO and DOCS have files of their own.

mod docs;
pub(crate) mod info;
#[cfg(test)]
mod tests;

use crate::call::Call;
use crate::command::{Command, Flags, Group, Keys, Reach};
use crate::commands::container;
use crate::dispatch::Dispatch;
use crate::error::{self, Error};
use crate::glob::{self, Case};
use crate::table::listing::{self, Listed};
use scrubjay_resp::Reply;

const FLAGS: Flags = Flags::LOADING.union(Flags::STALE);

/// What the rows of this file have in common.
const ROW: Command = Command {
    name: "",
    arity: -2,
    flags: FLAGS,
    keys: Keys::None,
    reach: Reach::Keys,
    group: Group::Server,
    since: "7.0.0",
    complexity: "O(N) where N is the number of commands answered",
    summary: "",
    categories: &["slow", "connection"],
    syntax: "",
    handler: container::unknown_subcommand,
    subcommands: &[],
};

pub(crate) static ROWS: &[Command] = &[Command {
    name: "command",
    arity: -1,
    since: "2.8.13",
    complexity: "O(N) where N is the number of commands",
    summary: "Describes every command.",
    handler: command,
    subcommands: &[
        Command {
            name: "count",
            arity: 2,
            since: "2.8.13",
            complexity: "O(1)",
            summary: "Counts the commands.",
            handler: count,
            ..ROW
        },
        Command {
            name: "docs",
            summary: "Documents some commands, or all.",
            syntax: "[command-name [command-name ...]]",
            handler: docs::docs,
            ..ROW
        },
        Command {
            name: "getkeys",
            arity: -3,
            since: "2.8.13",
            complexity: "O(N) where N is the number of arguments",
            summary: "Picks the keys out of a whole command.",
            syntax: "command [arg [arg ...]]",
            handler: getkeys,
            ..ROW
        },
        Command {
            name: "getkeysandflags",
            arity: -3,
            complexity: "O(N) where N is the number of arguments",
            summary: "Picks the keys out of a whole command, and says what it does with each.",
            syntax: "command [arg [arg ...]]",
            handler: getkeysandflags,
            ..ROW
        },
        Command {
            name: "help",
            arity: 2,
            since: "5.0.0",
            complexity: "O(1)",
            summary: "Lists the subcommands.",
            handler: help,
            ..ROW
        },
        Command {
            name: "info",
            since: "2.8.13",
            summary: "Describes some commands, or all.",
            syntax: "[command-name [command-name ...]]",
            handler: info,
            ..ROW
        },
        Command {
            name: "list",
            complexity: "O(N) where N is the number of commands",
            summary: "Names the commands, all or those that a filter lets pass.",
            syntax: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]",
            handler: list,
            ..ROW
        },
    ],
    ..ROW
}];

fn command(call: &mut Call<'_>) -> Result<(), Error> {
    let rows: Vec<Listed> = answered(call).collect();
    info::describe_all(&mut call.reply, &rows);
    Ok(())
}

/// The commands that this server answers to: those that `rename-command` took away are not told of.
fn answered(call: &Call<'_>) -> impl Iterator<Item = Listed> + use<> {
    let hidden: Vec<&str> = listing::rows()
        .map(|one| one.row.name)
        .filter(|name| call.shared.dispatch.find(name.as_bytes()).is_none())
        .collect();
    listing::rows().filter(move |one| !hidden.contains(&one.row.name))
}

/// The named ones of them, `None` for a name that leads nowhere.
fn named<'a>(call: &Call<'a>, names: &'a [&'a [u8]]) -> impl Iterator<Item = Option<Listed>> + use<'a> {
    let answered: Vec<Listed> = answered(call).collect();
    names.iter().map(move |name| {
        let container = name.split(|byte| *byte == b'|').next().unwrap_or_default();
        let is_answered = answered.iter().any(|one| one.row.name.as_bytes().eq_ignore_ascii_case(container));
        listing::find(name).filter(|_| is_answered)
    })
}

fn count(call: &mut Call<'_>) -> Result<(), Error> {
    call.reply.integer(i64::try_from(answered(call).count()).unwrap_or(i64::MAX));
    Ok(())
}

fn info(call: &mut Call<'_>) -> Result<(), Error> {
    match call.args.get(2..) {
        None | Some([]) => return command(call),
        Some(names) => {
            let rows: Vec<Option<Listed>> = named(call, names).collect();
            info::describe_named(&mut call.reply, &rows);
        }
    }
    Ok(())
}

fn list(call: &mut Call<'_>) -> Result<(), Error> {
    let args = call.args;
    let listed: Vec<Listed> = match args.get(2..).unwrap_or_default() {
        [] => listing::with_subcommands(answered(call)).collect(),
        [filter, kind, wanted] if filter.eq_ignore_ascii_case(b"filterby") => {
            filtered(listing::with_subcommands(answered(call)), kind, wanted)?
        }
        _ => return Err(error::SYNTAX),
    };
    call.reply.array(listed.len());
    for one in listed {
        call.reply.bulk(one.full_name.as_bytes());
    }
    Ok(())
}

fn filtered(all: impl Iterator<Item = Listed>, kind: &[u8], wanted: &[u8]) -> Result<Vec<Listed>, Error> {
    Ok(match kind.to_ascii_lowercase().as_slice() {
        b"module" => Vec::new(),
        b"pattern" => all.filter(|one| glob::matches(wanted, one.full_name.as_bytes(), Case::Ignored)).collect(),
        b"aclcat" => all.filter(|one| is_in_category(one.row, wanted)).collect(),
        _ => return Err(error::SYNTAX),
    })
}

pub(crate) fn is_in_category(row: &Command, category: &[u8]) -> bool {
    listing::categories(row).iter().any(|known| known.as_bytes().eq_ignore_ascii_case(category))
}

/// A key of a call and what the call does with it.
type KeyAndFlags<'a> = (&'a [u8], &'static [&'static str]);

/// The row that `COMMAND GETKEYS` is asked about and the keys of it: the arguments from the third on.
fn keys_asked_for<'a>(dispatch: &Dispatch, args: &'a [&'a [u8]]) -> Result<Vec<KeyAndFlags<'a>>, Error> {
    let args = args.get(2..).unwrap_or_default();
    let row = called_row(dispatch, args).ok_or(Error::new("ERR Invalid command specified"))?;
    let specs = listing::key_specs(row.keys);
    if specs.is_empty() {
        return Err(Error::new("ERR The command has no key arguments"));
    }
    if !row.accepts(args.len()) {
        return Err(Error::new("ERR Invalid number of arguments specified for command"));
    }
    let mut keys = Vec::new();
    for spec in specs {
        let flags = listing::access_flags(listing::access_of_call(row, spec.access, args));
        let last = match usize::try_from(spec.last) {
            Ok(last) => last,
            Err(_) => args.len().saturating_sub(spec.last.unsigned_abs() as usize),
        };
        let range = args.iter().take(last + 1).skip(spec.first).step_by(spec.step);
        keys.extend(range.map(|key| (*key, flags)));
    }
    Ok(keys)
}

/// The row that `args` call: the subcommand's where the second argument names one.
fn called_row(dispatch: &Dispatch, args: &[&[u8]]) -> Option<&'static Command> {
    let row = dispatch.resolve(args).ok().or_else(|| dispatch.find(args.first()?))?;
    Some(row.command)
}

fn getkeys(call: &mut Call<'_>) -> Result<(), Error> {
    let keys = keys_asked_for(&call.shared.dispatch, call.args)?;
    call.reply.array(keys.len());
    for (key, _) in keys {
        call.reply.bulk(key);
    }
    Ok(())
}

fn getkeysandflags(call: &mut Call<'_>) -> Result<(), Error> {
    let keys = keys_asked_for(&call.shared.dispatch, call.args)?;
    call.reply.array(keys.len());
    for (key, flags) in keys {
        call.reply.array(2);
        call.reply.bulk(key);
        names(&mut call.reply, flags);
    }
    Ok(())
}

/// A set of simple strings, as COMMAND answers flags.
fn names(reply: &mut Reply<'_>, names: &[&str]) {
    reply.set(names.len());
    for name in names {
        reply.simple(name);
    }
}

fn help(call: &mut Call<'_>) -> Result<(), Error> {
    container::help(
        call,
        "COMMAND",
        &[
            "(no subcommand)",
            "    Describe every command.",
            "COUNT",
            "    Count the commands.",
            "DOCS [<command-name> ...]",
            "    Document the named commands, or all.",
            "GETKEYS <full-command>",
            "    Answer the keys of a whole command.",
            "GETKEYSANDFLAGS <full-command>",
            "    Answer the keys of a whole command and what it does with each.",
            "INFO [<command-name> ...]",
            "    Describe the named commands, or all.",
            "LIST [FILTERBY <MODULE <name> | ACLCAT <category> | PATTERN <pattern>>]",
            "    Name the commands that the filter lets pass, or all.",
        ],
    )
}
