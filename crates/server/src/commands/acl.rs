//! ACL, as far as one user goes: `default`, who may do everything, with the password of `requirepass` or without.

#[cfg(test)]
mod tests;

use crate::arguments;
use crate::call::Call;
use crate::command::{Command, Flags, Group};
use crate::commands::{command, container};
use crate::error::Error;
use crate::table::listing;
use sha2::{Digest as _, Sha256};

const SLOW: &[&str] = &["slow"];
const ADMIN: &[&str] = &["admin", "slow", "dangerous"];
const ALWAYS: Flags = Flags::LOADING.union(Flags::STALE);
const SESSION: Flags = Flags::NOSCRIPT.union(ALWAYS);
const MANAGEMENT: Flags = Flags::ADMIN.union(SESSION);

pub(crate) static ROWS: &[Command] = &[Command {
    subcommands: &[
        Command::new("cat", -2, cat).group(Group::Server, SLOW).flags(SESSION).docs(
            "6.0.0",
            "O(1)",
            "[category]",
            "Lists the categories, or the commands of one.",
        ),
        Command::new("getuser", 3, getuser).group(Group::Server, ADMIN).flags(MANAGEMENT).docs(
            "6.0.0",
            "O(N) where N is the number of passwords and rules of the user",
            "username",
            "Answers what a user may do.",
        ),
        Command::new("help", 2, help).group(Group::Server, SLOW).flags(ALWAYS).docs(
            "6.0.0",
            "O(1)",
            "",
            "Lists the subcommands.",
        ),
        Command::new("list", 2, list).group(Group::Server, ADMIN).flags(MANAGEMENT).docs(
            "6.0.0",
            "O(N) where N is the number of users",
            "",
            "Lists the users and their rules.",
        ),
        Command::new("users", 2, users).group(Group::Server, ADMIN).flags(MANAGEMENT).docs(
            "6.0.0",
            "O(N) where N is the number of users",
            "",
            "Lists the names of the users.",
        ),
        Command::new("whoami", 2, whoami).group(Group::Server, SLOW).flags(SESSION).docs(
            "6.0.0",
            "O(1)",
            "",
            "Answers the name of the user that the connection is.",
        ),
    ],
    ..Command::new("acl", -2, container::unknown_subcommand).group(Group::Server, SLOW).docs(
        "6.0.0",
        "Depends on the subcommand.",
        "",
        "Holds the commands about users and what they may do.",
    )
}];

fn cat(call: &mut Call<'_>) -> Result<(), Error> {
    let names: Vec<String> = match *call.args {
        [_, _] => listing::CATEGORIES.iter().map(|name| (*name).to_owned()).collect(),
        [_, _, category] if listing::CATEGORIES.iter().any(|name| arguments::is(category, name)) => {
            let all = listing::rows_and_subcommands();
            all.filter(|one| command::is_in_category(one.row, category)).map(|one| one.full_name).collect()
        }
        [_, _, category] => {
            let category = String::from_utf8_lossy(category);
            return Err(Error::new(format!("ERR Unknown category '{category}'")));
        }
        _ => return Err(container::wrong_arguments("ACL", "CAT")),
    };
    call.reply.array(names.len());
    names.iter().for_each(|name| call.reply.bulk(name.as_bytes()));
    Ok(())
}

/// SHA-256 of the password in hex, as Redis shows passwords. `None` without one.
fn password_hash(call: &Call<'_>) -> Option<String> {
    let password = call.shared.config.requirepass();
    let hex = |hash: &[u8]| hash.iter().map(|byte| format!("{byte:02x}")).collect();
    (!password.is_empty()).then(|| hex(&Sha256::digest(password.as_bytes())))
}

fn list(call: &mut Call<'_>) -> Result<(), Error> {
    let password = password_hash(call).map_or("nopass".to_owned(), |hash| format!("#{hash}"));
    call.reply.array(1);
    call.reply.bulk(format!("user default on {password} ~* &* +@all").as_bytes());
    Ok(())
}

fn users(call: &mut Call<'_>) -> Result<(), Error> {
    call.reply.array(1);
    call.reply.bulk(b"default");
    Ok(())
}

fn whoami(call: &mut Call<'_>) -> Result<(), Error> {
    call.reply.bulk(b"default");
    Ok(())
}

fn getuser(call: &mut Call<'_>) -> Result<(), Error> {
    if call.args[2] != b"default" {
        call.reply.null();
        return Ok(());
    }
    let password = password_hash(call);
    let flags: &[&str] = if password.is_some() { &["on"] } else { &["on", "nopass"] };
    let reply = &mut call.reply;
    reply.map(6);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(usize::from(password.is_some()));
    password.iter().for_each(|hash| reply.bulk(hash.as_bytes()));
    for (name, rule) in [("commands", "+@all"), ("keys", "~*"), ("channels", "&*")] {
        reply.bulk(name.as_bytes());
        reply.bulk(rule.as_bytes());
    }
    reply.bulk(b"selectors");
    reply.array(0);
    Ok(())
}

fn help(call: &mut Call<'_>) -> Result<(), Error> {
    container::help(
        call,
        "ACL",
        &[
            "CAT [<category>]",
            "    List the categories, or the commands of one.",
            "GETUSER <username>",
            "    Answer what a user may do.",
            "LIST",
            "    List the users and their rules.",
            "USERS",
            "    List the names of the users.",
            "WHOAMI",
            "    Answer the name of this connection's user.",
        ],
    )
}
