//! Writes an RDB file as a stream: memory stays bounded by one buffer and one compressed value.
//!
//! **Invariant:** the first error of the sink is kept and ends all further work; [`Writer::finish`] answers it. So entries
//! can be written from visitors that have no way to fail.

use super::checksum::Checksum;
use super::{
    Compressor, MAGIC, OPCODE_AUX, OPCODE_DATABASE, OPCODE_END, OPCODE_EXPIRE_MS, OPCODE_RESIZE, TYPE_STRING, VERSION,
    encode,
};
use std::io::{self, Write};

const BUFFER_LEN: usize = 256 << 10;

/// What may differ from file to file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// Compress strings that get shorter by it (`rdbcompression`).
    pub(crate) compress: bool,
    /// End with a checksum of everything (`rdbchecksum`).
    pub(crate) checksum: bool,
}

/// A file in the making.
pub(crate) struct Writer<W> {
    sink: W,
    buffer: Vec<u8>,
    checksum: Option<Checksum>,
    compressor: Option<Compressor>,
    failure: Option<io::Error>,
}

impl<W: Write> Writer<W> {
    /// Starts a file in `sink`, which needs no buffer of its own.
    pub(crate) fn new(sink: W, options: Options) -> Writer<W> {
        let mut buffer = Vec::with_capacity(BUFFER_LEN);
        buffer.extend_from_slice(MAGIC);
        buffer.extend_from_slice(format!("{VERSION:04}").as_bytes());
        Writer {
            sink,
            buffer,
            checksum: options.checksum.then(Checksum::new),
            compressor: options.compress.then(Compressor::new),
            failure: None,
        }
    }

    /// A fact about the writer, for those who look at the file.
    pub(crate) fn aux(&mut self, name: &str, value: &str) {
        self.buffer.push(OPCODE_AUX);
        self.string(name.as_bytes());
        self.string(value.as_bytes());
    }

    /// Entries that follow are those of `database`. The counts are hints.
    pub(crate) fn database(&mut self, database: u16, keys: u64, expires: u64) {
        self.buffer.push(OPCODE_DATABASE);
        encode::length(&mut self.buffer, u64::from(database));
        self.buffer.push(OPCODE_RESIZE);
        encode::length(&mut self.buffer, keys);
        encode::length(&mut self.buffer, expires);
    }

    /// One key with its value.
    pub(crate) fn entry(&mut self, key: &[u8], value: &[u8], expires_at_ms: Option<u64>) {
        if self.failure.is_some() {
            return;
        }
        if let Some(at_ms) = expires_at_ms {
            self.buffer.push(OPCODE_EXPIRE_MS);
            self.buffer.extend(at_ms.to_le_bytes());
        }
        self.buffer.push(TYPE_STRING);
        self.string(key);
        self.string(value);
        if self.buffer.len() >= BUFFER_LEN {
            self.drain();
        }
    }

    /// Ends the file and hands the sink back, everything written to it.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.buffer.push(OPCODE_END);
        self.drain();
        let sum = self.checksum.take().map_or(0, Checksum::finish);
        self.buffer.extend(sum.to_le_bytes());
        self.drain();
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(self.sink),
        }
    }

    fn string(&mut self, bytes: &[u8]) {
        // Taken out for the time that its output is borrowed.
        let mut compressor = self.compressor.take();
        let body = encode::string(&mut self.buffer, bytes, compressor.as_mut());
        if body.len() < BUFFER_LEN {
            self.buffer.extend_from_slice(body);
        } else {
            self.drain();
            self.put(body);
        }
        self.compressor = compressor;
    }

    fn drain(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.put(&buffer);
        buffer.clear();
        self.buffer = buffer;
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.failure.is_some() {
            return;
        }
        if let Some(checksum) = &mut self.checksum {
            checksum.update(bytes);
        }
        self.failure = self.sink.write_all(bytes).err();
    }
}
