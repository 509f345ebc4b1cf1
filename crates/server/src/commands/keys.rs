//! The generic commands: everything that is done with a key whatever its value is, and with a database as a whole.
//!
//! **Invariant:** a key's stripe depends on the key alone, so the latches of a row's keys hold them in every database.

mod databases;
mod expiry;
pub(crate) mod object;
mod presence;
mod relocate;
mod transfer;
mod walk;

use crate::arguments;
use crate::call::Call;
use crate::command::{Command, Flags, Group, KeyAccess, Keys, Reach};
use crate::commands::container;
use crate::error::{self, Error};
use scrubjay_keyspace::{Db, Entry, Key};

const READ: Flags = Flags::READONLY;
const READ_FAST: Flags = Flags::READONLY.union(Flags::FAST);
const WRITE: Flags = Flags::WRITE;
const WRITE_FAST: Flags = Flags::WRITE.union(Flags::FAST);
const WRITE_DENYOOM: Flags = Flags::WRITE.union(Flags::DENYOOM);

const KEY_READ_FAST: &[&str] = &["keyspace", "read", "fast"];
const KEY_READ_SLOW: &[&str] = &["keyspace", "read", "slow"];
const KEY_WRITE_FAST: &[&str] = &["keyspace", "write", "fast"];
const KEY_WRITE_SLOW: &[&str] = &["keyspace", "write", "slow"];
const KEY_WRITE_DANGEROUS: &[&str] = &["keyspace", "write", "slow", "dangerous"];

/// A command of no key in particular.
const fn reaching(reach: Reach, row: Command) -> Command {
    Command { reach, ..row }
}

const fn two_keys(first_access: KeyAccess, rest_access: KeyAccess) -> Keys {
    Keys::FirstAndRest { first: 1, first_access, rest_last: 2, rest_access }
}

pub(crate) static ROWS: &[Command] = &[
    Command::new("del", -2, presence::del)
        .flags(WRITE)
        .keys(Keys::all(KeyAccess::RemoveDelete))
        .group(Group::Generic, KEY_WRITE_SLOW)
        .docs("1.0.0", "O(N) where N is the number of keys", "key [key ...]", "Removes keys."),
    Command::new("unlink", -2, presence::del)
        .flags(WRITE_FAST)
        .keys(Keys::all(KeyAccess::RemoveDelete))
        .group(Group::Generic, KEY_WRITE_FAST)
        .docs("4.0.0", "O(1) for each key, whatever its size", "key [key ...]", "Removes keys, as DEL does."),
    Command::new("exists", -2, presence::exists)
        .flags(READ_FAST)
        .keys(Keys::all(KeyAccess::ReadOnly))
        .group(Group::Generic, KEY_READ_FAST)
        .docs("1.0.0", "O(N) where N is the number of keys", "key [key ...]", "Counts the keys that are there."),
    Command::new("touch", -2, presence::touch)
        .flags(READ_FAST)
        .keys(Keys::all(KeyAccess::ReadOnly))
        .group(Group::Generic, KEY_READ_FAST)
        .docs(
            "3.2.1",
            "O(N) where N is the number of keys",
            "key [key ...]",
            "Notes an access to keys, and counts them.",
        ),
    Command::new("type", 2, presence::kind)
        .flags(READ_FAST)
        .keys(Keys::one(KeyAccess::ReadOnly))
        .group(Group::Generic, KEY_READ_FAST)
        .docs("1.0.0", "O(1)", "key", "Tells the type of a key's value."),
    Command::new("ttl", 2, expiry::ttl)
        .flags(READ_FAST)
        .keys(Keys::one(KeyAccess::ReadOnlyAccess))
        .group(Group::Generic, KEY_READ_FAST)
        .docs("1.0.0", "O(1)", "key", "Tells the seconds that a key has left."),
    Command::new("pttl", 2, expiry::pttl)
        .flags(READ_FAST)
        .keys(Keys::one(KeyAccess::ReadOnlyAccess))
        .group(Group::Generic, KEY_READ_FAST)
        .docs("2.6.0", "O(1)", "key", "Tells the milliseconds that a key has left."),
    Command::new("expiretime", 2, expiry::expiretime)
        .flags(READ_FAST)
        .keys(Keys::one(KeyAccess::ReadOnlyAccess))
        .group(Group::Generic, KEY_READ_FAST)
        .docs("7.0.0", "O(1)", "key", "Tells when a key expires, in Unix seconds."),
    Command::new("pexpiretime", 2, expiry::pexpiretime)
        .flags(READ_FAST)
        .keys(Keys::one(KeyAccess::ReadOnlyAccess))
        .group(Group::Generic, KEY_READ_FAST)
        .docs("7.0.0", "O(1)", "key", "Tells when a key expires, in Unix milliseconds."),
    Command::new("expire", -3, expiry::expire)
        .flags(WRITE_FAST)
        .keys(Keys::one(KeyAccess::ReadWriteUpdate))
        .group(Group::Generic, KEY_WRITE_FAST)
        .docs("1.0.0", "O(1)", "key seconds [NX | XX | GT | LT]", "Lets a key expire after some seconds."),
    Command::new("pexpire", -3, expiry::pexpire)
        .flags(WRITE_FAST)
        .keys(Keys::one(KeyAccess::ReadWriteUpdate))
        .group(Group::Generic, KEY_WRITE_FAST)
        .docs("2.6.0", "O(1)", "key milliseconds [NX | XX | GT | LT]", "Lets a key expire after some milliseconds."),
    Command::new("expireat", -3, expiry::expireat)
        .flags(WRITE_FAST)
        .keys(Keys::one(KeyAccess::ReadWriteUpdate))
        .group(Group::Generic, KEY_WRITE_FAST)
        .docs(
            "1.2.0",
            "O(1)",
            "key unix-time-seconds [NX | XX | GT | LT]",
            "Lets a key expire at a Unix time in seconds.",
        ),
    Command::new("pexpireat", -3, expiry::pexpireat)
        .flags(WRITE_FAST)
        .keys(Keys::one(KeyAccess::ReadWriteUpdate))
        .group(Group::Generic, KEY_WRITE_FAST)
        .docs(
            "2.6.0",
            "O(1)",
            "key unix-time-milliseconds [NX | XX | GT | LT]",
            "Lets a key expire at a Unix time in milliseconds.",
        ),
    Command::new("persist", 2, expiry::persist)
        .flags(WRITE_FAST)
        .keys(Keys::one(KeyAccess::ReadWriteUpdate))
        .group(Group::Generic, KEY_WRITE_FAST)
        .docs("2.2.0", "O(1)", "key", "Takes the expiry off a key."),
    Command::new("rename", 3, relocate::rename)
        .flags(WRITE)
        .keys(two_keys(KeyAccess::ReadWriteAccessDelete, KeyAccess::OverwriteUpdate))
        .group(Group::Generic, KEY_WRITE_SLOW)
        .docs("1.0.0", "O(1)", "key newkey", "Gives a key another name, in place of whatever had it."),
    Command::new("renamenx", 3, relocate::renamenx)
        .flags(WRITE_FAST)
        .keys(two_keys(KeyAccess::ReadWriteAccessDelete, KeyAccess::OverwriteInsert))
        .group(Group::Generic, KEY_WRITE_FAST)
        .docs("1.0.0", "O(1)", "key newkey", "Gives a key another name that no key has yet."),
    Command::new("copy", -3, relocate::copy)
        .flags(WRITE_DENYOOM)
        .keys(two_keys(KeyAccess::ReadOnlyAccess, KeyAccess::OverwriteUpdate))
        .group(Group::Generic, KEY_WRITE_SLOW)
        .docs(
            "6.2.0",
            "O(N) where N is the length of the value",
            "source destination [DB destination-db] [REPLACE]",
            "Stores a key's value and expiry under another key too.",
        ),
    Command::new("move", 3, relocate::move_to)
        .flags(WRITE_FAST)
        .keys(Keys::one(KeyAccess::ReadWriteAccessUpdate))
        .group(Group::Generic, KEY_WRITE_FAST)
        .docs("1.0.0", "O(1)", "key db", "Moves a key to another database."),
    Command::new("dump", 2, transfer::dump)
        .flags(READ)
        .keys(Keys::one(KeyAccess::ReadOnlyAccess))
        .group(Group::Generic, KEY_READ_SLOW)
        .docs("2.6.0", "O(N) where N is the length of the value", "key", "Serialises a key's value for RESTORE."),
    Command::new("restore", -4, transfer::restore)
        .flags(WRITE_DENYOOM)
        .keys(Keys::one(KeyAccess::OverwriteUpdate))
        .group(Group::Generic, KEY_WRITE_DANGEROUS)
        .docs(
            "2.6.0",
            "O(N) where N is the length of the value",
            "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
            "Makes a key from what DUMP answered.",
        ),
    reaching(
        Reach::Sweep,
        Command::new("randomkey", 1, walk::randomkey).flags(READ).group(Group::Generic, KEY_READ_SLOW).docs(
            "1.0.0",
            "O(1)",
            "",
            "Picks a key of the database at random.",
        ),
    ),
    reaching(
        Reach::Sweep,
        Command::new("keys", 2, walk::keys)
            .flags(READ)
            .group(Group::Generic, &["keyspace", "read", "slow", "dangerous"])
            .docs(
                "1.0.0",
                "O(N) where N is the number of keys in the database",
                "pattern",
                "Lists the keys that match.",
            ),
    ),
    reaching(
        Reach::Sweep,
        Command::new("scan", -2, walk::scan).flags(READ).group(Group::Generic, KEY_READ_SLOW).docs(
            "2.8.0",
            "O(1) for every call, O(N) for a whole walk, where N is the number of keys",
            "cursor [MATCH pattern] [COUNT count] [TYPE type]",
            "Walks through the keys of the database, some at every call.",
        ),
    ),
    reaching(
        Reach::Sweep,
        Command::new("dbsize", 1, databases::dbsize).flags(READ_FAST).group(Group::Server, KEY_READ_FAST).docs(
            "1.0.0",
            "O(1)",
            "",
            "Counts the keys of the database.",
        ),
    ),
    reaching(
        Reach::Whole,
        Command::new("flushdb", -1, databases::flushdb).flags(WRITE).group(Group::Server, KEY_WRITE_DANGEROUS).docs(
            "1.0.0",
            "O(N) where N is the number of keys in the database",
            "[ASYNC | SYNC]",
            "Removes every key of the database.",
        ),
    ),
    reaching(
        Reach::Whole,
        Command::new("flushall", -1, databases::flushall).flags(WRITE).group(Group::Server, KEY_WRITE_DANGEROUS).docs(
            "1.0.0",
            "O(N) where N is the number of keys in all databases",
            "[ASYNC | SYNC]",
            "Removes every key of every database.",
        ),
    ),
    reaching(
        Reach::Whole,
        Command::new("swapdb", 3, databases::swapdb)
            .flags(WRITE_FAST)
            .group(Group::Server, &["keyspace", "write", "fast", "dangerous"])
            .docs(
                "4.0.0",
                "O(N) where N is the number of clients that watch keys of either database",
                "index1 index2",
                "Exchanges two databases.",
            ),
    ),
    Command {
        subcommands: object::ROWS,
        ..Command::new("object", -2, container::unknown_subcommand).group(Group::Generic, &["slow"]).docs(
            "2.2.3",
            "Depends on the subcommand",
            "",
            "Looks at how values are kept.",
        )
    },
];

/// Reads a key without noting the access, and counts the hit or miss as every read command does.
fn look<'c>(call: &'c mut Call<'_>, key: &Key<'_>) -> Option<Entry<'c>> {
    let entry = call.held.peek(call.client.db, key);
    match entry {
        Some(_) => call.worker.stats.keyspace_hits.add(1),
        None => call.worker.stats.keyspace_misses.add(1),
    }
    entry
}

/// An argument that is the number of a database.
fn database(call: &Call<'_>, argument: &[u8]) -> Result<Db, Error> {
    let number = arguments::integer(argument)?;
    if i32::try_from(number).is_err() {
        return Err(Error::new("ERR value is out of range, value must between -2147483648 and 2147483647"));
    }
    let known = u16::try_from(number).ok().filter(|number| *number < call.shared.keyspace.databases());
    known.map(Db).ok_or(error::DB_OUT_OF_RANGE)
}
