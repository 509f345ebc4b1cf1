//! How keys on the server are called.

use crate::error::Error;

/// Names and keys have at least one byte and at most this many.
pub(super) const NAME_LEN_MAX: usize = 256;

/// The key of a primitive: `prefix!kind:{name}`, or `prefix!kind:family:{name}`. All that begins so is in one slot.
pub(super) fn key(prefix: &[u8], kind: &str, family: Option<&[u8]>, name: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + kind.len() + family.map_or(0, <[u8]>::len) + name.len() + 8);
    escape(prefix, &mut key);
    key.push(b'!');
    key.extend_from_slice(kind.as_bytes());
    key.push(b':');
    if let Some(family) = family {
        escape(family, &mut key);
        key.push(b':');
    }
    key.push(b'{');
    escape(name, &mut key);
    key.push(b'}');
    key
}

/// What the keys begin with whose changes say that a lock was let go.
pub(super) fn freed_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut key = Vec::new();
    escape(prefix, &mut key);
    key.extend_from_slice(b"!freed:");
    key
}

/// Where the same is published if the server tracks nothing.
pub(super) fn channel(prefix: &[u8]) -> Vec<u8> {
    let mut key = Vec::new();
    escape(prefix, &mut key);
    key.extend_from_slice(b"!freed");
    key
}

/// # Errors
/// `Invalid`, with the field and the limit.
pub(super) fn check(field: &str, name: &[u8]) -> Result<(), Error> {
    match name.len() {
        1..=NAME_LEN_MAX => Ok(()),
        len => Err(Error::invalid(format!("{field} is {len} bytes, must be 1..={NAME_LEN_MAX}"))),
    }
}

/// Without what makes a slot: `{` and `}`.
fn escape(text: &[u8], key: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'{' => key.extend_from_slice(b"%7B"),
            b'}' => key.extend_from_slice(b"%7D"),
            b'%' => key.extend_from_slice(b"%25"),
            byte => key.push(*byte),
        }
    }
}
