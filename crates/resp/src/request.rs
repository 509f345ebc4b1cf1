//! Requests: multibulk and inline commands, parsed in place and resumed where the last byte ended.

use std::fmt;

/// What a request may be. The defaults are Redis'.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Arguments of one request (1,048,576; Redis allows 10 before authentication).
    pub args_max: usize,
    /// Bytes of one argument (`proto-max-bulk-len`, 512 MiB; Redis allows 16,384 before authentication).
    pub bulk_len_max: usize,
    /// Bytes of one inline request or of one protocol line (64 KiB).
    pub inline_len_max: usize,
    /// Whether the client is held to the limits before authentication: only the error texts differ.
    pub is_unauthenticated: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { args_max: 1 << 20, bulk_len_max: 512 << 20, inline_len_max: 64 << 10, is_unauthenticated: false }
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolError(pub String);

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ERR Protocol error: {}", self.0)
    }
}

impl std::error::Error for ProtocolError {}

/// The state of one connection's half-read request.
#[derive(Debug, Default)]
pub struct Parser {}

impl Parser {
    /// Parses the request that starts at `start` of `buffer` and appends the spans of its arguments (offsets from the start
    /// of `buffer`) to `args`. After [`Progress::Incomplete`], call again with the same request at any `start`, with more
    /// bytes behind it.
    pub fn next(
        &mut self,
        buffer: &[u8],
        start: usize,
        limits: &Limits,
        args: &mut Vec<Span>,
    ) -> Result<Progress, ProtocolError> {
        let _ = limits;
        let first = args.len();
        let incomplete = Ok(Progress::Incomplete { missing: 1 });
        let Some((header, mut at)) = line(buffer, start) else { return incomplete };
        if header.first() != Some(&b'*') {
            for word in header.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
                args.push(span(word.as_ptr() as usize - buffer.as_ptr() as usize, word.len()));
            }
            return Ok(Progress::Complete { end: at });
        }
        let count = number(&header[1..]).ok_or_else(|| ProtocolError("invalid multibulk length".into()))?;
        for _ in 0..count {
            let Some((header, body)) = line(buffer, at) else {
                args.truncate(first);
                return incomplete;
            };
            let len = number(header.get(1..).unwrap_or_default())
                .ok_or_else(|| ProtocolError("invalid bulk length".into()))?;
            if buffer.len() < body + len + 2 {
                args.truncate(first);
                return incomplete;
            }
            args.push(span(body, len));
            at = body + len + 2;
        }
        Ok(Progress::Complete { end: at })
    }
}

fn line(buffer: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let end = buffer[at..].windows(2).position(|pair| pair == b"\r\n")?;
    Some((&buffer[at..at + end], at + end + 2))
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn span(start: usize, len: usize) -> Span {
    Span { start: start as u32, len: len as u32 }
}
