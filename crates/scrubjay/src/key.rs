//! What may be a key: hashed and compared in memory, written as stable bytes to every tier below.
//!
//! Invariant: two keys of a type are equal exactly when their bytes are, and bytes that no key encodes to decode to none.
//! The bytes never come from a debug print: they are what other processes and other languages write for the same key, so
//! they never change for a type. Where they can be read by people, they are:
//!
//! | type | bytes | example |
//! |---|---|---|
//! | integers | decimal text, `-` for less than 0, no `+`, no leading zeros | `-42` |
//! | `bool` | `true` or `false` | `true` |
//! | `String`, `Box<str>`, `Arc<str>` | the text in UTF-8 | `jay` |
//! | `Vec<u8>`, `Box<[u8]>`, `Arc<[u8]>`, `[u8; N]` | themselves | |
//! | tuples of 2 to 4 keys | the parts, joined by `:`; a `:` or `\` within a part stands behind a `\` | `7:a\:b` |
//!
//! A tuple within a tuple is a part like any other: its `:` are escaped once more.

#[cfg(test)]
mod tests;
mod tuple;

use crate::weigh::allocation_bytes;
use std::hash::Hash;
use std::sync::Arc;

/// A key of a cache.
///
/// Integers, strings, byte strings, `bool` and tuples of them are keys. A type of one's own becomes one by saying its
/// bytes, best through a key that there is:
///
/// ```
/// use scrubjay::Key;
///
/// #[derive(Clone, PartialEq, Eq, Hash, Debug)]
/// struct Page { site: u32, path: String }
///
/// impl Key for Page {
///     fn encode(&self, out: &mut Vec<u8>) {
///         (self.site, self.path.clone()).encode(out);
///     }
///
///     fn decode(bytes: &[u8]) -> Option<Page> {
///         let (site, path) = Key::decode(bytes)?;
///         Some(Page { site, path })
///     }
///
///     fn heap_bytes(&self) -> usize {
///         self.path.heap_bytes()
///     }
/// }
///
/// let page = Page { site: 7, path: "/a:b".into() };
/// let mut bytes = Vec::new();
/// page.encode(&mut bytes);
/// assert_eq!(bytes, br"7:/a\:b");
/// assert_eq!(Page::decode(&bytes), Some(page));
/// ```
pub trait Key: Hash + Eq + Clone + Send + Sync + 'static {
    /// Appends the key's stable bytes to `out`, whatever is in it. Equal keys append the same bytes, others do not. Lower
    /// tiers keep keys of 65,535 bytes at most.
    fn encode(&self, out: &mut Vec<u8>);

    /// The key whose bytes these are; `None` if they are no key's.
    fn decode(bytes: &[u8]) -> Option<Self>
    where
        Self: Sized;

    /// Bytes that the key holds outside of itself, for the weigher.
    fn heap_bytes(&self) -> usize {
        0
    }
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Key for $integer {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(itoa::Buffer::new().format(*self).as_bytes());
            }

            fn decode(bytes: &[u8]) -> Option<$integer> {
                let number = std::str::from_utf8(bytes).ok()?.parse().ok()?;
                // `+7`, `007` and `-0` parse, and are no key's bytes.
                (itoa::Buffer::new().format::<$integer>(number).as_bytes() == bytes).then_some(number)
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize }

impl Key for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }

    fn decode(bytes: &[u8]) -> Option<bool> {
        match bytes {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }
}

macro_rules! texts {
    ($($text:ty, $heap_bytes:expr;)*) => {$(
        impl Key for $text {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self.as_bytes());
            }

            fn decode(bytes: &[u8]) -> Option<$text> {
                std::str::from_utf8(bytes).ok().map(Into::into)
            }

            fn heap_bytes(&self) -> usize {
                $heap_bytes(self)
            }
        }
    )*};
}

texts! {
    String, |text: &String| allocation_bytes(text.capacity());
    Box<str>, |text: &str| allocation_bytes(text.len());
    Arc<str>, |text: &str| shared_bytes(text.len());
}

macro_rules! byte_strings {
    ($($bytes:ty, $heap_bytes:expr;)*) => {$(
        impl Key for $bytes {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(self);
            }

            fn decode(bytes: &[u8]) -> Option<$bytes> {
                Some(bytes.into())
            }

            fn heap_bytes(&self) -> usize {
                $heap_bytes(self)
            }
        }
    )*};
}

byte_strings! {
    Vec<u8>, |bytes: &Vec<u8>| allocation_bytes(bytes.capacity());
    Box<[u8]>, |bytes: &[u8]| allocation_bytes(bytes.len());
    Arc<[u8]>, |bytes: &[u8]| shared_bytes(bytes.len());
}

impl<const N: usize> Key for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(bytes: &[u8]) -> Option<[u8; N]> {
        bytes.try_into().ok()
    }
}

/// What an `Arc` of so many bytes allocates: its two counts stand in front.
fn shared_bytes(len: usize) -> usize {
    allocation_bytes(len + 2 * size_of::<usize>())
}
