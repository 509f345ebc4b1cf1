//! What Scrubjay does not have, and clients ask about when they connect: replication, cluster, modules, functions.
//!
//! The answers are those of a Redis that stands alone: a master without replicas, no cluster, no modules, and no library of
//! functions (test suites empty that before they start).

#[cfg(test)]
mod tests;

use crate::arguments;
use crate::call::Call;
use crate::command::{Command, Flags, Group};
use crate::commands::container;
use crate::error::{self, Error};

const ADMIN: &[&str] = &["admin", "slow", "dangerous"];
const REPLICATION: Flags = Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::STALE).union(Flags::NO_ASYNC_LOADING);
const ROLE: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE).union(Flags::FAST);

pub(crate) static ROWS: &[Command] = &[
    Command::new("cluster", -2, cluster).group(Group::Cluster, &["slow"]).docs(
        "3.0.0",
        "Depends on the subcommand.",
        "",
        "Holds the commands of a cluster.",
    ),
    Command {
        subcommands: &[
            Command::new("flush", -2, function_flush)
                .group(Group::Scripting, &["write", "slow", "scripting"])
                .flags(Flags::WRITE.union(Flags::NOSCRIPT))
                .docs(
                    "7.0.0",
                    "O(N) where N is the number of functions deleted",
                    "[ASYNC | SYNC]",
                    "Deletes all functions: none.",
                ),
            Command::new("help", 2, function_help)
                .group(Group::Scripting, &["slow", "scripting"])
                .flags(Flags::LOADING.union(Flags::STALE))
                .docs("7.0.0", "O(1)", "", "Lists the subcommands."),
            Command::new("list", -2, function_list)
                .group(Group::Scripting, &["slow", "scripting"])
                .flags(Flags::NOSCRIPT)
                .docs(
                    "7.0.0",
                    "O(N) where N is the number of functions",
                    "[LIBRARYNAME library-name-pattern] [WITHCODE]",
                    "Lists the libraries of functions: none.",
                ),
        ],
        ..Command::new("function", -2, container::unknown_subcommand).group(Group::Scripting, &["slow"]).docs(
            "7.0.0",
            "Depends on the subcommand.",
            "",
            "Holds the commands about functions.",
        )
    },
    Command {
        subcommands: &[
            Command::new("help", 2, module_help)
                .group(Group::Server, &["slow"])
                .flags(Flags::LOADING.union(Flags::STALE))
                .docs("5.0.0", "O(1)", "", "Lists the subcommands."),
            Command::new("list", 2, module_list)
                .group(Group::Server, ADMIN)
                .flags(Flags::ADMIN.union(Flags::NOSCRIPT))
                .docs("4.0.0", "O(1)", "", "Lists the loaded modules: none."),
        ],
        ..Command::new("module", -2, container::unknown_subcommand).group(Group::Server, &["slow"]).docs(
            "4.0.0",
            "Depends on the subcommand.",
            "",
            "Holds the commands about modules.",
        )
    },
    Command::new("replicaof", 3, replicaof).group(Group::Server, ADMIN).flags(REPLICATION).docs(
        "5.0.0",
        "O(1)",
        "<host port | NO ONE>",
        "Makes the server a replica of another, or a master.",
    ),
    Command::new("role", 1, role).group(Group::Server, &["admin", "fast", "dangerous"]).flags(ROLE).docs(
        "2.8.12",
        "O(1)",
        "",
        "Answers whether the server is master or replica: always master.",
    ),
    Command::new("slaveof", 3, replicaof).group(Group::Server, ADMIN).flags(REPLICATION).docs(
        "1.0.0",
        "O(1)",
        "<host port | NO ONE>",
        "Makes the server a replica of another, or a master.",
    ),
];

/// What Redis 7.2 knows behind CLUSTER: anything else is an unknown subcommand even without a cluster.
const CLUSTER_SUBCOMMANDS: &[&str] = &[
    "addslots",
    "addslotsrange",
    "bumpepoch",
    "count-failure-reports",
    "countkeysinslot",
    "delslots",
    "delslotsrange",
    "failover",
    "flushslots",
    "forget",
    "getkeysinslot",
    "help",
    "info",
    "keyslot",
    "links",
    "meet",
    "myid",
    "myshardid",
    "nodes",
    "replicas",
    "replicate",
    "reset",
    "saveconfig",
    "set-config-epoch",
    "setslot",
    "shards",
    "slaves",
    "slots",
];

fn cluster(call: &mut Call<'_>) -> Result<(), Error> {
    if !CLUSTER_SUBCOMMANDS.iter().any(|name| call.args[1].eq_ignore_ascii_case(name.as_bytes())) {
        return container::unknown_subcommand(call);
    }
    Err(Error::new("ERR This instance has cluster support disabled"))
}

fn function_flush(call: &mut Call<'_>) -> Result<(), Error> {
    match call.args {
        [_, _] => {}
        [_, _, mode] if arguments::is(mode, "sync") || arguments::is(mode, "async") => {}
        [_, _, _] => return Err(Error::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
        [_, word, ..] => return Err(container::wrong_arguments("FUNCTION", &String::from_utf8_lossy(word))),
        _ => return Err(error::SYNTAX),
    }
    call.reply.ok();
    Ok(())
}

fn function_list(call: &mut Call<'_>) -> Result<(), Error> {
    let (mut has_code, mut has_name) = (false, false);
    let mut options = call.args.iter().skip(2);
    while let Some(option) = options.next() {
        if !has_code && arguments::is(option, "withcode") {
            has_code = true;
        } else if !has_name && arguments::is(option, "libraryname") {
            has_name = true;
            options.next().ok_or(Error::new("ERR library name argument was not given"))?;
        } else {
            return Err(Error::new(format!("ERR Unknown argument {}", String::from_utf8_lossy(option))));
        }
    }
    call.reply.array(0);
    Ok(())
}

fn function_help(call: &mut Call<'_>) -> Result<(), Error> {
    let lines = &[
        "FLUSH [ASYNC|SYNC]",
        "    Delete all libraries: there are none.",
        "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
        "    List the libraries: there are none.",
    ];
    container::help(call, "FUNCTION", lines)
}

fn module_list(call: &mut Call<'_>) -> Result<(), Error> {
    call.reply.array(0);
    Ok(())
}

fn module_help(call: &mut Call<'_>) -> Result<(), Error> {
    container::help(call, "MODULE", &["LIST", "    List the loaded modules: there are none."])
}

fn replicaof(call: &mut Call<'_>) -> Result<(), Error> {
    let is_no_one = arguments::is(call.args[1], "no") && arguments::is(call.args[2], "one");
    if !is_no_one {
        return Err(Error::new("ERR replication is not part of this version: only NO ONE is accepted"));
    }
    call.reply.ok();
    Ok(())
}

fn role(call: &mut Call<'_>) -> Result<(), Error> {
    call.reply.array(3);
    call.reply.bulk(b"master");
    call.reply.integer(0);
    call.reply.array(0);
    Ok(())
}
