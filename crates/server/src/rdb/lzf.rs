//! LZF, the compression of strings in RDB files. Our own since no maintained crate has it (`lzf` is deprecated).
//!
//! ```text
//! 000lllll                     l + 1 literal bytes follow
//! lllddddd dddddddd            copy l + 2 bytes from d + 1 bytes back
//! 111ddddd llllllll dddddddd   copy l + 9 bytes from d + 1 bytes back
//! ```
//! A copy may overlap what it makes: distance 1 repeats a byte.
//!
//! **Invariant:** decompressing any bytes gives exactly the promised length or an error, in time of that length.

#![allow(clippy::cast_possible_truncation, reason = "the format packs lengths and distances whose bounds are checked")]

#[cfg(test)]
mod tests;

const TABLE_BITS: u32 = 13;
const LITERALS_MAX: usize = 32;
const DISTANCE_MAX: usize = 1 << 13;
const COPY_MIN: usize = 3;
const COPY_MAX: usize = 264;
/// The most bytes that one compressed byte can stand for: three of them copy 264.
const GROWTH_MAX: u64 = 88;
/// Longer input would need as much memory again while a snapshot runs.
const INPUT_LEN_MAX: usize = 32 << 20;

/// Compresses one string after the other with the same table.
pub(crate) struct Compressor {
    /// Where three bytes with this hash were last seen, counted over all inputs: what lies below `base` is stale, so that
    /// the table need not be cleared for every short string.
    seen: Box<[u32]>,
    base: u32,
    out: Vec<u8>,
}

impl Compressor {
    pub(crate) fn new() -> Compressor {
        Compressor { seen: vec![0; 1 << TABLE_BITS].into(), base: 1, out: Vec::new() }
    }

    /// Compresses `input`; `None` when that saves no more than four bytes.
    pub(super) fn compress(&mut self, input: &[u8]) -> Option<&[u8]> {
        let out_len_max = input.len().checked_sub(COPY_MIN + 2)?;
        let input_len = u32::try_from(input.len()).ok().filter(|_| input.len() <= INPUT_LEN_MAX)?;
        if self.base.checked_add(input_len).is_none() {
            self.seen.fill(0);
            self.base = 1;
        }
        let fits = self.fill(input, out_len_max);
        self.base += input_len;
        fits.then_some(&self.out)
    }

    fn fill(&mut self, input: &[u8], out_len_max: usize) -> bool {
        self.out.clear();
        let (mut at, mut literals_from) = (0, 0);
        while at + COPY_MIN <= input.len() {
            let Some(from) = self.earlier(input, at) else {
                at += 1;
                // Past this point the literals alone are too long.
                if self.out.len() + (at - literals_from) > out_len_max {
                    return false;
                }
                continue;
            };
            let len_max = COPY_MAX.min(input.len() - at);
            let len = (COPY_MIN..len_max).find(|len| input[from + len] != input[at + len]).unwrap_or(len_max);
            self.put_literals(&input[literals_from..at]);
            self.put_copy(at - from - 1, len - 2);
            // Two places inside the copy are enough for runs and records to be found again.
            for inside in [at + 1, at + len - 1] {
                if inside + COPY_MIN <= input.len() {
                    self.earlier(input, inside);
                }
            }
            at += len;
            literals_from = at;
        }
        self.put_literals(&input[literals_from..]);
        self.out.len() <= out_len_max
    }

    /// Where the three bytes at `at` were seen before, within reach. Notes that they are here now.
    fn earlier(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let word = u32::from_le_bytes([input[at], input[at + 1], input[at + 2], 0]);
        let slot = &mut self.seen[(word.wrapping_mul(0x9E37_79B1) >> (32 - TABLE_BITS)) as usize];
        let here = self.base + u32::try_from(at).ok()?;
        let from = std::mem::replace(slot, here).checked_sub(self.base)? as usize;
        let is_same =
            from < at && at - from <= DISTANCE_MAX && input[from..from + COPY_MIN] == input[at..at + COPY_MIN];
        is_same.then_some(from)
    }

    fn put_literals(&mut self, literals: &[u8]) {
        for run in literals.chunks(LITERALS_MAX) {
            self.out.push(run.len() as u8 - 1);
            self.out.extend_from_slice(run);
        }
    }

    fn put_copy(&mut self, distance: usize, len: usize) {
        let high = (distance >> 8) as u8;
        if len < 7 {
            self.out.push((len as u8) << 5 | high);
        } else {
            self.out.extend([7 << 5 | high, (len - 7) as u8]);
        }
        self.out.push(distance as u8);
    }
}

/// Whether `compressed_len` bytes can stand for `len` at all: asked before anything is allocated.
pub(super) fn is_plausible(compressed_len: u64, len: u64) -> bool {
    len <= compressed_len.saturating_mul(GROWTH_MAX)
}

/// Appends to `out` what `input` stands for. `None` when it is not exactly `len` bytes.
pub(super) fn decompress(mut input: &[u8], len: usize, out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    let end = start.checked_add(len)?;
    while let Some((control, rest)) = input.split_first() {
        input = rest;
        let high = usize::from(*control & 0x1F);
        if *control < 32 {
            let (literals, rest) = input.split_at_checked(high + 1)?;
            out.extend_from_slice(literals);
            input = rest;
        } else {
            let mut copy_len = usize::from(*control >> 5) + 2;
            if *control >> 5 == 7 {
                let (more, rest) = input.split_first()?;
                copy_len += usize::from(*more);
                input = rest;
            }
            let (low, rest) = input.split_first()?;
            input = rest;
            let from = (out.len() - start).checked_sub((high << 8 | usize::from(*low)) + 1)? + start;
            copy_within(out, from, copy_len);
        }
        if out.len() > end {
            return None;
        }
    }
    (out.len() == end).then_some(())
}

/// Appends `len` bytes of `out` itself, from `from` on; they may overlap what is appended.
fn copy_within(out: &mut Vec<u8>, from: usize, len: usize) {
    let mut left = len;
    while left > 0 {
        // Everything from `from` on repeats, so each round may take all that is there.
        let part = left.min(out.len() - from);
        out.extend_from_within(from..from + part);
        left -= part;
    }
}
