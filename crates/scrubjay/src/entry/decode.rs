//! Reading an entry, from bytes that anybody may have written.

use super::{
    CHECKSUM_LEN, COST_MAX, Compression, FLAG_ABSENT, FLAG_COMPRESSION, FLAG_LOCAL, FLAG_SHARED, FLAG_TIMES,
    FLAGS_KNOWN, HEADER_LEN, Identity, LOCAL_LEN, Local, MAGIC, SHARED_LEN, SharedBorn, TAG_LEN_MAX, TAGS_MAX,
    TIMES_LEN, Times, VERSION, VERSION_SHARED, pack,
};

/// An entry's parts, as they lie in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) identity: Identity<'a>,
    pub(crate) key: &'a [u8],
    /// In Unix milliseconds.
    pub(crate) times: Times,
    pub(crate) cost: u8,
    pub(crate) local: Option<Local>,
    pub(crate) shared: Option<SharedBorn>,
    pub(crate) tags: Tags<'a>,
    packed: Packed<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packed<'a> {
    Absent,
    Plain(&'a [u8]),
    Compressed(Compression, &'a [u8], usize),
}

/// Why bytes are not the entry that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// A whole entry, of another key.
    ForeignKey,
    /// A whole entry, of another cache.
    OtherNamespace,
    /// A whole entry, of another schema version.
    OtherSchema(u32),
    /// A whole entry, written by another codec.
    OtherCodec(u8),
    /// Not an entry, or not any more.
    Corrupt(Flaw),
    /// Written by a later version of the format.
    NewerFormat(u8),
}

/// What is wrong with bytes that are no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Fewer bytes than the smallest entry has.
    Truncated,
    /// It does not begin as an entry does.
    Magic,
    /// The checksum is not that of the bytes.
    Checksum,
    /// The lengths in the header are not those of the bytes, or beyond a limit.
    Lengths,
    /// Flags, cost or times that say what no writer says.
    Header,
    /// The namespace or a tag is no UTF-8, or a tag is empty or too long.
    Text,
    /// The payload does not unpack to its original length.
    Payload,
}

impl From<Flaw> for Refused {
    fn from(flaw: Flaw) -> Refused {
        Refused::Corrupt(flaw)
    }
}

impl<'a> Entry<'a> {
    /// The entry in `bytes`, if it is whole, of `key`, and what `identity` can read.
    pub(crate) fn open(bytes: &'a [u8], key: &[u8], identity: Identity<'_>) -> Result<Entry<'a>, Refused> {
        let entry = Entry::parse(bytes)?;
        if entry.identity.namespace != identity.namespace {
            Err(Refused::OtherNamespace)
        } else if entry.key != key {
            Err(Refused::ForeignKey)
        } else if entry.identity.schema != identity.schema {
            Err(Refused::OtherSchema(entry.identity.schema))
        } else if entry.identity.codec != identity.codec {
            Err(Refused::OtherCodec(entry.identity.codec))
        } else {
            Ok(entry)
        }
    }

    /// The entry in `bytes`, whosesoever, if it is whole: `bytes` is one entry and nothing else.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Entry<'a>, Refused> {
        let (body, checksum) = check_frame(bytes)?;
        if crc32fast::hash(body) != checksum {
            return Err(Flaw::Checksum.into());
        }
        Ok(parse_body(body)?)
    }

    /// The same without the checksum: for a look at bytes that were checked before.
    pub(crate) fn glance(bytes: &'a [u8]) -> Result<Entry<'a>, Refused> {
        let (body, _) = check_frame(bytes)?;
        Ok(parse_body(body)?)
    }

    /// Whether it says that its key has no value.
    pub(crate) fn is_absent(&self) -> bool {
        self.packed == Packed::Absent
    }

    /// How the payload is packed.
    pub(crate) fn compression(&self) -> Compression {
        match self.packed {
            Packed::Compressed(compression, ..) => compression,
            _ => Compression::None,
        }
    }

    /// The payload; `None` if the key has no value. `scratch` is where it is unpacked, if it has to be; what is in it
    /// before does not matter.
    pub(crate) fn payload<'b>(&self, scratch: &'b mut Vec<u8>) -> Result<Option<&'b [u8]>, Refused>
    where
        'a: 'b,
    {
        match self.packed {
            Packed::Absent => Ok(None),
            Packed::Plain(bytes) => Ok(Some(bytes)),
            Packed::Compressed(compression, packed, original_len) => {
                let bytes = pack::unpack(compression, packed, original_len, scratch).ok_or(Flaw::Payload)?;
                Ok(Some(bytes))
            }
        }
    }
}

/// The key that lies in the bytes of an entry, unchecked: empty if there is none. For tables that find their entries by it.
pub(crate) fn key_of(bytes: &[u8]) -> &[u8] {
    let Some(len) = bytes.get(6..8) else { return &[] };
    let key_len = usize::from(u16::from_le_bytes([len[0], len[1]]));
    bytes.get(HEADER_LEN..HEADER_LEN + key_len).unwrap_or_default()
}

/// What comes before the checksum, and the checksum.
fn check_frame(bytes: &[u8]) -> Result<(&[u8], u32), Refused> {
    let (Some(magic), Some(version)) = (bytes.get(..2), bytes.get(2)) else { return Err(Flaw::Truncated.into()) };
    if magic != MAGIC {
        return Err(Flaw::Magic.into());
    }
    match *version {
        VERSION | VERSION_SHARED => {}
        0 => return Err(Flaw::Magic.into()),
        newer => return Err(Refused::NewerFormat(newer)),
    }
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(Flaw::Truncated)?;
    if body.len() < HEADER_LEN {
        return Err(Flaw::Truncated.into());
    }
    Ok((body, u32::from_le_bytes(*checksum)))
}

fn parse_body(body: &[u8]) -> Result<Entry<'_>, Flaw> {
    let mut rest = Cursor(body);
    let [_, _, version, flags, codec, namespace_len] = rest.array()?;
    let key_len = usize::from(u16::from_le_bytes(rest.array()?));
    let schema = u32::from_le_bytes(rest.array()?);
    let payload_len = as_len(u32::from_le_bytes(rest.array()?))?;
    let stored_at_ms = u64::from_le_bytes(rest.array()?);
    let tags_len = usize::from(u16::from_le_bytes(rest.array()?));
    let [cost, reserved] = rest.array()?;
    let original_len = as_len(u32::from_le_bytes(rest.array()?))?;
    let is_shared = flags & FLAG_SHARED != 0;
    if flags & !FLAGS_KNOWN != 0 || reserved != 0 || cost > COST_MAX || is_shared != (version == VERSION_SHARED) {
        return Err(Flaw::Header);
    }
    let key = rest.take(key_len)?;
    let namespace = rest.take(usize::from(namespace_len))?;
    let mut times = Times { stored_at_ms, fresh_until_ms: 0, stale_until_ms: 0 };
    if flags & FLAG_TIMES != 0 {
        let mut part = Cursor(rest.take(TIMES_LEN)?);
        times.fresh_until_ms = u64::from_le_bytes(part.array()?);
        times.stale_until_ms = u64::from_le_bytes(part.array()?);
        if times.fresh_until_ms == 0 || times != times.ordered() {
            return Err(Flaw::Header);
        }
    }
    let mut local = None;
    if flags & FLAG_LOCAL != 0 {
        let mut part = Cursor(rest.take(LOCAL_LEN)?);
        let born = u64::from_le_bytes(part.array()?);
        local = Some(Local { born, weight: u32::from_le_bytes(part.array()?) });
    }
    let shared = if is_shared { Some(parse_shared(rest.take(SHARED_LEN)?)?) } else { None };
    let tags = Tags::check(rest.take(tags_len)?)?;
    let payload = rest.take(payload_len)?;
    if !rest.0.is_empty() {
        return Err(Flaw::Lengths);
    }
    let namespace = std::str::from_utf8(namespace).map_err(|_| Flaw::Text)?;
    let packed = packed(flags, payload, original_len)?;
    Ok(Entry { identity: Identity { namespace, schema, codec }, key, times, cost, local, shared, tags, packed })
}

fn parse_shared(part: &[u8]) -> Result<SharedBorn, Flaw> {
    let mut part = Cursor(part);
    let generation = u64::from_le_bytes(part.array()?);
    Ok(SharedBorn { generation, sequence: u64::from_le_bytes(part.array()?) })
}

fn packed(flags: u8, payload: &[u8], original_len: usize) -> Result<Packed<'_>, Flaw> {
    let compression = Compression::from_bits(flags & FLAG_COMPRESSION).ok_or(Flaw::Header)?;
    if flags & FLAG_ABSENT != 0 {
        let is_empty = compression == Compression::None && payload.is_empty() && original_len == 0;
        return if is_empty { Ok(Packed::Absent) } else { Err(Flaw::Lengths) };
    }
    if !compression.can_unpack(payload.len(), original_len) {
        return Err(Flaw::Lengths);
    }
    match compression {
        Compression::None => Ok(Packed::Plain(payload)),
        Compression::Lz4 | Compression::Zstd => Ok(Packed::Compressed(compression, payload, original_len)),
    }
}

fn as_len(len: u32) -> Result<usize, Flaw> {
    usize::try_from(len).map_err(|_| Flaw::Lengths)
}

/// Bytes not read yet.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Flaw> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Flaw::Lengths)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Flaw::Lengths)?;
        self.0 = rest;
        Ok(*taken)
    }
}

/// The tags of an entry, in the order in which they were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tags<'a> {
    /// Checked: every tag lies in it whole and is text.
    bytes: &'a [u8],
}

impl<'a> Tags<'a> {
    /// No tags.
    pub(crate) fn none() -> Tags<'a> {
        Tags { bytes: &[] }
    }

    fn check(bytes: &'a [u8]) -> Result<Tags<'a>, Flaw> {
        let (mut rest, mut count) = (Cursor(bytes), 0);
        while !rest.0.is_empty() {
            let tag = Tags::next_of(&mut rest)?;
            count += 1;
            if tag.is_empty() || tag.len() > TAG_LEN_MAX || count > TAGS_MAX || std::str::from_utf8(tag).is_err() {
                return Err(Flaw::Text);
            }
        }
        Ok(Tags { bytes })
    }

    fn next_of(rest: &mut Cursor<'a>) -> Result<&'a [u8], Flaw> {
        let len = usize::from(u16::from_le_bytes(rest.array()?));
        rest.take(len)
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let mut rest = Cursor(self.bytes);
        let tag = Tags::next_of(&mut rest).ok()?;
        self.bytes = rest.0;
        std::str::from_utf8(tag).ok()
    }
}
