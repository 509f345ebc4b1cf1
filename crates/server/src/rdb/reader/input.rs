//! The bytes of a file as they come, with their offset and checksum.
//!
//! **Invariant:** a read never asks for more memory than one buffer beyond what has already arrived.

use super::Problem;
use crate::rdb::checksum::Checksum;
use std::io::{ErrorKind, Read};

const BUFFER_LEN: usize = 256 << 10;
/// Enough for most DUMP payloads, so that RESTORE does not pay for a file's buffer.
const FIRST_LEN: usize = 4 << 10;

pub(super) struct Input<R> {
    source: R,
    buffer: Vec<u8>,
    filled: usize,
    at: usize,
    /// Of everything before the buffer.
    checksum: Checksum,
    before: u64,
}

impl<R: Read> Input<R> {
    pub(super) fn new(source: R) -> Input<R> {
        Input { source, buffer: Vec::new(), filled: 0, at: 0, checksum: Checksum::new(), before: 0 }
    }

    /// Bytes taken so far.
    pub(super) fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// Checksum of the bytes taken so far.
    pub(super) fn checksum(&self) -> u64 {
        let mut checksum = self.checksum.clone();
        checksum.update(&self.buffer[..self.at]);
        checksum.finish()
    }

    pub(super) fn is_at_end(&mut self) -> Result<bool, Problem> {
        Ok(self.available()?.is_empty())
    }

    pub(super) fn byte(&mut self) -> Result<u8, Problem> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        if let Some(array) = self.buffer[self.at..self.filled].first_chunk::<N>() {
            self.at += N;
            return Ok(*array);
        }
        let mut array = [0; N];
        for byte in &mut array {
            *byte = *self.available()?.first().ok_or(Problem::Truncated)?;
            self.at += 1;
        }
        Ok(array)
    }

    /// Appends the next `len` bytes to `out`.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, len: u64) -> Result<(), Problem> {
        let mut left = len;
        while left > 0 {
            let available = self.available()?;
            if available.is_empty() {
                return Err(Problem::Truncated);
            }
            let part = available.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            out.extend_from_slice(&available[..part]);
            self.at += part;
            left -= part as u64;
        }
        Ok(())
    }

    /// What has arrived and was not taken, after waiting for more if that is nothing. Empty at the end.
    fn available(&mut self) -> Result<&[u8], Problem> {
        if self.at == self.filled {
            self.checksum.update(&self.buffer[..self.filled]);
            self.before += self.filled as u64;
            let len = if self.buffer.is_empty() { FIRST_LEN } else { BUFFER_LEN };
            self.buffer.resize(len, 0);
            (self.at, self.filled) = (0, 0);
            self.filled = loop {
                match self.source.read(&mut self.buffer) {
                    Ok(read) => break read.min(self.buffer.len()),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(Problem::Io(error)),
                }
            };
        }
        Ok(&self.buffer[self.at..self.filled])
    }
}
