//! What the keys on the server are called.
//!
//! ```text
//! entry       D   scrubjay:users:3:42                        prefix, cache : schema version : key
//! lease           scrubjay:users:3!lease:{D}                 who loads it
//! tombstone       scrubjay:users:3!removed:{D}               when it was removed, for half a minute
//! outdated        scrubjay:users:3!outdated:{D}              a load has taken it out, within the last half a minute
//! gone            scrubjay:users:3!gone:0123456789abcdef{D}  set and deleted at once, so that trackers hear of it, and by whom
//! free            scrubjay:users:3!free:{D}                  the same, when a lease is given back
//! stamps      T   scrubjay:users:3!stamps                    tags and clears
//! channel         scrubjay:users:3!changes                   for servers that do not track
//! ```
//!
//! **Invariants**
//! - All names of one key lie in one slot of a cluster: D has no braces of its own (they are written `%7B` and `%7D`), so the
//!   others hash by the D that stands in their braces.
//! - No two caches have a name in common: in the cache's name `:` and `!` are written `%3A` and `%21`, so it ends at the
//!   first of either.
//! - Of the prefixes that are tracked none begins with another, since the server refuses that. Leases and tombstones are not tracked:
//!   nobody waits for news of them.
//!
//! Whoever finds nothing to remove says by the name *gone* who it is, so that it knows its own news again, whatever the server
//! puts together. Others may leave out who they are: then everybody believes them.
//!
//! In raw mode D is the prefix and the key as they are, which the application's other programs know. The rest stands
//! behind a `!`, and hashes by what D hashes by. A key with braces which no other name can share a slot with has no names at
//! all: it is not shared, rather than shared without protection.

/// The names of one cache.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// What the names of entries begin with.
    data: Vec<u8>,
    /// What all the others begin with.
    rest: Vec<u8>,
    is_raw: bool,
    /// Who says that a key is gone: 16 hexadecimal digits, or nobody.
    origin: Vec<u8>,
}

/// The names of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyNames {
    pub(crate) data: Vec<u8>,
    pub(crate) lease: Vec<u8>,
    pub(crate) tombstone: Vec<u8>,
    pub(crate) outdated: Vec<u8>,
    pub(crate) gone: Vec<u8>,
    pub(crate) free: Vec<u8>,
}

/// What a name stands for. Keys are the cache's key bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// An entry, or the news that it is gone.
    Key(Vec<u8>),
    /// The news that a lease was given back; or that it is gone with a key that is gone by this process' own doing.
    Free(Vec<u8>),
    Stamps,
    /// None of ours, or none that is news.
    Other,
}

const LEASE: &[u8] = b"!lease:";
const TOMBSTONE: &[u8] = b"!removed:";
const OUTDATED: &[u8] = b"!outdated:";
const GONE: &[u8] = b"!gone:";
const FREE: &[u8] = b"!free:";
const STAMPS: &[u8] = b"!stamps";
const CHANNEL: &[u8] = b"!changes";

impl Names {
    /// The names of the cache's entries of that schema version.
    pub(crate) fn new(prefix: &[u8], cache: &str, schema: u32, is_raw: bool) -> Names {
        let mut rest = if is_raw { b"!".to_vec() } else { Vec::new() };
        escape(prefix, b"{}%", &mut rest);
        escape(cache.as_bytes(), b"{}%:!", &mut rest);
        rest.push(b':');
        rest.extend_from_slice(schema.to_string().as_bytes());
        let data = if is_raw { prefix.to_vec() } else { [&rest[..], b":"].concat() };
        Names { data, rest, is_raw, origin: Vec::new() }
    }

    /// The same, used by who calls itself so: 16 hexadecimal digits.
    pub(crate) fn of_origin(self, origin: &[u8; 16]) -> Names {
        Names { origin: origin.to_vec(), ..self }
    }

    /// The name of the key's entry.
    pub(crate) fn data(&self, key: &[u8]) -> Vec<u8> {
        let mut name = Vec::new();
        self.write_data(key, &mut name);
        name
    }

    /// Appends the name of the key's entry.
    pub(crate) fn write_data(&self, key: &[u8], out: &mut Vec<u8>) {
        out.reserve(self.data.len() + key.len() + 8);
        out.extend_from_slice(&self.data);
        self.write_key(key, out);
    }

    /// A glob for the names of entries whose keys begin so.
    pub(crate) fn data_pattern(&self, key_prefix: &[u8]) -> Vec<u8> {
        glob(&self.data(key_prefix))
    }

    /// A glob for the names of leases of keys that begin so; of some others too, in raw mode.
    pub(crate) fn lease_pattern(&self, key_prefix: &[u8]) -> Vec<u8> {
        let of = if self.is_raw { Vec::new() } else { self.data(key_prefix) };
        glob(&[&self.rest[..], LEASE, b"{", &of[..]].concat())
    }

    /// The key that an entry or a lease of that name belongs to.
    pub(crate) fn key_of_any(&self, name: &[u8]) -> Option<Vec<u8>> {
        let lease = name.strip_prefix(&self.rest[..]).and_then(|kind| kind.strip_prefix(LEASE));
        match lease {
            Some(tagged) => self.key(untagged(tagged)),
            None => self.key(name),
        }
    }

    /// All names of the key; `None` if it cannot be protected.
    pub(crate) fn of(&self, key: &[u8]) -> Option<KeyNames> {
        let data = self.data(key);
        let tagged = tagged(&data)?;
        let name = |kind: &[u8]| [&self.rest[..], kind, &tagged[..]].concat();
        let (lease, tombstone, outdated, free) = (name(LEASE), name(TOMBSTONE), name(OUTDATED), name(FREE));
        let gone = name(&[GONE, &self.origin[..]].concat());
        Some(KeyNames { data, lease, tombstone, outdated, gone, free })
    }

    /// The name of the stamps.
    pub(crate) fn stamps(&self) -> Vec<u8> {
        [&self.rest[..], STAMPS].concat()
    }

    /// Where changes are published.
    pub(crate) fn channel(&self) -> Vec<u8> {
        [&self.rest[..], CHANNEL].concat()
    }

    /// What the names begin with whose changes are news.
    pub(crate) fn tracked(&self) -> Vec<Vec<u8>> {
        let rest = |kind: &[u8]| [&self.rest[..], kind].concat();
        let mut prefixes = vec![self.data.clone(), rest(GONE), rest(FREE)];
        if !self.is_raw {
            prefixes.push(rest(STAMPS));
        }
        if self.rest.starts_with(&self.data) && self.is_raw {
            prefixes.truncate(1);
        }
        prefixes
    }

    /// What a name stands for.
    pub(crate) fn parse(&self, name: &[u8]) -> Named {
        if let Some(kind) = name.strip_prefix(&self.rest[..]) {
            if kind == STAMPS {
                return Named::Stamps;
            }
            let key = |tagged: &[u8]| self.key(untagged(tagged));
            if let Some(news) = kind.strip_prefix(GONE) {
                let (origin, tagged) = news.split_at(news.iter().position(|byte| *byte == b'{').unwrap_or(0));
                let is_own = !origin.is_empty() && origin == self.origin;
                return key(tagged).map_or(Named::Other, if is_own { Named::Free } else { Named::Key });
            }
            if let Some(tagged) = kind.strip_prefix(FREE) {
                return key(tagged).map_or(Named::Other, Named::Free);
            }
            if self.is_raw && [LEASE, TOMBSTONE, OUTDATED].iter().any(|other| kind.starts_with(other)) {
                return Named::Other;
            }
        }
        self.key(name).map_or(Named::Other, Named::Key)
    }

    /// The key whose entry has that name.
    pub(crate) fn key(&self, data: &[u8]) -> Option<Vec<u8>> {
        let key = data.strip_prefix(&self.data[..])?;
        if self.is_raw { Some(key.to_vec()) } else { unescape(key) }
    }

    fn write_key(&self, key: &[u8], out: &mut Vec<u8>) {
        if self.is_raw {
            out.extend_from_slice(key);
        } else {
            escape(key, b"{}%", out);
        }
    }
}

/// `name` with braces by which it hashes as alone: the tag that it has, again in front of it, or all of it.
fn tagged(name: &[u8]) -> Option<Vec<u8>> {
    let braced = |tag: &[u8]| [b"{", tag, b"}"].concat();
    match hash_tag(name) {
        Some(tag) => Some([braced(tag), name.to_vec()].concat()),
        None if name.is_empty() || name.contains(&b'}') => None,
        None => Some(braced(name)),
    }
}

/// The name that was [`tagged`]; anything for what was not.
fn untagged(tagged: &[u8]) -> &[u8] {
    let Some(inner) = tagged.strip_prefix(b"{") else { return tagged };
    let Some(end) = inner.iter().position(|byte| *byte == b'}') else { return tagged };
    let (tag, rest) = (&inner[..end], &inner[end + 1..]);
    if rest.is_empty() { tag } else { rest }
}

/// The part of a key by which a cluster hashes it, if it is not all of it.
fn hash_tag(name: &[u8]) -> Option<&[u8]> {
    let start = name.iter().position(|byte| *byte == b'{')? + 1;
    let len = name[start..].iter().position(|byte| *byte == b'}')?;
    (len > 0).then(|| &name[start..start + len])
}

/// A pattern of SCAN for what begins so.
fn glob(start: &[u8]) -> Vec<u8> {
    let mut pattern = Vec::with_capacity(start.len() + 1);
    for byte in start {
        if b"*?[]\\^".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.push(b'*');
    pattern
}

fn escape(bytes: &[u8], special: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    // Nearly all are.
    if !bytes.iter().any(|byte| special.contains(byte)) {
        return out.extend_from_slice(bytes);
    }
    for byte in bytes {
        if special.contains(byte) {
            out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        } else {
            out.push(*byte);
        }
    }
}

/// `None` for what nobody has escaped.
fn unescape(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        key.push(match byte {
            b'%' => match (rest.next(), rest.next()) {
                (Some(b'7'), Some(b'B')) => b'{',
                (Some(b'7'), Some(b'D')) => b'}',
                (Some(b'2'), Some(b'5')) => b'%',
                _ => return None,
            },
            b'{' | b'}' => return None,
            other => *other,
        });
    }
    Some(key)
}

#[cfg(test)]
mod tests;
