//! CLIENT: what a connection is called, how it is treated, and who else is connected.
//!
//! Subcommands by file: those that look at other clients in `others`, the line that describes one in `line`, caching in `caching`.

use crate::arguments;
use crate::call::Call;
use crate::client::ReplyMode;
use crate::command::{Command, Flags, Group, Handler};
use crate::commands::connection;
use crate::commands::container;
use crate::error::{self, Error, session};
use crate::registry::HandleFlags;

mod caching;
mod line;
mod others;
#[cfg(test)]
mod tests;

pub(crate) use caching::stop as stop_tracking;
pub(crate) use others::deadline_ms;

const OPEN: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE);
const OPEN_CATEGORIES: &[&str] = &["slow", "connection"];
const ADMIN: Flags = OPEN.union(Flags::ADMIN);
const ADMIN_CATEGORIES: &[&str] = &["admin", "slow", "dangerous", "connection"];

/// A subcommand that everybody may call.
const fn open(name: &'static str, arity: i32, handler: Handler) -> Command {
    Command::new(name, arity, handler).group(Group::Connection, OPEN_CATEGORIES).flags(OPEN)
}

/// A subcommand for those who may administer.
const fn admin(name: &'static str, arity: i32, handler: Handler) -> Command {
    Command::new(name, arity, handler).group(Group::Connection, ADMIN_CATEGORIES).flags(ADMIN)
}

pub(crate) static ROWS: &[Command] = &[Command {
    subcommands: SUBCOMMANDS,
    ..Command::new("client", -2, container::unknown_subcommand).group(Group::Connection, &["slow"]).docs(
        "2.4.0",
        "Depends on subcommand.",
        "",
        "What belongs to connections.",
    )
}];

const EVERY_CLIENT: &str = "O(N) where N is the number of client connections";
const KILL: &str = "ip:port | <[ID client-id] | [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] | [USER username] | \
                    [ADDR ip:port] | [LADDR ip:port] | [SKIPME <YES | NO>]>";
const TRACKING: &str =
    "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]";

static SUBCOMMANDS: &[Command] = &[
    open("caching", 3, caching::caching).docs(
        "6.0.0",
        "O(1)",
        "YES | NO",
        "Whether the keys of the next command are tracked.",
    ),
    open("getname", 2, getname).docs("2.6.9", "O(1)", "", "Answers the name of this connection."),
    open("getredir", 2, caching::getredir).docs(
        "6.0.0",
        "O(1)",
        "",
        "Answers which client hears of this one's tracked keys.",
    ),
    open("help", 2, help).flags(Flags::LOADING.union(Flags::STALE)).docs("5.0.0", "O(1)", "", "Lists the subcommands."),
    open("id", 2, id).docs("5.0.0", "O(1)", "", "Answers the number of this connection, which no other ever has."),
    open("info", 2, others::info).docs("6.2.0", "O(1)", "", "Describes this connection."),
    admin("kill", -3, others::kill).docs(
        "2.4.0",
        EVERY_CLIENT,
        KILL,
        "Closes the connections that the filters describe.",
    ),
    admin("list", -2, others::list).docs(
        "2.4.0",
        EVERY_CLIENT,
        "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]",
        "Describes every connection, or some.",
    ),
    admin("no-evict", 3, no_evict).docs(
        "7.0.0",
        "O(1)",
        "ON | OFF",
        "Spares this connection when clients use too much memory.",
    ),
    open("no-touch", 3, no_touch).docs(
        "7.2.0",
        "O(1)",
        "ON | OFF",
        "Keeps this connection's reads from counting as use of a key.",
    ),
    admin("pause", -3, others::pause).docs(
        "3.0.0",
        "O(1)",
        "timeout [WRITE | ALL]",
        "Holds back the commands of all clients for a while.",
    ),
    open("reply", 3, reply).docs(
        "3.2.0",
        "O(1)",
        "ON | OFF | SKIP",
        "Turns replies to this connection off and on, or skips the next.",
    ),
    open("setinfo", 4, setinfo).docs(
        "7.2.0",
        "O(1)",
        "LIB-NAME libname | LIB-VER libver",
        "Notes the library behind this connection.",
    ),
    open("setname", 3, setname).docs("2.6.9", "O(1)", "connection-name", "Names this connection."),
    open("tracking", -3, caching::tracking).docs(
        "6.0.0",
        "O(1). Some options may introduce additional complexity.",
        TRACKING,
        "Whether this connection hears of changes to keys that it may cache.",
    ),
    open("trackinginfo", 2, caching::trackinginfo).docs("6.2.0", "O(1)", "", "Answers how this connection is tracked."),
    admin("unblock", -3, others::unblock).docs(
        "5.0.0",
        "O(log N) where N is the number of client connections",
        "client-id [TIMEOUT | ERROR]",
        "Ends the blocking command of another connection.",
    ),
    admin("unpause", 2, others::unpause).docs(
        "6.2.0",
        "O(N) Where N is the number of paused clients",
        "",
        "Ends the pause of CLIENT PAUSE.",
    ),
];

fn id(call: &mut Call<'_>) -> Result<(), Error> {
    call.reply.integer(call.client.id.cast_signed());
    Ok(())
}

fn getname(call: &mut Call<'_>) -> Result<(), Error> {
    let identity = call.client.handle.identity.lock();
    if identity.name.is_empty() {
        call.reply.null();
    } else {
        call.reply.bulk(&identity.name);
    }
    Ok(())
}

fn setname(call: &mut Call<'_>) -> Result<(), Error> {
    let name = call.args[2];
    connection::check_name(name)?;
    connection::set_name(call, name);
    call.reply.ok();
    Ok(())
}

fn setinfo(call: &mut Call<'_>) -> Result<(), Error> {
    let (option, value) = (call.args[2], call.args[3]);
    let is_name = arguments::is(option, "lib-name");
    if !is_name && !arguments::is(option, "lib-ver") {
        return Err(session::unrecognized_option(option));
    }
    if !connection::is_printable(value) {
        return Err(session::attribute_has_spaces(option));
    }
    let mut identity = call.client.handle.identity.lock();
    let attribute = if is_name { &mut identity.lib_name } else { &mut identity.lib_ver };
    *attribute = value.to_vec();
    call.reply.ok();
    Ok(())
}

fn reply(call: &mut Call<'_>) -> Result<(), Error> {
    let mode = call.args[2];
    if arguments::is(mode, "on") {
        call.client.reply_mode = ReplyMode::On;
        call.reply.ok();
    } else if arguments::is(mode, "off") {
        call.client.reply_mode = ReplyMode::Off;
    } else if arguments::is(mode, "skip") {
        if call.client.reply_mode != ReplyMode::Off {
            call.client.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(error::SYNTAX);
    }
    Ok(())
}

fn no_evict(call: &mut Call<'_>) -> Result<(), Error> {
    call.client.handle.set_flag(HandleFlags::NO_EVICT, on_or_off(call.args[2])?);
    call.reply.ok();
    Ok(())
}

fn no_touch(call: &mut Call<'_>) -> Result<(), Error> {
    call.client.is_no_touch = on_or_off(call.args[2])?;
    call.client.handle.set_flag(HandleFlags::NO_TOUCH, call.client.is_no_touch);
    call.reply.ok();
    Ok(())
}

fn on_or_off(word: &[u8]) -> Result<bool, Error> {
    match word {
        word if arguments::is(word, "on") => Ok(true),
        word if arguments::is(word, "off") => Ok(false),
        _ => Err(error::SYNTAX),
    }
}

fn help(call: &mut Call<'_>) -> Result<(), Error> {
    container::help(call, "CLIENT", HELP)
}

const HELP: &[&str] = &[
    "CACHING (YES|NO)",
    "    Whether the next command's keys are tracked, in OPTIN or OPTOUT mode.",
    "GETNAME",
    "    The name of this connection.",
    "GETREDIR",
    "    The client that invalidations of this one go to.",
    "ID",
    "    The number of this connection.",
    "INFO",
    "    What is known of this connection.",
    "KILL <ip:port>",
    "    Closes the connection that comes from there.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Closes every connection that all options describe:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      It comes from there.",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      It was accepted there.",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      It is of this type.",
    "    * USER <username>",
    "      It authenticated as this user.",
    "    * ID <client-id>",
    "      It has this number.",
    "    * SKIPME (YES|NO)",
    "      Whether to spare this connection (default: yes).",
    "LIST [options ...]",
    "    What is known of every connection. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Only those of this type.",
    "    * ID <client-id> [<client-id> [...]]",
    "      Only those with these numbers.",
    "NO-EVICT (ON|OFF)",
    "    Whether to spare this connection when clients use too much memory.",
    "NO-TOUCH (ON|OFF)",
    "    Whether reads of this connection count as use of a key.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Holds back commands, or only those that write, for so many milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Whether this connection gets replies.",
    "SETINFO (LIB-NAME|LIB-VER) <value>",
    "    Notes the library behind this connection.",
    "SETNAME <name>",
    "    Names this connection.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Whether this connection hears of changes to the keys that it has read.",
    "TRACKINGINFO",
    "    How this connection is tracked.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    Ends the blocking command of another connection.",
    "UNPAUSE",
    "    Ends the pause.",
];
