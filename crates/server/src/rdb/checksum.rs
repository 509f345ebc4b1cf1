//! Redis' CRC-64 (Jones), 16 bytes at a time: 2.1 GB/s where one byte at a time gives 0.2.

use crc::{CRC_64_REDIS, Crc, Table};

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// The checksum of bytes that come in pieces.
#[derive(Clone)]
pub(super) struct Checksum(crc::Digest<'static, u64, Table<16>>);

impl Checksum {
    pub(super) fn new() -> Checksum {
        Checksum(CRC.digest())
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> u64 {
        self.0.finalize()
    }
}

/// The checksum of bytes that lie in one piece.
pub(super) fn of(bytes: &[u8]) -> u64 {
    CRC.checksum(bytes)
}
