//! The bit commands: their rows, and how they read an offset. Bit 0 is the highest bit of the first byte.

mod count;
mod field;
mod operation;
mod position;
mod single;
#[cfg(test)]
mod tests;

use crate::arguments::parse_integer;
use crate::call::Call;
use crate::command::{Command, Flags, Group, Handler, KeyAccess, Keys};
use crate::error::{self, Error};

/// A row that reads.
const fn read(name: &'static str, arity: i32, handler: Handler) -> Command {
    Command::new(name, arity, handler)
        .group(Group::Bitmap, &["read", "bitmap", "slow"])
        .flags(Flags::READONLY)
        .keys(Keys::one(KeyAccess::ReadOnlyAccess))
}

/// A row that reads in constant time.
const fn fast_read(name: &'static str, arity: i32, handler: Handler) -> Command {
    read(name, arity, handler)
        .group(Group::Bitmap, &["read", "bitmap", "fast"])
        .flags(Flags::READONLY.union(Flags::FAST))
}

/// A row that writes, and may need memory.
const fn write(name: &'static str, arity: i32, handler: Handler) -> Command {
    Command::new(name, arity, handler)
        .group(Group::Bitmap, &["write", "bitmap", "slow"])
        .flags(Flags::WRITE.union(Flags::DENYOOM))
}

pub(crate) static ROWS: &[Command] = &[
    read("bitcount", -2, count::bit_count).docs(
        "2.6.0",
        "O(N)",
        "key [start end [BYTE | BIT]]",
        "Counts the bits that are set in a string or in a range of it.",
    ),
    write("bitfield", -2, field::bit_field).keys(Keys::one(KeyAccess::ReadWriteAccessUpdateVariable)).docs(
        "3.2.0",
        "O(1) for each operation.",
        "key [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] \
         <SET encoding offset value | INCRBY encoding offset increment> \
         [GET encoding offset | [OVERFLOW <WRAP | SAT | FAIL>] \
         <SET encoding offset value | INCRBY encoding offset increment> ...]]",
        "Reads, writes and counts in integers of any width inside a string.",
    ),
    fast_read("bitfield_ro", -2, field::bit_field_read_only).docs(
        "6.0.0",
        "O(1) for each operation.",
        "key [GET encoding offset [GET encoding offset ...]]",
        "Reads integers of any width inside a string.",
    ),
    write("bitop", -4, operation::bit_op)
        .keys(Keys::FirstAndRest {
            first: 2,
            first_access: KeyAccess::OverwriteUpdate,
            rest_last: -1,
            rest_access: KeyAccess::ReadOnlyAccess,
        })
        .docs(
            "2.6.0",
            "O(N)",
            "AND | OR | XOR | NOT destkey key [key ...]",
            "Combines strings bit by bit and stores the result.",
        ),
    read("bitpos", -3, position::bit_pos).docs(
        "2.8.7",
        "O(N)",
        "key bit [start [end [BYTE | BIT]]]",
        "Finds the first bit that is set, or clear, in a string or in a range of it.",
    ),
    fast_read("getbit", 3, single::get_bit).docs(
        "2.2.0",
        "O(1)",
        "key offset",
        "Answers one bit of a string; beyond its end all bits are 0.",
    ),
    write("setbit", 4, single::set_bit).keys(Keys::one(KeyAccess::ReadWriteAccessUpdate)).docs(
        "2.2.0",
        "O(1)",
        "key offset value",
        "Sets or clears one bit of a string, which grows as needed, and answers what it was.",
    ),
];

/// A bit offset within what a string may hold. For BITFIELD, `#n` counts in fields of `field_width` bits.
fn offset(call: &Call<'_>, argument: &[u8], field_width: Option<u32>) -> Result<usize, Error> {
    let (digits, scale) = match (argument, field_width) {
        ([b'#', digits @ ..], Some(width)) => (digits, i64::from(width)),
        (digits, _) => (digits, 1),
    };
    parse_integer(digits)
        .and_then(|number| usize::try_from(number.checked_mul(scale)?).ok())
        .filter(|offset| offset / 8 < call.value_len_max())
        .ok_or(error::BIT_OFFSET)
}
