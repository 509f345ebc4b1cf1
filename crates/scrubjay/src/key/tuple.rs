//! Tuples of keys: their parts joined by `:`, so that `(7, "users")` is `7:users`.
//!
//! What makes it unambiguous: within a part, `:` and `\` stand behind a `\`, so a bare `:` only ever separates. As many
//! parts as the tuple has, no more and no fewer, and nothing escaped that need not be: each tuple has one spelling.

use super::Key;
use std::borrow::Cow;

const SEPARATOR: u8 = b':';
const ESCAPE: u8 = b'\\';

macro_rules! tuples {
    ($(($($part:ident $index:tt),+);)*) => {$(
        impl<$($part: Key),+> Key for ($($part,)+) {
            fn encode(&self, out: &mut Vec<u8>) {
                $(
                    if $index > 0 {
                        out.push(SEPARATOR);
                    }
                    encode_part(&self.$index, out);
                )+
            }

            fn decode(bytes: &[u8]) -> Option<($($part,)+)> {
                let mut parts = Parts { rest: Some(bytes) };
                let key = ($($part::decode(&parts.next()?)?,)+);
                parts.rest.is_none().then_some(key)
            }

            fn heap_bytes(&self) -> usize {
                0 $(+ self.$index.heap_bytes())+
            }
        }
    )*};
}

tuples! {
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
}

fn is_special(byte: u8) -> bool {
    byte == SEPARATOR || byte == ESCAPE
}

fn encode_part(part: &impl Key, out: &mut Vec<u8>) {
    let start = out.len();
    part.encode(out);
    if out[start..].iter().any(|byte| is_special(*byte)) {
        for byte in out.split_off(start) {
            if is_special(byte) {
                out.push(ESCAPE);
            }
            out.push(byte);
        }
    }
}

/// The parts not read yet; `None` after the last one.
struct Parts<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// The next part, unescaped; `None` if there is none, or if an escape escapes nothing.
    fn next(&mut self) -> Option<Cow<'a, [u8]>> {
        let bytes = self.rest.take()?;
        let (mut end, mut is_plain) = (0, true);
        while end < bytes.len() && bytes[end] != SEPARATOR {
            if bytes[end] == ESCAPE {
                is_plain = false;
                end += 1;
                bytes.get(end).filter(|byte| is_special(**byte))?;
            }
            end += 1;
        }
        self.rest = bytes.get(end + 1..);
        let part = &bytes[..end];
        Some(if is_plain { Cow::Borrowed(part) } else { Cow::Owned(unescaped(part)) })
    }
}

fn unescaped(part: &[u8]) -> Vec<u8> {
    let mut bytes = part.iter().copied();
    let mut plain = Vec::with_capacity(part.len());
    while let Some(byte) = bytes.next() {
        plain.extend(if byte == ESCAPE { bytes.next() } else { Some(byte) });
    }
    plain
}
