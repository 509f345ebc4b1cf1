//! Compression of a payload, in place, and only if it pays.
//!
//! LZ4 is the raw block format, zstd a frame with level 1. Contexts of zstd are kept one per thread (0.6 MiB to pack,
//! 0.2 MiB to unpack, once a thread has used them), since making one costs more than packing a small payload.

use super::ORIGINAL_LEN_MAX;
use std::cell::Cell;

/// How a payload is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Lz4,
    Zstd,
}

/// When and how to pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    pub(crate) compression: Compression,
    /// Payloads shorter than this stay as they are.
    pub(crate) len_min: usize,
}

const ZSTD_LEVEL: i32 = 1;
/// A block of zstd unpacks to this at most, and takes 4 bytes at least.
const ZSTD_BLOCK_LEN_MAX: usize = 128 << 10;
/// A byte of LZ4 unpacks to this many at most.
const LZ4_RATIO_MAX: usize = 255;
/// What a thread keeps of its buffer between two payloads.
const KEPT_LEN_MAX: usize = 1 << 20;

// Taken out while in use. A thread that is ending has none any more, and makes one for each payload.
thread_local! {
    static PACKER: Cell<Packer> = const { Cell::new(Packer { zstd: None, buffer: Vec::new() }) };
    static UNPACKER: Cell<Option<zstd::bulk::Decompressor<'static>>> = const { Cell::new(None) };
}

#[derive(Default)]
struct Packer {
    zstd: Option<zstd::bulk::Compressor<'static>>,
    buffer: Vec<u8>,
}

impl Compression {
    pub(super) fn to_bits(self) -> u8 {
        match self {
            Compression::None => 0,
            Compression::Lz4 => 1,
            Compression::Zstd => 2,
        }
    }

    pub(super) fn from_bits(bits: u8) -> Option<Compression> {
        [Compression::None, Compression::Lz4, Compression::Zstd].into_iter().find(|known| known.to_bits() == bits)
    }

    /// Whether so many packed bytes can be so many bytes unpacked at all.
    pub(super) fn can_unpack(self, packed_len: usize, original_len: usize) -> bool {
        let len_max = match self {
            Compression::None => return packed_len == original_len && original_len <= ORIGINAL_LEN_MAX,
            Compression::Lz4 => packed_len.saturating_mul(LZ4_RATIO_MAX),
            Compression::Zstd => (packed_len / 4).saturating_mul(ZSTD_BLOCK_LEN_MAX),
        };
        original_len > packed_len && original_len <= len_max.min(ORIGINAL_LEN_MAX)
    }
}

/// Packs what stands in `out` from `start` on, if that saves a sixteenth at least. Says how it is packed now.
pub(super) fn pack(packing: Packing, out: &mut Vec<u8>, start: usize) -> Compression {
    let original_len = out.len() - start;
    if packing.compression == Compression::None || original_len < packing.len_min.max(1) {
        return Compression::None;
    }
    let mut packer = PACKER.try_with(Cell::take).unwrap_or_default();
    let is_packed = match packing.compression {
        Compression::None => None,
        Compression::Lz4 => packer.lz4(&out[start..]),
        Compression::Zstd => packer.zstd(&out[start..]),
    };
    let packed = is_packed.filter(|len| *len <= original_len - original_len / 16 && *len < original_len);
    if let Some(packed_len) = packed {
        out.truncate(start);
        out.extend_from_slice(&packer.buffer[..packed_len]);
    }
    if packer.buffer.len() > KEPT_LEN_MAX {
        packer.buffer = Vec::new();
    }
    let _ = PACKER.try_with(|kept| kept.set(packer));
    packed.map_or(Compression::None, |_| packing.compression)
}

impl Packer {
    fn lz4(&mut self, original: &[u8]) -> Option<usize> {
        self.make_room(lz4_flex::block::get_maximum_output_size(original.len()));
        lz4_flex::block::compress_into(original, &mut self.buffer).ok()
    }

    fn zstd(&mut self, original: &[u8]) -> Option<usize> {
        self.make_room(zstd::zstd_safe::compress_bound(original.len()));
        if self.zstd.is_none() {
            self.zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL).ok();
        }
        self.zstd.as_mut()?.compress_to_buffer(original, self.buffer.as_mut_slice()).ok()
    }

    fn make_room(&mut self, len: usize) {
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
    }
}

/// Unpacks into `scratch` and returns the `original_len` bytes; `None` if that is not what the packed bytes hold. The
/// caller has asked [`Compression::can_unpack`].
pub(super) fn unpack<'a>(
    compression: Compression,
    packed: &[u8],
    original_len: usize,
    scratch: &'a mut Vec<u8>,
) -> Option<&'a [u8]> {
    if scratch.len() < original_len {
        scratch.resize(original_len, 0);
    }
    let target = &mut scratch[..original_len];
    let len = match compression {
        Compression::None => return None,
        Compression::Lz4 => lz4_flex::block::decompress_into(packed, target).ok()?,
        Compression::Zstd => unzstd(packed, target)?,
    };
    (len == original_len).then_some(&scratch[..original_len])
}

fn unzstd(packed: &[u8], target: &mut [u8]) -> Option<usize> {
    let kept = UNPACKER.try_with(Cell::take).ok().flatten();
    let mut unpacker = kept.or_else(|| zstd::bulk::Decompressor::new().ok())?;
    let len = unpacker.decompress_to_buffer(packed, target).ok();
    let _ = UNPACKER.try_with(|kept| kept.set(Some(unpacker)));
    len
}
