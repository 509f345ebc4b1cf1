//! The table as COMMAND shows it: every row with its full name, and what follows from its flags and keys.

use crate::command::{Command, Flags, Group, KeyAccess, Keys};
use crate::table;

/// A row under its full name (`get`, `config|get`).
#[derive(Clone)]
pub(crate) struct Listed {
    pub(crate) full_name: String,
    pub(crate) row: &'static Command,
}

/// Every row without its subcommands.
pub(crate) fn rows() -> impl Iterator<Item = Listed> {
    table::GROUPS.iter().flat_map(|rows| rows.iter()).map(|row| Listed { full_name: row.name.to_owned(), row })
}

/// Every row, each followed by its subcommands.
pub(crate) fn rows_and_subcommands() -> impl Iterator<Item = Listed> {
    with_subcommands(rows())
}

/// These rows, each followed by its subcommands.
pub(crate) fn with_subcommands(rows: impl Iterator<Item = Listed>) -> impl Iterator<Item = Listed> {
    rows.flat_map(|listed| {
        let subcommands = listed.subcommands();
        std::iter::once(listed).chain(subcommands)
    })
}

/// The row of `get` or `config|get`, in any case.
pub(crate) fn find(name: &[u8]) -> Option<Listed> {
    rows_and_subcommands().find(|listed| listed.full_name.as_bytes().eq_ignore_ascii_case(name))
}

impl Listed {
    /// The rows of its subcommands, under their full names.
    pub(crate) fn subcommands(&self) -> impl Iterator<Item = Listed> + use<> {
        // The rows under DEBUG are ours alone: clients see what Redis shows, a command without subcommands.
        let shown: &'static [Command] = if self.row.name == "debug" { &[] } else { self.row.subcommands };
        let container = self.row;
        let under = move |row: &'static Command| Listed { full_name: format!("{}|{}", container.name, row.name), row };
        shown.iter().map(under)
    }
}

/// The ACL categories, in the order in which Redis lists them.
pub(crate) const CATEGORIES: [&str; 21] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
];

/// The categories of a row: those that it names and those that follow from its flags, in Redis' order.
pub(crate) fn categories(row: &Command) -> Vec<&'static str> {
    let has = |flag| row.flags.contains(flag);
    let is_in = |category: &str| match category {
        "read" => has(Flags::READONLY),
        "write" => has(Flags::WRITE),
        "admin" | "dangerous" => has(Flags::ADMIN),
        "pubsub" => has(Flags::PUBSUB),
        "fast" => has(Flags::FAST),
        "slow" => !has(Flags::FAST),
        "blocking" => has(Flags::BLOCKING),
        _ => false,
    };
    CATEGORIES.into_iter().filter(|category| is_in(category) || row.categories.contains(category)).collect()
}

/// The flags by name, in Redis' order.
pub(crate) fn flag_names(flags: Flags) -> Vec<&'static str> {
    const NAMES: [(Flags, &str); 18] = [
        (Flags::WRITE, "write"),
        (Flags::READONLY, "readonly"),
        (Flags::DENYOOM, "denyoom"),
        (Flags::ADMIN, "admin"),
        (Flags::PUBSUB, "pubsub"),
        (Flags::NOSCRIPT, "noscript"),
        (Flags::BLOCKING, "blocking"),
        (Flags::LOADING, "loading"),
        (Flags::STALE, "stale"),
        (Flags::SKIP_MONITOR, "skip_monitor"),
        (Flags::SKIP_SLOWLOG, "skip_slowlog"),
        (Flags::FAST, "fast"),
        (Flags::NO_AUTH, "no_auth"),
        (Flags::MAY_REPLICATE, "may_replicate"),
        (Flags::NO_ASYNC_LOADING, "no_async_loading"),
        (Flags::NO_MULTI, "no_multi"),
        (Flags::MOVABLEKEYS, "movablekeys"),
        (Flags::ALLOW_BUSY, "allow_busy"),
    ];
    NAMES.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name).collect()
}

/// The group as COMMAND DOCS spells it.
pub(crate) fn group_name(group: Group) -> &'static str {
    match group {
        Group::Bitmap => "bitmap",
        Group::Cluster => "cluster",
        Group::Connection => "connection",
        Group::Generic => "generic",
        Group::Scripting => "scripting",
        Group::Server => "server",
        Group::String => "string",
        Group::Transactions => "transactions",
    }
}

/// What a command does with a key, as the flags of Redis' key specifications.
pub(crate) fn access_flags(access: KeyAccess) -> &'static [&'static str] {
    match access {
        KeyAccess::ReadOnlyAccess => &["RO", "access"],
        KeyAccess::ReadWriteAccessUpdate => &["RW", "access", "update"],
        KeyAccess::ReadWriteAccessUpdateVariable => &["RW", "access", "update", "variable_flags"],
        KeyAccess::ReadWriteUpdate => &["RW", "update"],
        KeyAccess::OverwriteUpdate => &["OW", "update"],
        KeyAccess::OverwriteInsert => &["OW", "insert"],
        KeyAccess::RemoveDelete => &["RM", "delete"],
        KeyAccess::ReadOnly => &["RO"],
        KeyAccess::ReadWriteAccessDelete => &["RW", "access", "delete"],
        KeyAccess::ReadWriteInsert => &["RW", "insert"],
    }
}

/// One key specification: keys from argument `first` to `last` (negative: from the end) every `step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeySpec {
    pub(crate) first: usize,
    pub(crate) last: i32,
    pub(crate) step: usize,
    pub(crate) access: KeyAccess,
}

/// The key specifications of a row: none, one or two.
pub(crate) fn key_specs(keys: Keys) -> Vec<KeySpec> {
    match keys {
        Keys::None => Vec::new(),
        Keys::Range { first, last, step, access } => vec![KeySpec { first, last, step, access }],
        Keys::FirstAndRest { first, first_access, rest_last, rest_access } => {
            let last = i32::try_from(first).unwrap_or(i32::MAX);
            vec![
                KeySpec { first, last, step: 1, access: first_access },
                KeySpec { first: first + 1, last: rest_last, step: 1, access: rest_access },
            ]
        }
    }
}

/// The access to the key of a call whose options decide it (SET, BITFIELD), where the row knows only the worst case.
pub(crate) fn access_of_call(row: &Command, access: KeyAccess, args: &[&[u8]]) -> KeyAccess {
    let has = |from: usize, words: &[&str]| {
        let options = args.get(from..).unwrap_or_default();
        options.iter().any(|arg| words.iter().any(|word| arg.eq_ignore_ascii_case(word.as_bytes())))
    };
    match row.name {
        "set" if has(3, &["get"]) => KeyAccess::ReadWriteAccessUpdate,
        "set" => KeyAccess::OverwriteUpdate,
        "bitfield" if has(2, &["set", "incrby"]) => KeyAccess::ReadWriteAccessUpdate,
        "bitfield" => KeyAccess::ReadOnlyAccess,
        _ => access,
    }
}
