//! Requests: multibulk and inline commands, parsed in place and resumed where the last byte ended.
//!
//! **Invariant:** no byte is looked at twice, however small the pieces are that a request arrives in, and nothing is
//! allocated for a request that is whole. Memory grows with the bytes that arrived, never with the lengths they announce.
//!
//! As in Redis, a protocol line ends at its CR: the byte behind it, and the two bytes behind an argument, are skipped
//! without a look at them.
#![allow(
    clippy::cast_possible_truncation,
    reason = "offsets are below SPAN_MAX, checked on entry, so that they fit u32"
)]

mod inline;
#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;

use memchr::memchr;
use std::fmt;

/// What a request may be. The defaults are Redis'.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Arguments of one request (2,147,483,647, as Redis 7: what bounds a request is the query buffer).
    pub args_max: usize,
    /// Bytes of one argument (`proto-max-bulk-len`, 512 MiB).
    pub bulk_len_max: usize,
    /// Bytes of one inline request or of one protocol line (64 KiB).
    pub inline_len_max: usize,
    /// Before authentication a request is held to 10 arguments of 16,384 bytes, whatever the other limits say.
    pub is_unauthenticated: bool,
}

const UNAUTHENTICATED_ARGS_MAX: usize = 10;
const UNAUTHENTICATED_BULK_LEN_MAX: usize = 16_384;

impl Default for Limits {
    fn default() -> Self {
        Limits { args_max: 0x7fff_ffff, bulk_len_max: 512 << 20, inline_len_max: 64 << 10, is_unauthenticated: false }
    }
}

/// Where one argument lies in the buffer that was parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

/// Bytes of a buffer that spans can speak of.
const SPAN_MAX: usize = u32::MAX as usize;

/// What [`Parser::next`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A whole request. Its spans were appended; the next one starts at `end`. An empty request (an empty line, `*0`)
    /// appends none.
    Complete {
        /// Offset of the first byte after the request.
        end: usize,
    },
    /// Not enough bytes; at least `missing` more are needed (1 when unknown). Good for sizing the next read.
    Incomplete {
        /// Lower bound of the bytes that are missing.
        missing: usize,
    },
}

/// A request that breaks the protocol: the connection gets the error (`ERR Protocol error: ...`) and is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// No line end within [`Limits::inline_len_max`] bytes of an inline request.
    InlineTooBig,
    /// A quote that is not closed, or not followed by a space.
    UnbalancedQuotes,
    /// No line end within [`Limits::inline_len_max`] bytes of the number of arguments.
    CountLineTooBig,
    /// The number of arguments is no number, or too large.
    InvalidCount,
    /// More arguments than a client may send before authentication.
    UnauthenticatedCount,
    /// No line end within [`Limits::inline_len_max`] bytes of the length of an argument.
    BulkLineTooBig,
    /// An argument begins with this byte where `$` must be.
    ExpectedBulk(u8),
    /// The length of an argument is no number, negative, or too large.
    InvalidBulkLen,
    /// A longer argument than a client may send before authentication.
    UnauthenticatedBulkLen,
    /// The buffer is larger than 4 GiB: its owner's limit comes long before.
    BufferTooBig,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ERR Protocol error: ")?;
        f.write_str(match self {
            ProtocolError::InlineTooBig => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
            ProtocolError::CountLineTooBig => "too big mbulk count string",
            ProtocolError::InvalidCount => "invalid multibulk length",
            ProtocolError::UnauthenticatedCount => "unauthenticated multibulk length",
            ProtocolError::BulkLineTooBig => "too big bulk count string",
            ProtocolError::ExpectedBulk(byte) => {
                let shown = if byte.is_ascii() && !byte.is_ascii_control() { char::from(*byte) } else { ' ' };
                return write!(f, "expected '$', got '{shown}'");
            }
            ProtocolError::InvalidBulkLen => "invalid bulk length",
            ProtocolError::UnauthenticatedBulkLen => "unauthenticated bulk length",
            ProtocolError::BufferTooBig => "too big request",
        })
    }
}

impl std::error::Error for ProtocolError {}

/// The state of one connection's half-read request. Offsets count from the first byte of the request, so that the buffer
/// may move between two calls.
#[derive(Debug, Default)]
pub struct Parser {
    midway: Midway,
    /// Spans of a half-read request. Empty, and mostly without room, while requests arrive whole.
    spans: Vec<Span>,
}

/// How far a multibulk request, or the search for the end of an inline one, has come.
#[derive(Clone, Copy, Debug, Default)]
struct Midway {
    /// Everything before is done with.
    at: usize,
    /// Bytes from `at` on that hold no line end.
    searched: usize,
    /// Arguments that did not arrive yet. 0 until the first line was read.
    args_missing: usize,
    /// The length of the argument at `at`, once its line was read.
    bulk_len: Option<usize>,
}

impl Parser {
    /// Parses the request that starts at `start` of `buffer` and appends the spans of its arguments (offsets from the start
    /// of `buffer`) to `args`. After [`Progress::Incomplete`], call again with the same request at any `start`, with more
    /// bytes behind it. After [`Progress::Complete`] the request's bytes are used up: quotes and escapes of an inline one
    /// were resolved in place. After an error, the parser is of no more use.
    #[inline]
    pub fn next(
        &mut self,
        buffer: &mut [u8],
        start: usize,
        limits: &Limits,
        args: &mut Vec<Span>,
    ) -> Result<Progress, ProtocolError> {
        if buffer.len() > SPAN_MAX {
            return Err(ProtocolError::BufferTooBig);
        }
        let Some(request) = buffer.get_mut(start..) else { return Ok(Progress::Incomplete { missing: 1 }) };
        if self.midway.at != 0 {
            return self.resume(request, start, limits, args);
        }
        match request.first() {
            Some(b'*') => {}
            Some(_) => return self.inline(request, start, limits, args),
            None => return Ok(Progress::Incomplete { missing: 1 }),
        }
        let first = args.len();
        let mut midway = self.midway;
        match midway.advance(request, limits, start, args) {
            Ok(0) => {
                self.midway = Midway::default();
                Ok(Progress::Complete { end: start + midway.at })
            }
            Ok(missing) => {
                self.midway = midway;
                let relative = |span: Span| Span { start: span.start - start as u32, ..span };
                self.spans.extend(args.drain(first..).map(relative));
                Ok(Progress::Incomplete { missing })
            }
            Err(error) => {
                args.truncate(first);
                Err(error)
            }
        }
    }

    /// Goes on with a multibulk request whose first line was read.
    #[cold]
    fn resume(
        &mut self,
        request: &[u8],
        start: usize,
        limits: &Limits,
        args: &mut Vec<Span>,
    ) -> Result<Progress, ProtocolError> {
        match self.midway.advance(request, limits, 0, &mut self.spans)? {
            0 => {
                let end = start + self.midway.at;
                self.midway = Midway::default();
                args.extend(self.spans.iter().map(|span| Span { start: span.start + start as u32, ..*span }));
                self.spans = Vec::new();
                Ok(Progress::Complete { end })
            }
            missing => Ok(Progress::Incomplete { missing }),
        }
    }

    #[cold]
    fn inline(
        &mut self,
        request: &mut [u8],
        start: usize,
        limits: &Limits,
        args: &mut Vec<Span>,
    ) -> Result<Progress, ProtocolError> {
        let Some(len) = find_within(request, b'\n', &mut self.midway.searched, limits.inline_len_max) else {
            let is_too_big = request.len() > limits.inline_len_max;
            return if is_too_big { Err(ProtocolError::InlineTooBig) } else { Ok(Progress::Incomplete { missing: 1 }) };
        };
        self.midway = Midway::default();
        let line = request.get_mut(..len).unwrap_or_default();
        let line = if let [before @ .., b'\r'] = line { before } else { line };
        let first = args.len();
        if inline::split(line, start, args).is_none() {
            args.truncate(first);
            return Err(ProtocolError::UnbalancedQuotes);
        }
        Ok(Progress::Complete { end: start + len + 1 })
    }
}

impl Midway {
    /// Reads as much of `request` as is there and appends the spans, moved by `base`. Returns the number of bytes that are
    /// missing, 0 when the request is whole.
    #[inline]
    fn advance(
        &mut self,
        request: &[u8],
        limits: &Limits,
        base: usize,
        spans: &mut Vec<Span>,
    ) -> Result<usize, ProtocolError> {
        if self.at == 0 {
            match self.count(request, limits)? {
                Some(count) => self.args_missing = count,
                None => return Ok(1),
            }
        }
        while self.args_missing > 0 {
            let len = match self.bulk_len {
                Some(len) => len,
                None => match self.bulk_line(request, limits)? {
                    Some(len) => len,
                    None => return Ok(1),
                },
            };
            // Both are bounded by the limits (2^31 each at most in practice), but saturate rather than trust them.
            let end = self.at.saturating_add(len).saturating_add(2);
            if end > request.len() {
                self.bulk_len = Some(len);
                return Ok(end - request.len());
            }
            spans.push(Span { start: (base + self.at) as u32, len: len as u32 });
            self.at = end;
            self.bulk_len = None;
            self.args_missing -= 1;
        }
        Ok(0)
    }

    /// Reads the first line: `*<count>`.
    #[inline]
    fn count(&mut self, request: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let count = match short_line(request) {
            Some((b'*', count, line_len)) => {
                (self.at, self.searched) = (line_len, 0);
                count
            }
            _ => match self.long_line(request, limits) {
                Line::Number(count) => count.and_then(at_least_0).ok_or(ProtocolError::InvalidCount)?,
                Line::TooBig => return Err(ProtocolError::CountLineTooBig),
                Line::Incomplete => return Ok(None),
                Line::Other(_) => return Err(ProtocolError::InvalidCount),
            },
        };
        if count > limits.args_max {
            return Err(ProtocolError::InvalidCount);
        }
        if limits.is_unauthenticated && count > UNAUTHENTICATED_ARGS_MAX {
            return Err(ProtocolError::UnauthenticatedCount);
        }
        Ok(Some(count))
    }

    /// Reads the line before an argument: `$<length>`.
    #[inline]
    fn bulk_line(&mut self, request: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        let len = match request.get(self.at..).and_then(short_line) {
            Some((b'$', len, line_len)) => {
                (self.at, self.searched) = (self.at + line_len, 0);
                len
            }
            _ => match self.long_line(request, limits) {
                Line::Number(len) => {
                    len.and_then(|len| usize::try_from(len).ok()).ok_or(ProtocolError::InvalidBulkLen)?
                }
                Line::TooBig => return Err(ProtocolError::BulkLineTooBig),
                Line::Incomplete => return Ok(None),
                Line::Other(kind) => return Err(ProtocolError::ExpectedBulk(kind)),
            },
        };
        if len > limits.bulk_len_max {
            return Err(ProtocolError::InvalidBulkLen);
        }
        if limits.is_unauthenticated && len > UNAUTHENTICATED_BULK_LEN_MAX {
            return Err(ProtocolError::UnauthenticatedBulkLen);
        }
        Ok(Some(len))
    }

    /// Reads a line of any length at `at`: the first one if nothing was read, the one before an argument otherwise.
    #[cold]
    fn long_line(&mut self, request: &[u8], limits: &Limits) -> Line {
        let expected = if self.at == 0 { b'*' } else { b'$' };
        let rest = request.get(self.at..).unwrap_or_default();
        let Some(len) = find_within(rest, b'\r', &mut self.searched, limits.inline_len_max) else {
            return if rest.len() > limits.inline_len_max { Line::TooBig } else { Line::Incomplete };
        };
        if rest.len() < len + 2 {
            return Line::Incomplete;
        }
        self.searched = 0;
        self.at += len + 2;
        match rest.get(..len).and_then(<[u8]>::split_first) {
            Some((kind, digits)) if *kind == expected => Line::Number(number(digits)),
            Some((kind, _)) => Line::Other(*kind),
            None => Line::Other(b'\r'),
        }
    }
}

/// A line that [`Midway::long_line`] read.
enum Line {
    Number(Option<i64>),
    /// It begins with another byte than it must.
    Other(u8),
    Incomplete,
    TooBig,
}

/// A line of one or two digits, as nearly all are: its first byte, its number, its length with the line end.
#[inline]
fn short_line(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    // A whole request has at least this many bytes from the start of any of its lines on, but for `*0`.
    let [kind, a, b, c, d] = *bytes.first_chunk::<5>()?;
    let tens = usize::from(a.wrapping_sub(b'0'));
    if tens > 9 {
        return None;
    }
    if b == b'\r' && c == b'\n' {
        return Some((kind, tens, 4));
    }
    let units = usize::from(b.wrapping_sub(b'0'));
    (units <= 9 && tens != 0 && c == b'\r' && d == b'\n').then_some((kind, tens * 10 + units, 5))
}

/// Finds the first `byte` of `bytes`, which lies behind at most `len_max` others. Goes on at `searched` and notes there how
/// far it came; `bytes` may be the same with more behind it in the next call.
fn find_within(bytes: &[u8], byte: u8, searched: &mut usize, len_max: usize) -> Option<usize> {
    let end = bytes.len().min(len_max.saturating_add(1));
    let found = memchr(byte, bytes.get(*searched..end).unwrap_or_default());
    let position = found.map(|at| *searched + at);
    *searched = position.unwrap_or(end);
    position
}

/// A negative number of arguments is an empty request.
fn at_least_0(count: i64) -> Option<usize> {
    usize::try_from(count.max(0)).ok()
}

/// A number as Redis writes numbers: no plus, no leading zero, no space.
fn number(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [] => return None,
        [b'0'] if !is_negative => return Some(0),
        [b'0', ..] => return None,
        _ => {}
    }
    digits.iter().try_fold(0_i64, |number, byte| {
        let digit = i64::from(byte.wrapping_sub(b'0'));
        let signed = if is_negative { -digit } else { digit };
        (digit <= 9).then(|| number.checked_mul(10)?.checked_add(signed)).flatten()
    })
}
