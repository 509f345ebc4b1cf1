//! Reads an RDB file as a stream and hands out its entries one by one.
//!
//! **Invariant:** whatever the bytes are, the answer is entries or an [`Error`] that names the offset; memory grows only by
//! bytes that were really read (88 times as much for compressed ones). What we cannot hold is refused, never skipped: the
//! next save would lose it.

mod error;
mod input;

pub(super) use error::Error;
pub(crate) use error::Problem;

use super::{
    ENCODED_8_BITS, ENCODED_16_BITS, ENCODED_32_BITS, ENCODED_LZF, LENGTH_32_BITS, LENGTH_64_BITS, MAGIC, OPCODE_AUX,
    OPCODE_DATABASE, OPCODE_END, OPCODE_EXPIRE_MS, OPCODE_EXPIRE_SECONDS, OPCODE_FREQUENCY, OPCODE_FUNCTION,
    OPCODE_FUNCTION_BEFORE_RELEASE, OPCODE_IDLE, OPCODE_MODULE, OPCODE_RESIZE, STRING_LEN_MAX, TYPE_STRING,
    VERSION_MAX, lzf,
};
use input::Input;
use std::io::Read;

/// Files of this version and later end with a checksum.
const CHECKSUM_FROM_VERSION: u16 = 5;

/// One key of a file. The bytes are good until the next one is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub(crate) database: u64,
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) expires_at_ms: Option<u64>,
    pub(crate) idle_seconds: Option<u64>,
}

/// What a whole file held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
}

/// Reads all of `source`, which needs no buffer of its own. The checksum, if the file has one, is compared at the very end:
/// entries were handed out by then.
pub(crate) fn read<R: Read>(
    source: R,
    verify: bool,
    visit: impl FnMut(Record<'_>) -> Result<(), Problem>,
) -> Result<Totals, Error> {
    let mut file = File { input: Input::new(source), key: Vec::new(), value: Vec::new(), packed: Vec::new() };
    file.read(verify, visit).map_err(|problem| Error { offset: file.input.offset(), problem })
}

/// The string that a DUMP payload holds; nothing may follow it.
pub(super) fn read_value(payload: &[u8]) -> Option<Vec<u8>> {
    let mut input = Input::new(payload);
    let (mut value, mut packed) = (Vec::new(), Vec::new());
    read_string(&mut input, &mut value, &mut packed).ok()?;
    input.is_at_end().ok()?.then_some(value)
}

/// What was said about the next key.
#[derive(Clone, Copy, Default)]
struct Attributes {
    expires_at_ms: Option<u64>,
    idle_seconds: Option<u64>,
}

struct File<R> {
    input: Input<R>,
    key: Vec<u8>,
    value: Vec<u8>,
    packed: Vec<u8>,
}

impl<R: Read> File<R> {
    fn read(
        &mut self,
        verify: bool,
        mut visit: impl FnMut(Record<'_>) -> Result<(), Problem>,
    ) -> Result<Totals, Problem> {
        let version = self.version()?;
        let (mut database, mut keys, mut attributes) = (0, 0, Attributes::default());
        loop {
            match self.input.byte()? {
                OPCODE_EXPIRE_MS => {
                    // A time before 1970 is over like any other that has passed.
                    let at_ms = i64::from_le_bytes(self.input.array()?);
                    attributes.expires_at_ms = Some(u64::try_from(at_ms).unwrap_or(0));
                }
                OPCODE_EXPIRE_SECONDS => {
                    let at_seconds = i32::from_le_bytes(self.input.array()?);
                    attributes.expires_at_ms = Some(u64::try_from(at_seconds).unwrap_or(0) * 1000);
                }
                OPCODE_IDLE => attributes.idle_seconds = Some(read_length(&mut self.input)?),
                OPCODE_FREQUENCY => drop(self.input.byte()?),
                OPCODE_DATABASE => database = read_length(&mut self.input)?,
                OPCODE_RESIZE => {
                    read_length(&mut self.input)?;
                    read_length(&mut self.input)?;
                }
                OPCODE_AUX => {
                    self.read_key()?;
                    self.read_key()?;
                }
                OPCODE_END => break,
                OPCODE_MODULE => return Err(Problem::Unsupported("data of a module".into())),
                OPCODE_FUNCTION | OPCODE_FUNCTION_BEFORE_RELEASE => {
                    return Err(Problem::Unsupported("a library of functions".into()));
                }
                TYPE_STRING => {
                    self.read_key()?;
                    read_string(&mut self.input, &mut self.value, &mut self.packed)?;
                    let Attributes { expires_at_ms, idle_seconds } = std::mem::take(&mut attributes);
                    let (key, value) = (self.key.as_slice(), self.value.as_slice());
                    visit(Record { database, key, value, expires_at_ms, idle_seconds })?;
                    keys += 1;
                }
                other => return Err(self.refuse(other, database)),
            }
        }
        self.end(version, verify)?;
        Ok(Totals { keys, bytes: self.input.offset() })
    }

    fn version(&mut self) -> Result<u16, Problem> {
        let magic: [u8; 5] = self.input.array()?;
        if magic != MAGIC {
            return Err(Problem::NotRdb);
        }
        let digits: [u8; 4] = self.input.array()?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(Problem::NotRdb);
        }
        match digits.iter().fold(0, |version, digit| version * 10 + u16::from(digit - b'0')) {
            0 => Err(Problem::NotRdb),
            version if version > VERSION_MAX => Err(Problem::Newer(version)),
            version => Ok(version),
        }
    }

    fn end(&mut self, version: u16, verify: bool) -> Result<(), Problem> {
        if version >= CHECKSUM_FROM_VERSION {
            let computed = self.input.checksum();
            let stored = u64::from_le_bytes(self.input.array()?);
            if verify && stored != 0 && stored != computed {
                return Err(Problem::Checksum { stored, computed });
            }
        }
        if self.input.is_at_end()? { Ok(()) } else { Err(Problem::Corrupt("bytes after the end")) }
    }

    fn read_key(&mut self) -> Result<(), Problem> {
        read_string(&mut self.input, &mut self.key, &mut self.packed)
    }

    fn refuse(&mut self, kind: u8, database: u64) -> Problem {
        let Some(name) = error::type_name(kind) else { return Problem::Corrupt("unknown opcode or type") };
        match self.read_key() {
            Err(problem) => problem,
            Ok(()) => {
                let shown = String::from_utf8_lossy(&self.key[..self.key.len().min(128)]);
                Problem::Unsupported(format!("{name}, key {shown:?} of database {database}"))
            }
        }
    }
}

fn read_length<R: Read>(input: &mut Input<R>) -> Result<u64, Problem> {
    let first = input.byte()?;
    length_after(input, first)
}

fn length_after<R: Read>(input: &mut Input<R>, first: u8) -> Result<u64, Problem> {
    match first {
        0..0x40 => Ok(u64::from(first)),
        0x40..0x80 => Ok(u64::from(u16::from_be_bytes([first & 0x3F, input.byte()?]))),
        LENGTH_32_BITS => Ok(u64::from(u32::from_be_bytes(input.array()?))),
        LENGTH_64_BITS => Ok(u64::from_be_bytes(input.array()?)),
        _ => Err(Problem::Corrupt("unknown length encoding")),
    }
}

/// Reads a string into `out`, in place of what it held; `packed` is room for compressed bytes.
fn read_string<R: Read>(input: &mut Input<R>, out: &mut Vec<u8>, packed: &mut Vec<u8>) -> Result<(), Problem> {
    out.clear();
    let number = match input.byte()? {
        ENCODED_8_BITS => i32::from(i8::from_le_bytes(input.array()?)),
        ENCODED_16_BITS => i32::from(i16::from_le_bytes(input.array()?)),
        ENCODED_32_BITS => i32::from_le_bytes(input.array()?),
        ENCODED_LZF => {
            let (packed_len, len) = (read_length(input)?, read_length(input)?);
            if packed_len > STRING_LEN_MAX || len > STRING_LEN_MAX {
                return Err(Problem::Corrupt("a string above 4 GiB"));
            }
            packed.clear();
            input.append(packed, packed_len)?;
            let is_whole = lzf::is_plausible(packed_len, len)
                && usize::try_from(len).is_ok_and(|len| lzf::decompress(packed, len, out).is_some());
            return if is_whole { Ok(()) } else { Err(Problem::Corrupt("a compressed string that does not unpack")) };
        }
        first => {
            let len = length_after(input, first)?;
            if len > STRING_LEN_MAX {
                return Err(Problem::Corrupt("a string above 4 GiB"));
            }
            return input.append(out, len);
        }
    };
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    Ok(())
}
