//! The string commands: their rows. The handlers lie in files of their own, by what they do.

mod counter;
mod extended;
mod get;
mod lcs;
mod many;
mod range;
mod set;
#[cfg(test)]
mod tests;

use crate::command::{Command, Flags, Group, Handler, KeyAccess, Keys};

const RANGE_COST: &str = "O(N) where N is the length of the returned string.";

/// A row that reads in constant time.
const fn fast_read(name: &'static str, arity: i32, handler: Handler) -> Command {
    Command::new(name, arity, handler)
        .group(Group::String, &["read", "string", "fast"])
        .flags(Flags::READONLY.union(Flags::FAST))
}

/// A row that reads.
const fn read(name: &'static str, arity: i32, handler: Handler) -> Command {
    Command::new(name, arity, handler).group(Group::String, &["read", "string", "slow"]).flags(Flags::READONLY)
}

/// A row that writes in constant time, and may need memory.
const fn fast_write(name: &'static str, arity: i32, handler: Handler) -> Command {
    Command::new(name, arity, handler)
        .group(Group::String, &["write", "string", "fast"])
        .flags(Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST))
}

/// A row that writes, and may need memory.
const fn write(name: &'static str, arity: i32, handler: Handler) -> Command {
    Command::new(name, arity, handler)
        .group(Group::String, &["write", "string", "slow"])
        .flags(Flags::WRITE.union(Flags::DENYOOM))
}

pub(crate) static ROWS: &[Command] = &[
    fast_write("append", 3, range::append).keys(Keys::one(KeyAccess::ReadWriteInsert)).docs(
        "2.0.0",
        "O(1) amortised over the bytes added.",
        "key value",
        "Adds bytes at the end of a string.",
    ),
    fast_write("decr", 2, counter::decr).keys(Keys::one(KeyAccess::ReadWriteAccessUpdate)).docs(
        "1.0.0",
        "O(1)",
        "key",
        "Takes one off the integer at a key; an absent key counts as 0.",
    ),
    fast_write("decrby", 3, counter::decr_by).keys(Keys::one(KeyAccess::ReadWriteAccessUpdate)).docs(
        "1.0.0",
        "O(1)",
        "key decrement",
        "Takes an amount off the integer at a key; an absent key counts as 0.",
    ),
    fast_read("get", 2, get::get).keys(Keys::one(KeyAccess::ReadOnlyAccess)).docs(
        "1.0.0",
        "O(1)",
        "key",
        "Answers the value of a key.",
    ),
    fast_write("getdel", 2, get::get_del)
        .flags(Flags::WRITE.union(Flags::FAST))
        .keys(Keys::one(KeyAccess::ReadWriteAccessDelete))
        .docs("6.2.0", "O(1)", "key", "Answers the value of a key and removes the key."),
    fast_write("getex", -2, get::get_ex)
        .flags(Flags::WRITE.union(Flags::FAST))
        .keys(Keys::one(KeyAccess::ReadWriteAccessUpdate))
        .docs(
            "6.2.0",
            "O(1)",
            "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
            "Answers the value of a key and sets or clears its expiry.",
        ),
    read("getrange", 4, range::get_range).keys(Keys::one(KeyAccess::ReadOnlyAccess)).docs(
        "2.4.0",
        RANGE_COST,
        "key start end",
        "Answers the part of a string between two offsets, both included.",
    ),
    fast_write("getset", 3, get::get_set).keys(Keys::one(KeyAccess::ReadWriteAccessUpdate)).docs(
        "1.0.0",
        "O(1)",
        "key value",
        "Stores a value and answers the one before. SET with GET does the same.",
    ),
    fast_write("incr", 2, counter::incr).keys(Keys::one(KeyAccess::ReadWriteAccessUpdate)).docs(
        "1.0.0",
        "O(1)",
        "key",
        "Adds one to the integer at a key; an absent key counts as 0.",
    ),
    fast_write("incrby", 3, counter::incr_by).keys(Keys::one(KeyAccess::ReadWriteAccessUpdate)).docs(
        "1.0.0",
        "O(1)",
        "key increment",
        "Adds an amount to the integer at a key; an absent key counts as 0.",
    ),
    fast_write("incrbyfloat", 3, counter::incr_by_float).keys(Keys::one(KeyAccess::ReadWriteAccessUpdate)).docs(
        "2.6.0",
        "O(1)",
        "key increment",
        "Adds an amount to the floating point number at a key; an absent key counts as 0.",
    ),
    read("lcs", -3, lcs::lcs).keys(Keys::Range { first: 1, last: 2, step: 1, access: KeyAccess::ReadOnlyAccess }).docs(
        "7.0.0",
        "O(N*M) where N and M are the lengths of the two strings.",
        "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
        "Finds the longest sequence of bytes that two strings share in order.",
    ),
    fast_read("mget", -2, many::mget).keys(Keys::all(KeyAccess::ReadOnlyAccess)).docs(
        "1.0.0",
        "O(N) where N is the number of keys.",
        "key [key ...]",
        "Answers the values of several keys, all of one moment.",
    ),
    write("mset", -3, many::mset).keys(EVERY_SECOND_UPDATE).docs(
        "1.0.1",
        "O(N) where N is the number of keys.",
        "key value [key value ...]",
        "Stores several values at one moment.",
    ),
    write("msetnx", -3, many::mset_nx).keys(EVERY_SECOND_INSERT).docs(
        "1.0.1",
        "O(N) where N is the number of keys.",
        "key value [key value ...]",
        "Stores several values at one moment, or none if any of the keys exists.",
    ),
    write("psetex", 4, set::pset_ex).keys(Keys::one(KeyAccess::OverwriteUpdate)).docs(
        "2.6.0",
        "O(1)",
        "key milliseconds value",
        "Stores a value that expires after some milliseconds.",
    ),
    write("set", -3, set::set).keys(Keys::one(KeyAccess::ReadWriteAccessUpdateVariable)).docs(
        "1.0.0",
        "O(1)",
        "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
         PXAT unix-time-milliseconds | KEEPTTL]",
        "Stores a value, on conditions and with an expiry if wanted.",
    ),
    write("setex", 4, set::set_ex).keys(Keys::one(KeyAccess::OverwriteUpdate)).docs(
        "2.0.0",
        "O(1)",
        "key seconds value",
        "Stores a value that expires after some seconds.",
    ),
    fast_write("setnx", 3, set::set_nx).keys(Keys::one(KeyAccess::OverwriteInsert)).docs(
        "1.0.0",
        "O(1)",
        "key value",
        "Stores a value unless the key exists.",
    ),
    write("setrange", 4, range::set_range).keys(Keys::one(KeyAccess::ReadWriteUpdate)).docs(
        "2.2.0",
        "O(M) where M is the length of the value, besides the growth of the string.",
        "key offset value",
        "Overwrites a part of a string, which grows with zero bytes as needed.",
    ),
    fast_read("strlen", 2, get::strlen).keys(Keys::one(KeyAccess::ReadOnly)).docs(
        "2.2.0",
        "O(1)",
        "key",
        "Answers the length of a value in bytes.",
    ),
    read("substr", 4, range::get_range).keys(Keys::one(KeyAccess::ReadOnlyAccess)).docs(
        "1.0.0",
        RANGE_COST,
        "key start end",
        "The old name of GETRANGE.",
    ),
];

const EVERY_SECOND_UPDATE: Keys = Keys::Range { first: 1, last: -1, step: 2, access: KeyAccess::OverwriteUpdate };
const EVERY_SECOND_INSERT: Keys = Keys::Range { first: 1, last: -1, step: 2, access: KeyAccess::OverwriteInsert };
