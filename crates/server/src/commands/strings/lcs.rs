//! LCS: the longest common subsequence of two values, by the table of all prefixes, walked back from its end.
//!
//! Time and memory are the product of the two lengths; what the table may take is bounded by `proto-max-bulk-len`, as
//! in Redis. The length alone needs two rows of it.

use crate::arguments::{integer, is};
use crate::call::Call;
use crate::error::{self, Error};
use scrubjay_resp::Reply;

/// What LCS was asked for.
#[derive(Default)]
struct Options {
    wants_len: bool,
    wants_ranges: bool,
    match_len_min: u64,
    shows_match_len: bool,
}

impl Options {
    fn parse(mut rest: &[&[u8]]) -> Result<Options, Error> {
        let mut options = Options::default();
        while let [word, after @ ..] = rest {
            rest = after;
            if is(word, "idx") {
                options.wants_ranges = true;
            } else if is(word, "len") {
                options.wants_len = true;
            } else if is(word, "withmatchlen") {
                options.shows_match_len = true;
            } else if let (true, [len, after @ ..]) = (is(word, "minmatchlen"), after) {
                options.match_len_min = u64::try_from(integer(len)?).unwrap_or(0);
                rest = after;
            } else {
                return Err(error::SYNTAX);
            }
        }
        if options.wants_len && options.wants_ranges {
            return Err(error::LCS_LEN_AND_IDX);
        }
        Ok(options)
    }
}

pub(super) fn lcs(call: &mut Call<'_>) -> Result<(), Error> {
    let options = Options::parse(&call.args[3..])?;
    let (key_a, key_b) = (call.key(1), call.key(2));
    let a = call.read(&key_a).0.map(|entry| entry.value.to_vec()).unwrap_or_default();
    let cells_max = call.value_len_max() / size_of::<u32>();
    let (b, reply) = call.read(&key_b);
    let b = b.map_or(&[][..], |entry| entry.value);
    if (a.len() + 1).checked_mul(b.len() + 1).is_none_or(|cells| cells > cells_max) {
        return Err(error::LCS_TOO_LARGE);
    }
    if options.wants_len {
        reply.integer(i64::from(common_len(&a, b)));
        return Ok(());
    }
    let table = Table::new(&a, b)?;
    if options.wants_ranges {
        answer_ranges(reply, &table, &a, b, &options);
    } else {
        reply.bulk(&table.sequence(&a, b));
    }
    Ok(())
}

/// Fills `row` for one more byte of `a`, from the row before it. Cell `j` is the answer for the first `j` bytes of `b`.
fn fill_row(before: &[u32], row: &mut [u32], byte: u8, b: &[u8]) {
    let mut left = 0;
    for ((cell, above), other) in row[1..].iter_mut().zip(before.windows(2)).zip(b) {
        left = if *other == byte { above[0] + 1 } else { left.max(above[1]) };
        *cell = left;
    }
}

pub(super) fn common_len(a: &[u8], b: &[u8]) -> u32 {
    let (mut before, mut row) = (vec![0; b.len() + 1], vec![0; b.len() + 1]);
    for byte in a {
        fill_row(&before, &mut row, *byte, b);
        std::mem::swap(&mut before, &mut row);
    }
    before[b.len()]
}

/// The answers for all prefixes of both strings.
pub(super) struct Table {
    cells: Vec<u32>,
    row_len: usize,
}

/// A stretch that both strings have in common: `len` bytes from these offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) a: usize,
    pub(super) b: usize,
    pub(super) len: usize,
}

impl Table {
    pub(super) fn new(a: &[u8], b: &[u8]) -> Result<Table, Error> {
        let row_len = b.len() + 1;
        let count = row_len * (a.len() + 1);
        let mut cells = Vec::new();
        cells.try_reserve_exact(count).map_err(|_| error::LCS_NO_MEMORY)?;
        cells.resize(count, 0);
        for (done, byte) in a.iter().enumerate() {
            let (before, after) = cells.split_at_mut((done + 1) * row_len);
            fill_row(&before[done * row_len..], &mut after[..row_len], *byte, b);
        }
        Ok(Table { cells, row_len })
    }

    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.row_len + j]
    }

    fn len(&self) -> u32 {
        self.cells.last().copied().unwrap_or(0)
    }

    /// Stretches in common, the last one first, as the walk from the end of the table meets them.
    pub(super) fn matches(&self, a: &[u8], b: &[u8], mut visit: impl FnMut(Match)) {
        let (mut i, mut j) = (a.len(), b.len());
        let mut current = Match { a: 0, b: 0, len: 0 };
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                (i, j) = (i - 1, j - 1);
                current = Match { a: i, b: j, len: current.len + 1 };
                continue;
            }
            if current.len > 0 {
                visit(std::mem::replace(&mut current, Match { a: 0, b: 0, len: 0 }));
            }
            if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        if current.len > 0 {
            visit(current);
        }
    }

    pub(super) fn sequence(&self, a: &[u8], b: &[u8]) -> Vec<u8> {
        let mut sequence = Vec::with_capacity(self.len() as usize);
        self.matches(a, b, |found| sequence.extend(a[found.a..found.a + found.len].iter().rev()));
        sequence.reverse();
        sequence
    }
}

fn answer_ranges(reply: &mut Reply<'_>, table: &Table, a: &[u8], b: &[u8], options: &Options) {
    let mut matches = Vec::new();
    table.matches(a, b, |found| {
        if found.len as u64 >= options.match_len_min {
            matches.push(found);
        }
    });
    reply.map(2);
    reply.bulk(b"matches");
    reply.array(matches.len());
    for found in matches {
        reply.array(2 + usize::from(options.shows_match_len));
        for start in [found.a, found.b] {
            reply.array(2);
            reply.count(start);
            reply.count(start + found.len - 1);
        }
        if options.shows_match_len {
            reply.count(found.len);
        }
    }
    reply.bulk(b"len");
    reply.integer(i64::from(table.len()));
}
