//! The string commands.

use crate::call::Call;
use crate::command::{Command, Flags, Group, KeyAccess, Keys, Reach};
use crate::error::Error;
use scrubjay_keyspace::Expiry;

pub(crate) static ROWS: &[Command] = &[
    Command {
        name: "get",
        arity: 2,
        flags: Flags::READONLY.union(Flags::FAST),
        keys: Keys::Range { first: 1, last: 1, step: 1, access: KeyAccess::ReadOnlyAccess },
        reach: Reach::Keys,
        group: Group::String,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Returns the string value of a key.",
        categories: &["read", "string", "fast"],
        syntax: "key",
        handler: get,
        subcommands: &[],
    },
    Command {
        name: "set",
        arity: -3,
        flags: Flags::WRITE.union(Flags::DENYOOM),
        keys: Keys::Range { first: 1, last: 1, step: 1, access: KeyAccess::OverwriteUpdate },
        reach: Reach::Keys,
        group: Group::String,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Sets the string value of a key.",
        categories: &["write", "string", "slow"],
        syntax: "key value",
        handler: set,
        subcommands: &[],
    },
];

fn get(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.key(1);
    match call.held.get(call.client.db, &key) {
        Some(entry) => call.reply.bulk(entry.value),
        None => call.reply.null(),
    }
    Ok(())
}

fn set(call: &mut Call<'_>) -> Result<(), Error> {
    let key = call.key(1);
    call.held.set(call.client.db, &key, call.args[2], Expiry::Clear)?;
    call.reply.ok();
    Ok(())
}
