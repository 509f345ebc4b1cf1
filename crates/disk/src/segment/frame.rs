//! Sixty-four bytes that say what a file is: the header and the trailer of a segment, and the header of the manifest.
//!
//! ```text
//!  0       8         12                                     60      64
//!  | magic | version | what the kind of frame has to say    | crc-32 |
//! ```
//!
//! **Invariant:** magic, version and checksum stand where they stand in every version to come, so that a reader tells a
//! newer format from a damaged one.

use super::VERSION;

/// Bytes of a frame.
pub(crate) const FRAME_LEN: usize = 64;

const CRC_AT: usize = 60;

/// Why bytes are not the frame that was looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Nothing was ever written there.
    #[error("it is empty")]
    Blank,
    /// It is something else.
    #[error("it is not a file of Scrubjay's")]
    Foreign,
    /// Its checksum differs.
    #[error("its checksum differs")]
    Damaged,
    /// A newer program wrote it.
    #[error("it has format {0}, and this program reads up to format {VERSION}")]
    Newer(u32),
    /// It belongs to another store.
    #[error("it belongs to another store ({0:016x})")]
    OtherStore(u64),
    /// It is another segment of the store.
    #[error("it is segment {0} under another's name")]
    OtherSegment(u64),
}

/// A frame that is being filled, or was found intact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame([u8; FRAME_LEN]);

impl Frame {
    /// An empty frame of that kind.
    pub(crate) fn new(magic: [u8; 8]) -> Frame {
        let mut bytes = [0; FRAME_LEN];
        bytes[..8].copy_from_slice(&magic);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        Frame(bytes)
    }

    /// Writes a field; it lies between 12 and 60.
    pub(crate) fn set_u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// Writes a field; it lies between 12 and 60.
    pub(crate) fn set_u64(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    /// The bytes, with their checksum.
    pub(crate) fn seal(mut self) -> [u8; FRAME_LEN] {
        let crc = crc32fast::hash(&self.0[..CRC_AT]);
        self.set_u32(CRC_AT, crc);
        self.0
    }

    /// Takes bytes for an intact frame of that kind and of a version that this program knows, or says why not.
    pub(crate) fn open(bytes: [u8; FRAME_LEN], magic: [u8; 8]) -> Result<Frame, Refused> {
        let frame = Frame(bytes);
        if bytes == [0; FRAME_LEN] {
            return Err(Refused::Blank);
        }
        let mut expected = bytes;
        expected[..8].copy_from_slice(&magic);
        let is_intact = frame.u32(CRC_AT) == crc32fast::hash(&expected[..CRC_AT]);
        if bytes != expected {
            // Where all but the magic is as it was written, only the magic was hit.
            return Err(if is_intact { Refused::Damaged } else { Refused::Foreign });
        }
        if !is_intact {
            return Err(Refused::Damaged);
        }
        match frame.u32(8) {
            VERSION => Ok(frame),
            0 => Err(Refused::Damaged),
            newer => Err(Refused::Newer(newer)),
        }
    }

    /// The field at `at`, which lies within the frame.
    pub(crate) fn u32(&self, at: usize) -> u32 {
        let mut field = [0; 4];
        field.copy_from_slice(&self.0[at..at + 4]);
        u32::from_le_bytes(field)
    }

    /// The field at `at`, which lies within the frame.
    pub(crate) fn u64(&self, at: usize) -> u64 {
        let mut field = [0; 8];
        field.copy_from_slice(&self.0[at..at + 8]);
        u64::from_le_bytes(field)
    }
}
