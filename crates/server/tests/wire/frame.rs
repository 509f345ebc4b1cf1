//! One reply as a tree, read from a stream, and the ways in which two replies may be alike.

use std::fmt;
use std::io::{BufRead, Error, ErrorKind, Result};

/// One reply. Equal frames are equal bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Frame {
    /// A type that is one line: its first byte and its text. `$-1` and `*-1` are lines too.
    Line(u8, Vec<u8>),
    /// A bulk string, a verbatim string or a bulk error: its first byte and its bytes.
    Bulk(u8, Vec<u8>),
    /// An array, map, set or push: its first byte and what is in it, keys and values alternating.
    Many(u8, Vec<Frame>),
}

impl Frame {
    /// Reads one frame. Bytes that are none are an error.
    pub(crate) fn read(stream: &mut impl BufRead) -> Result<Frame> {
        let mut line = Vec::new();
        stream.read_until(b'\n', &mut line)?;
        let Some((kind, text)) = line.strip_suffix(b"\r\n").and_then(<[u8]>::split_first) else {
            let text = format!("the connection ended after {:?}", String::from_utf8_lossy(&line));
            return Err(Error::new(ErrorKind::UnexpectedEof, text));
        };
        let number = || std::str::from_utf8(text).ok().and_then(|text| text.parse::<usize>().ok());
        match (*kind, number()) {
            (b'+' | b'-' | b':' | b',' | b'#' | b'_' | b'(', _) => Ok(Frame::Line(*kind, text.to_vec())),
            (b'$' | b'*', None) if text == b"-1" => Ok(Frame::Line(*kind, text.to_vec())),
            (b'$' | b'=' | b'!', Some(len)) => {
                let mut bytes = vec![0; len + 2];
                stream.read_exact(&mut bytes)?;
                bytes.truncate(len);
                Ok(Frame::Bulk(*kind, bytes))
            }
            (b'*' | b'~' | b'>', Some(len)) => Frame::read_many(*kind, len, stream),
            (b'%' | b'|', Some(pairs)) => Frame::read_many(*kind, pairs * 2, stream),
            _ => Err(Error::other(format!("no reply starts with {:?}", String::from_utf8_lossy(&line)))),
        }
    }

    fn read_many(kind: u8, len: usize, stream: &mut impl BufRead) -> Result<Frame> {
        Ok(Frame::Many(kind, (0..len).map(|_| Frame::read(stream)).collect::<Result<_>>()?))
    }

    /// The first byte.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Frame::Line(kind, _) | Frame::Bulk(kind, _) | Frame::Many(kind, _) => *kind,
        }
    }

    /// The bytes of a line or bulk string; nothing of an aggregate.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Frame::Line(_, bytes) | Frame::Bulk(_, bytes) => bytes,
            Frame::Many(..) => b"",
        }
    }

    /// What is in an aggregate; nothing of the others.
    pub(crate) fn items(&self) -> &[Frame] {
        if let Frame::Many(_, items) = self { items } else { &[] }
    }

    pub(crate) fn is_push(&self) -> bool {
        self.kind() == b'>'
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Frame::Line(b'_', _)) || matches!(self, Frame::Line(b'$' | b'*', text) if text == b"-1")
    }

    /// A number, as an integer or as text. The -1 of a null is none.
    pub(crate) fn number(&self) -> Option<i64> {
        if self.is_null() {
            return None;
        }
        std::str::from_utf8(self.bytes()).ok()?.parse().ok()
    }

    /// The same types at every level, whatever the values.
    pub(crate) fn is_shaped_like(&self, other: &Frame) -> bool {
        self.kind() == other.kind()
            && self.items().len() == other.items().len()
            && self.items().iter().zip(other.items()).all(|(a, b)| a.is_shaped_like(b))
    }

    /// The same but for integers that lie at most 2 apart, or 2,000 (milliseconds) if both are beyond 10,000.
    pub(crate) fn is_near(&self, other: &Frame) -> bool {
        match (self.number(), other.number()) {
            (Some(a), Some(b)) if self.kind() == other.kind() => {
                a.abs_diff(b) <= if a.min(b) > 10_000 { 2_000 } else { 2 }
            }
            _ if self.items().is_empty() => self == other,
            _ => {
                self.kind() == other.kind()
                    && self.items().len() == other.items().len()
                    && self.items().iter().zip(other.items()).all(|(a, b)| a.is_near(b))
            }
        }
    }

    /// The same with the items of every aggregate in order.
    pub(crate) fn sorted(&self) -> Frame {
        match self {
            Frame::Many(kind, items) => {
                let mut items: Vec<Frame> = items.iter().map(Frame::sorted).collect();
                items.sort();
                Frame::Many(*kind, items)
            }
            other => other.clone(),
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Frame::Line(kind, text) => {
                write!(f, "{}{}", char::from(*kind), text.escape_ascii().to_string().replace("\\'", "'").trim_end())
            }
            Frame::Bulk(b'$', bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
            Frame::Bulk(kind, bytes) => write!(f, "{}\"{}\"", char::from(*kind), bytes.escape_ascii()),
            Frame::Many(kind, items) => {
                write!(f, "{}", char::from(*kind))?;
                f.debug_list().entries(items).finish()
            }
        }
    }
}
