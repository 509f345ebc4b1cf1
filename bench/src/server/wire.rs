//! Requests and replies as bytes, for Redis' protocol and memcached's text protocol.
//!
//! Keys are all 16 bytes, numbered; values are letters, so that no server can store them as numbers. Replies are counted,
//! not kept: a miss and an error are failures of the run, since every key that is asked for was stored before.

use anyhow::bail;

/// Length of every key.
pub(crate) const KEY_LEN: usize = 16;

/// What a subject speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Redis,
    Memcached,
}

/// Key number `number`.
pub(crate) fn key(number: u64) -> [u8; KEY_LEN] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key.iter_mut().skip(4).rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    key
}

/// Appends a read of `key`.
pub(crate) fn append_get(protocol: Protocol, out: &mut Vec<u8>, key: &[u8]) {
    match protocol {
        Protocol::Redis => out.extend_from_slice(b"*2\r\n$3\r\nGET\r\n$16\r\n"),
        Protocol::Memcached => out.extend_from_slice(b"get "),
    }
    out.extend_from_slice(key);
    out.extend_from_slice(b"\r\n");
}

/// Appends a write of `key`, with a time to live in seconds when there is one.
pub(crate) fn append_set(protocol: Protocol, out: &mut Vec<u8>, key: &[u8], value: &[u8], ttl_s: Option<u64>) {
    match protocol {
        Protocol::Redis => {
            out.extend_from_slice(if ttl_s.is_some() { b"*5" } else { b"*3" });
            out.extend_from_slice(b"\r\n$3\r\nSET\r\n$16\r\n");
            out.extend_from_slice(key);
            out.extend_from_slice(b"\r\n$");
            out.extend_from_slice(value.len().to_string().as_bytes());
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(value);
            if let Some(ttl_s) = ttl_s {
                let ttl_s = ttl_s.to_string();
                out.extend_from_slice(format!("\r\n$2\r\nEX\r\n${}\r\n{ttl_s}", ttl_s.len()).as_bytes());
            }
        }
        Protocol::Memcached => {
            out.extend_from_slice(b"set ");
            out.extend_from_slice(key);
            out.extend_from_slice(format!(" 0 {} {}\r\n", ttl_s.unwrap_or(0), value.len()).as_bytes());
            out.extend_from_slice(value);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Counts replies in a stream of bytes that arrives in pieces.
#[derive(Debug)]
pub(crate) struct Replies {
    protocol: Protocol,
    /// What was received and not counted yet.
    bytes: Vec<u8>,
    /// Whether memcached's `VALUE` was seen, and its `END` was not.
    is_inside_value: bool,
}

impl Replies {
    pub(crate) fn new(protocol: Protocol) -> Replies {
        Replies { protocol, bytes: Vec::new(), is_inside_value: false }
    }

    /// Takes what was received and returns how many replies it completed.
    pub(crate) fn count(&mut self, received: &[u8]) -> anyhow::Result<usize> {
        self.bytes.extend_from_slice(received);
        let (mut at, mut count) = (0, 0);
        while let Some(len) = memchr::memchr(b'\n', &self.bytes[at..]) {
            let line = &self.bytes[at..at + len];
            let body_len = match (self.protocol, line.first()) {
                (Protocol::Redis, Some(b'+')) | (Protocol::Memcached, Some(b'S')) => 0,
                (Protocol::Redis, Some(b'$')) if line.get(1) != Some(&b'-') => number(&line[1..])? + 2,
                (Protocol::Memcached, Some(b'V')) => {
                    number(line.rsplit(|byte| *byte == b' ').next().unwrap_or(line))? + 2
                }
                (Protocol::Memcached, Some(b'E')) if self.is_inside_value => 0,
                _ => bail!("unexpected reply: {}", String::from_utf8_lossy(line)),
            };
            let end = at + len + 1 + body_len;
            if end > self.bytes.len() {
                break;
            }
            self.is_inside_value = self.protocol == Protocol::Memcached && body_len > 0;
            count += usize::from(!self.is_inside_value);
            at = end;
        }
        if at == self.bytes.len() {
            self.bytes.clear()
        } else {
            drop(self.bytes.drain(..at))
        }
        Ok(count)
    }
}

fn number(digits: &[u8]) -> anyhow::Result<usize> {
    Ok(std::str::from_utf8(digits)?.trim_end().parse()?)
}

#[cfg(test)]
mod tests;
