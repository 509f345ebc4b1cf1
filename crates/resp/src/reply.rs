//! Replies: every reply type of RESP3, and what it becomes in RESP2.
//!
//! **Invariant:** what is appended is well-formed whatever bytes it is made of, as long as the caller follows a header with as
//! many replies as it announced. Knows nothing of who reads the buffer, nor when.

#[cfg(test)]
mod tests;

/// The protocol version that a client speaks. RESP2 until it says HELLO 3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The protocol of every Redis client.
    #[default]
    Resp2,
    /// Adds maps, sets, doubles, booleans, nulls, verbatim strings and out-of-band pushes.
    Resp3,
}

/// Appends replies to an output buffer in the client's protocol. Never fails; the buffer's owner enforces its limit.
pub struct Reply<'a> {
    out: &'a mut Vec<u8>,
    protocol: Protocol,
}

impl<'a> Reply<'a> {
    /// A writer that appends to `out`.
    #[inline]
    pub fn new(out: &'a mut Vec<u8>, protocol: Protocol) -> Reply<'a> {
        Reply { out, protocol }
    }

    /// The protocol that replies are written in.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Changes the protocol from the next reply on (HELLO).
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// A writer on the same buffer, for as long as this one is not used.
    pub fn reborrow(&mut self) -> Reply<'_> {
        Reply { out: self.out, protocol: self.protocol }
    }

    /// Bytes in the output buffer so far: to measure or take back ([`Reply::truncate`]) a reply.
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// Takes back everything written since [`Reply::position`] was `position`.
    pub fn truncate(&mut self, position: usize) {
        self.out.truncate(position);
    }

    fn line(&mut self, kind: u8, body: &[u8]) {
        self.out.reserve(body.len() + 3);
        self.out.push(kind);
        self.out.extend_from_slice(body);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A line of a number below 100, as most lengths and many integers are, and whether it was one.
    #[inline]
    fn short_number(&mut self, kind: u8, number: u64) -> bool {
        match u8::try_from(number) {
            Ok(digit @ 0..10) => self.out.extend_from_slice(&[kind, b'0' + digit, b'\r', b'\n']),
            Ok(number @ 10..100) => {
                self.out.extend_from_slice(&[kind, b'0' + number / 10, b'0' + number % 10, b'\r', b'\n']);
            }
            _ => return false,
        }
        true
    }

    #[inline]
    fn length(&mut self, kind: u8, len: usize) {
        if !self.short_number(kind, len as u64) {
            let mut digits = itoa::Buffer::new();
            self.line(kind, digits.format(len).as_bytes());
        }
    }

    /// A header of at most this many bytes, and the line end behind the body.
    const BULK_OVERHEAD: usize = 1 + 20 + 2 + 2;

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    /// A simple string: no CR or LF in it.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error: `text` starts with its code (`ERR ...`). CR and LF in it become spaces, but for those at its end,
    /// which go.
    pub fn error(&mut self, text: &str) {
        let text = text.trim_end_matches(['\r', '\n']);
        self.out.push(b'-');
        self.out.extend(text.bytes().map(|byte| if byte == b'\r' || byte == b'\n' { b' ' } else { byte }));
        self.out.extend_from_slice(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, number: i64) {
        // A negative number becomes a huge one here, and is not short.
        if !self.short_number(b':', number.cast_unsigned()) {
            let mut digits = itoa::Buffer::new();
            self.line(b':', digits.format(number).as_bytes());
        }
    }

    /// How many, how long or where: an integer that is never negative.
    pub fn count(&mut self, number: usize) {
        self.length(b':', number);
    }

    /// A bulk string of any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + Self::BULK_OVERHEAD);
        self.length(b'$', bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A number as a bulk string, as many old commands answer.
    pub fn bulk_integer(&mut self, number: i64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number);
        self.bulk(digits.as_bytes());
    }

    /// "Nothing here" where a bulk string could be.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n".as_slice(),
            Protocol::Resp3 => b"_\r\n".as_slice(),
        });
    }

    /// "Nothing here" where an array could be (an aborted EXEC).
    pub fn null_array(&mut self) {
        self.out.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n".as_slice(),
            Protocol::Resp3 => b"_\r\n".as_slice(),
        });
    }

    /// Opens an array: `len` replies follow.
    pub fn array(&mut self, len: usize) {
        self.length(b'*', len);
    }

    /// Opens a map: `pairs` times key and value follow. A flat array in RESP2.
    pub fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.length(b'*', pairs * 2),
            Protocol::Resp3 => self.length(b'%', pairs),
        }
    }

    /// Opens a set. An array in RESP2.
    pub fn set(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.length(b'*', len),
            Protocol::Resp3 => self.length(b'~', len),
        }
    }

    /// Opens an out-of-band push. An array in RESP2.
    pub fn push(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.length(b'*', len),
            Protocol::Resp3 => self.length(b'>', len),
        }
    }

    /// A boolean. 1 or 0 in RESP2.
    pub fn boolean(&mut self, truth: bool) {
        match self.protocol {
            Protocol::Resp2 => self.integer(i64::from(truth)),
            Protocol::Resp3 => self.line(b'#', if truth { b"t" } else { b"f" }),
        }
    }

    /// A double, already formatted (`inf`, `-inf` and `nan` included). A bulk string in RESP2.
    pub fn double_text(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => self.line(b',', text.as_bytes()),
        }
    }

    /// An integer beyond 64 bits, in decimal digits. A bulk string in RESP2.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// Metadata before a reply: `pairs` times key and value, written by `body`. Nothing at all in RESP2, where a client could
    /// not tell it from the reply.
    pub fn attribute(&mut self, pairs: usize, body: impl FnOnce(&mut Reply<'_>)) {
        if self.protocol == Protocol::Resp3 {
            self.length(b'|', pairs);
            body(self);
        }
    }

    /// Text with a three-letter format (`txt`, `mkd`). A bulk string in RESP2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => {
                debug_assert_eq!(format.len(), 3, "the protocol has room for three letters");
                self.length(b'=', text.len() + 4);
                self.out.extend_from_slice(format.as_bytes());
                self.out.push(b':');
                self.out.extend_from_slice(text);
                self.out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Bytes that are RESP already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}
