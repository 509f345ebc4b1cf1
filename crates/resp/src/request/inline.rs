//! Inline requests: a line split into words, quotes and escapes resolved in place.
//!
//! Resolving never makes a word longer, so that the bytes of a word are written where the word was read, at or before
//! the reader. Works on the line alone: its end was found and cut off before.
#![allow(clippy::cast_possible_truncation, reason = "offsets are below SPAN_MAX, checked by the caller")]

use super::Span;

/// Splits `line`, which lies at `base` of the buffer, and appends the spans of its words. `None` when quotes do not match.
pub(super) fn split(line: &mut [u8], base: usize, words: &mut Vec<Span>) -> Option<()> {
    let mut reader = Reader { line, at: 0, written: 0 };
    loop {
        while reader.peek(0).is_some_and(is_space) {
            reader.at += 1;
        }
        if reader.peek(0).is_none() {
            return Some(());
        }
        let start = reader.at;
        reader.written = start;
        reader.word()?;
        words.push(Span { start: (base + start) as u32, len: (reader.written - start) as u32 });
    }
}

/// **Invariant:** `written <= at`.
struct Reader<'a> {
    line: &'a mut [u8],
    /// The next byte to read.
    at: usize,
    /// The end of the word as resolved so far.
    written: usize,
}

impl Reader<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.line.get(self.at + ahead).copied()
    }

    /// Appends `byte`, which was written with `len` bytes.
    fn write(&mut self, byte: u8, len: usize) {
        if let Some(place) = self.line.get_mut(self.written) {
            *place = byte;
        }
        self.written += 1;
        self.at += len;
    }

    fn word(&mut self) -> Option<()> {
        loop {
            match self.peek(0) {
                None | Some(b' ' | b'\n' | b'\r' | b'\t') => return Some(()),
                Some(b'"') => return self.double_quoted(),
                Some(b'\'') => return self.single_quoted(),
                Some(byte) => self.write(byte, 1),
            }
        }
    }

    fn double_quoted(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match (self.peek(0)?, self.peek(1)) {
                (b'"', next) => return self.close_quote(next),
                (b'\\', Some(b'x')) => match (self.peek(2).and_then(hex), self.peek(3).and_then(hex)) {
                    (Some(high), Some(low)) => self.write(high << 4 | low, 4),
                    _ => self.write(b'x', 2),
                },
                (b'\\', Some(escaped)) => self.write(unescape(escaped), 2),
                (byte, _) => self.write(byte, 1),
            }
        }
    }

    fn single_quoted(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match (self.peek(0)?, self.peek(1)) {
                (b'\\', Some(b'\'')) => self.write(b'\'', 2),
                (b'\'', next) => return self.close_quote(next),
                (byte, _) => self.write(byte, 1),
            }
        }
    }

    /// A closing quote ends the word: behind it must be space or nothing.
    fn close_quote(&mut self, next: Option<u8>) -> Option<()> {
        self.at += 1;
        next.is_none_or(is_space).then_some(())
    }
}

fn unescape(escaped: u8) -> u8 {
    match escaped {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// As C's `isspace`. A vertical tab or form feed is space between words but does not end one, as in Redis.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}
