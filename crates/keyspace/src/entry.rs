//! The bytes of one entry: header, expiry, key and value in one piece.
//!
//! ```text
//!  byte 0        1..        ..         +3          +0, 5 or 8   ..      ..
//! ┌───────┬────────────┬───────────┬───────────┬────────────┬───────┬─────────┐
//! │ flags │ key length │ value len │ last used │ expires at │  key  │  value  │
//! │  u8   │  u8 / u32  │ u8/16/32  │ u24, s    │  u40 / u64 │       │         │
//! └───────┴────────────┴───────────┴───────────┴────────────┴───────┴─────────┘
//! flags: 7 live · 6 key in the blob · 5 raw · 4 wide expiry · 3 expiry · 2 wide key length · 1-0 value length
//! ```
//! Value length: 0 one byte, 1 two, 2 four; 3: the value lies in a blob, whose number (u32) stands in place of both the
//! length and the value. A narrow expiry counts milliseconds from 2020-01-01 (good until 2054); what does not fit is
//! stored as Unix milliseconds in eight bytes. A small key and value with both clocks take 6 or 11 bytes of header.
//!
//! **Invariant:** byte 0 of a slot is 0 exactly while the slot is free, since a live entry has flag 7.
#![allow(clippy::cast_possible_truncation, reason = "each length is written in the width that its code says")]

const LIVE: u8 = 1 << 7;
const KEY_IN_BLOB: u8 = 1 << 6;
const RAW: u8 = 1 << 5;
const WIDE_EXPIRY: u8 = 1 << 4;
const EXPIRY: u8 = 1 << 3;
const WIDE_KEY: u8 = 1 << 2;
const VALUE_CODE: u8 = 3;
const VALUE_IN_BLOB: u8 = 3;

/// 2020-01-01T00:00:00Z in Unix milliseconds.
const EPOCH_MS: u64 = 1_577_836_800_000;
const LAST_USED_BYTES: usize = 3;
const LAST_USED_MASK: u32 = 0x00FF_FFFF;
const NARROW_EXPIRY_BYTES: usize = 5;

/// What is written about an entry besides its key and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) expires_at_ms: Option<u64>,
    pub(crate) is_raw: bool,
    /// Seconds of some clock, modulo 2^24.
    pub(crate) last_used: u32,
}

/// Where the parts of an entry lie, relative to its first byte. Small, since every read makes one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    flags: u8,
    last_used_at: u8,
    key_at: u8,
    key_len: u32,
    value_len: u32,
}

/// Offset of the time of last use, by the low five flags.
const LAST_USED_AT: [u8; 32] = offsets(false);
/// Offset of the key, by the low five flags.
const KEY_AT: [u8; 32] = offsets(true);

const fn offsets(of_key: bool) -> [u8; 32] {
    let mut table = [0; 32];
    let mut flags = 0;
    while flags < 32 {
        let key_len = if flags & WIDE_KEY as usize == 0 { 1 } else { 4 };
        let value_len = [1, 2, 4, 4][flags & VALUE_CODE as usize];
        let behind = if of_key { LAST_USED_BYTES + stored_expiry(flags as u8) } else { 0 };
        table[flags] = (1 + key_len + value_len + behind) as u8;
        flags += 1;
    }
    table
}

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValuePlace {
    /// At this offset of the entry, this long.
    Inline(usize, usize),
    /// In the stripe's blob of this number.
    Blob(u32),
}

fn value_code(value_len: usize) -> (u8, usize) {
    match value_len {
        0..=0xFF => (0, 1),
        0x100..=0xFFFF => (1, 2),
        _ => (2, 4),
    }
}

fn narrow_expiry(expires_at_ms: u64) -> Option<u64> {
    expires_at_ms.checked_sub(EPOCH_MS).filter(|ms| ms >> (8 * NARROW_EXPIRY_BYTES) == 0)
}

fn expiry_bytes(expires_at_ms: Option<u64>) -> usize {
    match expires_at_ms {
        None => 0,
        Some(at) if narrow_expiry(at).is_some() => NARROW_EXPIRY_BYTES,
        Some(_) => 8,
    }
}

impl Layout {
    /// The layout of a new entry with its value inline.
    #[inline]
    pub(crate) fn inline(key_len: usize, value_len: usize, expires_at_ms: Option<u64>) -> Layout {
        let (code, value_len_bytes) = value_code(value_len);
        Layout::new(code, value_len_bytes, key_len, value_len, expires_at_ms)
    }

    /// The layout of a new entry whose value, and key if `key_in_blob`, lie in a blob.
    pub(crate) fn blob(key_len: usize, key_in_blob: bool, expires_at_ms: Option<u64>) -> Layout {
        let flags = VALUE_IN_BLOB | if key_in_blob { KEY_IN_BLOB } else { 0 };
        Layout::new(flags, 4, key_len, 0, expires_at_ms)
    }

    #[inline]
    fn new(flags: u8, value_bytes: usize, key_len: usize, value_len: usize, expires_at_ms: Option<u64>) -> Layout {
        let (key_flag, key_bytes) = if key_len > 0xFF { (WIDE_KEY, 4) } else { (0, 1) };
        let expiry = expiry_bytes(expires_at_ms);
        let expiry_flags = match expiry {
            0 => 0,
            8 => EXPIRY | WIDE_EXPIRY,
            _ => EXPIRY,
        };
        let flags = LIVE | flags | key_flag | expiry_flags;
        debug_assert_eq!(usize::from(LAST_USED_AT[usize::from(flags & 31)]), 1 + key_bytes + value_bytes);
        Layout::with(flags, key_len as u32, value_len as u32)
    }

    #[inline(always)]
    fn with(flags: u8, key_len: u32, value_len: u32) -> Layout {
        let shape = usize::from(flags & 31);
        Layout { flags, last_used_at: LAST_USED_AT[shape], key_at: KEY_AT[shape], key_len, value_len }
    }

    /// The layout of the live entry at the start of `bytes`.
    #[inline(always)]
    pub(crate) fn of(bytes: &[u8]) -> Layout {
        let flags = bytes[0];
        let (key_len, at) =
            if flags & WIDE_KEY == 0 { (u32::from(bytes[1]), 2) } else { (read(&bytes[1..5]) as u32, 5) };
        let value_len = match flags & VALUE_CODE {
            0 => u32::from(bytes[at]),
            1 => read(&bytes[at..at + 2]) as u32,
            2 => read(&bytes[at..at + 4]) as u32,
            _ => 0,
        };
        Layout::with(flags, key_len, value_len)
    }

    fn last_used_at(&self) -> usize {
        usize::from(self.last_used_at)
    }

    fn key_at(&self) -> usize {
        usize::from(self.key_at)
    }

    pub(crate) fn key_len(&self) -> usize {
        self.key_len as usize
    }

    /// Bytes of the whole entry in its slot.
    #[inline]
    pub(crate) fn size(&self) -> usize {
        self.key_at() + if self.key_is_in_blob() { 0 } else { self.key_len() } + self.value_len as usize
    }

    pub(crate) fn key_is_in_blob(&self) -> bool {
        self.flags & KEY_IN_BLOB != 0
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.flags & RAW != 0
    }

    pub(crate) fn has_expiry(&self) -> bool {
        self.flags & EXPIRY != 0
    }

    /// The key, unless it lies in the blob.
    #[inline]
    pub(crate) fn inline_key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.key_at()..self.key_at() + self.key_len()]
    }

    #[inline]
    pub(crate) fn value(&self, bytes: &[u8]) -> ValuePlace {
        if self.flags & VALUE_CODE == VALUE_IN_BLOB {
            ValuePlace::Blob(read(&bytes[self.last_used_at() - 4..self.last_used_at()]) as u32)
        } else {
            ValuePlace::Inline(self.key_at() + self.key_len(), self.value_len as usize)
        }
    }

    #[inline]
    pub(crate) fn expires_at_ms(&self, bytes: &[u8]) -> Option<u64> {
        let at = self.last_used_at() + LAST_USED_BYTES;
        match self.flags & (EXPIRY | WIDE_EXPIRY) {
            0 => None,
            EXPIRY => Some(EPOCH_MS + read(&bytes[at..at + NARROW_EXPIRY_BYTES])),
            _ => Some(read(&bytes[at..at + 8])),
        }
    }

    #[inline]
    pub(crate) fn last_used(&self, bytes: &[u8]) -> u32 {
        read(&bytes[self.last_used_at()..self.last_used_at() + LAST_USED_BYTES]) as u32
    }

    /// Notes an access. Writes only when the second changed, so that a hot key's line stays clean.
    #[inline]
    pub(crate) fn touch(&self, bytes: &mut [u8], last_used: u32) {
        if self.last_used(bytes) != last_used & LAST_USED_MASK {
            write(&mut bytes[self.last_used_at()..self.last_used_at() + LAST_USED_BYTES], u64::from(last_used));
        }
    }

    pub(crate) fn attributes(&self, bytes: &[u8]) -> Attributes {
        Attributes { expires_at_ms: self.expires_at_ms(bytes), is_raw: self.is_raw(), last_used: self.last_used(bytes) }
    }

    pub(crate) fn set_raw(bytes: &mut [u8]) {
        bytes[0] |= RAW;
    }

    /// Overwrites the expiry in place; it must take as many bytes as the one that is there.
    pub(crate) fn set_expiry_in_place(&self, bytes: &mut [u8], expires_at_ms: Option<u64>) {
        self.write_expiry(bytes, expires_at_ms);
    }

    /// Whether `expires_at_ms` takes as many bytes as the expiry that this layout has.
    pub(crate) fn expiry_fits(&self, expires_at_ms: Option<u64>) -> bool {
        stored_expiry(self.flags) == expiry_bytes(expires_at_ms)
    }

    fn write_expiry(&self, bytes: &mut [u8], expires_at_ms: Option<u64>) {
        let at = self.last_used_at() + LAST_USED_BYTES;
        if let Some(expires_at_ms) = expires_at_ms {
            match narrow_expiry(expires_at_ms) {
                Some(ms) => write(&mut bytes[at..at + NARROW_EXPIRY_BYTES], ms),
                None => write(&mut bytes[at..at + 8], expires_at_ms),
            }
        }
    }

    /// Writes everything but the value (and the key when it lies in the blob). `blob` is the blob's number if there is one.
    #[inline]
    pub(crate) fn write_head(&self, bytes: &mut [u8], key: &[u8], attributes: Attributes, blob: Option<u32>) {
        bytes[0] = self.flags | if attributes.is_raw { RAW } else { 0 };
        let at = if self.flags & WIDE_KEY == 0 {
            bytes[1] = self.key_len as u8;
            2
        } else {
            write(&mut bytes[1..5], u64::from(self.key_len));
            5
        };
        let second = blob.map_or(u64::from(self.value_len), u64::from);
        write(&mut bytes[at..self.last_used_at()], second);
        write(&mut bytes[self.last_used_at()..self.last_used_at() + LAST_USED_BYTES], u64::from(attributes.last_used));
        self.write_expiry(bytes, attributes.expires_at_ms);
        if !self.key_is_in_blob() {
            bytes[self.key_at()..self.key_at() + self.key_len()].copy_from_slice(key);
        }
    }

    /// Where the value of an inline entry lies.
    #[inline]
    pub(crate) fn value_range(&self) -> std::ops::Range<usize> {
        let start = self.key_at() + self.key_len();
        start..start + self.value_len as usize
    }
}

/// Whether the live entry at the start of `bytes` has this key inline: the check that every lookup makes.
#[inline(always)]
pub(crate) fn has_inline_key(bytes: &[u8], key: &[u8]) -> bool {
    let flags = bytes[0];
    if flags & (WIDE_KEY | KEY_IN_BLOB) != 0 {
        let layout = Layout::of(bytes);
        return layout.key_len() == key.len() && !layout.key_is_in_blob() && layout.inline_key(bytes) == key;
    }
    let at = usize::from(KEY_AT[usize::from(flags & 31)]);
    usize::from(bytes[1]) == key.len() && is_same(&bytes[at..at + key.len()], key)
}

/// Whether two slices of one length are equal: a few word loads for the short keys that most are, where a call of `memcmp`
/// would cost more than the comparison.
#[inline(always)]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let (Some(last_a), Some(last_b)) = (a.last_chunk::<8>(), b.last_chunk::<8>()) else { return a == b };
    a.len() == b.len() && last_a == last_b && a.chunks_exact(8).zip(b.chunks_exact(8)).all(|(a, b)| a == b)
}

/// Seconds from `last_used` to `now`, both modulo 2^24.
pub(crate) fn idle_seconds(last_used: u32, now: u32) -> u32 {
    now.wrapping_sub(last_used) & LAST_USED_MASK
}

const fn stored_expiry(flags: u8) -> usize {
    match flags & (EXPIRY | WIDE_EXPIRY) {
        0 => 0,
        EXPIRY => NARROW_EXPIRY_BYTES,
        _ => 8,
    }
}

#[inline]
fn read(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

#[inline]
fn write(bytes: &mut [u8], number: u64) {
    let len = bytes.len();
    bytes.copy_from_slice(&number.to_le_bytes()[..len]);
}
