//! Dispatch: from a name on the wire to the row of the command, without allocation and in any case of letters.
//!
//! Every command and subcommand has a dense [`Row::id`], in the order of the table; per-command counters are indexed by it.
//! Names of up to 16 bytes are folded into a `u128` and found in a small open-addressed table; longer ones are searched.
//! **Invariant:** the table is at most half full, so a search always ends at an empty place.

#[cfg(test)]
mod tests;

use crate::command::{Command, Flags, Keys, Reach};
use crate::table;
use scrubjay_resp::Reply;
use std::ops::Range;
use std::sync::LazyLock;

/// What a transaction does with a command that comes after MULTI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InMulti {
    /// Kept for EXEC.
    Queued,
    /// Runs at once: EXEC, DISCARD, MULTI, WATCH, QUIT, RESET.
    Runs,
    /// Refused (`no_multi`).
    Refused,
}

/// A command or subcommand with what dispatch knows about it.
pub(crate) struct Row {
    /// Dense, in table order.
    pub(crate) id: u16,
    pub(crate) command: &'static Command,
    /// `get`, or `config|get`.
    pub(crate) full_name: String,
    /// Ids of its subcommands.
    pub(crate) subcommands: Range<u16>,
    /// Shares the time stamps of its batch: what FAST commands do, and plain writes of one key.
    pub(crate) is_quick: bool,
    pub(crate) in_multi: InMulti,
    /// Index of the first key, 0 when there is none.
    pub(crate) first_key: usize,
    /// One key at a fixed place, nothing else latched: the common case that skips the collecting of hashes.
    pub(crate) has_one_key: bool,
}

/// Not FAST in Redis' flags, yet constant in time but for the bytes of the value.
const QUICK_WRITES: &[&str] = &["set", "setex", "psetex", "getex", "getset"];
const RUN_IN_MULTI: &[&str] = &["exec", "discard", "multi", "watch", "quit", "reset"];

impl Row {
    fn new(id: u16, command: &'static Command, parent: Option<&'static Command>) -> Row {
        let full_name = match parent {
            Some(parent) => format!("{}|{}", parent.name, command.name),
            None => command.name.to_owned(),
        };
        let first_key = match command.keys {
            Keys::None => 0,
            Keys::Range { first, .. } | Keys::FirstAndRest { first, .. } => first,
        };
        let is_one_place =
            matches!(command.keys, Keys::Range { first, last, .. } if usize::try_from(last) == Ok(first));
        let in_multi = match parent {
            None if RUN_IN_MULTI.contains(&command.name) => InMulti::Runs,
            _ if command.flags.contains(Flags::NO_MULTI) => InMulti::Refused,
            _ => InMulti::Queued,
        };
        Row {
            id,
            command,
            is_quick: command.flags.contains(Flags::FAST) || QUICK_WRITES.contains(&full_name.as_str()),
            full_name,
            subcommands: 0..0,
            in_multi,
            first_key,
            has_one_key: is_one_place && command.reach == Reach::Keys,
        }
    }

    /// Whether the replication stream would carry it: what CLIENT PAUSE WRITE holds back.
    pub(crate) fn may_replicate(&self) -> bool {
        self.command.flags.intersects(Flags::WRITE.union(Flags::MAY_REPLICATE))
    }
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut rows = Vec::new();
    let id = |rows: &Vec<Row>| u16::try_from(rows.len()).unwrap_or(u16::MAX);
    for command in table::GROUPS.iter().flat_map(|group| group.iter()) {
        let container = rows.len();
        rows.push(Row::new(id(&rows), command, None));
        let first = id(&rows);
        for subcommand in command.subcommands {
            rows.push(Row::new(id(&rows), subcommand, Some(command)));
        }
        let end = id(&rows);
        rows[container].subcommands = first..end;
    }
    rows
});

/// Every command and subcommand; a row stands at its id.
pub(crate) fn rows() -> &'static [Row] {
    &ROWS
}

/// Why a name leads to no row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unknown {
    Command,
    /// Of the container with this id.
    Subcommand(u16),
}

/// The names that one server answers to: the table's, less and plus what `rename-command` says.
pub(crate) struct Dispatch {
    rows: &'static [Row],
    /// Folded name and row id, `(0, _)` where empty. The length is a power of two.
    places: Box<[(u128, u16)]>,
    long: Vec<(Vec<u8>, u16)>,
}

impl Dispatch {
    /// The table's names, with the commands of `renames` under their new name; an empty one takes the command away.
    /// The error names what cannot be renamed.
    pub(crate) fn new(renames: &[(String, String)]) -> Result<Dispatch, String> {
        let rows = rows();
        let mut names: Vec<(Vec<u8>, u16)> = Vec::new();
        let mut at = 0;
        while let Some(row) = rows.get(at) {
            names.push((row.command.name.into(), row.id));
            at = usize::from(row.subcommands.end.max(row.id + 1));
        }
        for (from, to) in renames {
            let from = from.to_ascii_lowercase();
            let place = names.iter().position(|(name, _)| *name == from.as_bytes());
            let (_, id) = names.swap_remove(place.ok_or(format!("no such command in rename-command: {from}"))?);
            let to = to.to_ascii_lowercase().into_bytes();
            if names.iter().any(|(name, _)| *name == to) {
                return Err(format!("target of rename-command exists: {}", String::from_utf8_lossy(&to)));
            }
            if !to.is_empty() {
                names.push((to, id));
            }
        }
        let mut dispatch = Dispatch {
            rows,
            places: vec![(0, 0); (names.len() * 4).next_power_of_two().max(16)].into(),
            long: Vec::new(),
        };
        names.into_iter().for_each(|(name, id)| dispatch.insert(name, id));
        Ok(dispatch)
    }

    fn insert(&mut self, name: Vec<u8>, id: u16) {
        let Some(folded) = fold(&name) else { return self.long.push((name, id)) };
        let mut place = self.home(folded);
        while self.places[place].0 != 0 {
            place = (place + 1) & (self.places.len() - 1);
        }
        self.places[place] = (folded, id);
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "the two halves are taken apart, and the place is masked")]
    fn home(&self, folded: u128) -> usize {
        let mixed = ((folded as u64) ^ ((folded >> 64) as u64).rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 40) as usize & (self.places.len() - 1)
    }

    /// The row of a command by its name alone.
    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<&'static Row> {
        let Some(folded) = fold(name) else { return self.find_long(name) };
        let mut place = self.home(folded);
        loop {
            let (found, id) = *self.places.get(place)?;
            if found == folded {
                return self.rows.get(usize::from(id));
            }
            if found == 0 {
                return None;
            }
            place = (place + 1) & (self.places.len() - 1);
        }
    }

    #[cold]
    fn find_long(&self, name: &[u8]) -> Option<&'static Row> {
        let (_, id) = self.long.iter().find(|(long, _)| long.eq_ignore_ascii_case(name))?;
        self.rows.get(usize::from(*id))
    }

    /// The row of a request: the subcommand's where there is one.
    #[inline]
    pub(crate) fn resolve(&self, args: &[&[u8]]) -> Result<&'static Row, Unknown> {
        let row = args.first().and_then(|name| self.find(name)).ok_or(Unknown::Command)?;
        match args.get(1) {
            Some(word) if !row.subcommands.is_empty() => self.subcommand(row, word),
            _ => Ok(row),
        }
    }

    fn subcommand(&self, row: &Row, word: &[u8]) -> Result<&'static Row, Unknown> {
        let range = usize::from(row.subcommands.start)..usize::from(row.subcommands.end);
        let rows = self.rows.get(range).unwrap_or_default();
        rows.iter()
            .find(|row| row.command.name.as_bytes().eq_ignore_ascii_case(word))
            .ok_or(Unknown::Subcommand(row.id))
    }

    /// Writes Redis' answer to a name that leads nowhere.
    pub(crate) fn explain(&self, unknown: &Unknown, args: &[&[u8]], reply: &mut Reply<'_>) {
        let shown = |arg: &[u8], len_max: usize| String::from_utf8_lossy(&arg[..arg.len().min(len_max)]).into_owned();
        match unknown {
            Unknown::Command => {
                let mut rest = String::new();
                for arg in args.iter().skip(1) {
                    if rest.len() >= 128 {
                        break;
                    }
                    rest.push_str(&format!("'{}' ", shown(arg, 128 - rest.len())));
                }
                let name = args.first().map(|name| shown(name, 128)).unwrap_or_default();
                reply.error(&format!("ERR unknown command '{name}', with args beginning with: {rest}"));
            }
            Unknown::Subcommand(id) => {
                let container = self.rows.get(usize::from(*id)).map_or("", |row| row.command.name).to_ascii_uppercase();
                let word = args.get(1).map(|word| shown(word, 128)).unwrap_or_default();
                // Redis' DEBUG tells its subcommands apart by itself, and a wrong number as a wrong name.
                let what = if container == "DEBUG" { " or wrong number of arguments for" } else { "" };
                reply.error(&format!("ERR unknown subcommand{what} '{word}'. Try {container} HELP."));
            }
        }
    }
}

/// The bytes of a name of 1 to 16 bytes in lower case as one number, different for different names. A zero byte at the end
/// would make no difference, and no command has one.
#[inline]
fn fold(name: &[u8]) -> Option<u128> {
    let (low, high) = match name.len() {
        _ if name.last() == Some(&0) => return None,
        len @ 8..=16 => {
            let tail = u64::from_le_bytes(*name.last_chunk()?);
            (u64::from_le_bytes(*name.first_chunk()?), if len == 8 { 0 } else { tail >> ((16 - len) * 8) })
        }
        len @ 4..=7 => {
            let tail = u64::from(u32::from_le_bytes(*name.last_chunk()?));
            (u64::from(u32::from_le_bytes(*name.first_chunk()?)) | (tail << ((len - 4) * 8)), 0)
        }
        len @ 1..=3 => {
            let (first, middle, last) = (name[0], name[len / 2], name[len - 1]);
            (u64::from(first) | (u64::from(middle) << ((len / 2) * 8)) | (u64::from(last) << ((len - 1) * 8)), 0)
        }
        _ => return None,
    };
    Some(u128::from(lower(low)) | (u128::from(lower(high)) << 64))
}

/// Lower-cases the ASCII letters among eight bytes.
#[inline]
fn lower(bytes: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low_bits = bytes & (ONES * 0x7f);
    let from_a = low_bits + ONES * (0x80 - 0x41);
    let above_z = low_bits + ONES * (0x7f - 0x5a);
    let is_upper = (from_a ^ above_z) & !bytes & (ONES * 0x80);
    bytes | (is_upper >> 2)
}
