//! Redis' RDB files and DUMP payloads, for strings.
//!
//! ```text
//! REDIS0010                        magic, version
//! FA name value                    facts about the writer, any number of times
//! FE db                            what follows belongs to this database
//! FB keys expires                  its size, a hint
//! FC milliseconds                  the next key expires then (8 bytes, little-endian; FD: 4 bytes of seconds)
//! 00 key value                     a string; every other type has a byte of its own
//! FF checksum                      CRC-64 of everything before it (8 bytes, little-endian; 0: none)
//! ```
//! A length is 6, 14, 32 or 64 bits (`00xxxxxx`, `01xxxxxx x`, `80 xxxx`, `81 xxxxxxxx`, big-endian); `11xxxxxx` says
//! that the string is a number of 8, 16 or 32 bits (`C0`, `C1`, `C2`, little-endian) or LZF-compressed (`C3`).
//!
//! Knows nothing of the keyspace or of where the bytes lie: `persistence` brings both together.

mod checksum;
mod encode;
mod lzf;
mod payload;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use lzf::Compressor;
pub(crate) use payload::{PayloadError, dump, restore};
pub(crate) use reader::{Problem, Record, Totals, read};
pub(crate) use writer::{Options, Writer};

/// What we write: Redis 7.0 and every later one reads it.
pub(crate) const VERSION: u16 = 10;
/// What Redis 7.2 writes. The versions from 7.4 on may hold what we do not know.
pub(crate) const VERSION_MAX: u16 = 11;
/// The longest string that is taken from a file: what `proto-max-bulk-len` allows at most.
pub(crate) const STRING_LEN_MAX: u64 = (4 << 30) - 1;

const MAGIC: &[u8] = b"REDIS";
const TYPE_STRING: u8 = 0;

const OPCODE_FUNCTION: u8 = 0xF5;
const OPCODE_FUNCTION_BEFORE_RELEASE: u8 = 0xF6;
const OPCODE_MODULE: u8 = 0xF7;
const OPCODE_IDLE: u8 = 0xF8;
const OPCODE_FREQUENCY: u8 = 0xF9;
const OPCODE_AUX: u8 = 0xFA;
const OPCODE_RESIZE: u8 = 0xFB;
const OPCODE_EXPIRE_MS: u8 = 0xFC;
const OPCODE_EXPIRE_SECONDS: u8 = 0xFD;
const OPCODE_DATABASE: u8 = 0xFE;
const OPCODE_END: u8 = 0xFF;

const LENGTH_32_BITS: u8 = 0x80;
const LENGTH_64_BITS: u8 = 0x81;
const ENCODED_8_BITS: u8 = 0xC0;
const ENCODED_16_BITS: u8 = 0xC1;
const ENCODED_32_BITS: u8 = 0xC2;
const ENCODED_LZF: u8 = 0xC3;
