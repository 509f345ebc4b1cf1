//! What a command is: one row of the table, read by dispatch, COMMAND, COMMAND DOCS and the compatibility page.

use crate::call::Call;
use crate::error::Error;
use bitflags::bitflags;

/// Runs a command. The reply is written to `call.reply`; on `Err` whatever it wrote is taken back and the error sent.
pub(crate) type Handler = fn(&mut Call<'_>) -> Result<(), Error>;

bitflags! {
    /// Redis' command flags (COMMAND INFO names them in lower case).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct Flags: u32 {
        const WRITE = 1 << 0;
        const READONLY = 1 << 1;
        /// Refused when memory is above `maxmemory`.
        const DENYOOM = 1 << 2;
        const ADMIN = 1 << 3;
        const PUBSUB = 1 << 4;
        const NOSCRIPT = 1 << 5;
        const BLOCKING = 1 << 6;
        const LOADING = 1 << 7;
        const STALE = 1 << 8;
        const SKIP_MONITOR = 1 << 9;
        const SKIP_SLOWLOG = 1 << 10;
        const FAST = 1 << 11;
        const NO_AUTH = 1 << 12;
        const MAY_REPLICATE = 1 << 13;
        const NO_MULTI = 1 << 14;
        const MOVABLEKEYS = 1 << 15;
        const ALLOW_BUSY = 1 << 16;
        const NO_ASYNC_LOADING = 1 << 17;
    }
}

/// The key specification flags of Redis 7 (COMMAND GETKEYSANDFLAGS): what a command does with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyAccess {
    /// Reads the value.
    ReadOnlyAccess,
    /// Reads and changes the value, and answers something of it.
    ReadWriteAccessUpdate,
    /// Changes the value without answering anything of it.
    ReadWriteUpdate,
    /// Overwrites the value.
    OverwriteUpdate,
    /// Overwrites the value and answers the old one, or depends on it.
    OverwriteInsert,
    /// Removes the key.
    RemoveDelete,
    /// Reads what is known of the key, not its value.
    ReadOnly,
    /// Removes the key and answers its value.
    ReadWriteAccessDelete,
    /// Changes what is known of the key or inserts parts.
    ReadWriteInsert,
    /// Depends on the options, at most like `ReadWriteAccessUpdate` (SET, BITFIELD): Redis' `variable_flags`.
    ReadWriteAccessUpdateVariable,
}

/// Where the keys of a command stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// No keys.
    None,
    /// From argument `first` to `last` (negative: from the end) every `step`.
    Range { first: usize, last: i32, step: usize, access: KeyAccess },
    /// Two keys with accesses of their own (RENAME, COPY, BITOP: first key, then `rest_last` as in `Range`).
    FirstAndRest { first: usize, first_access: KeyAccess, rest_last: i32, rest_access: KeyAccess },
}

/// What must be latched besides the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The keys that the row names, or nothing.
    Keys,
    /// No key in particular: latches stripe by stripe (SCAN, KEYS, DBSIZE, RANDOMKEY). Inside MULTI: everything.
    Sweep,
    /// The keys that the client watches (UNWATCH, DISCARD, RESET), and for EXEC those that are queued. Inside MULTI: nothing.
    Watched,
    /// The whole keyspace behind the closed gate (FLUSHALL, SWAPDB, SAVE).
    Whole,
}

/// The group of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Bitmap,
    Cluster,
    Connection,
    Generic,
    Scripting,
    Server,
    String,
    Transactions,
}

/// One row of the command table.
pub(crate) struct Command {
    /// Lower case; a subcommand's is its own word only (`get` of `config|get`).
    pub(crate) name: &'static str,
    /// As Redis counts: the name included; negative means at least. A subcommand counts its container too.
    pub(crate) arity: i32,
    pub(crate) flags: Flags,
    pub(crate) keys: Keys,
    pub(crate) reach: Reach,
    pub(crate) group: Group,
    pub(crate) since: &'static str,
    pub(crate) complexity: &'static str,
    pub(crate) summary: &'static str,
    /// ACL categories without the `@`, those included that follow from flags.
    pub(crate) categories: &'static [&'static str],
    /// The arguments as the documentation writes them: `key value [NX | XX] [GET] [EX seconds | PX milliseconds]`.
    pub(crate) syntax: &'static str,
    pub(crate) handler: Handler,
    /// Rows of its subcommands; a container's handler answers an unknown one.
    pub(crate) subcommands: &'static [Command],
}

impl Keys {
    /// The first argument alone.
    pub(crate) const fn one(access: KeyAccess) -> Keys {
        Keys::Range { first: 1, last: 1, step: 1, access }
    }

    /// Every argument from the first on.
    pub(crate) const fn all(access: KeyAccess) -> Keys {
        Keys::Range { first: 1, last: -1, step: 1, access }
    }
}

impl Command {
    /// A row to be built up by the functions below. A struct literal says the same at more length.
    pub(crate) const fn new(name: &'static str, arity: i32, handler: Handler) -> Command {
        Command {
            name,
            arity,
            flags: Flags::empty(),
            keys: Keys::None,
            reach: Reach::Keys,
            group: Group::Generic,
            since: "",
            complexity: "",
            summary: "",
            categories: &[],
            syntax: "",
            handler,
            subcommands: &[],
        }
    }

    /// Its group, and its ACL categories, those that follow from flags included.
    pub(crate) const fn group(self, group: Group, categories: &'static [&'static str]) -> Command {
        Command { group, categories, ..self }
    }

    pub(crate) const fn flags(self, flags: Flags) -> Command {
        Command { flags, ..self }
    }

    pub(crate) const fn reach(self, reach: Reach) -> Command {
        Command { reach, ..self }
    }

    pub(crate) const fn keys(self, keys: Keys) -> Command {
        Command { keys, ..self }
    }

    /// What documentation says: version, complexity, arguments, one sentence.
    pub(crate) const fn docs(
        self,
        since: &'static str,
        complexity: &'static str,
        syntax: &'static str,
        summary: &'static str,
    ) -> Command {
        Command { since, complexity, syntax, summary, ..self }
    }

    /// Whether `count` arguments, the name included, satisfy the arity.
    pub(crate) fn accepts(&self, count: usize) -> bool {
        let arity = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { count >= arity } else { count == arity }
    }

    /// Indexes of the arguments that are keys, for `count` arguments.
    pub(crate) fn key_indexes(&self, count: usize) -> impl Iterator<Item = usize> + use<> {
        let (first, last, step) = match self.keys {
            Keys::None => (1, 0, 1),
            Keys::Range { first, last, step, .. } => (first, last, step),
            Keys::FirstAndRest { first, rest_last, .. } => (first, rest_last, 1),
        };
        // Below 0 it counts from the end.
        let from_end = count.saturating_sub(last.unsigned_abs() as usize);
        let last = usize::try_from(last).unwrap_or(from_end);
        (first..=last.min(count.saturating_sub(1))).step_by(step)
    }
}
